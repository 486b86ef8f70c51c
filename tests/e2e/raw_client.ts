/**
 * A client that says what no decent client would. It speaks the brick's protocol from its own small
 * encoder, not from ours: what it sends does not change when our codecs do.
 */

import { XdrReader, XdrWriter } from "rpc/xdr.ts";

const FOPS = 1298437, FOPS_VERSION = 400;
const HANDSHAKE = 14398633, HANDSHAKE_VERSION = 2;
const DUMP = 123451501;
const AUTH_GLUSTERFS_V3 = 390040;
const ZEROS = new Uint8Array(16);

/** Procedure numbers, glusterfs-fops.h. */
export const PROC = {
  stat: 1,
  readlink: 2,
  mknod: 3,
  mkdir: 4,
  unlink: 5,
  rmdir: 6,
  symlink: 7,
  rename: 8,
  link: 9,
  truncate: 10,
  open: 11,
  read: 12,
  write: 13,
  statfs: 14,
  flush: 15,
  fsync: 16,
  setxattr: 17,
  getxattr: 18,
  removexattr: 19,
  opendir: 20,
  access: 22,
  create: 23,
  ftruncate: 24,
  fstat: 25,
  lk: 26,
  lookup: 27,
  readdir: 28,
  inodelk: 29,
  xattrop: 33,
  setattr: 38,
  readdirp: 40,
  release: 41,
  fallocate: 44,
  discard: 45,
  zerofill: 46,
  seek: 48,
} as const;

/** What came back: errno, or 0 and the rest of the reply. */
export interface Answer {
  readonly errno: number;
  readonly ret: number;
  readonly body: XdrReader;
}

/** A gfid whose last byte is `last`. */
export function gfid(last: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(16);
  bytes[0] = last > 1 ? 0x77 : 0;
  bytes[15] = last;
  return bytes;
}

/** The root directory's. */
export const ROOT = gfid(1);

const encoder = new TextEncoder();

/** Text as bytes, one byte each: NUL and all. */
export function bytes(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(text);
}

/** A dictionary of binary values, as fops carry. */
export function putDict(
  to: XdrWriter,
  pairs: readonly (readonly [string, Uint8Array, "binary" | "gfid"])[] = [],
): void {
  const inner = new XdrWriter();
  for (const [key, value, kind] of pairs) {
    inner.opaque(bytes(key + "\0"));
    inner.u32(kind === "gfid" ? 7 : 6);
    if (kind === "gfid") inner.fixed(value);
    else inner.opaque(value);
  }
  to.u32(inner.at);
  to.i32(pairs.length || -1);
  to.u32(pairs.length);
  to.raw(inner.written);
}

/** One connection to a brick. */
export class RawClient {
  #conn: Deno.TcpConn;
  #xid = 1;
  #waiting = new Map<number, (record: Uint8Array<ArrayBuffer> | undefined) => void>();
  #reading = true;
  closed = false;

  private constructor(conn: Deno.TcpConn) {
    this.#conn = conn;
  }

