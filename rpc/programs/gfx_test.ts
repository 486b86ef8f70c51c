import assert from "node:assert/strict";
import { NO_OWNER } from "core/call.ts";
import { EBADF, EINVAL, EIO, ENOENT, FopError } from "core/errno.ts";
import {
  type Args,
  type Dirent,
  type DirentPlus,
  type Flock,
  O_APPEND,
  O_DSYNC,
  O_RDWR,
  O_SYNC,
  type Reply,
} from "core/fops.ts";
import { Fd, type Gfid, type Inode, ROOT_GFID } from "core/inode.ts";
import { ptr, Xdata } from "core/xdata.ts";
import { iattAt } from "rpc/gfx_types.ts";
import { WIRES } from "rpc/programs/gfx.ts";
import { XdrError, XdrReader, XdrWriter } from "rpc/xdr.ts";
import { DECLARED } from "tests/interop/gfx_declared.ts";
import { AnyPeer } from "tests/interop/gfx_peer.ts";

const peer = new AnyPeer();
const INODE = peer.inode("0a44507c-df14-4100-9475-e72f8040bf4a" as Gfid);
const FD = peer.adopt(7, INODE, O_RDWR);
const LOCK: Flock = { type: "write", whence: 0, start: 0n, size: 0n, pid: -6, owner: NO_OWNER };

type Fop = keyof typeof WIRES;

function request<K extends Fop>(fop: K, args: Args<K>): Uint8Array<ArrayBuffer> {
  const to = new XdrWriter(1);
  WIRES[fop].request(to, args, peer);
  const { payload } = WIRES[fop];
  if (payload) to.raw(payload(args));
  return to.written;
}

function args<K extends Fop>(fop: K, bytes: Uint8Array): Args<K> {
  return WIRES[fop].args(new XdrReader(bytes), peer);
}

function answer<K extends Fop>(fop: K, reply: Reply<K>, of: Args<K>): Uint8Array<ArrayBuffer> {
  const to = new XdrWriter(1);
  WIRES[fop].answer(to, reply, of, peer);
  return to.written;
}

function reply<K extends Fop>(fop: K, bytes: Uint8Array, of: Args<K>): Reply<K> {
  return WIRES[fop].reply(new XdrReader(bytes), of, peer);
}

function declared(fop: Fop, bytes: Uint8Array, side = 0): Record<string, unknown> {
  return DECLARED[fop][side]!.read(new XdrReader(bytes));
}

Deno.test("rpc/programs/gfx: PUT and NAMELINK, which no brick of 10.3 answers, are as declared", () => {
  const data = Uint8Array.of(1, 2, 3);
  const put = {
    parent: INODE,
    name: "put",
    mode: 0o640,
    umask: 0o22,
    flags: O_RDWR,
    offset: 5,
    data,
    xattrs: Xdata.of([["user.k", ptr(data)]]),
    xdata: undefined,
  };
  const bytes = request("put", put);
  assert.deepEqual(args("put", bytes), put);
  const { rest, size, offset, umask, mode, flag } = declared("put", bytes);
  assert.deepEqual([rest, size, offset, umask, mode, flag], [data, 3, 5n, 0o22, 0o640, 2]);
  const namelink = { parent: INODE, name: "n", xdata: undefined };
  assert.deepEqual(args("namelink", request("namelink", namelink)), namelink);
  assert.equal((declared("namelink", request("namelink", namelink)).name as Uint8Array)[0], 0x6e);
});

Deno.test("rpc/programs/gfx: open flags lose what no brick acts on, both kinds of sync become one", () => {
  const flags = (wire: number) => {
    const bytes = request("open", { inode: INODE, flags: 0 });
    new DataView(bytes.buffer).setUint32(16, wire);
    return args("open", bytes).flags;
  };
  const wire = (flags: number) => declared("open", request("open", { inode: INODE, flags })).flags;
  assert.equal(flags(0o40), 0);
  assert.equal(flags(0o20000000), 0);
  assert.equal(flags(0o10002), O_SYNC | O_RDWR);
  assert.equal(flags(0o3767703), 0o3767703);
  assert.equal(wire(O_DSYNC | O_APPEND), 0o12000);
  assert.equal(wire(O_SYNC), 0o10000);
  assert.equal(wire(0o20000040), 0);
});

