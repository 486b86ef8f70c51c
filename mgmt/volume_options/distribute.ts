/** Options of cluster/distribute that our own translator does not declare. */

import { anyText, type Kind, NONE, onOff, rows, whole } from "mgmt/volume_options/rows.ts";
import type { VolumeOption } from "mgmt/volume_options/volume_option.ts";

const throttle: Kind = (help, shown) => ({
  ...anyText(help, shown),
  values: "lazy|normal|aggressive, or a number of files",
  parse(value: string) {
    if (/^(lazy|normal|aggressive)$/i.test(value) || /^[1-9]\d{0,3}$/.test(value)) return value;
    throw new RangeError(`expected lazy, normal, aggressive or a number of files, got "${value}"`);
  },
});

/** See the head of this file. */
export const DISTRIBUTE: readonly VolumeOption[] = [
  ...rows("cluster/distribute", [
    [
      "cluster.lookup-optimize",
      onOff,
      "on",
      "A name that is missing where its hash says is taken for missing, without asking all subvolumes, where the directory's layout is complete.",
    ],
    ["cluster.rebalance-stats", onOff, "off", "A rebalance logs how long each file took."],
    [
      "cluster.subvols-per-directory",
      whole(1),
      NONE,
      "How many subvolumes a new directory's files are spread over; all if not set.",
      { option: "directory-layout-spread" },
    ],
    [
      "cluster.readdir-optimize",
      onOff,
      "off",
      "Bricks leave directories out of listings on all subvolumes but the first.",
    ],
    [
      "cluster.dht-xattr-name",
      anyText,
      "trusted.glusterfs.dht",
      "Extended attribute that keeps a directory's layout.",
      { option: "xattr-name", hidden: true },
    ],
    [
      "cluster.rebal-throttle",
      throttle,
      "normal",
      "How much of a node a rebalance may use: lazy, normal, aggressive, or a number of files at once.",
    ],
    [
      "cluster.lock-migration",
      onOff,
      "off",
      "A rebalance moves the locks of a file along with it.",
      { supplied: true },
    ],
    [
      "cluster.force-migration",
      onOff,
      "off",
      "A rebalance moves files that are being written, too.",
      { supplied: true },
    ],
    ["cluster.nufa", onOff, "off", "New files go to a brick of the writer's own node.", {
      option: "!nufa",
      hidden: true,
      unlisted: true,
    }],
    ["cluster.switch", onOff, "off", "New files go to subvolumes by patterns of their names.", {
      option: "!switch",
      hidden: true,
      unlisted: true,
    }],
    ["dht.force-readdirp", onOff, "on", "Listings ask for attributes along with names.", {
      option: "use-readdirp",
    }],
    [
      "rebalance.ensure-durability",
      onOff,
      "on",
      "A rebalance syncs each file before it takes the old one away.",
      { hidden: true },
    ],
  ]),
  ...rows("cluster/nufa", [
    [
      "cluster.local-volume-name",
      anyText,
      NONE,
      "Subvolume that counts as local for cluster.nufa.",
      { hidden: true },
    ],
  ]),
  ...rows("cluster/switch", [
    [
      "cluster.switch-pattern",
      anyText,
      NONE,
      "Name patterns and their subvolumes for cluster.switch.",
      {
        option: "pattern.switch.case",
        hidden: true,
      },
    ],
  ]),
];
