/**
 * Snapshots that a brick misses come from another copy, by themselves, once its files are healed: a
 * brick that was replaced, or was down when they were taken. Until all are there they are missing.
 *
 * Both bricks begin a reader at one moment, in which nothing is under way and nothing is left to heal;
 * then `copy_history.ts` works, and whoever dies goes on from what is written down. A brick that has
 * snapshots that the other copy does not have is left alone: none may be lost.
 */

import type { Timer } from "core/env.ts";
import { EAGAIN, ESTALE, type FopError } from "core/errno.ts";
import type { HistoryReader } from "core/history_orders.ts";
import type { Json } from "core/xlator.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";
import type { CommandLocks } from "mgmt/command_locks.ts";
import { plain } from "mgmt/plain.ts";
import { type BrickRecord, brickText, isArbiter, type VolumeRecord } from "mgmt/records.ts";
import { copiesAt } from "mgmt/snapshots/copies_at.ts";
import { copyHistory } from "mgmt/snapshots/copy_history.ts";
import { COPY_KEYS, type CopyRecord, copyRecord } from "mgmt/snapshots/copy_record.ts";
import { setsOf, takeAtOnce } from "mgmt/snapshots/create.ts";
import { type HistoryBrick, OrderFailed } from "mgmt/snapshots/history_brick.ts";
import { SNAPSHOT_KEYS, volumeHistoryRecord } from "mgmt/snapshots/snapshot_record.ts";

/** Between two looks: longer each time that one came to nothing. */
const LOOK_MS = 2000, LOOK_MAX_MS = 300_000;
/** What marks of one copy say of another one. */
const PENDING = "trusted.afr.";

/** It cannot begin yet. */
class NotYet extends Error {
  override readonly name = "NotYet";
}

/** See the head of this file. */
export class HistoryHeals {
  readonly #cluster: Cluster;
  readonly #locks: CommandLocks;
  #timer: Timer | undefined;
  #pause = LOOK_MS;
  #working: Promise<void> | undefined;
  #again = false;
  readonly #stopped = new AbortController();
  /** What was said last of each brick. */
  #said = new Map<string, string>();

  constructor(cluster: Cluster, locks: CommandLocks) {
    this.#cluster = cluster;
    this.#locks = locks;
  }

  /** Resolves when nothing is under way. */
  async stop(): Promise<void> {
    this.#stopped.abort(new NotYet("the daemon ends"));
    this.#timer?.cancel();
    await this.#working;
  }

  /** A brick came up, or the daemon: it is looked what is missing. */
  wake(): void {
    this.#pause = LOOK_MS;
    this.#look();
  }

  #look(): void {
    if (this.#stopped.signal.aborted) return;
    this.#timer?.cancel();
    this.#again = this.#working !== undefined;
    this.#working ??= this.#healAll().then((left) => {
      this.#working = undefined;
      if (this.#again) return this.#look();
      if (!left || this.#stopped.signal.aborted) return;
      this.#timer = this.#cluster.env.clock.after(this.#pause, () => this.#look());
      this.#pause = Math.min(this.#pause * 2, LOOK_MAX_MS);
    });
  }

  /** Answers whether something is missing still. */
  async #healAll(): Promise<boolean> {
    let left = false;
    try {
      await this.#dropOrphans();
      for (const volume of await this.#cluster.started()) {
        const missing = new Set(
          (await this.#cluster.snapshots.of(volume.name)).flatMap((each) => each.missing),
        );
        for (const set of setsOf(volume)) {
          if (volume.kind !== "replicate") break;
          for (const { clientName } of set) {
            if (missing.has(clientName)) left = !await this.#heal(volume, clientName) || left;
          }
        }
      }
    } catch (error) {
      this.#cluster.env.log.error("missing snapshots cannot be looked for", { why: plain(error) });
      left = true;
    }
    return left;
  }

