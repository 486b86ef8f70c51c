/** Making and removing names: files where they belong, or with a link file there; directories on all. */

import type { Call } from "core/call.ts";
import { EEXIST, EISDIR, ENOENT, ENOTDIR, ENOTEMPTY, EPERM, FopError } from "core/errno.ts";
import {
  type Args,
  type CreateReply,
  type EntryReply,
  O_CREAT,
  O_EXCL,
  type ParentReply,
} from "core/fops.ts";
import type { Entry, Inode } from "core/inode.ts";
import { withKey } from "core/xdata.ts";
import { GFID_REQ } from "core/xdata_keys.ts";
import { settle } from "core/xlator.ts";
import type { Finder, Found } from "xlators/cluster/distribute/find.ts";
import type { DirectoryHeal } from "xlators/cluster/distribute/heal.ts";
import { createLinkFile, removeLinkFile } from "xlators/cluster/distribute/link_file.ts";
import { emptied } from "xlators/cluster/distribute/listing.ts";
import { withNames } from "xlators/cluster/distribute/locking.ts";
import { mergeDirectories, withParents } from "xlators/cluster/distribute/merge.ts";
import type { Space } from "xlators/cluster/distribute/space.ts";
import { isMissing, MDS, type Subvolumes } from "xlators/cluster/distribute/subvolumes.ts";

const LINK_MODE = 0o1000, PERMISSIONS = 0o7777;

/** What the parts that change names work with. */
export interface Parts {
  readonly subvolumes: Subvolumes;
  readonly finder: Finder;
  /** For those who hold a name's lock. */
  readonly lockedFinder: Finder;
  readonly heal: DirectoryHeal;
  readonly space: Space;
}

/** What is moved by a rename, and what is in the way. */
export interface Both {
  readonly from: Found;
  readonly to: Found | undefined;
}

type Maker = "mknod" | "put";

/** See the head of this file. */
export class Names {
  readonly #subvolumes: Subvolumes;
  readonly #finder: Finder;
  readonly #lockedFinder: Finder;
  readonly #heal: DirectoryHeal;
  readonly #space: Space;

  constructor({ subvolumes, finder, lockedFinder, heal, space }: Parts) {
    this.#subvolumes = subvolumes;
    this.#finder = finder;
    this.#lockedFinder = lockedFinder;
    this.#heal = heal;
    this.#space = space;
  }

  /** A new file with data or without, but no fd. */
  make<K extends Maker>(
    call: Call,
    args: Args<K>,
    wind: (index: number) => Promise<EntryReply>,
  ): Promise<EntryReply> {
    return this.#placed(call, args, async (index) => withParents(await wind(index)));
  }

  async symlink(call: Call, args: Args<"symlink">): Promise<EntryReply> {
    const hashed = await this.#finder.hashed(call, args.parent, args.name);
    const reply = await this.#subvolumes.all[hashed]!.symlink(call, args);
    this.#isAt(reply, hashed);
    return withParents(reply);
  }

