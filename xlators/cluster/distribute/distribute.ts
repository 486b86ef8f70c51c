/**
 * cluster/distribute: files spread over subvolumes by their names, directories on all of them. Fops on
 * an inode or fd go where the file is; those on a directory to all copies of it. See the parts:
 * `find.ts`, `names.ts`, `rename.ts`, `listing.ts`, `heal.ts`.
 */

import type { Call } from "core/call.ts";
import { EBADF, EINVAL, EISDIR, ENODATA, ENOTCONN, EPERM } from "core/errno.ts";
import type { GraphEvent } from "core/events.ts";
import { type Args, DONE, type FopName, type Reply } from "core/fops.ts";
import { Fd, type Inode, PerFd } from "core/inode.ts";
import { defineXlator } from "core/registry.ts";
import type { Xdata } from "core/xdata.ts";
import { type Json, type Node, Refuse, settle, windTo, type Xlator } from "core/xlator.ts";
import { copyAcross } from "xlators/cluster/distribute/copy.ts";
import { Finder } from "xlators/cluster/distribute/find.ts";
import { DirectoryHeal } from "xlators/cluster/distribute/heal.ts";
import { closeCopies, Listing, type OpenCopies } from "xlators/cluster/distribute/listing.ts";
import {
  mergeDirectories,
  mergePrePost,
  mergeStatfs,
  shown,
} from "xlators/cluster/distribute/merge.ts";
import { Names } from "xlators/cluster/distribute/names.ts";
import {
  checkOptions,
  type DistributeValues,
  options,
} from "xlators/cluster/distribute/options.ts";
import { Renamer } from "xlators/cluster/distribute/rename.ts";
import { Single } from "xlators/cluster/distribute/single.ts";
import { Space } from "xlators/cluster/distribute/space.ts";
import {
  agreed,
  answered,
  type DirectoryPlace,
  isMissing,
  MDS,
  type Place,
  SHARE,
  Subvolumes,
} from "xlators/cluster/distribute/subvolumes.ts";

/** Fops by inode that one subvolume answers. */
type ByInode =
  | "stat"
  | "readlink"
  | "truncate"
  | "open"
  | "setxattr"
  | "getxattr"
  | "removexattr"
  | "access"
  | "inodelk"
  | "entrylk"
  | "xattrop"
  | "setattr"
  | "lease"
  | "getactivelk"
  | "setactivelk";

/** Fops by fd that one subvolume answers. */
type ByFd =
  | "readv"
  | "writev"
  | "flush"
  | "fsync"
  | "ftruncate"
  | "fstat"
  | "lk"
  | "finodelk"
  | "fentrylk"
  | "fxattrop"
  | "fgetxattr"
  | "fsetxattr"
  | "rchecksum"
  | "fsetattr"
  | "release"
  | "fremovexattr"
  | "fallocate"
  | "discard"
  | "zerofill"
  | "seek";

/** See the head of this file. */
class Distribute extends Refuse {
  readonly #subvolumes: Subvolumes;
  readonly #finder: Finder;
  readonly #names: Names;
  readonly #renamer: Renamer;
  readonly #listing: Listing;
  /** Files are known by their subvolume's own fd, so that arguments pass as they are. */
  readonly #files = new PerFd<Xlator>();
  readonly #directories = new PerFd<OpenCopies>();
  readonly #away = new Set<Xlator>();

  constructor(node: Node, values: DistributeValues) {
    super(node);
    const subvolumes = this.#subvolumes = new Subvolumes(node, values);
    const space = new Space(subvolumes);
    const heal = new DirectoryHeal(subvolumes, space);
    const finder = this.#finder = new Finder(subvolumes, heal);
    const parts = { subvolumes, finder, lockedFinder: new Finder(subvolumes), heal, space };
    this.#names = new Names(parts);
    this.#renamer = new Renamer(parts, this.#names);
    this.#listing = new Listing(subvolumes, finder);
  }

  reconfigure(values: DistributeValues): void {
    this.#subvolumes.values = values;
  }

