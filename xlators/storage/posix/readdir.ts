/**
 * Listing directories. Cookies are the backend's own (`d_off`), so they survive reopening. The brick's
 * directory is hidden in the root. `.` and `..` are listed, as the real brick does.
 */

import type { Call } from "core/call.ts";
import { EBADF, EINVAL, FopError, fopError } from "core/errno.ts";
import type {
  Dirent,
  DirentPlus,
  OnInode,
  OpenReply,
  ReaddirArgs,
  ReaddirpReply,
  ReaddirReply,
} from "core/fops.ts";
import type { Iatt } from "core/iatt.ts";
import { Fd, type Gfid, gfidToBytes, type Inode, NULL_GFID, ROOT_GFID } from "core/inode.ts";
import { cstring, LOCAL_O_DIRECTORY, O_CLOEXEC, sys } from "core/sys/calls.ts";
import type { Xdata } from "core/xdata.ts";
import { CONTENT } from "core/xdata_keys.ts";
import type { Brick } from "xlators/storage/posix/brick.ts";
import { type BackendEntry, DirStream } from "xlators/storage/posix/dir_stream.ts";
import { fill } from "xlators/storage/posix/fill.ts";
import type { Directory } from "xlators/storage/posix/handle.ts";
import { HIDDEN } from "xlators/storage/posix/names.ts";

/** Room that an entry takes in a reply besides its name, and with attributes. */
const ENTRY_BYTES = 24, PLUS_BYTES = 148 + 24;
/** Answers are bounded whatever a peer asks for. */
const SIZE_MAX = 256 * 1024;
/** Entries of one answer: their attributes are read one by one, 10 µs each, and others wait meanwhile. */
const COUNT_MAX = 256;
/** An answer ends early, too, once it took that long: on a cold disk an entry costs far more. */
const TURN_MS = 8, ENTRIES_BETWEEN_LOOKS = 8;
const GONE: ReadonlySet<string> = new Set(["ENOENT", "ESTALE"]);
const NO_INO = 0xffffffffffffffffn;

/** An open directory: a place in it of its own. */
export class OpenDir extends Fd {
  readonly stream: DirStream;
  #closed = false;

  constructor(readonly brick: Brick, inode: Inode, readonly sysfd: number) {
    super(inode, 0);
    this.stream = new DirStream(sysfd);
  }

  get closed(): boolean {
    return this.#closed;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    sys.close(this.sysfd);
  }
}

/** `opendir`. */
export function opendir(brick: Brick, _call: Call, args: OnInode): OpenReply {
  return { fd: openStream(brick, args.inode) };
}

/** Opens a directory for reading. */
export function openStream(brick: Brick, inode: Inode): OpenDir {
  const directory = brick.handles.dir(inode.gfid);
  const fd = sys.openat(directory.fd, cstring("."), LOCAL_O_DIRECTORY | O_CLOEXEC, 0);
  if (fd < 0) throw fopError(fd);
  return new OpenDir(brick, inode, fd);
}

/** The open directory behind an fd of a fop. Throws EBADF for what is none of ours. */
export function dirOf(brick: Brick, fd: Fd): OpenDir {
  if (!(fd instanceof OpenDir) || fd.brick !== brick || fd.closed) throw EBADF;
  return fd;
}

// An anonymous fd gets a stream for this fop alone.
function withStream<T>(brick: Brick, fd: Fd, run: (dir: OpenDir) => T): T {
  if (!fd.anonymous) return run(dirOf(brick, fd));
  const dir = openStream(brick, fd.inode);
  try {
    return run(dir);
  } finally {
    dir.close();
  }
}

/** `readdir`. */
export function readdir(brick: Brick, _call: Call, args: ReaddirArgs): ReaddirReply {
  return withStream(brick, args.fd, (dir) => {
    const directory = brick.handles.dir(dir.inode.gfid);
    const entries: Dirent[] = [];
    const eof = each(dir, args, () => ENTRY_BYTES, (entry) => {
      const ino = inoOf(entryGfid(brick, directory, entry)) ?? entry.ino;
      entries.push({ name: entry.name, offset: entry.offset, type: entry.type, ino });
      return 0;
    });
    return { entries, eof };
  });
}

