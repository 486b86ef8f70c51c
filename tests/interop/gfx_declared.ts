/**
 * Every fop's request and reply as glusterfs4-xdr.x declares them, field by field, for checking the
 * codecs that read and write bytes in place. Slow, and without a meaning for any value.
 */

import type { FopName } from "core/fops.ts";
import {
  array,
  chain,
  type Codec,
  fixed,
  i32,
  i64,
  opaque,
  struct,
  u32,
  u64,
  XdrError,
} from "rpc/xdr.ts";

const MAX = 1 << 24;
const bytes = opaque(MAX);
const gfid = fixed(16);

/** `struct gfx_iattx`: attributes, the gfid as its 16 bytes. */
export const iattx = struct({
  gfid,
  flags: u64,
  ino: u64,
  dev: u64,
  rdev: u64,
  size: u64,
  blocks: u64,
  attributes: u64,
  attributesMask: u64,
  atime: i64,
  mtime: i64,
  ctime: i64,
  btime: i64,
  atimeNsec: u32,
  mtimeNsec: u32,
  ctimeNsec: u32,
  btimeNsec: u32,
  nlink: u32,
  uid: u32,
  gid: u32,
  blksize: u32,
  mode: u32,
});

const mdata = struct({
  atime: i64,
  mtime: i64,
  ctime: i64,
  atimeNsec: u32,
  mtimeNsec: u32,
  ctimeNsec: u32,
});

const VALUES: readonly (Codec<unknown> | undefined)[] = [
  undefined,
  bytes,
  i64,
  u64,
  fixed(8),
  bytes,
  bytes,
  fixed(16),
  iattx,
  mdata,
] as (Codec<unknown> | undefined)[];

/** A union by type number (`gfx_value`). */
const value: Codec<{ readonly type: number; readonly value: unknown }> = {
  write(to, { type, value }) {
    to.u32(type);
    VALUES[type]!.write(to, value);
  },
  read(from) {
    const type = from.u32();
    const codec = VALUES[type];
    if (!codec) throw new XdrError(`Cannot read value: type ${type}`);
    return { type, value: codec.read(from) };
  },
};

const dict = struct({
  xdrSize: u32,
  count: i32,
  pairs: array(struct({ key: bytes, value }), MAX),
});

const flock = struct({ type: u32, whence: u32, start: u64, len: u64, pid: u32, owner: bytes });
const lease = struct({ cmd: u32, type: u32, id: fixed(16), flags: u32 });
const statfs = struct(Object.fromEntries(
  "bsize frsize blocks bfree bavail files ffree favail fsid flag namemax".split(" ")
    .map((name) => [name, u64]),
));
const locks = chain(struct({ flock, client: bytes, flags: u32 }), MAX);
const dirent = { ino: u64, off: u64, len: u32, type: u32, name: bytes };

/** What follows the last XDR value: bulk data to the end of the record. */
const rest: Codec<Uint8Array> = {
  write: (to, value) => to.raw(value),
  read(from) {
    const at = from.skip(from.left);
    return from.bytes.subarray(at);
  },
};

const xdata = dict;
const head = { result: i32, errno: i32, xdata };
const R0 = struct(head);
const R1 = struct({ ...head, stat: iattx });
const R2 = struct({ ...head, pre: iattx, post: iattx });
const R3 = struct({ ...head, stat: iattx, pre: iattx, post: iattx });
const RD = struct({ ...head, dict, pre: iattx, post: iattx });
const RF = struct({ ...head, fd: i64 });

const G = { gfid };
const F = { gfid, fd: i64 };
const NAME = { name: bytes };
const MODES = { mode: u32, umask: u32 };
const LOCK = { cmd: u32, type: u32, flock };
const ENTRYLK = { cmd: u32, type: u32, namelen: u64, name: bytes, domain: bytes };

// deno-lint-ignore no-explicit-any -- a table of structs of any shape
type AnyStruct = Codec<any>;

