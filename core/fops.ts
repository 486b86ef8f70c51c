/**
 * Every fop, once: what it takes, what it answers, its number on the wire and its kind.
 *
 * Adding a fop is a line in `FopTable`, one in `FOPS`, one in each base of `core/xlator.ts` and a
 * `Wire` in `rpc/programs`; the compiler asks for each.
 *
 * Buffers: `args.data` is borrowed until the promise settles, copy to keep; `reply.data` belongs to
 * the receiver. Offsets and sizes are bytes, whole numbers from 0 to 2^53 - 1. Directory cookies
 * and lock ranges use all 64 bits and are bigint.
 */

import type { Call, LkOwner } from "core/call.ts";
import type { Iatt, Timespec } from "core/iatt.ts";
import type { Entry, Fd, Inode } from "core/inode.ts";
import type { Xdata } from "core/xdata.ts";

/** What every args and every reply may have. */
export interface WithXdata {
  readonly xdata?: Xdata | undefined;
}

/** A fop on a file or directory by its identity. */
export interface OnInode extends WithXdata {
  readonly inode: Inode;
}
/** A fop on what somebody opened. */
export interface OnFd extends WithXdata {
  readonly fd: Fd;
}
/** A name in a directory. */
export interface OnEntry extends WithXdata, Entry {}

/** A reply with nothing but xdata. Answer `DONE` when there is none. */
export type Empty = WithXdata;
export const DONE: Empty = Object.freeze({});

/** Attributes right before and right after a change; undefined where a layer cannot tell. */
export interface PrePost extends WithXdata {
  readonly pre: Iatt | undefined;
  readonly post: Iatt | undefined;
}
/** Attributes as they are now. */
export interface StatReply extends WithXdata {
  readonly stat: Iatt;
}
/** A parent directory before and after. */
export interface ParentReply extends WithXdata {
  readonly preParent: Iatt | undefined;
  readonly postParent: Iatt | undefined;
}
/** A new name: its inode, and the parent before and after. */
export interface EntryReply extends ParentReply {
  readonly stat: Iatt;
}

/**
 * Named: `parent` and `name` (and `inode` when the caller knows what was there). Nameless: only
 * `inode`, `name` is "". A name that is not there fails with ENOENT carrying `postParent`.
 */
export interface LookupArgs extends WithXdata {
  readonly inode?: Inode | undefined;
  readonly parent?: Inode | undefined;
  readonly name: string;
  readonly flags?: number | undefined;
}
/** What a name, or an inode without one, stands for. */
export interface LookupReply extends WithXdata {
  /** `stat.gfid` is what the name stands for now, whatever the caller expected. */
  readonly stat: Iatt;
  readonly postParent: Iatt | undefined;
}

