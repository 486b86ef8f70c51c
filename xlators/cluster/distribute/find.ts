/**
 * Finding what a name, or a gfid, stands for. A name is asked of the subvolume where it belongs. A
 * directory found there is then asked of all, since each has its copy; a link file leads to another
 * subvolume; a miss, or a link file that leads nowhere, has the name looked for everywhere, and what
 * is found gets its link file. A name without a gfid is one that somebody is making: a directory is
 * waited for, a file is not there yet.
 */

import type { Call } from "core/call.ts";
import { EIO, ENODATA, ENOENT, ENOTCONN, ENOTDIR, ESTALE, type FopError } from "core/errno.ts";
import type { Args, LookupReply } from "core/fops.ts";
import { type Iatt, isDirectory } from "core/iatt.ts";
import type { Inode } from "core/inode.ts";
import { ROOT_GFID } from "core/inode.ts";
import { settle, type Settled } from "core/xlator.ts";
import { type Copies, DirectoryHeal } from "xlators/cluster/distribute/heal.ts";
import { makeLinkFile, removeLinkFile } from "xlators/cluster/distribute/link_file.ts";
import { mergeDirectories, shown } from "xlators/cluster/distribute/merge.ts";
import {
  answered,
  asking,
  checkName,
  type DirectoryPlace,
  type FilePlace,
  forCaller,
  isLinkFile,
  isMissing,
  isUnfinished,
  layoutOf,
  LINKTO,
  MDS,
  type Place,
  type Subvolumes,
} from "xlators/cluster/distribute/subvolumes.ts";

/** A name that was found. */
export interface Found {
  readonly inode: Inode;
  readonly place: Place;
  readonly stat: Iatt;
  /** Where the name belongs; undefined if that is not known, since subvolumes are away. */
  readonly hashed: number | undefined;
  readonly reply: LookupReply;
}

type LookupArgs = Args<"lookup">;
type NamedArgs = LookupArgs & { readonly parent: Inode };

/** See the head of this file. */
export class Finder {
  readonly #subvolumes: Subvolumes;
  readonly #heal: DirectoryHeal | undefined;

  /**
   * Puts directories in order with `heal`. That takes the lock of their names: who holds it needs a
   * finder without.
   */
  constructor(subvolumes: Subvolumes, heal?: DirectoryHeal) {
    this.#subvolumes = subvolumes;
    this.#heal = heal;
  }

  /** What is known of a directory, asked if nothing is. Throws ENOTDIR for anything else. */
  async directory(call: Call, inode: Inode): Promise<DirectoryPlace> {
    const place = this.#subvolumes.placeOf(inode) ?? await this.place(call, inode);
    if (place.kind !== "directory") throw ENOTDIR;
    return place;
  }

  /** Where an inode is, asked of all subvolumes. */
  async place(call: Call, inode: Inode): Promise<Place> {
    return (await this.byGfid(call, { inode, name: "" })).place;
  }