Deno.test("rpc/programs/gfx: setattr's size is ignored, its times are taken, nonsense fails", () => {
  const bytes = (valid: number) => {
    const packed = request("setattr", {
      inode: INODE,
      changes: { mode: 0o7777, uid: 1, gid: 2, atime: { sec: -1, nsec: 5 }, mtime: "now" },
    });
    new DataView(packed.buffer).setUint32(16 + 148, valid);
    return packed;
  };
  const none = { mode: undefined, uid: undefined, gid: undefined, ctime: undefined };
  assert.deepEqual(args("setattr", bytes(0x8)).changes, {
    ...none,
    atime: undefined,
    mtime: undefined,
  });
  assert.deepEqual(args("setattr", bytes(0x90 | 0x100)).changes, {
    ...none,
    atime: { sec: -1, nsec: 5 },
    mtime: "now",
  });
  assert.equal(declared("setattr", bytes(0)).valid, 0);
  const bad = bytes(0x10);
  new DataView(bad.buffer).setUint32(16 + 112, 1e9);
  assert.throws(() => args("setattr", bad), EINVAL);
});

Deno.test("rpc/programs/gfx: lock commands and types are GlusterFS's numbers, others fail", () => {
  const commands = [
    "get",
    "set",
    "set-wait",
    "reserve",
    "reserve-wait",
    "unreserve",
    "get-fd",
  ] as const;
  for (const [number, cmd] of commands.entries()) {
    for (const [typeNumber, type] of (["read", "write", "unlock"] as const).entries()) {
      const lk = { fd: FD, cmd, lock: { ...LOCK, type } };
      const bytes = request("lk", lk);
      assert.deepEqual(args("lk", bytes), { ...lk, xdata: undefined, fd: args("lk", bytes).fd });
      const sent = declared("lk", bytes);
      assert.deepEqual([sent.cmd, sent.type], [number, typeNumber]);
    }
  }
  const bytes = request("lk", { fd: FD, cmd: "set", lock: LOCK });
  for (const [at, value] of [[24, 7], [28, 3], [36, 3]] as const) {
    const bad = bytes.slice();
    new DataView(bad.buffer).setUint32(at, value);
    assert.throws(() => args("lk", bad), EINVAL, `word at ${at}`);
  }
  const inodelk = request("inodelk", { inode: INODE, domain: "d", cmd: "set", lock: LOCK });
  new DataView(inodelk.buffer).setUint32(16, 3);
  assert.throws(() => args("inodelk", inodelk), EINVAL);
});

Deno.test("rpc/programs/gfx: lock ranges reach 2^63 - 1, a negative length is what lies before", () => {
  const read = (start: bigint, size: bigint) => {
    const { lock } = args(
      "lk",
      request("lk", { fd: FD, cmd: "set", lock: { ...LOCK, start, size } }),
    );
    return [lock.start, lock.size];
  };
  const end = 2n ** 63n - 1n;
  assert.deepEqual(read(end - 1n, 0n), [end - 1n, 0n]);
  assert.deepEqual(read(end, 1n), [end, 1n]);
  assert.deepEqual(read(100n, -10n), [90n, 10n]);
  assert.throws(() => read(end, 2n), EINVAL);
  assert.throws(() => read(-1n, 5n), EINVAL);
  assert.throws(() => read(5n, -6n), EINVAL);
});