/** May the caller do this? EACCES if not. */
export interface AccessArgs extends OnInode {
  /** R_OK 4, W_OK 2, X_OK 1. */
  readonly mask: number;
}
/** What a symbolic link holds. */
export interface ReadlinkArgs extends OnInode {
  /** The answer is cut there. */
  readonly size: number;
}
/** The target as it was given to symlink, not resolved. */
export interface ReadlinkReply extends WithXdata {
  readonly target: string;
  readonly stat: Iatt | undefined;
}
/** A new directory; `GFID_REQ` in xdata says its gfid, `umask` is applied already. */
export interface MkdirArgs extends OnEntry {
  readonly mode: number;
  readonly umask: number;
}
/** A new file, fifo, socket or device: the type is in `mode`, a file if none is. */
export interface MknodArgs extends MkdirArgs {
  /** Linux dev_t as the caller's kernel encodes it; 0 for what is no device. */
  readonly rdev: number;
}
/** A new symbolic link; the target is kept as it is. */
export interface SymlinkArgs extends OnEntry {
  readonly target: string;
  readonly umask: number;
}
/** Takes a name from what is no directory; open files live on. */
export interface UnlinkArgs extends OnEntry {
  readonly flags: number;
}
/** Takes a directory away. */
export interface RmdirArgs extends OnEntry {
  /** Bit 0: with all that is in it. */
  readonly flags: number;
}
/** Moves a name; what is in the way is replaced if it may be. */
export interface RenameArgs extends WithXdata {
  readonly oldParent: Inode;
  readonly oldName: string;
  readonly newParent: Inode;
  readonly newName: string;
}
/** What was moved, and both parents before and after. */
export interface RenameReply extends WithXdata {
  readonly stat: Iatt | undefined;
  readonly preOldParent: Iatt | undefined;
  readonly postOldParent: Iatt | undefined;
  readonly preNewParent: Iatt | undefined;
  readonly postNewParent: Iatt | undefined;
}
/** One more name, `parent` and `name`, for a file that is there. */
export interface LinkArgs extends OnEntry {
  /** The file that gets one more name. */
  readonly inode: Inode;
}
/** Cuts a file at `offset`, or grows it to there with zeros. */
export interface TruncateArgs extends OnInode {
  readonly offset: number;
}
/** The same through an open file. */
export interface FtruncateArgs extends OnFd {
  readonly offset: number;
}
/** Opens a file; O_CREAT and O_EXCL mean nothing here. */
export interface OpenArgs extends OnInode {
  /** Linux open flags (x86 values). */
  readonly flags: number;
}
/** Whoever asked releases it. */
export interface OpenReply extends WithXdata {
  readonly fd: Fd;
}
/** Makes a file and opens it, or opens what is there unless O_EXCL is set. */
export interface CreateArgs extends MkdirArgs {
  readonly flags: number;
}
/** The file, its parent, and the fd to release. */
export interface CreateReply extends EntryReply {
  readonly fd: Fd;
}
/** Reads a range. */
export interface ReadvArgs extends OnFd {
  readonly offset: number;
  readonly size: number;
  /** Open flags repeated, O_DIRECT among them. */
  readonly flags: number;
  /**
   * A place of at least `size` bytes where the data may be put instead of a new buffer; the caller's
   * again when the promise settles. The reply's `data` need not be in it.
   */
  readonly into?: Uint8Array<ArrayBuffer> | undefined;
  /** The caller gives back what it was lent: the data may stay where it came in. */
  readonly lend?: boolean | undefined;
}
/** Memory of somebody else. */
export interface Lent {
  /** It is not needed any more. Once. */
  release(): void;
}
/** What was read; the data belongs to the receiver, unless it is lent. */
export interface ReadvReply extends WithXdata {
  /** At most `size` bytes; fewer only at the end of the file. */
  readonly data: Uint8Array;
  readonly stat: Iatt | undefined;
  /** True if the data reaches the end of the file. */
  readonly eof: boolean;
  /** Only where `lend` asked for it: what the data lies in. `LENT_FRONT` bytes before it are lent, too. */
  readonly lent?: Lent | undefined;
}
/** Bytes in front of data that was lent: room for a head. */
export const LENT_FRONT = 16;
/** Writes all of `data`, or fails; the data is borrowed until the answer. */
export interface WritevArgs extends OnFd {
  readonly offset: number;
  readonly data: Uint8Array;
  /** Open flags repeated; O_SYNC and O_DSYNC ask for stable storage before the answer. */
  readonly flags: number;
}
/** `statvfs`: blocks count in units of `frsize` bytes. */
export interface Statfs {
  readonly bsize: number;
  readonly frsize: number;
  readonly blocks: number;
  readonly bfree: number;
  readonly bavail: number;
  readonly files: number;
  readonly ffree: number;
  readonly favail: number;
  readonly fsid: bigint;
  readonly flag: number;
  readonly namemax: number;
}
/** Space and inodes of what the inode lies on. */
export interface StatfsReply extends WithXdata {
  readonly statfs: Statfs;
}
/** Answered when what was written before is on stable storage. */
export interface FsyncArgs extends OnFd {
  /** Only what is needed to read the data back (`fdatasync`). */
  readonly dataOnly: boolean;
}
/** Sets extended attributes; none is a success. */
export interface SetxattrArgs extends OnInode {
  readonly xattrs: Xdata | undefined;
  /** XATTR_CREATE 1, XATTR_REPLACE 2. */
  readonly flags: number;
}
/** The same through an open file. */
export interface FsetxattrArgs extends OnFd {
  readonly xattrs: Xdata | undefined;
  readonly flags: number;
}
/** Reads extended attributes, the brick's own left out. */
export interface GetxattrArgs extends OnInode {
  /** "" asks for all, with values. */
  readonly name: string;
}
/** The same through an open file. */
export interface FgetxattrArgs extends OnFd {
  readonly name: string;
}
/** Values by name; undefined for none. */
export interface XattrReply extends WithXdata {
  readonly xattrs: Xdata | undefined;
}
/** Removes extended attributes. */
export interface RemovexattrArgs extends OnInode {
  /** "" removes every key that xdata lists; missing ones are no error. */
  readonly name: string;
}
/** The same through an open file. */
export interface FremovexattrArgs extends OnFd {
  readonly name: string;
}
/** XATTROP_ADD_ARRAY … in glusterfs's order of wire numbers 0 to 6. */
export const XATTROPS = [
  "add32",
  "add64",
  "or",
  "and",
  "get-and-set",
  "add32-default",
  "add64-default",
] as const;
export type XattropKind = typeof XATTROPS[number];
/** Computes with attributes, atomically per inode; what is all zero is not written. */
export interface XattropArgs extends OnInode {
  readonly op: XattropKind;
  readonly xattrs: Xdata | undefined;
}
/** The same through an open file. */
export interface FxattropArgs extends OnFd {
  readonly op: XattropKind;
  readonly xattrs: Xdata | undefined;
}
/** Entries of an open directory, from a cookie on. */
export interface ReaddirArgs extends OnFd {
  /** Cookie of the last entry seen; 0n: from the start. */
  readonly offset: bigint;
  /** About how many bytes of reply the caller has room for. */
  readonly size: number;
}
/** An entry, `.` and `..` among them. */
export interface Dirent {
  readonly name: string;
  /** Where the next read goes on after this entry; all 64 bits. */
  readonly offset: bigint;
  /** DT_DIR 4, DT_REG 8, …; 0 unknown. */
  readonly type: number;
  /** Inode number as a client shows it: last 8 gfid bytes; backend's where no gfid is known. */
  readonly ino: bigint;
}
/** An entry with what a lookup of it would answer. */
export interface DirentPlus extends Dirent {
  /** Undefined if it could not be had: the caller looks the name up. */
  readonly stat: Iatt | undefined;
  readonly xdata?: Xdata | undefined;
}
/** Entries after the cookie; none only at the end. */
export interface ReaddirReply extends WithXdata {
  readonly entries: readonly Dirent[];
  /** True if there is nothing after these. */
  readonly eof: boolean;
}
/** The same with attributes. */
export interface ReaddirpReply extends WithXdata {
  readonly entries: readonly DirentPlus[];
  readonly eof: boolean;
}
export type LockType = "read" | "write" | "unlock";
/** A byte range and its lock; `size` 0n reaches to infinity. Values to 2^63 - 1. */
export interface Flock {
  readonly type: LockType;
  /** SEEK_SET 0, SEEK_CUR 1, SEEK_END 2. */
  readonly whence: number;
  readonly start: bigint;
  readonly size: bigint;
  readonly pid: number;
  readonly owner: LkOwner;
}
/** `set` fails with EAGAIN where `set-wait` waits. */
export type LockCommand = "get" | "set" | "set-wait";
/**
 * POSIX lock commands on the wire also ask about reservations and fds (GF_LK_RESLK_LCK 3,
 * RESLK_LCKW 4, RESLK_UNLCK 5, GETLK_FD 6).
 */
