/**
 * One open file that is read in order, and the pages that were asked for ahead of its reader.
 *
 * Every read that goes on where the last one ended makes one page more be asked for, up to the most
 * there may be; any other read, and every change, drops them all. A page is read once and goes to
 * the reader as it is: nothing is kept behind it.
 */

import type { Call } from "core/call.ts";
import type { Clock } from "core/env.ts";
import { FopError } from "core/errno.ts";
import type { Args, Reply } from "core/fops.ts";
import type { Xlator } from "core/xlator.ts";

/** Shared by all streams, changed in place. */
export interface Tuning {
  pageSize: number;
  /** Most pages ahead. */
  pages: number;
}

/** How long a page may wait for its reader: others may write meanwhile, and nobody tell. */
const AGE_MS = 1000;

interface Page {
  /** When it was asked for, in monotonic milliseconds. */
  readonly at: number;
  readonly offset: number;
  readonly size: number;
  /** Undefined if it could not be read: it is asked for again. */
  readonly answer: Promise<Reply<"readv"> | undefined>;
}

/** See the head of this file. */
export class Stream {
  readonly #child: Xlator;
  readonly #clock: Clock;
  readonly #tuning: Tuning;
  /** In order, without gaps, from where the reader is in the first one. */
  #pages: Page[] = [];
  /** Where a read in order goes on. */
  #next = 0;
  /** Reads in order so far, up to the most pages. */
  #streak = 0;

  constructor(child: Xlator, clock: Clock, tuning: Tuning) {
    this.#child = child;
    this.#clock = clock;
    this.#tuning = tuning;
  }

  /** Bytes that were asked for. */
  get bytes(): number {
    return this.#pages.reduce((sum, { size }) => sum + size, 0);
  }

  /** Nothing that was read ahead is used. */
  drop(): void {
    this.#pages = [];
  }

  /** Reads from what there is, or from below. */
  async read(call: Call, args: Args<"readv">): Promise<Reply<"readv">> {
    const { offset, size } = args;
    const [first] = this.#pages;
    if (first && this.#clock.monotonic() - first.at >= AGE_MS) this.drop();
    if (offset !== this.#next) {
      this.drop();
      this.#streak = 0;
    }
    this.#next = offset + size;
    this.#streak = Math.min(this.#streak + 1, this.#tuning.pages);
    const ahead = this.#covering(offset, size);
    this.#fill(call, args);
    if (!ahead.length) return await this.#child.readv(call, args);
    const answers = await Promise.all(ahead.map(({ answer }) => answer));
    return joined(ahead, answers, args) ?? await this.#child.readv(call, args);
  }

  // The pages that a read needs; none if they are not all there.
  #covering(offset: number, size: number): Page[] {
    const pages = this.#pages.filter((page) =>
      page.offset < offset + size && page.offset + page.size > offset
    );
    const end = offset + size;
    this.#pages = this.#pages.filter((page) => page.offset + page.size > end);
    const [first] = pages, last = pages.at(-1);
    if (first && last && first.offset <= offset && last.offset + last.size >= end) return pages;
    if (pages.length) this.drop();
    return [];
  }

  #fill(call: Call, { fd, flags }: Args<"readv">): void {
    const { pageSize, pages } = this.#tuning;
    // The first read of a file says nothing about the next.
    if (this.#streak < 2) return;
    while (this.#pages.length < Math.min(this.#streak, pages)) {
      const last = this.#pages.at(-1);
      const offset = last ? last.offset + last.size : this.#next;
      const answer = this.#child.readv(call, { fd, offset, size: pageSize, flags });
      const at = this.#clock.monotonic();
      this.#pages.push({ at, offset, size: pageSize, answer: answer.catch(unread) });
    }
  }
}

// Who reads there is told.
function unread(error: unknown): undefined {
  if (!(error instanceof FopError)) throw error;
}

// What a read of those pages answers; undefined if one is missing, or others end the file elsewhere.
function joined(
  pages: readonly Page[],
  answers: readonly (Reply<"readv"> | undefined)[],
  { offset, size, into }: Args<"readv">,
): Reply<"readv"> | undefined {
  const parts: Uint8Array[] = [];
  let length = 0, ended = false, atEnd = false;
  for (const [index, page] of pages.entries()) {
    const answer = answers[index];
    if (!answer || (ended && answer.data.length)) return undefined;
    const from = Math.max(0, offset - page.offset), to = offset + size - page.offset;
    const part = answer.data.subarray(from, to);
    parts.push(part);
    length += part.length;
    ended ||= answer.data.length < page.size;
    atEnd = (ended || answer.eof) && answer.data.length <= to;
  }
  // The file may have changed since without its data here being touched: attributes are not told.
  if (parts.length === 1 && !into) return { data: parts[0]!, stat: undefined, eof: atEnd };
  const data = into ? into.subarray(0, length) : new Uint8Array(length);
  let at = 0;
  for (const part of parts) data.set(part, at), at += part.length;
  return { data, stat: undefined, eof: atEnd };
}
