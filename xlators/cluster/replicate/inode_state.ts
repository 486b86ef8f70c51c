/** What replicate knows of one inode. There are many, and of most nothing but who may be read. */

import type { Fd } from "core/inode.ts";
import type { Judgement } from "xlators/cluster/replicate/blame.ts";
import type { FileLock } from "xlators/cluster/replicate/write.ts";

const NONE: readonly Fd[] = [];

/** See the head of this file. */
export class InodeState {
  #known: Judgement | undefined;
  /** When `#known` was learned. */
  #generation = 0;
  /** Grows when something happened that an answer under way cannot tell. */
  epoch = 0;
  /** Copies that miss a change which is not, or may not yet be, marked on the others. */
  #behind: number[] | undefined;
  #open: Set<Fd> | undefined;
  /** It was made by this client, and not written yet. */
  isNew = false;
  /** The lock for writes, while there are any. */
  lock: FileLock | undefined;
  /** Last change of attributes under way: they go one after the other. */
  turn: Promise<unknown> | undefined;
  /** Copy that is read although each is blamed, and until when (monotonic milliseconds). */
  choice: { readonly index: number; readonly until: number } | undefined;

  /** Calls `doubted` when what is known may have become wrong. */
  constructor(readonly doubted: () => void) {}

  /** Open files, so that an inode without a name can be looked at. */
  get open(): Iterable<Fd> {
    return this.#open ?? NONE;
  }

  opened(fd: Fd): void {
    (this.#open ??= new Set()).add(fd);
  }

  closed(fd: Fd): void {
    this.#open?.delete(fd);
    if (!this.#open?.size) this.#open = undefined;
  }

  /** What may be read, if that is known in this generation. */
  known(generation: number): Judgement | undefined {
    return this.#generation === generation ? this.#known : undefined;
  }

  /** Keeps what answers told that were asked in `epoch`; false if they are out of date already. */
  learn(judgement: Judgement, generation: number, epoch: number): boolean {
    if (epoch !== this.epoch) return false;
    this.#known = judgement;
    this.#generation = generation;
    return true;
  }

  /** Something changed: look again before the next read. */
  doubt(): void {
    this.epoch++;
    this.doubted();
    this.#known = undefined;
  }

  /** Nothing is read from copy `index` until `caughtUp`. */
  fallBehind(index: number): void {
    const behind = this.#behind ??= [];
    behind[index] = (behind[index] ?? 0) + 1;
  }

  /** What it missed is marked: look there. */
  marked(index: number): void {
    this.#behind![index]!--;
    this.doubt();
  }

  isBehind(index: number): boolean {
    return (this.#behind?.[index] ?? 0) > 0;
  }
}