  /** As `create`; answers the subvolume's reply and which one it was. */
  async create(
    call: Call,
    args: Args<"create">,
  ): Promise<{ reply: CreateReply; index: number }> {
    let at = 0;
    const reply = await this.#placed(call, args, (index) => {
      at = index;
      return this.#subvolumes.all[index]!.create(call, args);
    });
    // What was there already may be a link file: without O_EXCL the brick has opened that.
    if (args.flags & O_EXCL || (reply.stat.mode & PERMISSIONS) !== LINK_MODE) {
      return { reply: withParents(reply), index: at };
    }
    const found = await this.#finder.byName(call, args);
    if (found.place.kind === "directory") throw EISDIR;
    const { index } = found.place;
    if (index === at) return { reply: withParents(reply), index: at };
    await this.#subvolumes.all[at]!.release(call, { fd: reply.fd });
    const flags = args.flags & ~(O_CREAT | O_EXCL);
    const { fd } = await this.#subvolumes.all[index]!.open(call, { inode: found.inode, flags });
    return { reply: withParents({ ...reply, fd, stat: found.stat }), index };
  }

  // Where the name belongs, or, if that is full, elsewhere with a link file there.
  async #placed<R extends EntryReply>(
    call: Call,
    args: Args<"mknod"> | Args<"create"> | Args<"put">,
    wind: (index: number) => Promise<R>,
  ): Promise<R> {
    const { parent, name } = args;
    const hashed = await this.#finder.hashed(call, parent, name);
    await this.#space.refresh(call);
    const { layout } = await this.#finder.directory(call, parent);
    const index = this.#space.placeFor(hashed, layout);
    if (index === hashed) {
      const reply = await wind(hashed);
      this.#isAt(reply, hashed);
      return reply;
    }
    const gfid = args.xdata?.get(GFID_REQ);
    if (gfid === undefined) throw EPERM;
    const exists = await createLinkFile(this.#subvolumes, call, hashed, index, args, {
      gfid,
      uid: call.uid,
      gid: call.gid,
    }).then(() => false, (error) => {
      if (!EEXIST.matches(error)) throw error;
      return true;
    });
    // Something is there: the subvolume where it belongs says what that means.
    if (exists) return await wind(hashed);
    try {
      const reply = await wind(index);
      this.#isAt(reply, index);
      return reply;
    } catch (error) {
      await removeLinkFile(this.#subvolumes, call, hashed, args);
      throw error;
    }
  }

  #isAt({ stat }: EntryReply, index: number): void {
    this.#subvolumes.remember(this.#subvolumes.inodes.of(stat.gfid), { kind: "file", index });
  }

  /** One more name for a file: beside its data, with a link file where the name belongs. */
  async link(call: Call, args: Args<"link">): Promise<EntryReply> {
    const hashed = await this.#finder.hashed(call, args.parent, args.name);
    const place = this.#subvolumes.placeOf(args.inode) ??
      await this.#finder.place(call, args.inode);
    if (place.kind === "directory") throw EPERM;
    const to = this.#subvolumes.all[place.index]!;
    if (place.index === hashed) return withParents(await to.link(call, args));
    const { stat } = await to.stat(call, { inode: args.inode });
    await createLinkFile(this.#subvolumes, call, hashed, place.index, args, stat);
    try {
      return withParents(await to.link(call, args));
    } catch (error) {
      await removeLinkFile(this.#subvolumes, call, hashed, args);
      throw error;
    }
  }

  /** The link file goes first: without it the name is still found, by looking everywhere. */
  async unlink(call: Call, args: Args<"unlink">): Promise<ParentReply> {
    const found = await this.#finder.byName(call, named(args));
    if (found.place.kind === "directory") throw EISDIR;
    const { index } = found.place;
    if (found.hashed === undefined) await this.#finder.hashed(call, args.parent, args.name);
    else if (found.hashed !== index) {
      await removeLinkFile(this.#subvolumes, call, found.hashed, args);
    }
    return withParents(await this.#subvolumes.all[index]!.unlink(call, args));
  }

  /** A directory: first where its name belongs, which decides; then everywhere else; then its layout. */
  async mkdir(call: Call, args: Args<"mkdir">): Promise<EntryReply> {
    const { parent, name } = args;
    const hashed = await this.#finder.hashed(call, parent, name);
    return await withNames(this.#subvolumes, call, [{ index: hashed, parent, name }], async () => {
      const first = await this.#subvolumes.all[hashed]!.mkdir(call, {
        ...args,
        xdata: withKey(args.xdata, MDS, new Uint8Array(4)),
      });
      const others = await settle(
        this.#subvolumes.all.map(async (to, index) =>
          index === hashed ? first : await to.mkdir(call, args)
        ),
      );
      const inode = this.#subvolumes.inodes.of(first.stat.gfid);
      const above = await this.#finder.directory(call, parent);
      const path = above.path === undefined
        ? undefined
        : `${above.path === "/" ? "" : above.path}/${name}`;
      try {
        const layout = await this.#heal.layOut(call, inode, path, false);
        const complete = others.every(({ ok }) => ok);
        if (complete) {
          this.#subvolumes.remember(inode, { kind: "directory", layout, mds: hashed, path });
        }
      } catch (error) {
        // The directory is there; whoever looks it up next deals out its hashes.
        if (!(error instanceof FopError)) throw error;
      }
      const stats = others.flatMap((answer) => answer.ok ? [answer.value.stat] : []);
      return withParents({ ...first, stat: mergeDirectories([first.stat, ...stats]) });
    });
  }

  /** A directory that holds nothing but link files that lead nowhere: everywhere, last where its name belongs. */
  async rmdir(call: Call, args: Args<"rmdir">): Promise<ParentReply> {
    const found = await this.#finder.byName(call, named(args));
    if (found.place.kind !== "directory") throw ENOTDIR;
    const hashed = found.hashed ?? await this.#finder.hashed(call, args.parent, args.name);
    const lock = [{ index: hashed, parent: args.parent, name: args.name }];
    try {
      return await withNames(this.#subvolumes, call, lock, async () => {
        if (!(args.flags & 1)) await this.checkEmpty(call, found.inode);
        return withParents(await this.#rmdirAll(call, args, found.inode, hashed));
      });
    } catch (error) {
      // Copies that are gone already come back. Their makers take the lock: it had to be released.
      const begun = this.#subvolumes.placeOf(found.inode) === undefined;
      if (begun) await settle([this.#finder.byName(call, named(args))]);
      throw error;
    }
  }

  async #rmdirAll(
    call: Call,
    args: Args<"rmdir">,
    inode: Inode,
    hashed: number,
  ): Promise<ParentReply> {
    const answers = await settle(
      this.#subvolumes.all.map((to, index) =>
        index === hashed ? Promise.reject(ENOENT) : to.rmdir(call, args)
      ),
    );
    this.#subvolumes.forget(inode);
    const failed = answers.find((answer, index) =>
      index !== hashed && !answer.ok && !isMissing(answer.error)
    );
    if (failed && !failed.ok) throw failed.error;
    return await this.#subvolumes.all[hashed]!.rmdir(call, args);
  }

  /** Throws ENOTEMPTY unless a directory has no entries. Link files that lead nowhere are removed. */
  async checkEmpty(call: Call, inode: Inode): Promise<void> {
    if (await emptied(this.#subvolumes, call, inode)) return;
    throw ENOTEMPTY;
  }

  /** A rename's two names; `locked`: the caller holds their locks. Throws ENOENT if nothing is moved. */
  async both(call: Call, args: Args<"rename">, { locked = false } = {}): Promise<Both> {
    const finder = locked ? this.#lockedFinder : this.#finder;
    const from = await finder.byName(call, { parent: args.oldParent, name: args.oldName });
    const [to] = await settle([
      finder.byName(call, { parent: args.newParent, name: args.newName }),
    ]);
    if (!to!.ok && !ENOENT.matches(to!.error)) throw to!.error;
    return { from, to: to!.ok ? to!.value : undefined };
  }
}

function named({ parent, name }: Entry): Entry {
  return { parent, name };
}