Deno.test("rpc/programs/gfx: an entry lock's name length is a flag: is there a name", () => {
  const lock = { inode: INODE, domain: "d", cmd: "try-lock", type: "write" } as const;
  const whole = request("entrylk", { ...lock, name: "" });
  assert.equal(declared("entrylk", whole).namelen, 0n);
  assert.equal(args("entrylk", whole).name, "");
  const named = request("entrylk", { ...lock, name: "n" });
  assert.equal(declared("entrylk", named).namelen, 1n);
  assert.equal(args("entrylk", named).name, "n");
  new DataView(named.buffer).setBigUint64(24, 0n);
  assert.equal(args("entrylk", named).name, "");
});

Deno.test("rpc/programs/gfx: an xattrop of no kind fails", () => {
  const bytes = request("xattrop", { inode: INODE, op: "add64-default", xattrs: undefined });
  assert.equal(declared("xattrop", bytes).flags, 6);
  new DataView(bytes.buffer).setUint32(16, 7);
  assert.throws(() => args("xattrop", bytes), EINVAL);
});

Deno.test("rpc/programs/gfx: an empty dictionary that a layer adds to a lookup travels", () => {
  const stat = iattAt(new DataView(new ArrayBuffer(256)), 0, INODE.gfid);
  const of = { inode: INODE, parent: undefined, name: "" };
  // After result and errno: size, count, count. -1 would be no dictionary.
  const bytes = answer("lookup", { stat, postParent: stat, xdata: Xdata.of([]) }, of);
  assert.deepEqual([...bytes.subarray(8, 20)], new Array(12).fill(0));
});

Deno.test("rpc/programs/gfx: a lookup is named, nameless, or of a directory itself", () => {
  const ROOT = peer.inode(ROOT_GFID);
  const look = (inode: Inode | undefined, parent: Inode | undefined, name: string) => {
    const { xdata: _, flags: __, ...rest } = args(
      "lookup",
      request("lookup", { inode, parent, name }),
    );
    return rest;
  };
  assert.deepEqual(look(undefined, ROOT, "n"), { inode: undefined, parent: ROOT, name: "n" });
  assert.deepEqual(look(INODE, ROOT, "n"), { inode: INODE, parent: ROOT, name: "n" });
  const nameless = { inode: INODE, parent: undefined, name: "" };
  assert.deepEqual(look(INODE, undefined, ""), nameless);
  assert.deepEqual(look(INODE, INODE, "."), nameless);
  assert.deepEqual(look(undefined, INODE, "."), nameless);
  for (const [parent, name] of [[undefined, ""], [ROOT, ""], [undefined, "n"]] as const) {
    assert.throws(() => look(undefined, parent, name), EINVAL);
  }
});

Deno.test("rpc/programs/gfx: numbers that no table of open files can hold fail with EBADF", () => {
  const bytes = request("flush", { fd: FD });
  assert.equal(peer.numberOf(args("flush", bytes).fd), 7);
  const anonymous = request("flush", { fd: new Fd(INODE, O_RDWR, true) });
  assert.equal(declared("flush", anonymous).fd, -2n);
  assert.equal(args("flush", anonymous).fd.anonymous, true);
  new DataView(bytes.buffer).setBigInt64(16, 1n << 62n);
  assert.throws(() => args("flush", bytes), EBADF);
});

const ENTRY: Dirent = { name: "entry", offset: 2n ** 63n - 1n, type: 8, ino: 2n ** 64n - 1n };