/** Request and reply of every fop; bulk data is the field `rest`. */
export const DECLARED: Readonly<Record<FopName, readonly [AnyStruct, AnyStruct]>> = {
  stat: [struct({ ...G, xdata }), R1],
  readlink: [
    struct({ ...G, size: u32, xdata }),
    struct({ ...head, stat: iattx, path: bytes }),
  ],
  mknod: [struct({ ...G, dev: u64, ...MODES, ...NAME, xdata }), R3],
  mkdir: [struct({ ...G, ...MODES, ...NAME, xdata }), R3],
  unlink: [struct({ ...G, ...NAME, xflags: u32, xdata }), R2],
  rmdir: [struct({ ...G, xflags: i32, ...NAME, xdata }), R2],
  symlink: [struct({ ...G, ...NAME, umask: u32, target: bytes, xdata }), R3],
  rename: [
    struct({ ...G, newGfid: gfid, oldName: bytes, newName: bytes, xdata }),
    struct({
      ...head,
      stat: iattx,
      preOld: iattx,
      postOld: iattx,
      preNew: iattx,
      postNew: iattx,
    }),
  ],
  link: [struct({ ...G, newGfid: gfid, ...NAME, xdata }), R3],
  truncate: [struct({ ...G, offset: u64, xdata }), R2],
  open: [struct({ ...G, flags: u32, xdata }), RF],
  readv: [
    struct({ ...F, offset: u64, size: u32, flag: u32, xdata }),
    struct({ result: i32, errno: i32, stat: iattx, size: u32, xdata, rest }),
  ],
  writev: [struct({ ...F, offset: u64, size: u32, flag: u32, xdata, rest }), R2],
  statfs: [struct({ ...G, xdata }), struct({ ...head, statfs })],
  flush: [struct({ ...F, xdata }), R0],
  fsync: [struct({ ...F, data: u32, xdata }), R2],
  setxattr: [struct({ ...G, flags: u32, dict, xdata }), R0],
  getxattr: [struct({ ...G, namelen: u32, ...NAME, xdata }), RD],
  removexattr: [struct({ ...G, ...NAME, xdata }), R0],
  opendir: [struct({ ...G, xdata }), RF],
  fsyncdir: [struct({ ...F, data: i32, xdata }), R0],
  access: [struct({ ...G, mask: u32, xdata }), R0],
  create: [
    struct({ ...G, flags: u32, ...MODES, ...NAME, xdata }),
    struct({ ...head, stat: iattx, fd: i64, pre: iattx, post: iattx }),
  ],
  ftruncate: [struct({ ...F, offset: u64, xdata }), R2],
  fstat: [struct({ ...F, xdata }), R1],
  lk: [struct({ ...F, ...LOCK, xdata }), struct({ ...head, flock })],
  lookup: [struct({ ...G, parent: gfid, flags: u32, ...NAME, xdata }), R2],
  readdir: [
    struct({ ...F, offset: u64, size: u32, xdata }),
    struct({ ...head, entries: chain(struct(dirent), MAX) }),
  ],
  inodelk: [struct({ ...G, ...LOCK, domain: bytes, xdata }), R0],
  finodelk: [struct({ ...F, ...LOCK, domain: bytes, xdata }), R0],
  entrylk: [struct({ ...G, ...ENTRYLK, xdata }), R0],
  fentrylk: [struct({ ...F, ...ENTRYLK, xdata }), R0],
  xattrop: [struct({ ...G, flags: u32, dict, xdata }), RD],
  fxattrop: [struct({ ...F, flags: u32, dict, xdata }), RD],
  fgetxattr: [struct({ ...F, namelen: u32, ...NAME, xdata }), RD],
  fsetxattr: [struct({ ...F, flags: u32, dict, xdata }), R0],
  rchecksum: [
    struct({ ...F, offset: u64, len: u32, flags: u32, xdata }),
    struct({ ...head, flags: u32, weak: u32, strong: bytes }),
  ],
  setattr: [struct({ ...G, stbuf: iattx, valid: i32, xdata }), R2],
  fsetattr: [struct({ ...F, stbuf: iattx, valid: i32, xdata }), R2],
  readdirp: [
    struct({ ...F, offset: u64, size: u32, xdata }),
    struct({ ...head, entries: chain(struct({ ...dirent, stat: iattx, dict }), MAX) }),
  ],
  release: [struct({ ...F, xdata }), R0],
  releasedir: [struct({ ...F, xdata }), R0],
  fremovexattr: [struct({ ...F, ...NAME, xdata }), R0],
  fallocate: [struct({ ...F, flags: u32, offset: u64, size: u64, xdata }), R2],
  discard: [struct({ ...F, offset: u64, size: u64, xdata }), R2],
  zerofill: [struct({ ...F, offset: u64, size: u64, xdata }), R2],
  ipc: [struct({ op: i32, xdata }), R0],
  seek: [struct({ ...F, offset: u64, what: i32, xdata }), struct({ ...head, offset: u64 })],
  lease: [struct({ ...G, lease, xdata }), struct({ ...head, lease })],
  getactivelk: [struct({ ...G, xdata }), struct({ ...head, locks })],
  setactivelk: [struct({ ...G, locks, xdata }), R0],
  icreate: [struct({ ...G, mode: u32, xdata }), R1],
  namelink: [struct({ ...G, ...NAME, xdata }), R2],
  put: [
    struct({
      ...G,
      ...NAME,
      ...MODES,
      flag: u32,
      offset: u64,
      size: u32,
      xattr: dict,
      xdata,
      rest,
    }),
    R3,
  ],
  copyFileRange: [
    struct({
      ...G,
      gfid2: gfid,
      fdIn: i64,
      fdOut: i64,
      offIn: u64,
      offOut: u64,
      size: u32,
      flag: u32,
      xdata,
    }),
    R3,
  ],
};
