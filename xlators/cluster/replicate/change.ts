/**
 * Changes of attributes and of names: under locks of their own, on all copies that are up. While all are,
 * nothing is marked before; a copy that then fails is blamed by the others. Otherwise what is changed is
 * marked first, as data is (see `write.ts`).
 */

import type { Call } from "core/call.ts";
import {
  EEXIST,
  EIO,
  EISDIR,
  ENOENT,
  ENOTCONN,
  ENOTDIR,
  ENOTEMPTY,
  ESTALE,
  type FopError,
} from "core/errno.ts";
import { settle, type Settled } from "core/xlator.ts";
import { blamedCopies } from "xlators/cluster/replicate/blame.ts";
import { type Copies, failedAlike, failureOf } from "xlators/cluster/replicate/copies.ts";
import type { InodeState } from "xlators/cluster/replicate/inode_state.ts";
import type { Held } from "xlators/cluster/replicate/locking.ts";
import { Marker } from "xlators/cluster/replicate/marker.ts";
import type { MarkTarget } from "xlators/cluster/replicate/send_marks.ts";
import type { Answers } from "xlators/cluster/replicate/write.ts";

/** One change. */
export interface Change<R> {
  readonly part: "metadata" | "entry";
  readonly call: Call;
  /** Locks what it changes. Throws if too few copies are locked. */
  lock(locker: Call): Promise<Held>;
  /** What is marked: the inode, or the directories. */
  readonly targets: readonly MarkTarget[];
  /** Does it on one copy. */
  wind(index: number): Promise<R>;
  /** Copies that have no part in it, as if they were away. */
  readonly without?: readonly boolean[];
  /** Copies without a blame on them, where known: one of them must have the change. */
  readonly good?: readonly boolean[];
  /** Where some copies did it and others refused: why those that did it are wrong, if they are. */
  dispute?(answers: Answers<R>): Promise<FopError | undefined>;
  /** Takes it back on a copy that has it, where too few have. Absent: it cannot be. */
  undo?(index: number, reply: R): Promise<unknown>;
  /** Marks what was made, before the change is answered. Not called if all copies have it. */
  marksNew?(locker: Call, reply: R, done: readonly boolean[]): Promise<void>;
}

/** Makes a change. Fails if too few copies have it. */
export async function makeChange<R>(copies: Copies, change: Change<R>): Promise<Answers<R>> {
  copies.checkQuorum();
  const locker = copies.asLocker(change.call);
  const held = await change.lock(locker);
  return await new Running(copies, change, locker, held).run();
}

class Running<R> {
  readonly #states: readonly InodeState[];
  readonly #marker: Marker;
  readonly #missed: boolean[];
  /** Copies that are locked, and have a part in it. */
  readonly #on: readonly boolean[];
  /** Copies that were asked to change. */
  #part: readonly boolean[];
  /** Copies that nobody blames, as far as that is known. */
  #good: readonly boolean[] | undefined;

  constructor(
    readonly copies: Copies,
    readonly change: Change<R>,
    readonly locker: Call,
    readonly held: Held,
  ) {
    this.#states = change.targets.map(({ inode }) => copies.stateOf(inode));
    this.#marker = new Marker(copies, change.part);
    this.#missed = copies.all.map(() => false);
    this.#on = held.on.map((has, index) => has && !change.without?.[index]);
    this.#part = this.#on;
    this.#good = change.good;
  }

  async run(): Promise<Answers<R>> {
    let answered = false;
    try {
      this.#on.forEach((has, index) => has || this.#miss(index));
      await this.#begin();
      const answers = await this.#wind();
      const failure = await this.#end(answers);
      if (failure) throw failure;
      // Nobody waits for the unlocking if all went well: it is under way before what comes next.
      answered = !this.#missed.includes(true);
      if (answered) this.copies.behind(this.held.release());
      return answers;
    } finally {
      this.#missed.forEach((has, index) => has && this.#each((state) => state.marked(index)));
      if (!answered) await this.held.release();
    }
  }

  #each(act: (state: InodeState) => void): void {
    for (const state of this.#states) act(state);
  }

  #miss(index: number): void {
    if (this.#missed[index]) return;
    this.#missed[index] = true;
    this.#each((state) => state.fallBehind(index));
  }

