/** A conformance test's own directory in the graph under test, and short words for its fops. */

import { ok, rejects } from "node:assert/strict";
import type { Call } from "core/call.ts";
import { realRandom } from "core/env.ts";
import { FopError } from "core/errno.ts";
import {
  type Args,
  type CreateReply,
  type DirentPlus,
  type FopName,
  type Fops,
  O_RDWR,
  type Reply,
} from "core/fops.ts";
import type { Fd, Gfid, Inode, InodeTable } from "core/inode.ts";
import { ptr, Xdata } from "core/xdata.ts";
import { GFID_REQ } from "core/xdata_keys.ts";
import { windTo, type Xlator } from "core/xlator.ts";

/** A graph under test. It is started; cases share it. */
export interface Subject {
  /** Its top layer. */
  readonly top: Xlator;
  readonly inodes: InodeTable;
  /** The superuser's. */
  readonly call: Call;
  /** Stops the graph and removes what it kept. */
  stop(): Promise<void>;
}

/** One case: rejects if the graph does not obey. */
export type Case = (subject: Subject) => Promise<void>;
/** Cases by name; the name says what holds. */
export type Cases = Readonly<Record<string, Case>>;

/** A fresh gfid. */
export function newGfid(): Gfid {
  return realRandom.uuid() as Gfid;
}

/** Extra data that asks for `gfid`. */
export function gfidReq(gfid: Gfid = newGfid()): Xdata {
  return new Xdata(new Map()).with(GFID_REQ, gfid);
}

/** Extended attributes from text or bytes by name. */
export function xattrs(values: Readonly<Record<string, string | Uint8Array>>): Xdata {
  return Xdata.of(
    Object.entries(values).map(([name, value]) => [
      name,
      ptr(typeof value === "string" ? bytes(value) : value),
    ]),
  );
}

/** UTF-8. */
export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** From UTF-8. */
export function text(data: Uint8Array): string {
  return new TextDecoder().decode(data);
}

/** `size` bytes that tell their offsets apart: no page equals another, none is zero. */
export function pattern(size: number, seed = 1): Uint8Array {
  const data = new Uint8Array(size);
  for (let i = 0; i < size; i++) data[i] = 1 + (i * 7 + (i >> 8) * 13 + seed * 31) % 255;
  return data;
}

/** Waits for `answer` to fail with one of `failures`, and answers the failure. */
export async function fails(
  answer: Promise<unknown>,
  ...failures: readonly FopError[]
): Promise<FopError> {
  let got: FopError | undefined;
  await rejects(answer, (error) => {
    ok(error instanceof FopError, `threw ${error}, not a FopError`);
    const expected = failures.map((each) => each.code).join(" or ");
    ok(failures.some((each) => each.matches(error)), `failed with ${error.code}, not ${expected}`);
    got = error;
    return true;
  });
  return got!;
}

/** A file that was made, and how. */
export interface Made {
  readonly inode: Inode;
  readonly fd: Fd;
  readonly reply: CreateReply;
}

/** A directory of one test. */
export class Place {
  readonly top: Xlator;
  readonly inodes: InodeTable;
  readonly call: Call;

  private constructor(subject: Subject, readonly dir: Inode) {
    this.top = subject.top;
    this.inodes = subject.inodes;
    this.call = subject.call;
  }

  /** A new directory in the root. */
  static async of(subject: Subject): Promise<Place> {
    const { top, inodes, call } = subject;
    const args = {
      parent: inodes.root,
      name: `place-${realRandom.uuid()}`,
      mode: 0o755,
      umask: 0,
      xdata: gfidReq(),
    };
    const { stat } = await top.mkdir(call, args);
    return new Place(subject, inodes.of(stat.gfid));
  }

  /** A fop as the superuser, or as `call`. */
  ask<K extends FopName>(fop: K, args: Args<K>, call: Call = this.call): Promise<Reply<K>> {
    return windTo(this.top as Fops, fop, call, args);
  }

