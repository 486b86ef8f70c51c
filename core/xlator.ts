/**
 * Layers of a graph. Three bases, chosen by what a layer is: `PassThrough` watches or tunes and
 * overrides a few fops; `Uniform` treats all alike through one method; `Refuse` owns the data's
 * layout, implements what it supports and refuses the rest, so that no new fop passes it unseen.
 *
 * A layer that has nothing to wait for is not `async`: it returns the child's promise.
 */

import type { Call, Client } from "core/call.ts";
import type { Env } from "core/env.ts";
import { EOPNOTSUPP, FopError } from "core/errno.ts";
import type { GraphEvent } from "core/events.ts";
import type { Args, FopName, Fops, Reply } from "core/fops.ts";
import type { Foreign } from "core/foreign.ts";
import type { InodeTable } from "core/inode.ts";
import type { HistoryOrders } from "core/history_orders.ts";
import type { QuietOrders } from "core/quiet_orders.ts";
import type { ClientReport, Statistics } from "core/reports.ts";

/** What a layer is made with: its place in the graph and the world around it. */
export interface Node {
  /** As in the volfile; unique in the graph. */
  readonly name: string;
  readonly children: readonly Xlator[];
  readonly env: Env;
  /** The inodes of the graph this layer is part of. */
  readonly inodes: InodeTable;
}

/** A value that prints as JSON: what `state` answers for statedumps. */
export type Json = string | number | boolean | null | readonly Json[] | {
  readonly [key: string]: Json;
};

/** One layer of a graph: takes fops from above, winds fops to its children. */
export interface Xlator extends Fops {
  readonly name: string;
  readonly children: readonly Xlator[];
  /** Hears events from this layer from now on. */
  listen(hear: (event: GraphEvent) => void): void;
  /** Called once, children first, before any fop. */
  start?(): Promise<void>;
  /** Called once, top first, when no fop is under way any more. */
  stop?(): Promise<void>;
  /** A client went away: drop all that was kept for it. */
  clientGone?(client: Client): void;
  /** New option values (of the layer's own table); absent: the layer must be made anew. */
  reconfigure?(values: never): void;
  /** What a person who debugs wants to see. */
  state?(): Json;
  /** Present if it counts what passes. */
  readonly statistics?: Statistics;
  /** Present if clients join here: those that have. */
  clients?(): readonly ClientReport[];
  /** Present if it can hold acknowledgements back: from now on it does, or does not. False: as before. */
  setBarrier?(on: boolean): boolean;
  /** Present if it keeps locks of clusters. */
  readonly quiet?: QuietOrders;
  /** Present if it keeps the history of a brick. */
  readonly histories?: HistoryOrders;
  /**
   * Present if it remembers what other copies missed. It forgets all of that: what the brick holds becomes
   * something else. Throws what the file system said.
   */
  forgetMissed?(): void;
  /** Present if files begin as those of another brick. */
  readonly foreign?: Foreign;
}

/** What the three bases share. */
abstract class Layer {
  readonly name: string;
  readonly children: readonly Xlator[];
  protected readonly env: Env;
  protected readonly inodes: InodeTable;
  #listeners: ((event: GraphEvent) => void)[] = [];

  constructor(node: Node) {
    this.name = node.name;
    this.children = node.children;
    this.env = node.env;
    this.inodes = node.inodes;
    for (const child of node.children) child.listen((event) => this.heard(event, child));
  }

  listen(hear: (event: GraphEvent) => void): void {
    this.#listeners.push(hear);
  }

