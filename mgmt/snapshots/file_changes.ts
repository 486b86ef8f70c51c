/**
 * Which bytes of one file differ between two snapshots, or since one: what incremental backups read,
 * and what an NBD server tells as changed blocks.
 */

import type { FileRange, RangesPage } from "core/history_orders.ts";
import type { Gfid } from "core/inode.ts";
import { isDirectory, isRegular } from "core/iatt.ts";
import { Refusal } from "mgmt/cli/managed.ts";
import { type Compared, namesOfPath, stateText } from "mgmt/snapshots/compared.ts";
import type { HistoryBrick } from "mgmt/snapshots/history_brick.ts";

/** Ranges that are asked for at a time. */
const PAGE = 2048;

/** What is known of one file's changes. */
export interface FileChanges {
  /** Its path, with a slash before it: in the newer state, or when the snapshot of it was taken. */
  readonly path: string;
  readonly gfid: Gfid;
  /** Bytes in the older state. */
  readonly oldSize: number;
  /** Bytes in the newer one. */
  readonly nowSize: number;
  /**
   * What differs, in order and not touching each other, none beyond `nowSize`: whole units of 4 KiB,
   * so that some of it may be as it was. Of a file that was moved between bricks, all. Yields as
   * bricks tell; throws OrderFailed.
   */
  readonly ranges: AsyncGenerator<FileRange>;
}

/**
 * Changed ranges of a file from byte `from` on, in time that depends on what changed. `path` may be
 * left out where a snapshot is of one file. Throws Refusal: both states must have the file.
 */
export async function fileChanges(
  compared: Compared,
  path: string | undefined,
  from = 0,
): Promise<FileChanges> {
  const { old, now, bricks } = compared;
  const { path: shown, gfid } = await which(compared, path);
  const pages = await Promise.all(
    bricks.map((brick) => brick.changedRanges(old.id, now?.id, gfid, from, PAGE)),
  );
  const oldSize = largest(pages.map((page) => page.oldSize));
  const nowSize = largest(pages.map((page) => page.nowSize));
  if (oldSize === undefined) {
    throw new Refusal(`Cannot compare "${shown}": it is not in snapshot ${old.name}`);
  }
  if (nowSize === undefined) {
    throw new Refusal(`Cannot compare "${shown}": it is not in ${stateText(compared)}`);
  }
  // Pointers of distribute are empty.
  const at = pages.findIndex((page) => page.nowSize === nowSize);
  const ask = (brick: HistoryBrick, from: number) =>
    brick.changedRanges(old.id, now?.id, gfid, from, PAGE);
  const ranges = joined(rangesAt(pages[at]!, (from) => ask(bricks[at]!, from)));
  return { path: shown, gfid, oldSize, nowSize, ranges };
}

function largest(sizes: readonly (number | undefined)[]): number | undefined {
  const known = sizes.filter((size) => size !== undefined);
  return known.length ? Math.max(...known) : undefined;
}

async function which(
  compared: Compared,
  path: string | undefined,
): Promise<{ readonly path: string; readonly gfid: Gfid }> {
  const { file, old, now, bricks } = compared;
  const names = path === undefined ? undefined : namesOfPath(path);
  const shown = names && `/${names.join("/")}`;
  if (file) {
    if (shown === undefined || shown === file.path) return file;
    const { name } = old.file ? old : now!;
    throw new Refusal(`Cannot compare "${shown}": snapshot ${name} is of ${file.path}`);
  }
  if (!names || shown === undefined) {
    throw new Refusal("Cannot tell ranges: name a file with --file PATH");
  }
  const found = (await Promise.all(bricks.map((brick) => brick.lookUp(now?.id, names))))
    .filter((each) => each !== undefined);
  const real = found.find(({ isLinkFile }) => !isLinkFile);
  if (!real) {
    throw new Refusal(
      `Cannot compare "${shown}": there is no such file in ${
        stateText(compared)
      }; without --file ` +
        "removed and renamed files are told",
    );
  }
  if (isDirectory(real)) throw new Refusal(`Cannot compare "${shown}": it is a directory`);
  if (!isRegular(real)) throw new Refusal(`Cannot compare "${shown}": it is no plain file`);
  return { path: shown, gfid: real.gfid };
}

async function* rangesAt(
  first: RangesPage,
  ask: (from: number) => Promise<RangesPage>,
): AsyncGenerator<FileRange> {
  for (let page = first;;) {
    yield* page.ranges;
    if (page.next === undefined) return;
    page = await ask(page.next);
  }
}

// A range may go on in the next page.
async function* joined(ranges: AsyncIterable<FileRange>): AsyncGenerator<FileRange> {
  let last: FileRange | undefined;
  for await (const range of ranges) {
    if (last && last.offset + last.length === range.offset) {
      last = { offset: last.offset, length: last.length + range.length };
      continue;
    }
    if (last) yield last;
    last = range;
  }
  if (last) yield last;
}
