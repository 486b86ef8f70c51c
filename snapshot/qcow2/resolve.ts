/**
 * The other files of an image: its backing file and its external data file. An image only has a name
 * for them, and whoever wrote the image chose it: `/etc/shadow`, `nbd:host:port`, `json:{…}`. So a
 * name is checked here for being a plain path, and the caller's resolver says which file it is, seen
 * from the image that has the name, and never one outside of where that caller looks.
 */

import { fopError } from "core/errno.ts";
import { AT_FDCWD, cstring, O_CLOEXEC, O_PATH, sys } from "core/sys/calls.ts";
import { LOCAL_O_DIRECTORY } from "core/sys/calls.ts";
import { refused } from "snapshot/qcow2/failures.ts";
import { LocalFile } from "snapshot/qcow2/local_file.ts";
import type { Store } from "snapshot/qcow2/store.ts";

/** A file that an image lies in. */
export interface ImageFile {
  readonly store: Store;
  /** The same for two names of one file: how loops are seen. */
  readonly id: string;
  /** What names in it are relative to, in the resolver's own terms; for messages as well. */
  readonly path: string;
}

/** Finds the files that images name. */
export interface Resolver {
  /**
   * Opens the file called `name` by the image at `from`; `name` is a plain path by then. Throws
   * `refused` for one that may not be looked at.
   */
  open(name: string, from: string, options: { readonly writable: boolean }): Promise<ImageFile>;
}

/** Throws unless `name` is a plain path: no protocol, no `json:`, nothing that is no file name. */
export function checkName(name: string): void {
  const shown = JSON.stringify(name.length > 80 ? `${name.slice(0, 79)}…` : name);
  if (name === "" || name.includes("\0")) throw refused(`${shown} names no file`);
  // As QEMU reads names: what is before a colon that comes before any slash is a protocol.
  if (/^[^/]*:/.test(name)) {
    throw refused(`${shown} is not a path: names with a protocol are not followed`);
  }
}

/**
 * Files of this machine below the folder `root`, and nothing else: the kernel itself refuses a way
 * out, by `..` or by a symbolic link (openat2 with RESOLVE_BENEATH). Absolute names work if they
 * begin with `root`. Paths of images are relative to `root`. Close it when no more files are opened.
 */
export class LocalResolver implements Resolver {
  readonly #fd: number;
  readonly #root: string;

  constructor(root: string) {
    this.#root = root.replace(/\/+$/, "");
    this.#fd = sys.openat(AT_FDCWD, cstring(root), O_PATH | O_CLOEXEC | LOCAL_O_DIRECTORY, 0);
    if (this.#fd < 0) throw fopError(this.#fd);
  }

  // deno-lint-ignore require-await -- a refusal is a rejection
  async open(name: string, from: string, { writable }: { writable: boolean }): Promise<ImageFile> {
    const path = this.#path(name, from);
    const O_RDWR = 2, O_NONBLOCK = 0o4000, RESOLVE_BENEATH = 8, RESOLVE_NO_MAGICLINKS = 2;
    // Not to wait for a FIFO's other end; on a regular file it means nothing.
    const flags = O_CLOEXEC | O_NONBLOCK | (writable ? O_RDWR : 0);
    const how = new BigUint64Array([
      BigInt(flags),
      0n,
      BigInt(RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS),
    ]);
    const fd = sys.openat2(this.#fd, cstring(path), how, how.byteLength);
    const EXDEV = -18, ELOOP = -40;
    if (fd === EXDEV || fd === ELOOP) {
      throw refused(`"${name}" leads out of the folder that images are looked for in`);
    }
    if (fd < 0) throw fopError(fd);
    const id = identity(fd);
    if (id) return { store: new LocalFile(fd), id, path };
    sys.close(fd);
    throw refused(`"${name}" is not a file`);
  }

  #path(name: string, from: string): string {
    if (name.startsWith("/")) {
      if (name.startsWith(`${this.#root}/`)) return name.slice(this.#root.length + 1) || ".";
      throw refused(`"${name}" is outside of the folder that images are looked for in`);
    }
    const slash = from.lastIndexOf("/");
    return slash < 0 ? name : `${from.slice(0, slash)}/${name}`;
  }

  close(): void {
    sys.close(this.#fd);
  }
}

// Device and inode of a regular file or block device; undefined: it is something else.
function identity(fd: number): string | undefined {
  const AT_EMPTY_PATH = 0x1000, STATX_BASIC_STATS = 0x7ff;
  const S_IFMT = 0o170000, S_IFREG = 0o100000, S_IFBLK = 0o060000;
  const stat = new Uint8Array(256);
  const result = sys.statx(fd, cstring(""), AT_EMPTY_PATH, STATX_BASIC_STATS, stat);
  if (result < 0) throw fopError(result);
  const view = new DataView(stat.buffer);
  const type = view.getUint16(28, true) & S_IFMT;
  if (type !== S_IFREG && type !== S_IFBLK) return undefined;
  return `${view.getUint32(136, true)}:${view.getUint32(140, true)}:${view.getBigUint64(32, true)}`;
}
