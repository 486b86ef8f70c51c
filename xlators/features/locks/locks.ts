/**
 * All locks of a brick: inode locks and entry locks, with which clusters serialise their own work,
 * and the POSIX locks of applications. The tables are in memory only: a brick that restarts has no
 * locks, and clients lock anew when they reconnect.
 *
 * Every operation leaves the tables in a steady state before anybody hears of it: waiters get their
 * answers as promises, holders their contention notices at the end.
 */

import { type Call, type Client, isInternal } from "core/call.ts";
import { LOCK_ALONG } from "core/carried_locks.ts";
import { Derived } from "core/derived.ts";
import { EAGAIN, EINVAL, ENOSYS, ENOTCONN, FopError } from "core/errno.ts";
import { type Args, DONE, FOP_NAMES, type FopName, FOPS, O_TRUNC, type Reply } from "core/fops.ts";
import type { Fd, Gfid, Inode } from "core/inode.ts";
import { defineXlator } from "core/registry.ts";
import type { Xdata } from "core/xdata.ts";
import { type Json, type Node, PassThrough, windTo } from "core/xlator.ts";
import { isClearCommand } from "xlators/features/locks/clear.ts";
import { Commands } from "xlators/features/locks/commands.ts";
import {
  asksCounts,
  type Counted,
  withCounts,
  withoutCounts,
} from "xlators/features/locks/counts.ts";
import { type DomainOptions, DomainTable } from "xlators/features/locks/domain_table.ts";
import {
  type Entrylk,
  entrylkMatches,
  entrylkNotice,
  entrylkOf,
  entrylksConflict,
} from "xlators/features/locks/entrylk.ts";
import {
  type Inodelk,
  inodelkMatches,
  inodelkNotice,
  inodelkOf,
  inodelksConflict,
} from "xlators/features/locks/inodelk.ts";
import {
  type Access,
  forbidsTruncatingOpen,
  isMarkedMandatory,
} from "xlators/features/locks/mandatory.ts";
import {
  domainOptions,
  type LocksOptions as Options,
  options,
} from "xlators/features/locks/options.ts";
import { LOCKINFO, LOCKINFO_KEY } from "xlators/features/locks/lockinfo.ts";
import { PosixTable } from "xlators/features/locks/posix_table.ts";
import { LAST } from "core/lib/ranges.ts";
import { Quiet } from "xlators/features/locks/quiet.ts";
import { Removals } from "xlators/features/locks/removal.ts";
import { stateOf } from "xlators/features/locks/state.ts";

/** Marks a file for fencing; refused, as the option for it is off. */
const ENFORCE = "trusted.glusterfs.enforce-mandatory-lock";

/** What changes something; marks and counters of clusters are no change that a copy could miss. */
const CHANGING: ReadonlySet<FopName> = new Set(
  FOP_NAMES.filter((fop) => FOPS[fop].kind === "modify" && !fop.endsWith("xattrop")),
);

/** What of the data a fop is about to touch. */
interface Touch {
  readonly kind: Access["kind"];
  readonly offset: number;
  /** Undefined: all from there on. */
  readonly size?: number;
}

/** See the head of this file. */
export class Locks extends PassThrough {
  #options: Options;
  #domainOptions: DomainOptions;
  readonly #inodelks: DomainTable<Inodelk>;
  readonly #entrylks: DomainTable<Entrylk>;
  readonly #posixlks: PosixTable;
  readonly #removals: Removals;
  readonly #commands: Commands;
  /** Times in which clusters get no new locks. */
  readonly quiet: Quiet;
  /** Who went away: what they still had on the way down must not lock. */
  #gone = new WeakSet<Client>();