export type LkCommand = LockCommand | "reserve" | "reserve-wait" | "unreserve" | "get-fd";
/** A POSIX lock (fcntl, flock) of the caller's lock owner. */
export interface LkArgs extends OnFd {
  readonly cmd: LkCommand;
  readonly lock: Flock;
  /** Gives up a wait (with EINTR). */
  readonly signal?: AbortSignal | undefined;
}
/** For `get` the lock in the way, or type `unlock`; else the lock as it was asked for. */
export interface LkReply extends WithXdata {
  readonly lock: Flock;
}
interface InodelkPart {
  readonly domain: string;
  readonly cmd: LockCommand;
  readonly lock: Flock;
}
/** A lock of a cluster layer on a byte range, in a domain of its own. */
export interface InodelkArgs extends OnInode, InodelkPart {}
/** The same through an open file; it outlives the fd. */
export interface FinodelkArgs extends OnFd, InodelkPart {}
interface EntrylkPart {
  readonly domain: string;
  /** "" is the whole directory. */
  readonly name: string;
  readonly cmd: "lock" | "unlock" | "try-lock";
  readonly type: "read" | "write";
}
/** A lock of a cluster layer on a name in a directory. */
export interface EntrylkArgs extends OnInode, EntrylkPart {}
/** The same through an open directory. */
export interface FentrylkArgs extends OnFd, EntrylkPart {}
/** Sums of a block, to compare copies without moving it. */
export interface RchecksumArgs extends OnFd {
  readonly offset: number;
  readonly size: number;
}
/** Equal for equal blocks. */
export interface RchecksumReply extends WithXdata {
  /** Adler-like sum of rsync; 0 where the block is only zeros matters to heal. */
  readonly weak: number;
  /** SHA-256 (flag 1) of the block. */
  readonly strong: Uint8Array;
}
/** What setattr shall change; what is absent stays. */
export interface AttrChanges {
  readonly mode?: number | undefined;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  readonly atime?: Timespec | "now" | undefined;
  readonly mtime?: Timespec | "now" | undefined;
  readonly ctime?: Timespec | undefined;
}
/** Changes attributes of an inode. */
export interface SetattrArgs extends OnInode {
  readonly changes: AttrChanges;
}
/** The same through an open file. */
export interface FsetattrArgs extends OnFd {
  readonly changes: AttrChanges;
}
/** Reserves space, or does what `mode` says, for a range. */
export interface FallocateArgs extends OnFd {
  /** Linux FALLOC_FL_* bits. */
  readonly mode: number;
  readonly offset: number;
  readonly size: number;
}
/** A range to make a hole (discard) or zeros (zerofill). */
export interface RangeArgs extends OnFd {
  readonly offset: number;
  readonly size: number;
}
/** A message between layers: xdata, and `op` says to whom. */
export interface IpcArgs extends WithXdata {
  readonly op: number;
}
/** Where data, or a hole, begins at or after `offset`. */
export interface SeekArgs extends OnFd {
  readonly offset: number;
  readonly what: "data" | "hole";
}
/** ENXIO instead if there is none. */
export interface SeekReply extends WithXdata {
  readonly offset: number;
}
/** A promise that nobody else opens the file in the way. */
export interface Lease {
  /** GET_LEASE 1, SET_LEASE 2, UNLK_LEASE 3. */
  readonly cmd: number;
  /** NONE 0, RD 1, RW 2. */
  readonly type: number;
  /** 16 bytes as hexadecimal text. */
  readonly id: string;
  readonly flags: number;
}
/** Asks for a lease, gives it up or reads it. */
export interface LeaseArgs extends OnInode {
  readonly lease: Lease;
}
/** The lease as it is now. */
export interface LeaseReply extends WithXdata {
  readonly lease: Lease;
}
/** A lock with the client that holds it, for moving locks to another brick. */
export interface ActiveLock {
  readonly lock: Flock;
  readonly clientId: string;
  readonly flags: number;
}
/** All POSIX locks held on an inode. */
export interface ActivelkReply extends WithXdata {
  readonly locks: readonly ActiveLock[];
}
/** Locks that another brick held: taken over as they are. */
export interface SetactivelkArgs extends OnInode {
  readonly locks: readonly ActiveLock[];
}
/** An inode that has no name yet. */
export interface IcreateArgs extends OnInode {
  readonly mode: number;
}
/** `inode` is the one made by `icreate`; its gfid comes in xdata or is the file's. */
export type NamelinkArgs = OnEntry;
/** A file with content and attributes in one step. */
export interface PutArgs extends MkdirArgs {
  readonly flags: number;
  readonly offset: number;
  readonly data: Uint8Array;
  readonly xattrs: Xdata | undefined;
}
/** Copies from `source` to `fd` within the brick. */
export interface CopyFileRangeArgs extends WithXdata {
  readonly source: Fd;
  readonly sourceOffset: number;
  readonly fd: Fd;
  readonly offset: number;
  readonly size: number;
  readonly flags: number;
}
/** `pre` and `post` are the destination's. */
export interface CopyFileRangeReply extends PrePost {
  /** Bytes copied. */
  readonly size: number;
  /** The source. */
  readonly stat: Iatt | undefined;
}

