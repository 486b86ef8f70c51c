/**
 * Attributes, a few xattrs and what names stand for are kept for a while, so that asking again costs
 * no round trip. What was kept is as it was answered last: changes by this client, and what bricks
 * tell of others', take it away. See cache.ts.
 */

import { type Call, isInternal, ROOT } from "core/call.ts";
import { ENODATA, ENOENT, FopError } from "core/errno.ts";
import { type GraphEvent } from "core/events.ts";
import { type Args, type FopName, O_TRUNC, type Reply } from "core/fops.ts";
import type { Iatt } from "core/iatt.ts";
import { type Fd, type Inode, PerFd } from "core/inode.ts";
import { defineXlator } from "core/registry.ts";
import { type DictValue, Xdata } from "core/xdata.ts";
import { GFID_REQ } from "core/xdata_keys.ts";
import { type Json, type Node, Uniform } from "core/xlator.ts";
import {
  type Asked,
  Cache,
  type Change,
  type KnownName,
} from "xlators/performance/md-cache/cache.ts";
import { type MdCacheValues, options, XattrNames } from "xlators/performance/md-cache/options.ts";

/** Fops that change one inode, and answer it as it is then if they can tell. */
const CHANGES: ReadonlySet<FopName> = new Set<FopName>([
  "truncate",
  "setattr",
  "writev",
  "ftruncate",
  "fsetattr",
  "fallocate",
  "discard",
  "zerofill",
  "copyFileRange",
  "setxattr",
  "removexattr",
  "xattrop",
  "fsetxattr",
  "fremovexattr",
  "fxattrop",
]);
/** Fops that give a new file a name. */
const MAKES: ReadonlySet<FopName> = new Set<FopName>([
  "create",
  "mkdir",
  "mknod",
  "symlink",
  "put",
  "link",
  "namelink",
]);
const STATFS_MS = 1000;
/** `ipc` number by which bricks learn which xattrs are kept (GF_IPC_TARGET_UPCALL). */
const IPC_UPCALL = 2;
/** What no new file has: nobody gives it but who sets it. Kernels ask for it when a file is written to or run. */
const NOT_GIVEN = ["security.capability", "security.ima"];
/** What a lookup asks for an xattr by. */
const WANTED: DictValue = { type: "int", value: 0 };

/** Extended attributes that are fetched along. */
interface Wanted {
  readonly names: readonly string[];
  /** What asks for them; undefined if there are none. */
  readonly wish: Xdata | undefined;
}
const NOTHING: Wanted = { names: [], wish: undefined };

type Unlink = Args<"unlink">;
type Place = { readonly parent: Inode; readonly name: string };

class MdCache extends Uniform {
  readonly #cache: Cache;
  #values: MdCacheValues;
  #kept: XattrNames;
  /** Of those that are kept: what somebody asked for. */
  #wanted: Wanted = NOTHING;
  /** Those of them that who lists a directory may look at. */
  #listed: Wanted = NOTHING;
  /** How many entries of an open directory came with attributes that nobody had asked for. */
  readonly #listings = new PerFd<number>();
  #statfs: { reply: Reply<"statfs">; at: number } | undefined;
  #hits = 0;
  #misses = 0;

  constructor(node: Node, values: MdCacheValues) {
    super(node);
    const most = () => this.inodes.limit;
    this.#cache = new Cache(this.env.clock, (names) => this.#doubt(names), most);
    this.#values = values;
    this.#kept = new XattrNames(values);
    this.#setTimeout();
  }

  reconfigure(values: MdCacheValues): void {
    this.#values = values;
    this.#kept = new XattrNames(values);
    this.#want(this.#wanted.names.filter((name) => this.#kept.has(name)));
    this.#setTimeout();
    this.#register();
  }