  constructor(node: Node, values: Options) {
    super(node);
    this.#options = values;
    this.#domainOptions = domainOptions(values);
    const shared = () => this.#domainOptions;
    const tell = this.emit.bind(this);
    this.#inodelks = new DomainTable<Inodelk>(
      {
        label: "inode lock",
        conflict: inodelksConflict,
        paused: (lock) => this.#removals.pauses(lock),
        changed: (gfid) => this.#removals.unlocked(gfid),
        notice: inodelkNotice,
      },
      node.env,
      tell,
      shared,
    );
    this.#entrylks = new DomainTable<Entrylk>(
      {
        label: "entry lock",
        conflict: entrylksConflict,
        paused: () => false,
        changed: () => {},
        notice: entrylkNotice,
      },
      node.env,
      tell,
      shared,
    );
    this.#posixlks = new PosixTable(node.env.clock);
    this.quiet = new Quiet(node.env.clock, { inodelks: this.#inodelks, entrylks: this.#entrylks });
    this.#removals = new Removals(this.#inodelks, (client) => this.#mustBeHere(client));
    this.#commands = new Commands(this.name, this.child, node.env.random, {
      inodelks: this.#inodelks,
      entrylks: this.#entrylks,
      posixlks: this.#posixlks,
      mustBeHere: (client) => this.#mustBeHere(client),
    });
  }

  reconfigure(values: Options): void {
    this.#options = values;
    this.#domainOptions = domainOptions(values);
    this.#posixlks.wakeAll();
  }

  clientGone(client: Client): void {
    this.#gone.add(client);
    this.#posixlks.dropClient(client);
    this.#entrylks.drop(client);
    this.#inodelks.drop(client);
    this.#removals.dropClient(client);
  }

  state(): Json {
    return stateOf(this.#inodelks, this.#entrylks, this.#posixlks.inodes);
  }

  // Lock fops.

  override inodelk(call: Call, args: Args<"inodelk">): Promise<Reply<"inodelk">> {
    return this.#lockInode(call, args.inode.gfid, args);
  }
  override finodelk(call: Call, args: Args<"finodelk">): Promise<Reply<"finodelk">> {
    return this.#lockInode(call, args.fd.inode.gfid, args);
  }
  override entrylk(call: Call, args: Args<"entrylk">): Promise<Reply<"entrylk">> {
    return this.#lockEntry(call, args.inode.gfid, args);
  }
  override fentrylk(call: Call, args: Args<"fentrylk">): Promise<Reply<"fentrylk">> {
    return this.#lockEntry(call, args.fd.inode.gfid, args);
  }
  override lk(call: Call, args: Args<"lk">): Promise<Reply<"lk">> {
    return answer(() => {
      if (args.lock.type !== "unlock" && args.cmd !== "get") this.#mustBeHere(call.client);
      return this.#posixlks.lk(call, args);
    });
  }
  override flush(call: Call, args: Args<"flush">): Promise<Reply<"flush">> {
    const { fd } = args;
    if (this.#posixlks.inodes.has(fd.inode.gfid)) {
      // No owner: protocol/server closes what a client left open.
      if (call.lkOwner === "") this.#posixlks.dropFd(fd);
      else {
        const { client, lkOwner: owner, pid } = call;
        this.#posixlks.dropHolder(fd.inode.gfid, { client, owner, pid });
      }
    }
    return this.#counted("flush", call, args, fd.inode);
  }
  override release(call: Call, args: Args<"release">): Promise<Reply<"release">> {
    if (this.#posixlks.inodes.has(args.fd.inode.gfid)) this.#posixlks.dropFd(args.fd);
    return this.child.release(call, args);
  }
  override getactivelk(
    _call: Call,
    { inode }: Args<"getactivelk">,
  ): Promise<Reply<"getactivelk">> {
    return Promise.resolve({ locks: this.#posixlks.active(inode.gfid) });
  }
  /** There are no leases: ENOSYS, as a brick answers that has them turned off. */
  override lease(_call: Call, _args: Args<"lease">): Promise<Reply<"lease">> {
    return Promise.reject(ENOSYS);
  }

  // Data, which mandatory locks protect.

  override readv(call: Call, args: Args<"readv">): Promise<Reply<"readv">> {
    if (this.#isPlain(args.xdata)) return this.child.readv(call, args);
    const { fd, offset, size } = args;
    return this.#guarded(
      call,
      fd,
      fd.inode,
      { kind: "read", offset, size },
      () => this.#counted("readv", call, args, fd.inode),
    );
  }
  override writev(call: Call, args: Args<"writev">): Promise<Reply<"writev">> {
    if (this.#isPlain(args.xdata)) return this.#counted("writev", call, args, args.fd.inode);
    const { fd, offset, data } = args;
    return this.#guarded(
      call,
      fd,
      fd.inode,
      { kind: "write", offset, size: data.length },
      () => this.#counted("writev", call, args, fd.inode),
    );
  }
  override truncate(call: Call, args: Args<"truncate">): Promise<Reply<"truncate">> {
    const { inode, offset } = args;
    return this.#guarded(
      call,
      undefined,
      inode,
      { kind: "write", offset },
      () => this.#counted("truncate", call, args, inode),
    );
  }
  override ftruncate(call: Call, args: Args<"ftruncate">): Promise<Reply<"ftruncate">> {
    const { fd, offset } = args;
    return this.#guarded(
      call,
      fd,
      fd.inode,
      { kind: "write", offset },
      () => this.#counted("ftruncate", call, args, fd.inode),
    );
  }
  override fallocate(call: Call, args: Args<"fallocate">): Promise<Reply<"fallocate">> {
    const { fd, offset, size } = args;
    return this.#guarded(
      call,
      fd,
      fd.inode,
      { kind: "write", offset, size },
      () => this.#counted("fallocate", call, args, fd.inode),
    );
  }
  override discard(call: Call, args: Args<"discard">): Promise<Reply<"discard">> {
    const { fd, offset, size } = args;
    return this.#guarded(
      call,
      fd,
      fd.inode,
      { kind: "write", offset, size },
      () => this.#counted("discard", call, args, fd.inode),
    );
  }
  override zerofill(call: Call, args: Args<"zerofill">): Promise<Reply<"zerofill">> {
    const { fd, offset, size } = args;
    return this.#guarded(
      call,
      fd,
      fd.inode,
      { kind: "write", offset, size },
      () => this.#counted("zerofill", call, args, fd.inode),
    );
  }
  override copyFileRange(
    call: Call,
    args: Args<"copyFileRange">,
  ): Promise<Reply<"copyFileRange">> {
    const { source, sourceOffset, fd, offset, size } = args;
    const read: Touch = { kind: "read", offset: sourceOffset, size };
    return this.#guarded(
      call,
      source,
      source.inode,
      read,
      () =>
        this.#guarded(
          call,
          fd,
          fd.inode,
          { kind: "write", offset, size },
          () => this.#counted("copyFileRange", call, args, fd.inode),
        ),
    );
  }
  override open(call: Call, args: Args<"open">): Promise<Reply<"open">> {
    if (args.flags & O_TRUNC && !isInternal(call)) {
      const mode = this.#options["mandatory-locking"];
      const locks = this.#posixlks.inodes.get(args.inode.gfid);
      if (
        mode !== "off" && locks && forbidsTruncatingOpen([...locks.granted, ...locks.waiting], mode)
      ) {
        return this.#ifMarked(
          call,
          args.inode,
          () => Promise.reject(EAGAIN),
          () => this.child.open(call, args),
        );
      }
    }
    return this.child.open(call, args);
  }

  // Removals, which wait for inode locks of others.

  override unlink(call: Call, args: Args<"unlink">): Promise<Reply<"unlink">> {
    return this.#removing(
      call,
      args.parent,
      args.name,
      () => this.#counted("unlink", call, args, args.parent),
    );
  }
  override rmdir(call: Call, args: Args<"rmdir">): Promise<Reply<"rmdir">> {
    return this.#removing(
      call,
      args.parent,
      args.name,
      () => this.#counted("rmdir", call, args, args.parent),
    );
  }
  override rename(call: Call, args: Args<"rename">): Promise<Reply<"rename">> {
    return this.#removing(
      call,
      args.newParent,
      args.newName,
      () => this.#counted("rename", call, args, args.oldParent, args.newParent),
    );
  }

  // Attributes that are commands.

  override getxattr(call: Call, args: Args<"getxattr">): Promise<Reply<"getxattr">> {
    if (isClearCommand(args.name)) return this.#commands.clear(call, args.inode, args.name);
    return this.#counted("getxattr", call, args, args.inode);
  }
  override fgetxattr(call: Call, args: Args<"fgetxattr">): Promise<Reply<"fgetxattr">> {
    if (isClearCommand(args.name)) return this.#commands.clear(call, args.fd.inode, args.name);
    if (args.name === LOCKINFO) return this.#commands.lockinfo(call, args.fd);
    return this.#counted("fgetxattr", call, args, args.fd.inode);
  }
  override setxattr(call: Call, args: Args<"setxattr">): Promise<Reply<"setxattr">> {
    if (args.xattrs?.has(ENFORCE)) return Promise.reject(EINVAL);
    return this.#counted("setxattr", call, args, args.inode);
  }
  override fsetxattr(call: Call, args: Args<"fsetxattr">): Promise<Reply<"fsetxattr">> {
    if (args.xattrs?.has(ENFORCE)) return Promise.reject(EINVAL);
    const lockinfo = args.xattrs?.get(LOCKINFO_KEY);
    if (lockinfo) return this.#takeLocks(call, args, lockinfo);
    return this.#counted("fsetxattr", call, args, args.fd.inode);
  }

  // The rest only counts locks where asked to.

  override lookup(call: Call, args: Args<"lookup">): Promise<Reply<"lookup">> {
    const { xdata, parent, name } = args;
    if (!asksCounts(xdata)) return this.child.lookup(call, args);
    return this.child.lookup(call, { ...args, xdata: this.#below.of(xdata) }).then((reply) =>
      withCounts(reply, xdata, this.#countable, {
        gfids: [reply.stat.gfid],
        parent: parent?.gfid,
        name,
      })
    );
  }
  override stat(call: Call, args: Args<"stat">): Promise<Reply<"stat">> {
    return this.#counted("stat", call, args, args.inode);
  }
  override fstat(call: Call, args: Args<"fstat">): Promise<Reply<"fstat">> {
    return this.#counted("fstat", call, args, args.fd.inode);
  }
  override fsync(call: Call, args: Args<"fsync">): Promise<Reply<"fsync">> {
    return this.#counted("fsync", call, args, args.fd.inode);
  }
  override fsyncdir(call: Call, args: Args<"fsyncdir">): Promise<Reply<"fsyncdir">> {
    return this.#counted("fsyncdir", call, args, args.fd.inode);
  }
  override xattrop(call: Call, args: Args<"xattrop">): Promise<Reply<"xattrop">> {
    return this.#counted("xattrop", call, args, args.inode);
  }
  override fxattrop(call: Call, args: Args<"fxattrop">): Promise<Reply<"fxattrop">> {
    return this.#counted("fxattrop", call, args, args.fd.inode);
  }
  override setattr(call: Call, args: Args<"setattr">): Promise<Reply<"setattr">> {
    return this.#counted("setattr", call, args, args.inode);
  }
  override fsetattr(call: Call, args: Args<"fsetattr">): Promise<Reply<"fsetattr">> {
    return this.#counted("fsetattr", call, args, args.fd.inode);
  }
  override removexattr(call: Call, args: Args<"removexattr">): Promise<Reply<"removexattr">> {
    return this.#counted("removexattr", call, args, args.inode);
  }
  override fremovexattr(call: Call, args: Args<"fremovexattr">): Promise<Reply<"fremovexattr">> {
    return this.#counted("fremovexattr", call, args, args.fd.inode);
  }
  override rchecksum(call: Call, args: Args<"rchecksum">): Promise<Reply<"rchecksum">> {
    return this.#counted("rchecksum", call, args, args.fd.inode);
  }
  override seek(call: Call, args: Args<"seek">): Promise<Reply<"seek">> {
    return this.#counted("seek", call, args, args.fd.inode);
  }
  override access(call: Call, args: Args<"access">): Promise<Reply<"access">> {
    return this.#counted("access", call, args, args.inode);
  }
  override readlink(call: Call, args: Args<"readlink">): Promise<Reply<"readlink">> {
    return this.#counted("readlink", call, args, args.inode);
  }
  override statfs(call: Call, args: Args<"statfs">): Promise<Reply<"statfs">> {
    return this.#counted("statfs", call, args, args.inode);
  }
  override readdir(call: Call, args: Args<"readdir">): Promise<Reply<"readdir">> {
    return this.#counted("readdir", call, args, args.fd.inode);
  }
  override readdirp(call: Call, args: Args<"readdirp">): Promise<Reply<"readdirp">> {
    return this.#counted("readdirp", call, args, args.fd.inode);
  }
  override create(call: Call, args: Args<"create">): Promise<Reply<"create">> {
    return this.#counted("create", call, args, args.parent);
  }
  override mknod(call: Call, args: Args<"mknod">): Promise<Reply<"mknod">> {
    return this.#counted("mknod", call, args, args.parent);
  }
  override mkdir(call: Call, args: Args<"mkdir">): Promise<Reply<"mkdir">> {
    return this.#counted("mkdir", call, args, args.parent);
  }
  override symlink(call: Call, args: Args<"symlink">): Promise<Reply<"symlink">> {
    return this.#counted("symlink", call, args, args.parent);
  }
  override link(call: Call, args: Args<"link">): Promise<Reply<"link">> {
    return this.#counted("link", call, args, args.parent);
  }

  readonly #below = new Derived((asked) => asked && withoutCounts(asked));
  readonly #countable = {
    // Who is told that it is not alone gives its lock back: clients of GlusterFS learn it this way only.
    inodelks: (gfid: Gfid, domain?: string) => {
      const wanted = this.quiet.wants(domain) || this.#removals.waits(gfid);
      return this.#inodelks.count(gfid, domain) + (wanted ? 1 : 0);
    },
    entrylks: (gfid: Gfid) => this.#entrylks.count(gfid),
    posixlks: (gfid: Gfid) => this.#posixlks.count(gfid),
    nameLocked: (parent: Gfid, name: string) =>
      this.#entrylks.granted(parent).some((lock) => lock.name === name),
  };

  /** Winds a fop; if it asks for counts, they are answered for these inodes. */
  #counted<K extends FopName>(
    fop: K,
    call: Call,
    args: Args<K>,
    inode: Inode,
    other?: Inode,
  ): Promise<Reply<K>> {
    const asked = args.xdata;
    const changing = CHANGING.has(fop) && (this.#inodelks.size > 0 || this.#entrylks.size > 0);
    if (!asksCounts(asked)) {
      const reply = windTo(this.child, fop, call, args);
      return changing ? this.#noted(reply, call.client, inode, other) : reply;
    }
    const at: Counted = { gfids: other ? [inode.gfid, other.gfid] : [inode.gfid] };
    const reply = windTo(this.child, fop, call, { ...args, xdata: this.#below.of(asked) });
    return (changing ? this.#noted(reply, call.client, inode, other) : reply)
      .then((reply) => withCounts(reply, asked, this.#countable, at));
  }

  /** Notes a change with the locks of its client when it is done, well or not. */
  #noted<R>(reply: Promise<R>, client: Client, { gfid }: Inode, other?: Inode): Promise<R> {
    return reply.finally(() => {
      this.quiet.changed(gfid, client);
      if (other && other.gfid !== gfid) this.quiet.changed(other.gfid, client);
    });
  }

  /** True if a read or write is nothing but forwarded: the common case. */
  #isPlain(xdata: Xdata | undefined): boolean {
    return xdata === undefined && this.#options["mandatory-locking"] === "off";
  }

  #lockInode(
    call: Call,
    gfid: Gfid,
    args: Pick<Args<"inodelk">, "domain" | "cmd" | "lock" | "xdata">,
  ): Promise<Reply<"inodelk">> {
    return answer(() => {
      const lock = inodelkOf(call, gfid, args);
      if (args.lock.type === "unlock") {
        return this.#inodelks.unlock(lock, (held) => inodelkMatches(held, lock));
      }
      // Somebody made a file under locks that the quiet time waits for: he would never come to an end.
      if (args.xdata?.has(LOCK_ALONG) && this.quiet.wait(lock)) throw EAGAIN;
      return this.#inQuiet(
        call,
        lock,
        () => this.#inodelks.lock(lock, args.cmd === "set-wait", call.deadline),
      );
    });
  }

  #lockEntry(
    call: Call,
    gfid: Gfid,
    args: Pick<Args<"entrylk">, "domain" | "name" | "cmd" | "type">,
  ): Promise<Reply<"entrylk">> {
    return answer(() => {
      const lock = entrylkOf(call, gfid, args);
      if (args.cmd === "unlock") {
        return this.#entrylks.unlock(lock, (held) => entrylkMatches(held, lock));
      }
      return this.#inQuiet(
        call,
        lock,
        () => this.#entrylks.lock(lock, args.cmd === "lock", call.deadline),
      );
    });
  }

  /** Asks for a lock, when there is no order against it. */
  #inQuiet<R>({ client }: Call, lock: Inodelk | Entrylk, go: () => Promise<R>): Promise<R> {
    this.#mustBeHere(client);
    const over = this.quiet.wait(lock);
    if (!over) return go();
    return over.then(() => {
      this.#mustBeHere(client);
      return go();
    });
  }

  #mustBeHere(client: Client): void {
    if (this.#gone.has(client)) throw ENOTCONN;
  }

  /** Calls `go` at once, or when mandatory locks of others allow it. */
  #guarded<R>(
    call: Call,
    fd: Fd | undefined,
    inode: Inode,
    { kind, offset, size }: Touch,
    go: () => Promise<R>,
  ): Promise<R> {
    const mode = this.#options["mandatory-locking"];
    if (
      mode === "off" || size === 0 || isInternal(call) ||
      !this.#posixlks.inodes.has(inode.gfid)
    ) return go();
    const start = BigInt(offset);
    const range = { start, end: size === undefined ? LAST : start + BigInt(size) - 1n };
    const access: Access = {
      client: call.client,
      owner: call.lkOwner,
      pid: call.pid,
      kind,
      range,
    };
    if (!this.#posixlks.forbids(inode.gfid, access, mode)) return go();
    const wait = () => {
      if (this.#gone.has(call.client)) return Promise.reject(ENOTCONN);
      return this.#posixlks.whenAllowed(
        inode.gfid,
        fd,
        access,
        () => this.#options["mandatory-locking"],
        go,
      );
    };
    return this.#ifMarked(call, inode, wait, go);
  }

  /** In mode `file` the file's own mode decides whether locks are mandatory. */
  #ifMarked<R>(
    call: Call,
    inode: Inode,
    marked: () => Promise<R>,
    unmarked: () => Promise<R>,
  ): Promise<R> {
    if (this.#options["mandatory-locking"] !== "file") return marked();
    return this.child.stat(call, { inode }).then(({ stat }) =>
      isMarkedMandatory(stat.mode) ? marked() : unmarked()
    );
  }

  /** Sets other attributes that come along, as any layer would. */
  async #takeLocks(
    call: Call,
    args: Args<"fsetxattr">,
    lockinfo: Uint8Array,
  ): Promise<Reply<"fsetxattr">> {
    await this.#commands.takeLocks(call, args.fd, lockinfo);
    const xattrs = args.xattrs?.without(LOCKINFO);
    return xattrs
      ? await this.#counted("fsetxattr", call, { ...args, xattrs }, args.fd.inode)
      : DONE;
  }

  /** Removes a name, after clients that have locked what it stands for. */
  #removing<R>(call: Call, parent: Inode, name: string, go: () => Promise<R>): Promise<R> {
    return this.#inodelks.size === 0 ? go() : this.#removeInTurn(call, parent, name, go);
  }

  async #removeInTurn<R>(
    call: Call,
    parent: Inode,
    name: string,
    go: () => Promise<R>,
  ): Promise<R> {
    let gfid: Gfid;
    try {
      gfid = (await this.child.lookup(call, { parent, name })).stat.gfid;
    } catch (error) {
      if (!(error instanceof FopError)) throw error;
      return await go();
    }
    return await this.#removals.remove(call.client, gfid, go);
  }
}

/** A fop's answer whose failures may be thrown. */
function answer<T>(fop: () => Promise<T>): Promise<T> {
  try {
    return fop();
  } catch (error) {
    return Promise.reject(error);
  }
}

export const locks = defineXlator({
  type: "features/locks",
  summary: "Keep inode, entry and POSIX locks",
  options,
  subvolumes: "one",
  check: (values) =>
    values["enforce-mandatory-lock"] ? "enforce-mandatory-lock is not supported" : undefined,
  create: (node, values) => new Locks(node, values),
});
