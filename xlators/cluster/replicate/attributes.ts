/** Fops that change attributes: how each goes to one copy. See `change.ts`. */

import type { Call } from "core/call.ts";
import { EIO } from "core/errno.ts";
import type { Args, FopName, Reply } from "core/fops.ts";
import type { Fd, Inode } from "core/inode.ts";
import { windTo } from "core/xlator.ts";
import { makeChange } from "xlators/cluster/replicate/change.ts";
import type { Copies } from "xlators/cluster/replicate/copies.ts";
import { lockAll, METADATA_RANGE, rangeLockee } from "xlators/cluster/replicate/locking.ts";
import type { OpenCopies } from "xlators/cluster/replicate/open_copies.ts";
import { isWhole, pickByPart } from "xlators/cluster/replicate/parts.ts";
import type { Reader } from "xlators/cluster/replicate/read.ts";

/** Of an inode. */
export type AttributeFop = "setattr" | "setxattr" | "removexattr" | "xattrop";
/** Of an open file. */
export type AttributeFdFop = "fsetattr" | "fsetxattr" | "fremovexattr" | "fxattrop";

/** See the head of this file. */
export class Attributes {
  constructor(readonly copies: Copies, readonly reader: Reader, readonly opened: OpenCopies) {}

  byInode<K extends AttributeFop>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    const { inode } = args as { inode: Inode };
    return this.#inTurn(
      inode,
      () =>
        this.#change(
          call,
          inode,
          undefined,
          (index) =>
            windTo(this.copies.all[index]!, fop as FopName, call, args) as Promise<Reply<K>>,
        ),
    );
  }

  async byFd<K extends AttributeFdFop>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    const { fd } = args as { fd: Fd };
    await this.opened.complete(call, fd);
    return await this.#inTurn(
      fd.inode,
      () =>
        this.#change(call, fd.inode, this.opened.of(fd)?.fds, async (index) => {
          const own = { ...args, fd: this.opened.on(fd, index) };
          return await windTo(this.copies.all[index]!, fop as FopName, call, own) as Reply<K>;
        }),
    );
  }

  // Two of one client would only lock each other out.
  async #inTurn<R>(inode: Inode, act: () => Promise<R>): Promise<R> {
    const state = this.copies.stateOf(inode);
    const before = state.turn;
    const turn = (async () => {
      await before?.catch(() => {});
      return await act();
    })();
    state.turn = turn;
    try {
      return await turn;
    } finally {
      if (state.turn === turn) state.turn = undefined;
    }
  }

  async #change<R extends object>(
    call: Call,
    inode: Inode,
    fds: readonly (Fd | undefined)[] | undefined,
    wind: (index: number) => Promise<R>,
  ): Promise<R> {
    const { copies, reader } = this;
    copies.checkQuorum();
    let good = await this.#good(call, inode);
    if (!good.includes(true) && await reader.favorites.decide(inode)) {
      good = await this.#good(call, inode);
    }
    // Each is blamed, or the right ones are away: a change of the others would hide that.
    if (!good.includes(true)) throw EIO;
    const target = { inode, fds };
    const answers = await makeChange(copies, {
      part: "metadata",
      call,
      lock: (locker) => lockAll(copies, [rangeLockee(copies, locker, target, METADATA_RANGE)]),
      targets: [target],
      wind,
      good,
    });
    return pickByPart(answers, reader.tellers(inode), copies.arbiter)!;
  }

  // Copies with right attributes. None where nobody has the right data: that is to be healed first.
  async #good(call: Call, inode: Inode): Promise<boolean[]> {
    const known = await this.reader.known(call, inode);
    const good = this.reader.sure(inode, known.metadata);
    return isWhole(known) ? good : good.map(() => false);
  }
}
