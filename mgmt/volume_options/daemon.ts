/** Options of the daemon itself, of all volumes or one, and those that change nothing any more. */

import {
  anyText,
  bytes,
  NONE,
  onOff,
  rows,
  share,
  whole,
  words,
} from "mgmt/volume_options/rows.ts";
import type { VolumeOption } from "mgmt/volume_options/volume_option.ts";

const KB = 1024;
const GB = 1024 ** 3;

const LOG_LEVEL = words("DEBUG", "WARNING", "ERROR", "INFO", "CRITICAL", "NONE", "TRACE");

/** See the head of this file. */
export const DAEMON: readonly VolumeOption[] = [
  ...rows(undefined, [
    ["performance.nfs.flush-behind", onOff, "on", "performance.flush-behind for NFS.", {
      places: [],
    }],
    [
      "performance.nfs.write-behind-window-size",
      bytes(512 * KB, 1 * GB),
      "1MB",
      "performance.write-behind-window-size for NFS.",
      { places: [] },
    ],
    ["performance.nfs.strict-o-direct", onOff, "off", "performance.strict-o-direct for NFS.", {
      places: [],
    }],
    [
      "performance.nfs.strict-write-ordering",
      onOff,
      "off",
      "performance.strict-write-ordering for NFS.",
      { places: [] },
    ],
    [
      "performance.nfs.write-behind-trickling-writes",
      onOff,
      "on",
      "performance.write-behind-trickling-writes for NFS.",
      { places: [] },
    ],
    ["performance.nfs.write-behind", onOff, "on", "write-behind for NFS.", {
      supplied: true,
      places: [],
    }],
    ["performance.nfs.read-ahead", onOff, "off", "read-ahead for NFS.", {
      supplied: true,
      hidden: true,
      places: [],
    }],
    ["performance.nfs.io-cache", onOff, "off", "io-cache for NFS.", {
      supplied: true,
      hidden: true,
      places: [],
    }],
    ["performance.nfs.quick-read", onOff, "off", "quick-read for NFS.", {
      supplied: true,
      hidden: true,
      places: [],
    }],
    ["performance.nfs.stat-prefetch", onOff, "off", "md-cache for NFS.", {
      supplied: true,
      hidden: true,
      places: [],
    }],
    ["performance.nfs.io-threads", onOff, "off", "io-threads for NFS.", {
      supplied: true,
      hidden: true,
      places: [],
    }],
    ["nfs.disable", onOff, "on", "GlusterFS's old NFS server does not serve the volume.", {
      supplied: true,
      hidden: true,
      fixed: "the old NFS server is not supported",
    }],
    ["config.memory-accounting", anyText, NONE, "Kept for old scripts; does nothing.", {
      hidden: true,
      unlisted: true,
    }],
    ["config.transport", words("tcp"), "tcp", "What bricks are reached by.", {
      supplied: true,
      hidden: true,
      unlisted: true,
      fixed: "only TCP is supported",
    }],
    ["config.gfproxyd", onOff, "off", "A daemon on the servers does the clients' part.", {
      supplied: true,
      fixed: "features.proxy is what serves clients by a proxy here",
    }],
    [
      "cluster.server-quorum-type",
      words("none", "server", "off"),
      "off",
      "Whether bricks go down when too few nodes see each other.",
      { supplied: true, helpShown: "none" },
    ],
    [
      "cluster.server-quorum-ratio",
      share,
      "51",
      "Share of the nodes that must see each other; more than half if not set.",
      { supplied: true, helpShown: "(null)", global: true },
    ],
    [
      "cluster.enable-shared-storage",
      onOff,
      "disable",
      "A volume for the nodes' own use exists and is mounted on all of them.",
      { supplied: true, global: true, fixed: "shared storage is not supported" },
    ],
    [
      "cluster.op-version",
      whole(0),
      "100000",
      "Version of GlusterFS whose features the cluster uses.",
      { supplied: true, hidden: true, unlisted: true, global: true },
    ],
    ["cluster.max-op-version", whole(0), "100000", "Highest such version that all nodes can.", {
      supplied: true,
      hidden: true,
      unlisted: true,
      global: true,
      fixed: "the daemon finds it out",
    }],
    ["ganesha.enable", onOff, "off", "The volume is served by NFS-Ganesha.", {
      supplied: true,
      hidden: true,
      fixed: "NFS-Ganesha is not driven by this daemon",
    }],
    ["cluster.brick-multiplex", onOff, "disable", "Bricks of a node share a process.", {
      supplied: true,
      global: true,
      fixed: "the sharing of bricks in one process is not supported",
    }],
    ["cluster.max-bricks-per-process", whole(0), "250", "Bricks that share a process.", {
      supplied: true,
      global: true,
      fixed: "the sharing of bricks in one process is not supported",
    }],
    [
      "glusterd.vol_count_per_thread",
      whole(0),
      "100",
      "Volumes that one thread compares when a node joins.",
      {
        supplied: true,
        hidden: true,
        global: true,
        fixed: "the sharing of bricks in one process is not supported",
      },
    ],
    ["cluster.localtime-logging", onOff, "disable", "Times in logs are local.", {
      hidden: true,
      unlisted: true,
      global: true,
      fixed: "logs have UTC",
    }],
    ["cluster.daemon-log-level", LOG_LEVEL, "INFO", "What the daemons log.", {
      supplied: true,
      hidden: true,
      global: true,
      fixed: "the daemon is started with --log-level",
    }],
    [
      "cluster.brick-graceful-cleanup",
      onOff,
      "disable",
      "Bricks of a shared process are stopped in good order.",
      {
        supplied: true,
        hidden: true,
        global: true,
        fixed: "the sharing of bricks in one process is not supported",
      },
    ],
  ]),
];
