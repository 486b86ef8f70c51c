/**
 * The way out of a split-brain that a mount offers, by extended attributes that no brick has: what is
 * wrong and which copies there are (`replica.split-brain-status`), which copy to look at meanwhile
 * (`replica.split-brain-choice`, minutes of it in `-choice-timeout`), and which is right
 * (`replica.split-brain-heal-finalize`). Names, words and failures are GlusterFS's.
 */

import type { Call } from "core/call.ts";
import { EAGAIN, EINVAL, EIO } from "core/errno.ts";
import type { XattrReply } from "core/fops.ts";
import { isRegular } from "core/iatt.ts";
import type { Inode } from "core/inode.ts";
import { str, valueText, Xdata } from "core/xdata.ts";
import { isSplitBrain } from "xlators/cluster/replicate/blame.ts";
import type { Copies } from "xlators/cluster/replicate/copies.ts";
import { decideFile } from "xlators/cluster/replicate/heal_decide.ts";
import type { HealSet } from "xlators/cluster/replicate/heal_set.ts";
import type { Reader } from "xlators/cluster/replicate/read.ts";

const STATUS = "replica.split-brain-status";
const CHOICE = "replica.split-brain-choice";
const TIMEOUT = "replica.split-brain-choice-timeout";
const FINALIZE = "replica.split-brain-heal-finalize";

/** See the head of this file. */
export class SplitBrain {
  constructor(
    readonly copies: Copies,
    readonly reader: Reader,
    readonly set: HealSet,
    /** Hears of files whose content is another one from now on. */
    readonly changed: (inode: Inode) => void,
  ) {}

  /** The answer to a question of that kind; undefined for other names. Throws EAGAIN unless all copies answer. */
  async get(call: Call, inode: Inode, name: string): Promise<XattrReply | undefined> {
    if (name !== STATUS) return undefined;
    const { data, metadata } = await this.#look(call, inode);
    const yes = (is: boolean) => is ? "yes" : "no";
    const choices = this.copies.all.map((copy) => copy.name).join(",");
    const text = data || metadata
      ? `data-split-brain:${yes(data)}    metadata-split-brain:${
        yes(metadata)
      }    Choices:${choices}`
      : "The file is not under data or metadata split-brain";
    return { xattrs: Xdata.of([[name, str(text)]]) };
  }

  async #look(call: Call, inode: Inode): Promise<{ data: boolean; metadata: boolean }> {
    const told = await this.reader.witnesses(call, inode);
    if (told.includes(undefined)) throw EAGAIN;
    const marks = told.map((witness) => witness?.marks);
    return {
      data: isRegular(told[0]!.stat) && isSplitBrain(marks, "data"),
      metadata: isSplitBrain(marks, "metadata"),
    };
  }

  /**
   * Obeys an order of that kind; false if `xattrs` is none. Throws EINVAL if it names no copy or the
   * file is not in split-brain, EAGAIN unless all copies answer, EIO if the heal fails.
   */
  async order(call: Call, inode: Inode, xattrs: Xdata | undefined): Promise<boolean> {
    const said = (name: string) => {
      const value = xattrs?.raw(name);
      return value && valueText(value);
    };
    const choice = said(CHOICE), right = said(FINALIZE), timeout = said(TIMEOUT);
    if (choice !== undefined) await this.#choose(call, inode, choice);
    else if (right !== undefined) await this.#finalize(call, inode, this.#numberOf(right));
    else if (timeout !== undefined) {
      const minutes = Number(timeout);
      if (!Number.isInteger(minutes) || minutes < 1) throw EINVAL;
      this.copies.choiceMs = minutes * 60_000;
    } else return false;
    return true;
  }

  async #choose(call: Call, inode: Inode, name: string): Promise<void> {
    const index = name === "none" ? undefined : this.#numberOf(name);
    const { data, metadata } = await this.#look(call, inode);
    if (!data && !metadata) throw EINVAL;
    const { env, choiceMs } = this.copies;
    const until = env.clock.monotonic() + choiceMs;
    this.copies.stateOf(inode).choice = index === undefined ? undefined : { index, until };
    this.changed(inode);
  }

  async #finalize(call: Call, inode: Inode, index: number): Promise<void> {
    const state = this.copies.stateOf(inode);
    state.choice = undefined;
    await this.#look(call, inode);
    const decision = await decideFile(this.set, `gfid:${inode.gfid}`, index);
    state.doubt();
    this.changed(inode);
    if (decision === "copies away") throw EAGAIN;
    if (decision === "not there" || decision === "not possible") throw EIO;
  }

  #numberOf(name: string): number {
    const index = this.copies.all.findIndex((each) => each.name === name);
    if (index < 0 || index === this.copies.arbiter) throw EINVAL;
    return index;
  }
}
