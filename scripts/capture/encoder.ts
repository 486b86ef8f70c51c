/** Requests that no GlusterFS software sends, from our own encoder to a genuine brick. */

import { type Args, type FopName, FOPS } from "core/fops.ts";
import type { LkOwner } from "core/call.ts";
import { Fd, type Gfid, Inode, ROOT_GFID } from "core/inode.ts";
import { ptr, Xdata } from "core/xdata.ts";
import { ANONYMOUS_FD, type Peer } from "rpc/wire.ts";
import { GFX_PROGRAM, GFX_VERSION, WIRES } from "rpc/programs/gfx.ts";
import { packLegacyDict } from "rpc/legacy_dict.ts";
import { str } from "core/xdata.ts";
import { XdrReader, XdrWriter } from "rpc/xdr.ts";

/** Is told every exchange: procedure, arguments, result, and how it came about. */
export type Seen = (procedure: number, args: Uint8Array, result: Uint8Array, how: string) => void;

const ROOT = new Inode(ROOT_GFID);
const OWNER = "0102030405060708" as LkOwner;
const FILE = new Inode("e0c0de00-0000-4000-8000-000000000001" as Gfid);
const MADE = "e0c0de00-0000-4000-8000-00000000000" as const;

/** Numbers of open files as the brick gave them out. */
class Numbers implements Peer {
  readonly #numbers = new Map<Fd, number>();
  inode = (gfid: Gfid) => new Inode(gfid);
  fd = (_number: number, gfid: Gfid, flags: number) => new Fd(new Inode(gfid), flags);
  numberOf = (fd: Fd) => this.#numbers.get(fd) ?? ANONYMOUS_FD;
  adopt(number: number, inode: Inode, flags: number): Fd {
    const fd = new Fd(inode, flags);
    this.#numbers.set(fd, number);
    return fd;
  }
}

/** One connection to a brick, one call at a time. */
class Caller {
  readonly #peer = new Numbers();
  #xid = 1;

  constructor(
    readonly conn: Deno.TcpConn,
    readonly seen: Seen,
    readonly refused: (line: string) => void,
  ) {}

  async setvolume(): Promise<void> {
    const dict = packLegacyDict(Xdata.of([
      ["remote-subvolume", str("brick")],
      ["process-uuid", str("CTX_ID:capture-GRAPH_ID:0-PID:1-HOST:h-PC_NAME:c-RECON_NO:-0")],
      ["client-version", str("10.3")],
      ["fops-version", str("1298437")],
      ["opversion", str("100000")],
      ["clnt-lk-version", str("1")],
    ]));
    const args = new XdrWriter();
    args.opaque(dict);
    const result = await this.#call(14398633, 2, 1, args.written);
    if (!result || new XdrReader(result).i32() !== 0) {
      throw new Error("Cannot go on: brick refuses us");
    }
  }