  #want(names: readonly string[]): void {
    this.#wanted = wanted(names);
    this.#listed = wanted(names.filter((name) => !NOT_GIVEN.includes(name)));
  }

  state(): Json {
    const { inodes, names } = this.#cache;
    return { inodes, names, hits: this.#hits, misses: this.#misses };
  }

  // What changes is followed in any case: so the layer can be switched on while it is used.
  #setTimeout(): void {
    const { "md-cache-timeout": timeout, "pass-through": off } = this.#values;
    this.#cache.timeoutMs = off ? 0 : timeout * 1000;
  }

  protected override heard(event: GraphEvent): void {
    switch (event.type) {
      case "cache-invalidation": {
        const { gfid, parent, oldParent } = event;
        for (const each of new Set([gfid, parent?.gfid, oldParent?.gfid])) {
          if (each) this.#doubt(this.#cache.invalidate(this.inodes.of(each)));
        }
        break;
      }
      // What changed while a brick was away, nobody told us.
      case "child-up":
      case "child-down":
      case "some-down":
        this.#cache.forgetAll();
        this.#doubt([...this.#cache.allNames()]);
        if (event.type === "child-up") this.#register();
    }
    this.emit(event);
  }

  // Who was told what these names stand for should not rely on it any more.
  #doubt(names: readonly KnownName[]): void {
    const [first] = names;
    if (!first) return;
    for (const [parent, all] of Map.groupBy(names, (each) => each.parent)) {
      this.emit({
        type: "names-doubted",
        parent: parent.gfid,
        names: all.map(({ name }) => name),
      });
    }
  }

  #register(): void {
    if (!this.#values["cache-invalidation"] || !this.#kept.all.length) return;
    const xdata = Xdata.of(this.#kept.all.map((name) => [name, WANTED]));
    this.child.ipc(ROOT, { op: IPC_UPCALL, xdata }).catch((error) => {
      if (!(error instanceof FopError)) throw error;
      this.env.log.debug("bricks do not tell of changed xattrs", { error: error.code });
    });
  }

  protected around<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    return this.#own(fop, call, args as never) as Promise<Reply<K>> | undefined ??
      this.wind(fop, call, args);
  }

  #own(fop: FopName, call: Call, args: never): Promise<unknown> | undefined {
    switch (fop) {
      case "lookup":
        return this.#lookup(call, args);
      case "stat":
      case "fstat":
        return this.#stat(fop, call, args);
      case "readv":
        return this.#readv(call, args);
      case "opendir":
        return this.#opendir(call, args);
      case "readdirp":
        return this.#readdirp(call, args);
      case "readdir":
        return this.#readdir(call, args);
      case "getxattr":
      case "fgetxattr":
        return this.#getxattr(fop, call, args);
      case "statfs":
        return this.#values["md-cache-statfs"] ? this.#space(call, args) : undefined;
      case "open":
        return this.#open(call, args);
      case "lk":
        return this.#lk(call, args);
      case "unlink":
      case "rmdir":
        return this.#unlink(fop, call, args);
      case "rename":
        return this.#rename(call, args);
    }
    if (MAKES.has(fop)) return this.#make(fop, call, args);
    return CHANGES.has(fop) ? this.#change(fop, call, args) : undefined;
  }

  #lookup(call: Call, args: Args<"lookup">): Promise<Reply<"lookup">> | undefined {
    const { parent, name, xdata } = args;
    if (isInternal(call)) return undefined;
    const named = parent !== undefined && name !== "";
    const known = named && !xdata ? this.#cache.name(parent, name) : undefined;
    const stat = known?.inode && isFor(known, call) ? this.#cache.stat(known.inode) : undefined;
    if (stat) {
      this.#hits++;
      return Promise.resolve({ stat, postParent: this.#cache.stat(parent!) });
    }
    this.#misses++;
    const asked = this.#cache.ask();
    const { names: wanted, wish } = xdata ? NOTHING : this.#wanted;
    const given = wish ? { ...args, xdata: wish } : args;
    return this.child.lookup(call, given).then((reply) => {
      const inode = this.#learn(reply.stat, wanted, reply.xdata, asked);
      if (named) this.#cache.keepName(parent, name, inode, call, asked);
      const { xdata: more } = reply;
      return wanted.length && more ? { ...reply, xdata: more.without(...wanted) } : reply;
    }, (error) => {
      if (named && ENOENT.matches(error)) {
        this.#cache.keepName(parent, name, undefined, call, asked);
      }
      throw error;
    });
  }

  #learn(
    stat: Iatt,
    wanted: readonly string[],
    xattrs: Xdata | undefined,
    asked: Asked,
  ): Inode {
    const inode = this.inodes.of(stat.gfid);
    this.#cache.keepStat(inode, stat, asked);
    if (wanted.length) this.#cache.keepXattrs(inode, wanted, xattrs, asked);
    return inode;
  }

  #stat(
    fop: "stat" | "fstat",
    call: Call,
    args: Args<"stat"> | Args<"fstat">,
  ): Promise<Reply<"stat">> | undefined {
    const inode = "fd" in args ? args.fd.inode : args.inode;
    if (args.xdata || isInternal(call)) return undefined;
    const stat = this.#cache.stat(inode);
    if (stat) {
      this.#hits++;
      return Promise.resolve({ stat });
    }
    this.#misses++;
    const asked = this.#cache.ask();
    return this.wind(fop, call, args as never).then((reply) => {
      this.#cache.keepStat(inode, (reply as Reply<"stat">).stat, asked);
      return reply as Reply<"stat">;
    });
  }

  #readv(call: Call, args: Args<"readv">): Promise<Reply<"readv">> {
    const asked = this.#cache.ask();
    return this.child.readv(call, args).then((reply) => {
      if (reply.stat) this.#cache.keepStat(args.fd.inode, reply.stat, asked);
      return reply;
    });
  }

  // Who reads ahead below learns what listings will ask for.
  #opendir(call: Call, args: Args<"opendir">): Promise<Reply<"opendir">> | undefined {
    const xdata = this.#listed.wish;
    return xdata && !args.xdata ? this.child.opendir(call, { ...args, xdata }) : undefined;
  }

  #readdirp(call: Call, args: Args<"readdirp">): Promise<Reply<"readdirp">> {
    const asked = this.#cache.ask();
    const { names: wanted, wish } = args.xdata ? NOTHING : this.#listed;
    const given = wish ? { ...args, xdata: wish } : args;
    const parent = args.fd.inode;
    return this.child.readdirp(call, given).then((reply) => {
      for (const { name, stat, xdata } of reply.entries) {
        if (!stat || name === "." || name === "..") continue;
        const inode = this.#learn(stat, xdata ? wanted : [], xdata, asked);
        this.#cache.keepName(parent, name, inode, call, asked);
      }
      return reply;
    });
  }

  // Attributes are fetched along as long as all of them can be known at once.
  #readdir(call: Call, args: Args<"readdir">): Promise<Reply<"readdir">> | undefined {
    const { "force-readdirp": forced, "pass-through": off } = this.#values;
    const listed = args.offset === 0n ? 0 : this.#listings.get(args.fd) ?? 0;
    if (!forced || off || listed >= this.inodes.limit) return undefined;
    return this.#readdirp(call, args).then((reply) => {
      this.#listings.set(args.fd, listed + reply.entries.length);
      return reply;
    });
  }

  #getxattr(
    fop: "getxattr" | "fgetxattr",
    call: Call,
    args: Args<"getxattr"> | Args<"fgetxattr">,
  ): Promise<Reply<"getxattr">> | undefined {
    const { name, xdata } = args;
    if (xdata || isInternal(call) || !this.#kept.has(name)) return undefined;
    const { names } = this.#wanted;
    if (!names.includes(name)) this.#want([...names, name].slice(-8));
    const inode = "fd" in args ? args.fd.inode : args.inode;
    const value = this.#cache.xattr(inode, name);
    if (value === null) return Promise.reject(ENODATA);
    if (value) return Promise.resolve({ xattrs: Xdata.of([[name, value]]) });
    const asked = this.#cache.ask();
    return this.wind(fop, call, args as never).then((reply) => {
      const { xattrs } = reply as Reply<"getxattr">;
      this.#cache.keepXattrs(inode, [name], xattrs, asked);
      return reply as Reply<"getxattr">;
    }, (error) => {
      if (ENODATA.matches(error)) this.#cache.keepXattrs(inode, [name], undefined, asked);
      throw error;
    });
  }

  #space(call: Call, args: Args<"statfs">): Promise<Reply<"statfs">> | undefined {
    const known = this.#statfs, now = this.env.clock.monotonic();
    const timeout = Math.min(STATFS_MS, this.#cache.timeoutMs);
    if (known && now - known.at < timeout) return Promise.resolve(known.reply);
    return this.child.statfs(call, args).then((reply) => {
      this.#statfs = { reply, at: now };
      return reply;
    });
  }

  // Who opens a file, or locks a part of it, is to see what others did before.
  #open(call: Call, args: Args<"open">): Promise<Reply<"open">> {
    if (args.flags & O_TRUNC) {
      return this.#changing([args.inode], () => this.child.open(call, args));
    }
    if (!this.#values["cache-invalidation"]) this.#cache.invalidateStat(args.inode);
    return this.child.open(call, args);
  }

  #lk(call: Call, args: Args<"lk">): Promise<Reply<"lk">> | undefined {
    if (args.cmd === "get" || args.lock.type === "unlock") return undefined;
    return this.child.lk(call, args).then((reply) => {
      this.#cache.invalidateStat(args.fd.inode);
      return reply;
    });
  }

  #change<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    const { inode, fd } = args as { inode?: Inode; fd?: Fd };
    const change = this.#cache.change(inode ?? fd!.inode);
    return this.wind(fop, call, args).then((reply) => {
      this.#cache.changed(change, (reply as { post?: Iatt }).post);
      return reply;
    }, (error) => {
      this.#cache.changed(change);
      throw error;
    });
  }

  // Nothing of these inodes is known until it is done.
  async #changing<T>(inodes: readonly (Inode | undefined)[], act: () => Promise<T>): Promise<T> {
    const changes = inodes.flatMap((inode) => inode ? [this.#cache.change(inode)] : []);
    try {
      return await act();
    } finally {
      for (const change of changes) this.#cache.changed(change);
    }
  }

  async #make<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    const { parent, name, inode, flags = 0 } = args as unknown as Place & {
      inode?: Inode;
      flags?: number;
    };
    const cache = this.#cache;
    cache.forgetName(parent, name);
    const linked = inode && cache.change(inode);
    const change = cache.change(parent);
    try {
      const reply = await this.wind(fop, call, args);
      const { stat, postParent } = reply as Partial<Reply<"mkdir">>;
      if (linked) cache.changed(linked, stat);
      const alone = cache.changed(change, postParent);
      if (!stat) return reply;
      const made = this.inodes.of(stat.gfid);
      // A file that was there is shorter now than others, who asked meanwhile, were told.
      if (fop === "create" && flags & O_TRUNC) cache.invalidate(made);
      else if (!linked) cache.keepStat(made, stat, change.asked);
      // The kernel asks for one of them before the first write to a file.
      const isNew = (args as Args<"create">).xdata?.get(GFID_REQ) === stat.gfid;
      const none = isNew ? NOT_GIVEN.filter((each) => this.#kept.has(each)) : [];
      if (none.length) cache.keepXattrs(made, none, undefined, change.asked);
      if (alone) cache.keepName(parent, name, made, call, nowOf(cache, change));
      return reply;
    } catch (error) {
      if (linked) cache.changed(linked);
      cache.changed(change);
      throw error;
    }
  }

  async #unlink(fop: "unlink" | "rmdir", call: Call, args: Unlink): Promise<Reply<"unlink">> {
    const cache = this.#cache, { parent, name } = args;
    const known = cache.name(parent, name);
    cache.forgetName(parent, name);
    const target = known?.inode && cache.change(known.inode);
    if (!known) cache.forgetStats();
    const change = cache.change(parent);
    let post: Iatt | undefined;
    try {
      const reply = await this.child[fop](call, args);
      post = reply.postParent;
      return reply;
    } finally {
      if (target) cache.changed(target);
      // It may have been any file: one with another name has fewer now.
      if (!known) cache.forgetStats();
      cache.changed(change, post);
    }
  }

  async #rename(call: Call, args: Args<"rename">): Promise<Reply<"rename">> {
    const cache = this.#cache;
    const { oldParent, oldName, newParent, newName } = args;
    const known = cache.name(oldParent, oldName), replaced = cache.name(newParent, newName);
    cache.forgetName(oldParent, oldName);
    cache.forgetName(newParent, newName);
    if (!replaced) cache.forgetStats();
    const parents = [cache.change(oldParent)];
    if (newParent !== oldParent) parents.push(cache.change(newParent));
    try {
      const both = [known?.inode, replaced?.inode];
      const reply = await this.#changing(both, () => this.child.rename(call, args));
      if (reply.stat) cache.invalidate(this.inodes.of(reply.stat.gfid));
      return reply;
    } finally {
      if (!replaced) cache.forgetStats();
      for (const parent of parents) cache.changed(parent);
    }
  }
}

function wanted(names: readonly string[]): Wanted {
  if (!names.length) return NOTHING;
  return { names, wish: Xdata.of(names.map((name) => [name, WANTED])) };
}

// As of now, but no younger than what it was learned from.
function nowOf(cache: Cache, { asked }: Change): Asked {
  return { moment: cache.ask().moment, at: asked.at };
}

// Another user may not be allowed to look into the directory: bricks are asked once for each.
function isFor({ uid, gid }: KnownName, call: Call): boolean {
  return call.uid === 0 || (call.uid === uid && call.gid === gid);
}

/** `performance/md-cache`: attributes and names are kept for a while. */
export const mdCache = defineXlator({
  type: "performance/md-cache",
  summary: "Attributes, some extended attributes and names are kept for a while",
  options,
  subvolumes: "one",
  create: (node, values) => new MdCache(node, values),
});
