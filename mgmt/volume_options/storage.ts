/** Options of storage/posix that our own translator does not declare. */

import { anyText, NONE, onOff, rows, whole, words } from "mgmt/volume_options/rows.ts";
import type { VolumeOption } from "mgmt/volume_options/volume_option.ts";

/** See the head of this file. */
export const STORAGE: readonly VolumeOption[] = [
  ...rows("storage/posix", [
    [
      "storage.linux-aio",
      onOff,
      "off",
      "Bricks of GlusterFS use the kernel's asynchronous I/O; ours always work asynchronously.",
    ],
    [
      "storage.linux-io_uring",
      onOff,
      "off",
      "Bricks of GlusterFS use io_uring; ours always work asynchronously.",
    ],
    [
      "storage.batch-fsync-mode",
      words("none", "syncfs", "syncfs-single-fsync", "syncfs-reverse-fsync", "reverse-fsync"),
      "reverse-fsync",
      "How several fsyncs become one.",
    ],
    [
      "storage.batch-fsync-delay-usec",
      whole(0),
      "0",
      "Microseconds that an fsync waits for others.",
    ],
    ["storage.xattr-user-namespace-mode", anyText, NONE, "How user attributes are named.", {
      hidden: true,
      unlisted: true,
    }],
    ["storage.gfid2path", onOff, "on", "Files know the names they have.", { hidden: true }],
  ]),
];