Deno.test("rpc/programs/gfx: a directory's page holds what the client has room for, one at least", () => {
  const entries: DirentPlus[] = Array.from(
    { length: 100 },
    (_, i) => ({ ...ENTRY, name: `entry${i}`, offset: BigInt(i), stat: undefined }),
  );
  for (const size of [0, 200, 1000, 4096]) {
    const asked = { fd: FD, offset: 0n, size };
    const bytes = answer("readdirp", { entries, eof: true }, asked);
    const read = reply("readdirp", bytes, asked);
    assert.ok(bytes.length <= Math.max(size, 230) + 24, `${bytes.length} for ${size}`);
    assert.ok(read.entries.length >= Math.max(1, Math.floor(size / 230)));
    assert.equal(read.eof, false);
    assert.equal(new DataView(bytes.buffer).getInt32(0), read.entries.length);
  }
  const asked = { fd: FD, offset: 0n, size: 1 << 17 };
  const all = reply("readdirp", answer("readdirp", { entries, eof: true }, asked), asked);
  assert.equal(all.entries.length, 100);
  assert.equal(all.eof, true);
  const plain = reply("readdir", answer("readdir", { entries: [ENTRY], eof: false }, asked), asked);
  assert.deepEqual(plain, { entries: [ENTRY], eof: false, xdata: undefined });
});

Deno.test("rpc/programs/gfx: a brick's entries with names that cannot be are refused", () => {
  const asked = { fd: FD, offset: 0n, size: 4096 };
  for (const name of ["", "a/b", "a\0b"]) {
    const bytes = answer("readdir", { entries: [{ ...ENTRY, name }], eof: true }, asked);
    assert.throws(() => reply("readdir", bytes, asked), XdrError);
  }
});

Deno.test("rpc/programs/gfx: read data is what its head says, the end is marked", () => {
  const asked = { fd: FD, offset: 0, size: 4, flags: 0 };
  const data = Uint8Array.of(1, 2, 3);
  const pack = (eof: boolean) => {
    const to = new XdrWriter(1);
    const done = { data, stat: undefined, eof };
    WIRES.readv.answer(to, done, asked, peer);
    to.raw(WIRES.readv.bulk!(done));
    return to.written;
  };
  const read = reply("readv", pack(true), asked);
  assert.deepEqual([...read.data], [1, 2, 3]);
  assert.equal(read.eof, true);
  assert.equal(reply("readv", pack(false), asked).eof, false);
  assert.throws(() => reply("readv", pack(true), { ...asked, size: 2 }), XdrError);
  const lie = pack(true);
  new DataView(lie.buffer).setUint32(0, 2);
  assert.throws(() => reply("readv", lie, asked), XdrError);
});

Deno.test("rpc/programs/gfx: a write returns its size, one done in part is a failure", () => {
  const asked = { fd: FD, offset: 0, data: new Uint8Array(5), flags: 0 };
  const bytes = answer("writev", { pre: undefined, post: undefined }, asked);
  assert.equal(declared("writev", bytes, 1).result, 5);
  reply("writev", bytes, asked);
  new DataView(bytes.buffer).setInt32(0, 4);
  assert.throws(() => reply("writev", bytes, asked), EIO);
});

Deno.test("rpc/programs/gfx: a failure keeps its number, extra data and parent", () => {
  const xdata = Xdata.of([["k", { type: "int", value: 1 }]]);
  for (const fop of Object.keys(WIRES) as Fop[]) {
    const to = new XdrWriter(1);
    to.bytes.fill(0xff);
    WIRES[fop].failure(to, ENOENT.carrying({ xdata }));
    const sent = declared(fop, to.written, 1);
    assert.deepEqual([sent.result, sent.errno], [-1, 2], fop);
    assert.throws(
      () => WIRES[fop].reply(new XdrReader(to.written), {} as never, peer),
      (err) => err instanceof FopError && err.errno === 2 && err.xdata?.size === 1,
      fop,
    );
  }
  const odd = new XdrWriter();
  WIRES.flush.failure(odd, new FopError("ENONE", 0, "none"));
  assert.throws(() => reply("flush", odd.written, { fd: FD }), EIO);
});

Deno.test("rpc/programs/gfx: attributes that must be there are asked for", () => {
  const to = new XdrWriter();
  WIRES.fstat.failure(to, ENOENT);
  new DataView(to.bytes.buffer).setInt32(0, 0);
  assert.throws(() => reply("fstat", to.written, { fd: FD }), XdrError);
});
