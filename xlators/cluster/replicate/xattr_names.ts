/** Attributes that replicate answers itself, keeps to itself, or asks of all copies. */

import { ENODATA, EPERM } from "core/errno.ts";
import type { XattrReply } from "core/fops.ts";
import { str, valueText, Xdata } from "core/xdata.ts";
import { WRITERS_XATTR } from "core/xdata_keys.ts";
import { settle, type Settled } from "core/xlator.ts";
import type { Copies } from "xlators/cluster/replicate/copies.ts";
import { anyOf } from "xlators/cluster/replicate/lk.ts";

const MARKS = "trusted.afr.";
const PATHINFO = new Set(["trusted.glusterfs.pathinfo", "glusterfs.pathinfo"]);
const NODE_UUID = "trusted.glusterfs.node-uuid";

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
    name === WRITERS_XATTR || name === "trusted.glusterfs.lockinfo";
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
    : name === WRITERS_XATTR
    ? linesOf(texts)
    : texts.join("\n");
  return { xattrs: Xdata.of([[name, str(text)]]) };
}

// One who writes has every copy open that he reaches, which need not be all.
function linesOf(texts: readonly string[]): string {
  const lines = new Set(texts.flatMap((text) => text.split("\n")));
  return [...lines].filter((line) => line !== "").join("\n");
}

/** Throws ENODATA for marks. */
export function hideMarks(name: string): void {
  if (isMark(name)) throw ENODATA;
}
