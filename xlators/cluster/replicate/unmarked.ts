/**
 * Changes that some copies may have and others not, and that could be marked nowhere: all copies were out
 * of reach, or failed. The client remembers them and marks them as soon as a copy takes the mark, so
 * that healers look. If it ends before that, only a full heal finds out.
 */

import { ROOT } from "core/call.ts";
import type { Timer } from "core/env.ts";
import { ENOENT, ESTALE } from "core/errno.ts";
import { settle } from "core/xlator.ts";
import { marksToAdd, type Part } from "xlators/cluster/replicate/blame.ts";
import type { Copies } from "xlators/cluster/replicate/copies.ts";
import {
  type MarkTarget,
  NAME_DIFFERS,
  namedIn,
  sendMarks,
} from "xlators/cluster/replicate/send_marks.ts";

/** Milliseconds between attempts. */
const RETRY_MS = 2000;

interface Doubt {
  readonly target: MarkTarget;
  readonly part: Part;
}

/** See the head of this file. */
export class Unmarked {
  /** By inode, part and name. */
  readonly #doubts = new Map<string, Doubt>();
  #timer: Timer | undefined;

  constructor(readonly copies: Copies) {}

  /** Marks `part` of `target` when that is possible. */
  note({ inode, name }: MarkTarget, part: Part): void {
    const target = name === undefined ? { inode } : { inode, name };
    this.#doubts.set(`${inode.gfid} ${part} ${name ?? ""}`, { target, part });
    this.#timer ??= this.copies.env.clock.after(RETRY_MS, () => this.copies.behind(this.#tell()));
  }

  /** Tries once more, and forgets them all. */
  async stop(): Promise<void> {
    this.#timer?.cancel();
    await this.#tell();
    this.#timer?.cancel();
    this.#doubts.clear();
  }

  async #tell(): Promise<void> {
    this.#timer = undefined;
    const doubts = [...this.#doubts.values()];
    this.#doubts.clear();
    for (const { target, part } of doubts) {
      if (!await this.#mark(target, part)) this.note(target, part);
    }
  }

  // False: to be tried again.
  async #mark(target: MarkTarget, part: Part): Promise<boolean> {
    const { copies } = this;
    const marks = marksToAdd(copies.keys, [], { [part]: 1 });
    const xdata = namedIn(copies, target, NAME_DIFFERS);
    const answers = await settle(
      copies.numbers().map((index) => sendMarks(copies, ROOT, target, index, marks, xdata)),
    );
    return answers.some((answer) => answer.ok) ||
      answers.every((answer) =>
        !answer.ok && (ENOENT.matches(answer.error) || ESTALE.matches(answer.error))
      );
  }
}
