/**
 * Snapshots of volumes: their records, and bricks that follow them. A record in the store is the
 * truth. Before the first brick takes a snapshot its record is there as `creating`: a daemon that
 * finds such a one undoes it. Whoever goes leaves a record of the bricks that still have to forget it.
 */

import type { Env } from "core/env.ts";
import type { HistoryReader, HistoryUsage } from "core/history_orders.ts";
import type { Json } from "core/xlator.ts";
import type { Bricks } from "mgmt/bricks/bricks.ts";
import { Refusal } from "mgmt/cli/managed.ts";
import { plain } from "mgmt/plain.ts";
import { brickText, type VolumeRecord } from "mgmt/records.ts";
import { takeAtOnce } from "mgmt/snapshots/create.ts";
import { HistoryBrick, isPassed, OrderFailed } from "mgmt/snapshots/history_brick.ts";
import { SNAPSHOT_ERRNO } from "mgmt/snapshots/names.ts";
import {
  type RemovalRecord,
  removalRecord,
  SNAPSHOT_KEYS,
  type SnapshotFile,
  type SnapshotRecord,
  snapshotRecord,
  type SnapshotSettings,
  snapshotSettings,
  type VolumeHistoryRecord,
  volumeHistoryRecord,
} from "mgmt/snapshots/snapshot_record.ts";
import type { Store, Transaction } from "mgmt/store/store.ts";

/** What they are made on. */
export interface SnapshotsParts {
  readonly env: Env;
  readonly store: Store;
  readonly bricks: Pick<Bricks, "ask" | "status">;
}

/** What a new snapshot is to be. */
export interface NewSnapshot {
  readonly name: string;
  readonly description?: string | undefined;
  readonly file?: SnapshotFile | undefined;
  /** Prefix of the schedule that takes it. */
  readonly schedule?: string | undefined;
  /** Id of the snapshot that it is a copy of. */
  readonly origin?: string | undefined;
  /** Bricks that take it; the others miss it. */
  readonly bricks: readonly HistoryBrick[];
}

/** Most snapshots that one transaction, and one order to a brick, takes away. */
const REMOVED_AT_ONCE = 2048;

/** See the head of this file. The only writer of its records, which it keeps in memory. */
export class Snapshots {
  readonly #env: Env;
  readonly #store: Store;
  readonly #asked: SnapshotsParts["bricks"];
  /** Ids of what bricks do not show any more, and are asked to have forgotten on the disk. */
  readonly #settling = new Set<string>();
  /** Percent of the snapshots that are on their way to a brick, by `BrickRecord.clientName`. */
  readonly healing = new Map<string, number>();
  #loading: Promise<Map<string, SnapshotRecord>> | undefined;

  constructor({ env, store, bricks }: SnapshotsParts) {
    this.#env = env;
    this.#store = store;
    this.#asked = bricks;
  }

