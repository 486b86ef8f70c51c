/** Options of other layers. */

import { bytes, onOff, rows, whole } from "mgmt/volume_options/rows.ts";
import type { VolumeOption } from "mgmt/volume_options/volume_option.ts";

const MB = 1024 ** 2;
const TB = 1024 ** 4;

/** See the head of this file. */
export const FEATURES: readonly VolumeOption[] = [
  ...rows("features/shard", [
    [
      "features.shard",
      onOff,
      "off",
      "Large files are kept in pieces. Not to be switched off while there are such files.",
      { option: "!shard", supplied: true },
    ],
    [
      "features.shard-block-size",
      bytes(4 * MB, 4 * TB),
      "64MB",
      "Size of a piece; for files made from then on.",
    ],
    ["features.shard-lru-limit", whole(20), "16384", "Pieces that a client remembers.", {
      hidden: true,
    }],
    ["features.shard-deletion-rate", whole(100), "100", "Pieces that are removed at once."],
  ]),
  ...rows("features/qcow2", [
    [
      "features.qcow2",
      onOff,
      "off",
      "Our mounts, and the volume's proxy, show what is in qcow2 images as plain files.",
      { option: "!qcow2" },
    ],
  ]),
  ...rows(undefined, [
    [
      "features.proxy",
      onOff,
      "off",
      "While the volume is started, its node serves it to GlusterFS's clients as VOLUME.proxy, in " +
      "QEMU's names VOLUME-proxy: with all layers of our mounts, such as what is in qcow2 images.",
    ],
  ]),
  ...rows("features/access-control", [
    ["features.acl", onOff, "enable", "POSIX access control lists are enforced by bricks.", {
      option: "!access-control",
      supplied: true,
      hidden: true,
    }],
  ]),
];
