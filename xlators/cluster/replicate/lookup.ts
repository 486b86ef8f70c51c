/** What a name stands for, as the copies together tell it. */

import type { Call } from "core/call.ts";
import { Derived } from "core/derived.ts";
import { EINVAL, EIO, ENOENT, ENOTCONN, EPERM, ESTALE, FopError } from "core/errno.ts";
import type { Args, LookupReply, Reply } from "core/fops.ts";
import { type Iatt, S_IFMT } from "core/iatt.ts";
import type { Inode } from "core/inode.ts";
import { withKey, type XKey } from "core/xdata.ts";
import {
  CONTENT,
  ENTRYLK_COUNT,
  INODELK_COUNT,
  LINK_COUNT,
  LINK_COUNT_REQUEST,
  PARENT_ENTRYLK,
} from "core/xdata_keys.ts";
import { settle, type Settled } from "core/xlator.ts";
import type { Judgement } from "xlators/cluster/replicate/blame.ts";
import {
  type Copies,
  failureOf,
  forCaller,
  INDEX_COUNT,
  pick,
} from "xlators/cluster/replicate/copies.ts";
import { metadataDiffers } from "xlators/cluster/replicate/heal_metadata.ts";
import { needsMajority } from "xlators/cluster/replicate/options.ts";
import { withContentOf } from "xlators/cluster/replicate/parts.ts";
import { isPrivate } from "xlators/cluster/replicate/private_names.ts";
import type { Reader } from "xlators/cluster/replicate/read.ts";

type Answer = Settled<LookupReply> | undefined;

