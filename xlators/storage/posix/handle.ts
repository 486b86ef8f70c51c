/**
 * Handles: how a file is found by its gfid (`.glusterfs/aa/bb/<gfid>`, aa and bb its first bytes).
 *
 * A file, symbolic link or special file has a hard link there. A directory has a symbolic link
 * `../../pp/qq/<parent's gfid>/<name>`; the root's is `../../..`. The kernel would follow at most 40 of
 * those and no path beyond PATH_MAX, so a directory is reached here step by step: read the link,
 * find the parent the same way, open the name in it (never through a symbolic link). The
 * descriptors are kept, least recently used first out, and every call goes relative to one of them.
 *
 * Invariant: a directory in the cache had the gfid it is kept under, as its own attribute says.
 * So a symbolic link that a client made to look like a directory's handle leads nowhere. A
 * descriptor follows its directory through renames; it is dropped when the directory is removed.
 */

import { ELOOP, ENOTDIR, ESTALE, fopError } from "core/errno.ts";
import { type Gfid, gfidFromBytes, parseGfid, ROOT_GFID } from "core/inode.ts";
import { decodeName } from "core/lib/bytes.ts";
import {
  AT_REMOVEDIR,
  cstring,
  LOCAL_O_DIRECTORY,
  LOCAL_O_NOFOLLOW,
  O_CLOEXEC,
  O_PATH,
  sys,
} from "core/sys/calls.ts";
import { statAt, statMode, statNlink } from "xlators/storage/posix/stat.ts";
import type { Target, XattrSpace } from "xlators/storage/posix/xattr_space.ts";
import { S_IFLNK, S_IFMT } from "core/iatt.ts";

/** The attribute that says who a file is. */
export const GFID_XATTR = "trusted.gfid";

const ENOENT = -2,
  EACCES = -13,
  EEXIST = -17,
  ENOTDIR_RESULT = -20,
  ELOOP_RESULT = -40;
const LINK_MAX = 512;
// Deeper than anything that fits a disk; ends a cycle of damaged handles.
const DEPTH_MAX = 65536;

/** A directory that is open: call relative to `fd`. */
export interface Directory {
  readonly gfid: Gfid;
  readonly fd: number;
  /** What its attributes are read and set through. */
  readonly target: Target;
  used: boolean;
}

/** Path of a file's handle relative to `.glusterfs`, with NUL. */
export function handleName(gfid: Gfid): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(43);
  bytes[0] = gfid.charCodeAt(0);
  bytes[1] = gfid.charCodeAt(1);
  bytes[3] = gfid.charCodeAt(2);
  bytes[4] = gfid.charCodeAt(3);
  bytes[2] = bytes[5] = 0x2f;
  for (let i = 0; i < 36; i++) bytes[6 + i] = gfid.charCodeAt(i);
  return bytes;
}

/** Text of a directory's handle. */
function linkText(parent: Gfid, name: string): string {
  return `../../${parent.slice(0, 2)}/${parent.slice(2, 4)}/${parent}/${name}`;
}

/** Parent and name that a directory's handle tells; undefined if it is none. */
function parseLink(text: string): { parent: Gfid; name: string } | undefined {
  const match = /^\.\.\/\.\.\/(..)\/(..)\/([0-9a-f-]{36})\/([^/]+)$/s.exec(text);
  if (!match) return undefined;
  const parent = parseGfid(match[3]!);
  if (!parent || !parent.startsWith(match[1]! + match[2]!)) return undefined;
  const name = match[4]!;
  return name === "." || name === ".." ? undefined : { parent, name };
}

/** The handles of one brick. */
export class Handles {
  #dirs = new Map<Gfid, Directory>();
  #root: Directory;
  #link = new Uint8Array(LINK_MAX);

  /** `root` and `hidden` are open directories: the brick's and its `.glusterfs`. */
  constructor(
    root: number,
    readonly hidden: number,
    private readonly xattrs: XattrSpace,
    readonly limit: number,
  ) {
    this.#root = this.#opened(ROOT_GFID, root, true);
  }

