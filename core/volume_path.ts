/**
 * Paths to inodes. A path is resolved name by name from the volume's root: `.` and `..` are taken
 * here and never reach a brick, `..` of the root is the root, and symbolic links are followed
 * inside the volume (an absolute target begins at its root).
 */

import type { Call } from "core/call.ts";
import { EINVAL, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR } from "core/errno.ts";
import { type Iatt, isDirectory, isSymlink } from "core/iatt.ts";
import type { Inode, InodeTable } from "core/inode.ts";
import { encodeName } from "core/lib/bytes.ts";
import type { Xlator } from "core/xlator.ts";

/** Longest name in bytes, as on Linux. */
export const NAME_BYTES_MAX = 255;
/** Longest path in characters; directories may be deeper than the kernel's 4,096. */
export const PATH_CHARS_MAX = 65_536;
/** Symbolic links that one path may lead through, as on Linux. */
export const LINKS_MAX = 40;
/** Longest target of a symbolic link in bytes. */
export const TARGET_BYTES_MAX = 4096;

/** What a path led to. */
export interface Walked {
  /** The directory of the last name, and that name; "" if the path ended in the root, `.` or `..`. */
  readonly parent: Inode;
  readonly name: string;
  /** What is there; undefined if the last name is not there. */
  readonly found: { readonly inode: Inode; readonly stat: Iatt } | undefined;
}

/** The graph that paths are resolved in, and for whom. */
export interface Walker {
  readonly top: Xlator;
  readonly inodes: InodeTable;
  readonly call: Call;
}

/** The names of a path. Throws EINVAL on NUL, ENAMETOOLONG on what is too long. */
export function namesOf(path: string): string[] {
  if (path.length > PATH_CHARS_MAX) throw ENAMETOOLONG;
  if (path.includes("\0")) throw EINVAL;
  const names = path.split("/").filter((name) => name !== "");
  for (const name of names) {
    // A character is at most three bytes: only names that may be too long are encoded.
    if (name.length * 3 > NAME_BYTES_MAX && encodeName(name).length > NAME_BYTES_MAX) {
      throw ENAMETOOLONG;
    }
  }
  return names;
}

/**
 * Where `path` leads; with `follow`, through a symbolic link in its last place too. A last name
 * that is not there is an answer, any other is ENOENT.
 */
export async function walk(walker: Walker, path: string, follow: boolean): Promise<Walked> {
  const { top, inodes, call } = walker;
  const chain = [inodes.root];
  const ahead = namesOf(path).reverse();
  let links = 0;
  while (ahead.length) {
    const name = ahead.pop()!;
    if (name === ".") continue;
    if (name === "..") {
      if (chain.length > 1) chain.pop();
      continue;
    }
    const parent = chain.at(-1)!;
    const stat = await lookup(walker, parent, name);
    if (!stat) {
      if (ahead.length) throw ENOENT;
      return { parent, name, found: undefined };
    }
    const inode = inodes.of(stat.gfid);
    if (isSymlink(stat) && (ahead.length || follow)) {
      if (++links > LINKS_MAX) throw ELOOP;
      const { target } = await top.readlink(call, { inode, size: TARGET_BYTES_MAX });
      if (target === "") throw ENOENT;
      if (target.startsWith("/")) chain.length = 1;
      ahead.push(...namesOf(target).reverse());
      continue;
    }
    if (!ahead.length) return { parent, name, found: { inode, stat } };
    if (!isDirectory(stat)) throw ENOTDIR;
    chain.push(inode);
  }
  const inode = chain.at(-1)!;
  const { stat } = await top.lookup(call, { inode, name: "" });
  return { parent: inode, name: "", found: { inode, stat } };
}

async function lookup(
  { top, call }: Walker,
  parent: Inode,
  name: string,
): Promise<Iatt | undefined> {
  try {
    return (await top.lookup(call, { parent, name })).stat;
  } catch (error) {
    if (ENOENT.matches(error)) return undefined;
    throw error;
  }
}