/** See the head of this file. */
export class Finder {
  readonly #own: readonly (XKey<unknown> | string)[];
  /** What to ask of copies, and of those that do not tell what the file holds. */
  readonly #asking = new Derived((given) => {
    let all = this.reader.asking(given);
    all = withKey(all, ENTRYLK_COUNT, 0);
    all = withKey(all, PARENT_ENTRYLK, 0);
    all = withKey(all, LINK_COUNT_REQUEST, INDEX_COUNT);
    return { all, plain: all.has(CONTENT) ? all.without(CONTENT) : all };
  });

  constructor(readonly copies: Copies, readonly reader: Reader) {
    this.#own = [...copies.keys.pending, copies.keys.dirty, ...OWN];
  }

  /** As the fop. */
  lookup(call: Call, args: Args<"lookup">): Promise<Reply<"lookup">> {
    return this.#lookup(call, args, true);
  }

  // `mayDecide`: a split-brain is ended by the volume's policy, and looked at again.
  async #lookup(
    call: Call,
    args: Args<"lookup">,
    mayDecide: boolean,
  ): Promise<Reply<"lookup">> {
    const { copies } = this;
    const { favorites } = this.reader;
    const { generation } = copies;
    const named = args.parent !== undefined && args.name !== "" && args.name !== ".";
    const of = args.name === "." ? args.parent : args.inode;
    if (!named && !of) throw EINVAL;
    if (named && isPrivate(args.parent!, args.name!)) throw EPERM;
    const { doubts } = copies;
    const answers = await this.#ask(call, args);
    if (!this.#enough(answers)) {
      const failure = failureOf(answers);
      throw failure && !isMissing(failure) ? failure : ENOTCONN;
    }
    let told: Answer[];
    try {
      told = await this.#believed(call, args, answers);
    } catch (error) {
      const { parent, name } = args;
      const split = mayDecide && named && EIO.matches(error);
      if (!split || !await favorites.decideName(parent!, name!)) throw error;
      return await this.#lookup(call, args, false);
    }
    const first = told.find((answer) => answer?.ok);
    if (!first?.ok) throw this.#miss(answers, told);
    const inode = copies.inodes.of(first.value.stat.gfid);
    const judgement = this.reader.judge(told);
    const disagree = told.some((answer, index) => answer !== answers[index]);
    // What happened meanwhile, the answers may not tell.
    if (!disagree && doubts === copies.doubts) this.#learn(inode, judgement, generation);
    const readable = this.reader.readableBy(inode, judgement, "metadata");
    if (judgement.needsHeal || attributesDiffer(told)) this.reader.heals.need(inode);
    if (mayDecide && !readable.includes(true) && await favorites.decide(inode)) {
      return await this.#lookup(call, args, false);
    }
    // Who tells what the file holds tells the attributes that belong to it.
    const teller = told.findIndex((answer) => answer?.ok && answer.value.xdata?.has(CONTENT));
    const isRight = (which: number) => readable[which] === true && judgement.content[which]!;
    const read = isRight(teller) ? teller : this.reader.choice.of(inode, readable);
    const index = read ?? this.#anyway(inode, told, readable);
    const reply = told[index]!;
    if (!reply.ok) throw reply.error;
    // What a file holds is told by nobody who is not right in all.
    const inAll = read !== undefined && isRight(read);
    const xdata = inAll ? reply.value.xdata : reply.value.xdata?.without(CONTENT);
    const parent = pick(told, index, copies.arbiter);
    return {
      ...reply.value,
      stat: inAll || read === undefined
        ? reply.value.stat
        : this.#byPart(inode, told, judgement, reply.value),
      postParent: reply.value.postParent ?? parent?.postParent,
      xdata: forCaller(xdata, args.xdata, this.#own),
    };
  }

  // Attributes of a copy that is right in them, but not in the content.
  #byPart(
    inode: Inode,
    told: readonly Answer[],
    judgement: Judgement,
    { stat }: LookupReply,
  ): Iatt {
    const readable = this.reader.readableBy(inode, judgement, "content");
    const content = told[this.reader.choice.of(inode, readable) ?? -1];
    return content?.ok ? withContentOf(stat, content.value.stat) : stat;
  }

  #learn(inode: Inode, judgement: Judgement, generation: number): void {
    const state = this.copies.stateOf(inode);
    // While we write, only who looks after the marks are set sees them.
    if (generation === this.copies.generation && !state.lock) {
      state.learn(judgement, generation, state.epoch);
    }
  }

  async #ask(call: Call, args: Args<"lookup">): Promise<Answer[]> {
    const { copies } = this;
    const up = copies.numbers().filter((index) => copies.up[index]);
    if (!up.length) throw ENOTCONN;
    const { all, plain } = this.#asking.of(args.xdata);
    const given = { ...args, xdata: all };
    // What the file holds one copy tells.
    const teller = all === plain ? undefined : this.#teller();
    const others = teller === undefined ? given : { ...args, xdata: plain };
    const settled = await settle(
      up.map((index) => copies.all[index]!.lookup(call, index === teller ? given : others)),
    );
    const answers: Answer[] = copies.all.map(() => undefined);
    up.forEach((index, at) => answers[index] = settled[at]);
    const told = settled.flatMap((each) => each.ok ? [each.value.xdata?.get(LINK_COUNT) ?? 0] : []);
    const allUp = up.length === copies.count && told.length === copies.count;
    if (told.some((count) => count > 0)) copies.needsHeal = true;
    else if (allUp) copies.needsHeal = false;
    return answers;
  }

  #teller(): number | undefined {
    const { up, arbiter } = this.copies;
    return this.reader.choice.next(up.map((has, index) => has && index !== arbiter));
  }

  // The answers that count: where copies disagree, those whose directory nobody blames.
  async #believed(call: Call, args: Args<"lookup">, answers: Answer[]): Promise<Answer[]> {
    if (agree(answers)) return answers;
    const { parent } = args;
    let told = answers;
    if (parent && args.name !== "" && args.name !== ".") {
      this.reader.heals.need(parent);
      this.reader.heals.needName(parent, args.name!);
      const { sound } = await this.reader.look(call, parent);
      const { arbiter } = this.copies;
      // Who came back since the name was asked for said nothing of it.
      const among = (which: readonly boolean[]) =>
        this.reader.sure(parent, which).map((has, index) => has && answers[index] !== undefined);
      const right = among(sound);
      const read = right.map((has, index) => has && index !== arbiter);
      // Where an arbiter alone is right, its word counts; where nobody is, everybody's does.
      const alone = right.includes(true) ? right : among(sound.map(() => true));
      const counts = read.includes(true)
        ? answers.map((answer, index) =>
          read[index] || index === arbiter && agreesWith(answer, answers, read)
        )
        : alone;
      if (counts.includes(true)) {
        told = answers.map((answer, index) => counts[index] ? answer : undefined);
      }
    }
    return agree(told) ? told : this.#resolved(told);
  }

  /**
   * Copies that have something else under a name than what counts, or nothing where that is there, or
   * something where nothing is. Throws ENOTCONN if too few agree, EIO if nobody knows what counts.
   */
  async astray(call: Call, args: Args<"lookup">): Promise<boolean[]> {
    const answers = await this.#ask(call, args);
    if (!this.#enough(answers)) throw ENOTCONN;
    const told = await this.#believed(call, args, answers);
    const right = told.find((answer) => answer?.ok);
    const said = right ? identityIn(right) : "none";
    const says = answers.map((answer) =>
      answer !== undefined && (answer.ok || isMissing(answer.error))
        ? identityIn(answer)
        : undefined
    );
    if (!this.copies.hasQuorum(says.map((each) => each === said))) throw ENOTCONN;
    return says.map((each) => each !== undefined && each !== said);
  }

  // True if so many copies say what they have, or that they have nothing, that others cannot differ.
  #enough(answers: readonly Answer[]): boolean {
    const { copies } = this;
    const told = answers.map((answer) => answer?.ok || !!answer && isMissing(answer.error));
    return told.includes(true) && (!copies.quorumOn || copies.hasQuorum(told));
  }

  // Copies that nobody blames disagree: a change is under way, or nobody knows.
  #resolved(told: Answer[]): Answer[] {
    const there = told.flatMap((answer) => answer?.ok ? [answer.value] : []);
    const identities = new Set(there.map(({ stat }) => `${stat.gfid} ${stat.mode & S_IFMT}`));
    const voted = identities.size > 1 ? this.#voted(told) : undefined;
    if (voted) return voted;
    const locked = there.some(({ xdata }) => (xdata?.get(PARENT_ENTRYLK) ?? 0) > 0);
    if (identities.size > 1) {
      if (!locked) throw EIO;
      const first = told.findIndex((answer) => answer?.ok);
      const { gfid } = (told[first] as { value: LookupReply }).value.stat;
      return told.map((answer) =>
        answer?.ok && answer.value.stat.gfid !== gfid ? undefined : answer
      );
    }
    const has = told.map((answer) => answer?.ok === true);
    const { copies } = this;
    if (!copies.quorumOn || copies.hasQuorum(has)) return told;
    // Made on too few copies to count.
    const missing = told.map((answer) => answer?.ok === false && isMissing(answer.error));
    if (copies.hasQuorum(missing) || locked) return told.map((a) => a?.ok ? undefined : a);
    throw ENOTCONN;
  }

  // No change counts that most copies do not have: what most say of a name is its last change.
  #voted(told: readonly Answer[]): Answer[] | undefined {
    const { values, count } = this.copies;
    if (!needsMajority(values, count)) return undefined;
    for (const answer of told) {
      if (!answer?.ok) continue;
      const said = identityIn(answer);
      const alike = told.map((other) =>
        other?.ok && identityIn(other) === said ? other : undefined
      );
      if (alike.filter((other) => other).length * 2 > count) return alike;
    }
    return undefined;
  }

  #miss(answers: Answer[], told: Answer[]): FopError {
    const failure = failureOf(told) ?? failureOf(answers) ?? ENOTCONN;
    const postParent =
      told.flatMap((answer) =>
        answer?.ok === false && answer.error.postParent ? [answer.error.postParent] : []
      )[0];
    return failure.postParent || !postParent ? failure : failure.carrying({ postParent });
  }

  // No copy is right in all: attributes are still shown where no quorum says otherwise.
  #anyway(inode: Inode, told: Answer[], readable: readonly boolean[]): number {
    const { copies } = this;
    const chosen = this.reader.chosen(inode);
    if (chosen !== undefined && told[chosen]?.ok) return chosen;
    const first = told.findIndex((answer, index) => answer?.ok && index !== copies.arbiter);
    const has = told.map((answer) => answer?.ok === true);
    if (first < 0 || copies.quorumOn && !readable.includes(true) && !copies.hasQuorum(has)) {
      throw ENOTCONN;
    }
    return first;
  }
}

