/**
 * Reading from a copy that nobody blames. Who blames whom is asked of all copies once, and again when a
 * copy came or went, when a change failed somewhere, when a brick tells of a new mark, or when a read
 * failed.
 */

import type { Call } from "core/call.ts";
import {
  EBADF,
  EBADFD,
  EIO,
  ENODEV,
  ENOENT,
  ENOMEM,
  ENOTCONN,
  EREMOTEIO,
  ESTALE,
  ETIMEDOUT,
} from "core/errno.ts";
import type { LookupReply, StatReply } from "core/fops.ts";
import type { Inode } from "core/inode.ts";
import { INODELK_COUNT } from "core/xdata_keys.ts";
import { type DictValue, Xdata } from "core/xdata.ts";
import { settle, type Settled } from "core/xlator.ts";
import { judge, type Judgement, marksIn, type Witness } from "xlators/cluster/replicate/blame.ts";
import { BAD_INODE, type Copies, failureOf } from "xlators/cluster/replicate/copies.ts";
import type { Favorites } from "xlators/cluster/replicate/favorite.ts";
import type { AccessHeals } from "xlators/cluster/replicate/heal_on_access.ts";
import type { OpenCopies } from "xlators/cluster/replicate/open_copies.ts";
import {
  type About,
  isWhole,
  rightIn,
  type Tellers,
  withContentOf,
} from "xlators/cluster/replicate/parts.ts";
import type { ReadChoice } from "xlators/cluster/replicate/read_choice.ts";

/** Bytes of a mark; what a brick is asked for an attribute. */
const MARK_BYTES: DictValue = { type: "uint", value: 12 };
/** Times that out-of-date answers are asked again. */
const LOOKS_MAX = 3;

/** Failures that tell of the copy, not of the file: another copy may do. */
const OWN_FAILURES = [
  ENOTCONN,
  EIO,
  EBADF,
  EBADFD,
  EREMOTEIO,
  ESTALE,
  ENOENT,
  ETIMEDOUT,
  ENOMEM,
  ENODEV,
];

/** True if another copy may do what this one failed. */
export function isOwnFailure(error: unknown): boolean {
  return OWN_FAILURES.some((own) => own.matches(error));
}

/** See the head of this file. */
export class Reader {
  readonly #asking: Xdata;

