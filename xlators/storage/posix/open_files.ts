/**
 * Open files: what an fd of ours is on the backend, and which inodes have some.
 *
 * A descriptor is closed when its fd was released and nothing is under way on it: a call on another
 * thread (fsync, a cold read) must not find its number reused. The last close of a file without
 * names removes what kept it, `.glusterfs/unlink/<gfid>`.
 */

import { type Call, PID_GLFSHEAL, PID_REBALANCE, PID_SELF_HEAL } from "core/call.ts";
import { EBADF, EINVAL, EISDIR, ELOOP, ESTALE, fopError } from "core/errno.ts";
import {
  O_ACCMODE,
  O_APPEND,
  O_DIRECT,
  O_DSYNC,
  O_RDWR,
  O_SYNC,
  O_TRUNC,
  O_WRONLY,
} from "core/fops.ts";
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from "core/iatt.ts";
import { Fd, type Gfid, type Inode } from "core/inode.ts";
import {
  AT_FDCWD,
  cstring,
  LOCAL_O_DIRECT,
  LOCAL_O_LARGEFILE,
  LOCAL_O_NOFOLLOW,
  O_CLOEXEC,
  sys,
} from "core/sys/calls.ts";
import { handleName } from "xlators/storage/posix/handle.ts";
import { statAt, statMode, statNlink } from "xlators/storage/posix/stat.ts";

const EACCES = -13, EROFS = -30, EINVAL_RESULT = -22;

/** Daemons that make copies agree, and move files. Other negative numbers may be those of a mount. */
const MOVERS: ReadonlySet<number> = new Set([PID_SELF_HEAL, PID_GLFSHEAL, PID_REBALANCE]);

/** A regular file that a client (or, anonymous, a single fop) has open. */
export class OpenFile extends Fd {
  /** `preadv2`'s one iovec: address and size. */
  readonly iovec = new Uint32Array(4);
  /** The same file without O_DIRECT, for requests that are not aligned; -1 until needed. */
  twin = -1;
  /** Who opened it; undefined: the brick itself. */
  opener: Pick<Call, "client" | "pid"> | undefined;
  #busy = 0;
  #released = false;

  constructor(
    readonly owner: OpenFiles,
    inode: Inode,
    flags: number,
    readonly sysfd: number,
    /** Opened past the page cache. */
    readonly direct: boolean,
    anonymous: boolean,
  ) {
    super(inode, flags, anonymous);
  }

  /** True if writes have to be on stable storage before they are answered. */
  get sync(): boolean {
    return (this.flags & O_SYNC) !== 0;
  }

  get writable(): boolean {
    return (this.flags & O_ACCMODE) !== 0;
  }

  /** Something on another thread uses the descriptor from now on. */
  hold(): void {
    this.#busy++;
  }

