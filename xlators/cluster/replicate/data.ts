/** Fops that change a file's data: how each goes to one copy, and which bytes it changes. See `write.ts`. */

import type { Call } from "core/call.ts";
import { EIO, ENOTCONN } from "core/errno.ts";
import {
  type Args,
  O_APPEND,
  O_DSYNC,
  O_SYNC,
  type PrePost,
  type Reply,
  type WithXdata,
} from "core/fops.ts";
import type { Fd, Inode } from "core/inode.ts";
import { Xdata } from "core/xdata.ts";
import { INODELK_COUNT, INODELK_DOM_COUNT, WRITE_IS_APPEND } from "core/xdata_keys.ts";
import type { NewFile } from "xlators/cluster/replicate/carried.ts";
import { type Copies, forCaller, type Target } from "xlators/cluster/replicate/copies.ts";
import type { OpenCopies } from "xlators/cluster/replicate/open_copies.ts";
import { isOnWord } from "xlators/cluster/replicate/options.ts";
import { pickByPart } from "xlators/cluster/replicate/parts.ts";
import type { Reader } from "xlators/cluster/replicate/read.ts";
import { type DataChange, FileLock } from "xlators/cluster/replicate/write.ts";

/** What an arbiter is sent instead of data. */
const ONE_BYTE = Uint8Array.of(0xff);
/** Bytes that are copied at once. */
const COPY_BYTES = 1 << 17;

interface Range {
  readonly start: number;
  readonly end: number;
}
const ALL: Range = { start: 0, end: Infinity };

type Kind = Partial<Pick<DataChange<WithXdata>, "keepsLock" | "syncs">> & {
  readonly isUnstable?: (replies: readonly WithXdata[]) => boolean;
};

/** See the head of this file. */
export class Data {
  readonly #asking: Xdata;

