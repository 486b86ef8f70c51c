/**
 * Listing directories: from one copy from begin to end, for cookies are that copy's own. If it fails in
 * the midst, another one is listed from its beginning, without what was shown. Attributes of entries
 * may be behind there though its names are right; where that can be, each is looked up. Where each copy
 * lacks names that others have, all are listed so, one after the other, without names that are gone.
 */

import type { Call } from "core/call.ts";
import { EBADF, ENOENT, ENOTCONN, FopError } from "core/errno.ts";
import type { Args, Dirent, DirentPlus, Reply } from "core/fops.ts";
import type { Fd } from "core/inode.ts";
import { settle } from "core/xlator.ts";
import { type Copies, failureOf } from "xlators/cluster/replicate/copies.ts";
import type { Finder } from "xlators/cluster/replicate/lookup.ts";
import { Listed } from "xlators/cluster/replicate/listed.ts";
import type { OpenCopies } from "xlators/cluster/replicate/open_copies.ts";
import { isPrivate } from "xlators/cluster/replicate/private_names.ts";
import { isOwnFailure, type Reader } from "xlators/cluster/replicate/read.ts";

/** Entries that are looked up at once. */
const LOOKUPS_PARALLEL = 32;

/** Entries of an answer, whichever kind. */
type Page = { readonly entries: readonly Dirent[]; readonly eof: boolean };

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
  names(call: Call, args: Args<"readdir">): Promise<Reply<"readdir">> {
    return this.#read(
      call,
      args,
      (index, own) => this.copies.all[index]!.readdir(call, { ...args, ...own }),
    );
  }

  /** Names with attributes. */
  async entries(call: Call, args: Args<"readdirp">): Promise<Reply<"readdirp">> {
    const reply = await this.#read(
      call,
      args,
      (index, own) => this.copies.all[index]!.readdirp(call, { ...args, ...own }),
    );
    const healthy = !this.copies.needsHeal && !this.copies.up.includes(false);
    if (healthy) return reply;
    return { ...reply, entries: await this.#lookedUp(call, args, reply.entries) };
  }

  async #read<R extends Page>(
    call: Call,
    { fd, offset }: Args<"readdir">,
    ask: (index: number, own: { readonly fd: Fd; readonly offset: bigint }) => Promise<R>,
  ): Promise<R> {
    const file = this.opened.of(fd);
    if (!file?.directory) throw EBADF;
    await this.opened.complete(call, fd);
    const { listing } = file;
    const begins = offset === 0n || !listing;
    const merged = begins ? await this.#merged(call, fd) : listing.merged;
    const page = async (first: number, listed: Listed, from: bigint, others: readonly number[]) => {
      let rest = others.filter((each) => each !== first);
      for (let index = first, at = from;;) {
        const reply = await ask(index, { fd: this.opened.on(fd, index), offset: at });
        const unseen = listed.unseen(reply.entries).filter(({ name }) =>
          !isPrivate(fd.inode, name)
        );
        const entries = merged.length ? await this.#there(call, fd, unseen) : unseen;
        const last = reply.entries.at(-1), next = rest.find((each) => this.copies.up[each]);
        // No entries would be the end.
        if (!entries.length && !reply.eof && last) at = last.offset;
        else if (!entries.length && next !== undefined) {
          listed.restart();
          rest = rest.filter((each) => each !== next);
          index = next;
          at = 0n;
        } else {
          if (reply.eof && next === undefined) this.#checkMerged(merged, rest);
          file.listing = { index, listed, merged, rest };
          return { ...reply, entries: listed.add(entries), eof: reply.eof && next === undefined };
        }
      }
    };
    const anew = (listed: Listed, from: bigint) =>
      this.reader.read(call, fd.inode, (index) => page(index, listed, from, merged), "content");
    if (begins) return await anew(new Listed(), offset);
    const { index, listed, rest } = listing;
    const own = listed.goOn(offset);
    if (own !== undefined) {
      try {
        return await page(index, listed, own, rest);
      } catch (error) {
        if (!isOwnFailure(error) || !listed.canRestart) throw error;
      }
    }
    listed.restart();
    return await anew(listed, 0n);
  }

  // Copies of which each misses changes that others have, if none is right; else none.
  async #merged(call: Call, { inode }: Fd): Promise<readonly number[]> {
    const { content, sound } = await this.reader.known(call, inode);
    if (sound.includes(true)) return [];
    return this.reader.sure(inode, content).flatMap((has, index) => has ? [index] : []);
  }

  // A name that a quorum has is on one of the copies of a quorum: so many must have been listed.
  #checkMerged(merged: readonly number[], rest: readonly number[]): void {
    const { copies } = this;
    if (!merged.length || !copies.quorumOn) return;
    const was = copies.numbers().map((index) => merged.includes(index) && !rest.includes(index));
    if (!copies.hasQuorum(was)) throw ENOTCONN;
  }

  // `entries` without those that are gone as far as the copies together can tell.
  async #there<D extends Dirent>(call: Call, fd: Fd, entries: readonly D[]): Promise<D[]> {
    const there: D[] = [];
    for (let at = 0; at < entries.length; at += LOOKUPS_PARALLEL) {
      const some = entries.slice(at, at + LOOKUPS_PARALLEL);
      const answers = await settle(some.map(async ({ name }) => {
        if (name === "." || name === "..") return;
        await this.finder.lookup(call, { parent: fd.inode, name });
      }));
      there.push(...some.filter((_, index) => {
        const answer = answers[index]!;
        return answer.ok || !ENOENT.matches(answer.error);
      }));
    }
    return there;
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