  #enough(which: readonly boolean[]): boolean {
    return which.includes(true) && (!this.copies.quorumOn || this.copies.hasQuorum(which));
  }

  async #begin(): Promise<void> {
    const on = this.#on, { copies, change } = this;
    const optimistic = copies.values["optimistic-change-log"] && !on.includes(false);
    if (optimistic) return;
    const { part, blamed } = await this.#mark(on);
    this.#part = part;
    part.forEach((has, index) => has || this.#miss(index));
    const sources = part.filter((has, index) => has && !blamed[index]);
    const { arbiter } = copies;
    const onlyArbiter = arbiter !== undefined && part[arbiter] && !blamed[arbiter] &&
      sources.length < 2;
    // Copies that each miss something would blame the one that does not, which is away.
    const blind = change.part === "metadata" && !sources.length;
    const enough = this.#enough(part);
    if (enough && !onlyArbiter && !blind) return;
    await this.#marker.end(this.locker, change.targets, part);
    if (enough && blind) throw EIO;
    throw onlyArbiter ? ENOTCONN : this.#marker.failure ?? ENOTCONN;
  }

  // Marks copies as being changed, and learns from what they tell who is blamed.
  async #mark(on: readonly boolean[]): Promise<{ part: boolean[]; blamed: boolean[] }> {
    const { change } = this;
    const told = await this.#marker.begin(this.locker, change.targets, on);
    const blamed = blamedCopies(told, change.part);
    const good = blamed.map((has, index) => !has && (change.good?.[index] ?? true));
    const part = on.map((has, index) => has && told[index] !== undefined);
    if (good.includes(true) && this.#enough(part)) this.#good = good;
    return { part, blamed };
  }

  async #wind(): Promise<(Settled<R> | undefined)[]> {
    const asked = this.#part.flatMap((has, index) => has ? [index] : []);
    const settled = await settle(asked.map((index) => this.change.wind(index)));
    const answers: (Settled<R> | undefined)[] = this.#part.map(() => undefined);
    asked.forEach((index, at) => answers[index] = settled[at]);
    return answers;
  }

  // Sets and takes off marks; answers why the change failed, if it did.
  async #end(answers: Answers<R>): Promise<FopError | undefined> {
    const { change } = this;
    const done = answers.map((answer) => answer?.ok === true);
    const alike = failedAlike(answers);
    // Nothing was marked before, so nobody was asked who is behind: now it matters.
    const unlike = !alike && answers.some((answer) => answer?.ok === false);
    const late = unlike && !this.#good;
    if (late) await this.#mark(this.#part);
    const failure = this.#failure(late && !this.#good ? answers.filter(isOfBrick) : answers);
    if (alike) {
      await this.#marker.end(this.locker, change.targets, this.#part);
      return failure;
    }
    const disputed = unlike ? await change.dispute?.(answers) : undefined;
    if (disputed) {
      await this.#doubt();
      return disputed;
    }
    if (!this.#enough(done)) {
      await this.#undo(answers);
      await this.#doubt();
      return failure ?? ENOTCONN;
    }
    if (this.#leavesNoGood(done)) {
      await this.#doubt();
      return failure ?? EIO;
    }
    await this.#blame(answers, done, late);
    const marked = done.map((has, index) => has && !this.#marker.failed[index]);
    if (!this.#enough(marked)) {
      const problem = this.#marker.failure ?? ENOTCONN;
      await this.#doubt();
      return problem;
    }
    return undefined;
  }

  // A copy that is behind may fail where the others do not: that tells nothing of the change.
  #failure(answers: Answers<R>): FopError | undefined {
    const failure = failureOf(answers), good = this.#good;
    if (!failure || !good) return failure;
    return failureOf(answers.filter((_, index) => good[index])) ?? ENOTCONN;
  }

  #leavesNoGood(done: readonly boolean[]): boolean {
    const good = this.#good?.map((has, index) => has && this.#part[index]!) ?? [];
    return good.includes(true) && !good.some((has, index) => has && done[index]);
  }

  // What a few copies made would be in the way of the next attempt, which makes another.
  async #undo(answers: Answers<R>): Promise<void> {
    const { change } = this;
    if (!change.undo) return;
    await settle(
      answers.flatMap((answer, index) => answer?.ok ? [change.undo!(index, answer.value)] : []),
    );
  }

  // Some copies have it, or may have it, and too few to count: whoever heals finds out what is right.
  async #doubt(): Promise<void> {
    this.#each((state) => state.doubt());
    await this.#marker.doubt(this.locker, this.change.targets, this.#part);
  }

  async #blame(
    answers: Answers<R>,
    done: readonly boolean[],
    late: boolean,
  ): Promise<void> {
    const { change } = this;
    done.forEach((has, index) => {
      if (has) return;
      this.#miss(index);
      this.#marker.blame(done, index);
    });
    const made = answers.find((answer) => answer?.ok);
    if (change.marksNew && made?.ok && done.includes(false)) {
      await change.marksNew(this.locker, made.value, done);
    }
    // A mark that was only set to ask goes.
    const keep = done.map((has) => !has && !late);
    await this.#marker.end(this.locker, change.targets, this.#part, {
      keep,
      agrees: !done.includes(false),
    });
  }
}

/** What names there are, as a copy tells it that may be behind. */
const OF_NAMES: readonly FopError[] = [ENOENT, ESTALE, EEXIST, ENOTEMPTY, ENOTDIR, EISDIR];

function isOfBrick(answer: Settled<unknown> | undefined): boolean {
  return answer?.ok === false && !OF_NAMES.some((each) => each.matches(answer.error));
}