  /** Tells the layers above. */
  protected emit(event: GraphEvent): void {
    for (const hear of this.#listeners) hear(event);
  }

  /** An event of a child; handed up unless a layer decides otherwise. */
  protected heard(event: GraphEvent, _from: Xlator): void {
    this.emit(event);
  }
}

function onlyChild(node: Node): Xlator {
  const [child, ...more] = node.children;
  if (!child || more.length) {
    throw new RangeError(
      `Cannot build "${node.name}": it takes exactly one subvolume, got ${node.children.length}`,
    );
  }
  return child;
}

/** Every fop goes to the only child unchanged. For layers that watch or tune. */
export abstract class PassThrough extends Layer implements Xlator {
  protected readonly child: Xlator;
  constructor(node: Node) {
    super(node);
    this.child = onlyChild(node);
  }
  // Not async: the child's promise is the answer. One line per fop, so a new fop stops the build here.
  stat(call: Call, args: Args<"stat">): Promise<Reply<"stat">> {
    return this.child.stat(call, args);
  }
  readlink(call: Call, args: Args<"readlink">): Promise<Reply<"readlink">> {
    return this.child.readlink(call, args);
  }
  mknod(call: Call, args: Args<"mknod">): Promise<Reply<"mknod">> {
    return this.child.mknod(call, args);
  }
  mkdir(call: Call, args: Args<"mkdir">): Promise<Reply<"mkdir">> {
    return this.child.mkdir(call, args);
  }
  unlink(call: Call, args: Args<"unlink">): Promise<Reply<"unlink">> {
    return this.child.unlink(call, args);
  }
  rmdir(call: Call, args: Args<"rmdir">): Promise<Reply<"rmdir">> {
    return this.child.rmdir(call, args);
  }
  symlink(call: Call, args: Args<"symlink">): Promise<Reply<"symlink">> {
    return this.child.symlink(call, args);
  }
  rename(call: Call, args: Args<"rename">): Promise<Reply<"rename">> {
    return this.child.rename(call, args);
  }
  link(call: Call, args: Args<"link">): Promise<Reply<"link">> {
    return this.child.link(call, args);
  }
  truncate(call: Call, args: Args<"truncate">): Promise<Reply<"truncate">> {
    return this.child.truncate(call, args);
  }
  open(call: Call, args: Args<"open">): Promise<Reply<"open">> {
    return this.child.open(call, args);
  }
  readv(call: Call, args: Args<"readv">): Promise<Reply<"readv">> {
    return this.child.readv(call, args);
  }
  writev(call: Call, args: Args<"writev">): Promise<Reply<"writev">> {
    return this.child.writev(call, args);
  }
  statfs(call: Call, args: Args<"statfs">): Promise<Reply<"statfs">> {
    return this.child.statfs(call, args);
  }
  flush(call: Call, args: Args<"flush">): Promise<Reply<"flush">> {
    return this.child.flush(call, args);
  }
  fsync(call: Call, args: Args<"fsync">): Promise<Reply<"fsync">> {
    return this.child.fsync(call, args);
  }
  setxattr(call: Call, args: Args<"setxattr">): Promise<Reply<"setxattr">> {
    return this.child.setxattr(call, args);
  }
  getxattr(call: Call, args: Args<"getxattr">): Promise<Reply<"getxattr">> {
    return this.child.getxattr(call, args);
  }
  removexattr(call: Call, args: Args<"removexattr">): Promise<Reply<"removexattr">> {
    return this.child.removexattr(call, args);
  }
  opendir(call: Call, args: Args<"opendir">): Promise<Reply<"opendir">> {
    return this.child.opendir(call, args);
  }
  fsyncdir(call: Call, args: Args<"fsyncdir">): Promise<Reply<"fsyncdir">> {
    return this.child.fsyncdir(call, args);
  }
  access(call: Call, args: Args<"access">): Promise<Reply<"access">> {
    return this.child.access(call, args);
  }
  create(call: Call, args: Args<"create">): Promise<Reply<"create">> {
    return this.child.create(call, args);
  }
  ftruncate(call: Call, args: Args<"ftruncate">): Promise<Reply<"ftruncate">> {
    return this.child.ftruncate(call, args);
  }
  fstat(call: Call, args: Args<"fstat">): Promise<Reply<"fstat">> {
    return this.child.fstat(call, args);
  }
  lk(call: Call, args: Args<"lk">): Promise<Reply<"lk">> {
    return this.child.lk(call, args);
  }
  lookup(call: Call, args: Args<"lookup">): Promise<Reply<"lookup">> {
    return this.child.lookup(call, args);
  }
  readdir(call: Call, args: Args<"readdir">): Promise<Reply<"readdir">> {
    return this.child.readdir(call, args);
  }
  inodelk(call: Call, args: Args<"inodelk">): Promise<Reply<"inodelk">> {
    return this.child.inodelk(call, args);
  }
  finodelk(call: Call, args: Args<"finodelk">): Promise<Reply<"finodelk">> {
    return this.child.finodelk(call, args);
  }
  entrylk(call: Call, args: Args<"entrylk">): Promise<Reply<"entrylk">> {
    return this.child.entrylk(call, args);
  }
  fentrylk(call: Call, args: Args<"fentrylk">): Promise<Reply<"fentrylk">> {
    return this.child.fentrylk(call, args);
  }
  xattrop(call: Call, args: Args<"xattrop">): Promise<Reply<"xattrop">> {
    return this.child.xattrop(call, args);
  }
  fxattrop(call: Call, args: Args<"fxattrop">): Promise<Reply<"fxattrop">> {
    return this.child.fxattrop(call, args);
  }
  fgetxattr(call: Call, args: Args<"fgetxattr">): Promise<Reply<"fgetxattr">> {
    return this.child.fgetxattr(call, args);
  }
  fsetxattr(call: Call, args: Args<"fsetxattr">): Promise<Reply<"fsetxattr">> {
    return this.child.fsetxattr(call, args);
  }
  rchecksum(call: Call, args: Args<"rchecksum">): Promise<Reply<"rchecksum">> {
    return this.child.rchecksum(call, args);
  }
  setattr(call: Call, args: Args<"setattr">): Promise<Reply<"setattr">> {
    return this.child.setattr(call, args);
  }
  fsetattr(call: Call, args: Args<"fsetattr">): Promise<Reply<"fsetattr">> {
    return this.child.fsetattr(call, args);
  }
  readdirp(call: Call, args: Args<"readdirp">): Promise<Reply<"readdirp">> {
    return this.child.readdirp(call, args);
  }
  release(call: Call, args: Args<"release">): Promise<Reply<"release">> {
    return this.child.release(call, args);
  }
  releasedir(call: Call, args: Args<"releasedir">): Promise<Reply<"releasedir">> {
    return this.child.releasedir(call, args);
  }
  fremovexattr(call: Call, args: Args<"fremovexattr">): Promise<Reply<"fremovexattr">> {
    return this.child.fremovexattr(call, args);
  }
  fallocate(call: Call, args: Args<"fallocate">): Promise<Reply<"fallocate">> {
    return this.child.fallocate(call, args);
  }
  discard(call: Call, args: Args<"discard">): Promise<Reply<"discard">> {
    return this.child.discard(call, args);
  }
  zerofill(call: Call, args: Args<"zerofill">): Promise<Reply<"zerofill">> {
    return this.child.zerofill(call, args);
  }
  ipc(call: Call, args: Args<"ipc">): Promise<Reply<"ipc">> {
    return this.child.ipc(call, args);
  }
  seek(call: Call, args: Args<"seek">): Promise<Reply<"seek">> {
    return this.child.seek(call, args);
  }
  lease(call: Call, args: Args<"lease">): Promise<Reply<"lease">> {
    return this.child.lease(call, args);
  }
  getactivelk(call: Call, args: Args<"getactivelk">): Promise<Reply<"getactivelk">> {
    return this.child.getactivelk(call, args);
  }
  setactivelk(call: Call, args: Args<"setactivelk">): Promise<Reply<"setactivelk">> {
    return this.child.setactivelk(call, args);
  }
  icreate(call: Call, args: Args<"icreate">): Promise<Reply<"icreate">> {
    return this.child.icreate(call, args);
  }
  namelink(call: Call, args: Args<"namelink">): Promise<Reply<"namelink">> {
    return this.child.namelink(call, args);
  }
  put(call: Call, args: Args<"put">): Promise<Reply<"put">> {
    return this.child.put(call, args);
  }
  copyFileRange(call: Call, args: Args<"copyFileRange">): Promise<Reply<"copyFileRange">> {
    return this.child.copyFileRange(call, args);
  }
}

/**
 * Every fop goes through one method. For layers that carry all fops somewhere else than to a child
 * (`protocol/client`); those over a child extend `Uniform`.
 */
export abstract class Funnel extends Layer implements Xlator {
  /** What this layer does with a fop. */
  protected abstract around<K extends FopName>(
    fop: K,
    call: Call,
    args: Args<K>,
  ): Promise<Reply<K>>;

