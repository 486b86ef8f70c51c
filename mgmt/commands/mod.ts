/** The table of the commands that the management daemon carries out. */

import type { ManagedCommand } from "mgmt/cli/managed.ts";
import { getState } from "mgmt/commands/get_state.ts";
import { peerProbe } from "mgmt/commands/peer_probe.ts";
import { peerStatus } from "mgmt/commands/peer_status.ts";
import { poolList } from "mgmt/commands/pool_list.ts";
import { snapshotActivate, snapshotDeactivate } from "mgmt/commands/snapshot_activate.ts";
import { snapshotClone } from "mgmt/commands/snapshot_clone.ts";
import { snapshotConfig } from "mgmt/commands/snapshot_config.ts";
import { snapshotCreate } from "mgmt/commands/snapshot_create.ts";
import { snapshotDelete } from "mgmt/commands/snapshot_delete.ts";
import { snapshotDiff } from "mgmt/commands/snapshot_diff.ts";
import { snapshotInfo } from "mgmt/commands/snapshot_info.ts";
import { snapshotList } from "mgmt/commands/snapshot_list.ts";
import { snapshotReceived } from "mgmt/commands/snapshot_received.ts";
import { snapshotRestore } from "mgmt/commands/snapshot_restore.ts";
import {
  snapshotScheduleAdd,
  snapshotScheduleList,
  snapshotScheduleRemove,
} from "mgmt/commands/snapshot_schedule.ts";
import { snapshotStatus } from "mgmt/commands/snapshot_status.ts";
import { systemUuidGet } from "mgmt/commands/system_uuid_get.ts";
import { systemGetspec } from "mgmt/commands/system_getspec.ts";
import { volumeCreate } from "mgmt/commands/volume_create.ts";
import { volumeDelete } from "mgmt/commands/volume_delete.ts";
import { volumeFlatten } from "mgmt/commands/volume_flatten.ts";
import { volumeGet } from "mgmt/commands/volume_get.ts";
import { volumeGraph } from "mgmt/commands/volume_graph.ts";
import { volumeInfo } from "mgmt/commands/volume_info.ts";
import { volumeList } from "mgmt/commands/volume_list.ts";
import { volumeReset } from "mgmt/commands/volume_reset.ts";
import { volumeSet } from "mgmt/commands/volume_set.ts";
import { volumeSetHelp, volumeSetHelpXml } from "mgmt/commands/volume_set_help.ts";
import { volumeNbd } from "mgmt/commands/volume_nbd.ts";
import { volumeHeal } from "mgmt/commands/volume_heal.ts";
import { volumeLog, volumeLogRotate } from "mgmt/commands/volume_log_rotate.ts";
import { volumeStart } from "mgmt/commands/volume_start.ts";
import { volumeStatus } from "mgmt/commands/volume_status.ts";
import { volumeStop } from "mgmt/commands/volume_stop.ts";
import { volumeSync } from "mgmt/commands/volume_sync.ts";
import { volumeBarrier } from "mgmt/commands/volume_barrier.ts";
import { volumeClearLocks } from "mgmt/commands/volume_clear_locks.ts";
import { volumeProfile } from "mgmt/commands/volume_profile.ts";
import { volumeStatedump } from "mgmt/commands/volume_statedump.ts";
import { volumeTop } from "mgmt/commands/volume_top.ts";

/** All of them, in the order that help shows. */
export const MANAGED: readonly ManagedCommand[] = [
  volumeCreate,
  volumeStart,
  volumeStop,
  volumeDelete,
  volumeFlatten,
  volumeInfo,
  volumeStatus,
  volumeList,
  volumeSet,
  volumeSetHelp,
  volumeSetHelpXml,
  volumeGet,
  volumeReset,
  volumeSync,
  volumeLogRotate,
  volumeLog,
  volumeProfile,
  volumeTop,
  volumeGraph,
  volumeStatedump,
  volumeClearLocks,
  volumeHeal,
  volumeNbd,
  volumeBarrier,
  snapshotCreate,
  snapshotList,
  snapshotInfo,
  snapshotStatus,
  snapshotActivate,
  snapshotDeactivate,
  snapshotDelete,
  snapshotDiff,
  snapshotClone,
  snapshotRestore,
  snapshotReceived,
  snapshotConfig,
  snapshotScheduleAdd,
  snapshotScheduleList,
  snapshotScheduleRemove,
  peerProbe,
  peerStatus,
  poolList,
  systemGetspec,
  systemUuidGet,
  getState,
];