  /** Directories open now. */
  get size(): number {
    return this.#dirs.size;
  }

  /** The brick's root directory. */
  get root(): Directory {
    return this.#root;
  }

  /** The directory of that gfid, opened if need be. Throws ESTALE if there is none, ENOTDIR if it is a file's. */
  dir(gfid: Gfid): Directory {
    if (gfid === ROOT_GFID) return this.#root;
    const known = this.#dirs.get(gfid);
    if (known) {
      known.used = true;
      return known;
    }
    return this.#walk(gfid);
  }

  /** The directory if it is open already. */
  cached(gfid: Gfid): Directory | undefined {
    return gfid === ROOT_GFID ? this.#root : this.#dirs.get(gfid);
  }

  // Up along the links to a directory that is open, then down again by names.
  #walk(gfid: Gfid): Directory {
    const names: string[] = [], gfids: Gfid[] = [];
    let at = gfid;
    let from: Directory | undefined;
    while (!from) {
      const link = this.readLink(at);
      if (!link) throw this.#isFile(at) ? ENOTDIR : ESTALE;
      names.push(link.name);
      gfids.push(at);
      if (names.length > DEPTH_MAX) throw ELOOP;
      at = link.parent;
      from = this.cached(at);
    }
    for (let i = names.length - 1; i >= 0; i--) {
      from = this.openIn(from, cstring(names[i]!), gfids[i]!);
    }
    return from;
  }

  #isFile(gfid: Gfid): boolean {
    return statAt(this.hidden, handleName(gfid)) === 0 && (statMode() & S_IFMT) !== S_IFLNK;
  }

  /** Where a directory's handle says it is; undefined if there is no handle of a directory. */
  readLink(gfid: Gfid): { parent: Gfid; name: string } | undefined {
    const size = sys.readlinkat(this.hidden, handleName(gfid), this.#link, LINK_MAX);
    return size < 0 || size >= LINK_MAX
      ? undefined
      : parseLink(decodeName(this.#link.subarray(0, size)));
  }

  /**
   * Opens a directory by name and keeps it. Throws ESTALE if what is there is not `gfid`: a handle
   * that outlived its directory, or that never was one.
   */
  openIn(parent: Directory, name: Uint8Array<ArrayBuffer>, gfid: Gfid): Directory {
    const flags = LOCAL_O_DIRECTORY | LOCAL_O_NOFOLLOW | O_CLOEXEC;
    let fd = sys.openat(parent.fd, name, flags, 0);
    const readable = fd !== EACCES;
    if (!readable) fd = sys.openat(parent.fd, name, flags | O_PATH, 0);
    if (fd === ENOENT || fd === ENOTDIR_RESULT || fd === ELOOP_RESULT) throw ESTALE;
    if (fd < 0) throw fopError(fd);
    const directory = this.#opened(gfid, fd, readable);
    if (this.gfidOf(directory.target) !== gfid) {
      sys.close(fd);
      throw ESTALE;
    }
    this.#dirs.set(gfid, directory);
    return directory;
  }

  #opened(gfid: Gfid, fd: number, readable: boolean): Directory {
    // Attributes need a real descriptor; in one that is only a place they are found by name.
    const target = readable ? fd : { fd, name: cstring(".") };
    return { gfid, fd, target, used: true };
  }

  /** The gfid that a file's own attribute tells; undefined if it has none. Throws on other failures. */
  gfidOf(target: Target): Gfid | undefined {
    const size = this.xattrs.read(target, GFID_XATTR);
    if (size === 16) return gfidFromBytes(this.xattrs.bytes);
    return undefined;
  }

  /** Forgets and closes a directory: it was removed, or its gfid is elsewhere now. */
  drop(gfid: Gfid): void {
    const directory = this.#dirs.get(gfid);
    if (!directory) return;
    this.#dirs.delete(gfid);
    sys.close(directory.fd);
  }

  /**
   * Closes what has not been used for longest until the limit holds. Never within a fop: what `dir`
   * answered stays open until then.
   */
  trim(): void {
    let over = this.#dirs.size - this.limit;
    if (over <= 0) return;
    for (const directory of this.#dirs.values()) {
      this.#dirs.delete(directory.gfid);
      if (directory.used) {
        directory.used = false;
        this.#dirs.set(directory.gfid, directory);
      } else {
        sys.close(directory.fd);
        if (--over <= 0) return;
      }
    }
  }

  /** Closes all but the root. */
  close(): void {
    for (const { fd } of this.#dirs.values()) sys.close(fd);
    this.#dirs.clear();
  }

  /** Links a file's name to its handle; 0 or `-errno`. */
  linkFile(gfid: Gfid, dir: Directory, name: Uint8Array<ArrayBuffer>): number {
    const handle = handleName(gfid);
    const result = sys.linkat(dir.fd, name, this.hidden, handle, 0);
    if (result !== ENOENT) return result;
    this.#makeHashDirs(gfid);
    return sys.linkat(dir.fd, name, this.hidden, handle, 0);
  }

  /** Makes a directory's handle, or points it there if it says something else; 0 or `-errno`. */
  linkDir(gfid: Gfid, parent: Gfid, name: string): number {
    const handle = handleName(gfid), text = cstring(linkText(parent, name));
    let result = sys.symlinkat(text, this.hidden, handle);
    if (result === ENOENT) {
      this.#makeHashDirs(gfid);
      result = sys.symlinkat(text, this.hidden, handle);
    }
    if (result !== EEXIST) return result;
    const now = this.readLink(gfid);
    if (now && now.parent === parent && now.name === name) return 0;
    if (!this.isDirLink(gfid)) return EEXIST;
    // Beside the old one, then over it: there is no moment without a handle.
    const beside = cstring(`${decodeName(handle.subarray(0, -1))}.new`);
    sys.unlinkat(this.hidden, beside, 0);
    result = sys.symlinkat(text, this.hidden, beside);
    return result < 0 ? result : sys.renameat2(this.hidden, beside, this.hidden, handle, 0);
  }

  /**
   * True if the handle is a directory's, whatever it says. A symbolic link of a client has two links
   * at least: its name and the handle.
   */
  isDirLink(gfid: Gfid): boolean {
    return statAt(this.hidden, handleName(gfid)) === 0 && (statMode() & S_IFMT) === S_IFLNK &&
      statNlink() === 1;
  }

  #makeHashDirs(gfid: Gfid): void {
    const inner = cstring(`${gfid.slice(0, 2)}/${gfid.slice(2, 4)}`);
    if (sys.mkdirat(this.hidden, inner, 0o700) !== ENOENT) return;
    // The outer ones are made at start: somebody removed it.
    sys.mkdirat(this.hidden, cstring(gfid.slice(0, 2)), 0o700);
    sys.mkdirat(this.hidden, inner, 0o700);
  }

  /** Removes a handle of either kind; 0 or `-errno`. */
  unlink(gfid: Gfid): number {
    return sys.unlinkat(this.hidden, handleName(gfid), 0);
  }

  /** True if the directory `gfid` is `outer` or somewhere below it. */
  isWithin(gfid: Gfid, outer: Gfid): boolean {
    let at: Gfid | undefined = gfid;
    for (let depth = 0; at !== undefined && depth < DEPTH_MAX; depth++) {
      if (at === outer) return true;
      if (at === ROOT_GFID) return false;
      at = this.readLink(at)?.parent;
    }
    return false;
  }

  /** Path from the root, "/" or "/a/b", of a directory. Throws ESTALE if a handle on the way is missing. */
  dirPath(gfid: Gfid): string {
    let path = "", at = gfid, depth = 0;
    while (at !== ROOT_GFID) {
      const link = this.readLink(at);
      if (!link) throw ESTALE;
      if (++depth > DEPTH_MAX) throw ELOOP;
      path = `/${link.name}${path}`;
      at = link.parent;
    }
    return path === "" ? "/" : path;
  }
}

/** Removes an empty directory by name; 0 or `-errno`. */
export function removeDir(dir: Directory, name: Uint8Array<ArrayBuffer>): number {
  return sys.unlinkat(dir.fd, name, AT_REMOVEDIR);
}