/** Every fop, once: what it takes and what it answers. */
export interface FopTable {
  stat: { args: OnInode; reply: StatReply };
  readlink: { args: ReadlinkArgs; reply: ReadlinkReply };
  mknod: { args: MknodArgs; reply: EntryReply };
  mkdir: { args: MkdirArgs; reply: EntryReply };
  unlink: { args: UnlinkArgs; reply: ParentReply };
  rmdir: { args: RmdirArgs; reply: ParentReply };
  symlink: { args: SymlinkArgs; reply: EntryReply };
  rename: { args: RenameArgs; reply: RenameReply };
  link: { args: LinkArgs; reply: EntryReply };
  truncate: { args: TruncateArgs; reply: PrePost };
  open: { args: OpenArgs; reply: OpenReply };
  readv: { args: ReadvArgs; reply: ReadvReply };
  writev: { args: WritevArgs; reply: PrePost };
  statfs: { args: OnInode; reply: StatfsReply };
  flush: { args: OnFd; reply: Empty };
  fsync: { args: FsyncArgs; reply: PrePost };
  setxattr: { args: SetxattrArgs; reply: Empty };
  getxattr: { args: GetxattrArgs; reply: XattrReply };
  removexattr: { args: RemovexattrArgs; reply: Empty };
  opendir: { args: OnInode; reply: OpenReply };
  fsyncdir: { args: FsyncArgs; reply: Empty };
  access: { args: AccessArgs; reply: Empty };
  create: { args: CreateArgs; reply: CreateReply };
  ftruncate: { args: FtruncateArgs; reply: PrePost };
  fstat: { args: OnFd; reply: StatReply };
  lk: { args: LkArgs; reply: LkReply };
  lookup: { args: LookupArgs; reply: LookupReply };
  readdir: { args: ReaddirArgs; reply: ReaddirReply };
  inodelk: { args: InodelkArgs; reply: Empty };
  finodelk: { args: FinodelkArgs; reply: Empty };
  entrylk: { args: EntrylkArgs; reply: Empty };
  fentrylk: { args: FentrylkArgs; reply: Empty };
  xattrop: { args: XattropArgs; reply: XattrReply };
  fxattrop: { args: FxattropArgs; reply: XattrReply };
  fgetxattr: { args: FgetxattrArgs; reply: XattrReply };
  fsetxattr: { args: FsetxattrArgs; reply: Empty };
  rchecksum: { args: RchecksumArgs; reply: RchecksumReply };
  setattr: { args: SetattrArgs; reply: PrePost };
  fsetattr: { args: FsetattrArgs; reply: PrePost };
  readdirp: { args: ReaddirArgs; reply: ReaddirpReply };
  release: { args: OnFd; reply: Empty };
  releasedir: { args: OnFd; reply: Empty };
  fremovexattr: { args: FremovexattrArgs; reply: Empty };
  fallocate: { args: FallocateArgs; reply: PrePost };
  discard: { args: RangeArgs; reply: PrePost };
  zerofill: { args: RangeArgs; reply: PrePost };
  ipc: { args: IpcArgs; reply: Empty };
  seek: { args: SeekArgs; reply: SeekReply };
  lease: { args: LeaseArgs; reply: LeaseReply };
  getactivelk: { args: OnInode; reply: ActivelkReply };
  setactivelk: { args: SetactivelkArgs; reply: Empty };
  icreate: { args: IcreateArgs; reply: StatReply };
  namelink: { args: NamelinkArgs; reply: ParentReply };
  put: { args: PutArgs; reply: EntryReply };
  copyFileRange: { args: CopyFileRangeArgs; reply: CopyFileRangeReply };
}