  /** Answers whether the brick has all that there is. */
  async #heal(volume: VolumeRecord, name: string): Promise<boolean> {
    const { snapshots, env: { log } } = this.#cluster;
    const to = snapshots.bricks(volume).find((each) => each.name === name)!;
    const named = { volume: volume.name, brick: brickText(to.record) };
    try {
      const copy = await this.#begun(volume, to) ?? await this.#begin(volume, to);
      const from = snapshots.bricks(volume).find((each) => each.name === copy.from)!;
      await this.#carryOut(volume, copy, from, to);
      this.#said.delete(name);
      log.info("a brick has its snapshots again", { ...named, from: brickText(from.record) });
      return true;
    } catch (error) {
      if (this.#stopped.signal.aborted) return false;
      const why = isRefusal(error, ESTALE)
        ? "its files differ from the other copy's"
        : plain(error);
      if (this.#said.get(name) !== why) {
        log.warn("snapshots that a brick misses stay missing for now", { ...named, why });
      }
      this.#said.set(name, why);
      return false;
    } finally {
      this.#cluster.snapshots.healing.delete(name);
    }
  }

  // What was begun, if both bricks know of it still.
  async #begun(volume: VolumeRecord, to: HistoryBrick): Promise<CopyRecord | undefined> {
    const { store, snapshots } = this.#cluster;
    const value = await store.get(COPY_KEYS.copy(volume.name, to.name));
    if (value === undefined) return undefined;
    const copy = copyRecord(value);
    const from = snapshots.bricks(volume).find((each) => each.name === copy.from);
    if (from && (!from.isUp || !to.isUp)) throw new NotYet("a brick is down");
    const states = await Promise.all([from, to].map((brick) => brick?.state()));
    if (states.every((state) => state?.readers.some(({ id }) => id === copy.id))) return copy;
    await this.#drop(copy);
    return undefined;
  }

  async #begin(volume: VolumeRecord, to: HistoryBrick): Promise<CopyRecord> {
    const { env } = this.#cluster;
    if (!to.isUp) throw new NotYet("it is down");
    const from = await this.#sourceFor(volume, to);
    await this.#mustBeHealed(volume, to);
    using _held = await this.#locks.take(volume.name, "healing of snapshots");
    const copy = await this.#write(volume, from, to);
    try {
      const reader: HistoryReader = {
        ...{ id: copy.id, name: "", kind: "clone", file: undefined, epoch: copy.epoch },
        ...{ created: Math.floor(env.clock.now()), active: false },
      };
      const rested = await takeAtOnce(volume, [from, to], reader, env);
      if (!rested) throw new NotYet("clients did not come to rest");
      await this.#mustBeHealed(volume, to);
    } catch (error) {
      await this.#drop(copy);
      throw error;
    }
    env.log.info("a brick gets the snapshots that it misses", {
      ...{ volume: volume.name, brick: brickText(to.record), from: brickText(from.record) },
    });
    return copy;
  }

  /** The copy that has all that this one has, and what it misses; an arbiter has no data for others. */
  async #sourceFor(volume: VolumeRecord, to: HistoryBrick): Promise<HistoryBrick> {
    const { snapshots } = this.#cluster;
    const records = setOf(volume, to.record);
    const wanted = (await snapshots.of(volume.name)).filter(({ missing }) =>
      missing.includes(to.name)
    );
    const { readers, trouble } = await to.state();
    if (trouble !== "") throw new NotYet(trouble);
    const others = snapshots.bricks(volume).filter(({ record, isUp }) =>
      records.includes(record) && record !== to.record && isUp && !isPartial(volume, record)
    );
    for (const other of others) {
      const has = new Set((await other.state()).readers.map(({ id }) => id));
      if (!wanted.some(({ id }) => has.has(id))) continue;
      if (readers.every(({ id }) => has.has(id))) return other;
    }
    throw new NotYet("no other copy that runs has them, and all that this one has");
  }

  async #mustBeHealed(volume: VolumeRecord, { record }: HistoryBrick): Promise<void> {
    const { healer } = this.#cluster;
    if (!healer) throw new NotYet("no self-heal daemon runs");
    const { counts = [] } = await healer.ask({ order: "counts", volume: volume.name });
    for (const { clientName } of setOf(volume, record)) {
      const found = counts.find(({ brick }) => brick === clientName);
      if (found?.count !== 0) throw new NotYet("its files are not healed yet");
    }
  }

  async #write(volume: VolumeRecord, from: HistoryBrick, to: HistoryBrick): Promise<CopyRecord> {
    const { store, env } = this.#cluster, id = env.random.uuid();
    return await store.transact(async (transaction) => {
      const key = SNAPSHOT_KEYS.history(volume.name);
      const history = volumeHistoryRecord(await transaction.get(key));
      // The epoch before it is nobody's.
      const copy = {
        ...{ volume: volume.name, to: to.name, from: from.name },
        ...{ id, epoch: history.epoch + 2 },
      };
      transaction.put(key, { ...history, epoch: copy.epoch });
      transaction.put(COPY_KEYS.copy(volume.name, to.name), copy);
      return copy;
    });
  }

  async #carryOut(
    volume: VolumeRecord,
    copy: CopyRecord,
    from: HistoryBrick,
    to: HistoryBrick,
  ): Promise<void> {
    const { store, snapshots } = this.#cluster, { id, epoch } = copy;
    const key = COPY_KEYS.copy(volume.name, to.name);
    this.#cluster.snapshots.healing.set(to.name, percent(copy.place));
    const source = copiesAt(from), target = copiesAt(to);
    try {
      await copyHistory({
        ...{ from: source, to: target, id, epoch },
        target: { without: PENDING + to.name, isArbiter: isPartial(volume, to.record) },
        ...copy.place ? { place: copy.place } : {},
        note: async (place) => {
          this.#cluster.snapshots.healing.set(to.name, percent(place));
          await store.transact((transaction) => {
            transaction.put(key, { ...copy, place } as unknown as Json);
            return Promise.resolve();
          });
        },
      }, this.#stopped.signal);
      using _held = await this.#locks.take(volume.name, "healing of snapshots");
      const readers = (await from.state()).readers.filter((reader) => reader.epoch < epoch);
      await target.end(id, readers);
      await snapshots.found(volume, to.name, readers.map((reader) => reader.id));
    } catch (error) {
      // Bricks that say no do so again; those that say nothing may have ended, or are about to.
      const isNo = error instanceof OrderFailed && error.errno !== 0;
      if (isNo && !isRefusal(error, EAGAIN)) await this.#drop(copy);
      throw error;
    }
    await this.#drop(copy);
    await snapshots.reconcile(volume, to.name);
  }

  // Nobody needs its readers any more.
  async #drop({ volume: name, to, from, id }: CopyRecord): Promise<void> {
    const { store, snapshots } = this.#cluster;
    await store.transact((transaction) => {
      transaction.delete(COPY_KEYS.copy(name, to));
      const removal = { id, volume: name, bricks: [from, to] };
      transaction.put(SNAPSHOT_KEYS.removal(id), removal);
      return Promise.resolve();
    });
    const volume = await this.#cluster.find(name);
    if (volume) await snapshots.finishRemovals(volume);
  }

  /** Of volumes, or snapshots, that are gone. */
  async #dropOrphans(): Promise<void> {
    const { store, snapshots } = this.#cluster;
    for (const { key, value } of await store.list(COPY_KEYS.copies)) {
      const copy = copyRecord(value);
      if (!await this.#cluster.find(copy.volume)) {
        await store.transact((transaction) => {
          transaction.delete(key);
          return Promise.resolve();
        });
        continue;
      }
      const missing = (await snapshots.of(copy.volume)).some((each) =>
        each.missing.includes(copy.to)
      );
      if (!missing) await this.#drop(copy);
    }
  }
}

function isRefusal(error: unknown, { errno }: FopError): boolean {
  return error instanceof OrderFailed && error.errno === errno;
}

function isPartial(volume: VolumeRecord, record: BrickRecord): boolean {
  return isArbiter(volume, volume.bricks.indexOf(record));
}

/** The bricks of a brick's set of copies. */
function setOf(volume: VolumeRecord, record: BrickRecord): readonly BrickRecord[] {
  return setsOf(volume).find((set) => set.includes(record)) ?? [];
}

function percent(place: CopyRecord["place"]): number {
  return place?.total ? Math.min(99, Math.floor(place.done / place.total * 100)) : 0;
}
