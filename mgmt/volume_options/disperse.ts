/** Options of cluster/disperse. */

import { onOff, rows, whole, words } from "mgmt/volume_options/rows.ts";
import type { VolumeOption } from "mgmt/volume_options/volume_option.ts";

const KB = 1024;

/** See the head of this file. */
export const DISPERSE: readonly VolumeOption[] = [
  ...rows("cluster/disperse", [
    [
      "disperse.eager-lock",
      onOff,
      "on",
      "Clients keep the lock of a regular file for what follows.",
    ],
    [
      "disperse.other-eager-lock",
      onOff,
      "on",
      "Clients keep the lock of directories and other files for what follows.",
    ],
    [
      "disperse.eager-lock-timeout",
      whole(1, 60),
      "1",
      "Seconds that such a lock of a regular file is kept unused.",
    ],
    [
      "disperse.other-eager-lock-timeout",
      whole(1, 60),
      "1",
      "Seconds that such a lock of anything else is kept unused.",
    ],
    [
      "cluster.disperse-self-heal-daemon",
      onOff,
      "enable",
      "The self-heal daemon heals this dispersed volume.",
      { option: "self-heal-daemon", hidden: true },
    ],
    [
      "disperse.background-heals",
      whole(0, 256),
      "8",
      "Files that one client heals at once in the background.",
    ],
    ["disperse.heal-wait-qlength", whole(0, 64 * KB), "128", "Files that may wait for that."],
    [
      "disperse.read-policy",
      words("round-robin", "gfid-hash"),
      "gfid-hash",
      "Which fragments a read uses: gfid-hash, the same for one file; round-robin, others each time.",
    ],
    [
      "disperse.shd-max-threads",
      whole(1, 64),
      "1",
      "Files of one set that the self-heal daemon heals at once.",
    ],
    [
      "disperse.shd-wait-qlength",
      whole(1, 64 * KB),
      "1024",
      "Files that may wait for the self-heal daemon's threads.",
    ],
    [
      "disperse.cpu-extensions",
      words("none", "auto", "x64", "sse", "avx"),
      "auto",
      "Instructions for coding fragments.",
    ],
    [
      "disperse.self-heal-window-size",
      whole(1, 1024),
      "32",
      "Blocks of 128 KiB of one file that are healed at once.",
    ],
    [
      "disperse.optimistic-change-log",
      onOff,
      "on",
      "Dirty marks are left out before an operation, and made only if it fails somewhere.",
      { hidden: true },
    ],
    [
      "disperse.stripe-cache",
      whole(0, 10),
      "4",
      "Stripes of an open file kept, so that small writes need no read.",
      { hidden: true },
    ],
    [
      "disperse.parallel-writes",
      onOff,
      "on",
      "Writes to parts of a file that do not overlap run at once.",
      { hidden: true },
    ],
    [
      "disperse.quorum-count",
      whole(0),
      "0",
      "Fragments that a write must reach to succeed; 0: as many as are needed to read.",
      { hidden: true },
    ],
  ]),
];
