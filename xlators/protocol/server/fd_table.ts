/** Open files of one connection by number. Numbers that were given back are used again. */

import { EBADF, EMFILE } from "core/errno.ts";
import type { Fd, Gfid } from "core/inode.ts";

/** See the head of this file. Number 0 is a file like any other. */
export class FdTable {
  #fds: (Fd | undefined)[] = [];
  #directories: boolean[] = [];
  #free: number[] = [];

  /** How many files have a number. */
  get count(): number {
    return this.#fds.length - this.#free.length;
  }

  /** All that are open. */
  list(): { number: number; gfid: Gfid; flags: number }[] {
    return this.#fds.flatMap((fd, number) =>
      fd ? [{ number, gfid: fd.inode.gfid, flags: fd.flags }] : []
    );
  }

  /** The file under `number`; throws EBADF. */
  get(number: number): Fd {
    const fd = this.#fds[number];
    if (!fd) throw EBADF;
    return fd;
  }

  /** Throws EMFILE if `max` files are open. */
  check(max: number): void {
    if (this.count >= max) throw EMFILE;
  }

  /** Keeps `fd` and answers its number. */
  add(fd: Fd, directory: boolean): number {
    const number = this.#free.pop() ?? this.#fds.length;
    this.#fds[number] = fd;
    this.#directories[number] = directory;
    return number;
  }

  /** Gives `number` back; answers the file, and of which kind it is. Throws EBADF. */
  remove(number: number): { fd: Fd; directory: boolean } {
    const fd = this.get(number);
    this.#fds[number] = undefined;
    this.#free.push(number);
    return { fd, directory: this.#directories[number]! };
  }

  /** Gives all numbers back; answers the files that had one. */
  clear(): { fd: Fd; directory: boolean }[] {
    const open = this.#fds.flatMap((fd, number) =>
      fd ? [{ fd, directory: this.#directories[number]! }] : []
    );
    this.#fds = [];
    this.#directories = [];
    this.#free = [];
    return open;
  }
}
