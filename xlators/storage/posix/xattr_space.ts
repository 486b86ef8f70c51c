/**
 * Extended attributes on the backend, by the names that clients use.
 *
 * As root a client's name is the backend's. Without root, `trusted.*` is closed to us: such names
 * are kept as `user.trusted.*`, which a client neither sees nor may use. The kernel keeps `user.*` only
 * on regular files and directories; for a symbolic link or special file a small regular file,
 * `.glusterfs/shadow/<inode number>`, carries the attributes in its stead.
 */

import { E2BIG, ENAMETOOLONG, EPERM, ERANGE, fopError } from "core/errno.ts";
import { addressInto } from "core/sys/address.ts";
import { S_IFDIR, S_IFMT, S_IFREG } from "core/iatt.ts";
import { decodeName, encodeName } from "core/lib/bytes.ts";
import { interned } from "core/lib/interned.ts";
import {
  AT_FDCWD,
  AT_SYMLINK_NOFOLLOW,
  cstring,
  O_CLOEXEC,
  STATX_BASIC_STATS,
  sys,
} from "core/sys/calls.ts";
import { O_CREAT, O_WRONLY } from "core/fops.ts";

/** A name, with a NUL, in an open directory; its last part is not followed. */
export interface Named {
  readonly fd: number;
  readonly name: Uint8Array<ArrayBuffer>;
}

/** A file for an attribute call: an open file descriptor, or a name. */
export type Target = number | Named;

/** XATTR_NAME_MAX and XATTR_SIZE_MAX of Linux. */
const NAME_MAX = 255, SIZE_MAX = 65536;
const NAMES_MAX = 2048;
const TRUSTED = "trusted.";
/** Where `trusted.` goes without root. */
const MAPPED = "user.trusted.";
/**
 * Nearly all values and lists of names are smaller. The kernel makes and clears as much memory as a
 * caller has room for: 64 KiB cost more than the rest of the call.
 */
const USUAL = 1024;
const ENODATA = -61, EPERM_RESULT = -1, ENOENT = -2, ERANGE_RESULT = -34, ENOSYS = -38;

/** XATTR_CREATE and XATTR_REPLACE of `setxattr(2)`. */
export const XATTR_CREATE = 1;

/** Where the kernel puts what it answers. */
class Room {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** `struct xattr_args` of `getxattrat(2)`: address, size, flags. */
  readonly args = new Uint32Array(4);

  constructor(readonly size: number) {
    this.bytes = new Uint8Array(size);
    addressInto(this.args, this.bytes, 0);
    this.args[2] = size;
  }
}

/** True if this kernel finds attributes by a name in a directory: a third of what a path costs. */
function hasNamedCalls(): boolean {
  const result = sys.listxattrat(AT_FDCWD, cstring("/"), 0, new Uint8Array(USUAL), USUAL);
  return result !== ENOSYS && result !== EPERM_RESULT;
}

/** Reads and writes attributes; holds no state but a memo of names. */
export class XattrSpace {
  #usual = new Room(USUAL);
  #large = new Room(SIZE_MAX);
  /** Where the last answer is. */
  #room = this.#usual;
  #stat = new Uint8Array(256);
  #names = new Map<string, Uint8Array<ArrayBuffer>>();
  #shadow: string;

  /**
   * `mapped`: without root. `hidden`: path of `.glusterfs` that stays valid while the brick is open.
   * `named`: whether the kernel has calls by name.
   */
  constructor(readonly mapped: boolean, hidden: string, readonly named = hasNamedCalls()) {
    this.#shadow = `${hidden}/shadow/`;
  }

  /** The value, or `-errno`. The bytes are the caller's. */
  get(target: Target, name: string): Uint8Array<ArrayBuffer> | number {
    const size = this.read(target, name);
    return size < 0 ? size : this.bytes.slice(0, size);
  }

  /** Size of the value, now in `bytes` until the next call; or `-errno`. */
  read(target: Target, name: string): number {
    const key = this.#key(name);
    const size = this.#read(target, key);
    if (size !== ENODATA || !this.mapped) return size;
    const shadow = this.#shadowOf(target);
    if (!shadow) return size;
    const found = this.#read(shadow, key);
    return found === ENOENT ? ENODATA : found;
  }

