/** Sets and takes off the marks of one transaction. See `blame.ts` for what they are. */

import type { Call } from "core/call.ts";
import type { FopError } from "core/errno.ts";
import type { XattrReply } from "core/fops.ts";
import { ptr, valueBytes, withKey, Xdata } from "core/xdata.ts";
import { settle, type Settled } from "core/xlator.ts";
import {
  type Counts,
  countsBytes,
  type Marks,
  marksIn,
  marksToAdd,
  parseCounts,
  type Part,
} from "xlators/cluster/replicate/blame.ts";
import {
  type Copies,
  failureOf,
  NAME_AGREES,
  NAME_DIFFERS,
  type Target,
} from "xlators/cluster/replicate/copies.ts";

/** Where marks go: a file, or a directory and the name in it that changes. */
export interface MarkTarget extends Target {
  readonly name?: string;
}

/** How a transaction ends, by copy. */
export interface EndOptions {
  /** The mark of a change under way stays: somebody has to look. */
  readonly keep?: readonly boolean[];
  /** Such a mark is set. */
  readonly add?: readonly boolean[];
  /** The name is alike on all copies now. */
  readonly agrees?: boolean;
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
  /** The last marks that were set. */
  #set: { readonly index: number; readonly target: MarkTarget; readonly marks: Xdata }[] = [];
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

  /** Marks copies as being changed, and answers what each tells; undefined where that failed. */
  async begin(
    call: Call,
    targets: readonly MarkTarget[],
    on: readonly boolean[],
  ): Promise<(Marks | undefined)[]> {
    const marks = marksToAdd(this.#copies.keys, [], { [this.#part]: 1 });
    const answers = await this.#send(call, targets, on, () => marks, NAME_DIFFERS);
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
    const marks = marksToAdd(this.#copies.keys, this.#counts(absent));
    const answers = await this.#send(call, targets, on, () => marks, NAME_DIFFERS);
    return answers.map((answer) => answer !== undefined && !answer.ok);
  }

  /** Sets the blames, and takes off marks of changes under way. Nothing is sent that says nothing. */
  async end(
    call: Call,
    targets: readonly MarkTarget[],
    on: readonly boolean[],
    { keep = [], add = [], agrees = false }: EndOptions = {},
  ): Promise<void> {
    const differs = this.#blames.some((row) => row.includes(true)) || add.includes(true);
    const dirtyOf = (index: number) => add[index] ? 1 : this.#dirty[index] && !keep[index] ? -1 : 0;
    const due = on.map((has, index) =>
      has && (dirtyOf(index) !== 0 || this.#blames[index]!.includes(true))
    );
    if (!due.includes(true)) return;
    const nameKey = differs ? NAME_DIFFERS : agrees ? NAME_AGREES : undefined;
    await this.#send(call, targets, due, (index) => {
      const own = { [this.#part]: dirtyOf(index) };
      return marksToAdd(this.#copies.keys, this.#counts(this.#blames[index]!), own);
    }, nameKey);
  }

  #counts(blamed: readonly boolean[]): (Partial<Counts> | undefined)[] {
    return blamed.map((each) => each ? { [this.#part]: 1 } : undefined);
  }

  async #send(
    call: Call,
    targets: readonly MarkTarget[],
    on: readonly boolean[],
    marks: (index: number) => Xdata,
    nameKey: typeof NAME_DIFFERS | undefined,
  ): Promise<(Settled<XattrReply> | undefined)[]> {
    const asked = on.flatMap((has, index) => has ? [index] : []);
    const answers: (Settled<XattrReply> | undefined)[] = on.map(() => undefined);
    const pairs = asked.flatMap((index) => targets.map((target) => ({ index, target })));
    const settled = await settle(pairs.map(({ index, target }) => {
      const granular = this.#copies.values["granular-entry-heal"];
      const named = granular && nameKey && target.name !== undefined;
      const xdata = named ? withKey(undefined, nameKey, target.name!) : undefined;
      return sendMarks(this.#copies, call, target, index, marks(index), xdata);
    }));
    pairs.forEach(({ index }, at) => {
      // Of two directories (rename), a failure on one is the copy's failure.
      if (!answers[index] || answers[index]!.ok) answers[index] = settled[at]!;
    });
    answers.forEach((answer, index) => {
      if (answer && !answer.ok) this.failed[index] = true;
    });
    this.#lastAnswers = answers;
    this.#set = pairs.filter((_, at) => settled[at]!.ok).map((pair) => ({
      ...pair,
      marks: marks(pair.index),
    }));
    return answers;
  }

  /**
   * Takes the last marks back where they were set. Too few copies have them: if each of a few blamed
   * another, nobody could tell any more who is right.
   */
  async takeBack(call: Call): Promise<void> {
    await settle(
      this.#set.splice(0).map(({ index, target, marks }) =>
        sendMarks(this.#copies, call, target, index, opposite(marks))
      ),
    );
  }
}

function opposite(marks: Xdata): Xdata {
  return Xdata.of([...marks].map(([name, value]) => {
    const { data, metadata, entry } = parseCounts(valueBytes(value));
    return [name, ptr(countsBytes({ data: -data, metadata: -metadata, entry: -entry }))] as const;
  }));
}

/** Adds `marks` on one copy of a file. */
export function sendMarks(
  copies: Copies,
  call: Call,
  { inode, fds }: Target,
  index: number,
  marks: Xdata,
  xdata?: Xdata,
): Promise<XattrReply> {
  const to = copies.all[index]!, fd = fds?.[index];
  return fd
    ? to.fxattrop(call, { fd, op: "add32", xattrs: marks, xdata })
    : to.xattrop(call, { inode, op: "add32", xattrs: marks, xdata });
}