  constructor(
    readonly copies: Copies,
    readonly choice: ReadChoice,
    readonly opened: OpenCopies,
    /** Hears of inodes with a copy that is blamed. */
    readonly heals: AccessHeals,
    readonly favorites: Favorites,
  ) {
    const { pending, dirty } = copies.keys;
    this.#asking = Xdata.of([
      ...[...pending, dirty].map((name) => [name, MARK_BYTES] as const),
      [INODELK_COUNT.name, INODELK_COUNT.write(0)],
    ]);
  }

  /** What to ask of copies whose answers `witness` shall read. */
  asking(xdata?: Xdata): Xdata {
    return xdata ? xdata.merged(this.#asking) : this.#asking;
  }

  /** An answer as a witness; undefined for a failure. */
  witness(answer: Settled<StatReply> | undefined): Witness | undefined {
    if (!answer?.ok) return undefined;
    const { stat, xdata } = answer.value;
    const bad = xdata?.has(BAD_INODE) ?? false;
    return { stat, marks: marksIn(xdata, this.copies.keys), bad };
  }

  /** What copies' answers tell of a file. */
  judge(answers: readonly (Settled<StatReply> | undefined)[]): Judgement {
    const busy = answers.some((answer) =>
      answer?.ok && (answer.value.xdata?.get(INODELK_COUNT) ?? 0) > 0
    );
    const { arbiter } = this.copies;
    return this.copies.shared(
      judge(answers.map((answer) => this.witness(answer)), { arbiter, busy }),
    );
  }

  /** Keeps what answers told that were asked when the inode's epoch was `epoch`. */
  learn(inode: Inode, judgement: Judgement, generation: number, epoch: number): boolean {
    if (judgement.needsHeal) this.heals.need(inode);
    return this.copies.stateOf(inode).learn(judgement, generation, epoch);
  }

  /** Which copies may be read, looked up if it is not known. */
  async readable(call: Call, inode: Inode, about: About): Promise<boolean[]> {
    return this.readableBy(inode, await this.known(call, inode), about);
  }

  /** Which copies may be read, by what is known. */
  readableBy(inode: Inode, { content, metadata }: Judgement, about: About): boolean[] {
    const right = { content: this.sure(inode, content), metadata: this.sure(inode, metadata) };
    return rightIn(right, about);
  }

  /** True if a copy is known to be right in all: then who tells the data may tell the attributes. */
  isRightInAll(inode: Inode): boolean {
    const { up, generation } = this.copies, state = this.copies.stateOf(inode);
    const known = state.known(generation);
    return known !== undefined &&
      known.content.some((has, index) =>
        has && known.metadata[index] === true && up[index] === true && !state.isBehind(index)
      );
  }

  /** Whose word counts on what, by what is known; nobody's if nothing is. */
  tellers(inode: Inode): Tellers {
    const known = this.copies.stateOf(inode).known(this.copies.generation);
    const of = (about: About) =>
      known && this.choice.of(inode, this.readableBy(inode, known, about));
    const metadata = of("metadata");
    const inAll = metadata !== undefined && known?.content[metadata];
    return { metadata, content: inAll ? metadata : of("content") };
  }

  /** Throws EIO if no copy is right in some part, and nobody said which to read anyway. */
  async mustBeWhole(call: Call, inode: Inode): Promise<void> {
    if (isWhole(await this.known(call, inode)) || this.chosen(inode) !== undefined) return;
    if (!await this.favorites.decide(inode)) throw EIO;
  }

  /** `which` without copies that are away, or known here to miss something. */
  sure(inode: Inode, which: readonly boolean[]): boolean[] {
    const state = this.copies.stateOf(inode);
    return which.map((has, index) => has && this.copies.up[index]! && !state.isBehind(index));
  }

  /** What is known of an inode; asked of all copies if nothing is. */
  async known(call: Call, inode: Inode): Promise<Judgement> {
    const known = this.copies.stateOf(inode).known(this.copies.generation);
    return known ?? await this.look(call, inode);
  }

  /** Asks all copies. Throws if too few answer. */
  async look(call: Call, inode: Inode): Promise<Judgement> {
    const state = this.copies.stateOf(inode);
    for (let looks = 1;; looks++) {
      const { epoch } = state, { generation } = this.copies;
      const judgement = this.judge(await this.#askAll(call, inode));
      const kept = this.learn(inode, judgement, generation, epoch);
      if (kept && generation === this.copies.generation || looks === LOOKS_MAX) return judgement;
    }
  }

  /** What each copy tells. Throws if too few answer. */
  async witnesses(call: Call, inode: Inode): Promise<(Witness | undefined)[]> {
    return (await this.#askAll(call, inode)).map((answer) => this.witness(answer));
  }

  async #askAll(call: Call, inode: Inode): Promise<Settled<StatReply>[]> {
    const { copies } = this;
    const answers = await settle(copies.numbers().map((index) => this.#ask(call, inode, index)));
    const has = answers.map((answer) => answer.ok);
    if (has.includes(true) && (!copies.quorumOn || copies.hasQuorum(has))) return answers;
    throw failureOf(answers) ?? ENOTCONN;
  }

  // Through an open file if there is one: it may have no name any more.
  async #ask(call: Call, inode: Inode, index: number): Promise<StatReply | LookupReply> {
    if (!this.copies.up[index]) throw ENOTCONN;
    const to = this.copies.all[index]!, xdata = this.#asking;
    for (const fd of this.copies.stateOf(inode).open) {
      const own = this.opened.of(fd)?.fds[index];
      if (own) return await to.fstat(call, { fd: own, xdata });
    }
    return await to.lookup(call, { inode, name: "", xdata });
  }

  /** Attributes, each of a copy that is right in it. */
  async stat<R extends StatReply>(
    call: Call,
    inode: Inode,
    ask: (index: number) => Promise<R>,
  ): Promise<R> {
    let from = 0;
    const asking = (index: number) => ask(from = index);
    const told = await this.read(call, inode, asking, "metadata");
    const { content } = await this.known(call, inode);
    if (content[from] || !content.includes(true)) return told;
    const { stat } = await this.read(call, inode, ask, "content");
    return { ...told, stat: withContentOf(told.stat, stat) };
  }

  /** A copy's answer; another one's if it fails for a reason of its own. */
  async read<R>(
    call: Call,
    inode: Inode,
    ask: (index: number) => Promise<R>,
    about: About,
  ): Promise<R> {
    this.copies.checkQuorum();
    const tried = new Set<number>();
    let fresh = this.copies.stateOf(inode).known(this.copies.generation) === undefined;
    let readable = await this.#readableOrChosen(call, inode, about);
    let failure: unknown = EIO;
    for (;;) {
      const left = readable.map((has, index) => has && !tried.has(index));
      const index = this.choice.of(inode, left);
      if (index === undefined) {
        if (fresh) throw failure;
        fresh = true;
        this.copies.stateOf(inode).doubt();
        readable = await this.#readableOrChosen(call, inode, about);
        continue;
      }
      tried.add(index);
      try {
        return await this.choice.counting(index, () => ask(index));
      } catch (error) {
        if (!isOwnFailure(error)) throw error;
        failure = error;
      }
    }
  }

  async #readableOrChosen(call: Call, inode: Inode, about: About): Promise<boolean[]> {
    const readable = await this.readable(call, inode, about);
    if (readable.includes(true)) return readable;
    const chosen = this.chosen(inode);
    if (chosen !== undefined) return readable.map((_, index) => index === chosen);
    return await this.favorites.decide(inode) ? await this.readable(call, inode, about) : readable;
  }

  /** The copy that somebody chose to read in a split-brain, if it is there. */
  chosen(inode: Inode): number | undefined {
    const { choice } = this.copies.stateOf(inode);
    if (!choice || this.copies.env.clock.monotonic() > choice.until) return undefined;
    return this.copies.up[choice.index] ? choice.index : undefined;
  }
}
