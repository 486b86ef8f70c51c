/** A brick that is given orders about its history; what fails is told with the brick's name. */

import type {
  FileClone,
  Flattening,
  FoundInode,
  HistoryOrders,
  HistoryReader,
  HistoryUsage,
  ReaderChange,
} from "core/history_orders.ts";
import type { Clock } from "core/env.ts";
import { EEXIST, ENOENT } from "core/errno.ts";
import type { Gfid } from "core/inode.ts";
import type { Bricks } from "mgmt/bricks/bricks.ts";
import { plain } from "mgmt/plain.ts";
import { type BrickRecord, brickText, type VolumeRecord } from "mgmt/records.ts";
import type { AskedBrick } from "mgmt/snapshots/quiet.ts";
import type { Signature } from "rpc/program.ts";
import {
  cloneFile,
  flattenHistory,
  historyChanges,
  historyLookUp,
  historyNames,
  historyRanges,
  type HistoryState,
  historyUsage,
  holdHistory,
  joinReader,
  listReaders,
  type OrderDone,
  prepareHistory,
  releaseHistory,
  removeReaders,
  restoreFile,
  secureHistory,
  takeHistory,
  updateReader,
} from "rpc/programs/history_ops.ts";

/** Longest wait for an answer that looks at much, or waits for a disk. Milliseconds. */
const PATIENCE_MS = 10_000;
/** What applications wrote and did not sync may be much, and goes to the disk first. */
const SECURE_MS = 30_000;

/** A brick did not do what it was told. */
export class OrderFailed extends Error {
  override readonly name = "OrderFailed";
  constructor(
    readonly brick: BrickRecord,
    readonly why: string,
    /** Linux error number; 0: it gave no answer. */
    readonly errno: number,
  ) {
    super(`brick ${brickText(brick)}: ${why}`);
  }
}

type Asked<K extends keyof HistoryOrders> = Parameters<HistoryOrders[K]>;
type Answer<K extends keyof HistoryOrders> = ReturnType<HistoryOrders[K]>;

/** See the head of this file. All methods throw OrderFailed. */
export class HistoryBrick implements AskedBrick {
  readonly #bricks: Pick<Bricks, "ask" | "status">;
  readonly #clock: Clock;

  constructor(
    bricks: Pick<Bricks, "ask" | "status">,
    clock: Clock,
    readonly volume: VolumeRecord,
    readonly record: BrickRecord,
  ) {
    this.#bricks = bricks;
    this.#clock = clock;
  }

  get name(): string {
    return this.record.clientName;
  }

  get isUp(): boolean {
    return this.#bricks.status(this.volume, this.record).online;
  }

  /** See `HistoryOrders.prepare`. */
  async prepare(): Promise<void> {
    this.#expect(await this.#ask(prepareHistory, {}, SECURE_MS));
  }

  /** See `HistoryOrders.hold`. */
  async hold(id: string, timeoutMs: number): Promise<void> {
    this.#expect(await this.#ask(holdHistory, { id, timeoutMs }, timeoutMs));
  }

  /** See `HistoryOrders.take`. `patienceMs`: how long to wait for the answer. */
  async take(hold: string, reader: HistoryReader, patienceMs: number): Promise<void> {
    this.#expect(await this.#ask(takeHistory, { hold, reader }, patienceMs));
  }

  /** The same without a hold: of this brick only, and on the disk. */
  async takeAlone(reader: HistoryReader): Promise<void> {
    this.#expect(await this.#ask(takeHistory, { hold: undefined, reader }, SECURE_MS));
  }

  /** See `HistoryOrders.join`. */
  async join(id: string, reader: Omit<HistoryReader, "epoch">): Promise<void> {
    this.#expect(await this.#ask(joinReader, { id, reader }));
  }

  /** See `HistoryOrders.flatten`. */
  async flatten(): Promise<Flattening> {
    const { flattening, ...done } = await this.#ask(flattenHistory, {});
    this.#expect(done);
    if (!flattening) throw new OrderFailed(this.record, "it told nothing", 0);
    return flattening;
  }

  /** See `HistoryOrders.release`. */
  async release(id: string, patienceMs: number): Promise<void> {
    this.#expect(await this.#ask(releaseHistory, { id }, patienceMs));
  }

