/** Attributes that replicate answers itself, keeps to itself, or asks of all copies. */

import type { Call } from "core/call.ts";
import { EINVAL, ENODATA, EPERM } from "core/errno.ts";
import type { XattrReply } from "core/fops.ts";
import type { Inode } from "core/inode.ts";
import { str, valueText, Xdata } from "core/xdata.ts";
import { settle, type Settled } from "core/xlator.ts";
import { blamedCopies, isSplitBrain } from "xlators/cluster/replicate/blame.ts";
import type { Copies } from "xlators/cluster/replicate/copies.ts";
import { anyOf } from "xlators/cluster/replicate/lk.ts";
import type { Reader } from "xlators/cluster/replicate/read.ts";

const MARKS = "trusted.afr.";
const PATHINFO = new Set(["trusted.glusterfs.pathinfo", "glusterfs.pathinfo"]);
const NODE_UUID = "trusted.glusterfs.node-uuid";
const SPLIT_BRAIN_STATUS = "replica.split-brain-status";
const SPLIT_BRAIN_CHOICE = "replica.split-brain-choice";
const SPLIT_BRAIN_TIMEOUT = "replica.split-brain-choice-timeout";

/** True for attributes that replicate keeps its marks in. */
export function isMark(name: string): boolean {
  return name.startsWith(MARKS);
}

/** Throws EPERM for marks: only replicate sets them. */
export function refuseMarks(names: Iterable<string>): void {
  for (const name of names) if (isMark(name)) throw EPERM;
}

/** The reply without marks. */
export function withoutMarks(reply: XattrReply): XattrReply {
  const marks = [...reply.xattrs?.names() ?? []].filter(isMark);
  return marks.length ? { ...reply, xattrs: reply.xattrs!.without(...marks) } : reply;
}

/** True for attributes that all copies together answer. */
export function isOfAll(name: string): boolean {
  return PATHINFO.has(name) || name === NODE_UUID || name.startsWith("glusterfs.clrlk") ||
    name === "trusted.glusterfs.lockinfo";
}

/** What all copies together answer; `ask` asks one. */
export async function fromAll(
  copies: Copies,
  name: string,
  ask: (index: number) => Promise<XattrReply>,
): Promise<XattrReply> {
  const up = copies.numbers().filter((index) => copies.up[index]);
  const answers: Settled<XattrReply>[] = await settle(up.map((index) => ask(index)));
  const texts = answers.flatMap((answer) => {
    const value = answer.ok ? answer.value.xattrs?.raw(name) : undefined;
    const text = value && valueText(value);
    return text === undefined ? [] : [text];
  });
  if (!texts.length || name === "trusted.glusterfs.lockinfo") return anyOf(answers);
  const text = PATHINFO.has(name)
    ? `(<REPLICATE:${copies.name}> ${texts.join(" ")})`
    : name === NODE_UUID
    ? texts[0]!
    : texts.join("\n");
  return { xattrs: Xdata.of([[name, str(text)]]) };
}

/** The answer to `replica.split-brain-status`; undefined for other names. */
export async function splitBrainStatus(
  copies: Copies,
  reader: Reader,
  call: Call,
  inode: Inode,
  name: string,
): Promise<XattrReply | undefined> {
  if (name !== SPLIT_BRAIN_STATUS) return undefined;
  const told = await reader.witnesses(call, inode);
  const marks = told.map((witness) => witness?.marks);
  const data = isSplitBrain(marks, "data"), metadata = isSplitBrain(marks, "metadata");
  const blamed = blamedCopies(marks, data ? "data" : "metadata");
  const choices = copies.all.flatMap(({ name }, index) => blamed[index] ? [name] : []).join(",");
  const yes = (is: boolean) => is ? "yes" : "no";
  const text = data || metadata
    ? `data-split-brain:${yes(data)}    metadata-split-brain:${yes(metadata)}    Choices:${choices}`
    : "The file is not under data or metadata split-brain";
  return { xattrs: Xdata.of([[name, str(text)]]) };
}

/**
 * Obeys what sets a choice: the copy to read of a file of which each copy is blamed, "none" for no
 * more. False if `xattrs` is nothing of that kind.
 */
export function chooses(copies: Copies, inode: Inode, xattrs: Xdata | undefined): boolean {
  const choice = xattrs?.raw(SPLIT_BRAIN_CHOICE), timeout = xattrs?.raw(SPLIT_BRAIN_TIMEOUT);
  if (!choice && !timeout) return false;
  if (timeout) {
    const minutes = Number(valueText(timeout));
    if (!Number.isInteger(minutes) || minutes < 1) throw EINVAL;
    copies.choiceMs = minutes * 60_000;
  }
  if (!choice) return true;
  const name = valueText(choice);
  const state = copies.stateOf(inode);
  if (name === "none") {
    state.choice = undefined;
    return true;
  }
  const index = copies.all.findIndex((each) => each.name === name);
  if (index < 0 || index === copies.arbiter) throw EINVAL;
  state.choice = { index, until: copies.env.clock.monotonic() + copies.choiceMs };
  return true;
}

/** Throws ENODATA for marks. */
export function hideMarks(name: string): void {
  if (isMark(name)) throw ENODATA;
}