  /** What `read` read last. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#room.bytes;
  }

  #read(target: Target, key: Uint8Array<ArrayBuffer>): number {
    const size = this.#readInto(this.#room = this.#usual, target, key);
    return size === ERANGE_RESULT ? this.#readInto(this.#room = this.#large, target, key) : size;
  }

  #readInto({ bytes, size, args }: Room, target: Target, key: Uint8Array<ArrayBuffer>): number {
    if (typeof target === "number") return sys.fgetxattr(target, key, bytes, size);
    if (!this.named) return sys.lgetxattr(pathOf(target), key, bytes, size);
    return sys.getxattrat(target.fd, target.name, AT_SYMLINK_NOFOLLOW, key, args, args.byteLength);
  }

  #list(target: Target): number {
    const size = this.#listInto(this.#room = this.#usual, target);
    return size === ERANGE_RESULT ? this.#listInto(this.#room = this.#large, target) : size;
  }

  #listInto({ bytes, size }: Room, target: Target): number {
    if (typeof target === "number") return sys.flistxattr(target, bytes, size);
    if (!this.named) return sys.llistxattr(pathOf(target), bytes, size);
    return sys.listxattrat(target.fd, target.name, AT_SYMLINK_NOFOLLOW, bytes, size);
  }

  /** Sets a value; 0 or `-errno`. `flags` as in `setxattr(2)`. Throws what `checkValue` throws. */
  set(target: Target, name: string, value: Uint8Array, flags = 0): number {
    checkValue(value);
    const key = this.#key(name);
    const result = typeof target === "number"
      ? sys.fsetxattr(target, key, value as BufferSource, value.length, flags | 0)
      : sys.lsetxattr(pathOf(target), key, value as BufferSource, value.length, flags | 0);
    if (result !== EPERM_RESULT || !this.mapped) return result;
    const shadow = this.#shadowOf(target);
    if (!shadow) return result;
    const fd = sys.openat(AT_FDCWD, shadow.name, O_CREAT | O_WRONLY | O_CLOEXEC, 0o600);
    if (fd < 0) return fd;
    const set = sys.fsetxattr(fd, key, value as BufferSource, value.length, flags | 0);
    sys.close(fd);
    return set;
  }

  /** Removes a name; 0 or `-errno`. */
  remove(target: Target, name: string): number {
    const key = this.#key(name);
    const result = typeof target === "number"
      ? sys.fremovexattr(target, key)
      : sys.lremovexattr(pathOf(target), key);
    if (result !== EPERM_RESULT || !this.mapped) return result;
    const shadow = this.#shadowOf(target);
    if (!shadow) return result;
    const removed = sys.lremovexattr(shadow.name, key);
    return removed === ENOENT ? ENODATA : removed;
  }

  /** All names, as clients use them. Throws what the kernel answers. */
  list(target: Target): string[] {
    const size = this.#list(target);
    if (size < 0) throw fopError(size);
    const names = splitNames(this.bytes, size);
    if (!this.mapped) return names;
    const shadow = this.#shadowOf(target);
    if (shadow) {
      const more = this.#list(shadow);
      if (more > 0) names.push(...splitNames(this.bytes, more));
    }
    return names.filter((name) => !name.startsWith(TRUSTED)).map((name) =>
      name.startsWith(MAPPED) ? name.slice("user.".length) : name
    );
  }

  /** The last name of a file without attributes of its own went away: so does what carried them. */
  dropShadow(ino: number): void {
    if (this.mapped) sys.unlinkat(AT_FDCWD, cstring(this.#shadow + ino), 0);
  }

  // The name for the kernel, memoized: few names serve nearly all calls.
  #key(name: string): Uint8Array<ArrayBuffer> {
    const known = this.#names.get(name);
    if (known) return known;
    if (name === "" || name.includes("\0")) throw ERANGE;
    let backend = name;
    if (this.mapped) {
      if (name.startsWith(MAPPED)) throw EPERM;
      if (name.startsWith(TRUSTED)) backend = "user." + name;
    }
    const key = cstring(backend);
    if (key.length > NAME_MAX + 1) throw name.length > NAME_MAX ? ERANGE : ENAMETOOLONG;
    if (this.#names.size >= NAMES_MAX) this.#names.clear();
    this.#names.set(name, key);
    return key;
  }

  // The file, by its whole path, that carries the attributes of one that cannot; undefined if it can itself.
  #shadowOf(target: Target): Named | undefined {
    if (typeof target === "number") return undefined;
    const { fd, name } = target;
    const result = sys.statx(fd, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, this.#stat);
    if (result < 0) return undefined;
    const view = new DataView(this.#stat.buffer);
    const type = view.getUint16(28, true) & S_IFMT;
    if (type === S_IFREG || type === S_IFDIR) return undefined;
    return { fd: AT_FDCWD, name: cstring(this.#shadow + view.getBigUint64(32, true)) };
  }
}

/** Throws E2BIG for a value beyond what Linux keeps. */
export function checkValue(value: Uint8Array): void {
  if (value.length > SIZE_MAX) throw E2BIG;
}

function pathOf({ fd, name }: Named): Uint8Array<ArrayBuffer> {
  if (fd === AT_FDCWD) return name;
  const prefix = encodeName(`/proc/self/fd/${fd}/`);
  const path = new Uint8Array(prefix.length + name.length);
  path.set(prefix);
  path.set(name, prefix.length);
  return path;
}

function splitNames(bytes: Uint8Array, size: number): string[] {
  const names: string[] = [];
  let start = 0;
  for (let i = 0; i < size; i++) {
    if (bytes[i] !== 0) continue;
    names.push(interned(bytes, start, i - start, decodeName));
    start = i + 1;
  }
  return names;
}
