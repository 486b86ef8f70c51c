/** Sets and takes off the marks of one transaction. See `blame.ts` for what they are. */

import type { Call } from "core/call.ts";
import type { FopError } from "core/errno.ts";
import type { XattrReply } from "core/fops.ts";
import type { Xdata } from "core/xdata.ts";
import { settle, type Settled } from "core/xlator.ts";
import { type Marks, marksIn, marksToAdd, type Part } from "xlators/cluster/replicate/blame.ts";
import { type Copies, failureOf, isTaken } from "xlators/cluster/replicate/copies.ts";
import {
  type MarkTarget,
  NAME_AGREES,
  NAME_DIFFERS,
  namedIn,
  sendMarks,
} from "xlators/cluster/replicate/send_marks.ts";

/** What is added on one copy. */
interface Adding {
  /** Copies that are blamed, if any. */
  readonly blamed: readonly boolean[];
  /** To the mark of a change under way; absent: that is neither changed nor asked. */
  readonly dirty?: number;
}

/** Marks that were sent last. */
interface Sent {
  readonly index: number;
  readonly target: MarkTarget;
  readonly marks: Adding;
  /** They are set. */
  readonly ok: boolean;
}

/** How a transaction ends, by copy. */
export interface EndOptions {
  /** The mark of a change under way stays: somebody has to look. */
  readonly keep?: readonly boolean[];
  /** The name is alike on all copies now. */
  readonly agrees?: boolean;
  /** What goes with the marks. */
  readonly along?: Xdata;
}

/** See the head of this file. */
export class Marker {
  readonly #copies: Copies;
  readonly #part: Part;
  /** By copy that tells and copy that is blamed. */
  readonly #blames: boolean[][];
  /** Copies that could not be marked. */
  readonly failed: boolean[];
  /** Copies that were marked as being changed. */
  #dirty: readonly boolean[];
  #last: readonly Sent[] = [];
  #lastAnswers: readonly (Settled<unknown> | undefined)[] = [];

  constructor(copies: Copies, part: Part) {
    this.#copies = copies;
    this.#part = part;
    this.failed = copies.all.map(() => false);
    this.#dirty = copies.all.map(() => false);
    this.#blames = copies.all.map(() => copies.all.map(() => false));
  }

