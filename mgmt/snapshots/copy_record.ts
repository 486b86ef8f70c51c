/** What the management daemon remembers of old states that are on their way to a brick. */

import { count, fields, text } from "mgmt/records.ts";
import type { CopyPlace } from "mgmt/snapshots/copy_history.ts";

/** A brick that gets its snapshots from another copy. */
export interface CopyRecord {
  readonly volume: string;
  /** Bricks, by `BrickRecord.clientName`. */
  readonly to: string;
  readonly from: string;
  /** Of the reader that both have for it. */
  readonly id: string;
  readonly epoch: number;
  /** Absent: nothing was brought yet. */
  readonly place?: CopyPlace;
}

/** Keys in the store. */
export const COPY_KEYS = {
  copy: (volume: string, to: string) => `snapshot-copy/${volume}/${to}`,
  copies: "snapshot-copy/",
} as const;

/** The record that `value` spells. Throws RangeError naming the field that is not right. */
export function copyRecord(value: unknown): CopyRecord {
  const at = fields(value, "copy of snapshots");
  return {
    ...{ volume: text(at, "volume"), to: text(at, "to"), from: text(at, "from") },
    ...{ id: text(at, "id"), epoch: count(at, "epoch") },
    ...at["place"] === undefined ? {} : { place: copyPlace(at["place"]) },
  };
}

function copyPlace(value: unknown): CopyPlace {
  const at = fields(value, "place");
  return {
    ...{ compared: at["compared"] === true },
    // Texts of records are not empty.
    after: at["after"] === "" ? "" : text(at, "after"),
    ...{ done: count(at, "done"), total: count(at, "total") },
  };
}

/** Reads a record as its users will. Throws RangeError. */
export function checkCopyRecord(key: string, value: unknown): void {
  const { volume, to } = copyRecord(value);
  if (COPY_KEYS.copy(volume, to) !== key) throw new RangeError(`it is of ${volume}, ${to}`);
}
