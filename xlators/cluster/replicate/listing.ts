/**
 * Listing directories: from one copy from begin to end, for cookies are that copy's own. Attributes of
 * entries may be behind there though its names are right; where that can be, each is looked up.
 */

import type { Call } from "core/call.ts";
import { EBADF, ENOTCONN, FopError } from "core/errno.ts";
import type { Args, DirentPlus, Reply } from "core/fops.ts";
import type { Fd } from "core/inode.ts";
import { settle } from "core/xlator.ts";
import { type Copies, failureOf } from "xlators/cluster/replicate/copies.ts";
import type { Finder } from "xlators/cluster/replicate/lookup.ts";
import type { OpenCopies, OpenFile } from "xlators/cluster/replicate/open_copies.ts";
import type { Reader } from "xlators/cluster/replicate/read.ts";

/** Entries that are looked up at once. */
const LOOKUPS_PARALLEL = 32;
/** What GlusterFS's healers keep in the root: no client shows it. */
const PRIVATE = /^\.(landfill|glusterfs-anonymous-inode-[-0-9a-f]+)$/;

/** See the head of this file. */
export class Listing {
  constructor(
    readonly copies: Copies,
    readonly reader: Reader,
    readonly finder: Finder,
    readonly opened: OpenCopies,
  ) {}

  /** As the fop. */
  async open(call: Call, args: Args<"opendir">): Promise<Reply<"opendir">> {
    const { copies } = this;
    copies.checkQuorum();
    const up = copies.numbers().filter((index) => copies.up[index]);
    const answers = await settle(up.map((index) => copies.all[index]!.opendir(call, args)));
    const fds: (Fd | undefined)[] = copies.all.map(() => undefined);
    up.forEach((index, at) => {
      const answer = answers[at]!;
      if (answer.ok) fds[index] = answer.value.fd;
    });
    const has = fds.map((fd) => fd !== undefined);
    if (!has.includes(true) || copies.quorumOn && !copies.hasQuorum(has)) {
      await this.opened.releaseAll(call, fds, true);
      throw failureOf(answers) ?? ENOTCONN;
    }
    return { fd: this.opened.hand(args.inode, 0, fds, true) };
  }

  /** Names only. */
  async names(call: Call, args: Args<"readdir">): Promise<Reply<"readdir">> {
    const reply = await this.#read(
      call,
      args,
      (index, fd) => this.copies.all[index]!.readdir(call, { ...args, fd }),
    );
    return { ...reply, entries: this.#shown(args, reply.entries) };
  }

  /** Names with attributes. */
  async entries(call: Call, args: Args<"readdirp">): Promise<Reply<"readdirp">> {
    const reply = await this.#read(
      call,
      args,
      (index, fd) => this.copies.all[index]!.readdirp(call, { ...args, fd }),
    );
    const shown = this.#shown(args, reply.entries);
    const healthy = !this.copies.needsHeal && !this.copies.up.includes(false);
    const entries = healthy ? shown : await this.#lookedUp(call, args, shown);
    return { ...reply, entries };
  }

  #shown<T extends { readonly name: string }>(
    { fd }: Args<"readdir">,
    entries: readonly T[],
  ): readonly T[] {
    if (fd.inode !== this.copies.inodes.root) return entries;
    return entries.filter(({ name }) => !PRIVATE.test(name));
  }

  async #read<R>(
    call: Call,
    { fd, offset }: Args<"readdir">,
    ask: (index: number, fd: Fd) => Promise<R>,
  ): Promise<R> {
    const file = this.opened.of(fd);
    if (!file?.directory) throw EBADF;
    await this.opened.complete(call, fd);
    if (offset !== 0n && file.listing !== undefined) {
      return await ask(file.listing, this.opened.on(fd, file.listing));
    }
    return await this.reader.read(call, fd.inode, async (index) => {
      const reply = await ask(index, this.opened.on(fd, index));
      (file as OpenFile).listing = index;
      return reply;
    });
  }

  async #lookedUp(
    call: Call,
    { fd, xdata }: Args<"readdirp">,
    entries: readonly DirentPlus[],
  ): Promise<DirentPlus[]> {
    const done: DirentPlus[] = [];
    for (let at = 0; at < entries.length; at += LOOKUPS_PARALLEL) {
      done.push(
        ...await Promise.all(
          entries.slice(at, at + LOOKUPS_PARALLEL).map(async (entry) => {
            const { name, offset, type, ino } = entry;
            if (name === "." || name === "..") return entry;
            try {
              const args = { parent: fd.inode, name, xdata };
              const { stat, xdata: answers } = await this.finder.lookup(call, args);
              return { name, offset, type: stat.mode >> 12 & 0o17, ino, stat, xdata: answers };
            } catch (error) {
              if (!(error instanceof FopError)) throw error;
              return { name, offset, type, ino, stat: undefined };
            }
          }),
        ),
      );
    }
    return done;
  }
}
