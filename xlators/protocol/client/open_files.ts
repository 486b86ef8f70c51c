/**
 * The files that are open at the brick, by fd. A brick forgets a connection's files when it ends, so
 * they are opened again on the next one, before fops go over it. What cannot be opened again (it was
 * unlinked meanwhile) fails with EBADFD from then on. POSIX locks are not taken again.
 */

import { ROOT } from "core/call.ts";
import { EBADF, EBADFD, FopError } from "core/errno.ts";
import { Fd, type Inode, type InodeTable } from "core/inode.ts";
import { O_CREAT, O_EXCL, O_TRUNC } from "core/fops.ts";
import type { Connection } from "rpc/connection.ts";
import { ANONYMOUS_FD, type Peer } from "rpc/wire.ts";
import { exchange } from "xlators/protocol/client/exchange.ts";

interface OpenFile {
  readonly directory: boolean;
  number: number;
  /** Where `number` counts; undefined if it was lost and not opened again. */
  connection: Connection | undefined;
}

/** Opening again goes in batches: a mount may hold thousands of files. */
const REOPEN_BATCH = 64;

/** See the head of this file. */
export class OpenFiles {
  #files = new Map<Fd, OpenFile>();

  constructor(readonly inodes: InodeTable) {}

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

  /** Forgets `fd`: it is closed. */
  forget(fd: Fd): void {
    this.#files.delete(fd);
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

  /** Opens everything again on a new connection; answers how many could not be. */
  async reopen(connection: Connection): Promise<number> {
    let lost = 0;
    const files = [...this.#files];
    for (let at = 0; at < files.length; at += REOPEN_BATCH) {
      const opened = await Promise.all(
        files.slice(at, at + REOPEN_BATCH).map(([fd, file]) =>
          this.#reopenOne(fd, file, connection)
        ),
      );
      lost += opened.filter((each) => !each).length;
    }
    return lost;
  }

  async #reopenOne(
    fd: Fd,
    file: OpenFile,
    connection: Connection,
  ): Promise<boolean> {
    file.connection = undefined;
    const peer: Peer = {
      ...this.peer(connection, file),
      adopt: (number) => {
        file.number = number;
        file.connection = connection;
        return fd;
      },
    };
    const { inode, flags } = fd;
    try {
      if (file.directory) {
        await exchange("opendir", connection, peer, ROOT, { inode }, Infinity);
      } else {
        const again = flags & ~(O_CREAT | O_EXCL | O_TRUNC);
        await exchange("open", connection, peer, ROOT, { inode, flags: again }, Infinity);
      }
      return true;
    } catch (error) {
      if (error instanceof FopError) return false;
      throw error;
    }
  }
}
