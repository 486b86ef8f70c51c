/** What the adapter for the `gluster` program needs of the management daemon. */

import type { Json } from "core/xlator.ts";

/** A command that was carried out. */
export interface Ran {
  readonly value: Json;
  /** What a person reads of it. */
  text(): string;
}

/**
 * Carries out the words of a command line as if they were typed: the same parser, checks and locks.
 * Throws CommandError if it is refused.
 */
export type Run = (words: readonly string[]) => Promise<Ran>;

/** The value alone. `T` is the answer type of the command that `words` name. */
export async function answerOf<T extends Json>(run: Run, words: readonly string[]): Promise<T> {
  return (await run(words)).value as T;
}
