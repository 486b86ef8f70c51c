/** What a management daemon orders about a brick's history, and the moments in which changes wait. */

import type { Clock, Timer } from "core/env.ts";
import { EEXIST, EINVAL, EIO, ENOENT, ETIMEDOUT } from "core/errno.ts";
import type { HistoryCopies } from "core/history_copies.ts";
import type {
  AddToMarks,
  ChangesPage,
  FileClone,
  Flattening,
  FoundInode,
  HistoryOrders,
  HistoryReader,
  HistoryUsage,
  NameIn,
  RangesPage,
  ReaderChange,
} from "core/history_orders.ts";
import type { Gfid } from "core/inode.ts";
import { changesPage, lookUpIn, namesIn } from "snapshot/engine/changes.ts";
import { rangesPage } from "snapshot/engine/diff.ts";
import { copiesOf } from "snapshot/engine/copies.ts";
import type { History } from "snapshot/engine/history.ts";

/** Changes wait at most that long, whatever is asked for. */
const HOLD_MAX_MS = 120_000;
/** Changes wait that long at most for a snapshot that is of this brick only. Milliseconds. */
const TAKE_MS = 1000;

interface Hold {
  readonly ended: AbortController;
  readonly timer: Timer;
}

/** Moments in which changes wait, each of which ends by itself. */
export class Holds {
  readonly #clock: Clock;
  #holds = new Map<string, Hold>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Begins one. EEXIST: there is one with this id. EINVAL: nobody waits that long. */
  begin(id: string, timeoutMs: number): void {
    if (this.#holds.has(id)) throw EEXIST;
    if (!(timeoutMs > 0 && timeoutMs <= HOLD_MAX_MS)) throw EINVAL;
    const timer = this.#clock.after(timeoutMs, () => this.end(id));
    this.#holds.set(id, { ended: new AbortController(), timer });
  }

  /** Aborted, with ETIMEDOUT, when the hold ends. ETIMEDOUT: there is none. */
  signal(id: string): AbortSignal {
    const hold = this.#holds.get(id);
    if (!hold) throw ETIMEDOUT;
    return hold.ended.signal;
  }

  /** False: there was none. */
  end(id: string): boolean {
    const hold = this.#holds.get(id);
    if (!hold) return false;
    hold.timer.cancel();
    this.#holds.delete(id);
    hold.ended.abort(ETIMEDOUT);
    return true;
  }

  endAll(): void {
    for (const id of [...this.#holds.keys()]) this.end(id);
  }
}

/** What the orders are about. */
export interface Kept {
  /** Undefined: there is none that can be used. */
  readonly history: History | undefined;
  readonly whyNot: string | undefined;
  cloneFile(clone: FileClone): Promise<void>;
  flattenFile(gfid: Gfid): Promise<void>;
  flatten(): Flattening;
  restoreFile(snapshot: string, gfid: Gfid): Promise<void>;
  restoreVolume(
    snapshot: string,
    addToMarks: AddToMarks,
    missedBy: readonly string[],
  ): Promise<void>;
}

/** See the head of this file. */
export class Orders implements HistoryOrders {
  readonly #of: Kept;
  readonly #holds: Holds;

  constructor(of: Kept, holds: Holds) {
    this.#of = of;
    this.#holds = holds;
  }

  get #history(): History {
    const { history } = this.#of;
    if (!history) throw EIO;
    return history;
  }

  trouble(): string | undefined {
    const { history, whyNot } = this.#of;
    return history ? undefined : whyNot ?? "the brick is starting, or ending";
  }

  epoch(): number {
    return this.#history.epoch;
  }

  async prepare(): Promise<void> {
    await this.#history.prepare();
  }

  async hold(id: string, timeoutMs: number): Promise<void> {
    const history = this.#history;
    this.#holds.begin(id, timeoutMs);
    await history.freeze(this.#holds.signal(id));
  }

  async take(hold: string | undefined, reader: HistoryReader): Promise<void> {
    if (hold !== undefined) return await this.#takeHeld(hold, reader);
    await this.prepare();
    const own = `take ${reader.id}`;
    await this.hold(own, TAKE_MS);
    await this.#takeHeld(own, reader);
    await this.secure();
  }

  async #takeHeld(hold: string, reader: HistoryReader): Promise<void> {
    try {
      await this.#history.take(reader, this.#holds.signal(hold));
    } finally {
      this.#holds.end(hold);
    }
  }

  async secure(): Promise<void> {
    await this.#history.secure();
  }

  async join(id: string, reader: Omit<HistoryReader, "epoch">): Promise<void> {
    await this.#history.join(id, reader);
  }

  async cloneFile(clone: FileClone): Promise<void> {
    void this.#history;
    await this.#of.cloneFile(clone);
  }

  flatten(): Flattening {
    void this.#history;
    return this.#of.flatten();
  }

  async flattenFile(gfid: Gfid): Promise<void> {
    void this.#history;
    await this.#of.flattenFile(gfid);
  }

  async restoreFile(snapshot: string, gfid: Gfid): Promise<void> {
    void this.#history;
    await this.#of.restoreFile(snapshot, gfid);
  }

  async restoreVolume(
    snapshot: string,
    addToMarks: AddToMarks,
    missedBy: readonly string[] = [],
  ): Promise<void> {
    const history = this.#history;
    await this.#of.restoreVolume(snapshot, addToMarks, missedBy);
    await history.secure();
  }

  release(hold: string): void {
    if (!this.#holds.end(hold)) throw ETIMEDOUT;
  }

  async update(id: string, change: ReaderChange): Promise<void> {
    await this.#history.update(id, change);
  }

  async remove(id: string): Promise<void> {
    await this.#history.remove(id);
  }

  async removeAll(ids: readonly string[]): Promise<void> {
    await this.#history.removeAll(ids);
  }

  async changes(
    old: string,
    now: string | undefined,
    after: string,
    count: number,
  ): Promise<ChangesPage> {
    return await changesPage(this.#history.sides(old, now), after, count);
  }

  async changedRanges(
    old: string,
    now: string | undefined,
    gfid: Gfid,
    from: number,
    count: number,
  ): Promise<RangesPage> {
    const sides = this.#history.sides(old, now);
    if (sides.file !== undefined && sides.file !== gfid) throw ENOENT;
    return await rangesPage(sides, gfid, from, count);
  }

  async lookUp(reader: string | undefined, names: readonly string[]): Promise<FoundInode> {
    const side = this.#history.side(reader);
    if (!side) throw ENOENT;
    return await lookUpIn(side, names);
  }

  async names(
    reader: string | undefined,
    gfids: readonly Gfid[],
  ): Promise<readonly (readonly NameIn[])[]> {
    const side = this.#history.side(reader);
    if (!side) throw ENOENT;
    return await namesIn(side, gfids);
  }

  list(): readonly HistoryReader[] {
    return this.#history.readers.list();
  }

  copies(): HistoryCopies {
    return copiesOf(this.#history);
  }

  async usage(): Promise<HistoryUsage> {
    const history = this.#history;
    const readers = await history.usageByReader();
    return { ...history.usage(), readers };
  }
}
