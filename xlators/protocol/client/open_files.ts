/**
 * The files that are open at the brick, by fd, with the locks taken through them. A brick forgets a
 * connection's files and locks when it ends, so both are made again on the next one, before fops go
 * over it. A number counts only on the connection it came from: no fop ever names a stale one.
 *
 * What cannot be made again is lost: the fd fails with EBADFD until it is closed. A file is lost if
 * it cannot be opened (it was unlinked meanwhile), or if a lock of it is now in somebody else's way:
 * who goes on writing without the lock he was granted destroys data. With `strict-locks` a file with
 * locks is lost in any case, as somebody may have had the lock while the brick was away.
 */

import { type Call, ROOT } from "core/call.ts";
import type { Clock } from "core/env.ts";
import { EAGAIN, EBADF, EBADFD, FopError } from "core/errno.ts";
import { Fd, type Inode, type InodeTable } from "core/inode.ts";
import {
  type Args,
  type Flock,
  type FopName,
  O_CREAT,
  O_EXCL,
  O_TRUNC,
  type Reply,
} from "core/fops.ts";
import type { Connection } from "rpc/connection.ts";
import { ANONYMOUS_FD, type Peer } from "rpc/wire.ts";
import { sizeOf } from "core/lib/ranges.ts";
import { exchange } from "xlators/protocol/client/exchange.ts";
import { type HeldLock, HeldLocks } from "core/held_locks.ts";

interface OpenFile {
  readonly directory: boolean;
  number: number;
  /** Where `number` counts; undefined if it was lost and not opened again. */
  connection: Connection | undefined;
}

/** Opening again goes in batches: a mount may hold thousands of files. */
const REOPEN_BATCH = 64;
/** How long, and how often, a lock is tried again that our own last connection still holds. */
const FORMER_SELF_MS = 5000, TRY_AGAIN_MS = 200;

/** See the head of this file. */
export class OpenFiles {
  readonly locks = new HeldLocks();
  #files = new Map<Fd, OpenFile>();

  constructor(readonly inodes: InodeTable, readonly clock: Clock) {}

  get count(): number {
    return this.#files.size;
  }

  /** What the codecs ask on `connection`; files that a reply hands out are directories or not. */
  peer(connection: Connection, { directory }: { directory: boolean }): Peer {
    return {
      inode: (gfid) => this.inodes.of(gfid),
      fd: () => {
        throw EBADF;
      },
      numberOf: (fd) => this.numberOf(fd, connection),
      adopt: (number, inode, flags) => this.#adopt(number, inode, flags, connection, directory),
    };
  }

  /** The number of `fd` on `connection`. Throws EBADF if it is not open, EBADFD if it was lost. */
  numberOf(fd: Fd, connection: Connection): number {
    if (fd.anonymous) return ANONYMOUS_FD;
    const file = this.#files.get(fd);
    if (!file) throw EBADF;
    if (file.connection !== connection) throw EBADFD;
    return file.number;
  }

  /** True if `fd` is open on `connection`. */
  isOn(fd: Fd, connection: Connection): boolean {
    return this.#files.get(fd)?.connection === connection;
  }

  /** Forgets `fd` and its locks: it is closed. Answers its number if the brick has to be told. */
  close(fd: Fd, connection: Connection | undefined): number | undefined {
    const file = this.#files.get(fd);
    if (!file) return undefined;
    this.#files.delete(fd);
    this.locks.closed(fd);
    return connection && file.connection === connection ? file.number : undefined;
  }

  #adopt(
    number: number,
    inode: Inode,
    flags: number,
    connection: Connection,
    directory: boolean,
  ): Fd {
    const fd = new Fd(inode, flags);
    this.#files.set(fd, { number, connection, directory });
    return fd;
  }

  /**
   * Makes everything again on a new connection that no fop uses yet; answers how many files were
   * lost by that. `strict`: those with locks are.
   */
  async reopen(connection: Connection, strict: boolean): Promise<number> {
    let lost = 0;
    const files = [...this.#files];
    for (let at = 0; at < files.length && connection.open; at += REOPEN_BATCH) {
      const opened = await Promise.all(
        files.slice(at, at + REOPEN_BATCH).map(([fd, file]) =>
          new Reopening(this, connection, fd, file).run(strict)
        ),
      );
      lost += opened.filter((each) => !each).length;
    }
    return lost;
  }

  /** True until `fd` is closed. */
  isOpen(fd: Fd): boolean {
    return this.#files.has(fd);
  }
}

