/**
 * cluster/replicate: every file on several copies, as GlusterFS's own layer of this name does it. Changes
 * go to all copies that are up, and leave marks that tell who missed them; reads go to one that nobody
 * blames. See the parts: `blame.ts`, `write.ts`, `change.ts`, `names.ts`, `read.ts`, `lookup.ts`,
 * `listing.ts`, `lk.ts`.
 */

import { type Call, isInternal, ROOT } from "core/call.ts";
import { ENOTCONN, FopError } from "core/errno.ts";
import { type GraphEvent, UP } from "core/events.ts";
import { type Args, DONE, type FopName, O_ACCMODE, O_TRUNC, type Reply } from "core/fops.ts";
import { copyStates } from "core/healer.ts";
import type { Fd, Inode } from "core/inode.ts";
import { defineXlator } from "core/registry.ts";
import { valueText } from "core/xdata.ts";
import { type Json, type Node, Refuse, settle, windTo, type Xlator } from "core/xlator.ts";
import {
  type AttributeFdFop,
  type AttributeFop,
  Attributes,
} from "xlators/cluster/replicate/attributes.ts";
import { Copies, failureOf } from "xlators/cluster/replicate/copies.ts";
import { Data } from "xlators/cluster/replicate/data.ts";
import { Favorites } from "xlators/cluster/replicate/favorite.ts";
import { AccessHeals } from "xlators/cluster/replicate/heal_on_access.ts";
import { HealSet } from "xlators/cluster/replicate/heal_set.ts";
import { KeptLocks } from "xlators/cluster/replicate/kept_locks.ts";
import { Listing } from "xlators/cluster/replicate/listing.ts";
import { anyOf, layerLock } from "xlators/cluster/replicate/lk.ts";
import { Finder } from "xlators/cluster/replicate/lookup.ts";
import { Names } from "xlators/cluster/replicate/names.ts";
import { OpenCopies } from "xlators/cluster/replicate/open_copies.ts";
import {
  anonymousOf,
  checkOptions,
  needsMajority,
  options,
  type ReplicateValues,
} from "xlators/cluster/replicate/options.ts";
import type { About } from "xlators/cluster/replicate/parts.ts";
import { Reader } from "xlators/cluster/replicate/read.ts";
import { ReadChoice } from "xlators/cluster/replicate/read_choice.ts";
import { SplitBrain } from "xlators/cluster/replicate/split_brain.ts";
import {
  fromAll,
  hideMarks,
  isOfAll,
  refuseMarks,
  withoutMarks,
} from "xlators/cluster/replicate/xattr_names.ts";

/** Fops by inode, and by fd, that one copy answers. */
type ReadByInode = "access" | "readlink" | "getactivelk";
type ReadByFd = "readv" | "seek" | "rchecksum";

const PATHINFO = "trusted.glusterfs.pathinfo";

/** See the head of this file. */
export class Replicate extends Refuse {
  readonly #copies: Copies;
  readonly #opened: OpenCopies;
  readonly #choice: ReadChoice;
  readonly #reader: Reader;
  readonly #finder: Finder;
  readonly #data: Data;
  readonly #attributes: Attributes;
  readonly #names: Names;
  readonly #listing: Listing;
  readonly #set: HealSet;
  readonly #locks: KeptLocks;
  readonly #heals: AccessHeals;
  readonly #splitBrain: SplitBrain;

