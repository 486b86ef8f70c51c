/** Options of the layers of GlusterFS's clients that make things fast. */

import {
  anyText,
  bytes,
  type Kind,
  onOff,
  rows,
  seconds,
  whole,
} from "mgmt/volume_options/rows.ts";
import type { VolumeOption } from "mgmt/volume_options/volume_option.ts";

const MB = 1024 ** 2;

const priorities: Kind = (help, shown) => ({
  ...anyText(help, shown),
  values: "patterns with numbers, such as *.html:4,*.jpg:1",
  parse(value: string) {
    if (value === "" || value.split(",").every((each) => /^[^:]+:\d+$/.test(each))) return value;
    throw new RangeError(
      `expected patterns with numbers, such as *.html:4,*.jpg:1, got "${value}"`,
    );
  },
});

/** See the head of this file. */
export const PERFORMANCE: readonly VolumeOption[] = [
  ...rows("performance/io-cache", [
    [
      "performance.cache-max-file-size",
      bytes(0),
      "0",
      "Largest file that io-cache keeps; 0: any.",
      { option: "max-file-size" },
    ],
    ["performance.cache-min-file-size", bytes(0), "0", "Smallest file that io-cache keeps.", {
      option: "min-file-size",
    }],
    [
      "performance.cache-refresh-timeout",
      whole(0, 60),
      "1",
      "Seconds after which io-cache asks whether a file changed.",
      { option: "cache-timeout" },
    ],
    [
      "performance.cache-priority",
      priorities,
      "",
      "What io-cache keeps longest: patterns with numbers, such as *.html:4,*.jpg:1.",
      { option: "priority" },
    ],
    ["performance.io-cache-size", bytes(4 * MB), "32MB", "Memory of io-cache.", {
      option: "cache-size",
    }],
    [
      "performance.cache-size",
      bytes(4 * MB),
      "32MB",
      "Memory of io-cache and of quick-read, each.",
      { helpShown: "(null)", also: [{ xlator: "performance/quick-read", option: "cache-size" }] },
    ],
    ["performance.io-cache-pass-through", onOff, "false", "io-cache only passes operations on.", {
      option: "pass-through",
    }],
    ["performance.io-cache", onOff, "off", "What was read is kept (io-cache).", {
      option: "!io-cache",
      supplied: true,
    }],
  ]),
  ...rows("performance/quick-read", [
    [
      "performance.qr-cache-timeout",
      whole(0),
      "1",
      "An older name of performance.quick-read-cache-timeout.",
      {
        option: "cache-timeout",
        helpShown: "(null)",
      },
    ],
    [
      "performance.quick-read",
      onOff,
      "on",
      "Small files come with their lookup (quick-read); in our own client, when they are opened.",
      { option: "!quick-read", supplied: true },
    ],
  ]),
  ...rows("performance/write-behind", [
    [
      "performance.write-behind",
      onOff,
      "on",
      "Writes are answered before they are done (write-behind).",
      { option: "!write-behind", supplied: true },
    ],
  ]),
  ...rows("performance/open-behind", [
    [
      "performance.open-behind",
      onOff,
      "on",
      "Files opened to read are opened when they are first used (open-behind). Our own client does so only where this is set.",
      { option: "!open-behind", supplied: true },
    ],
  ]),
  ...rows("performance/read-ahead", [
    ["performance.read-ahead", onOff, "off", "Files read in order are read ahead (read-ahead).", {
      option: "!read-ahead",
      supplied: true,
    }],
  ]),
  ...rows("performance/readdir-ahead", [
    [
      "performance.readdir-ahead",
      onOff,
      "off",
      "Directories are read ahead (readdir-ahead). Our own client does so unless this is set to off.",
      { option: "!readdir-ahead", supplied: true },
    ],
    [
      "performance.parallel-readdir",
      onOff,
      "off",
      "One readdir-ahead for each subvolume, which all read at once.",
      { supplied: true },
    ],
  ]),
  ...rows("performance/md-cache", [
    ["performance.stat-prefetch", onOff, "on", "Attributes are kept (md-cache).", {
      option: "!md-cache",
      supplied: true,
    }],
  ]),
  ...rows("performance/nl-cache", [
    ["performance.nl-cache-pass-through", onOff, "false", "nl-cache only passes operations on.", {
      option: "pass-through",
    }],
    ["performance.nl-cache", onOff, "off", "Missing names are remembered (nl-cache).", {
      option: "!nl-cache",
      supplied: true,
    }],
    [
      "performance.nl-cache-positive-entry",
      onOff,
      "false",
      "nl-cache remembers names that exist, too.",
      { helpShown: "(null)" },
    ],
    ["performance.nl-cache-limit", bytes(0), "10MB", "Memory of nl-cache.", {
      supplied: true,
      helpShown: "131072",
    }],
    ["performance.nl-cache-timeout", seconds(), "60", "How long nl-cache trusts what it has."],
  ]),
  ...rows("performance/io-threads", [
    [
      "performance.client-io-threads",
      onOff,
      "on",
      "Clients work with several threads (io-threads).",
      { option: "!io-threads", supplied: true },
    ],
  ]),
];
