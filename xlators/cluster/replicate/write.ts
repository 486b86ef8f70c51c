/**
 * Changes of a file's data. Each goes to all copies that are up, under a lock of the whole file and
 * between two marks: before it, every copy is marked as being changed; after it, copies that have it
 * blame those that do not, and the first mark is taken off. Lock and marks are kept for the changes
 * that follow, until nobody writes for a while, another client wants the lock, or a copy failed.
 *
 * A change is answered when all copies have answered and whoever misses it is blamed on stable ground:
 * a client that dies after that leaves copies of which everybody can tell the right ones.
 */

import type { Call } from "core/call.ts";
import type { Timer } from "core/env.ts";
import { EIO, ENOSPC, ENOTCONN, FopError } from "core/errno.ts";
import type { WithXdata } from "core/fops.ts";
import { Fd } from "core/inode.ts";
import { requestKey, Xdata } from "core/xdata.ts";
import { INODELK_COUNT, INTERNAL_FOP } from "core/xdata_keys.ts";
import { settle, type Settled } from "core/xlator.ts";
import { blamedCopies, type Marks } from "xlators/cluster/replicate/blame.ts";
import {
  allCarry,
  lockAndMark,
  type NewFile,
  unlocking,
  unmarkAndClose,
} from "xlators/cluster/replicate/carried.ts";
import {
  type Copies,
  failedAlike,
  failureOf,
  type Target,
} from "xlators/cluster/replicate/copies.ts";
import type { InodeState } from "xlators/cluster/replicate/inode_state.ts";
import {
  DATA_RANGE,
  type Held,
  heldOn,
  lockAll,
  rangeLockee,
} from "xlators/cluster/replicate/locking.ts";
import { Marker } from "xlators/cluster/replicate/marker.ts";

/** One change of a file's data. */
export interface DataChange<R extends WithXdata> {
  readonly call: Call;
  readonly target: Target;
  /** The caller's fd, as this layer handed it out. */
  readonly fd: Fd | undefined;
  /** Bytes it changes, up to but without `end`: changes that overlap go one after the other. */
  readonly start: number;
  readonly end: number;
  /** False: the lock is given up after it if nobody else writes. */
  readonly keepsLock: boolean;
  /** True for a sync: what was written before it is on stable storage after it. */
  readonly syncs?: boolean;
  /** Does it on one copy. */
  wind(index: number): Promise<R>;
  /** True if the data may not be on stable storage yet, by the answers of the copies. */
  isUnstable(replies: readonly R[]): boolean;
}

/** Answers by copy; undefined for copies that were not asked. */
export type Answers<R> = readonly (Settled<R> | undefined)[];

interface Waiting {
  readonly change: DataChange<WithXdata>;
  resolve(answers: Answers<WithXdata>): void;
  reject(error: unknown): void;
}

const BATCH_FSYNC = requestKey("batch-fsync");
const SYNC_REQUEST: Xdata = Xdata.of([
  [BATCH_FSYNC.name, BATCH_FSYNC.write(true)],
  [INTERNAL_FOP.name, { type: "str", value: "yes" }],
]);

/** The lock of one file for data, and who waits for it here. Gone when nobody needs it. */
export class FileLock {
  #waiting: Waiting[] = [];
  #hold: Hold | undefined;
  #taking = false;
  /** Somebody else wants the lock that is being taken. */
  #wanted = false;

  constructor(readonly copies: Copies, readonly state: InodeState, readonly over: () => void) {}

