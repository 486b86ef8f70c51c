/** Options of protocol/server, as GlusterFS's brick volfiles spell them. */

import {
  bool,
  duration,
  int,
  list,
  oneOf,
  optionalText,
  size,
  text,
  type Values,
} from "core/options.ts";

export const options = {
  "transport-type": text({
    default: "tcp",
    live: false,
    help: "How clients connect: tcp (also called socket), or unix.",
  }),
  "transport.address-family": oneOf(["inet", "inet6", "inet/inet6", "unix"], {
    default: "inet",
    live: false,
    help: "Kind of addresses to listen on.",
  }),
  "transport.socket.listen-port": int({
    default: 24007,
    min: 0,
    max: 65535,
    live: false,
    help: "TCP port to listen on; 0 takes a free one.",
  }),
  "listen-port": int({
    default: 0,
    min: 0,
    max: 65535,
    live: false,
    help: "Another name of transport.socket.listen-port, which it overrides unless 0.",
  }),
  "transport.socket.bind-address": optionalText({
    live: false,
    help:
      "Address to listen on. Nothing else is reachable: without it only this machine is served.",
  }),
  "bind-address": optionalText({
    live: false,
    help: "Another name of transport.socket.bind-address.",
  }),
  "listen-host": optionalText({
    live: false,
    help: "Another name of transport.socket.bind-address.",
  }),
  "transport.socket.listen-path": optionalText({
    live: false,
    help: "Path of the unix socket to listen on, with transport-type unix.",
  }),
  "transport.socket.keepalive": bool({
    default: true,
    live: false,
    help: "Let the kernel notice clients that vanished.",
  }),
  "transport.socket.ssl-enabled": bool({
    default: false,
    live: false,
    help: "TLS is not available yet: a brick that should use it does not start.",
  }),
  "transport.*": text({
    default: "",
    help: "Other settings of GlusterFS's transports, accepted and not used.",
  }),
  "auth.addr.*.allow": text({
    default: "",
    volumeKey: "auth.allow",
    help: "Addresses that may join the brick: separated by commas, with * and ? as wildcards, " +
      "networks as 10.0.0.0/8, or host names; ! before one means all others. For sub-directory " +
      "mounts: /dir(address|address),/other(address). Without this option nobody may join.",
  }),
  "auth.addr.*.reject": text({
    default: "",
    volumeKey: "auth.reject",
    help: "Addresses that may not join the brick, whatever auth.allow says. Same form.",
  }),
  "auth.login.*.allow": list({
    default: [],
    help: "User names that may join the brick with their password.",
  }),
  "auth.login.*.password": text({
    default: "",
    help: "Password of a user.",
  }),
  "strict-auth-accept": bool({
    default: false,
    help: "Refuse clients that give no valid user name and password.",
  }),
  "dynamic-auth": bool({
    default: true,
    volumeKey: "server.dynamic-auth",
    help: "When rules about addresses or users change, drop clients that may no longer be here.",
  }),
  "auth-path": optionalText({
    help: "Name under which clients ask for the only subvolume, beside the subvolume's own.",
  }),
  "rpc-auth-allow-insecure": bool({
    default: true,
    volumeKey: "server.allow-insecure",
    help: "Accept clients whose port is 1024 or above.",
  }),
  "root-squash": bool({
    default: false,
    volumeKey: "server.root-squash",
    help: "Treat requests of user 0 and group 0 as the anonymous user's and group's.",
  }),
  "all-squash": bool({
    default: false,
    volumeKey: "server.all-squash",
    help: "Treat all requests as the anonymous user's and group's.",
  }),
  "anonuid": int({
    default: 65534,
    min: 0,
    max: 0xffffffff,
    volumeKey: "server.anonuid",
    help: "The anonymous user.",
  }),
  "anongid": int({
    default: 65534,
    min: 0,
    max: 0xffffffff,
    volumeKey: "server.anongid",
    help: "The anonymous group.",
  }),
  "rpc.outstanding-rpc-limit": int({
    default: 256,
    min: 0,
    max: 65536,
    volumeKey: "server.outstanding-rpc-limit",
    live: false,
    help: "Requests of one client under way before no more are read; 0 for the largest limit.",
  }),
  "inode-lru-limit": int({
    default: 16384,
    min: 0,
    max: 1048576,
    volumeKey: "network.inode-lru-limit",
    help: "Inodes that are remembered though no client has them open; 0: all that were ever seen.",
  }),
  "volume-id": optionalText({
    live: false,
    help: "The volume's id; without it the one that the storage answers.",
  }),
  "record-size-limit": size({
    default: 32 << 20,
    min: 1 << 20,
    max: 256 << 20,
    live: false,
    help: "Largest request taken from a client that joined, and largest read it may ask for.",
  }),
  "frame-timeout": duration({
    default: 1800,
    min: 1,
    help: "Time after which a client no longer waits for an answer.",
  }),
  "join-timeout": duration({
    default: 60,
    min: 1,
    help: "Time after which a connection on which nobody joined is closed.",
  }),
  "stall-timeout": duration({
    default: 42,
    min: 1,
    live: false,
    help: "Time after which a client that does not read its answers is dropped.",
  }),
  "connections-limit": int({
    default: 4096,
    min: 1,
    live: false,
    help: "Connections at a time.",
  }),
  "fd-limit": int({
    default: 65536,
    min: 16,
    help: "Files that one client may have open.",
  }),
} as const;

/** Parsed values of the table above. */
export type ServerValues = Values<typeof options>;