  state(): Json {
    return {
      subvolumes: this.children.map((each) => ({ name: each.name, up: !this.#away.has(each) })),
    };
  }

  protected override heard(event: GraphEvent, from: Xlator): void {
    if (event.type !== "child-up" && event.type !== "child-down") return this.emit(event);
    // A part of every layout came or went.
    this.#subvolumes.forgetAll();
    const allWereAway = this.#away.size === this.children.length;
    if (event.type === "child-up") this.#away.delete(from);
    else this.#away.add(from);
    const allAreAway = this.#away.size === this.children.length;
    if (event.type === "child-up" || allAreAway !== allWereAway) this.emit(event);
    else this.emit({ type: "some-down" });
  }

  // Where an inode is. Not async: the place of a file in use is known.
  #at<T>(call: Call, inode: Inode, act: (place: Place) => Promise<T>): Promise<T> {
    const place = this.#subvolumes.placeOf(inode);
    return place ? act(place) : this.#finder.place(call, inode).then(act);
  }

  // One subvolume's answer; a file that has moved since it was found is looked for once more.
  #one<K extends ByInode>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    const { inode } = args as { inode: Inode };
    return this.#at(call, inode, (place) => {
      const index = place.kind === "file" ? place.index : this.#anchor(place);
      return windTo(this.children[index]!, fop, call, args).catch(async (error) => {
        if (place.kind !== "file" || !isMissing(error)) throw error;
        this.#subvolumes.forget(inode);
        const again = await this.#finder.place(call, inode).catch(() => place);
        if (again.kind !== "file" || again.index === index) throw error;
        return await windTo(this.children[again.index]!, fop, call, args);
      });
    });
  }

  // The copy of a directory that is asked where one is enough, the same one for all clients: whose
  // range begins at 0.
  #anchor({ layout }: DirectoryPlace): number {
    return layout.find(0) ?? 0;
  }

  // All copies' answers.
  async #all<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>[]> {
    return agreed(await settle(this.children.map((to) => windTo(to, fop, call, args))));
  }

  // The answers of all copies of an open directory.
  async #allOpen<K extends FopName>(
    fop: K,
    call: Call,
    args: Args<K>,
    copies: OpenCopies,
  ): Promise<Reply<K>[]> {
    return agreed(
      await settle(
        copies.flatMap((fd, index) =>
          fd ? [windTo(this.children[index]!, fop, call, { ...args, fd })] : []
        ),
      ),
    );
  }

  // A file's answer by its fd; an anonymous one goes where the inode is.
  #open<K extends ByFd>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    const { fd } = args as { fd: Fd };
    const to = this.#files.get(fd);
    if (to) return windTo(to, fop, call, args);
    const copies = this.#directories.get(fd);
    if (copies) {
      const place = this.#subvolumes.placeOf(fd.inode);
      const anchor = place?.kind === "directory" ? this.#anchor(place) : 0;
      const index = copies[anchor] ? anchor : copies.findIndex((each) => each !== undefined);
      return windTo(this.children[index]!, fop, call, { ...args, fd: copies[index] });
    }
    if (!fd.anonymous) return Promise.reject(EBADF);
    return this.#at(call, fd.inode, (place) => {
      const index = place.kind === "file" ? place.index : this.#anchor(place);
      return windTo(this.children[index]!, fop, call, args);
    });
  }

  override async lookup(call: Call, args: Args<"lookup">): Promise<Reply<"lookup">> {
    const { inode, parent, name } = args;
    if (parent && name !== "" && name !== ".") {
      return (await this.#finder.byName(call, { ...args, parent })).reply;
    }
    const of = name === "." ? parent : inode;
    if (!of) throw EINVAL;
    return (await this.#finder.byGfid(call, { ...args, name: "", parent: undefined, inode: of }))
      .reply;
  }

  override stat(call: Call, args: Args<"stat">): Promise<Reply<"stat">> {
    return this.#at(call, args.inode, async (place) => {
      if (place.kind === "file") return await this.#one("stat", call, args);
      const replies = await this.#all("stat", call, args);
      return { ...replies[0], stat: mergeDirectories(replies.map(({ stat }) => stat)) };
    });
  }
  override async fstat(call: Call, args: Args<"fstat">): Promise<Reply<"fstat">> {
    const copies = this.#directories.get(args.fd);
    if (!copies) {
      const reply = await this.#open("fstat", call, args);
      return { ...reply, stat: shown(reply.stat) };
    }
    const replies = await this.#allOpen("fstat", call, args, copies);
    return { ...replies[0], stat: mergeDirectories(replies.map(({ stat }) => stat)) };
  }
  override setattr(call: Call, args: Args<"setattr">): Promise<Reply<"setattr">> {
    return this.#at(call, args.inode, async (place) => {
      if (place.kind === "file") return await this.#one("setattr", call, args);
      return mergePrePost(await this.#all("setattr", call, args));
    });
  }
  override async fsetattr(call: Call, args: Args<"fsetattr">): Promise<Reply<"fsetattr">> {
    const copies = this.#directories.get(args.fd);
    if (!copies) return await this.#open("fsetattr", call, args);
    return mergePrePost(await this.#allOpen("fsetattr", call, args, copies));
  }
  override setxattr(call: Call, args: Args<"setxattr">): Promise<Reply<"setxattr">> {
    return this.#at(call, args.inode, async (place) => {
      if (place.kind === "file") return await this.#one("setxattr", call, args);
      checkXattrs(args.xattrs?.names() ?? []);
      return (await this.#all("setxattr", call, args))[0]!;
    });
  }
  override async fsetxattr(call: Call, args: Args<"fsetxattr">): Promise<Reply<"fsetxattr">> {
    const copies = this.#directories.get(args.fd);
    if (!copies) return await this.#open("fsetxattr", call, args);
    checkXattrs(args.xattrs?.names() ?? []);
    return (await this.#allOpen("fsetxattr", call, args, copies))[0]!;
  }
  override removexattr(call: Call, args: Args<"removexattr">): Promise<Reply<"removexattr">> {
    return this.#at(call, args.inode, async (place) => {
      if (place.kind === "file") return await this.#one("removexattr", call, args);
      checkXattrs([args.name, ...args.name === "" ? args.xdata?.names() ?? [] : []]);
      return (await this.#all("removexattr", call, args))[0]!;
    });
  }
  override async fremovexattr(
    call: Call,
    args: Args<"fremovexattr">,
  ): Promise<Reply<"fremovexattr">> {
    const copies = this.#directories.get(args.fd);
    if (!copies) return await this.#open("fremovexattr", call, args);
    checkXattrs([args.name, ...args.name === "" ? args.xdata?.names() ?? [] : []]);
    return (await this.#allOpen("fremovexattr", call, args, copies))[0]!;
  }
  override getxattr(call: Call, args: Args<"getxattr">): Promise<Reply<"getxattr">> {
    return this.#at(call, args.inode, async (place) => {
      if (place.kind === "file") return await this.#one("getxattr", call, args);
      if (OWN.has(args.name)) throw ENODATA;
      return withoutOwn(await this.#one("getxattr", call, args));
    });
  }
  override async fgetxattr(call: Call, args: Args<"fgetxattr">): Promise<Reply<"fgetxattr">> {
    if (this.#files.get(args.fd)) return await this.#open("fgetxattr", call, args);
    if (OWN.has(args.name)) throw ENODATA;
    return withoutOwn(await this.#open("fgetxattr", call, args));
  }
  override xattrop(call: Call, args: Args<"xattrop">): Promise<Reply<"xattrop">> {
    return this.#one("xattrop", call, args);
  }
  override fxattrop(call: Call, args: Args<"fxattrop">): Promise<Reply<"fxattrop">> {
    return this.#open("fxattrop", call, args);
  }
  override access(call: Call, args: Args<"access">): Promise<Reply<"access">> {
    return this.#one("access", call, args);
  }
  override readlink(call: Call, args: Args<"readlink">): Promise<Reply<"readlink">> {
    return this.#one("readlink", call, args);
  }
  override truncate(call: Call, args: Args<"truncate">): Promise<Reply<"truncate">> {
    return this.#one("truncate", call, args);
  }

  override mknod(call: Call, args: Args<"mknod">): Promise<Reply<"mknod">> {
    return this.#names.make(call, args, (index) => this.children[index]!.mknod(call, args));
  }
  override put(call: Call, args: Args<"put">): Promise<Reply<"put">> {
    return this.#names.make(call, args, (index) => this.children[index]!.put(call, args));
  }
  override mkdir(call: Call, args: Args<"mkdir">): Promise<Reply<"mkdir">> {
    return this.#names.mkdir(call, args);
  }
  override symlink(call: Call, args: Args<"symlink">): Promise<Reply<"symlink">> {
    return this.#names.symlink(call, args);
  }
  override link(call: Call, args: Args<"link">): Promise<Reply<"link">> {
    return this.#names.link(call, args);
  }
  override unlink(call: Call, args: Args<"unlink">): Promise<Reply<"unlink">> {
    return this.#names.unlink(call, args);
  }
  override rmdir(call: Call, args: Args<"rmdir">): Promise<Reply<"rmdir">> {
    return this.#names.rmdir(call, args);
  }
  override rename(call: Call, args: Args<"rename">): Promise<Reply<"rename">> {
    return this.#renamer.rename(call, args);
  }

  override async create(call: Call, args: Args<"create">): Promise<Reply<"create">> {
    const { reply, index } = await this.#names.create(call, args);
    this.#files.set(reply.fd, this.children[index]!);
    return reply;
  }
  override async open(call: Call, args: Args<"open">): Promise<Reply<"open">> {
    const place = this.#subvolumes.placeOf(args.inode) ??
      await this.#finder.place(call, args.inode);
    if (place.kind === "directory") throw EISDIR;
    const reply = await this.#one("open", call, args);
    const now = this.#subvolumes.placeOf(args.inode) ?? place;
    this.#files.set(reply.fd, this.children[now.kind === "file" ? now.index : place.index]!);
    return reply;
  }
  override async release(call: Call, args: Args<"release">): Promise<Reply<"release">> {
    const to = this.#files.get(args.fd);
    if (!to) throw EBADF;
    this.#files.delete(args.fd);
    return await to.release(call, args);
  }
  override readv(call: Call, args: Args<"readv">): Promise<Reply<"readv">> {
    return this.#open("readv", call, args);
  }
  override writev(call: Call, args: Args<"writev">): Promise<Reply<"writev">> {
    return this.#open("writev", call, args);
  }
  override flush(call: Call, args: Args<"flush">): Promise<Reply<"flush">> {
    return this.#open("flush", call, args);
  }
  override fsync(call: Call, args: Args<"fsync">): Promise<Reply<"fsync">> {
    return this.#open("fsync", call, args);
  }
  override ftruncate(call: Call, args: Args<"ftruncate">): Promise<Reply<"ftruncate">> {
    return this.#open("ftruncate", call, args);
  }
  override rchecksum(call: Call, args: Args<"rchecksum">): Promise<Reply<"rchecksum">> {
    return this.#open("rchecksum", call, args);
  }
  override fallocate(call: Call, args: Args<"fallocate">): Promise<Reply<"fallocate">> {
    return this.#open("fallocate", call, args);
  }
  override discard(call: Call, args: Args<"discard">): Promise<Reply<"discard">> {
    return this.#open("discard", call, args);
  }
  override zerofill(call: Call, args: Args<"zerofill">): Promise<Reply<"zerofill">> {
    return this.#open("zerofill", call, args);
  }
  override seek(call: Call, args: Args<"seek">): Promise<Reply<"seek">> {
    return this.#open("seek", call, args);
  }
  override copyFileRange(
    call: Call,
    args: Args<"copyFileRange">,
  ): Promise<Reply<"copyFileRange">> {
    const from = this.#files.get(args.source), to = this.#files.get(args.fd);
    if (!from || !to) return Promise.reject(EBADF);
    return from === to ? to.copyFileRange(call, args) : copyAcross(call, from, to, args);
  }

  override lk(call: Call, args: Args<"lk">): Promise<Reply<"lk">> {
    return this.#open("lk", call, args);
  }
  override inodelk(call: Call, args: Args<"inodelk">): Promise<Reply<"inodelk">> {
    return this.#one("inodelk", call, args);
  }
  override finodelk(call: Call, args: Args<"finodelk">): Promise<Reply<"finodelk">> {
    return this.#open("finodelk", call, args);
  }
  override entrylk(call: Call, args: Args<"entrylk">): Promise<Reply<"entrylk">> {
    return this.#one("entrylk", call, args);
  }
  override fentrylk(call: Call, args: Args<"fentrylk">): Promise<Reply<"fentrylk">> {
    return this.#open("fentrylk", call, args);
  }
  override lease(call: Call, args: Args<"lease">): Promise<Reply<"lease">> {
    return this.#one("lease", call, args);
  }
  override getactivelk(call: Call, args: Args<"getactivelk">): Promise<Reply<"getactivelk">> {
    return this.#one("getactivelk", call, args);
  }
  override setactivelk(call: Call, args: Args<"setactivelk">): Promise<Reply<"setactivelk">> {
    return this.#one("setactivelk", call, args);
  }

  override async opendir(call: Call, args: Args<"opendir">): Promise<Reply<"opendir">> {
    const copies = await this.#listing.open(call, args);
    const fd = new Fd(args.inode, 0);
    this.#directories.set(fd, copies);
    return { fd };
  }
  override async releasedir(call: Call, args: Args<"releasedir">): Promise<Reply<"releasedir">> {
    const copies = this.#directories.get(args.fd);
    if (!copies) throw EBADF;
    this.#directories.delete(args.fd);
    await closeCopies(this.children, call, copies);
    return DONE;
  }
  override async fsyncdir(call: Call, args: Args<"fsyncdir">): Promise<Reply<"fsyncdir">> {
    const copies = this.#directories.get(args.fd);
    if (!copies) throw EBADF;
    return (await this.#allOpen("fsyncdir", call, args, copies))[0]!;
  }
  override readdirp(call: Call, args: Args<"readdirp">): Promise<Reply<"readdirp">> {
    return this.#listing.read(call, args, this.#directories.get(args.fd));
  }
  // Asked with attributes: without them link files and directories cannot be told apart from files.
  override async readdir(call: Call, args: Args<"readdir">): Promise<Reply<"readdir">> {
    const { entries, eof } = await this.readdirp(call, args);
    return {
      entries: entries.map(({ name, offset, type, ino }) => ({ name, offset, type, ino })),
      eof,
    };
  }

  override async statfs(call: Call, args: Args<"statfs">): Promise<Reply<"statfs">> {
    const place = this.#subvolumes.placeOf(args.inode) ??
      await this.#finder.place(call, args.inode);
    const inode = place.kind === "file" ? this.inodes.root : args.inode;
    const replies = await this.#all("statfs", call, { ...args, inode });
    return { ...replies[0], statfs: mergeStatfs(replies.map(({ statfs }) => statfs)) };
  }
  override async ipc(call: Call, args: Args<"ipc">): Promise<Reply<"ipc">> {
    const answers = await settle(this.children.map((to) => to.ipc(call, args)));
    const failure = answers.find((each) => !each.ok && !ENOTCONN.matches(each.error));
    if (failure && !failure.ok) throw failure.error;
    return answered(answers)[0] ?? DONE;
  }
}

/** Attributes of directories that are distribute's own: each subvolume has others. */
const OWN: ReadonlySet<string> = new Set([SHARE.name, MDS.name]);

function checkXattrs(names: Iterable<string>): void {
  for (const name of names) if (OWN.has(name)) throw EPERM;
}

function withoutOwn<T extends { readonly xattrs: Xdata | undefined }>(reply: T): T {
  return { ...reply, xattrs: reply.xattrs?.without(...OWN) };
}

export const distribute = defineXlator({
  type: "cluster/distribute",
  aliases: ["cluster/dht"],
  summary: "Spread files over several subvolumes by their names",
  options,
  subvolumes: "many",
  check: checkOptions,
  create: (node, values) =>
    node.children.length === 1 ? new Single(node) : new Distribute(node, values),
});
