/**
 * What a clone's brick notes of names, in `.glusterfs/clone` of its directory: names and links, which
 * reach the disk in the order of the changes that they are about.
 *
 * - `begun`: the root has its attributes. Before that, a mark on the root says that it is to begin.
 * - `gone/PARENT/NAME`: the origin's name is not the clone's any more.
 * - `whole/DIRECTORY`: all names of the origin's directory are here, or gone.
 * - `arriving`: a link to `GFID/PARENT/NAME`, while that is being made.
 * - `linking`: a link to the gfid of a file with several names, until it has all of them.
 */

import { fopError } from "core/errno.ts";
import type { Begun } from "core/foreign.ts";
import { exists } from "core/lib/files.ts";
import { type Gfid, parseGfid } from "core/inode.ts";
import { decodeName, encodeName } from "core/lib/bytes.ts";
import { BEGUN_XATTR } from "core/xdata_keys.ts";
import { AT_FDCWD, cstring, O_CLOEXEC, sys } from "core/sys/calls.ts";
import { O_CREAT, O_WRONLY } from "core/fops.ts";

const EEXIST = -17, ENOENT = -2, PATH_MAX = 4096, MODE = 0o600;
const KEY = cstring(BEGUN_XATTR);

/** A name that is being made. */
export interface Arriving {
  readonly gfid: Gfid;
  readonly parent: Gfid;
  readonly name: string;
}

/** Methods throw FopError: what the disk said. */
export class Marks {
  readonly #brick: string;
  readonly #directory: string;

  /** `directory` is the brick's. */
  constructor(directory: string) {
    this.#brick = directory;
    this.#directory = `${directory}/.glusterfs/clone`;
  }

  /**
   * Whether the directory took the place of the one that was made for the clone, as after a disk was
   * lost: what it is to have, its copies have, and not the origin.
   */
  get isReplaced(): boolean {
    return !this.isBegun && sys.lgetxattr(cstring(this.#brick), KEY, new Uint8Array(64), 64) < 0;
  }

  /** Makes what is missing. */
  prepare(): void {
    for (const name of ["", "/gone", "/whole"]) this.#mkdir(this.#directory + name);
  }

  get isBegun(): boolean {
    return exists(`${this.#directory}/begun`);
  }

  setBegun(): void {
    this.#touch(`${this.#directory}/begun`);
  }

  isWhole(directory: Gfid): boolean {
    return exists(`${this.#directory}/whole/${directory}`);
  }

  setWhole(directory: Gfid): void {
    this.#touch(`${this.#directory}/whole/${directory}`);
    try {
      Deno.removeSync(`${this.#directory}/gone/${directory}`, { recursive: true });
    } catch (error) {
      // What stays is not looked at any more.
      if (!(error instanceof Deno.errors.NotFound)) return;
    }
  }

  isGone(parent: Gfid, name: string): boolean {
    const path = cstring(`${this.#directory}/gone/${parent}/${name}`);
    return sys.faccessat(AT_FDCWD, path, 0) === 0;
  }

  setGone(parent: Gfid, name: string): void {
    const directory = `${this.#directory}/gone/${parent}`;
    this.#mkdir(directory);
    this.#touch(`${directory}/${name}`);
  }

  arriving(): Arriving | undefined {
    const into = new Uint8Array(PATH_MAX);
    const path = cstring(`${this.#directory}/arriving`);
    const size = sys.readlinkat(AT_FDCWD, path, into, into.length);
    if (size < 0) return undefined;
    const text = decodeName(into.subarray(0, size));
    const gfid = parseGfid(text.slice(0, 36)), parent = parseGfid(text.slice(37, 73));
    return gfid && parent ? { gfid, parent, name: text.slice(74) } : undefined;
  }

  arrive({ gfid, parent, name }: Arriving): void {
    const to = cstring(`${gfid}/${parent}/${name}`);
    checked(sys.symlinkat(to, AT_FDCWD, cstring(`${this.#directory}/arriving`)));
  }

  arrived(): void {
    const result = sys.unlinkat(AT_FDCWD, cstring(`${this.#directory}/arriving`), 0);
    if (result !== ENOENT) checked(result);
  }

  /** The file whose names were coming. */
  linking(): Gfid | undefined {
    const into = new Uint8Array(PATH_MAX);
    const path = cstring(`${this.#directory}/linking`);
    const size = sys.readlinkat(AT_FDCWD, path, into, into.length);
    return size < 0 ? undefined : parseGfid(decodeName(into.subarray(0, size)));
  }

  link(gfid: Gfid): void {
    const path = cstring(`${this.#directory}/linking`);
    checked(sys.symlinkat(cstring(gfid), AT_FDCWD, path));
  }

  linked(): void {
    const result = sys.unlinkat(AT_FDCWD, cstring(`${this.#directory}/linking`), 0);
    if (result !== ENOENT) checked(result);
  }

  #mkdir(path: string): void {
    const result = sys.mkdirat(AT_FDCWD, cstring(path), 0o700);
    if (result !== EEXIST) checked(result);
  }

  #touch(path: string): void {
    const fd = sys.openat(AT_FDCWD, cstring(path), O_WRONLY | O_CREAT | O_CLOEXEC, MODE);
    if (fd < 0) throw fopError(fd);
    sys.close(fd);
  }
}

function checked(result: number): void {
  if (result < 0) throw fopError(result);
}

/** The attribute of a file that begins as one of that size. */
export function begunValue({ size, blocks }: Pick<Begun, "size" | "blocks">): Uint8Array {
  return encodeName(`${size} ${blocks}`);
}
