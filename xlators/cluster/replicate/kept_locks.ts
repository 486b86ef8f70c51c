/**
 * POSIX locks of applications, kept so that a copy that was away when they were taken gets them when it
 * is back: another client must not find them missing there. (GlusterFS's clients do so for mandatory
 * locks only.) Locks that the copy had are taken again by its connection.
 */

import { type Call, ROOT } from "core/call.ts";
import type { Timer } from "core/env.ts";
import { FopError } from "core/errno.ts";
import type { Args, Flock, Reply } from "core/fops.ts";
import { type HeldLock, HeldLocks } from "core/held_locks.ts";
import type { Fd } from "core/inode.ts";
import { sizeOf } from "core/lib/ranges.ts";
import { type Copies, isTaken } from "xlators/cluster/replicate/copies.ts";
import { posixLock } from "xlators/cluster/replicate/lk.ts";
import type { OpenCopies } from "xlators/cluster/replicate/open_copies.ts";

/**
 * A locked file may be missing on a copy until it is healed, or somebody may have the lock there for a
 * moment, who does not get it on the others: pauses between tries double.
 */
const PAUSE_MS = 1000, TRIES_MAX = 10;

/** See the head of this file. */
export class KeptLocks {
  readonly #held = new HeldLocks();
  readonly #timers = new Set<Timer>();

  constructor(readonly copies: Copies, readonly opened: OpenCopies) {
    opened.onOpened = async (fd, index) => void await this.#retake(this.#held.of(fd), index);
  }

  /** As the fop. */
  async lk(call: Call, args: Args<"lk">): Promise<Reply<"lk">> {
    const { fd, cmd, lock, xdata } = args;
    const sets = cmd !== "get" && cmd !== "get-fd";
    const unlocks = sets && lock.type === "unlock";
    if (unlocks) this.#held.gaveUp(call, fd, lock);
    const turns = [...this.copies.turns];
    const reply = await posixLock(this.copies, this.opened, call, args, async (index) => {
      await this.#retake(this.#held.inRange(call, fd, lock), index);
    });
    if (sets && !unlocks && !fd.anonymous) {
      this.#held.took(call, fd, lock, xdata);
      // A copy that came back meanwhile was passed by, and given what was held before.
      for (const [index, up] of this.copies.up.entries()) {
        if (up && this.copies.turns[index] !== turns[index]) this.cameBack(index);
      }
    }
    return reply;
  }

  /** The caller closed a descriptor: its locks on the file go. */
  flushed(call: Call, fd: Fd): void {
    this.#held.flushed(call, fd);
  }

  /** Nobody has `fd` any more. */
  closed(fd: Fd): void {
    this.#held.closed(fd);
  }

  /** Copy `index` is there again. */
  cameBack(index: number): void {
    this.copies.behind(this.#bring(index, this.copies.turns[index]!, 1));
  }

  // `refused` are files with locks that somebody else had at the last try.
  async #bring(
    index: number,
    turn: number,
    tries: number,
    refused: ReadonlySet<Fd> = new Set(),
  ): Promise<void> {
    let lacks = false;
    const again = new Set<Fd>();
    for (const fd of new Set(this.#held.all.map((lock) => lock.fd))) {
      if (this.opened.where(fd)[index]) {
        const due = tries === 1 || refused.has(fd);
        if (due && !await this.#retake(this.#held.of(fd), index)) again.add(fd);
        continue;
      }
      try {
        await this.opened.complete(ROOT, fd);
      } catch (error) {
        if (!(error instanceof FopError)) throw error;
      }
      lacks ||= !this.opened.where(fd)[index];
    }
    if (!lacks && !again.size) return;
    if (tries === TRIES_MAX || this.copies.turns[index] !== turn) return;
    const timer = this.copies.env.clock.after(PAUSE_MS * 2 ** (tries - 1), () => {
      this.#timers.delete(timer);
      this.copies.behind(this.#bring(index, turn, tries + 1, again));
    });
    this.#timers.add(timer);
  }

  // On one copy, where the file is open. False if somebody else has one of them there.
  async #retake(locks: readonly HeldLock[], index: number): Promise<boolean> {
    let free = true;
    for (const held of locks) {
      // One that depends on the file's size cannot be asked for again.
      if (!held.fixed || !this.#held.has(held)) continue;
      try {
        await this.#set(held, index, held.type);
        if (!this.#held.has(held)) await this.#set(held, index, "unlock");
      } catch (error) {
        if (!(error instanceof FopError)) throw error;
        if (isTaken(error)) free = false;
        this.copies.env.log.warn("lock cannot be taken again on a copy", {
          copy: this.copies.names[index],
          gfid: held.fd.inode.gfid,
          error: error.message,
        });
      }
    }
    return free;
  }

  #set({ fd, owner, pid, flockPid, range, xdata }: HeldLock, index: number, type: Flock["type"]) {
    const lock = { type, whence: 0, start: range.start, size: sizeOf(range), pid: flockPid, owner };
    const call = { ...ROOT, pid, lkOwner: owner };
    const own = this.opened.on(fd, index);
    return this.copies.all[index]!.lk(call, { fd: own, cmd: "set", lock, xdata });
  }

  /** Nothing is tried any more. */
  stop(): void {
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
  }
}