  /** All, oldest first. */
  async all(): Promise<SnapshotRecord[]> {
    return [...(await this.#known()).values()].filter(isShown).sort(byAge);
  }

  /** Those of a volume, oldest first. */
  async of(volume: string): Promise<SnapshotRecord[]> {
    return (await this.all()).filter((each) => each.volume === volume);
  }

  /** The one of that name; undefined: there is none. */
  async find(name: string): Promise<SnapshotRecord | undefined> {
    const found = (await this.#known()).get(name);
    return found && isShown(found) ? found : undefined;
  }

  /** The one of that id, which views are asked for by; undefined: there is none. */
  async byId(id: string): Promise<SnapshotRecord | undefined> {
    for (const each of (await this.#known()).values()) {
      if (each.id === id && isShown(each)) return each;
    }
    return undefined;
  }

  async settings(): Promise<SnapshotSettings> {
    return snapshotSettings(await this.#store.get(SNAPSHOT_KEYS.settings));
  }

  /** Changes what is set for all volumes. */
  async set(change: Partial<SnapshotSettings>): Promise<void> {
    await this.#store.transact(async (transaction) => {
      const before = snapshotSettings(await transaction.get(SNAPSHOT_KEYS.settings));
      transaction.put(SNAPSHOT_KEYS.settings, { ...before, ...change });
    });
  }

  /** What is remembered of a volume. */
  async history(volume: string): Promise<VolumeHistoryRecord> {
    return volumeHistoryRecord(await this.#store.get(SNAPSHOT_KEYS.history(volume)));
  }

  /** Sets most snapshots of one volume. */
  async setLimit(volume: string, hardLimit: number): Promise<void> {
    await this.#changeHistory(volume, (before) => ({ ...before, hardLimit }));
  }

  async #changeHistory(
    volume: string,
    change: (before: VolumeHistoryRecord) => VolumeHistoryRecord,
  ): Promise<void> {
    const key = SNAPSHOT_KEYS.history(volume);
    await this.#store.transact(async (transaction) => {
      transaction.put(key, { ...change(volumeHistoryRecord(await transaction.get(key))) });
    });
  }

  /** The bricks of a volume. */
  bricks(volume: VolumeRecord): HistoryBrick[] {
    const { clock } = this.#env;
    return volume.bricks.map((brick) => new HistoryBrick(this.#asked, clock, volume, brick));
  }

  /**
   * Takes a snapshot at all of `asked.bricks`, or at none. Throws Refusal: a brick did not, or there
   * is one of that name.
   */
  async create(volume: VolumeRecord, asked: NewSnapshot): Promise<SnapshotRecord> {
    await this.finishRemovals(volume);
    for (let again = false;; again = true) {
      const record = await this.#begin(volume, asked);
      try {
        await takeAtOnce(volume, asked.bricks, readerOf(record), this.#env);
        return await this.#commit(record);
      } catch (error) {
        await this.#undo(volume, record, asked.bricks.map(({ name }) => name));
        if (again || !isPassed(error)) throw notTaken(volume, error);
        await this.#catchUp(volume, asked.bricks);
      }
    }
  }

  async #begin(
    volume: VolumeRecord,
    { name, description, file, schedule, origin, bricks }: NewSnapshot,
  ): Promise<SnapshotRecord> {
    const { activateOnCreate } = await this.settings();
    const taking = new Set(bricks.map((brick) => brick.name));
    const missing = volume.bricks.map(({ clientName }) => clientName)
      .filter((each) => !taking.has(each));
    return await this.#change(async (transaction) => {
      const key = SNAPSHOT_KEYS.history(volume.name);
      const history = volumeHistoryRecord(await transaction.get(key));
      if (await transaction.get(SNAPSHOT_KEYS.snapshot(name)) !== undefined) throw nameTaken(name);
      const record: SnapshotRecord = {
        name,
        id: this.#env.random.uuid(),
        ...description === undefined ? {} : { description },
        volume: volume.name,
        state: "creating",
        active: activateOnCreate && file === undefined,
        epoch: history.epoch + 1,
        createdAt: this.#env.clock.now(),
        missing,
        ...file === undefined ? {} : { file },
        ...schedule === undefined ? {} : { schedule },
        ...origin === undefined ? {} : { origin },
      };
      transaction.put(key, { ...history, epoch: record.epoch });
      return record;
    });
  }

  async #commit(record: SnapshotRecord): Promise<SnapshotRecord> {
    return await this.#change(() => Promise.resolve({ ...record, state: "kept" }));
  }