const OWN = [INODELK_COUNT, ENTRYLK_COUNT, PARENT_ENTRYLK, LINK_COUNT];

// Also if nobody is blamed for it.
function attributesDiffer(told: readonly Answer[]): boolean {
  let first: LookupReply | undefined;
  for (const answer of told) {
    if (!answer?.ok) continue;
    first ??= answer.value;
    if (metadataDiffers(first.stat, answer.value.stat)) return true;
  }
  return false;
}

function isMissing(error: FopError): boolean {
  return ENOENT.matches(error) || ESTALE.matches(error);
}

// True if all copies that could answer say the same: the same inode, or that there is none.
function agree(answers: readonly Answer[]): boolean {
  let identity: string | undefined;
  for (const answer of answers) {
    if (!answer || !answer.ok && !isMissing(answer.error)) continue;
    const said = identityIn(answer);
    if (identity !== undefined && identity !== said) return false;
    identity = said;
  }
  return true;
}

function identityIn(answer: Settled<LookupReply>): string {
  return answer.ok ? `${answer.value.stat.gfid} ${answer.value.stat.mode & S_IFMT}` : "none";
}

function agreesWith(
  answer: Answer,
  answers: readonly Answer[],
  right: readonly boolean[],
): boolean {
  return answer !== undefined &&
    answers.some((other, index) =>
      right[index] && other !== undefined && identityIn(other) === identityIn(answer)
    );
}