  /** Calls a fop and answers its reply; undefined if it failed. */
  async fop<K extends FopName>(fop: K, args: Args<K>, how: string) {
    const wire = WIRES[fop];
    const to = new XdrWriter();
    wire.request(to, args, this.#peer);
    if (wire.payload) to.raw(wire.payload(args));
    const request = to.written.slice();
    const result = await this.#call(GFX_PROGRAM, GFX_VERSION, FOPS[fop].proc, request);
    if (!result) return void this.refused(`${how}: refused as a call`);
    this.seen(FOPS[fop].proc, request, result, `our encoder: ${how}`);
    try {
      return wire.reply(new XdrReader(result), args, this.#peer);
    } catch {
      return undefined;
    }
  }

  async #call(program: number, version: number, procedure: number, args: Uint8Array) {
    const credentials = new XdrWriter();
    for (const word of [1, 0, 0, 0, 0, 0, 0, 0]) credentials.u32(word);
    credentials.opaque(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
    const to = new XdrWriter();
    for (const word of [0, this.#xid, 0, 2, program, version, procedure, 390040]) to.u32(word);
    to.opaque(credentials.written);
    for (const word of [0, 0]) to.u32(word);
    to.raw(args);
    to.view.setUint32(0, (to.at - 4) | 0x80000000);
    await write(this.conn, to.written);
    for (;;) {
      const record = await this.#record();
      const view = new DataView(record.buffer);
      // Calls from the brick (upcalls) are none of ours.
      if (view.getUint32(4) !== 1 || view.getUint32(0) !== this.#xid) continue;
      this.#xid++;
      return view.getUint32(20) === 0 ? record.subarray(24) : undefined;
    }
  }

  async #record(): Promise<Uint8Array<ArrayBuffer>> {
    const head = await readFull(this.conn, 4);
    return await readFull(this.conn, new DataView(head.buffer).getUint32(0) & 0x7fffffff);
  }
}

async function write(conn: Deno.TcpConn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}

async function readFull(conn: Deno.TcpConn, size: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size;) {
    const got = await conn.read(bytes.subarray(at));
    if (got === null) throw new Error("Cannot go on: brick hung up");
    at += got;
  }
  return bytes;
}

function gfidReq(last: number): Xdata {
  return Xdata.of([["gfid-req", { type: "gfuuid", value: (MADE + last) as Gfid }]]);
}

/** Sends all of them to the brick at `port`. */
export async function encoderSteps(
  port: number,
  seen: Seen,
  refused: (line: string) => void,
): Promise<void> {
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  const caller = new Caller(conn, seen, refused);
  try {
    await caller.setvolume();
    const made = await caller.fop(
      "create",
      { parent: ROOT, name: "encoder", flags: 2, mode: 0o600, umask: 0, xdata: gfidReq(1) },
      "create with gfid-req",
    );
    if (!made) throw new Error("Cannot go on: no file");
    await rarities(caller);
    await locks(caller, made.fd);
    await limits(caller, made.fd);
    await names(caller);
  } finally {
    conn.close();
  }
}

const BYTES = new TextEncoder().encode("0123456789");

// Not among them: PUT, which the brick of 10.3 refuses as an unknown procedure, and NAMELINK, which
// ends its process.
async function rarities(caller: Caller): Promise<void> {
  const unnamed = new Inode((MADE + 3) as Gfid);
  await caller.fop("icreate", { inode: unnamed, mode: 0o100644 }, "icreate");
  const arrays = Xdata.of([["trusted.test.array", ptr(Uint8Array.of(0, 0, 0, 1, 0, 0, 0, 2))]]);
  for (const op of ["add32", "or", "and", "get-and-set", "add64", "add32-default"] as const) {
    await caller.fop("xattrop", { inode: FILE, op, xattrs: arrays }, `xattrop ${op}`);
  }
  await caller.fop("setxattr", { inode: FILE, flags: 0, xattrs: undefined }, "setxattr of nothing");
  await caller.fop("removexattr", { inode: FILE, name: "" }, "removexattr of nothing");
  await caller.fop("stat", { inode: new Inode((MADE + 9) as Gfid) }, "stat of an unknown gfid");
  await caller.fop("statfs", { inode: new Inode((MADE + 9) as Gfid) }, "statfs of an unknown gfid");
  await caller.fop("access", { inode: FILE, mask: 4 }, "access");
  await caller.fop("readlink", { inode: FILE, size: 100 }, "readlink of a file");
  await caller.fop("opendir", { inode: FILE }, "opendir of a file");
  await caller.fop("ipc", { op: 7 }, "ipc nobody knows");
}

async function locks(caller: Caller, fd: Fd): Promise<void> {
  const lock = { type: "write", whence: 0, start: 0n, size: 0n, pid: 1, owner: OWNER } as const;
  const read = { ...lock, type: "read", start: 100n, size: 50n } as const;
  await caller.fop("lk", { fd, cmd: "set", lock: read }, "lk");
  await caller.fop("getactivelk", { inode: FILE }, "getactivelk of a locked file");
  const active = { lock: read, clientId: "somebody", flags: 0 };
  await caller.fop("setactivelk", { inode: FILE, locks: [active] }, "setactivelk");
  await caller.fop("setactivelk", { inode: FILE, locks: [] }, "setactivelk of none");
  await caller.fop("lk", { fd, cmd: "set", lock: { ...lock, type: "unlock" } }, "unlock");
  await caller.fop("getactivelk", { inode: ROOT }, "getactivelk of a directory");
  const dir = await caller.fop("opendir", { inode: ROOT }, "opendir");
  if (!dir) throw new Error("Cannot go on: no directory");
  const entry = { fd: dir.fd, domain: "test", name: "n", type: "write" } as const;
  await caller.fop("fentrylk", { ...entry, cmd: "try-lock" }, "fentrylk");
  await caller.fop("fentrylk", { ...entry, cmd: "unlock" }, "fentrylk unlock");
  await caller.fop("fentrylk", { ...entry, name: "", cmd: "unlock" }, "fentrylk unlock of none");
  await caller.fop(
    "finodelk",
    { fd, domain: "test", cmd: "set", lock: { ...lock, start: (1n << 63n) - 2n, size: 0n } },
    "finodelk at the very end",
  );
  await caller.fop(
    "inodelk",
    { inode: FILE, domain: "test", cmd: "set", lock: { ...lock, type: "unlock" } },
    "inodelk unlock of none",
  );
  await caller.fop("fsyncdir", { fd: dir.fd, dataOnly: false }, "fsyncdir");
  await caller.fop("readdir", { fd: dir.fd, offset: 0n, size: 300 }, "readdir of 300 bytes");
  await caller.fop("readdir", { fd, offset: 0n, size: 300 }, "readdir of a file");
  await caller.fop("readdirp", { fd: dir.fd, offset: 0n, size: 900 }, "readdirp of 900 bytes");
  await caller.fop("releasedir", { fd: dir.fd }, "releasedir");
}

/** Offsets and sizes that no file has: what the brick says of them. */
async function limits(caller: Caller, fd: Fd): Promise<void> {
  const unknown = new Fd(FILE, 0);
  await caller.fop("readv", { fd: unknown, offset: 0, size: 10, flags: 0 }, "anonymous read");
  for (const [name, offset] of [["2^53", 2 ** 53], ["2^62", 2 ** 62], ["2^63", 2 ** 63]] as const) {
    await caller.fop("readv", { fd, offset, size: 10, flags: 0 }, `read at ${name}`);
    await caller.fop("writev", { fd, offset, data: BYTES, flags: 0 }, `write at ${name}`);
    await caller.fop("ftruncate", { fd, offset }, `ftruncate to ${name}`);
    await caller.fop("truncate", { inode: FILE, offset }, `truncate to ${name}`);
    await caller.fop("fallocate", { fd, mode: 0, offset, size: 10 }, `fallocate at ${name}`);
    await caller.fop("discard", { fd, offset, size: 10 }, `discard at ${name}`);
    await caller.fop("discard", { fd, offset: 0, size: offset }, `discard of ${name}`);
    await caller.fop("zerofill", { fd, offset, size: 10 }, `zerofill at ${name}`);
    await caller.fop("seek", { fd, offset, what: "data" }, `seek from ${name}`);
    await caller.fop("rchecksum", { fd, offset, size: 10 }, `rchecksum at ${name}`);
    const copy = { source: fd, fd, size: 4, flags: 0 };
    await caller.fop(
      "copyFileRange",
      { ...copy, sourceOffset: offset, offset: 0 },
      `copy from ${name}`,
    );
    await caller.fop("copyFileRange", { ...copy, sourceOffset: 0, offset }, `copy to ${name}`);
  }
}

/** Names that no entry has: what the brick says of them. */
async function names(caller: Caller): Promise<void> {
  for (const name of [".", "..", "a/b", "", "n".repeat(256), "n".repeat(5000)]) {
    const shown = name.length > 20 ? `${name.length} letters` : `"${name}"`;
    await caller.fop("lookup", { parent: ROOT, name }, `lookup of ${shown}`);
    const made = { parent: ROOT, name, mode: 0o755, umask: 0, xdata: gfidReq(4) };
    await caller.fop("mkdir", made, `mkdir of ${shown}`);
    await caller.fop("unlink", { parent: ROOT, name, flags: 0 }, `unlink of ${shown}`);
    await caller.fop("rmdir", { parent: ROOT, name, flags: 0 }, `rmdir of ${shown}`);
  }
}
