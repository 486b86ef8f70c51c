/** What a store may hold: a store with anything else is not one that we wrote. */

import type { Json } from "core/xlator.ts";
import { KEYS, nodeRecord, optionsRecord, volumeRecord } from "mgmt/records.ts";
import { checkExportRecord, EXPORT_KEYS } from "mgmt/nbd/kept_exports.ts";
import { checkCopyRecord, COPY_KEYS } from "mgmt/snapshots/copy_record.ts";
import { RECEIVED_KEYS, receivedRecord } from "mgmt/snapshots/received.ts";
import { RESTORE_KEYS, restoreRecord } from "mgmt/snapshots/restore_volume.ts";
import { checkScheduleRecord, SCHEDULE_KEYS } from "mgmt/snapshots/schedule_record.ts";
import { checkSnapshotRecord } from "mgmt/snapshots/snapshot_record.ts";
import type { Entry } from "mgmt/store/store.ts";

/** Reads a record as its users will. Throws RangeError naming the key. */
export function checkRecord({ key, value }: Entry): void {
  try {
    if (key === KEYS.node) nodeRecord(value);
    else if (key === KEYS.options) optionsRecord(value);
    else if (key.startsWith(KEYS.volumes)) checkVolume(key, value);
    else if (key.startsWith(SCHEDULE_KEYS.schedules)) checkScheduleRecord(key, value);
    else if (key.startsWith(RESTORE_KEYS.restores)) restoreRecord(value);
    else if (key.startsWith(RECEIVED_KEYS.all)) receivedRecord(value);
    else if (key.startsWith(COPY_KEYS.copies)) checkCopyRecord(key, value);
    else if (key.startsWith(EXPORT_KEYS.exports)) checkExportRecord(key, value);
    else checkSnapshotRecord(key, value);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new RangeError(`record "${key}": ${error.message}`);
  }
}

function checkVolume(key: string, value: Json): void {
  const { name } = volumeRecord(value);
  if (KEYS.volume(name) !== key) throw new RangeError(`it is of the volume "${name}"`);
}