  /** Connects and says hello; throws what the brick answers if it does not let us in. */
  static async connect(hostname: string, port: number, brick: string): Promise<RawClient> {
    const conn = await Deno.connect({ hostname, port });
    conn.setNoDelay();
    const client = new RawClient(conn);
    client.#readReplies();
    const pairs = [
      ["remote-subvolume", brick],
      [
        "process-uuid",
        `CTX_ID:${crypto.randomUUID()}-GRAPH_ID:0-PID:1-HOST:raw-PC_NAME:raw-RECON_NO:-0`,
      ],
      ["client-version", "10.3"],
      ["fops-version", "1298437"],
      ["volfile-key", "vol"],
      ["opversion", "100000"],
      ["clnt-lk-version", "1"],
      ["volfile-checksum", "0"],
      ["ping-timeout", "42"],
    ] as const;
    const dict = new XdrWriter();
    dict.u32(pairs.length);
    for (const [key, value] of pairs) {
      dict.u32(key.length);
      dict.u32(value.length + 1);
      dict.raw(bytes(`${key}\0${value}\0`));
    }
    const { ret, errno } = await client.#call(
      HANDSHAKE,
      HANDSHAKE_VERSION,
      1,
      (to) => to.opaque(dict.written.slice()),
    );
    if (ret !== 0) throw new Error(`The brick refuses us: errno ${errno}`);
    return client;
  }

  /** A fop; errno -1 if the brick closed the connection instead of answering. */
  fop(proc: number, args: (to: XdrWriter) => void): Promise<Answer> {
    return this.#call(FOPS, FOPS_VERSION, proc, args);
  }

  /** Milliseconds until a ping is answered. */
  async ping(): Promise<number> {
    const before = performance.now();
    await this.#call(DUMP, 1, 2, () => {});
    return performance.now() - before;
  }

  /** Sends a fop and forgets it: for those who do not read. */
  async send(proc: number, args: (to: XdrWriter) => void): Promise<void> {
    await this.raw(this.#record(FOPS, FOPS_VERSION, proc, this.#xid++, args));
  }

  /** Sends bytes as they are. */
  async raw(data: Uint8Array): Promise<void> {
    for (let at = 0; at < data.length;) at += await this.#conn.write(data.subarray(at));
  }

  /** Reads no more from now on. */
  stopReading(): void {
    this.#reading = false;
  }

  close(): void {
    if (!this.closed) this.#conn.close();
    this.closed = true;
  }

  async #call(
    program: number,
    version: number,
    proc: number,
    args: (to: XdrWriter) => void,
  ): Promise<Answer> {
    const xid = this.#xid++;
    const reply = new Promise<Uint8Array<ArrayBuffer> | undefined>((done) =>
      this.#waiting.set(xid, done)
    );
    let record: Uint8Array<ArrayBuffer> | undefined;
    try {
      await this.raw(this.#record(program, version, proc, xid, args));
      record = await reply;
    } catch {
      this.#hangUp();
    }
    const body = new XdrReader(record ?? new Uint8Array());
    if (!record) return { errno: -1, ret: -1, body };
    body.skip(4 + 4 + 4 + 4 + 4);
    const accepted = body.u32();
    // Not a fop's answer but RPC's: the call was refused before it was one.
    if (accepted !== 0) return { errno: -100 - accepted, ret: -1, body };
    const ret = body.i32(), errno = body.i32();
    return { errno: ret < 0 ? errno : 0, ret, body };
  }

  #record(
    program: number,
    version: number,
    proc: number,
    xid: number,
    args: (to: XdrWriter) => void,
  ): Uint8Array<ArrayBuffer> {
    const to = new XdrWriter();
    for (const word of [0, xid, 0, 2, program, version, proc]) to.u32(word);
    to.u32(AUTH_GLUSTERFS_V3);
    // pid, uid, gid, flags, ctime (nsec, sec), no groups, an owner of 8 bytes
    const credential = new XdrWriter();
    for (const word of [4711, 0, 0, 0, 0, 0, 0, 0]) credential.u32(word);
    credential.opaque(bytes("rawowner"));
    to.opaque(credential.written);
    to.u32(0);
    to.u32(0);
    args(to);
    const record = to.written.slice();
    new DataView(record.buffer).setUint32(0, 0x80000000 + record.length - 4);
    return record;
  }

  async #readReplies(): Promise<void> {
    let buffer = new Uint8Array(4 << 20), end = 0;
    try {
      while (this.#reading) {
        if (end === buffer.length) {
          const grown = new Uint8Array(2 * end);
          grown.set(buffer);
          buffer = grown;
        }
        const count = await this.#conn.read(buffer.subarray(end));
        if (count === null) break;
        end += count;
        let at = 0;
        for (const view = new DataView(buffer.buffer); end - at >= 4;) {
          const size = view.getUint32(at) & 0x7fffffff;
          if (end - at < 4 + size) break;
          this.#take(buffer.slice(at + 4, at + 4 + size));
          at += 4 + size;
        }
        buffer.copyWithin(0, at, end);
        end -= at;
      }
    } catch {
      // Closed on either side; who waits learns it below.
    }
    if (this.#reading) this.#hangUp();
  }

  #take(record: Uint8Array<ArrayBuffer>): void {
    const view = new DataView(record.buffer);
    const CALL = 0;
    if (view.getUint32(4) === CALL) return; // a callback
    const xid = view.getUint32(0);
    this.#waiting.get(xid)?.(record);
    this.#waiting.delete(xid);
  }

  #hangUp(): void {
    this.close();
    for (const done of this.#waiting.values()) done(undefined);
    this.#waiting.clear();
  }
}

