/** Copies ranges of a file from one copy to others: what is alike already is not written, holes stay holes. */

import type { ByteRange } from "core/changed_ranges.ts";
import { EINVAL, EOPNOTSUPP, FopError } from "core/errno.ts";
import type { Fd } from "core/inode.ts";
import { equalBytes, isZero } from "core/lib/bytes.ts";
import { Window } from "core/lib/window.ts";
import { lockRange } from "xlators/cluster/replicate/heal_locks.ts";
import type { HealSet } from "xlators/cluster/replicate/heal_set.ts";

/** What is compared and written as one; read and summed as one; locked as one. */
const PAGE = 4096, BLOCK = 128 << 10, SPAN = 1 << 20;
/** Spans that are copied at once. */
const SPANS_AT_ONCE = 4;

/** From where to where. */
export interface DataCopy {
  readonly set: HealSet;
  /** Nothing is open: bricks serve it by the file. */
  readonly fd: Fd;
  readonly source: number;
  readonly sinks: readonly number[];
  /** Sinks that were empty: they hold only zeros. */
  readonly fresh: ReadonlySet<number>;
  /** Sinks that cannot be healed this time; more are added. */
  readonly failed: Set<number>;
  /** False if a copy among `on` blames the source for what it missed since the heal began. */
  isStillRight(on: readonly number[]): Promise<boolean>;
}

/**
 * Makes `ranges` of the sinks like the source's. `known`: they differ most likely; else checksums are
 * compared first. Sinks that fail are added to `failed`; throws what the source fails with.
 */
export async function copyRanges(
  copy: DataCopy,
  ranges: readonly ByteRange[],
  known: boolean,
): Promise<void> {
  const window = new Window(SPANS_AT_ONCE);
  const running = new Set<Promise<void>>();
  let failure: unknown;
  for (const span of spans(ranges)) {
    if (failure !== undefined || copy.sinks.every((index) => copy.failed.has(index))) break;
    const done = window.run(() => copySpan(copy, span, known)).catch((error) => {
      failure ??= error;
    }).finally(() => running.delete(done));
    running.add(done);
    // Ranges may be many: not all wait in memory.
    if (running.size > SPANS_AT_ONCE * 2) await Promise.race(running);
  }
  await Promise.all(running);
  if (failure !== undefined) throw failure;
}

/** Ranges that are near each other go under one lock. */
function* spans(ranges: readonly ByteRange[]): Generator<ByteRange[]> {
  let span: ByteRange[] = [], first = 0;
  for (const range of ranges) {
    for (let start = range.start; start < range.end;) {
      if (span.length && start >= first + SPAN) {
        yield span;
        span = [];
      }
      if (!span.length) first = Math.floor(start / BLOCK) * BLOCK;
      const end = Math.min(range.end, (Math.floor(start / BLOCK) + 1) * BLOCK);
      span.push({ start, end });
      start = end;
    }
  }
  if (span.length) yield span;
}

async function copySpan(copy: DataCopy, span: readonly ByteRange[], known: boolean): Promise<void> {
  const { set, fd } = copy;
  const start = span[0]!.start, end = span.at(-1)!.end;
  const range = { start: BigInt(start), size: BigInt(end - start) };
  await using locked = await lockRange(set, set.name, fd.inode, range).wait();
  // A client that did not reach the source may have written to sinks: they are right now.
  const right = await copy.isStillRight(locked.on);
  for (const index of copy.sinks) {
    if (!right || !locked.on.includes(index)) copy.failed.add(index);
  }
  if (!right) return;
  await Promise.all(span.map((block) => copyBlock(copy, block, known)));
}

async function copyBlock(copy: DataCopy, { start, end }: ByteRange, known: boolean): Promise<void> {
  const { set, fd, source, fresh } = copy;
  const size = end - start;
  let sinks = copy.sinks.filter((index) => !copy.failed.has(index));
  if (!known) sinks = await differing(copy, sinks, start, size);
  if (!sinks.length) return;
  const old = sinks.filter((index) => !fresh.has(index));
  const read = { fd, offset: start, size, flags: 0 };
  const answers = await set.ask([source, ...old], (each) => each.readv(set.call, read));
  const right = answers[source]!;
  if (!right.ok) throw right.error;
  const { data } = right.value;
  await set.ask(sinks, async (_sink, index) => {
    const answer = answers[index]!;
    if (old.includes(index) && !answer.ok) return void copy.failed.add(index);
    const has = old.includes(index) && answer.ok ? answer.value.data : new Uint8Array();
    await write(copy, index, start, data, has);
  });
}

// Those whose sum is another one; of a sink that was empty nobody asks.
async function differing(
  copy: DataCopy,
  sinks: readonly number[],
  offset: number,
  size: number,
): Promise<number[]> {
  const { set, fd, source, fresh } = copy;
  const old = sinks.filter((index) => !fresh.has(index));
  if (!old.length) return [...sinks];
  const sums = await set.ask(
    [source, ...old],
    (each) => each.rchecksum(set.call, { fd, offset, size }),
  );
  const right = sums[source]!;
  return sinks.filter((index) => {
    const sum = sums[index]!;
    if (fresh.has(index) || !right.ok || !sum.ok) return true;
    return sum.value.weak !== right.value.weak ||
      !equalBytes(sum.value.strong, right.value.strong);
  });
}

// Pages of `data` that `has` differs from; what `has` is too short for is zero there.
async function write(
  copy: DataCopy,
  index: number,
  start: number,
  data: Uint8Array,
  has: Uint8Array,
): Promise<void> {
  const { set, fd } = copy;
  const to = set.copies[index]!;
  try {
    for (const { from, until, zero } of runs(data, has)) {
      const offset = start + from;
      if (zero && await punched(copy, index, offset, until - from)) continue;
      await to.writev(set.call, { fd, offset, data: data.subarray(from, until), flags: 0 });
    }
  } catch (error) {
    if (!(error instanceof FopError)) throw error;
    copy.failed.add(index);
    set.env.log.warn("copy cannot be healed", {
      copy: set.copyNames[index],
      gfid: fd.inode.gfid,
      error: error.message,
    });
  }
}

async function punched(
  { set, fd }: DataCopy,
  index: number,
  offset: number,
  size: number,
): Promise<boolean> {
  try {
    await set.copies[index]!.discard(set.call, { fd, offset, size });
    return true;
  } catch (error) {
    if (EOPNOTSUPP.matches(error) || EINVAL.matches(error)) return false;
    throw error;
  }
}

interface Run {
  from: number;
  until: number;
  readonly zero: boolean;
}

function runs(data: Uint8Array, has: Uint8Array): Run[] {
  const found: Run[] = [];
  for (let from = 0; from < data.length; from += PAGE) {
    const until = Math.min(from + PAGE, data.length);
    const page = data.subarray(from, until);
    const zero = isZero(page);
    const mine = has.subarray(from, until);
    const alike = mine.length === page.length ? equalBytes(mine, page) : zero && isZero(mine);
    if (alike) continue;
    const last = found.at(-1);
    if (last && last.until === from && last.zero === zero) last.until = until;
    else found.push({ from, until, zero });
  }
  return found;
}
