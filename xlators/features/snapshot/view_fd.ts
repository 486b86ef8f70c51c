/** Open files and directories of views. */

import type { Dirent, ReaddirArgs } from "core/fops.ts";
import { EBADF, EINVAL } from "core/errno.ts";
import { Fd, type Gfid, type Inode } from "core/inode.ts";
import { encodeName } from "core/lib/bytes.ts";
import { S_IFDIR } from "core/iatt.ts";
import type { InodeState } from "snapshot/engine/live.ts";
import type { Listed, Named, Tree } from "xlators/features/snapshot/trees.ts";

/** What was opened in a view. */
export class ViewFd extends Fd {
  closed = false;
  #listing: Promise<readonly Listed[]> | undefined;

  constructor(inode: Inode, flags: number, readonly tree: Tree, readonly state: InodeState) {
    super(inode, flags);
  }

  /** EBADF: it was closed. */
  check(): void {
    if (this.closed) throw EBADF;
  }

  /** All names, found when they are asked for first, as long as it is open. */
  listing(): Promise<readonly Listed[]> {
    return this.#listing ??= this.tree.entries(this.inode.gfid);
  }
}

/** Room that an entry takes in a reply besides its name, and with attributes. */
const ENTRY_BYTES = 24, PLUS_BYTES = 148 + 24;
const SIZE_MAX = 256 * 1024, COUNT_MAX = 256;
const NO_INO = 0xffffffffffffffffn;
const DOTS = 2;

/** A name, where the next read goes on after it, and what it stands for unless that is not told. */
export interface Found extends Dirent {
  readonly of: Pick<Named, "gfid" | "tree"> | undefined;
}

/** Entries after the cookie: a place and two for the dots, which come first. */
export function page(
  directory: { readonly gfid: Gfid; readonly tree: Tree },
  listing: readonly Listed[],
  { offset, size }: ReaddirArgs,
  plus: boolean,
): { found: Found[]; eof: boolean } {
  if (size <= 0) throw EINVAL;
  const found: Found[] = [];
  if (offset < 1n) found.push(foundAs({ name: ".", type: S_IFDIR }, 1n, directory));
  if (offset < 2n) found.push(foundAs({ name: "..", type: S_IFDIR }, 2n, undefined));
  let room = Math.min(size, SIZE_MAX);
  let at = after(listing, Number(offset) - DOTS);
  for (; at < listing.length && found.length < COUNT_MAX; at++) {
    const listed = listing[at]!;
    room -= ENTRY_BYTES + (plus ? PLUS_BYTES : 0) + encodeName(listed.name).length;
    if (room < 0 && found.length) break;
    found.push(foundAs(listed, BigInt(listed.place + DOTS), listed));
  }
  return { found, eof: at === listing.length };
}

/** An entry of a listing. */
export function foundAs(
  { name, type }: Pick<Named, "name" | "type">,
  offset: bigint,
  of: Found["of"],
): Found {
  return { name, offset, type: type >> 12, ino: of ? inoOf(of.gfid) : NO_INO, of };
}

// The last 8 bytes of the gfid, as clients show inode numbers.
function inoOf(gfid: Gfid): bigint {
  return BigInt(`0x${gfid.slice(19, 23)}${gfid.slice(24)}`);
}

/** The first that comes after a place. */
function after(listing: readonly Listed[], place: number): number {
  let low = 0, high = listing.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (listing[middle]!.place <= place) low = middle + 1;
    else high = middle;
  }
  return low;
}