  /** Makes a change. Fails if too few copies, or no right one, have it. */
  run<R extends WithXdata>(change: DataChange<R>): Promise<Answers<R>> {
    return new Promise<Answers<R>>((resolve, reject) => {
      this.#waiting.push({
        change: change as unknown as DataChange<WithXdata>,
        resolve: resolve as (answers: Answers<WithXdata>) => void,
        reject,
      });
      this.#go();
    });
  }

  /** A file came with its lock and its marks. Not called twice, nor after `run`. */
  adopt(file: NewFile): void {
    const hold = new Hold(this.copies, this.state, file.locker, file, () => this.#go());
    this.#keep(hold);
    hold.adopt();
  }

  /** Gives the lock up as soon as nobody here writes: somebody else wants it. */
  yield(): void {
    if (this.#hold) this.#hold.end();
    else this.#wanted = true;
  }

  /**
   * Resolves when what was written before has no mark any more, if `fd` was written through; at once if
   * closing it takes that off.
   */
  async settled(fd?: Fd): Promise<void> {
    const hold = this.#hold;
    if (!hold || fd && (!hold.uses(fd) || hold.mayClose(fd))) return;
    hold.end();
    await hold.marked;
  }

  /**
   * Resolves when the lock is given up, if its marks go through `fd`, which is to be closed; true if
   * that has been done with it.
   */
  async released(fd: Fd): Promise<boolean> {
    const hold = this.#hold;
    if (!hold?.uses(fd)) return false;
    if (hold.mayClose(fd)) hold.close();
    else hold.end();
    await hold.over;
    return hold.closed;
  }

  #go(): void {
    while (this.#waiting.length && !this.#taking) {
      const hold = this.#hold;
      if (!hold) {
        this.#taking = true;
        this.copies.behind(this.#take(this.#waiting[0]!));
        return;
      }
      if (hold.generation !== this.copies.generation) hold.end();
      const { change } = this.#waiting[0]!;
      if (hold.ending || hold.overlaps(change)) return;
      const next = this.#waiting.shift()!;
      hold.perform(change).then(next.resolve, next.reject);
    }
    if (!this.#waiting.length && !this.#hold && !this.#taking) this.over();
  }

  async #take(first: Waiting): Promise<void> {
    this.#wanted = false;
    try {
      const { change } = first, locker = this.copies.asLocker(change.call);
      const hold = new Hold(this.copies, this.state, locker, change, () => this.#go());
      await hold.start();
      this.#keep(hold);
    } catch (error) {
      this.#waiting.splice(this.#waiting.indexOf(first), 1);
      first.reject(error);
    } finally {
      this.#taking = false;
      this.#go();
      // A brick tells once: whoever waited here is in, then it is somebody else's turn.
      if (this.#wanted) this.#hold?.end();
    }
  }

  #keep(hold: Hold): void {
    this.#hold = hold;
    hold.over.then(() => {
      this.#hold = undefined;
      this.#go();
    });
  }
}

/** One time that the lock is held. */
class Hold {
  readonly generation: number;
  /** Resolves when the marks are taken off, or stay. */
  readonly marked: Promise<void>;
  /** Resolves when the lock is given up. */
  readonly over: Promise<void>;
  readonly #copies: Copies;
  readonly #state: InodeState;
  readonly #call: Call;
  readonly #target: Target;
  readonly #fds = new Set<Fd>();
  /** Through which what was written can be synced: the copies' own, or an anonymous one. */
  #written: Target["fds"] | Fd;
  readonly #admit: () => void;
  #marker: Marker;
  readonly #turns: readonly number[];
  readonly #running = new Set<DataChange<WithXdata>>();
  #locks!: Held;
  /** Copies that take part: locked, and marked as being changed. */
  #part: boolean[] = [];
  /** Copies that may be read: no other blames them. One of them must have every change. */
  #good: boolean[] = [];
  /** Copies that missed a change that others have, and are blamed for it. */
  readonly #failed: boolean[];
  /** Copies that nothing is read from until the marks are set: these, and those that are away. */
  readonly #missed: boolean[];
  /** Some of them for changes that are not answered yet. */
  #blamesWriters = false;
  /** A change failed without being blamed on anybody: marks of changes under way stay. */
  #unclear = false;
  /** Data may not be on stable storage. */
  #unstable = false;
  #absentBlamed: Promise<void> | undefined;
  #timer: Timer | undefined;
  ending = false;
  /** It came with a new file, which nobody has written yet. */
  #unused = false;
  /** The file that was written through was closed. */
  closed = false;
  #closing = false;
  #leaving = false;
  #markedDone!: () => void;
  #overDone!: () => void;
  /** Set when marks are done: too few copies could be marked. */
  #markFailure: FopError | undefined;

  constructor(
    copies: Copies,
    state: InodeState,
    locker: Call,
    { target, fd }: { readonly target: Target; readonly fd: Fd | undefined },
    admit: () => void,
  ) {
    this.#copies = copies;
    this.#state = state;
    this.#admit = admit;
    this.#call = locker;
    this.#target = target;
    if (fd) this.#fds.add(fd);
    this.generation = copies.generation;
    this.#turns = [...copies.turns];
    this.#failed = copies.all.map(() => false);
    this.#missed = copies.all.map(() => false);
    this.#marker = new Marker(copies, "data");
    this.marked = new Promise((resolve) => this.#markedDone = resolve);
    this.over = new Promise((resolve) => this.#overDone = resolve);
  }

  /** True if the lock or its marks need `fd`. */
  uses(fd: Fd): boolean {
    return this.#fds.has(fd);
  }

  /** True if the lock can be given up with the closing of `fd`: nothing else is known to need them. */
  mayClose(fd: Fd): boolean {
    const { fds } = this.#target, copies = this.#copies;
    return !this.ending && !this.#running.size && !this.#unstable && this.#fds.size === 1 &&
      this.#fds.has(fd) &&
      this.generation === copies.generation && this.#isClean() &&
      this.#part.every((has, index) => has === (fds?.[index] !== undefined));
  }

  /** Gives the lock up, and closes what it was taken through, if nothing happens before. */
  close(): void {
    this.#closing = true;
    this.end();
  }

  overlaps({ start, end }: DataChange<WithXdata>): boolean {
    for (const each of this.#running) if (each.start < end && start < each.end) return true;
    return false;
  }

  /** Takes the lock and marks the copies. Throws, with nothing held, if that fails. */
  async start(): Promise<void> {
    const told = await this.#begin();
    const { on } = this.#locks, copies = this.#copies;
    this.#part = on.map((has, index) => has && told[index] !== undefined);
    const blamed = blamedCopies(told, "data");
    this.#good = this.#part.map((has, index) => has && !blamed[index] && index !== copies.arbiter);
    const problem = this.#problem(blamed);
    if (!problem) {
      this.#part.forEach((has, index) => has || this.#miss(index));
      return;
    }
    await this.#marker.end(this.#call, [this.#target], this.#part);
    this.#caughtUp();
    await this.#locks.release();
    throw problem;
  }

  /** The lock and the marks are there, on all copies. */
  adopt(): void {
    const copies = this.#copies, on = copies.all.map(() => true);
    this.#locks = heldOn(rangeLockee(copies, this.#call, this.#target, DATA_RANGE), on);
    this.#marker.began(on);
    this.#part = on;
    this.#good = on.map((_, index) => index !== copies.arbiter);
    this.#unused = true;
    this.#rest();
  }

  async #begin(): Promise<(Marks | undefined)[]> {
    const copies = this.#copies, call = this.#call, target = this.#target;
    const lockee = rangeLockee(copies, call, target, DATA_RANGE);
    const carried = await lockAndMark(copies, call, target, this.#marker);
    this.#locks = carried
      ? heldOn(lockee, carried.map((each) => each !== undefined))
      : await lockAll(copies, [lockee]);
    const { on } = this.#locks;
    on.forEach((has, index) => has || this.#miss(index));
    if (carried) return carried;
    this.#marker = new Marker(copies, "data");
    return await this.#marker.begin(call, [target], on);
  }

  #miss(index: number): void {
    if (this.#missed[index]) return;
    this.#missed[index] = true;
    this.#state.fallBehind(index);
  }

  #caughtUp(): void {
    this.#missed.forEach((has, index) => has && this.#state.marked(index));
    this.#missed.fill(false);
  }

  // Why nothing may be changed with the copies that take part.
  #problem(blamed: readonly boolean[]): FopError | undefined {
    const { arbiter } = this.#copies;
    const part = this.#part;
    if (!this.#enough(part)) return this.#marker.failure ?? ENOTCONN;
    const sources = part.filter((has, index) => has && !blamed[index]);
    if (arbiter !== undefined && sources.length < 2 && part[arbiter] && !blamed[arbiter]) {
      return ENOTCONN;
    }
    // Only copies that miss something would be changed.
    return this.#good.includes(true) ? undefined : EIO;
  }

  /** Makes one change under the lock. */
  async perform(change: DataChange<WithXdata>): Promise<Answers<WithXdata>> {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#running.add(change);
    this.#unused = false;
    if (change.fd) this.#fds.add(change.fd);
    let answers: Answers<WithXdata> = [];
    let failure: FopError | undefined;
    let missed = true;
    try {
      answers = await this.#wind(change);
      missed = answers.some((answer) => answer?.ok === false);
      if (missed) failure = this.#judge(answers);
      this.#look(change, answers);
      // Nothing else is under way: a sync overlaps everything.
      if (change.syncs && !failure) this.#unstable = false;
      if (!failure) await this.#blameAbsent(answers);
    } catch (error) {
      if (!(error instanceof FopError)) throw error;
      failure = error;
    } finally {
      this.#done(change, missed);
    }
    if (missed && !failedAlike(answers)) {
      await this.marked;
      failure ??= this.#markFailure;
    }
    if (failure) throw failure;
    return answers;
  }

  #done(change: DataChange<WithXdata>, missed: boolean): void {
    this.#running.delete(change);
    // Who waits joins before the lock is let go.
    if (!this.ending) this.#admit();
    const keeps = change.keepsLock && !missed && this.#keepMs() > 0;
    if (!this.#running.size && !keeps) this.ending = true;
    this.#rest();
  }

  #keepMs(): number {
    return this.#copies.values["post-op-delay-secs"] * 1000;
  }

  async #wind(change: DataChange<WithXdata>): Promise<Answers<WithXdata>> {
    const asked = this.#part.flatMap((has, index) => has ? [index] : []);
    const settled = await settle(asked.map((index) => change.wind(index)));
    const answers: (Settled<WithXdata> | undefined)[] = this.#part.map(() => undefined);
    asked.forEach((index, at) => answers[index] = settled[at]);
    return answers;
  }

  // A copy failed: who is blamed, or why the change failed.
  #judge(answers: Answers<WithXdata>): FopError | undefined {
    if (failedAlike(answers)) {
      const failure = failureOf(answers)!;
      // Each may have written some of it before, and not the same.
      if (isPartial(failure)) this.#unclear = true;
      return failure;
    }
    this.ending = true;
    const done = answers.map((answer) => answer?.ok === true);
    // What a copy that is behind says of its failure is not the file's.
    const failure = failureOf(answers.filter((_, index) => this.#good[index])) ?? ENOTCONN;
    if (!this.#enough(done)) {
      this.#unclear = true;
      this.#state.doubt();
      return failure;
    }
    const good = this.#good.map((has, index) => has && done[index]!);
    if (!good.includes(true)) {
      // To blame the last right copies would leave none.
      this.#unclear = true;
      this.#state.doubt();
      return failure;
    }
    this.#good = good;
    this.#blamesWriters = true;
    answers.forEach((answer, index) => {
      if (!answer || answer.ok) return;
      this.#fail(index, done);
    });
    return undefined;
  }

  #fail(index: number, done: readonly boolean[]): void {
    this.#miss(index);
    this.#failed[index] = true;
    this.#marker.blame(done, index);
  }

  // What the answers tell of others who want the lock, and of where the data is.
  #look(change: DataChange<WithXdata>, answers: Answers<WithXdata>): void {
    const replies = answers.flatMap((answer) => answer?.ok ? [answer.value] : []);
    if (replies.length && change.isUnstable(replies)) {
      this.#unstable = true;
      this.#written = change.target.fds ?? change.fd ?? this.#written;
    }
    if (replies.some(({ xdata }) => (xdata?.get(INODELK_COUNT) ?? 0) > 1)) this.ending = true;
  }

  // Once per hold, and before the first answer: whoever misses this one misses all of them.
  async #blameAbsent(answers: Answers<WithXdata>): Promise<void> {
    const absent = this.#part.map((has) => !has);
    if (!absent.includes(true) || !answers.some((answer) => answer?.ok)) return;
    await (this.#absentBlamed ??= this.#blame(absent));
  }

  async #blame(absent: readonly boolean[]): Promise<void> {
    const failed = await this.#marker.blameNow(this.#call, [this.#target], this.#part, absent);
    if (failed.includes(true)) this.ending = true;
    const marked = this.#part.map((has, index) => has && !failed[index]);
    if (this.#enough(marked)) {
      // Again when all is written: what bricks record for heals ends with the last blame.
      absent.forEach((away, index) => away && this.#marker.blame(this.#part, index));
      return;
    }
    this.#unclear = true;
    const failure = this.#marker.failure ?? ENOTCONN;
    await this.#marker.doubt(this.#call, [this.#target], this.#part);
    throw failure;
  }

  #enough(which: readonly boolean[]): boolean {
    return which.includes(true) && (!this.#copies.quorumOn || this.#copies.hasQuorum(which));
  }

  /** From now on nobody joins; the lock is given up when all changes are done. */
  end(): void {
    this.ending = true;
    this.#rest();
  }

  #rest(): void {
    if (this.#running.size || this.#leaving) return;
    if (this.ending) {
      this.#leaving = true;
      this.#timer?.cancel();
      this.#copies.behind(this.#leave());
    } else this.#timer ??= this.#copies.env.clock.after(this.#keepMs(), () => this.end());
  }

  async #leave(): Promise<void> {
    let unlocked = false;
    if (this.#unused) this.#copies.writesNew = false;
    try {
      if (this.#unstable && this.#copies.values["ensure-durability"]) await this.#sync();
      const keep = this.#failed.map((failed) => failed || this.#unclear);
      unlocked = this.#isClean();
      if (unlocked && this.#closing && !this.#part.includes(false)) {
        this.closed = true;
        const fds = this.#target.fds!;
        return await unmarkAndClose(this.#copies, this.#call, fds, this.#part);
      }
      const how = unlocked ? unlocking(this.#copies) : { keep };
      await this.#marker.end(this.#call, [this.#target], this.#part, how);
      const marked = this.#part.map((has, index) =>
        has && !this.#failed[index] && !this.#marker.failed[index]
      );
      if (!this.#enough(marked)) {
        this.#markFailure = this.#marker.failure ?? ENOTCONN;
        if (this.#blamesWriters) {
          await this.#marker.doubt(this.#call, [this.#target], this.#part);
        }
      }
    } finally {
      this.#caughtUp();
      this.#markedDone();
      // One that failed to take off the mark may have failed to hear of the lock.
      if (!unlocked || this.#marker.failed.includes(true)) await this.#locks.release();
      this.#overDone();
    }
  }

  // Where nothing is to be said after the marks went, the lock goes with them.
  #isClean(): boolean {
    return !this.#failed.includes(true) && !this.#unclear && !this.#blamesWriters &&
      this.#locks.on.every((has, index) => has === this.#part[index]) &&
      allCarry(this.#copies, this.#part);
  }

  // The mark says "maybe not written": it may go only when the data is on stable storage.
  async #sync(): Promise<void> {
    const synced = await this.#synced();
    if (this.#part.every((has, index) => !has || synced[index])) return;
    const good = this.#good.map((has, index) => has && synced[index]!);
    const most = this.#enough(synced) && synced.filter((has) => has).length * 2 >= synced.length;
    // All have the data, and only some may lose it. A few, or copies that miss something themselves,
    // do not blame the others for that: those may be the right ones for everybody else.
    if (!most || !good.includes(true)) {
      this.#unclear = true;
      return;
    }
    this.#good = good;
    this.#part.forEach((has, index) => {
      if (has && !synced[index]) this.#fail(index, synced);
    });
  }

  // Where all that was written is on stable storage. A brick that went away may have lost it before it
  // came back: that it can sync now means nothing.
  async #synced(): Promise<boolean[]> {
    const stayed = this.#part.map((has, index) =>
      has && this.#copies.turns[index] === this.#turns[index]
    );
    const written = this.#written;
    if (!written) return stayed;
    const fdOf = (index: number) => written instanceof Fd ? written : written[index];
    const asked = stayed.flatMap((has, index) => has && fdOf(index) ? [index] : []);
    const args = { dataOnly: true, xdata: SYNC_REQUEST };
    const answers = await settle(
      asked.map((index) =>
        this.#copies.all[index]!.fsync(this.#call, { ...args, fd: fdOf(index)! })
      ),
    );
    const synced = stayed.map(() => false);
    asked.forEach((index, at) => synced[index] = answers[at]!.ok);
    return synced;
  }
}

// True if a copy that fails so may have written the beginning of what it was sent.
function isPartial(failure: FopError): boolean {
  return EIO.matches(failure) || ENOSPC.matches(failure);
}