  /** Why marks could not be set; undefined if all were. */
  get failure(): FopError | undefined {
    return failureOf(this.#lastAnswers);
  }

  /** Whether somebody else has the lock that went along with marks. */
  get taken(): boolean {
    return this.#lastAnswers.some((answer) => answer?.ok === false && isTaken(answer.error));
  }

  /** Copies in `on` are marked as being changed already. */
  began(on: readonly boolean[]): void {
    this.#dirty = on;
  }

  /**
   * Marks copies as being changed, and answers what each tells; undefined where that failed. `along`
   * goes with the marks.
   */
  async begin(
    call: Call,
    targets: readonly MarkTarget[],
    on: readonly boolean[],
    along?: Xdata,
  ): Promise<(Marks | undefined)[]> {
    const marks = { blamed: [], dirty: 1 };
    const answers = await this.#send(call, targets, on, () => marks, NAME_DIFFERS, along);
    this.#dirty = answers.map((answer) => answer?.ok === true);
    return answers.map((answer) =>
      answer?.ok ? marksIn(answer.value.xattrs, this.#copies.keys) : undefined
    );
  }

  /** Copies that did the change will blame `index`, which did not. */
  blame(done: readonly boolean[], index: number): void {
    done.forEach((has, by) => {
      if (has && by !== index) this.#blames[by]![index] = true;
    });
  }

  /** Blames `absent` at once, on the copies in `on`; answers where that failed. */
  async blameNow(
    call: Call,
    targets: readonly MarkTarget[],
    on: readonly boolean[],
    absent: readonly boolean[],
  ): Promise<boolean[]> {
    const marks = { blamed: absent };
    const answers = await this.#send(call, targets, on, () => marks, NAME_DIFFERS);
    return answers.map((answer) => answer !== undefined && !answer.ok);
  }

  /** Sets the blames, and takes off marks of changes under way. Nothing is sent that says nothing. */
  async end(
    call: Call,
    targets: readonly MarkTarget[],
    on: readonly boolean[],
    { keep = [], agrees = false, along }: EndOptions = {},
  ): Promise<void> {
    const differs = this.#blames.some((row) => row.includes(true));
    const dirtyOf = (index: number) => this.#dirty[index] && !keep[index] ? -1 : 0;
    const due = on.map((has, index) =>
      has && (dirtyOf(index) !== 0 || this.#blames[index]!.includes(true))
    );
    if (!due.includes(true)) return;
    const nameKey = differs ? NAME_DIFFERS : agrees ? NAME_AGREES : undefined;
    const marks = (index: number) => ({ blamed: this.#blames[index]!, dirty: dirtyOf(index) });
    await this.#send(call, targets, due, marks, nameKey, along);
  }

  // `times` is -1 for blames that are taken back.
  #xattrs({ blamed, dirty }: Adding, times = 1): Xdata {
    const counts = blamed.map((each) => each ? { [this.#part]: times } : undefined);
    const own = dirty === undefined ? undefined : { [this.#part]: dirty };
    return marksToAdd(this.#copies.keys, counts, own);
  }

  async #send(
    call: Call,
    targets: readonly MarkTarget[],
    on: readonly boolean[],
    marks: (index: number) => Adding,
    nameKey: typeof NAME_DIFFERS | undefined,
    along?: Xdata,
  ): Promise<(Settled<XattrReply> | undefined)[]> {
    const asked = on.flatMap((has, index) => has ? [index] : []);
    const answers: (Settled<XattrReply> | undefined)[] = on.map(() => undefined);
    const pairs = asked.flatMap((index) => targets.map((target) => ({ index, target })));
    const settled = await settle(pairs.map(({ index, target }) => {
      const xdata = along ?? namedIn(this.#copies, target, nameKey);
      return sendMarks(this.#copies, call, target, index, this.#xattrs(marks(index)), xdata);
    }));
    pairs.forEach(({ index }, at) => {
      // Of two directories (rename), a failure on one is the copy's failure.
      if (!answers[index] || answers[index]!.ok) answers[index] = settled[at]!;
    });
    answers.forEach((answer, index) => {
      if (answer && !answer.ok) this.failed[index] = true;
    });
    this.#lastAnswers = answers;
    this.#last = pairs.map((pair, at) => ({
      ...pair,
      marks: marks(pair.index),
      ok: settled[at]!.ok,
    }));
    return answers;
  }

  /**
   * Nobody can tell who has the change: marks of a change under way are left on the copies in `on`, in
   * the place of the blames that were set last. If each of a few copies blamed another, nobody could
   * tell any more who is right. What no copy can be told now it is told later.
   */
  async doubt(call: Call, targets: readonly MarkTarget[], on: readonly boolean[]): Promise<void> {
    const sent = this.#last;
    await settle(targets.map(async (target) => {
      const answers = await settle(on.flatMap((has, index) => {
        const last = sent.find((each) => each.index === index && each.target === target);
        return has ? [this.#leaveDirty(call, target, index, last)] : [];
      }));
      if (!answers.some(({ ok }) => ok)) this.#copies.unmarked.note(target, this.#part);
    }));
  }

  async #leaveDirty(
    call: Call,
    target: MarkTarget,
    index: number,
    last: Sent | undefined,
  ): Promise<void> {
    // What was sent and failed may be there or not.
    const isDirty = this.#dirty[index] && (last?.marks.dirty ?? 0) >= 0;
    const blamed = last?.ok ? last.marks.blamed : [];
    if (isDirty && !blamed.includes(true)) return;
    const marks = this.#xattrs({ blamed, dirty: isDirty ? 0 : 1 }, -1);
    await sendMarks(
      this.#copies,
      call,
      target,
      index,
      marks,
      namedIn(this.#copies, target, NAME_DIFFERS),
    );
  }
}