  constructor(node: Node, values: ReplicateValues) {
    super(node);
    const copies = this.#copies = new Copies(node, values);
    const opened = this.#opened = new OpenCopies(copies);
    this.#locks = new KeptLocks(copies, opened);
    const choice = this.#choice = new ReadChoice(copies);
    const set = this.#set = new HealSet({
      name: copies.name,
      copies: copies.all,
      copyNames: copies.names,
      arbiter: copies.arbiter !== undefined,
      favorite: values["favorite-child-policy"],
      granular: values["granular-entry-heal"],
      anonymous: anonymousOf(values),
      majority: needsMajority(values, copies.count),
      env: copies.env,
      inodes: copies.inodes,
    });
    const heals = this.#heals = new AccessHeals(copies, set);
    const favorites = new Favorites(copies, set);
    const reader = this.#reader = new Reader(copies, choice, opened, heals, favorites);
    const finder = this.#finder = new Finder(copies, reader);
    this.#splitBrain = new SplitBrain(copies, reader, set, (inode) => this.#invalidate(inode));
    this.#data = new Data(copies, reader, opened);
    this.#attributes = new Attributes(copies, reader, opened);
    this.#names = new Names(copies, finder, reader, opened);
    this.#listing = new Listing(copies, reader, finder, opened);
  }

  start(): Promise<void> {
    for (const index of this.#copies.numbers()) this.#greet(index);
    return Promise.resolve();
  }

  /** Takes off the marks of what was written last, and gives up all locks. */
  async stop(): Promise<void> {
    this.#heals.stop();
    this.#locks.stop();
    for (const lock of this.#copies.locks) lock.yield();
    this.#names.locks.yield();
    await this.#copies.idle();
    await this.#copies.unmarked.stop();
  }

  reconfigure(values: ReplicateValues): void {
    this.#copies.values = values;
    this.#set.favorite = values["favorite-child-policy"];
    this.#set.granular = values["granular-entry-heal"];
    this.#set.anonymous = anonymousOf(values);
    this.#set.majority = needsMajority(values, this.#set.count);
  }

  state(): Json {
    const { keys, up, generation, arbiter, locks, needsHeal } = this.#copies;
    return {
      child_count: up.length,
      ...copyStates(keys.pending, up),
      arbiter: arbiter ?? null,
      "quorum-type": this.#copies.quorumType,
      // Where there is no quorum, one copy is enough.
      up: Number(up.includes(true) && this.#copies.hasQuorum(up)),
      generation,
      filesLocked: locks.size,
      directoriesLocked: this.#names.locks.size,
      heals: this.#heals.count,
      needsHeal,
    };
  }

  protected override heard(event: GraphEvent, from: Xlator): void {
    const copies = this.#copies, index = this.children.indexOf(from);
    switch (event.type) {
      case "child-up":
        copies.carries[index] = event.carriesLocks ?? false;
        copies.turn(index, true);
        this.#greet(index);
        this.#locks.cameBack(index);
        return this.emit(event);
      case "child-down":
        copies.turn(index, false);
        return this.emit(copies.up.includes(true) ? { type: "some-down" } : event);
      case "inodelk-contention":
        if (event.domain !== this.name) return this.emit(event);
        return copies.stateOf(this.inodes.of(event.gfid)).lock?.yield();
      case "entrylk-contention":
        return this.#names.locks.heard(event) ? undefined : this.emit(event);
      case "cache-invalidation": {
        const marks = copies.keys.pending.some((key) => event.xdata?.has(key));
        if (marks) {
          copies.needsHeal = true;
          copies.stateOf(this.inodes.of(event.gfid)).doubt();
        }
        if (index !== copies.arbiter) {
          return this.emit(marks ? { ...event, flags: event.flags | UP.INVAL_ATTR } : event);
        }
        // An arbiter's sizes are those of empty files.
        return this.emit({ ...event, stat: undefined, parent: undefined, oldParent: undefined });
      }
      default:
        return this.emit(event);
    }
  }

  // What caches above us have of it is another copy's.
  #invalidate({ gfid }: Inode): void {
    this.emit({
      type: "cache-invalidation",
      clients: [],
      gfid,
      flags: UP.INVAL_ATTR,
      expireSec: 0,
      stat: undefined,
      parent: undefined,
      oldParent: undefined,
    });
  }

  // Asks a copy where it is. One that was never reached says nothing by itself.
  #greet(index: number): void {
    const copies = this.#copies, { generation } = copies;
    const ask = async () => {
      try {
        const args = { inode: this.inodes.root, name: PATHINFO };
        const { xattrs } = await this.children[index]!.getxattr(ROOT, args);
        const value = xattrs?.raw(PATHINFO);
        const text = value && valueText(value);
        if (text) this.#choice.place(index, text);
      } catch (error) {
        if (!(error instanceof FopError)) throw error;
        if (ENOTCONN.matches(error) && generation === copies.generation) copies.turn(index, false);
      }
    };
    copies.behind(ask());
  }

  #read<K extends ReadByInode>(
    fop: K,
    call: Call,
    args: Args<K>,
    about: About,
  ): Promise<Reply<K>> {
    const { inode } = args as { inode: Inode };
    const ask = (index: number) =>
      windTo(this.children[index]!, fop as FopName, call, args) as Promise<Reply<K>>;
    return this.#reader.read(call, inode, ask, about);
  }

  async #readOpen<K extends ReadByFd>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    const { fd } = args as { fd: Fd };
    await this.#opened.complete(call, fd);
    return await this.#reader.read(call, fd.inode, async (index) => {
      const own = { ...args, fd: this.#opened.on(fd, index) };
      return await windTo(this.children[index]!, fop as FopName, call, own) as Reply<K>;
    }, "content");
  }

  override lookup(call: Call, args: Args<"lookup">): Promise<Reply<"lookup">> {
    return this.#finder.lookup(call, args);
  }
  override stat(call: Call, args: Args<"stat">): Promise<Reply<"stat">> {
    return this.#reader.stat(call, args.inode, (index) => this.children[index]!.stat(call, args));
  }
  override access(call: Call, args: Args<"access">): Promise<Reply<"access">> {
    return this.#read("access", call, args, "metadata");
  }
  override readlink(call: Call, args: Args<"readlink">): Promise<Reply<"readlink">> {
    return this.#read("readlink", call, args, "content");
  }
  override getactivelk(call: Call, args: Args<"getactivelk">): Promise<Reply<"getactivelk">> {
    return this.#read("getactivelk", call, args, "content");
  }
  override async fstat(call: Call, args: Args<"fstat">): Promise<Reply<"fstat">> {
    const { fd } = args;
    await this.#opened.complete(call, fd);
    const ask = async (index: number) =>
      await this.children[index]!.fstat(call, { ...args, fd: this.#opened.on(fd, index) });
    return await this.#reader.stat(call, fd.inode, ask);
  }
  override async readv(call: Call, args: Args<"readv">): Promise<Reply<"readv">> {
    const reply = await this.#readOpen("readv", call, args);
    return this.#reader.isRightInAll(args.fd.inode) ? reply : { ...reply, stat: undefined };
  }
  override seek(call: Call, args: Args<"seek">): Promise<Reply<"seek">> {
    return this.#readOpen("seek", call, args);
  }
  override rchecksum(call: Call, args: Args<"rchecksum">): Promise<Reply<"rchecksum">> {
    return this.#readOpen("rchecksum", call, args);
  }

  override async getxattr(call: Call, args: Args<"getxattr">): Promise<Reply<"getxattr">> {
    const { inode, name } = args;
    const status = await this.#splitBrain.get(call, inode, name);
    if (status) return status;
    const ask = (index: number) => this.children[index]!.getxattr(call, args);
    if (isOfAll(name)) return await fromAll(this.#copies, name, ask);
    if (!isInternal(call)) hideMarks(name);
    return withoutMarks(await this.#reader.read(call, inode, ask, "metadata"));
  }
  override async fgetxattr(call: Call, args: Args<"fgetxattr">): Promise<Reply<"fgetxattr">> {
    const { fd, name } = args;
    await this.#opened.complete(call, fd);
    const ask = async (index: number) =>
      await this.children[index]!.fgetxattr(call, { ...args, fd: this.#opened.on(fd, index) });
    if (isOfAll(name)) return await fromAll(this.#copies, name, ask);
    if (!isInternal(call)) hideMarks(name);
    return withoutMarks(await this.#reader.read(call, fd.inode, ask, "metadata"));
  }

  override async setxattr(call: Call, args: Args<"setxattr">): Promise<Reply<"setxattr">> {
    if (await this.#splitBrain.order(call, args.inode, args.xattrs)) return DONE;
    refuseMarks(args.xattrs?.names() ?? []);
    return await this.#change("setxattr", call, args);
  }
  override async fsetxattr(call: Call, args: Args<"fsetxattr">): Promise<Reply<"fsetxattr">> {
    refuseMarks(args.xattrs?.names() ?? []);
    return await this.#changeOpen("fsetxattr", call, args);
  }
  override async removexattr(call: Call, args: Args<"removexattr">): Promise<Reply<"removexattr">> {
    refuseMarks([args.name, ...args.name === "" ? args.xdata?.names() ?? [] : []]);
    return await this.#change("removexattr", call, args);
  }
  override async fremovexattr(
    call: Call,
    args: Args<"fremovexattr">,
  ): Promise<Reply<"fremovexattr">> {
    refuseMarks([args.name, ...args.name === "" ? args.xdata?.names() ?? [] : []]);
    return await this.#changeOpen("fremovexattr", call, args);
  }
  override setattr(call: Call, args: Args<"setattr">): Promise<Reply<"setattr">> {
    return this.#change("setattr", call, args);
  }
  override fsetattr(call: Call, args: Args<"fsetattr">): Promise<Reply<"fsetattr">> {
    return this.#changeOpen("fsetattr", call, args);
  }
  override xattrop(call: Call, args: Args<"xattrop">): Promise<Reply<"xattrop">> {
    return this.#change("xattrop", call, args);
  }
  override fxattrop(call: Call, args: Args<"fxattrop">): Promise<Reply<"fxattrop">> {
    return this.#changeOpen("fxattrop", call, args);
  }
  #change<K extends AttributeFop>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    return this.#attributes.byInode(fop, call, args);
  }
  #changeOpen<K extends AttributeFdFop>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    return this.#attributes.byFd(fop, call, args);
  }

  override mknod(call: Call, args: Args<"mknod">): Promise<Reply<"mknod">> {
    return this.#names.make(call, args, (index) => this.children[index]!.mknod(call, args));
  }
  override mkdir(call: Call, args: Args<"mkdir">): Promise<Reply<"mkdir">> {
    return this.#names.make(call, args, (index) => this.children[index]!.mkdir(call, args));
  }
  override symlink(call: Call, args: Args<"symlink">): Promise<Reply<"symlink">> {
    return this.#names.make(call, args, (index) => this.children[index]!.symlink(call, args));
  }
  override link(call: Call, args: Args<"link">): Promise<Reply<"link">> {
    return this.#names.entry(call, args, (index) => this.children[index]!.link(call, args));
  }
  override unlink(call: Call, args: Args<"unlink">): Promise<Reply<"unlink">> {
    return this.#names.entry(call, args, (index) => this.children[index]!.unlink(call, args));
  }
  override rmdir(call: Call, args: Args<"rmdir">): Promise<Reply<"rmdir">> {
    return this.#names.rmdir(call, args);
  }
  override rename(call: Call, args: Args<"rename">): Promise<Reply<"rename">> {
    return this.#names.rename(call, args);
  }
  override create(call: Call, args: Args<"create">): Promise<Reply<"create">> {
    return this.#names.create(call, args, (file) => this.#data.adopt(file));
  }

  override async open(call: Call, args: Args<"open">): Promise<Reply<"open">> {
    const copies = this.#copies, { inode, flags } = args;
    copies.checkQuorum();
    await this.#reader.mustBeWhole(call, inode);
    // A copy cuts its file under the lock for changes, not when it opens it.
    const opening = { ...args, flags: flags & ~O_TRUNC };
    const up = copies.numbers().filter((index) => copies.up[index]);
    const answers = await settle(up.map((index) => this.children[index]!.open(call, opening)));
    const fds: (Fd | undefined)[] = this.children.map(() => undefined);
    up.forEach((index, at) => {
      const answer = answers[at]!;
      if (answer.ok) fds[index] = answer.value.fd;
    });
    const has = fds.map((fd) => fd !== undefined);
    if (!has.includes(true) || copies.quorumOn && !copies.hasQuorum(has)) {
      await this.#opened.releaseAll(call, fds);
      throw failureOf(answers) ?? ENOTCONN;
    }
    const fd = this.#opened.hand(inode, flags, fds);
    if (!(flags & O_TRUNC)) return { fd };
    try {
      // What is opened to read is cut, too, but not through what cannot write.
      if (flags & O_ACCMODE) await this.#data.ftruncate(call, { fd, offset: 0 });
      else await this.#data.truncate(call, { inode, offset: 0 });
      return { fd };
    } catch (error) {
      // The lock may have to be given up through it still.
      await this.release(call, { fd });
      throw error;
    }
  }
  override async release(call: Call, args: Args<"release">): Promise<Reply<"release">> {
    this.#locks.closed(args.fd);
    const closed = await this.#data.released(args.fd);
    return await this.#opened.release(call, args, closed);
  }
  override async flush(call: Call, args: Args<"flush">): Promise<Reply<"flush">> {
    this.#locks.flushed(call, args.fd);
    await this.#data.settled(args.fd);
    return await this.#onAllOpen("flush", call, args);
  }
  override fsyncdir(call: Call, args: Args<"fsyncdir">): Promise<Reply<"fsyncdir">> {
    return this.#onAllOpen("fsyncdir", call, args);
  }
  // Wherever it is open; one good answer is enough. A flush gives up locks: copies that are away would
  // take them again when they are back.
  async #onAllOpen<K extends "flush" | "fsyncdir">(
    fop: K,
    call: Call,
    args: Args<K>,
  ): Promise<Reply<K>> {
    const { fd } = args;
    await this.#opened.complete(call, fd);
    const where = this.#opened.where(fd);
    const on = this.#copies.numbers().filter((index) =>
      where[index] && (this.#copies.up[index] || fop === "flush")
    );
    return anyOf(
      await settle(on.map((index) =>
        windTo(this.children[index]!, fop as FopName, call, {
          ...args,
          fd: this.#opened.on(fd, index),
        }) as Promise<Reply<K>>
      )),
    );
  }

  override writev(call: Call, args: Args<"writev">): Promise<Reply<"writev">> {
    return this.#data.writev(call, args);
  }
  override truncate(call: Call, args: Args<"truncate">): Promise<Reply<"truncate">> {
    return this.#data.truncate(call, args);
  }
  override ftruncate(call: Call, args: Args<"ftruncate">): Promise<Reply<"ftruncate">> {
    return this.#data.ftruncate(call, args);
  }
  override fallocate(call: Call, args: Args<"fallocate">): Promise<Reply<"fallocate">> {
    return this.#data.fallocate(call, args);
  }
  override discard(call: Call, args: Args<"discard">): Promise<Reply<"discard">> {
    return this.#data.discard(call, args);
  }
  override zerofill(call: Call, args: Args<"zerofill">): Promise<Reply<"zerofill">> {
    return this.#data.zerofill(call, args);
  }
  override fsync(call: Call, args: Args<"fsync">): Promise<Reply<"fsync">> {
    return this.#data.fsync(call, args);
  }
  override copyFileRange(
    call: Call,
    args: Args<"copyFileRange">,
  ): Promise<Reply<"copyFileRange">> {
    return this.#data.copyFileRange(
      call,
      args,
      (call, args) => this.readv(call, args),
      (call, args) => this.fstat(call, args),
    );
  }

  override opendir(call: Call, args: Args<"opendir">): Promise<Reply<"opendir">> {
    return this.#listing.open(call, args);
  }
  override releasedir(call: Call, args: Args<"releasedir">): Promise<Reply<"releasedir">> {
    return this.#opened.release(call, args);
  }
  override readdir(call: Call, args: Args<"readdir">): Promise<Reply<"readdir">> {
    return this.#listing.names(call, args);
  }
  override readdirp(call: Call, args: Args<"readdirp">): Promise<Reply<"readdirp">> {
    return this.#listing.entries(call, args);
  }

  override lk(call: Call, args: Args<"lk">): Promise<Reply<"lk">> {
    return this.#locks.lk(call, args);
  }
  override inodelk(call: Call, args: Args<"inodelk">): Promise<Reply<"inodelk">> {
    const ask = (index: number, over: Partial<Args<"inodelk">>) =>
      this.children[index]!.inodelk(call, { ...args, ...over });
    return this.#rangeLock(args, ask);
  }
  override async finodelk(call: Call, args: Args<"finodelk">): Promise<Reply<"finodelk">> {
    await this.#opened.complete(call, args.fd);
    const ask = async (index: number, over: Partial<Args<"finodelk">>) =>
      await this.children[index]!.finodelk(call, {
        ...args,
        ...over,
        fd: this.#opened.on(args.fd, index),
      });
    return await this.#rangeLock(args, ask);
  }
  #rangeLock(
    { cmd, lock }: Pick<Args<"inodelk">, "cmd" | "lock">,
    ask: (
      index: number,
      over: Partial<Pick<Args<"inodelk">, "cmd" | "lock" | "xdata">>,
    ) => Promise<Reply<"inodelk">>,
  ): Promise<Reply<"inodelk">> {
    if (cmd === "get") return this.#firstUp((index) => ask(index, {}));
    return layerLock(this.#copies, {
      isUnlock: lock.type === "unlock",
      tryOn: (index) => ask(index, { cmd: "set" }),
      askOn: (index) => ask(index, {}),
      dropOn: (index) => ask(index, { cmd: "set", lock: { ...lock, type: "unlock" } }),
    });
  }
  override entrylk(call: Call, args: Args<"entrylk">): Promise<Reply<"entrylk">> {
    return this.#nameLock(
      args,
      (index, cmd) => this.children[index]!.entrylk(call, { ...args, cmd }),
    );
  }
  override async fentrylk(call: Call, args: Args<"fentrylk">): Promise<Reply<"fentrylk">> {
    await this.#opened.complete(call, args.fd);
    return await this.#nameLock(
      args,
      async (index, cmd) =>
        await this.children[index]!.fentrylk(call, {
          ...args,
          cmd,
          fd: this.#opened.on(args.fd, index),
        }),
    );
  }
  #nameLock(
    { cmd }: Pick<Args<"entrylk">, "cmd">,
    ask: (index: number, cmd: Args<"entrylk">["cmd"]) => Promise<Reply<"entrylk">>,
  ): Promise<Reply<"entrylk">> {
    return layerLock(this.#copies, {
      isUnlock: cmd === "unlock",
      tryOn: (index) => ask(index, "try-lock"),
      askOn: (index) => ask(index, cmd),
      dropOn: (index) => ask(index, "unlock"),
    });
  }
  #firstUp<R>(ask: (index: number) => Promise<R>): Promise<R> {
    const index = this.#copies.up.indexOf(true);
    return index < 0 ? Promise.reject(ENOTCONN) : ask(index);
  }

  /** What there is room for on the fullest copy. */
  override async statfs(call: Call, args: Args<"statfs">): Promise<Reply<"statfs">> {
    const copies = this.#copies;
    const on = copies.numbers().filter((index) => copies.up[index] && index !== copies.arbiter);
    const answers = await settle(on.map((index) => this.children[index]!.statfs(call, args)));
    let least = anyOf(answers);
    for (const answer of answers) {
      if (!answer.ok) continue;
      const { statfs } = answer.value;
      if (statfs.bavail * statfs.frsize < least.statfs.bavail * least.statfs.frsize) {
        least = answer.value;
      }
    }
    return least;
  }
  override async ipc(call: Call, args: Args<"ipc">): Promise<Reply<"ipc">> {
    const copies = this.#copies;
    const on = copies.numbers().filter((index) => copies.up[index]);
    return anyOf(await settle(on.map((index) => this.children[index]!.ipc(call, args))));
  }
}

/** `cluster/replicate`: several copies of every file. */
export const replicate = defineXlator({
  type: "cluster/replicate",
  aliases: ["cluster/afr"],
  summary: "Keep every file on several subvolumes",
  options,
  subvolumes: "many",
  needs: { layer: "features/locks", over: "storage/posix" },
  check: checkOptions,
  create: (node, values) => new Replicate(node, values),
});
