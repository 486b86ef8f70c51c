/**
 * Renames. A file keeps its data where it is: the name moves there, and link files lead to it from
 * where the new name belongs. A directory is renamed on all subvolumes, first where its new name
 * belongs.
 */

import type { Call } from "core/call.ts";
import { EINVAL, EISDIR, ENOTCONN, ENOTDIR } from "core/errno.ts";
import type { Args, RenameReply } from "core/fops.ts";
import type { Iatt } from "core/iatt.ts";
import type { Entry, Inode } from "core/inode.ts";
import { Xdata } from "core/xdata.ts";
import { INTERNAL_FOP } from "core/xdata_keys.ts";
import { settle } from "core/xlator.ts";
import type { Finder, Found } from "xlators/cluster/distribute/find.ts";
import {
  createLinkFile,
  makeLinkFile,
  removeLinkFile,
} from "xlators/cluster/distribute/link_file.ts";
import { withFiles, withNames } from "xlators/cluster/distribute/locking.ts";
import { mergeDirectories, shown } from "xlators/cluster/distribute/merge.ts";
import type { Both, Names, Parts } from "xlators/cluster/distribute/names.ts";
import {
  agreed,
  asRoot,
  FORCE_REPLACE,
  isMissing,
  type Subvolumes,
} from "xlators/cluster/distribute/subvolumes.ts";

type RenameArgs = Args<"rename">;

/** Where the two names are and belong. */
interface Move {
  readonly from: Entry;
  readonly to: Entry;
  readonly fromHashed: number;
  readonly toHashed: number;
  /** The subvolume with the data of what is moved, and of what is in the way. */
  readonly data: number;
  readonly replaced: number | undefined;
  /** Of what is moved. */
  readonly stat: Iatt;
}

const INTERNAL = new Xdata(new Map()).with(INTERNAL_FOP, true);

/** See the head of this file. */
export class Renamer {
  readonly #subvolumes: Subvolumes;
  readonly #finder: Finder;
  readonly #names: Names;

  constructor({ subvolumes, finder }: Parts, names: Names) {
    this.#subvolumes = subvolumes;
    this.#finder = finder;
    this.#names = names;
  }

  async rename(call: Call, args: RenameArgs): Promise<RenameReply> {
    const oldHashed = await this.#finder.hashed(call, args.oldParent, args.oldName);
    const newHashed = await this.#finder.hashed(call, args.newParent, args.newName);
    const entries = [
      { index: oldHashed, parent: args.oldParent, name: args.oldName },
      { index: newHashed, parent: args.newParent, name: args.newName },
    ];
    for (;;) {
      const files = filesOf(await this.#names.both(call, args));
      const reply = await withFiles(
        this.#subvolumes,
        call,
        files,
        () =>
          withNames(this.#subvolumes, call, entries, async () => {
            const found = await this.#names.both(call, args, { locked: true });
            // Somebody was quicker: other files than those that are locked.
            if (!isSame(files, filesOf(found))) return undefined;
            return await this.#move(call, args, found, oldHashed, newHashed);
          }),
      );
      if (reply) return reply;
    }
  }