/** One file on its way back. Its fops fail meanwhile, but it may be closed, or unlocked. */
class Reopening {
  readonly #files: OpenFiles;
  readonly #connection: Connection;
  readonly #fd: Fd;
  readonly #file: OpenFile;

  constructor(files: OpenFiles, connection: Connection, fd: Fd, file: OpenFile) {
    this.#files = files;
    this.#connection = connection;
    this.#fd = fd;
    this.#file = file;
  }

  /** False if the file is lost. Only for good: if the connection is, the next one gets its chance. */
  async run(strict: boolean): Promise<boolean> {
    const file = this.#file, fd = this.#fd;
    const wasThere = file.connection !== undefined;
    file.connection = undefined;
    // Lost before: what was locked through it is gone, and it stays lost.
    if (!wasThere || strict && this.#files.locks.of(fd).length) return !wasThere;
    try {
      const number = await this.#open();
      if (await this.#lock(number) && this.#files.isOpen(fd)) {
        file.number = number;
        file.connection = this.#connection;
        return true;
      }
      await this.#close(number);
    } catch (error) {
      if (!(error instanceof FopError)) throw error;
      // The next connection tries again.
      if (!this.#connection.open) file.connection = this.#connection;
    }
    return !this.#files.isOpen(fd) || file.connection !== undefined;
  }

  async #open(): Promise<number> {
    const { inode, flags } = this.#fd;
    let opened = 0;
    const adopt = (number: number) => {
      opened = number;
      return this.#fd;
    };
    if (this.#file.directory) await this.#ask("opendir", { inode }, { adopt });
    else {
      const again = flags & ~(O_CREAT | O_EXCL | O_TRUNC);
      await this.#ask("open", { inode, flags: again }, { adopt });
    }
    return opened;
  }

  // False if a lock is somebody else's now.
  async #lock(number: number): Promise<boolean> {
    const { locks } = this.#files, taken: HeldLock[] = [];
    for (const lock of locks.of(this.#fd)) {
      if (!locks.has(lock)) continue;
      if (!lock.fixed || !await this.#regain(number, lock)) return false;
      taken.push(lock);
    }
    // Given up meanwhile, perhaps in part: the first ones, too, while the last ones were taken.
    const over = taken.filter((lock) => !locks.has(lock));
    if (!over.length) return true;
    for (const lock of over) await this.#setLock(number, lock, "unlock");
    return await this.#lock(number);
  }

  // The brick may learn of the new connection before it learns that the last one ended.
  async #regain(number: number, held: HeldLock): Promise<boolean> {
    const { clock } = this.#files;
    const patience = clock.monotonic() + FORMER_SELF_MS;
    while (!await this.#setLock(number, held, held.type)) {
      if (clock.monotonic() > patience || !await this.#isOurs(number, held)) return false;
      await clock.delay(TRY_AGAIN_MS);
    }
    return true;
  }

  // True if what is in the way is the same lock.
  async #isOurs(number: number, held: HeldLock): Promise<boolean> {
    const { lock } = await this.#lk(number, held, "get", held.type);
    return lock.type === "unlock" || lock.owner === held.owner && lock.pid === held.flockPid;
  }

  // False if somebody's lock is in the way.
  async #setLock(number: number, held: HeldLock, type: Flock["type"]): Promise<boolean> {
    try {
      await this.#lk(number, held, "set", type);
      return true;
    } catch (error) {
      if (EAGAIN.matches(error)) return false;
      throw error;
    }
  }

  #lk(number: number, held: HeldLock, cmd: "get" | "set", type: Flock["type"]) {
    const { range, owner, flockPid: pid, xdata } = held;
    const lock = { type, whence: 0, start: range.start, size: sizeOf(range), pid, owner };
    const call = { ...ROOT, pid: held.pid, lkOwner: owner };
    const numberOf = () => number;
    return this.#ask("lk", { fd: this.#fd, cmd, lock, xdata }, { numberOf }, call);
  }

  #close(number: number): Promise<unknown> {
    const fop = this.#file.directory ? "releasedir" : "release";
    return this.#ask(fop, { fd: this.#fd }, { numberOf: () => number });
  }

  #ask<K extends FopName>(
    fop: K,
    args: Args<K>,
    over: Partial<Peer>,
    call: Call = ROOT,
  ): Promise<Reply<K>> {
    const peer = { ...this.#files.peer(this.#connection, this.#file), ...over };
    return exchange(fop, this.#connection, peer, call, args, Infinity);
  }
}
