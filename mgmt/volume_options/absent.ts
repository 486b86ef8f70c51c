/** Options of what is not there: known, so that a script that sets them to their defaults goes on. */

import {
  addresses,
  anyText,
  bytes,
  NONE,
  onOff,
  type Row,
  rows,
  seconds,
  share,
  whole,
  words,
} from "mgmt/volume_options/rows.ts";
import type { VolumeOption } from "mgmt/volume_options/volume_option.ts";

// Of GlusterFS's old NFS server.
const NFS = [
  "enable-ino32",
  "mem-factor",
  "export-dirs",
  "export-volumes",
  "addr-namelookup",
  "dynamic-volumes",
  "register-with-portmap",
  "outstanding-rpc-limit",
  "port",
  "rpc-auth-unix",
  "rpc-auth-null",
  "rpc-auth-allow",
  "rpc-auth-reject",
  "ports-insecure",
  "transport-type",
  "trusted-sync",
  "trusted-write",
  "volume-access",
  "export-dir",
  "nlm",
  "acl",
  "mount-udp",
  "mount-rmtab",
  "rpc-statd",
  "log-level",
  "server-aux-gids",
  "drc",
  "drc-size",
  "read-size",
  "write-size",
  "readdir-size",
  "rdirplus",
  "event-threads",
  "exports-auth-enable",
  "auth-refresh-interval-sec",
  "auth-cache-ttl-sec",
];

const nfsRow = (
  name: string,
): Row => [`nfs.${name}`, anyText, NONE, "Of GlusterFS's old NFS server.", {
  hidden: true,
  unlisted: true,
  fixed: "the old NFS server is not supported",
}];

