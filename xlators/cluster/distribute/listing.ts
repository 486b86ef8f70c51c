/**
 * Directories listed: the subvolumes one after the other. Link files are left out, a directory is
 * told by the subvolume where its name belongs, or by the first one if that is away.
 */

import type { Call } from "core/call.ts";
import { EBADF, ENOTCONN, ENOTDIR } from "core/errno.ts";
import type { Args, DirentPlus, ReaddirpReply } from "core/fops.ts";
import { S_IFDIR, S_IFMT } from "core/iatt.ts";
import { Fd, type Inode } from "core/inode.ts";
import { withKey, type Xdata } from "core/xdata.ts";
import { settle } from "core/xlator.ts";
import { Cookies } from "xlators/cluster/distribute/cookies.ts";
import type { Finder } from "xlators/cluster/distribute/find.ts";
import { removeLinkFile } from "xlators/cluster/distribute/link_file.ts";
import { shown } from "xlators/cluster/distribute/merge.ts";
import {
  agreed,
  forCaller,
  isLinkFile,
  LINKTO,
  type Subvolumes,
} from "xlators/cluster/distribute/subvolumes.ts";

const DT_DIR = 4;
const LISTING_BYTES = 131_072;
/** What an entry takes of a reply beside its name. */
const ENTRY_BYTES = 172;

/** An open directory: its fds by subvolume, undefined where it could not be opened. */
export type OpenCopies = readonly (Fd | undefined)[];

/** See the head of this file. */
export class Listing {
  readonly #subvolumes: Subvolumes;
  readonly #finder: Finder;
  readonly #cookies: Cookies;

  constructor(subvolumes: Subvolumes, finder: Finder) {
    this.#subvolumes = subvolumes;
    this.#finder = finder;
    this.#cookies = new Cookies(subvolumes.count);
  }

  /** Opens a directory wherever it can be. */
  open(call: Call, args: Args<"opendir">): Promise<OpenCopies> {
    return openCopies(this.#subvolumes, call, args);
  }

  /** Entries after a cookie. */
  async read(
    call: Call,
    args: Args<"readdirp">,
    copies: OpenCopies | undefined,
  ): Promise<ReaddirpReply> {
    if (!copies) throw args.fd.inode && this.#isFile(args.fd.inode) ? ENOTDIR : EBADF;
    const { layout } = await this.#finder.directory(call, args.fd.inode);
    const first = copies.findIndex((fd) => fd !== undefined);
    const xdata = withKey(args.xdata, LINKTO, "");
    const entries: DirentPlus[] = [];
    let { index, cookie } = this.#cookies.split(args.offset);
    let room = args.size;
    for (; index < copies.length; index++, cookie = 0n) {
      const fd = copies[index];
      if (!fd) continue;
      const tells = (entry: DirentPlus) => {
        if (copies.length === 1 || !isDirectoryEntry(entry)) return true;
        const hashed = dots(entry.name) ? first : layout.find(this.#subvolumes.hash(entry.name));
        return index === (hashed !== undefined && copies[hashed] ? hashed : first);
      };
      for (;;) {
        const size = Math.max(1, room);
        const brick = this.#subvolumes.all[index]!;
        const reply = await brick.readdirp(call, { ...args, fd, offset: cookie, size, xdata });
        for (const entry of reply.entries) {
          if (isLink(entry) || !tells(entry)) continue;
          entries.push(this.#shown(entry, index, args.xdata));
          room -= ENTRY_BYTES + entry.name.length;
        }
        if (reply.eof || !reply.entries.length) break;
        if (entries.length) return { entries, eof: false };
        cookie = reply.entries.at(-1)!.offset;
      }
      const last = !copies.some((each, at) => at > index && each !== undefined);
      if (entries.length && (last || room <= 0)) return { entries, eof: last };
    }
    return { entries, eof: true };
  }

  #isFile(inode: Inode): boolean {
    return this.#subvolumes.placeOf(inode)?.kind === "file";
  }

  #shown(entry: DirentPlus, index: number, asked: Xdata | undefined): DirentPlus {
    return {
      ...entry,
      offset: this.#cookies.join(index, entry.offset),
      stat: shown(entry.stat),
      xdata: forCaller(entry.xdata, asked),
    };
  }
}

/** Opens a directory on all subvolumes that have it; with `all`, fails with ENOTCONN if one is away. */
export async function openCopies(
  { all }: Subvolumes,
  call: Call,
  args: Args<"opendir">,
  options: { readonly all?: boolean } = {},
): Promise<OpenCopies> {
  const answers = await settle(all.map((to) => to.opendir(call, args)));
  try {
    if (options.all && answers.some((each) => !each.ok && ENOTCONN.matches(each.error))) {
      throw ENOTCONN;
    }
    agreed(answers);
  } catch (error) {
    await closeCopies(all, call, answers.map((each) => each.ok ? each.value.fd : undefined));
    throw error;
  }
  return answers.map((answer) => answer.ok ? answer.value.fd : undefined);
}

/** Closes what `openCopies` opened. */
export async function closeCopies(
  all: Subvolumes["all"],
  call: Call,
  copies: OpenCopies,
): Promise<void> {
  await settle(
    copies.flatMap((fd, index) => fd ? [all[index]!.releasedir(call, { fd })] : []),
  );
}

/**
 * True if a directory has no entries on any subvolume. Link files are none, and are removed. Throws
 * ENOTCONN if a subvolume is away: what they stand for may be there.
 */
export async function emptied(
  subvolumes: Subvolumes,
  call: Call,
  inode: Inode,
): Promise<boolean> {
  const copies = await openCopies(subvolumes, call, { inode }, { all: true });
  try {
    const links: { index: number; name: string }[] = [];
    for (const [index, fd] of copies.entries()) {
      if (!fd) continue;
      for await (const entry of entriesOf(subvolumes, call, index, fd)) {
        if (!isLink(entry)) return false;
        links.push({ index, name: entry.name });
      }
    }
    // No data anywhere: all of them lead nowhere.
    for (const { index, name } of links) {
      if (!await removeLinkFile(subvolumes, call, index, { parent: inode, name })) return false;
    }
    return true;
  } finally {
    await closeCopies(subvolumes.all, call, copies);
  }
}

async function* entriesOf(
  subvolumes: Subvolumes,
  call: Call,
  index: number,
  fd: Fd,
): AsyncGenerator<DirentPlus> {
  const xdata = withKey(undefined, LINKTO, "");
  let offset = 0n;
  for (let eof = false; !eof;) {
    const args = { fd, offset, size: LISTING_BYTES, xdata };
    const reply = await subvolumes.all[index]!.readdirp(call, args);
    yield* reply.entries.filter(({ name }) => !dots(name));
    offset = reply.entries.at(-1)?.offset ?? offset;
    eof = reply.eof || !reply.entries.length;
  }
}

function dots(name: string): boolean {
  return name === "." || name === "..";
}

function isLink({ stat, xdata }: DirentPlus): boolean {
  return stat !== undefined && isLinkFile(stat, xdata);
}

function isDirectoryEntry({ name, stat, type }: DirentPlus): boolean {
  if (dots(name)) return true;
  return stat ? (stat.mode & S_IFMT) === S_IFDIR : type === DT_DIR;
}