/** `readdirp`: with attributes, and what xdata asks for each. */
export function readdirp(brick: Brick, _call: Call, args: ReaddirArgs): ReaddirpReply {
  const request = args.xdata?.without(CONTENT.name);
  return withStream(brick, args.fd, (dir) => {
    const directory = brick.handles.dir(dir.inode.gfid);
    const entries: DirentPlus[] = [];
    const eof = each(dir, args, () => ENTRY_BYTES + PLUS_BYTES, (entry) => {
      const plus = describe(brick, directory, entry, request);
      if (!plus) return 0;
      entries.push(plus);
      return plus.xdata ? xdataBytes(plus.xdata) : 0;
    });
    return { entries, eof };
  });
}

// Entries from the cookie on, as many as fit; at least one. Answers whether that was the end.
function each(
  dir: OpenDir,
  args: ReaddirArgs,
  fixedBytes: () => number,
  take: (entry: BackendEntry) => number,
): boolean {
  if (args.size <= 0) throw EINVAL;
  const { stream } = dir;
  const room = Math.min(args.size, SIZE_MAX);
  const root = dir.inode.gfid === ROOT_GFID;
  stream.seek(args.offset);
  const { clock } = dir.brick.env;
  const until = clock.monotonic() + TURN_MS;
  let filled = 0, count = 0;
  for (;;) {
    const entry = stream.peek();
    if (!entry) return true;
    if (root && entry.name === HIDDEN) {
      stream.skip(entry);
      continue;
    }
    const size = fixedBytes() + entry.bytes.length;
    if (filled > 0 && (filled + size > room || count === COUNT_MAX)) return false;
    if (count > 0 && count % ENTRIES_BETWEEN_LOOKS === 0 && clock.monotonic() > until) return false;
    count++;
    filled += size + take(entry);
    stream.skip(entry);
  }
}

function xdataBytes(xdata: Xdata): number {
  let size = 12;
  for (const [name, value] of xdata) {
    size += name.length + 16 + (value.type === "ptr" ? value.value.length + 4 : 152);
  }
  return size;
}

function entryGfid(brick: Brick, directory: Directory, entry: BackendEntry): Gfid | undefined {
  if (entry.name === ".") return directory.gfid;
  if (entry.name === ".." && directory.gfid === ROOT_GFID) return undefined;
  return brick.handles.gfidOf({ fd: directory.fd, name: entry.bytes });
}

const gfidBytes = new Uint8Array(16), gfidView = new DataView(gfidBytes.buffer);

// The last 8 bytes of the gfid, as clients show inode numbers.
function inoOf(gfid: Gfid | undefined): bigint | undefined {
  if (gfid === undefined) return undefined;
  gfidToBytes(gfid, gfidBytes);
  return gfidView.getBigUint64(8);
}

// undefined: it went away while we read.
function describe(
  brick: Brick,
  directory: Directory,
  entry: BackendEntry,
  request: Xdata | undefined,
): DirentPlus | undefined {
  const { name, offset, type } = entry;
  // The root's parent is outside of the volume.
  if (name === ".." && directory.gfid === ROOT_GFID) {
    return { name, offset, type, ino: NO_INO, stat: undefined };
  }
  let stat: Iatt | undefined, gfid: Gfid | undefined, xdata: Xdata | undefined;
  try {
    if (name === ".") {
      gfid = directory.gfid;
      stat = brick.statDir(directory);
      xdata = fill(brick, request, { gfid, target: directory.target, stat });
    } else {
      const target = { fd: directory.fd, name: entry.bytes };
      gfid = brick.handles.gfidOf(target);
      if (gfid && gfid !== NULL_GFID) {
        stat = brick.statListed(gfid, target);
        xdata = fill(brick, request, { gfid, target, stat });
      }
    }
  } catch (error) {
    if (!(error instanceof FopError)) throw error;
    if (GONE.has(error.code)) return undefined;
  }
  return { name, offset, type, ino: inoOf(gfid) ?? entry.ino, stat, xdata };
}