  async #move(
    call: Call,
    args: RenameArgs,
    { from, to }: Both,
    fromHashed: number,
    toHashed: number,
  ): Promise<RenameReply> {
    if (from.place.kind === "directory") {
      return await this.#directory(call, args, from, to, toHashed);
    }
    if (to?.place.kind === "directory") throw EISDIR;
    if (to?.inode === from.inode) return await this.#sameFile(call, args, from.place.index);
    return await this.#file(call, args, {
      from: { parent: args.oldParent, name: args.oldName },
      to: { parent: args.newParent, name: args.newName },
      fromHashed,
      toHashed,
      data: from.place.index,
      replaced: to?.place.kind === "file" ? to.place.index : undefined,
      stat: from.stat,
    });
  }

  // Two names of one file: nothing moves, as POSIX has it; the brick with both says so.
  async #sameFile(call: Call, args: RenameArgs, index: number): Promise<RenameReply> {
    return forClients(await this.#subvolumes.all[index]!.rename(call, args));
  }

  async #file(call: Call, args: RenameArgs, move: Move): Promise<RenameReply> {
    const { data, toHashed, replaced } = move;
    const reply = data === toHashed || data === replaced
      ? await this.#beside(call, args, move)
      : await this.#away(call, args, move);
    await this.#tidy(call, move);
    return forClients({ ...reply, stat: reply.stat ?? move.stat });
  }

  // The data's own subvolume renames, and what was in the way there goes with it.
  async #beside(call: Call, args: RenameArgs, move: Move): Promise<RenameReply> {
    const { to, data, toHashed, stat } = move;
    const rename = () => this.#subvolumes.all[data]!.rename(call, args);
    if (data === toHashed) return await rename();
    await removeLinkFile(this.#subvolumes, call, toHashed, to);
    const reply = await rename();
    await makeLinkFile(this.#subvolumes, call, toHashed, data, to, stat);
    return reply;
  }

  // The new name belongs elsewhere. A link file under the old name is put there, the data gets the
  // new name beside the old, and renaming the link file makes the new name appear at once.
  async #away(call: Call, args: RenameArgs, move: Move): Promise<RenameReply> {
    const { all } = this.#subvolumes;
    const { from, to, data, toHashed, fromHashed, stat } = move;
    const inode = this.#subvolumes.inodes.of(stat.gfid);
    const undo = async () => {
      if (fromHashed !== toHashed) {
        await removeLinkFile(this.#subvolumes, call, toHashed, from);
      }
    };
    if (fromHashed !== toHashed) {
      await createLinkFile(this.#subvolumes, call, toHashed, data, from, stat);
    }
    const xdata = INTERNAL.with(FORCE_REPLACE, true);
    const [linked] = await settle([all[data]!.link(call, { inode, ...to, xdata })]);
    if (!linked!.ok) {
      await undo();
      throw linked!.error;
    }
    const [moved] = await settle([all[toHashed]!.rename(call, args)]);
    if (!moved!.ok) {
      await this.#drop(call, data, to);
      await undo();
      throw moved!.error;
    }
    await this.#drop(call, data, from);
    return { ...moved!.value, stat };
  }

  // What is left: the old name's link file, and what was in the way somewhere else.
  async #tidy(call: Call, { from, to, fromHashed, toHashed, data, replaced }: Move): Promise<void> {
    if (fromHashed !== data) await removeLinkFile(this.#subvolumes, call, fromHashed, from);
    if (replaced !== undefined && replaced !== data && replaced !== toHashed) {
      await this.#drop(call, replaced, to);
    }
  }

  async #drop(call: Call, index: number, entry: Entry): Promise<void> {
    const [answer] = await settle([
      this.#subvolumes.all[index]!.unlink(asRoot(call), { ...entry, flags: 0, xdata: INTERNAL }),
    ]);
    if (!answer!.ok && !isMissing(answer!.error)) throw answer!.error;
  }

  async #directory(
    call: Call,
    args: RenameArgs,
    from: Found,
    to: Found | undefined,
    hashed: number,
  ): Promise<RenameReply> {
    if (to && to.place.kind !== "directory") {
      // Into itself goes first, as with one brick.
      throw args.newParent === from.inode ? EINVAL : ENOTDIR;
    }
    if (to && to.inode !== from.inode) await this.#names.checkEmpty(call, to.inode);
    const { all } = this.#subvolumes;
    // A subvolume that is away would keep the old name, and bring it back.
    await Promise.all(all.map((each) =>
      each.stat(call, { inode: from.inode }).catch((error) => {
        if (ENOTCONN.matches(error)) throw error;
      })
    ));
    const first = await all[hashed]!.rename(call, args);
    const others = await settle(
      all.map((each, index) => index === hashed ? Promise.resolve(first) : each.rename(call, args)),
    );
    this.#subvolumes.forgetAll();
    try {
      const stats = agreed(others).flatMap(({ stat }) => stat ?? []);
      return forClients({
        ...first,
        stat: stats.length ? mergeDirectories(stats) : undefined,
      });
    } catch (error) {
      const back = {
        oldParent: args.newParent,
        oldName: args.newName,
        newParent: args.oldParent,
        newName: args.oldName,
      };
      await settle(
        all.flatMap((each, index) => others[index]!.ok ? [each.rename(call, back)] : []),
      );
      throw error;
    }
  }
}

// What is locked of a rename's files, and where; a directory is protected by its names' locks.
function filesOf({ from, to }: Both): { readonly index: number; readonly inode: Inode }[] {
  return [from, to].flatMap((found) =>
    found?.place.kind === "file" ? [{ index: found.place.index, inode: found.inode }] : []
  );
}

function isSame(one: ReturnType<typeof filesOf>, other: typeof one): boolean {
  return one.length === other.length &&
    one.every(({ index, inode }, at) => other[at]!.index === index && other[at]!.inode === inode);
}

function forClients(reply: RenameReply): RenameReply {
  return {
    ...reply,
    stat: shown(reply.stat),
    preOldParent: shown(reply.preOldParent),
    postOldParent: shown(reply.postOldParent),
    preNewParent: shown(reply.preNewParent),
    postNewParent: shown(reply.postNewParent),
  };
}