  /** Where a name belongs. Throws ENOTCONN if the subvolume that would tell is away, EIO if nobody would. */
  async hashed(call: Call, parent: Inode, name: string): Promise<number> {
    checkName(name);
    const directory = await this.directory(call, parent).catch((error) => {
      throw isMissing(error) ? ESTALE : error;
    });
    const hashed = directory.layout.find(this.#subvolumes.hash(name));
    if (hashed !== undefined) return hashed;
    const { layout } = await this.#again(call, parent);
    const found = layout.find(this.#subvolumes.hash(name));
    if (found !== undefined) return found;
    throw layout.shares.includes(undefined) ? ENOTCONN : EIO;
  }

  #again(call: Call, inode: Inode): Promise<DirectoryPlace> {
    this.#subvolumes.forget(inode);
    return this.directory(call, inode);
  }

  /** A name that is there. Fails as lookup does. */
  async byName(call: Call, args: NamedArgs): Promise<Found> {
    checkName(args.name);
    let hashed: number | undefined;
    try {
      hashed = await this.hashed(call, args.parent, args.name);
    } catch (error) {
      if (!ENOTCONN.matches(error)) throw error;
      return await this.#everywhere(call, args, undefined, ENOTCONN);
    }
    const [answer] = await settle([this.#ask(hashed, call, args)]);
    if (!answer!.ok) {
      const { error } = answer!;
      if (ENODATA.matches(error)) return await this.#unfinished(call, args, hashed);
      const search = isMissing(error) && this.#searches || ENOTCONN.matches(error);
      if (!search) throw error;
      return await this.#everywhere(call, args, hashed, error);
    }
    const reply = answer!.value;
    if (isDirectory(reply.stat)) return await this.#directoryAt(call, args, hashed, reply);
    if (isLinkFile(reply.stat, reply.xdata)) return await this.#follow(call, args, hashed, reply);
    return this.#file(args, hashed, hashed, reply);
  }

  async #unfinished(call: Call, args: NamedArgs, hashed: number): Promise<Found> {
    await this.#heal?.finish(call, args, hashed);
    return await this.#everywhere(call, args, hashed, ENOENT);
  }

  get #searches(): boolean {
    return !["off", "no", "disable", "0"].includes(this.#subvolumes.values["lookup-unhashed"]);
  }

  #ask(index: number, call: Call, args: LookupArgs): Promise<LookupReply> {
    const xdata = asking(args.xdata);
    return this.#subvolumes.all[index]!.lookup(call, { ...args, xdata });
  }

  #askAll(call: Call, args: LookupArgs): Promise<Settled<LookupReply>[]> {
    return settle(this.#subvolumes.all.map((_, index) => this.#ask(index, call, args)));
  }

  #file(args: LookupArgs, hashed: number | undefined, index: number, reply: LookupReply): Found {
    const inode = this.#subvolumes.inodes.of(reply.stat.gfid);
    const place: FilePlace = { kind: "file", index };
    this.#subvolumes.remember(inode, place);
    const xdata = forCaller(reply.xdata, args.xdata);
    const postParent = shown(reply.postParent);
    return { inode, place, hashed, stat: reply.stat, reply: { ...reply, postParent, xdata } };
  }