  constructor(readonly copies: Copies, readonly reader: Reader, readonly opened: OpenCopies) {
    this.#asking = Xdata.of([
      [INODELK_DOM_COUNT.name, INODELK_DOM_COUNT.write(copies.name)],
      [WRITE_IS_APPEND.name, WRITE_IS_APPEND.write(4)],
    ]);
  }

  async writev(call: Call, args: Args<"writev">): Promise<Reply<"writev">> {
    const { fd, offset, data } = args;
    const { copies } = this;
    const xdata = args.xdata ? args.xdata.merged(this.#asking) : this.#asking;
    const stable = ((fd.flags | args.flags) & (O_SYNC | O_DSYNC)) !== 0;
    // An append needs no sync: the copy that loses it is shorter, and so known.
    const appends = (replies: readonly WithXdata[]) =>
      replies.every((reply) => reply.xdata?.get(WRITE_IS_APPEND) === 1);
    const range = fd.flags & O_APPEND ? ALL : { start: offset, end: offset + data.length };
    return await this.#byFd(call, args, range, (index, own) =>
      copies.all[index]!.writev(call, {
        ...args,
        fd: own,
        xdata,
        data: index === copies.arbiter ? ONE_BYTE : data,
      }), { keepsLock: true, isUnstable: (replies) => !stable && !appends(replies) });
  }

  async truncate(call: Call, args: Args<"truncate">): Promise<Reply<"truncate">> {
    const { inode, offset: start } = args;
    const wind = (index: number) => this.copies.all[index]!.truncate(call, args);
    return await this.#run(call, { inode }, undefined, { start, end: Infinity }, wind, {
      isUnstable: cuts,
    }, args.xdata);
  }
  ftruncate(call: Call, args: Args<"ftruncate">): Promise<Reply<"ftruncate">> {
    return this.#byFd(
      call,
      args,
      { start: args.offset, end: Infinity },
      (index, fd) => this.copies.all[index]!.ftruncate(call, { ...args, fd }),
      { isUnstable: cuts },
    );
  }
  fallocate(call: Call, args: Args<"fallocate">): Promise<Reply<"fallocate">> {
    return this.#byFd(
      call,
      args,
      { start: args.offset, end: Infinity },
      (index, fd) => this.copies.all[index]!.fallocate(call, { ...args, fd }),
      { isUnstable: always },
    );
  }
  discard(call: Call, args: Args<"discard">): Promise<Reply<"discard">> {
    return this.#byFd(
      call,
      args,
      { start: args.offset, end: Infinity },
      (index, fd) => this.copies.all[index]!.discard(call, { ...args, fd }),
      { isUnstable: always },
    );
  }
  zerofill(call: Call, args: Args<"zerofill">): Promise<Reply<"zerofill">> {
    return this.#byFd(
      call,
      args,
      { start: args.offset, end: Infinity },
      (index, fd) => this.copies.all[index]!.zerofill(call, { ...args, fd }),
      { isUnstable: always },
    );
  }
  /** A copy that cannot sync has missed what was written. */
  fsync(call: Call, args: Args<"fsync">): Promise<Reply<"fsync">> {
    return this.#byFd(
      call,
      args,
      ALL,
      (index, fd) => this.copies.all[index]!.fsync(call, { ...args, fd }),
      { keepsLock: true, syncs: true },
    );
  }

  /** Read from a right copy and written to all: a copy's own source may be behind. */
  async copyFileRange(
    call: Call,
    { source, sourceOffset, fd, offset, size, flags }: Args<"copyFileRange">,
    readv: (call: Call, args: Args<"readv">) => Promise<Reply<"readv">>,
    fstat: (call: Call, args: Args<"fstat">) => Promise<Reply<"fstat">>,
  ): Promise<Reply<"copyFileRange">> {
    let copied = 0, pre: PrePost["pre"], post: PrePost["post"];
    while (copied < size) {
      const most = Math.min(COPY_BYTES, size - copied);
      const from = { fd: source, offset: sourceOffset + copied, size: most, flags: 0 };
      const { data } = await readv(call, from);
      if (!data.length) break;
      const written = await this.writev(call, { fd, offset: offset + copied, data, flags });
      pre ??= written.pre;
      post = written.post;
      copied += data.length;
      if (data.length < most) break;
    }
    if (!copied) ({ stat: pre } = await fstat(call, { fd }));
    const { stat } = await fstat(call, { fd: source });
    return { size: copied, stat, pre, post: post ?? pre };
  }

  /** Keeps the lock and the marks that a new file came with; false if that cannot be. */
  adopt(file: NewFile): boolean {
    const { inode } = file.target, state = this.copies.stateOf(inode);
    if (state.lock) return false;
    this.#lockOf(inode).adopt(file);
    return true;
  }

  /** Waits until nothing that was written through `fd` has a mark any more. */
  async settled(fd: Fd): Promise<void> {
    await this.copies.stateOf(fd.inode).lock?.settled(fd);
  }

  /** Waits until no lock or mark needs `fd`; true if it was closed on all copies with that. */
  async released(fd: Fd): Promise<boolean> {
    return await this.copies.stateOf(fd.inode).lock?.released(fd) ?? false;
  }

  async #byFd<R extends PrePost>(
    call: Call,
    { fd, xdata }: { readonly fd: Fd; readonly xdata?: Xdata | undefined },
    range: Range,
    wind: (index: number, fd: Fd) => Promise<R>,
    kind: Kind,
  ): Promise<R> {
    await this.opened.complete(call, fd);
    const target = { inode: fd.inode, fds: this.opened.of(fd)?.fds };
    const own = async (index: number) => await wind(index, this.opened.on(fd, index));
    return await this.#run(call, target, fd, range, own, kind, xdata);
  }

  async #run<R extends PrePost>(
    call: Call,
    target: Target,
    fd: Fd | undefined,
    { start, end }: Range,
    wind: (index: number) => Promise<R>,
    kind: Kind,
    asked: Xdata | undefined,
  ): Promise<R> {
    const { copies } = this, { inode } = target;
    copies.checkQuorum();
    const change = {
      call,
      target,
      fd,
      start,
      end,
      wind,
      syncs: kind.syncs ?? false,
      keepsLock: (kind.keepsLock ?? false) && isOnWord(copies.values["eager-lock"]),
      isUnstable: kind.isUnstable ?? never,
    };
    const answers = await this.#lockOf(inode).run<R>(change).catch(async (error) => {
      // No copy is right: the volume's policy may tell one.
      if (!EIO.matches(error) || !await this.reader.favorites.decide(inode)) throw error;
      return await this.#lockOf(inode).run<R>(change);
    });
    const reply = pickByPart(answers, this.reader.tellers(inode), copies.arbiter);
    if (!reply) throw ENOTCONN;
    const xdata = forCaller(reply.xdata, asked, [INODELK_COUNT, WRITE_IS_APPEND]);
    const stats = copies.values["consistent-metadata"] ? { pre: undefined, post: undefined } : {};
    return { ...reply, ...stats, xdata };
  }

  #lockOf(inode: Inode): FileLock {
    const { copies } = this, state = copies.stateOf(inode);
    if (state.lock) return state.lock;
    const lock = new FileLock(copies, state, () => {
      if (state.lock !== lock) return;
      state.lock = undefined;
      copies.locks.delete(lock);
    });
    copies.locks.add(lock);
    // So were others, maybe, that are made like it.
    if (state.isNew) copies.writesNew = true;
    state.isNew = false;
    return state.lock = lock;
  }
}

function never(): boolean {
  return false;
}
function always(): boolean {
  return true;
}
function cuts(replies: readonly WithXdata[]): boolean {
  return (replies as readonly PrePost[]).some(({ pre, post }) => pre?.size !== post?.size);
}
