/** Options of protocol/client, as GlusterFS's client volfiles spell them. */

import { bool, duration, int, optionalText, size, text, type Values } from "core/options.ts";

export const options = {
  "remote-host": text({
    default: "localhost",
    live: false,
    help: "Host of the brick; without remote-port, of the portmapper that knows its port.",
  }),
  "remote-port": int({
    default: 0,
    min: 0,
    max: 65535,
    live: false,
    help: "Port of the brick; 0: ask the portmapper.",
  }),
  "remote-subvolume": text({
    default: "",
    live: false,
    help: "Name of the brick, as its server's volfile spells it.",
  }),
  "transport-type": text({
    default: "tcp",
    live: false,
    help: "How to connect: tcp (also called socket), or unix.",
  }),
  "transport.socket.connect-path": optionalText({
    live: false,
    help: "Path of the brick's unix socket, with transport-type unix.",
  }),
  "transport.socket.keepalive": bool({
    default: true,
    live: false,
    help: "Let the kernel notice a brick that vanished.",
  }),
  "transport.socket.ssl-enabled": bool({
    default: false,
    live: false,
    help: "TLS is not available yet: a client that should use it does not start.",
  }),
  "transport.*": text({
    default: "",
    help: "Other settings of GlusterFS's transports, accepted and not used.",
  }),
  "ping-timeout": duration({
    default: 42,
    max: 1013,
    volumeKey: "network.ping-timeout",
    help: "Time after which a brick from which nothing comes, not even an answer to a ping, is " +
      "given up; 0: it is not pinged.",
  }),
  "frame-timeout": duration({
    default: 1800,
    max: 86400,
    volumeKey: "network.frame-timeout",
    help:
      "Time after which a fop without an answer fails; 0: it waits for ever, as waiting for a " +
      "lock always does.",
  }),
  "username": optionalText({ live: false, help: "User to join the brick as." }),
  "password": optionalText({ live: false, help: "The user's password." }),
  "process-name": text({
    default: "mortar",
    live: false,
    help: "What the brick shows as the client's program.",
  }),
  "volfile-key": optionalText({
    live: false,
    help: "Key of the volfile this graph was made from, told to the brick.",
  }),
  "subdir-mount": optionalText({
    live: false,
    help: "Directory of the volume that is this client's root.",
  }),
  "send-gids": bool({
    default: true,
    volumeKey: "client.send-gids",
    help: "Tell the brick the caller's supplementary groups.",
  }),
  "filter-O_DIRECT": bool({
    default: false,
    help: "Keep O_DIRECT from the brick, which then uses its page cache.",
  }),
  "strict-locks": bool({
    default: false,
    help: "After the brick was away, do not take locks again: files with locks are EBADFD until " +
      "they are closed, even if nobody else took the locks.",
  }),
  "event-threads": int({
    default: 2,
    min: 1,
    max: 32,
    help: "Threads of GlusterFS's clients; accepted and not used.",
  }),
  "tcp-window-size": size({
    default: 0,
    help: "Size of sockets' buffers in GlusterFS's clients; accepted and not used.",
  }),
  "client-bind-insecure": bool({
    default: true,
    help: "Ports from 1024 on may be used, as is always done; accepted and not used.",
  }),
  "testing.old-protocol": bool({
    default: false,
    help: "Program of GlusterFS before 4.0; accepted and not used.",
  }),
} as const;

/** Parsed values of the table above. */
export type ClientValues = Values<typeof options>;