  stat(call: Call, args: Args<"stat">): Promise<Reply<"stat">> {
    return this.around("stat", call, args);
  }
  readlink(call: Call, args: Args<"readlink">): Promise<Reply<"readlink">> {
    return this.around("readlink", call, args);
  }
  mknod(call: Call, args: Args<"mknod">): Promise<Reply<"mknod">> {
    return this.around("mknod", call, args);
  }
  mkdir(call: Call, args: Args<"mkdir">): Promise<Reply<"mkdir">> {
    return this.around("mkdir", call, args);
  }
  unlink(call: Call, args: Args<"unlink">): Promise<Reply<"unlink">> {
    return this.around("unlink", call, args);
  }
  rmdir(call: Call, args: Args<"rmdir">): Promise<Reply<"rmdir">> {
    return this.around("rmdir", call, args);
  }
  symlink(call: Call, args: Args<"symlink">): Promise<Reply<"symlink">> {
    return this.around("symlink", call, args);
  }
  rename(call: Call, args: Args<"rename">): Promise<Reply<"rename">> {
    return this.around("rename", call, args);
  }
  link(call: Call, args: Args<"link">): Promise<Reply<"link">> {
    return this.around("link", call, args);
  }
  truncate(call: Call, args: Args<"truncate">): Promise<Reply<"truncate">> {
    return this.around("truncate", call, args);
  }
  open(call: Call, args: Args<"open">): Promise<Reply<"open">> {
    return this.around("open", call, args);
  }
  readv(call: Call, args: Args<"readv">): Promise<Reply<"readv">> {
    return this.around("readv", call, args);
  }
  writev(call: Call, args: Args<"writev">): Promise<Reply<"writev">> {
    return this.around("writev", call, args);
  }
  statfs(call: Call, args: Args<"statfs">): Promise<Reply<"statfs">> {
    return this.around("statfs", call, args);
  }
  flush(call: Call, args: Args<"flush">): Promise<Reply<"flush">> {
    return this.around("flush", call, args);
  }
  fsync(call: Call, args: Args<"fsync">): Promise<Reply<"fsync">> {
    return this.around("fsync", call, args);
  }
  setxattr(call: Call, args: Args<"setxattr">): Promise<Reply<"setxattr">> {
    return this.around("setxattr", call, args);
  }
  getxattr(call: Call, args: Args<"getxattr">): Promise<Reply<"getxattr">> {
    return this.around("getxattr", call, args);
  }
  removexattr(call: Call, args: Args<"removexattr">): Promise<Reply<"removexattr">> {
    return this.around("removexattr", call, args);
  }
  opendir(call: Call, args: Args<"opendir">): Promise<Reply<"opendir">> {
    return this.around("opendir", call, args);
  }
  fsyncdir(call: Call, args: Args<"fsyncdir">): Promise<Reply<"fsyncdir">> {
    return this.around("fsyncdir", call, args);
  }
  access(call: Call, args: Args<"access">): Promise<Reply<"access">> {
    return this.around("access", call, args);
  }
  create(call: Call, args: Args<"create">): Promise<Reply<"create">> {
    return this.around("create", call, args);
  }
  ftruncate(call: Call, args: Args<"ftruncate">): Promise<Reply<"ftruncate">> {
    return this.around("ftruncate", call, args);
  }
  fstat(call: Call, args: Args<"fstat">): Promise<Reply<"fstat">> {
    return this.around("fstat", call, args);
  }
  lk(call: Call, args: Args<"lk">): Promise<Reply<"lk">> {
    return this.around("lk", call, args);
  }
  lookup(call: Call, args: Args<"lookup">): Promise<Reply<"lookup">> {
    return this.around("lookup", call, args);
  }
  readdir(call: Call, args: Args<"readdir">): Promise<Reply<"readdir">> {
    return this.around("readdir", call, args);
  }
  inodelk(call: Call, args: Args<"inodelk">): Promise<Reply<"inodelk">> {
    return this.around("inodelk", call, args);
  }
  finodelk(call: Call, args: Args<"finodelk">): Promise<Reply<"finodelk">> {
    return this.around("finodelk", call, args);
  }
  entrylk(call: Call, args: Args<"entrylk">): Promise<Reply<"entrylk">> {
    return this.around("entrylk", call, args);
  }
  fentrylk(call: Call, args: Args<"fentrylk">): Promise<Reply<"fentrylk">> {
    return this.around("fentrylk", call, args);
  }
  xattrop(call: Call, args: Args<"xattrop">): Promise<Reply<"xattrop">> {
    return this.around("xattrop", call, args);
  }
  fxattrop(call: Call, args: Args<"fxattrop">): Promise<Reply<"fxattrop">> {
    return this.around("fxattrop", call, args);
  }
  fgetxattr(call: Call, args: Args<"fgetxattr">): Promise<Reply<"fgetxattr">> {
    return this.around("fgetxattr", call, args);
  }
  fsetxattr(call: Call, args: Args<"fsetxattr">): Promise<Reply<"fsetxattr">> {
    return this.around("fsetxattr", call, args);
  }
  rchecksum(call: Call, args: Args<"rchecksum">): Promise<Reply<"rchecksum">> {
    return this.around("rchecksum", call, args);
  }
  setattr(call: Call, args: Args<"setattr">): Promise<Reply<"setattr">> {
    return this.around("setattr", call, args);
  }
  fsetattr(call: Call, args: Args<"fsetattr">): Promise<Reply<"fsetattr">> {
    return this.around("fsetattr", call, args);
  }
  readdirp(call: Call, args: Args<"readdirp">): Promise<Reply<"readdirp">> {
    return this.around("readdirp", call, args);
  }
  release(call: Call, args: Args<"release">): Promise<Reply<"release">> {
    return this.around("release", call, args);
  }
  releasedir(call: Call, args: Args<"releasedir">): Promise<Reply<"releasedir">> {
    return this.around("releasedir", call, args);
  }
  fremovexattr(call: Call, args: Args<"fremovexattr">): Promise<Reply<"fremovexattr">> {
    return this.around("fremovexattr", call, args);
  }
  fallocate(call: Call, args: Args<"fallocate">): Promise<Reply<"fallocate">> {
    return this.around("fallocate", call, args);
  }
  discard(call: Call, args: Args<"discard">): Promise<Reply<"discard">> {
    return this.around("discard", call, args);
  }
  zerofill(call: Call, args: Args<"zerofill">): Promise<Reply<"zerofill">> {
    return this.around("zerofill", call, args);
  }
  ipc(call: Call, args: Args<"ipc">): Promise<Reply<"ipc">> {
    return this.around("ipc", call, args);
  }
  seek(call: Call, args: Args<"seek">): Promise<Reply<"seek">> {
    return this.around("seek", call, args);
  }
  lease(call: Call, args: Args<"lease">): Promise<Reply<"lease">> {
    return this.around("lease", call, args);
  }
  getactivelk(call: Call, args: Args<"getactivelk">): Promise<Reply<"getactivelk">> {
    return this.around("getactivelk", call, args);
  }
  setactivelk(call: Call, args: Args<"setactivelk">): Promise<Reply<"setactivelk">> {
    return this.around("setactivelk", call, args);
  }
  icreate(call: Call, args: Args<"icreate">): Promise<Reply<"icreate">> {
    return this.around("icreate", call, args);
  }
  namelink(call: Call, args: Args<"namelink">): Promise<Reply<"namelink">> {
    return this.around("namelink", call, args);
  }
  put(call: Call, args: Args<"put">): Promise<Reply<"put">> {
    return this.around("put", call, args);
  }
  copyFileRange(call: Call, args: Args<"copyFileRange">): Promise<Reply<"copyFileRange">> {
    return this.around("copyFileRange", call, args);
  }
}

/** Every fop goes through `around`. For layers that treat all fops alike. */
export abstract class Uniform extends Funnel {
  protected readonly child: Xlator;
  constructor(node: Node) {
    super(node);
    this.child = onlyChild(node);
  }