/** See the head of this file. */
export const ABSENT: readonly VolumeOption[] = [
  ...rows("features/snapview-client", [
    ["features.uss", onOff, "off", "Users see snapshots in a hidden directory.", {
      option: "!snapview-client",
      supplied: true,
      fixed: "snapshots that users see are not supported",
    }],
  ]),
  ...rows("features/namespace", [
    [
      "features.tag-namespaces",
      onOff,
      "off",
      "Operations carry the top directory they belong to.",
      { supplied: true, fixed: "there is no such layer on bricks" },
    ],
  ]),
  ...rows("features/cdc", [
    ["network.compression", onOff, "off", "Data is compressed on its way.", {
      option: "!cdc",
      supplied: true,
      fixed: "compression on the wire is not supported",
    }],
    ["network.compression.window-size", whole(), "-15", "Logarithm of the compressor's window.", {
      option: "window-size",
      fixed: "compression on the wire is not supported",
    }],
    ["network.compression.mem-level", whole(), "8", "Memory of the compressor, 1 to 9.", {
      option: "mem-level",
      fixed: "compression on the wire is not supported",
    }],
    ["network.compression.min-size", whole(), "0", "Smaller data is not compressed.", {
      option: "min-size",
      fixed: "compression on the wire is not supported",
    }],
    [
      "network.compression.compression-level",
      whole(),
      "-1",
      "How hard to compress, 1 to 9; -1: usual.",
      { option: "compression-level", fixed: "compression on the wire is not supported" },
    ],
    ["network.compression.debug", onOff, "false", "What is compressed is kept for tests.", {
      option: "debug",
      hidden: true,
      fixed: "compression on the wire is not supported",
    }],
  ]),
  ...rows("features/quota", [
    ["features.limit-usage", anyText, NONE, "Limits of directories.", {
      option: "limit-set",
      hidden: true,
      unlisted: true,
      fixed: "quotas are not supported",
    }],
    ["features.default-soft-limit", share, "80%", "Share of a limit after which it is logged.", {
      hidden: true,
      fixed: "quotas are not supported",
    }],
    [
      "features.soft-timeout",
      seconds(0, 1800),
      "60",
      "How long usage below the soft limit is believed.",
      { hidden: true, fixed: "quotas are not supported" },
    ],
    [
      "features.hard-timeout",
      seconds(0, 60),
      "5",
      "How long usage above the soft limit is believed.",
      { hidden: true, fixed: "quotas are not supported" },
    ],
    ["features.alert-time", seconds(0, 604_800), "86400", "Time between two such log lines.", {
      hidden: true,
      fixed: "quotas are not supported",
    }],
    [
      "features.quota-deem-statfs",
      onOff,
      "off",
      "Free space of a directory is what its limit leaves.",
      { option: "deem-statfs", supplied: true, helpShown: "on", fixed: "quotas are not supported" },
    ],
  ]),
  ...rows("features/marker", [
    [
      "geo-replication.indexing",
      onOff,
      "off",
      "Bricks keep for each directory when something below it changed.",
      {
        option: "xtime",
        supplied: true,
        hidden: true,
        guarded: true,
        fixed: "geo-replication is not supported",
      },
    ],
    [
      "geo-replication.ignore-pid-check",
      onOff,
      "off",
      "Changes made by the replication itself count, too.",
      {
        option: "gsync-force-xtime",
        supplied: true,
        hidden: true,
        guarded: true,
        fixed: "geo-replication is not supported",
      },
    ],
    ["features.quota", onOff, "off", "Usage of directories is kept below limits.", {
      supplied: true,
      hidden: true,
      guarded: true,
      fixed: "quotas are not supported",
    }],
    ["features.inode-quota", onOff, "off", "Numbers of files, too.", {
      supplied: true,
      hidden: true,
      guarded: true,
      fixed: "quotas are not supported",
    }],
  ]),
  ...rows("features/bit-rot", [
    ["features.bitrot", onOff, "disable", "Files' checksums are kept and checked.", {
      supplied: true,
      hidden: true,
      guarded: true,
      fixed: "checking files for silent damage is not supported",
    }],
    [
      "features.scrub-throttle",
      words("lazy", "normal", "aggressive"),
      "lazy",
      "How much the checks may use.",
      { supplied: true, hidden: true, fixed: "checking files for silent damage is not supported" },
    ],
    [
      "features.scrub-freq",
      words("hourly", "daily", "weekly", "biweekly", "monthly"),
      "biweekly",
      "How often files are checked.",
      {
        option: "scrub-frequency",
        supplied: true,
        hidden: true,
        fixed: "checking files for silent damage is not supported",
      },
    ],
    ["features.scrub", onOff, "false", "Whether the checks run or pause.", {
      option: "scrubber",
      hidden: true,
      guarded: true,
      fixed: "checking files for silent damage is not supported",
    }],
    [
      "features.expiry-time",
      whole(),
      "120",
      "Seconds after the last change before a file gets its checksum.",
      { supplied: true, hidden: true, fixed: "checking files for silent damage is not supported" },
    ],
    ["features.signer-threads", whole(), "4", "Threads that compute checksums.", {
      supplied: true,
      hidden: true,
      fixed: "checking files for silent damage is not supported",
    }],
  ]),
  ...rows("features/changelog", [
    ["changelog.changelog", onOff, "off", "Bricks keep a journal of changes.", {
      hidden: true,
      fixed: "geo-replication is not supported",
    }],
    [
      "changelog.changelog-dir",
      anyText,
      "{{ brick.path }}/.glusterfs/changelogs",
      "Directory of the journal.",
      { hidden: true, fixed: "geo-replication is not supported" },
    ],
    ["changelog.encoding", words("binary", "ascii"), "ascii", "Form of the journal.", {
      hidden: true,
      fixed: "geo-replication is not supported",
    }],
    ["changelog.rollover-time", seconds(), "15", "Seconds after which a new journal is begun.", {
      hidden: true,
      fixed: "geo-replication is not supported",
    }],
    ["changelog.fsync-interval", seconds(), "5", "Seconds between two syncs of it.", {
      hidden: true,
      fixed: "geo-replication is not supported",
    }],
    [
      "changelog.changelog-barrier-timeout",
      seconds(),
      "120",
      "Seconds that changes may be held up for a snapshot.",
      { supplied: true, fixed: "geo-replication is not supported" },
    ],
    ["changelog.capture-del-path", onOff, "off", "The journal has the paths of removed files.", {
      hidden: true,
      fixed: "geo-replication is not supported",
    }],
  ]),
  ...rows("features/trash", [
    ["features.trash", onOff, "off", "Removed files go into a directory.", {
      fixed: "keeping removed files is not supported",
    }],
    ["features.trash-dir", anyText, ".trashcan", "Name of that directory.", {
      fixed: "keeping removed files is not supported",
    }],
    ["features.trash-eliminate-path", anyText, NONE, "Paths whose removed files are not kept.", {
      fixed: "keeping removed files is not supported",
    }],
    ["features.trash-max-filesize", bytes(0), "5MB", "Larger files are not kept.", {
      fixed: "keeping removed files is not supported",
    }],
    [
      "features.trash-internal-op",
      onOff,
      "off",
      "Files that the system itself removes are kept, too.",
      { fixed: "keeping removed files is not supported" },
    ],
  ]),
  ...rows("features/locks", [
    ["locks.trace", onOff, "off", "Locks are logged.", {
      fixed: "there is no such layer on bricks",
    }],
    ["features.locks-monkey-unlocking", onOff, "false", "Some unlocks are lost, for tests.", {
      option: "monkey-unlocking",
      hidden: true,
      fixed: "there is no such layer on bricks",
    }],
  ]),
  ...rows("features/quiesce", [
    ["features.timeout", seconds(), "45", "How long a client waits for another host.", {
      helpShown: "(null)",
      fixed: "serving clients by a proxy is not supported",
    }],
    ["features.failover-hosts", addresses, NONE, "Hosts that a client may turn to.", {
      fixed: "serving clients by a proxy is not supported",
    }],
  ]),
  ...rows("features/leases", [
    ["features.leases", onOff, "off", "Clients may hold leases on files.", {
      supplied: true,
      fixed: "leases are not supported",
    }],
    [
      "features.lease-lock-recall-timeout",
      whole(),
      "60",
      "Seconds that a client has to give a lease back.",
      { fixed: "leases are not supported" },
    ],
  ]),
  ...rows("features/selinux", [
    ["features.selinux", onOff, "off", "Bricks keep clients' SELinux labels under another name.", {
      option: "!selinux",
      supplied: true,
      hidden: true,
      fixed: "there is no such layer on bricks",
    }],
  ]),
  ...rows("features/sdfs", [
    ["features.sdfs", onOff, "off", "Bricks do changes of one directory one after another.", {
      option: "!sdfs",
      supplied: true,
      hidden: true,
      fixed: "there is no such layer on bricks",
    }],
  ]),
  ...rows("features/cloudsync", [
    ["features.cloudsync", onOff, "off", "Files may be kept in a cloud.", {
      supplied: true,
      hidden: true,
      fixed: "clouds are not supported",
    }],
    ["features.cloudsync-storetype", anyText, NONE, "Which cloud.", {
      fixed: "clouds are not supported",
    }],
    ["features.s3plugin-seckey", anyText, NONE, "Secret of the cloud's account.", {
      hidden: true,
      unlisted: true,
      fixed: "clouds are not supported",
    }],
    ["features.s3plugin-keyid", anyText, NONE, "Name of the cloud's account.", {
      hidden: true,
      unlisted: true,
      fixed: "clouds are not supported",
    }],
    ["features.s3plugin-bucketid", anyText, NONE, "Place in the cloud.", {
      hidden: true,
      unlisted: true,
      fixed: "clouds are not supported",
    }],
    ["features.s3plugin-hostname", anyText, NONE, "Host of the cloud.", {
      hidden: true,
      unlisted: true,
      fixed: "clouds are not supported",
    }],
    [
      "features.cloudsync-remote-read",
      onOff,
      "off",
      "Files are read in the cloud, not fetched first.",
      { supplied: true, helpShown: "(null)", fixed: "clouds are not supported" },
    ],
    ["features.cloudsync-store-id", anyText, NONE, "Store in the cloud.", {
      fixed: "clouds are not supported",
    }],
    ["features.cloudsync-product-id", anyText, NONE, "Product that keeps the files.", {
      fixed: "clouds are not supported",
    }],
  ]),
  ...rows(undefined, NFS.map(nfsRow)),
];
