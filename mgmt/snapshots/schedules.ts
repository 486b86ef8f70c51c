/** Schedules of snapshots: their records, and which of them are due. Who takes them: `scheduled.ts`. */

import type { Env } from "core/env.ts";
import type { Json } from "core/xlator.ts";
import { Refusal } from "mgmt/cli/managed.ts";
import { Calendar } from "mgmt/snapshots/calendar.ts";
import {
  SCHEDULE_KEYS,
  type ScheduleRecord,
  scheduleRecord,
} from "mgmt/snapshots/schedule_record.ts";
import type { Store } from "mgmt/store/store.ts";

/** A clock that is set back by less does not make anything due again; by more, it begins anew. */
const SET_BACK_MS = 24 * 3_600_000;

/** See the head of this file. */
export class Schedules {
  readonly #store: Store;
  readonly #env: Pick<Env, "clock">;

  constructor({ store, env }: { readonly store: Store; readonly env: Pick<Env, "clock"> }) {
    this.#store = store;
    this.#env = env;
  }

  /** By prefix. */
  async all(): Promise<ScheduleRecord[]> {
    const entries = await this.#store.list(SCHEDULE_KEYS.schedules);
    return entries.map(({ value }) => scheduleRecord(value));
  }

  /** Throws Refusal: there is one of that prefix. */
  async add(asked: Omit<ScheduleRecord, "addedAt">): Promise<ScheduleRecord> {
    const record = { ...asked, addedAt: Math.floor(this.#env.clock.now()) };
    await this.#store.transact(async (transaction) => {
      const key = SCHEDULE_KEYS.schedule(record.prefix);
      const there = await transaction.get(key);
      if (there !== undefined) throw prefixTaken(scheduleRecord(there));
      transaction.put(key, record as unknown as Json);
    });
    return record;
  }

  /** Throws Refusal: there is none. Snapshots that it took stay. */
  async remove(volume: string, prefix: string): Promise<void> {
    await this.#store.transact(async (transaction) => {
      const key = SCHEDULE_KEYS.schedule(prefix);
      const there = await transaction.get(key);
      if (there === undefined || scheduleRecord(there).volume !== volume) {
        throw new Refusal(
          `Volume ${volume} has no schedule "${prefix}"; "mortar snapshot schedule list" names all`,
        );
      }
      transaction.delete(key);
    });
  }

  /** Notes what came of one; it may have gone meanwhile. */
  async note(
    { prefix, addedAt }: ScheduleRecord,
    change: (now: ScheduleRecord) => ScheduleRecord,
  ): Promise<void> {
    await this.#store.transact(async (transaction) => {
      const key = SCHEDULE_KEYS.schedule(prefix), there = await transaction.get(key);
      if (there === undefined) return;
      const now = scheduleRecord(there);
      if (now.addedAt === addedAt) transaction.put(key, change(now) as unknown as Json);
    });
  }

  /** A volume is gone. */
  async forgetVolume(volume: string): Promise<void> {
    for (const { prefix } of (await this.all()).filter((each) => each.volume === volume)) {
      await this.remove(volume, prefix);
    }
  }
}

/**
 * When a schedule is due next, or since when it is; undefined: never again. However many times were
 * missed while no daemon ran, they are one. `now`: milliseconds since 1970.
 */
export function dueAt(schedule: ScheduleRecord, now: number): number | undefined {
  const { when, zone, addedAt, doneUntil } = schedule;
  const since = isAhead(schedule, now) ? now : doneUntil ?? addedAt;
  return new Calendar(when, zone).next(since);
}

/** Whether it was followed last by a clock that was far ahead: it begins anew. */
export function isAhead({ addedAt, doneUntil }: ScheduleRecord, now: number): boolean {
  return (doneUntil ?? addedAt) > now + SET_BACK_MS;
}

function prefixTaken({ prefix, volume }: ScheduleRecord): Refusal {
  return new Refusal(
    `There is a schedule "${prefix}" already, of volume ${volume}; choose another prefix, or ` +
      `remove that one first: mortar snapshot schedule remove ${volume} ${prefix}`,
  );
}