  /** The inverse of `hold`. */
  drop(): void {
    if (--this.#busy === 0 && this.#released) this.owner.close(this);
  }

  /** The fd is gone. True if that was news. */
  release(): boolean {
    if (this.#released) return false;
    this.#released = true;
    if (this.#busy === 0) this.owner.close(this);
    return true;
  }

  get released(): boolean {
    return this.#released;
  }
}

/** Flags for the kernel: what the peer may choose, in this machine's spelling. */
export function openFlags(flags: number): number {
  // O_SYNC and O_DSYNC are done by a call that does not hold up the event loop, after the write.
  const access = (flags & O_ACCMODE) === O_ACCMODE ? O_RDWR : flags & O_ACCMODE;
  return access | (flags & (O_APPEND | O_TRUNC)) | (flags & O_DIRECT ? LOCAL_O_DIRECT : 0) |
    LOCAL_O_LARGEFILE | LOCAL_O_NOFOLLOW | O_CLOEXEC;
}

/** The open files of one brick. */
export class OpenFiles {
  #byGfid = new Map<Gfid, Set<OpenFile>>();
  /** Gfids whose last name went away while open, and where they are now. */
  #unlinked = new Map<Gfid, Uint8Array<ArrayBuffer>>();

  /** `hidden`: an open `.glusterfs`. `purge` removes a file of `.glusterfs/unlink` for good. */
  constructor(
    private readonly hidden: number,
    private readonly purge: (gfid: Gfid, place: Uint8Array<ArrayBuffer>) => void,
  ) {}

  /** Files open now. */
  get size(): number {
    let count = 0;
    for (const files of this.#byGfid.values()) count += files.size;
    return count;
  }

  /** Open files of an inode, of any client. */
  count(gfid: Gfid): number {
    return this.#byGfid.get(gfid)?.size ?? 0;
  }

  /** The same, only those that can write. */
  writers(gfid: Gfid): number {
    let count = 0;
    for (const file of this.#byGfid.get(gfid) ?? []) if (file.writable) count++;
    return count;
  }

  /** Who has the inode open for writing, through others than `besides`; who only copies what others wrote is not told. */
  *openersToWrite(gfid: Gfid, besides: Fd | undefined): Generator<Pick<Call, "client" | "pid">> {
    for (const file of this.#byGfid.get(gfid) ?? []) {
      const { opener } = file;
      if (file !== besides && file.writable && opener && !MOVERS.has(opener.pid)) yield opener;
    }
  }

  /** Any one open file of the inode: attribute calls through it are cheaper than by name. */
  any(gfid: Gfid): OpenFile | undefined {
    const files = this.#byGfid.get(gfid);
    return files && files.values().next().value;
  }

  /** True if the inode has no name any more and lives on because it is open. */
  isUnlinked(gfid: Gfid): boolean {
    return this.#unlinked.has(gfid);
  }

  /** Where such an inode is, relative to `.glusterfs`, with NUL. */
  unlinkedPlace(gfid: Gfid): Uint8Array<ArrayBuffer> | undefined {
    return this.#unlinked.get(gfid);
  }

  /** Notes that the last name went and the handle is in `.glusterfs/unlink`, or in `place`, where it stays. */
  noteUnlinked(gfid: Gfid, place = unlinkedName(gfid)): void {
    this.#unlinked.set(gfid, place);
  }

  /** Notes that the file has a name again. */
  noteLinked(gfid: Gfid): void {
    this.#unlinked.delete(gfid);
  }

  /** Opens a regular file by its handle. Throws EISDIR, ELOOP, EINVAL for what is none. */
  open(inode: Inode, flags: number): OpenFile {
    const path = this.#unlinked.get(inode.gfid) ?? handleName(inode.gfid);
    const found = statAt(this.hidden, path);
    if (found < 0) throw found === -2 ? ESTALE : fopError(found);
    const type = statMode() & S_IFMT;
    // A link without a name is a directory's handle.
    if (type === S_IFLNK) throw statNlink() === 1 ? EISDIR : ELOOP;
    if (type === S_IFDIR) throw EISDIR;
    if (type !== S_IFREG) throw EINVAL;
    const { sysfd, direct } = this.#open(path, flags);
    return this.add(new OpenFile(this, inode, flags, sysfd, direct, false));
  }

  #open(
    path: Uint8Array<ArrayBuffer>,
    flags: number,
  ): { sysfd: number; direct: boolean } {
    const wanted = openFlags(flags);
    let direct = (flags & O_DIRECT) !== 0;
    let sysfd = sys.openat(this.hidden, path, wanted, 0);
    if (sysfd === EINVAL_RESULT && direct) {
      // A file system without O_DIRECT: through the page cache is all there is.
      direct = false;
      sysfd = sys.openat(this.hidden, path, wanted & ~LOCAL_O_DIRECT, 0);
    }
    if (sysfd < 0) throw fopError(sysfd);
    return { sysfd, direct };
  }

  /** Keeps a file that was opened otherwise. */
  add(file: OpenFile): OpenFile {
    const files = this.#byGfid.get(file.inode.gfid);
    if (files) files.add(file);
    else this.#byGfid.set(file.inode.gfid, new Set([file]));
    return file;
  }

  /** The open file behind an fd of a fop; one for this fop alone if the fd is anonymous. */
  of(fd: Fd): OpenFile {
    if (fd instanceof OpenFile) {
      if (fd.owner !== this || fd.released) throw EBADF;
      return fd;
    }
    if (!fd.anonymous) throw EBADF;
    const flags = fd.flags & ~(O_TRUNC | O_ACCMODE | O_DIRECT);
    let sysfd = -1;
    const path = this.#unlinked.get(fd.inode.gfid) ?? handleName(fd.inode.gfid);
    const found = statAt(this.hidden, path);
    if (found < 0) throw found === -2 ? ESTALE : fopError(found);
    if ((statMode() & S_IFMT) !== S_IFREG) {
      throw (statMode() & S_IFMT) === S_IFLNK && statNlink() === 1 ? EISDIR : EINVAL;
    }
    let access = O_RDWR;
    sysfd = sys.openat(this.hidden, path, openFlags(flags | access), 0);
    if (sysfd === EACCES || sysfd === EROFS) {
      access = 0;
      sysfd = sys.openat(this.hidden, path, openFlags(flags), 0);
      if (sysfd === EACCES) {
        access = O_WRONLY;
        sysfd = sys.openat(this.hidden, path, openFlags(flags | access), 0);
      }
    }
    if (sysfd < 0) throw fopError(sysfd);
    return new OpenFile(this, fd.inode, flags | access, sysfd, false, true);
  }

  /** A descriptor of the same file without O_DIRECT. */
  buffered(file: OpenFile): number {
    if (!file.direct) return file.sysfd;
    if (file.twin < 0) {
      const flags = openFlags(file.flags & ~(O_DIRECT | O_TRUNC)) & ~LOCAL_O_NOFOLLOW;
      const fd = sys.openat(AT_FDCWD, cstring(`/proc/self/fd/${file.sysfd}`), flags, 0);
      if (fd < 0) throw fopError(fd);
      file.twin = fd;
    }
    return file.twin;
  }

  /** Called by the file when nothing uses it any more. */
  close(file: OpenFile): void {
    if (file.twin >= 0) sys.close(file.twin);
    const { gfid } = file.inode;
    if (file.anonymous) {
      sys.close(file.sysfd);
      return;
    }
    const files = this.#byGfid.get(gfid);
    files?.delete(file);
    const last = files !== undefined && files.size === 0;
    if (last) this.#byGfid.delete(gfid);
    sys.close(file.sysfd);
    // After the close: whichever comes last frees the blocks, and `purge` does it on another thread.
    if (!last) return;
    const place = this.#unlinked.get(gfid);
    this.#unlinked.delete(gfid);
    if (place) this.purge(gfid, place);
  }

  /** Closes all: the brick stops. */
  closeAll(): void {
    for (const files of [...this.#byGfid.values()]) {
      for (const file of [...files]) file.release();
    }
  }
}

/** Where a file without names is kept while it is open, relative to `.glusterfs`, with NUL. */
export function unlinkedName(gfid: Gfid): Uint8Array<ArrayBuffer> {
  return cstring(`unlink/${gfid}`);
}

/** True if a write with these flags has to be on stable storage before it is answered. */
export function wantsSync(flags: number): boolean {
  return (flags & (O_SYNC | O_DSYNC)) !== 0;
}
