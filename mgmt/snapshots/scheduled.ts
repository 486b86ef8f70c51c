/**
 * Takes snapshots when they are due, and removes those that a schedule keeps no longer. It looks at
 * every full minute by the wall clock, so that a clock that was set is noticed; a failure is tried
 * again a few times, a minute apart, then given up until the next time that is due.
 *
 * Only after a snapshot was taken older ones go: who takes none any more loses none. A daemon that
 * dies after it took one, and before it noted that, finds it by its time.
 */

import type { Timer } from "core/env.ts";
import { Refusal } from "mgmt/cli/managed.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";
import type { CommandLocks } from "mgmt/command_locks.ts";
import { plain } from "mgmt/plain.ts";
import { stampedName } from "mgmt/snapshots/names.ts";
import type { ScheduleRecord } from "mgmt/snapshots/schedule_record.ts";
import { dueAt, isAhead } from "mgmt/snapshots/schedules.ts";
import type { SnapshotRecord } from "mgmt/snapshots/snapshot_record.ts";
import { checkLimit, checkStarted, takeSnapshot } from "mgmt/snapshots/take.ts";

const MINUTE_MS = 60_000;
/** How often one snapshot is tried. */
const TRIES = 5;

/** See the head of this file. */
export class ScheduledSnapshots {
  readonly #cluster: Cluster;
  readonly #locks: CommandLocks;
  #timer: Timer | undefined;
  #looking: Promise<void> = Promise.resolve();
  #stopped = false;
  /** How often what is due now was tried, by prefix. */
  #tries = new Map<string, number>();

  constructor(cluster: Cluster, locks: CommandLocks) {
    this.#cluster = cluster;
    this.#locks = locks;
  }

  start(): void {
    const { clock } = this.#cluster.env;
    const left = MINUTE_MS - clock.now() % MINUTE_MS;
    this.#timer = clock.after(left, () => {
      this.#looking = this.look().finally(() => {
        if (!this.#stopped) this.start();
      });
    });
  }

  /** Resolves when nothing is under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await this.#looking;
  }

  /** Takes what is due now, one after the other. Never throws. */
  async look(): Promise<void> {
    const { env: { clock, log }, schedules } = this.#cluster;
    try {
      for (const schedule of await schedules.all()) {
        if (this.#stopped) return;
        const now = Math.floor(clock.now()), due = dueAt(schedule, now);
        if (isAhead(schedule, now)) {
          await schedules.note(schedule, (before) => ({ ...before, doneUntil: now }));
        } else if (due !== undefined && due <= now) await this.#take(schedule, due);
      }
    } catch (error) {
      log.error("schedules of snapshots cannot be followed", { why: plain(error) });
    }
  }

  async #take(schedule: ScheduleRecord, due: number): Promise<void> {
    const { env: { clock, log }, schedules } = this.#cluster, { prefix, volume } = schedule;
    try {
      using _held = await this.#locks.take(volume, `snapshot schedule ${prefix}`);
      const { name, createdAt } = await this.#taken(schedule, due);
      this.#tries.delete(prefix);
      const doneUntil = Math.max(due, Math.floor(clock.now()));
      await schedules.note(schedule, ({ failed: _, ...before }) => ({
        ...before,
        doneUntil,
        last: { at: createdAt, snapshot: name },
      }));
      await this.#removeOld(schedule);
    } catch (error) {
      const why = plain(error), tries = (this.#tries.get(prefix) ?? 0) + 1;
      const next = tries < TRIES ? "in a minute" : "when it is due again";
      log.error("scheduled snapshot was not taken", { volume, schedule: prefix, why, next });
      const at = Math.floor(clock.now());
      const done = tries < TRIES ? {} : { doneUntil: Math.max(due, at) };
      if (tries < TRIES) this.#tries.set(prefix, tries);
      else this.#tries.delete(prefix);
      await schedules.note(schedule, (before) => ({ ...before, ...done, failed: { at, why } }));
    }
  }

  // The snapshot that was due then.
  async #taken({ prefix, volume: name, force }: ScheduleRecord, due: number) {
    const { env: { clock }, snapshots } = this.#cluster;
    const before = (await snapshots.of(name)).filter((each) => each.schedule === prefix).at(-1);
    if (before && before.createdAt >= due && before.createdAt <= clock.now()) return before;
    const volume = await this.#cluster.volume(name);
    checkStarted(volume);
    await checkLimit(this.#cluster, name);
    const stamped = stampedName(prefix, clock.now());
    const wanted = { name: stamped, schedule: prefix, force };
    const { made, missing } = await takeSnapshot(this.#cluster, volume, wanted);
    this.#cluster.env.log.info("scheduled snapshot taken", {
      ...{ snapshot: made.name, volume: name },
      ...missing.length ? { missing: missing.join(",") } : {},
    });
    return made;
  }

  async #removeOld(schedule: ScheduleRecord): Promise<void> {
    const { env: { clock, log }, snapshots } = this.#cluster;
    const volume = await this.#cluster.volume(schedule.volume);
    for (const old of outdated(schedule, await snapshots.of(volume.name), clock.now())) {
      try {
        await snapshots.remove(volume, old);
        log.info("snapshot is not kept any longer", {
          snapshot: old.name,
          schedule: schedule.prefix,
        });
      } catch (error) {
        // What it says is about this one only: the next time tries again.
        if (!(error instanceof Refusal)) throw error;
        log.warn("old snapshot stays for now", { snapshot: old.name, why: error.message });
      }
    }
  }
}

/** Those of a volume's snapshots, oldest first, that the schedule took and keeps no longer; never the newest. */
export function outdated(
  { prefix, keep = Infinity, keepFor = Infinity }: ScheduleRecord,
  snapshots: readonly SnapshotRecord[],
  now: number,
): SnapshotRecord[] {
  const own = snapshots.filter((each) => each.schedule === prefix);
  return own.filter(({ createdAt }, index) => {
    const newer = own.length - 1 - index;
    return newer > 0 && (newer >= keep || now - createdAt > keepFor * 1000);
  });
}
