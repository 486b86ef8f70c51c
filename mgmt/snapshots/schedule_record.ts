/** A schedule of snapshots, as a value in the store. */

import { count, fields, text } from "mgmt/records.ts";
import { yes } from "mgmt/snapshots/snapshot_record.ts";

/** Snapshots of a volume that are taken at times of the calendar. */
export interface ScheduleRecord {
  readonly volume: string;
  /** What its snapshots' names begin with; no other schedule has it. */
  readonly prefix: string;
  /** See `Calendar`. */
  readonly when: string;
  /** Time zone of that. */
  readonly zone: string;
  /** The newest that many stay; absent: as many as there are. */
  readonly keep?: number;
  /** They stay that long. Seconds; absent: for ever. */
  readonly keepFor?: number;
  /** Although bricks are down. */
  readonly force: boolean;
  /** Milliseconds since 1970, as all times here. */
  readonly addedAt: number;
  /** What was due until then was done, or given up; absent: nothing was due yet. */
  readonly doneUntil?: number;
  /** The newest that it took. */
  readonly last?: { readonly at: number; readonly snapshot: string };
  /** What went wrong when it was tried last; absent: nothing. */
  readonly failed?: { readonly at: number; readonly why: string };
}

/** Keys in the store. */
export const SCHEDULE_KEYS = {
  schedule: (prefix: string) => `snapshot-schedule/${prefix}`,
  schedules: "snapshot-schedule/",
} as const;

/** The schedule that `value` spells. Throws RangeError naming the field that is not right. */
export function scheduleRecord(value: unknown): ScheduleRecord {
  const at = fields(value, "schedule");
  const number = (name: "keep" | "keepFor" | "doneUntil") =>
    at[name] === undefined ? {} : { [name]: count(at, name) };
  return {
    volume: text(at, "volume"),
    prefix: text(at, "prefix"),
    when: text(at, "when"),
    zone: text(at, "zone"),
    ...number("keep"),
    ...number("keepFor"),
    force: yes(at, "force"),
    addedAt: count(at, "addedAt"),
    ...number("doneUntil"),
    ...at["last"] === undefined ? {} : { last: lastOf(at["last"]) },
    ...at["failed"] === undefined ? {} : { failed: failedOf(at["failed"]) },
  };
}

function lastOf(value: unknown) {
  const at = fields(value, "last");
  return { at: count(at, "at"), snapshot: text(at, "snapshot") };
}

function failedOf(value: unknown) {
  const at = fields(value, "failed");
  return { at: count(at, "at"), why: text(at, "why") };
}

/** Reads a schedule's record as its users will. Throws RangeError. */
export function checkScheduleRecord(key: string, value: unknown): void {
  const { prefix } = scheduleRecord(value);
  if (SCHEDULE_KEYS.schedule(prefix) !== key) throw new RangeError(`it is schedule "${prefix}"`);
}
