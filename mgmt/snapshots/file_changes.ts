/**
 * Which bytes of one file differ between two snapshots, or since one: what incremental backups read,
 * and what an NBD server tells as changed blocks.
 */

import type { FileRange, RangesPage } from "core/history_orders.ts";
import type { Gfid } from "core/inode.ts";
import { isDirectory, isRegular } from "core/iatt.ts";
import { Refusal } from "mgmt/cli/managed.ts";
import { type Compared, namesOfPath, stateText } from "mgmt/snapshots/compared.ts";

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
 * left out where a snapshot is of one file. Throws Refusal: both states must have the file, and all
 * copies that are up the same size.
 */
export async function fileChanges(
  compared: Compared,
  path: string | undefined,
  from = 0,
): Promise<FileChanges> {
  const { old, now, sets } = compared;
  const { path: shown, gfid } = await which(compared, path);
  const cannot = (why: string) => new Refusal(`Cannot compare "${shown}": ${why}`);
  const told = await Promise.all(
    sets.map((set) =>
      Promise.all(set.map(async (brick): Promise<Told> => {
        const ask = (from: number) => brick.changedRanges(old.id, now?.id, gfid, from, PAGE);
        return { first: await ask(from), ask };
      }))
    ),
  );
  const oldSize = largest(told.flat(), "oldSize"), nowSize = largest(told.flat(), "nowSize");
  if (oldSize === undefined) throw cannot(`it is not in snapshot ${old.name}`);
  if (nowSize === undefined) throw cannot(`it is not in ${stateText(compared)}`);
  // Pointers of distribute are empty.
  const copies = told.find((set) => largest(set, "nowSize") === nowSize)!;
  const [{ first }] = copies as [Told];
  const differ = copies.some((copy) =>
    copy.first.oldSize !== first.oldSize || copy.first.nowSize !== first.nowSize
  );
  if (differ) {
    throw cannot(
      `copies of it differ in size; "mortar volume heal ${compared.volume.name}" makes them equal`,
    );
  }
  const ranges = union(copies.map(({ first, ask }) => rangesAt(first, ask)));
  return { path: shown, gfid, oldSize, nowSize, ranges };
}

/** What a copy says first, and how to hear more. */
interface Told {
  readonly first: RangesPage;
  ask(from: number): Promise<RangesPage>;
}

function largest(copies: readonly Told[], side: "oldSize" | "nowSize"): number | undefined {
  const known = copies.map(({ first }) => first[side]).filter((size) => size !== undefined);
  return known.length ? Math.max(...known) : undefined;
}

async function which(
  compared: Compared,
  path: string | undefined,
): Promise<{ readonly path: string; readonly gfid: Gfid }> {
  const { file, old, now, sets } = compared;
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
  const found = (await Promise.all(sets.flat().map((brick) => brick.lookUp(now?.id, names))))
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

/** What any of them has, in order; ranges that touch are one. */
async function* union(all: readonly AsyncGenerator<FileRange>[]): AsyncGenerator<FileRange> {
  const heads = await Promise.all(all.map((each) => each.next()));
  let start = 0, end = 0;
  for (;;) {
    let least = -1, next: FileRange | undefined;
    for (const [index, { done, value }] of heads.entries()) {
      if (done || (next && next.offset <= value.offset)) continue;
      [least, next] = [index, value];
    }
    if (!next) break;
    heads[least] = await all[least]!.next();
    if (next.offset > end) {
      if (end > start) yield { offset: start, length: end - start };
      start = next.offset;
    }
    end = Math.max(end, next.offset + next.length);
  }
  if (end > start) yield { offset: start, length: end - start };
}
