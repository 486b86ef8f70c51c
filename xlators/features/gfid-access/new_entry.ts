/**
 * What programs that copy volumes (geo-replication) set as extended attributes of a directory to make
 * an entry in it with a gfid of their choice. Numbers are big-endian, texts end in a zero:
 *
 *     glusterfs.gfid.newfile   u32 uid, u32 gid, gfid as text, u32 mode with the type, name, and then
 *                              for a directory u32 mode, u32 umask; for a symbolic link its target;
 *                              for others u32 mode, u32 rdev, u32 umask
 *     glusterfs.gfid.heal      gfid as text, name
 *
 * Source: gfid-access.h, ga_newfile_args_t and ga_heal_args_t.
 */

import { EINVAL } from "core/errno.ts";
import { S_IFDIR, S_IFLNK, S_IFMT } from "core/iatt.ts";
import { type Gfid, parseGfid } from "core/inode.ts";
import { decodeName } from "core/lib/bytes.ts";

/** Names of the two. */
export const NEW_FILE = "glusterfs.gfid.newfile", HEAL = "glusterfs.gfid.heal";

/** An entry to be looked for with a gfid of the caller's choice. */
export interface NamedGfid {
  readonly gfid: Gfid;
  readonly name: string;
}

/** An entry to be made. */
export interface NewEntry extends NamedGfid {
  readonly uid: number;
  readonly gid: number;
  /** The type, and the mode as it is to be. */
  readonly mode: number;
  readonly umask: number;
  readonly rdev: number;
  /** Of a symbolic link. */
  readonly target: string | undefined;
}

/** Reads `glusterfs.gfid.newfile`. Throws EINVAL. */
export function readNewEntry(value: Uint8Array): NewEntry {
  const words = new Words(value);
  const uid = words.u32(), gid = words.u32();
  const gfid = words.gfid();
  const type = words.u32() & S_IFMT;
  const name = words.text();
  const who = { uid, gid, gfid, name };
  if (type === S_IFLNK) {
    const target = words.text();
    words.end();
    return { ...who, mode: type, umask: 0, rdev: 0, target };
  }
  const mode = words.u32() & 0o7777;
  const rdev = type === S_IFDIR ? 0 : words.u32();
  const umask = words.u32() & 0o777;
  words.end();
  return { ...who, mode: type | (mode & ~umask), umask, rdev, target: undefined };
}

/** Reads `glusterfs.gfid.heal`. Throws EINVAL. */
export function readNamedGfid(value: Uint8Array): NamedGfid {
  const words = new Words(value);
  const found = { gfid: words.gfid(), name: words.text() };
  words.end();
  return found;
}

/** Reads a value from its beginning; all methods throw EINVAL where it ends too early. */
class Words {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  u32(): number {
    const at = this.#at;
    if (at + 4 > this.#bytes.length) throw EINVAL;
    this.#at += 4;
    const { buffer, byteOffset } = this.#bytes;
    return new DataView(buffer, byteOffset).getUint32(at);
  }

  text(): string {
    const end = this.#bytes.indexOf(0, this.#at);
    if (end <= this.#at) throw EINVAL;
    const text = decodeName(this.#bytes.subarray(this.#at, end));
    this.#at = end + 1;
    return text;
  }

  gfid(): Gfid {
    const gfid = parseGfid(this.text());
    if (!gfid) throw EINVAL;
    return gfid;
  }

  end(): void {
    if (this.#at !== this.#bytes.length) throw EINVAL;
  }
}
