/** Both ends' knowledge of inodes and open files, for codecs under test. */

import { Fd, type Gfid, Inode } from "core/inode.ts";
import { ANONYMOUS_FD, type Peer } from "rpc/wire.ts";

/** Every gfid is an inode, every number an open file. */
export class AnyPeer implements Peer {
  readonly #inodes = new Map<Gfid, Inode>();
  readonly #numbers = new WeakMap<Fd, number>();

  inode(gfid: Gfid): Inode {
    let inode = this.#inodes.get(gfid);
    if (!inode) this.#inodes.set(gfid, inode = new Inode(gfid));
    return inode;
  }

  fd(number: number, gfid: Gfid, flags: number): Fd {
    return this.adopt(number, this.inode(gfid), flags);
  }

  numberOf(fd: Fd): number {
    return this.#numbers.get(fd) ?? ANONYMOUS_FD;
  }

  adopt(number: number, inode: Inode, flags: number): Fd {
    const fd = new Fd(inode, flags, number === ANONYMOUS_FD);
    this.#numbers.set(fd, number);
    return fd;
  }
}
