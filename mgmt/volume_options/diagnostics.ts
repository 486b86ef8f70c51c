/** Options of the layers that watch, log and disturb. */

import { anyText, NONE, onOff, rows, seconds, whole, words } from "mgmt/volume_options/rows.ts";
import type { VolumeOption } from "mgmt/volume_options/volume_option.ts";

const MB = 1024 ** 2;

const LOG_LEVEL = words("DEBUG", "WARNING", "ERROR", "INFO", "CRITICAL", "NONE", "TRACE");
const SYSTEM_LOG_LEVEL = words("WARNING", "ERROR", "INFO", "CRITICAL");

/** See the head of this file. */
export const DIAGNOSTICS: readonly VolumeOption[] = [
  ...rows("debug/io-stats", [
    [
      "diagnostics.dump-fd-stats",
      onOff,
      "off",
      "Statistics of a file are logged when it is closed.",
    ],
    [
      "diagnostics.brick-log-level",
      LOG_LEVEL,
      "INFO",
      "What bricks log. Our bricks do not follow it.",
      {
        option: "log-level",
        supplied: true,
        places: ["brick"],
      },
    ],
    ["diagnostics.client-log-level", LOG_LEVEL, "INFO", "What clients log.", {
      option: "log-level",
      supplied: true,
      places: ["client"],
    }],
    [
      "diagnostics.brick-sys-log-level",
      SYSTEM_LOG_LEVEL,
      "CRITICAL",
      "What bricks send to the system's log. Our bricks do not follow it.",
      { option: "sys-log-level", places: ["brick"] },
    ],
    [
      "diagnostics.client-sys-log-level",
      SYSTEM_LOG_LEVEL,
      "CRITICAL",
      "What clients send to the system's log.",
      { option: "sys-log-level", places: ["client"] },
    ],
    [
      "diagnostics.brick-logger",
      words("gluster-log", "syslog"),
      NONE,
      "Where bricks log. Our bricks do not follow it.",
      {
        option: "logger",
        places: ["brick"],
      },
    ],
    ["diagnostics.client-logger", words("gluster-log", "syslog"), NONE, "Where clients log.", {
      option: "logger",
      places: ["client"],
    }],
    [
      "diagnostics.brick-log-format",
      words("no-msg-id", "with-msg-id"),
      NONE,
      "Whether a brick's log lines have message numbers. Our bricks do not follow it.",
      { option: "log-format", places: ["brick"] },
    ],
    [
      "diagnostics.client-log-format",
      words("no-msg-id", "with-msg-id"),
      NONE,
      "Whether a client's log lines have message numbers.",
      { option: "log-format", places: ["client"] },
    ],
    [
      "diagnostics.brick-log-buf-size",
      whole(0, 20),
      "5",
      "Repeated log lines of a brick that are kept to be counted. Our bricks do not follow it.",
      { option: "log-buf-size", places: ["brick"] },
    ],
    [
      "diagnostics.client-log-buf-size",
      whole(0, 20),
      "5",
      "Repeated log lines of a client that are kept to be counted.",
      { option: "log-buf-size", places: ["client"] },
    ],
    [
      "diagnostics.brick-log-flush-timeout",
      seconds(30, 300),
      "120",
      "How long those lines of a brick wait. Our bricks do not follow it.",
      { option: "log-flush-timeout", places: ["brick"] },
    ],
    [
      "diagnostics.client-log-flush-timeout",
      seconds(30, 300),
      "120",
      "How long those lines of a client wait.",
      { option: "log-flush-timeout", places: ["client"] },
    ],
    [
      "diagnostics.fop-sample-interval",
      whole(0, 65_535),
      "0",
      "One operation in this many is sampled; 0: none.",
      { option: "ios-sample-interval" },
    ],
    [
      "diagnostics.stats-dump-format",
      words("text", "json", "dict", "samples"),
      "json",
      "Form of dumped statistics.",
      { option: "ios-dump-format" },
    ],
    ["diagnostics.fop-sample-buf-size", whole(1024, 1 * MB), "65535", "Samples kept.", {
      option: "ios-sample-buf-size",
    }],
    [
      "diagnostics.stats-dnscache-ttl-sec",
      whole(1, 259_200),
      "86400",
      "How long names of clients in samples are kept.",
      { option: "ios-dnscache-ttl-sec" },
    ],
    [
      "config.global-threading",
      onOff,
      "off",
      "All work of a process is done by one pool of threads. Our bricks do not follow it.",
      { supplied: true },
    ],
    ["config.client-threads", whole(1, 128), "16", "Size of a client's pool.", {
      option: "threads",
      supplied: true,
      places: ["client"],
    }],
    [
      "config.brick-threads",
      whole(1, 128),
      "16",
      "Size of a brick's pool. Our bricks do not follow it.",
      {
        option: "threads",
        supplied: true,
        places: ["brick"],
      },
    ],
  ]),
  ...rows("debug/trace", [
    [
      "debug.trace",
      anyText,
      "off",
      "Operations are logged at a place of the graph: off, client, or a translator's type such as io-stats.",
      { option: "!trace", supplied: true, hidden: true },
    ],
  ]),
  ...rows("debug/error-gen", [
    [
      "debug.error-gen",
      anyText,
      "off",
      "Operations fail at random, for tests, at a place of the graph.",
      { option: "!error-gen", supplied: true, hidden: true },
    ],
  ]),
  ...rows("debug/delay-gen", [
    [
      "debug.delay-gen",
      anyText,
      "off",
      "Operations are delayed, for tests, at a place of the graph.",
      { option: "!delay-gen", supplied: true, hidden: true },
    ],
  ]),
];