  /** Looks a name up. */
  lookup(name: string, parent = this.dir, xdata?: Xdata): Promise<Reply<"lookup">> {
    return this.ask("lookup", { parent, name, xdata });
  }

  async create(
    name: string,
    { flags = O_RDWR, mode = 0o644, parent = this.dir, xdata = gfidReq() } = {},
  ): Promise<Made> {
    const reply = await this.ask("create", { parent, name, flags, mode, umask: 0, xdata });
    return { inode: this.inodes.of(reply.stat.gfid), fd: reply.fd, reply };
  }

  /** A closed file with `content`. */
  async file(name: string, content: string | Uint8Array = "", parent = this.dir): Promise<Inode> {
    const { inode, fd } = await this.create(name, { parent });
    if (content.length) await this.write(fd, 0, content);
    await this.close(fd);
    return inode;
  }

  async mkdir(name: string, parent = this.dir, mode = 0o755): Promise<Inode> {
    const { stat } = await this.ask("mkdir", { parent, name, mode, umask: 0, xdata: gfidReq() });
    return this.inodes.of(stat.gfid);
  }

  async open(inode: Inode, flags = O_RDWR): Promise<Fd> {
    return (await this.ask("open", { inode, flags })).fd;
  }

  async close(...fds: readonly Fd[]): Promise<void> {
    for (const fd of fds) {
      await this.ask("flush", { fd });
      await this.ask("release", { fd });
    }
  }

  write(fd: Fd, offset: number, data: string | Uint8Array, xdata?: Xdata) {
    const args = { fd, offset, data: typeof data === "string" ? bytes(data) : data, flags: 0 };
    return this.ask("writev", xdata ? { ...args, xdata } : args);
  }

  async read(fd: Fd, offset: number, size: number): Promise<Uint8Array> {
    return (await this.ask("readv", { fd, offset, size, flags: 0 })).data;
  }

  /** A file's whole content as text, through a new fd. */
  async content(inode: Inode): Promise<string> {
    const fd = await this.open(inode, 0);
    const data = text(await this.read(fd, 0, 1 << 20));
    await this.close(fd);
    return data;
  }

  async stat(inode: Inode): Promise<Reply<"stat">["stat"]> {
    return (await this.ask("stat", { inode })).stat;
  }

  unlink(name: string, parent = this.dir, xdata?: Xdata): Promise<Reply<"unlink">> {
    return this.ask("unlink", { parent, name, flags: 0, xdata });
  }

  rename(oldName: string, newName: string, oldParent = this.dir, newParent = oldParent) {
    return this.ask("rename", { oldParent, oldName, newParent, newName });
  }

  /** The bytes of one attribute. */
  async xattr(inode: Inode, name: string): Promise<Uint8Array | undefined> {
    const value = (await this.ask("getxattr", { inode, name })).xattrs?.raw(name);
    return value?.type === "ptr" ? value.value : undefined;
  }

  setxattr(inode: Inode, values: Readonly<Record<string, string | Uint8Array>>, flags = 0) {
    return this.ask("setxattr", { inode, xattrs: xattrs(values), flags });
  }

  /** Every entry of a directory but "." and "..", listed with replies of `size` bytes. */
  async list(inode: Inode = this.dir, size = 4096): Promise<DirentPlus[]> {
    const { fd } = await this.ask("opendir", { inode });
    const entries: DirentPlus[] = [];
    let offset = 0n;
    for (let eof = false; !eof;) {
      const reply = await this.ask("readdirp", { fd, offset, size });
      for (const entry of reply.entries) {
        if (entry.name !== "." && entry.name !== "..") entries.push(entry);
        offset = entry.offset;
      }
      ok(reply.eof || reply.entries.length > 0, "no entries and no end");
      eof = reply.eof;
    }
    await this.ask("releasedir", { fd });
    return entries;
  }

  /** Names of `list`, sorted. */
  async names(inode: Inode = this.dir): Promise<string[]> {
    return (await this.list(inode)).map((entry) => entry.name).sort();
  }
}
