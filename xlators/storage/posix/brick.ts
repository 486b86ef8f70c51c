/** A brick's directory, open: what all parts of this layer share. */

import type { Call } from "core/call.ts";
import { isInternal } from "core/call.ts";
import type { Env } from "core/env.ts";
import { ENOENT, ENOSPC, ENOTDIR, ESTALE, fopError } from "core/errno.ts";
import type { Iatt } from "core/iatt.ts";
import { S_IFDIR, S_IFLNK, S_IFMT } from "core/iatt.ts";
import { type Gfid, type InodeTable, NULL_GFID, ROOT_GFID } from "core/inode.ts";
import { equalBytes } from "core/lib/bytes.ts";
import type { Xdata } from "core/xdata.ts";
import { INTERNAL_FOP } from "core/xdata_keys.ts";
import { sys } from "core/sys/calls.ts";
import { type Directory, handleName, Handles } from "xlators/storage/posix/handle.ts";
import { InPlace } from "xlators/storage/posix/in_place.ts";
import { Times } from "xlators/storage/posix/mdata.ts";
import { OpenFiles, unlinkedName } from "xlators/storage/posix/open_files.ts";
import type { PosixOptions } from "xlators/storage/posix/options.ts";
import { Space } from "xlators/storage/posix/reserve.ts";
import {
  EMPTY_PATH,
  iattOf,
  statAt,
  statFd,
  statIno,
  statIs,
  statMode,
  statNlink,
} from "xlators/storage/posix/stat.ts";
import type { Named, Target, XattrSpace } from "xlators/storage/posix/xattr_space.ts";

const ENOENT_RESULT = -2;

/** Where an inode is on the backend: for `*at` calls, and for attribute calls. */
export interface Place {
  readonly gfid: Gfid;
  readonly fd: number;
  /** Name relative to `fd`; empty if `fd` is the inode itself. */
  readonly name: Uint8Array<ArrayBuffer>;
  readonly target: Target;
  /** Set if it is a directory. */
  readonly directory?: Directory | undefined;
}

/** What a name in a directory stands for. */
export interface FoundEntry {
  /** The null gfid if the file has none. */
  readonly stat: Iatt;
  /** Links on the backend, the handle's among them. */
  readonly nlink: number;
  /** Inode number on the backend. */
  readonly ino: number;
  readonly target: Named;
}

/** What a brick is made of. */
export interface BrickParts {
  readonly path: string;
  readonly root: number;
  readonly hidden: number;
  readonly xattrs: XattrSpace;
  readonly options: PosixOptions;
  readonly env: Env;
  readonly inodes: InodeTable;
  readonly hostname: string;
  readonly dirLimit: number;
}

/** An open brick. */
export class Brick {
  readonly path: string;
  readonly root: number;
  /** `.glusterfs`. */
  readonly hidden: number;
  readonly xattrs: XattrSpace;
  readonly env: Env;
  readonly inodes: InodeTable;
  readonly hostname: string;
  readonly handles: Handles;
  readonly files: OpenFiles;
  readonly times: Times;
  readonly space: Space;
  /** Not root: owners cannot be given away. */
  readonly unprivileged: boolean;
  /** What is read and written on the thread of all fops. */
  readonly inPlace: InPlace;
  /** False once the backend refused RWF_NOWAIT. */
  nowait = true;
  options: PosixOptions;
  /** Set when the brick stops: what runs in the background ends. */
  closing = false;
  #hiddenDev: number;
  #hiddenIno: number;

  constructor(parts: BrickParts, hiddenId: { dev: number; ino: number }, uid: number) {
    this.path = parts.path;
    this.root = parts.root;
    this.hidden = parts.hidden;
    this.xattrs = parts.xattrs;
    this.env = parts.env;
    this.inodes = parts.inodes;
    this.hostname = parts.hostname;
    this.options = parts.options;
    this.unprivileged = uid !== 0;
    this.#hiddenDev = hiddenId.dev;
    this.#hiddenIno = hiddenId.ino;
    this.handles = new Handles(parts.root, parts.hidden, parts.xattrs, parts.dirLimit);
    this.inPlace = new InPlace(parts.env.clock);
    this.files = new OpenFiles(parts.hidden, (gfid, place) => this.#purgeUnlinked(gfid, place));
    this.times = new Times(parts.xattrs, parts.inodes, parts.options.ctime);
    this.space = new Space(parts.root, parts.options);
  }

  /** Throws ENOSPC if only reserved space is left and the caller is no daemon of ours. */
  checkSpace(call: Call, xdata: Xdata | undefined): void {
    if (this.space.low && !isInternal(call) && !xdata?.has(INTERNAL_FOP)) throw ENOSPC;
  }

  /** Where an inode is. Throws ESTALE if it is not here. */
  place(gfid: Gfid): Place {
    const known = this.handles.cached(gfid);
    if (known) return placeOf(this.handles.dir(gfid));
    const open = this.files.any(gfid);
    if (open) return { gfid, fd: open.sysfd, name: EMPTY_PATH, target: open.sysfd };
    const name = handleName(gfid);
    const found = statAt(this.hidden, name);
    if (found < 0) throw found === ENOENT_RESULT ? ESTALE : fopError(found);
    // One link: nobody gave it a name, so it is a directory's handle (or a leftover).
    if ((statMode() & S_IFMT) === S_IFLNK && statNlink() === 1) {
      const directory = this.#dirBehindLink(gfid);
      if (directory) return placeOf(directory);
    }
    return { gfid, fd: this.hidden, name, target: { fd: this.hidden, name } };
  }

  // undefined: a symbolic link that only its handle is left of.
  #dirBehindLink(gfid: Gfid): Directory | undefined {
    try {
      return this.handles.dir(gfid);
    } catch (error) {
      if (ENOTDIR.matches(error)) return undefined;
      throw error;
    }
  }