  /** See `HistoryOrders.secure`. */
  async secure(): Promise<void> {
    this.#expect(await this.#ask(secureHistory, {}, SECURE_MS));
  }

  /** See `HistoryOrders.update`. */
  async update(id: string, { name, kind, active }: ReaderChange): Promise<void> {
    this.#expect(await this.#ask(updateReader, { id, change: { name, kind, active } }));
  }

  /** See `HistoryOrders.removeAll`. */
  async remove(ids: readonly string[]): Promise<void> {
    this.#expect(await this.#ask(removeReaders, { ids }));
  }

  /** See `HistoryOrders.cloneFile`; false: the brick does not have the origin. */
  async cloneFile(clone: FileClone): Promise<boolean> {
    const done = await this.#ask(cloneFile, { ...clone });
    this.#expect(done, ENOENT.errno);
    return done.errno === 0;
  }

  /** See `HistoryOrders.restoreFile`; false: the brick does not have the file, or not in the snapshot. */
  async restoreFile(snapshot: string, gfid: Gfid): Promise<boolean> {
    const done = await this.#ask(restoreFile, { snapshot, gfid }, SECURE_MS);
    this.#expect(done, ENOENT.errno);
    return done.errno === 0;
  }

  /** See `HistoryOrders.changes`. */
  async changes(...[old, now, after, count]: Asked<"changes">): Answer<"changes"> {
    const { page, ...done } = await this.#ask(historyChanges, { old, now, after, count });
    return this.#told(done, page);
  }

  /** See `HistoryOrders.changedRanges`. */
  async changedRanges(
    ...[old, now, gfid, from, count]: Asked<"changedRanges">
  ): Answer<"changedRanges"> {
    const { page, ...done } = await this.#ask(historyRanges, { old, now, gfid, from, count });
    return this.#told(done, page);
  }

  /** See `HistoryOrders.names`. */
  async names(...[reader, gfids]: Asked<"names">): Answer<"names"> {
    const { names, ...done } = await this.#ask(historyNames, { reader, gfids });
    return this.#told(done, names);
  }

  /** See `HistoryOrders.lookUp`; undefined: there is nothing. */
  async lookUp(
    reader: string | undefined,
    names: readonly string[],
  ): Promise<FoundInode | undefined> {
    const { found, ...done } = await this.#ask(historyLookUp, { reader, names });
    this.#expect(done, ENOENT.errno);
    return found;
  }

  state(): Promise<HistoryState> {
    return this.#ask(listReaders, {});
  }

  async usage(): Promise<HistoryUsage> {
    const { usage, ...done } = await this.#ask(historyUsage, {});
    return this.#told(done, usage);
  }

  /** Throws OrderFailed: it does not answer. */
  ask<A, R>(signature: Signature<A, R>, args: A, patienceMs?: number): Promise<R> {
    return this.#ask(signature, args, patienceMs);
  }

  async #ask<A, R>(signature: Signature<A, R>, args: A, patienceMs = PATIENCE_MS): Promise<R> {
    const answered = new AbortController();
    const late = this.#clock.delay(patienceMs, answered.signal).then(() => {
      throw new OrderFailed(this.record, `no answer in ${patienceMs / 1000} s`, 0);
    });
    // Who is not waited for any more fails unheard.
    late.catch(() => {});
    try {
      const answer = this.#bricks.ask(this.volume, this.record, signature, args);
      answer.catch(() => {});
      return await Promise.race([answer, late]);
    } catch (error) {
      if (error instanceof OrderFailed) throw error;
      throw new OrderFailed(this.record, plain(error), 0);
    } finally {
      answered.abort();
    }
  }

  #told<T>(done: OrderDone, answer: T | undefined): T {
    this.#expect(done);
    if (answer === undefined) throw new OrderFailed(this.record, "it told nothing", 0);
    return answer;
  }

  #expect({ errno, error }: OrderDone, also = 0): void {
    if (errno === 0 || errno === also) return;
    throw new OrderFailed(this.record, error || `errno ${errno}`, errno);
  }
}

/** Whether a brick is further than the epoch that it was given. */
export function isPassed(error: unknown): boolean {
  return error instanceof OrderFailed && error.errno === EEXIST.errno;
}