/** Arguments of the fops that tests send, in the order of glusterfs4-xdr.x. */
export const put = {
  lookup: (parent: Uint8Array, name: string, self = ZEROS) => (to: XdrWriter) => {
    to.fixed(self);
    to.fixed(parent);
    to.u32(0);
    to.opaque(bytes(name));
    putDict(to);
  },
  mkdir: (parent: Uint8Array, name: string, own: Uint8Array) => (to: XdrWriter) => {
    to.fixed(parent);
    to.u32(0o755);
    to.u32(0);
    to.opaque(bytes(name));
    putDict(to, [["gfid-req", own, "gfid"]]);
  },
  mknod: (parent: Uint8Array, name: string, own: Uint8Array) => (to: XdrWriter) => {
    to.fixed(parent);
    to.u53(0);
    to.u32(0o100644);
    to.u32(0);
    to.opaque(bytes(name));
    putDict(to, [["gfid-req", own, "gfid"]]);
  },
  create:
    (parent: Uint8Array, name: string, own?: Uint8Array, flags = 0o102) => (to: XdrWriter) => {
      to.fixed(parent);
      to.u32(flags);
      to.u32(0o644);
      to.u32(0);
      to.opaque(bytes(name));
      putDict(to, own ? [["gfid-req", own, "gfid"]] : []);
    },
  symlink:
    (parent: Uint8Array, name: string, target: string, own: Uint8Array) => (to: XdrWriter) => {
      to.fixed(parent);
      to.opaque(bytes(name));
      to.u32(0);
      to.opaque(bytes(target));
      putDict(to, [["gfid-req", own, "gfid"]]);
    },
  unlink: (parent: Uint8Array, name: string) => (to: XdrWriter) => {
    to.fixed(parent);
    to.opaque(bytes(name));
    to.u32(0);
    putDict(to);
  },
  rmdir: (parent: Uint8Array, name: string) => (to: XdrWriter) => {
    to.fixed(parent);
    to.u32(0);
    to.opaque(bytes(name));
    putDict(to);
  },
  rename:
    (from: Uint8Array, name: string, into: Uint8Array, newName: string) => (to: XdrWriter) => {
      to.fixed(from);
      to.fixed(into);
      to.opaque(bytes(name));
      to.opaque(bytes(newName));
      putDict(to);
    },
  link: (own: Uint8Array, parent: Uint8Array, name: string) => (to: XdrWriter) => {
    to.fixed(own);
    to.fixed(parent);
    to.opaque(bytes(name));
    putDict(to);
  },
  /** Only a gfid: STAT, STATFS, OPENDIR. */
  self: (own: Uint8Array) => (to: XdrWriter) => {
    to.fixed(own);
    putDict(to);
  },
  open: (own: Uint8Array, flags: number) => (to: XdrWriter) => {
    to.fixed(own);
    to.u32(flags);
    putDict(to);
  },
  /** gfid and fd: FLUSH, FSTAT, RELEASE. */
  fd: (own: Uint8Array, fd: bigint) => (to: XdrWriter) => {
    to.fixed(own);
    to.i64(fd);
    putDict(to);
  },
  read: (own: Uint8Array, fd: bigint, offset: bigint, size: number) => (to: XdrWriter) => {
    to.fixed(own);
    to.i64(fd);
    to.u64(offset);
    to.u32(size);
    to.u32(0);
    putDict(to);
  },
  write:
    (own: Uint8Array, fd: bigint, offset: bigint, data: Uint8Array, size = data.length) =>
    (to: XdrWriter) => {
      to.fixed(own);
      to.i64(fd);
      to.u64(offset);
      to.u32(size);
      to.u32(0);
      putDict(to);
      to.raw(data);
    },
  truncate: (own: Uint8Array, size: bigint) => (to: XdrWriter) => {
    to.fixed(own);
    to.u64(size);
    putDict(to);
  },
  ftruncate: (own: Uint8Array, fd: bigint, size: bigint) => (to: XdrWriter) => {
    to.fixed(own);
    to.i64(fd);
    to.u64(size);
    putDict(to);
  },
  fallocate: (own: Uint8Array, fd: bigint, offset: bigint, size: bigint) => (to: XdrWriter) => {
    to.fixed(own);
    to.i64(fd);
    to.u32(0);
    to.u64(offset);
    to.u64(size);
    putDict(to);
  },
  /** DISCARD and ZEROFILL. */
  range: (own: Uint8Array, fd: bigint, offset: bigint, size: bigint) => (to: XdrWriter) => {
    to.fixed(own);
    to.i64(fd);
    to.u64(offset);
    to.u64(size);
    putDict(to);
  },
  seek: (own: Uint8Array, fd: bigint, offset: bigint, what: number) => (to: XdrWriter) => {
    to.fixed(own);
    to.i64(fd);
    to.u64(offset);
    to.u32(what);
    putDict(to);
  },
  setxattr: (own: Uint8Array, name: string, value: Uint8Array, flags = 0) => (to: XdrWriter) => {
    to.fixed(own);
    to.u32(flags);
    putDict(to, [[name, value, "binary"]]);
    putDict(to);
  },
  getxattr: (own: Uint8Array, name: string) => (to: XdrWriter) => {
    to.fixed(own);
    to.u32(name.length);
    to.opaque(bytes(name));
    putDict(to);
  },
  removexattr: (own: Uint8Array, name: string) => (to: XdrWriter) => {
    to.fixed(own);
    to.opaque(bytes(name));
    putDict(to);
  },
  xattrop: (own: Uint8Array, name: string, value: Uint8Array, op = 0) => (to: XdrWriter) => {
    to.fixed(own);
    to.u32(op);
    putDict(to, [[name, value, "binary"]]);
    putDict(to);
  },
  readdirp: (own: Uint8Array, fd: bigint, offset: bigint, size: number) => (to: XdrWriter) => {
    to.fixed(own);
    to.i64(fd);
    to.u64(offset);
    to.u32(size);
    putDict(to);
  },
  lk:
    (own: Uint8Array, fd: bigint, type: number, start: bigint, size: bigint) => (to: XdrWriter) => {
      to.fixed(own);
      to.i64(fd);
      to.u32(1);
      to.u32(type);
      to.u32(type);
      to.u32(0);
      to.u64(start);
      to.u64(size);
      to.u32(4711);
      to.opaque(bytes("rawowner"));
      putDict(to);
    },
} as const;
