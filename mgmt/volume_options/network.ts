/** Options of protocol/client and protocol/server that our own translators do not declare. */

import {
  absolutePath,
  addresses,
  anyText,
  bytes,
  NONE,
  onOff,
  rows,
  seconds,
  whole,
  words,
} from "mgmt/volume_options/rows.ts";
import type { VolumeOption } from "mgmt/volume_options/volume_option.ts";

const MB = 1024 ** 2;

/** See the head of this file. */
export const NETWORK: readonly VolumeOption[] = [
  ...rows("protocol/client", [
    [
      "network.tcp-window-size",
      bytes(0, 1 * MB),
      NONE,
      "Size of sockets' buffers; not set: as the system does.",
      { also: [{ xlator: "protocol/server", option: "tcp-window-size" }] },
    ],
    ["client.ssl", onOff, "off", "Clients connect with TLS.", {
      option: "transport.socket.ssl-enabled",
      supplied: true,
      fixed: "TLS is not supported",
    }],
    ["network.remote-dio", onOff, "disable", "O_DIRECT is not passed on to bricks.", {
      option: "filter-O_DIRECT",
    }],
    ["client.own-thread", onOff, NONE, "A connection of a client has a thread of its own.", {
      option: "transport.socket.own-thread",
      hidden: true,
      unlisted: true,
    }],
    ["client.event-threads", whole(1, 32), "2", "Threads of a client for its connections."],
    [
      "client.tcp-user-timeout",
      whole(0),
      "0",
      "Seconds that a client's data may be unacknowledged before the connection is given up; 0: as the system does.",
      { option: "transport.tcp-user-timeout", supplied: true, hidden: true },
    ],
    [
      "client.keepalive-time",
      whole(0),
      "20",
      "Seconds of silence before a client tests its connection.",
      { option: "transport.socket.keepalive-time", supplied: true, hidden: true },
    ],
    ["client.keepalive-interval", whole(0), "2", "Seconds between such tests.", {
      option: "transport.socket.keepalive-interval",
      supplied: true,
      hidden: true,
    }],
    [
      "client.keepalive-count",
      whole(0),
      "9",
      "Tests without an answer before the connection is given up.",
      { option: "transport.socket.keepalive-count", supplied: true, hidden: true },
    ],
    [
      "client.strict-locks",
      onOff,
      "off",
      "A file with locks cannot be used through it any more after its brick was away.",
      { supplied: true },
    ],
    ["client.ta-brick-port", whole(0, 65535), NONE, "Port of a thin arbiter.", {
      option: "ta-remote-port",
      hidden: true,
      unlisted: true,
      fixed: "thin arbiters are not supported",
    }],
    ["client.bind-insecure", onOff, NONE, "Clients may use ports above 1023.", {
      option: "client-bind-insecure",
      hidden: true,
    }],
  ]),
  ...rows("protocol/server", [
    ["transport.keepalive", whole(0), "1", "Connections of bricks are tested while silent.", {
      option: "transport.socket.keepalive",
      supplied: true,
      hidden: true,
    }],
    ["server.statedump-path", absolutePath, "/var/run/gluster", "Directory for statedumps.", {
      fixed: "bricks write them where the daemon does",
    }],
    ["server.ssl", onOff, "off", "Bricks take connections with TLS.", {
      option: "transport.socket.ssl-enabled",
      supplied: true,
      fixed: "TLS is not supported",
    }],
    ["auth.ssl-allow", addresses, "*", "Names of TLS certificates that may connect; *: all.", {
      option: "auth.login.*.ssl-allow",
      supplied: true,
      fixed: "TLS is not supported",
    }],
    ["server.manage-gids", onOff, "off", "Bricks find out the groups of a user themselves.", {
      fixed: "bricks do not look groups up",
    }],
    ["server.gid-timeout", whole(0), "300", "Seconds for which they remember them.", {
      fixed: "bricks do not look groups up",
    }],
    [
      "server.own-thread",
      onOff,
      NONE,
      "A connection of a brick has a thread of its own. Our bricks do not follow it.",
      {
        option: "transport.socket.own-thread",
        hidden: true,
      },
    ],
    [
      "server.event-threads",
      whole(1, 1024),
      "2",
      "Threads of a brick for its connections. Our bricks do not follow it.",
    ],
    [
      "server.tcp-user-timeout",
      seconds(0, 1013),
      "42",
      "Seconds that a brick's data may be unacknowledged before the connection is given up.",
      { option: "transport.tcp-user-timeout" },
    ],
    [
      "server.keepalive-time",
      whole(0),
      "20",
      "Seconds of silence before a brick tests a connection.",
      { option: "transport.socket.keepalive-time", supplied: true, helpShown: "(null)" },
    ],
    ["server.keepalive-interval", whole(0), "2", "Seconds between such tests.", {
      option: "transport.socket.keepalive-interval",
      supplied: true,
      helpShown: "(null)",
    }],
    [
      "server.keepalive-count",
      whole(0),
      "9",
      "Tests without an answer before the connection is given up.",
      { option: "transport.socket.keepalive-count", supplied: true, helpShown: "(null)" },
    ],
    ["transport.listen-backlog", whole(0), "1024", "Connections that may wait to be accepted.", {
      option: "transport.listen-backlog",
      supplied: true,
    }],
    ["ssl.own-cert", anyText, NONE, "File with our TLS certificate.", {
      option: "transport.socket.ssl-own-cert",
      fixed: "TLS is not supported",
    }],
    ["ssl.private-key", anyText, NONE, "File with its key.", {
      option: "transport.socket.ssl-private-key",
      fixed: "TLS is not supported",
    }],
    ["ssl.ca-list", anyText, NONE, "File with the certificates that are trusted.", {
      option: "transport.socket.ssl-ca-list",
      fixed: "TLS is not supported",
    }],
    ["ssl.crl-path", anyText, NONE, "Directory of withdrawn certificates.", {
      option: "transport.socket.ssl-crl-path",
      fixed: "TLS is not supported",
    }],
    [
      "ssl.certificate-depth",
      anyText,
      NONE,
      "Certificates between one that is trusted and the other side's.",
      { option: "transport.socket.ssl-cert-depth", fixed: "TLS is not supported" },
    ],
    ["ssl.cipher-list", anyText, NONE, "Ciphers that may be used.", {
      option: "transport.socket.ssl-cipher-list",
      fixed: "TLS is not supported",
    }],
    ["ssl.dh-param", anyText, NONE, "File with Diffie-Hellman parameters.", {
      option: "transport.socket.ssl-dh-param",
      fixed: "TLS is not supported",
    }],
    ["ssl.ec-curve", anyText, NONE, "Elliptic curve that is used.", {
      option: "transport.socket.ssl-ec-curve",
      fixed: "TLS is not supported",
    }],
    [
      "transport.address-family",
      words("inet", "inet6"),
      "inet",
      "Whether IPv4 (inet) or IPv6 (inet6) is used.",
      {
        option: "transport.address-family",
        supplied: true,
        hidden: true,
        also: [{ xlator: "protocol/client", option: "transport.address-family" }],
      },
    ],
  ]),
];