  async #follow(call: Call, args: NamedArgs, hashed: number, link: LookupReply): Promise<Found> {
    const target = this.#subvolumes.numberOf(link.xdata?.get(LINKTO));
    if (target === undefined || target === hashed) {
      return await this.#everywhere(call, args, hashed, ENOENT);
    }
    const [answer] = await settle([this.#ask(target, call, args)]);
    if (!answer!.ok) {
      if (!isMissing(answer!.error) && !isUnfinished(answer!)) throw answer!.error;
      return await this.#everywhere(call, args, hashed, ENOENT);
    }
    const reply = answer!.value;
    const wrong = isDirectory(reply.stat) || isLinkFile(reply.stat, reply.xdata) ||
      reply.stat.gfid !== link.stat.gfid;
    if (wrong) return await this.#everywhere(call, args, hashed, ENOENT);
    return this.#file(args, hashed, target, reply);
  }

  async #directoryAt(
    call: Call,
    args: NamedArgs,
    hashed: number,
    reply: LookupReply,
  ): Promise<Found> {
    const answers = await settle(
      this.#subvolumes.all.map((_, index) =>
        index === hashed ? Promise.resolve(reply) : this.#ask(index, call, args)
      ),
    );
    if (answers.some(isUnfinished)) return await this.#unfinished(call, args, hashed);
    return await this.#directory(call, args, hashed, answers);
  }

  async #everywhere(
    call: Call,
    args: NamedArgs,
    hashed: number | undefined,
    miss: FopError,
  ): Promise<Found> {
    const answers = await this.#askAll(call, args);
    const all = answers.flatMap((answer, index) => answer.ok ? [{ index, ...answer.value }] : []);
    if (all.some(({ stat }) => isDirectory(stat))) {
      return await this.#directory(call, args, hashed, answers);
    }
    const links = all.filter(({ stat, xdata }) => isLinkFile(stat, xdata));
    const files = all.filter((each) => !links.includes(each));
    const link = links.find(({ index }) => index === hashed);
    const file = files.find(({ index }) => index === hashed) ?? files[0];
    if (!file) {
      if (!link) throw miss;
      // A link file that leads to a subvolume which is away.
      if (answers.some((answer) => !answer.ok && ENOTCONN.matches(answer.error))) throw ENOTCONN;
      if (!answers.some(isUnfinished)) {
        await removeLinkFile(this.#subvolumes, call, link.index, args);
      }
      throw ENOENT.carrying({ postParent: miss.postParent ?? link.postParent });
    }
    if (files.some(({ stat }) => stat.gfid !== file.stat.gfid)) {
      this.#subvolumes.env.log.warn("a name stands for different files on several subvolumes", {
        parent: args.parent.gfid,
        name: args.name,
        used: this.#subvolumes.names[file.index],
      });
    }
    if (hashed !== undefined && file.index !== hashed && answers[hashed] !== undefined) {
      if (link) await removeLinkFile(this.#subvolumes, call, hashed, args);
      await makeLinkFile(this.#subvolumes, call, hashed, file.index, args, file.stat);
    }
    const { index, ...reply } = file;
    return this.#file(args, hashed, index, reply);
  }

  /** What a gfid stands for, by whatever name. */
  async byGfid(call: Call, args: LookupArgs & { readonly inode: Inode }): Promise<Found> {
    const { inode } = args;
    const known = this.#subvolumes.placeOf(inode);
    if (known?.kind === "file") {
      const [answer] = await settle([this.#ask(known.index, call, args)]);
      const reply = answer!.ok ? answer!.value : undefined;
      if (reply && !isLinkFile(reply.stat, reply.xdata)) {
        return this.#file(args, undefined, known.index, reply);
      }
      if (!answer!.ok && !isMissing(answer!.error)) throw answer!.error;
      this.#subvolumes.forget(inode);
    }
    const answers = await this.#askAll(call, args);
    const found = answered(answers);
    if (found.some(({ stat }) => isDirectory(stat))) {
      return await this.#directory(call, args, undefined, answers);
    }
    const at = answers.findIndex((answer) =>
      answer.ok && !isLinkFile(answer.value.stat, answer.value.xdata)
    );
    const answer = answers[at];
    if (answer?.ok) return this.#file(args, undefined, at, answer.value);
    const failures = answers.flatMap((each) => each.ok ? [] : [each.error]);
    throw failures.find((error) => !isMissing(error)) ?? failures[0] ?? ESTALE;
  }

  // A directory that at least one subvolume has.
  async #directory(
    call: Call,
    args: LookupArgs,
    hashed: number | undefined,
    answers: readonly Settled<LookupReply>[],
  ): Promise<Found> {
    const found = answered(answers);
    const { gfid } = found.find(({ stat }) => isDirectory(stat))!.stat;
    if (found.some(({ stat }) => !isDirectory(stat) || stat.gfid !== gfid)) {
      this.#subvolumes.env.log.error("a name stands for different things on several subvolumes", {
        gfid,
        name: args.name,
      });
      throw EIO;
    }
    const inode = this.#subvolumes.inodes.of(gfid);
    const seen = this.#copiesOf(inode, args, answers);
    const copies = this.#heal ? await this.#heal.run(call, seen) : seen;
    const place = placeOf(copies);
    // What a subvolume that is away would add is not known: it is asked again the next time.
    if (copies.layout.shares.includes(undefined)) this.#subvolumes.forget(inode);
    else this.#subvolumes.remember(inode, place);
    const stats = copies.stats.filter((stat) => stat !== undefined);
    const first = found[0]!;
    const stat = mergeDirectories(ordered(copies, stats));
    const reply = {
      stat,
      postParent: shown(first.postParent),
      xdata: forCaller(first.xdata, args.xdata),
    };
    return { inode, place, hashed, stat, reply };
  }

  #copiesOf(
    inode: Inode,
    { parent, name }: LookupArgs,
    answers: readonly Settled<LookupReply>[],
  ): Copies {
    const above = parent && this.#subvolumes.placeOf(parent);
    const before = this.#subvolumes.placeOf(inode);
    const path = inode.gfid === ROOT_GFID
      ? "/"
      : above?.kind === "directory" && above.path !== undefined && name !== ""
      ? `${above.path === "/" ? "" : above.path}/${name}`
      : before?.kind === "directory"
      ? before.path
      : undefined;
    return {
      inode,
      entry: parent && name !== "" ? { parent, name } : undefined,
      path,
      stats: answers.map((answer) => answer.ok ? answer.value.stat : undefined),
      missing: answers.map((answer) => !answer.ok && isMissing(answer.error)),
      layout: layoutOf(answers),
      mds: mdsOf(answers),
    };
  }
}

function mdsOf(answers: readonly Settled<LookupReply>[]): number | undefined {
  const at = answers.findIndex((answer) => answer.ok && answer.value.xdata?.has(MDS));
  return at < 0 ? undefined : at;
}

function placeOf({ layout, mds, path }: Copies): DirectoryPlace {
  return { kind: "directory", layout, mds, path };
}

// The copy that decides comes first.
function ordered({ stats, mds }: Copies, known: readonly Iatt[]): readonly Iatt[] {
  const first = mds === undefined ? undefined : stats[mds];
  return first ? [first, ...known.filter((stat) => stat !== first)] : known;
}
