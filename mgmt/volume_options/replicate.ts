/** Options of cluster/replicate. */

import {
  anyText,
  bytes,
  type Kind,
  NONE,
  onOff,
  rows,
  whole,
  words,
} from "mgmt/volume_options/rows.ts";
import type { VolumeOption } from "mgmt/volume_options/volume_option.ts";

const KB = 1024;

const onOffOrOpen: Kind = (help, shown) => {
  const spec = onOff(help, shown);
  return {
    ...spec,
    values: "on|off|open",
    parse: (value: string) => value.toLowerCase() === "open" ? "open" : spec.parse(value),
    print: (value: unknown) => value === "open" ? "open" : spec.print(value),
  };
};

/** See the head of this file. */
export const REPLICATE: readonly VolumeOption[] = [
  ...rows("cluster/replicate", [
    [
      "cluster.entry-change-log",
      onOff,
      "on",
      "Changes of names are marked as pending before they are made.",
    ],
    [
      "cluster.read-subvolume",
      anyText,
      NONE,
      "Copy that files are read from: the client name of a brick, such as V-client-0.",
    ],
    [
      "cluster.read-subvolume-index",
      whole(-1),
      "-1",
      "Copy that files are read from by its position in the set, from 0; -1: none is preferred.",
    ],
    [
      "cluster.read-hash-mode",
      whole(0, 5),
      "1",
      "How a file's copy for reading is chosen: 0 first that is up, 1 by the file's id, 2 by the id and the client, 3 fewest reads in flight, 4 least latency, 5 both.",
    ],
    [
      "cluster.background-self-heal-count",
      whole(0),
      "8",
      "Files that one client heals at once in the background.",
    ],
    ["cluster.metadata-self-heal", onOff, "off", "Clients heal attributes of files they look up."],
    [
      "cluster.data-self-heal",
      onOffOrOpen,
      "off",
      "Clients heal the data of files they open.",
    ],
    [
      "cluster.entry-self-heal",
      onOff,
      "off",
      "Clients heal the names in directories they look up.",
    ],
    ["cluster.self-heal-daemon", onOff, "on", "The self-heal daemon heals this volume.", {
      places: ["heal"],
    }],
    [
      "cluster.heal-timeout",
      whole(5),
      "600",
      "Seconds between two rounds of the self-heal daemon.",
      { places: ["heal"], also: [{ xlator: "cluster/disperse", option: "heal-timeout" }] },
    ],
    ["cluster.strict-readdir", onOff, NONE, "Kept for old scripts; does nothing.", {
      hidden: true,
      unlisted: true,
    }],
    [
      "cluster.self-heal-window-size",
      whole(1, 1024),
      "8",
      "Blocks of 128 KiB of one file that are healed at once.",
      { option: "data-self-heal-window-size" },
    ],
    [
      "cluster.data-change-log",
      onOff,
      "on",
      "Changes of data are marked as pending before they are made.",
    ],
    [
      "cluster.metadata-change-log",
      onOff,
      "on",
      "Changes of attributes are marked as pending before they are made.",
    ],
    [
      "cluster.data-self-heal-algorithm",
      words("diff", "full"),
      NONE,
      "What is copied when data is healed: full, all of it; diff, blocks whose checksums differ; not set: full for files missing on a brick, diff otherwise.",
    ],
    [
      "cluster.eager-lock",
      onOff,
      "on",
      "Clients keep the lock of a file for the writes that follow.",
    ],
    [
      "cluster.quorum-type",
      words("none", "auto", "fixed"),
      "none",
      "When a set takes writes: none, with any copy up; auto, with more than half up (half, with the first among them); fixed, with cluster.quorum-count up.",
    ],
    [
      "cluster.quorum-count",
      whole(1),
      NONE,
      "Copies that must be up where cluster.quorum-type is fixed.",
    ],
    [
      "cluster.choose-local",
      onOff,
      "true",
      "Files are read from a copy on the reader's own node if there is one.",
    ],
    [
      "cluster.self-heal-readdir-size",
      bytes(1024, 128 * KB),
      "1KB",
      "Size of one listing while names are healed.",
    ],
    [
      "cluster.post-op-delay-secs",
      whole(0),
      "1",
      "Seconds that a pending mark stays for the next write to use.",
      { hidden: true },
    ],
    ["cluster.readdir-failover", onOff, NONE, "Kept for old scripts; does nothing.", {
      hidden: true,
      unlisted: true,
    }],
    [
      "cluster.ensure-durability",
      onOff,
      "on",
      "Data is synced before its pending marks are taken away.",
      { hidden: true },
    ],
    [
      "cluster.consistent-metadata",
      onOff,
      "no",
      "All answers about a file come from the copy it is read from.",
    ],
    [
      "cluster.heal-wait-queue-length",
      whole(0),
      "128",
      "Files that may wait for a client's background heal.",
    ],
    [
      "cluster.favorite-child-policy",
      words("none", "size", "ctime", "mtime", "majority"),
      "none",
      "Which copy wins a split brain without being asked: none, the largest, the last changed, the last written, or what most copies have.",
    ],
    [
      "cluster.full-lock",
      onOff,
      "yes",
      "Changes of names lock all of the directory on bricks that take part.",
      { hidden: true },
    ],
    [
      "cluster.optimistic-change-log",
      onOff,
      "on",
      "Pending marks are left out before an operation, and made only if it fails somewhere.",
      { hidden: true },
    ],
    ["cluster.quorum-reads", onOff, "no", "Reads need cluster.quorum-type fulfilled, too."],
    [
      "cluster.shd-max-threads",
      whole(1, 64),
      "1",
      "Files of one set that the self-heal daemon heals at once.",
    ],
    [
      "cluster.shd-wait-qlength",
      whole(1, 655_536),
      "1024",
      "Files that may wait for the self-heal daemon's threads.",
    ],
    [
      "cluster.locking-scheme",
      words("full", "granular"),
      "full",
      "What heals of names lock: full, the directory; granular, one name at a time.",
    ],
    [
      "cluster.granular-entry-heal",
      onOff,
      "no",
      'Heals look at changed names only, not at whole directories. Changed by "volume heal … granular-entry-heal" once the volume was started.',
    ],
    ["cluster.use-compound-fops", onOff, "off", "Kept for old scripts; does nothing.", {
      supplied: true,
      helpShown: "no",
    }],
    [
      "cluster.halo-enabled",
      onOff,
      "False",
      "Only copies near enough to the client take part at once; the others are healed.",
    ],
    [
      "cluster.halo-shd-max-latency",
      whole(1, 99_999),
      "99999",
      "Latency in milliseconds up to which a brick is near for the self-heal daemon.",
    ],
    [
      "cluster.halo-nfsd-max-latency",
      whole(1, 99_999),
      "5",
      "Latency in milliseconds up to which a brick is near for an NFS server.",
    ],
    [
      "cluster.halo-max-latency",
      whole(1, 99_999),
      "5",
      "Latency in milliseconds up to which a brick is near for mounts.",
    ],
    ["cluster.halo-max-replicas", whole(1, 99_999), "99999", "Copies that take part at most."],
    [
      "cluster.halo-min-replicas",
      whole(1, 99_999),
      "2",
      "Copies that take part at least, near or not.",
    ],
    [
      "cluster.use-anonymous-inode",
      onOff,
      "yes",
      "A renamed directory is healed by one move through a hidden place, not by making it again.",
      { supplied: true, helpShown: "no" },
    ],
  ]),
];