/** What the arguments of any fop may say that it is about. */
export interface AnyArgs {
  readonly fd?: Fd;
  readonly source?: Fd;
  readonly inode?: Inode;
  readonly parent?: Inode;
  readonly name?: string;
  readonly oldParent?: Inode;
  readonly oldName?: string;
  readonly newParent?: Inode;
  readonly newName?: string;
}

export type FopName = keyof FopTable;
export type Args<K extends FopName> = FopTable[K]["args"];
export type Reply<K extends FopName> = FopTable[K]["reply"];
/** All fops as methods. */
export type Fops = { [K in FopName]: (call: Call, args: Args<K>) => Promise<Reply<K>> };

/**
 * What a fop does to the volume: `inspect` changes nothing, `modify` changes data, attributes or
 * names, `lock` only the lock tables, `handle` only open files.
 */
export type FopKind = "inspect" | "modify" | "lock" | "handle";

/** What loops over fops need to know of one. */
export interface FopInfo {
  /** Procedure of program 1298437 version 400. */
  readonly proc: number;
  readonly kind: FopKind;
  /** As GlusterFS prints it in profiles and traces. */
  readonly label: string;
}

/** The same fops at run time; `satisfies` keeps the two lists equal. Procedure 49 (COMPOUND) died with GlusterFS 6. */
export const FOPS = {
  stat: { proc: 1, kind: "inspect", label: "STAT" },
  readlink: { proc: 2, kind: "inspect", label: "READLINK" },
  mknod: { proc: 3, kind: "modify", label: "MKNOD" },
  mkdir: { proc: 4, kind: "modify", label: "MKDIR" },
  unlink: { proc: 5, kind: "modify", label: "UNLINK" },
  rmdir: { proc: 6, kind: "modify", label: "RMDIR" },
  symlink: { proc: 7, kind: "modify", label: "SYMLINK" },
  rename: { proc: 8, kind: "modify", label: "RENAME" },
  link: { proc: 9, kind: "modify", label: "LINK" },
  truncate: { proc: 10, kind: "modify", label: "TRUNCATE" },
  open: { proc: 11, kind: "handle", label: "OPEN" },
  readv: { proc: 12, kind: "inspect", label: "READ" },
  writev: { proc: 13, kind: "modify", label: "WRITE" },
  statfs: { proc: 14, kind: "inspect", label: "STATFS" },
  flush: { proc: 15, kind: "handle", label: "FLUSH" },
  fsync: { proc: 16, kind: "handle", label: "FSYNC" },
  setxattr: { proc: 17, kind: "modify", label: "SETXATTR" },
  getxattr: { proc: 18, kind: "inspect", label: "GETXATTR" },
  removexattr: { proc: 19, kind: "modify", label: "REMOVEXATTR" },
  opendir: { proc: 20, kind: "handle", label: "OPENDIR" },
  fsyncdir: { proc: 21, kind: "handle", label: "FSYNCDIR" },
  access: { proc: 22, kind: "inspect", label: "ACCESS" },
  create: { proc: 23, kind: "modify", label: "CREATE" },
  ftruncate: { proc: 24, kind: "modify", label: "FTRUNCATE" },
  fstat: { proc: 25, kind: "inspect", label: "FSTAT" },
  lk: { proc: 26, kind: "lock", label: "LK" },
  lookup: { proc: 27, kind: "inspect", label: "LOOKUP" },
  readdir: { proc: 28, kind: "inspect", label: "READDIR" },
  inodelk: { proc: 29, kind: "lock", label: "INODELK" },
  finodelk: { proc: 30, kind: "lock", label: "FINODELK" },
  entrylk: { proc: 31, kind: "lock", label: "ENTRYLK" },
  fentrylk: { proc: 32, kind: "lock", label: "FENTRYLK" },
  xattrop: { proc: 33, kind: "modify", label: "XATTROP" },
  fxattrop: { proc: 34, kind: "modify", label: "FXATTROP" },
  fgetxattr: { proc: 35, kind: "inspect", label: "FGETXATTR" },
  fsetxattr: { proc: 36, kind: "modify", label: "FSETXATTR" },
  rchecksum: { proc: 37, kind: "inspect", label: "RCHECKSUM" },
  setattr: { proc: 38, kind: "modify", label: "SETATTR" },
  fsetattr: { proc: 39, kind: "modify", label: "FSETATTR" },
  readdirp: { proc: 40, kind: "inspect", label: "READDIRP" },
  release: { proc: 41, kind: "handle", label: "RELEASE" },
  releasedir: { proc: 42, kind: "handle", label: "RELEASEDIR" },
  fremovexattr: { proc: 43, kind: "modify", label: "FREMOVEXATTR" },
  fallocate: { proc: 44, kind: "modify", label: "FALLOCATE" },
  discard: { proc: 45, kind: "modify", label: "DISCARD" },
  zerofill: { proc: 46, kind: "modify", label: "ZEROFILL" },
  ipc: { proc: 47, kind: "handle", label: "IPC" },
  seek: { proc: 48, kind: "inspect", label: "SEEK" },
  lease: { proc: 50, kind: "lock", label: "LEASE" },
  getactivelk: { proc: 51, kind: "lock", label: "GETACTIVELK" },
  setactivelk: { proc: 52, kind: "lock", label: "SETACTIVELK" },
  icreate: { proc: 53, kind: "modify", label: "ICREATE" },
  namelink: { proc: 54, kind: "modify", label: "NAMELINK" },
  put: { proc: 55, kind: "modify", label: "PUT" },
  copyFileRange: { proc: 56, kind: "modify", label: "COPY_FILE_RANGE" },
} as const satisfies Record<FopName, FopInfo>;

/** All fop names, in wire order. */
export const FOP_NAMES = Object.keys(FOPS) as readonly FopName[];

// Open flags as they travel (x86 Linux values, octal).
export const O_WRONLY = 0o1;
export const O_RDWR = 0o2;
export const O_ACCMODE = 0o3;
export const O_CREAT = 0o100;
export const O_EXCL = 0o200;
export const O_TRUNC = 0o1000;
export const O_APPEND = 0o2000;
export const O_DSYNC = 0o10000;
export const O_DIRECT = 0o40000;
export const O_LARGEFILE = 0o100000;
export const O_DIRECTORY = 0o200000;
export const O_NOFOLLOW = 0o400000;
export const O_SYNC = 0o4010000;
