/**
 * Copies that are right in some parts of a file only: one missed a write, another a change of attributes.
 * As long as each part is right somewhere the file can be used, and its attributes are put together.
 */

import type { Iatt } from "core/iatt.ts";
import type { Settled } from "core/xlator.ts";
import type { Judgement } from "xlators/cluster/replicate/blame.ts";
import { pick } from "xlators/cluster/replicate/copies.ts";

/** What of a file somebody wants: its data or, of a directory, its names; or its attributes. */
export type About = "content" | "metadata";

/** Which copies tell of a file. */
export interface Tellers {
  readonly content: number | undefined;
  readonly metadata: number | undefined;
}

/** True if each part is right on some copy: it can be used. */
export function isWhole({ content, metadata }: Pick<Judgement, About>): boolean {
  return content.includes(true) && metadata.includes(true);
}

/** Copies of `right` that are right in all; if none is, those that are right in what is asked, if both are. */
export function rightIn(right: Pick<Judgement, About>, about: About): boolean[] {
  const all = right.content.map((has, index) => has && right.metadata[index]!);
  return all.includes(true) || !isWhole(right) ? all : [...right[about]];
}

/** Attributes of one copy, with what `content` tells as its data is right. */
export function withContentOf<S extends Iatt | undefined>(stat: S, content: Iatt | undefined): S {
  if (!stat || !content) return stat;
  const { size, blocks, mtime, mtimeNsec } = content;
  return { ...stat, size, blocks, mtime, mtimeNsec };
}

/** What a change that all copies made answers: attributes by whom they are right. */
export function pickByPart<R extends object>(
  answers: readonly (Settled<R> | undefined)[],
  { content, metadata }: Tellers,
  arbiter: number | undefined,
): R | undefined {
  const reply = pick(answers, metadata, arbiter);
  const other = content === metadata || content === undefined ? undefined : answers[content];
  if (!reply || !other?.ok) return reply;
  const data: { pre?: Iatt | undefined; post?: Iatt | undefined } = other.value;
  const own: typeof data = reply;
  return {
    ...reply,
    ..."pre" in reply && { pre: withContentOf(own.pre, data.pre) },
    ..."post" in reply && { post: withContentOf(own.post, data.post) },
  };
}
