/**
 * Open files: one fd for the caller, one of each copy beneath. A copy that was away when the file was
 * opened is opened when it is back and the file is used; never made nor cut by that.
 */

import type { Call } from "core/call.ts";
import { EBADF, EBADFD } from "core/errno.ts";
import { type Args, DONE, O_CREAT, O_EXCL, O_TRUNC } from "core/fops.ts";
import { Fd, type Inode, PerFd } from "core/inode.ts";
import { settle } from "core/xlator.ts";
import type { Copies } from "xlators/cluster/replicate/copies.ts";

import type { Listed } from "xlators/cluster/replicate/listed.ts";

/** One open file or directory. */
export interface OpenFile {
  readonly directory: boolean;
  /** By copy; undefined where it is not open. */
  readonly fds: (Fd | undefined)[];
  /** Copy that a listing goes on with, what it showed, and the copies that are listed together. */
  listing?: {
    readonly index: number;
    readonly listed: Listed;
    readonly merged: readonly number[];
    /** Those of `merged` that come after this one. */
    readonly rest: readonly number[];
  };
  opening?: Promise<void> | undefined;
  /** When a copy that could not be opened is tried again, in monotonic milliseconds. */
  retryAt: number;
}

/** Milliseconds between attempts to open a copy: the file may be missing there until it is healed. */
const RETRY_MS = 1000;

/** See the head of this file. */
export class OpenCopies {
  #files = new PerFd<OpenFile>();
  /** Called before a copy that came back is used through an fd which was just opened there. */
  onOpened: ((fd: Fd, index: number) => Promise<void>) | undefined;

  constructor(readonly copies: Copies) {}

  /** What is beneath `fd`; undefined for an anonymous one. */
  of(fd: Fd): OpenFile | undefined {
    return this.#files.get(fd);
  }

  /** Hands out an fd over those of the copies. */
  hand(inode: Inode, flags: number, fds: (Fd | undefined)[], directory = false): Fd {
    const fd = new Fd(inode, flags);
    this.#files.set(fd, { directory, fds, retryAt: 0 });
    this.copies.stateOf(inode).opened(fd);
    return fd;
  }

  /** The copy's own fd. Throws EBADF if `fd` was never opened here, EBADFD if not on that copy. */
  on(fd: Fd, index: number): Fd {
    if (fd.anonymous) return fd;
    const file = this.#files.get(fd);
    if (!file) throw EBADF;
    const own = file.fds[index];
    if (!own) throw EBADFD;
    return own;
  }

  /** Copies where `fd` can be used. */
  where(fd: Fd): boolean[] {
    return this.copies.numbers().map((index) =>
      fd.anonymous || this.#files.get(fd)?.fds[index] !== undefined
    );
  }

  /** Opens `fd` on copies that came back. Throws EBADF if it is not open at all. */
  async complete(call: Call, fd: Fd): Promise<void> {
    if (fd.anonymous) return;
    const file = this.#files.get(fd);
    if (!file) throw EBADF;
    const missing = file.fds.some((own, index) => !own && this.copies.up[index]);
    if (missing && this.copies.env.clock.monotonic() >= file.retryAt) {
      file.opening ??= this.#open(call, fd, file).finally(() => file.opening = undefined);
    }
    await file.opening;
  }

  async #open(call: Call, fd: Fd, file: OpenFile): Promise<void> {
    const { inode } = fd, flags = fd.flags & ~(O_CREAT | O_EXCL | O_TRUNC);
    const asked = this.copies.numbers().filter((index) =>
      !file.fds[index] && this.copies.up[index]
    );
    const answers = await settle(asked.map((index) => {
      const to = this.copies.all[index]!;
      return file.directory ? to.opendir(call, { inode }) : to.open(call, { inode, flags });
    }));
    let lacks = false;
    for (const [at, index] of asked.entries()) {
      const answer = answers[at]!;
      if (!answer.ok) lacks = true;
      else if (this.#files.get(fd) === file) {
        file.fds[index] = answer.value.fd;
        await this.onOpened?.(fd, index);
      } else await settle([this.#release(call, index, answer.value.fd, file.directory)]);
    }
    if (lacks) file.retryAt = this.copies.env.clock.monotonic() + RETRY_MS;
  }

  #release(call: Call, index: number, fd: Fd, directory: boolean) {
    const to = this.copies.all[index]!;
    return directory ? to.releasedir(call, { fd }) : to.release(call, { fd });
  }

  /** Closes `fd` on all copies, unless that was done (`closed`). Throws EBADF if it is not open. */
  async release(call: Call, { fd }: Args<"release">, closed = false): Promise<typeof DONE> {
    const file = this.#files.get(fd);
    if (!file) throw EBADF;
    this.#files.delete(fd);
    this.copies.stateOf(fd.inode).closed(fd);
    if (!closed) await this.releaseAll(call, file.fds, file.directory);
    return DONE;
  }

  /** Closes fds of copies that were not handed out. */
  async releaseAll(call: Call, fds: readonly (Fd | undefined)[], directory = false): Promise<void> {
    await settle(
      fds.flatMap((own, index) => own ? [this.#release(call, index, own, directory)] : []),
    );
  }
}