  /** Hands the fop to the child. */
  protected wind<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    return (this.child[fop] as Fops[K])(call, args);
  }
}

/** Every fop fails with EOPNOTSUPP until a layer implements it. For layers that own the data's layout. */
export abstract class Refuse extends Layer implements Xlator {
  stat(_call: Call, _args: Args<"stat">): Promise<Reply<"stat">> {
    return Promise.reject(EOPNOTSUPP);
  }
  readlink(_call: Call, _args: Args<"readlink">): Promise<Reply<"readlink">> {
    return Promise.reject(EOPNOTSUPP);
  }
  mknod(_call: Call, _args: Args<"mknod">): Promise<Reply<"mknod">> {
    return Promise.reject(EOPNOTSUPP);
  }
  mkdir(_call: Call, _args: Args<"mkdir">): Promise<Reply<"mkdir">> {
    return Promise.reject(EOPNOTSUPP);
  }
  unlink(_call: Call, _args: Args<"unlink">): Promise<Reply<"unlink">> {
    return Promise.reject(EOPNOTSUPP);
  }
  rmdir(_call: Call, _args: Args<"rmdir">): Promise<Reply<"rmdir">> {
    return Promise.reject(EOPNOTSUPP);
  }
  symlink(_call: Call, _args: Args<"symlink">): Promise<Reply<"symlink">> {
    return Promise.reject(EOPNOTSUPP);
  }
  rename(_call: Call, _args: Args<"rename">): Promise<Reply<"rename">> {
    return Promise.reject(EOPNOTSUPP);
  }
  link(_call: Call, _args: Args<"link">): Promise<Reply<"link">> {
    return Promise.reject(EOPNOTSUPP);
  }
  truncate(_call: Call, _args: Args<"truncate">): Promise<Reply<"truncate">> {
    return Promise.reject(EOPNOTSUPP);
  }
  open(_call: Call, _args: Args<"open">): Promise<Reply<"open">> {
    return Promise.reject(EOPNOTSUPP);
  }
  readv(_call: Call, _args: Args<"readv">): Promise<Reply<"readv">> {
    return Promise.reject(EOPNOTSUPP);
  }
  writev(_call: Call, _args: Args<"writev">): Promise<Reply<"writev">> {
    return Promise.reject(EOPNOTSUPP);
  }
  statfs(_call: Call, _args: Args<"statfs">): Promise<Reply<"statfs">> {
    return Promise.reject(EOPNOTSUPP);
  }
  flush(_call: Call, _args: Args<"flush">): Promise<Reply<"flush">> {
    return Promise.reject(EOPNOTSUPP);
  }
  fsync(_call: Call, _args: Args<"fsync">): Promise<Reply<"fsync">> {
    return Promise.reject(EOPNOTSUPP);
  }
  setxattr(_call: Call, _args: Args<"setxattr">): Promise<Reply<"setxattr">> {
    return Promise.reject(EOPNOTSUPP);
  }
  getxattr(_call: Call, _args: Args<"getxattr">): Promise<Reply<"getxattr">> {
    return Promise.reject(EOPNOTSUPP);
  }
  removexattr(_call: Call, _args: Args<"removexattr">): Promise<Reply<"removexattr">> {
    return Promise.reject(EOPNOTSUPP);
  }
  opendir(_call: Call, _args: Args<"opendir">): Promise<Reply<"opendir">> {
    return Promise.reject(EOPNOTSUPP);
  }
  fsyncdir(_call: Call, _args: Args<"fsyncdir">): Promise<Reply<"fsyncdir">> {
    return Promise.reject(EOPNOTSUPP);
  }
  access(_call: Call, _args: Args<"access">): Promise<Reply<"access">> {
    return Promise.reject(EOPNOTSUPP);
  }
  create(_call: Call, _args: Args<"create">): Promise<Reply<"create">> {
    return Promise.reject(EOPNOTSUPP);
  }
  ftruncate(_call: Call, _args: Args<"ftruncate">): Promise<Reply<"ftruncate">> {
    return Promise.reject(EOPNOTSUPP);
  }
  fstat(_call: Call, _args: Args<"fstat">): Promise<Reply<"fstat">> {
    return Promise.reject(EOPNOTSUPP);
  }
  lk(_call: Call, _args: Args<"lk">): Promise<Reply<"lk">> {
    return Promise.reject(EOPNOTSUPP);
  }
  lookup(_call: Call, _args: Args<"lookup">): Promise<Reply<"lookup">> {
    return Promise.reject(EOPNOTSUPP);
  }
  readdir(_call: Call, _args: Args<"readdir">): Promise<Reply<"readdir">> {
    return Promise.reject(EOPNOTSUPP);
  }
  inodelk(_call: Call, _args: Args<"inodelk">): Promise<Reply<"inodelk">> {
    return Promise.reject(EOPNOTSUPP);
  }
  finodelk(_call: Call, _args: Args<"finodelk">): Promise<Reply<"finodelk">> {
    return Promise.reject(EOPNOTSUPP);
  }
  entrylk(_call: Call, _args: Args<"entrylk">): Promise<Reply<"entrylk">> {
    return Promise.reject(EOPNOTSUPP);
  }
  fentrylk(_call: Call, _args: Args<"fentrylk">): Promise<Reply<"fentrylk">> {
    return Promise.reject(EOPNOTSUPP);
  }
  xattrop(_call: Call, _args: Args<"xattrop">): Promise<Reply<"xattrop">> {
    return Promise.reject(EOPNOTSUPP);
  }
  fxattrop(_call: Call, _args: Args<"fxattrop">): Promise<Reply<"fxattrop">> {
    return Promise.reject(EOPNOTSUPP);
  }
  fgetxattr(_call: Call, _args: Args<"fgetxattr">): Promise<Reply<"fgetxattr">> {
    return Promise.reject(EOPNOTSUPP);
  }
  fsetxattr(_call: Call, _args: Args<"fsetxattr">): Promise<Reply<"fsetxattr">> {
    return Promise.reject(EOPNOTSUPP);
  }
  rchecksum(_call: Call, _args: Args<"rchecksum">): Promise<Reply<"rchecksum">> {
    return Promise.reject(EOPNOTSUPP);
  }
  setattr(_call: Call, _args: Args<"setattr">): Promise<Reply<"setattr">> {
    return Promise.reject(EOPNOTSUPP);
  }
  fsetattr(_call: Call, _args: Args<"fsetattr">): Promise<Reply<"fsetattr">> {
    return Promise.reject(EOPNOTSUPP);
  }
  readdirp(_call: Call, _args: Args<"readdirp">): Promise<Reply<"readdirp">> {
    return Promise.reject(EOPNOTSUPP);
  }
  release(_call: Call, _args: Args<"release">): Promise<Reply<"release">> {
    return Promise.reject(EOPNOTSUPP);
  }
  releasedir(_call: Call, _args: Args<"releasedir">): Promise<Reply<"releasedir">> {
    return Promise.reject(EOPNOTSUPP);
  }
  fremovexattr(_call: Call, _args: Args<"fremovexattr">): Promise<Reply<"fremovexattr">> {
    return Promise.reject(EOPNOTSUPP);
  }
  fallocate(_call: Call, _args: Args<"fallocate">): Promise<Reply<"fallocate">> {
    return Promise.reject(EOPNOTSUPP);
  }
  discard(_call: Call, _args: Args<"discard">): Promise<Reply<"discard">> {
    return Promise.reject(EOPNOTSUPP);
  }
  zerofill(_call: Call, _args: Args<"zerofill">): Promise<Reply<"zerofill">> {
    return Promise.reject(EOPNOTSUPP);
  }
  ipc(_call: Call, _args: Args<"ipc">): Promise<Reply<"ipc">> {
    return Promise.reject(EOPNOTSUPP);
  }
  seek(_call: Call, _args: Args<"seek">): Promise<Reply<"seek">> {
    return Promise.reject(EOPNOTSUPP);
  }
  lease(_call: Call, _args: Args<"lease">): Promise<Reply<"lease">> {
    return Promise.reject(EOPNOTSUPP);
  }
  getactivelk(_call: Call, _args: Args<"getactivelk">): Promise<Reply<"getactivelk">> {
    return Promise.reject(EOPNOTSUPP);
  }
  setactivelk(_call: Call, _args: Args<"setactivelk">): Promise<Reply<"setactivelk">> {
    return Promise.reject(EOPNOTSUPP);
  }
  icreate(_call: Call, _args: Args<"icreate">): Promise<Reply<"icreate">> {
    return Promise.reject(EOPNOTSUPP);
  }
  namelink(_call: Call, _args: Args<"namelink">): Promise<Reply<"namelink">> {
    return Promise.reject(EOPNOTSUPP);
  }
  put(_call: Call, _args: Args<"put">): Promise<Reply<"put">> {
    return Promise.reject(EOPNOTSUPP);
  }
  copyFileRange(_call: Call, _args: Args<"copyFileRange">): Promise<Reply<"copyFileRange">> {
    return Promise.reject(EOPNOTSUPP);
  }
}

/** Winds a fop by name, for loops over `FOPS`. */
export function windTo<K extends FopName>(
  to: Fops,
  fop: K,
  call: Call,
  args: Args<K>,
): Promise<Reply<K>> {
  return (to[fop] as Fops[K])(call, args);
}

/** A fan-out's answer as a value. */
export type Settled<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: FopError };

/** Every child's answer, in order; what is no `FopError` is a bug and passes through. */
export function settle<T>(answers: readonly Promise<T>[]): Promise<Settled<T>[]> {
  const settled = new Array<Settled<T>>(answers.length);
  let left = answers.length;
  // Every change and lookup of a replicated file comes here: half of what Promise.all would make.
  return new Promise((resolve, reject) => {
    if (left === 0) resolve(settled);
    answers.forEach((answer, index) => {
      const came = (each: Settled<T>) => {
        settled[index] = each;
        if (--left === 0) resolve(settled);
      };
      answer.then((value) => came({ ok: true, value }), (error) => {
        if (error instanceof FopError) came({ ok: false, error });
        else reject(error);
      });
    });
  });
}