  /** Attributes of a place. Throws ESTALE if it went away. */
  stat(place: Place): Iatt {
    const times = this.times.of(place.gfid, place.target);
    const result = statAt(place.fd, place.name);
    if (result < 0) throw result === ENOENT_RESULT ? ESTALE : fopError(result);
    return iattOf(place.gfid, times);
  }

  /** Attributes of one of many that are listed. Throws ENOENT if it went away. */
  statListed(gfid: Gfid, target: Named): Iatt {
    const times = this.times.listed(gfid, target);
    const result = statAt(target.fd, target.name);
    if (result < 0) throw fopError(result);
    return iattOf(gfid, times);
  }

  /** Attributes of a directory. Throws ESTALE if it was removed behind our back. */
  statDir(directory: Directory): Iatt {
    const times = this.times.of(directory.gfid, directory.target);
    const result = statFd(directory.fd);
    if (result < 0) throw fopError(result);
    if (statNlink() === 0) {
      this.handles.drop(directory.gfid);
      throw ESTALE;
    }
    return iattOf(directory.gfid, times);
  }

  /** Attributes of an open file. */
  statFile(gfid: Gfid, sysfd: number): Iatt {
    const times = this.times.of(gfid, sysfd);
    const result = statFd(sysfd);
    if (result < 0) throw fopError(result);
    return iattOf(gfid, times);
  }

  /**
   * Attributes of a name in a directory; the gfid is read from the file. Throws ENOENT if there is
   * nothing (or only the brick's own directory).
   */
  statEntry(directory: Directory, name: Uint8Array<ArrayBuffer>): FoundEntry {
    const result = statAt(directory.fd, name);
    if (result < 0) throw fopError(result);
    if (directory.gfid === ROOT_GFID && statIs(this.#hiddenDev, this.#hiddenIno)) throw ENOENT;
    const target = { fd: directory.fd, name: name };
    const gfid = this.handles.gfidOf(target) ?? NULL_GFID;
    const times = gfid === NULL_GFID ? undefined : this.times.of(gfid, target);
    // Attribute calls leave the stat buffer alone.
    return { stat: iattOf(gfid, times), nlink: statNlink(), ino: statIno(), target };
  }

  /** A place for a name in a directory. */
  entryPlace(
    gfid: Gfid,
    directory: Directory,
    name: Uint8Array<ArrayBuffer>,
    target: Target,
  ): Place {
    return { gfid, fd: directory.fd, name, target };
  }

  #purgeUnlinked(gfid: Gfid, name: Uint8Array<ArrayBuffer>): void {
    this.times.forget(gfid);
    this.inodes.forget(gfid);
    // What a history keeps stays.
    if (!equalBytes(name, unlinkedName(gfid))) return;
    sys.unlinkatAsync(this.hidden, name, 0).then((result) => {
      if (result < 0 && result !== ENOENT_RESULT) {
        this.env.log.warn("cannot remove an unlinked file", { gfid, errno: -result });
      }
    });
  }

  /** Names of the directories under `.glusterfs` that exist on every brick. */
  static readonly OWN = ["unlink", "landfill", "indices", "changelogs"] as const;

  /** Closes everything. */
  close(): void {
    this.files.closeAll();
    this.handles.close();
    sys.close(this.hidden);
    sys.close(this.root);
  }
}

function placeOf(directory: Directory): Place {
  return {
    gfid: directory.gfid,
    fd: directory.fd,
    name: EMPTY_PATH,
    target: directory.target,
    directory,
  };
}

/** True for a directory's `st_mode`. */
export function isDirMode(mode: number): boolean {
  return (mode & S_IFMT) === S_IFDIR;
}