  // Puts the record that `change` answers, then remembers it.
  async #change(
    change: (transaction: Transaction) => Promise<SnapshotRecord>,
  ): Promise<SnapshotRecord> {
    const known = await this.#known();
    const record = await this.#store.transact(async (transaction) => {
      const made = await change(transaction);
      transaction.put(SNAPSHOT_KEYS.snapshot(made.name), made as unknown as Json);
      return made;
    });
    known.set(record.name, record);
    return record;
  }

  async #undo(volume: VolumeRecord, record: SnapshotRecord, bricks: readonly string[]) {
    await this.#finish(volume, await this.#forget([record], () => bricks));
  }

  // A brick that has seen more than we know, as after an older store was put back.
  async #catchUp(volume: VolumeRecord, bricks: readonly HistoryBrick[]): Promise<void> {
    const states = await Promise.all(bricks.map((brick) => brick.state().catch(() => undefined)));
    const passed = Math.max(0, ...states.map((state) => (state?.epoch ?? 0) - 1));
    this.#env.log.warn("bricks are further than the records", { volume: volume.name, passed });
    await this.#changeHistory(volume.name, (before) => ({
      ...before,
      epoch: Math.max(before.epoch, passed),
    }));
  }

  /** Ends snapshots of a volume. Bricks that are down forget them when they come up. */
  async remove(volume: VolumeRecord, ...records: readonly SnapshotRecord[]): Promise<void> {
    for (let from = 0; from < records.length; from += REMOVED_AT_ONCE) {
      const some = records.slice(from, from + REMOVED_AT_ONCE);
      const removals = await this.#forget(
        some,
        ({ missing }) =>
          volume.bricks.map(({ clientName }) => clientName)
            .filter((name) => !missing.includes(name)),
      );
      await this.#finish(volume, removals);
    }
  }

  // One transaction: the snapshots are gone, and who has to forget them is written down.
  async #forget(
    records: readonly SnapshotRecord[],
    bricksOf: (record: SnapshotRecord) => readonly string[],
  ): Promise<RemovalRecord[]> {
    const known = await this.#known();
    const removals = records.map((record) => {
      return { id: record.id, volume: record.volume, bricks: [...bricksOf(record)] };
    });
    await this.#store.transact((transaction) => {
      for (const { name } of records) transaction.delete(SNAPSHOT_KEYS.snapshot(name));
      for (const removal of removals) {
        transaction.put(SNAPSHOT_KEYS.removal(removal.id), removal);
      }
      return Promise.resolve();
    });
    for (const { name } of records) known.delete(name);
    return removals;
  }

  /** Nobody sees any more what is gone when this resolves; bricks have it on their disks later. */
  async #finish(volume: VolumeRecord, removals: readonly RemovalRecord[]): Promise<void> {
    if (!removals.length) return;
    const shown = await this.#tell(volume, removals);
    const ids = removals.map(({ id }) => id);
    for (const id of ids) this.#settling.add(id);
    this.#settle(volume, removals.map((each) => ({ ...each, bricks: shown })))
      .catch((error) => {
        // The next snapshot of the volume, and a brick that comes up, have it done.
        this.#env.log.warn("removed snapshots stay in the records for now", { why: plain(error) });
      })
      .finally(() => {
        for (const id of ids) this.#settling.delete(id);
      });
  }

  async #settle(volume: VolumeRecord, removals: readonly RemovalRecord[]): Promise<void> {
    const done = await this.#tell(volume, removals);
    await this.#forgotten(removals.map(({ id }) => id), done);
  }

  // Asks bricks to remove, and answers which ones said that they did.
  async #tell(
    volume: VolumeRecord,
    removals: readonly RemovalRecord[],
  ): Promise<readonly string[]> {
    const done = await Promise.all(
      this.bricks(volume).map(async (brick) => {
        const ids = removals.filter(({ bricks }) => bricks.includes(brick.name)).map(({ id }) =>
          id
        );
        if (!ids.length || !brick.isUp) return [];
        try {
          await brick.remove(ids);
          return [brick.name];
        } catch (error) {
          this.#env.log.warn("brick keeps a snapshot that is gone for now", {
            brick: brickText(brick.record),
            why: plain(error),
          });
          return [];
        }
      }),
    );
    return done.flat();
  }

  async #forgotten(ids: readonly string[], done: readonly string[]): Promise<void> {
    await this.#store.transact(async (transaction) => {
      for (const key of ids.map(SNAPSHOT_KEYS.removal)) {
        const value = await transaction.get(key);
        if (value === undefined) continue;
        const removal = removalRecord(value);
        const left = removal.bricks.filter((name) => !done.includes(name));
        if (left.length) transaction.put(key, { ...removal, bricks: left });
        else transaction.delete(key);
      }
    });
  }

  async #removals(volume: string): Promise<RemovalRecord[]> {
    const entries = await this.#store.list(SNAPSHOT_KEYS.removals);
    return entries.map(({ value }) => removalRecord(value)).filter((each) =>
      each.volume === volume
    );
  }

  /** Has bricks forget what is gone. */
  async finishRemovals(volume: VolumeRecord): Promise<void> {
    const removals = await this.#removals(volume.name);
    await this.#finish(volume, removals.filter(({ id }) => !this.#settling.has(id)));
  }

  /**
   * Ends what a clone reads by, at all bricks; those that are down do that when they come up. `later`:
   * all of them, when they sign in.
   */
  async endReader(
    volume: VolumeRecord,
    id: string,
    { later }: { readonly later: boolean },
  ): Promise<void> {
    const removal = await this.#store.transact((transaction) =>
      Promise.resolve(this.noteRemoval(transaction, volume, id))
    );
    if (!later) await this.#finish(volume, [removal]);
  }

  /** All bricks of a volume are to end a reader, as part of a change. */
  noteRemoval(transaction: Transaction, volume: VolumeRecord, id: string): RemovalRecord {
    const bricks = volume.bricks.map(({ clientName }) => clientName);
    transaction.put(SNAPSHOT_KEYS.removal(id), { id, volume: volume.name, bricks });
    return { id, volume: volume.name, bricks };
  }

  /** Lets a snapshot be looked at, or no more. Throws Refusal: a brick that has it does not follow. */
  async setActive(
    volume: VolumeRecord,
    record: SnapshotRecord,
    active: boolean,
  ): Promise<SnapshotRecord> {
    const bricks = this.bricks(volume)
      .filter((brick) => brick.isUp && !record.missing.includes(brick.name));
    // Who looks is refused from the beginning, or let in at the end.
    const changed = { ...record, active };
    if (!active) await this.#change(() => Promise.resolve(changed));
    const outcomes = await Promise.allSettled(
      bricks.map((brick) => brick.update(record.id, { active })),
    );
    const failed = outcomes.find((each) => each.status === "rejected");
    if (failed) throw new Refusal(`Cannot change snapshot ${record.name}: ${plain(failed.reason)}`);
    return active ? await this.#change(() => Promise.resolve(changed)) : changed;
  }

  /**
   * Room that old states take at each brick, by `BrickRecord.clientName`, or why the brick cannot use
   * its history; those that do not answer are not there.
   */
  async usage(volume: VolumeRecord): Promise<ReadonlyMap<string, HistoryUsage | string>> {
    const told = await Promise.all(
      this.bricks(volume).filter(({ isUp }) => isUp).map(async (brick) => {
        try {
          return [[brick.name, await brick.usage()] as const];
        } catch (error) {
          if (error instanceof OrderFailed && error.errno) {
            return [[brick.name, error.why] as const];
          }
          this.#env.log.warn("brick does not tell of its history", {
            brick: brickText(brick.record),
            why: plain(error),
          });
          return [];
        }
      }),
    );
    return new Map<string, HistoryUsage | string>(told.flat());
  }

  /** Undoes what a crash left half done; bricks hear of it when they come up. Before anything else. */
  async recover(volumes: readonly VolumeRecord[]): Promise<void> {
    const byName = new Map(volumes.map((volume) => [volume.name, volume]));
    for (const record of (await this.#known()).values()) {
      if (isShown(record)) continue;
      this.#env.log.warn("snapshot was only half taken: undone", { snapshot: record.name });
      const missing = new Set(record.missing);
      const bricks = byName.get(record.volume)?.bricks.map(({ clientName }) => clientName) ?? [];
      await this.#forget([record], () => bricks.filter((name) => !missing.has(name)));
    }
  }

  /** A brick came up: it forgets what is gone, and what it should have and has not is noted. */
  async reconcile(volume: VolumeRecord, clientName: string): Promise<void> {
    const brick = this.bricks(volume).find(({ name }) => name === clientName);
    const wanted = (await this.of(volume.name)).filter(({ missing }) =>
      !missing.includes(clientName)
    );
    const removals = (await this.#removals(volume.name)).filter(({ bricks }) =>
      bricks.includes(clientName)
    );
    // Nothing was ever taken: not even a question.
    if (!brick || (!wanted.length && !removals.length)) return;
    const named = { volume: volume.name, brick: brickText(brick.record) };
    const { trouble, readers } = await brick.state();
    if (trouble !== "") {
      this.#env.log.error("brick cannot use its history", { ...named, why: trouble });
      return;
    }
    if (removals.length) {
      const ids = removals.map(({ id }) => id);
      // The second answer comes when it is on the disk.
      await brick.remove(ids);
      await brick.remove(ids);
      await this.#forgotten(ids, [clientName]);
    }
    const has = new Map(readers.map((reader) => [reader.id, reader]));
    for (const record of wanted) {
      const reader = has.get(record.id);
      if (!reader) {
        this.#env.log.error("brick has lost a snapshot", { ...named, snapshot: record.name });
        await this.#miss(record, clientName);
      } else if (reader.active !== record.active || reader.name !== record.name) {
        await brick.update(record.id, { active: record.active, name: record.name });
      }
    }
  }

  /** A brick that missed snapshots has those with these ids. */
  async found(volume: VolumeRecord, clientName: string, ids: readonly string[]): Promise<void> {
    for (const record of await this.of(volume.name)) {
      if (!record.missing.includes(clientName) || !ids.includes(record.id)) continue;
      const missing = record.missing.filter((name) => name !== clientName);
      await this.#change(() => Promise.resolve({ ...record, missing }));
    }
  }

  // It may have gone meanwhile.
  async #miss({ name, id }: SnapshotRecord, clientName: string): Promise<void> {
    const known = await this.#known(), now = known.get(name);
    if (now?.id !== id || now.missing.includes(clientName)) return;
    await this.#change(() => Promise.resolve({ ...now, missing: [...now.missing, clientName] }));
  }

  /** A volume is gone, that had no snapshots left. */
  async forgetVolume(volume: string): Promise<void> {
    const removals = await this.#removals(volume);
    await this.#store.transact((transaction) => {
      transaction.delete(SNAPSHOT_KEYS.history(volume));
      for (const { id } of removals) transaction.delete(SNAPSHOT_KEYS.removal(id));
      return Promise.resolve();
    });
  }

  #known(): Promise<Map<string, SnapshotRecord>> {
    return this.#loading ??= this.#load();
  }

  async #load(): Promise<Map<string, SnapshotRecord>> {
    const entries = await this.#store.list(SNAPSHOT_KEYS.snapshots);
    const records = entries.map(({ value }) => snapshotRecord(value));
    return new Map(records.map((record) => [record.name, record]));
  }
}

function isShown({ state }: SnapshotRecord): boolean {
  return state === "kept";
}

function byAge(one: SnapshotRecord, other: SnapshotRecord): number {
  return one.createdAt - other.createdAt || one.epoch - other.epoch;
}

function readerOf({ id, name, file, epoch, createdAt, active }: SnapshotRecord): HistoryReader {
  return { id, name, kind: "snapshot", file: file?.gfid, epoch, created: createdAt, active };
}

function nameTaken(name: string): Refusal {
  return new Refusal(`Snapshot ${name} already exists`, SNAPSHOT_ERRNO.exists);
}

function notTaken(volume: VolumeRecord, error: unknown): Error {
  if (error instanceof Refusal) return error;
  return new Refusal(
    `Volume ${volume.name} was not snapshotted, and nothing was changed: ${plain(error)}`,
  );
}
