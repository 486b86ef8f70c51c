/** Options of protocol/client, as GlusterFS's client volfiles spell them. */

import { bool, duration, int, optionalText, text, type Values } from "core/options.ts";

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
  "ping-timeout": duration({
    default: 42,
    max: 1013,
    volumeKey: "network.ping-timeout",
    help: "Time after which a brick that answers no ping is given up; 0: it is not pinged.",
  }),
  "frame-timeout": duration({
    default: 1800,
    max: 86400,
    volumeKey: "network.frame-timeout",
    help: "Time after which a fop without an answer fails; 0: it waits for ever.",
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
} as const;

/** Parsed values of the table above. */
export type ClientValues = Values<typeof options>;
