/**
 * `storage/posix`: the brick's storage on disk, in GlusterFS's own layout.
 *
 * A volume's tree is the same tree under the brick's directory, plus `.glusterfs`:
 *
 * - Every inode has a gfid, kept in `trusted.gfid`, and a handle `.glusterfs/aa/bb/<gfid>` by which it is
 *   found: a hard link, or a symbolic link for a directory (`handle.ts`).
 * - `trusted.gfid2path.<hash>` tells each name of a file from the inside (`names.ts`).
 * - A file whose last name goes while it is open lives on in `.glusterfs/unlink`; what is removed as a
 *   whole waits in `.glusterfs/landfill` (`landfill.ts`).
 *
 * Invariant: a name that a client was told of has its gfid, its handle and its owner. What a kill
 * between any two calls leaves is a name without gfid or a gfid without handle, and the next lookup of
 * that name finishes it; or a file in `unlink` or `landfill`, which the next start removes. Nothing is
 * left that has data and no name.
 *
 * No path of a client's choosing goes to the kernel: every call is relative to an open directory
 * whose gfid was checked, names have one part, and the last part is never followed.
 *
 * One thread: between two synchronous calls nothing else runs, so the fops need no locks. What may
 * wait for the disk goes to another thread, holding its descriptor (`data.ts`).
 */

import type { Call } from "core/call.ts";
import { EOPNOTSUPP } from "core/errno.ts";
import { type Args, DONE, O_CREAT, O_DIRECT, O_EXCL, type Reply } from "core/fops.ts";
import { defineXlator } from "core/registry.ts";
import type { Timer } from "core/env.ts";
import { type Json, type Node, Refuse } from "core/xlator.ts";
import * as attr from "xlators/storage/posix/attr.ts";
import type { Brick } from "xlators/storage/posix/brick.ts";
import * as made from "xlators/storage/posix/create.ts";
import * as data from "xlators/storage/posix/data.ts";
import { HealthCheck } from "xlators/storage/posix/health.ts";
import { landfillQuiet, purgeLeftovers } from "xlators/storage/posix/landfill.ts";
import { lookup } from "xlators/storage/posix/lookup.ts";
import { giveRoot, openBrick } from "xlators/storage/posix/open_brick.ts";
import { options, type PosixOptions } from "xlators/storage/posix/options.ts";
import * as listing from "xlators/storage/posix/readdir.ts";
import * as removed from "xlators/storage/posix/remove.ts";
import * as xattr from "xlators/storage/posix/xattr.ts";
import * as op from "xlators/storage/posix/xattrop.ts";

/** How often free space is looked at for option `reserve`. */
const SPACE_INTERVAL_MS = 5000;
/** GF_IPC_TARGET_UPCALL: which attributes md-cache wants to hear of. Heard by `features/upcall`. */
const IPC_UPCALL = 2;

/** The storage of one brick. */
export class Posix extends Refuse {
  #options: PosixOptions;
  #brick: Brick | undefined;
  #health: HealthCheck | undefined;
  #space: Timer | undefined;

  constructor(node: Node, values: PosixOptions) {
    super(node);
    this.#options = values;
  }

  get #open(): Brick {
    if (!this.#brick) throw new Error(`"${this.name}" was used before it was started`);
    return this.#brick;
  }

  start(): Promise<void> {
    return this.#answer(() => {
      const brick = openBrick(this.#options, this.env, this.inodes);
      this.#brick = brick;
      if (this.#options["look-only"]) return;
      brick.space.refresh();
      this.#space = this.env.clock.every(SPACE_INTERVAL_MS, () => this.#lookAtSpace(brick));
      this.#health = new HealthCheck(brick, (reason) => this.emit({ type: "failing", reason }));
      this.#health.start();
      void purgeLeftovers(brick);
    });
  }

  #lookAtSpace(brick: Brick): void {
    const before = brick.space.low;
    brick.space.refresh();
    if (brick.space.low === before) return;
    if (brick.space.low) this.env.log.warn("only reserved space is left", { brick: brick.path });
    else this.env.log.info("space beyond the reserve is free again", { brick: brick.path });
  }

  async stop(): Promise<void> {
    const brick = this.#brick;
    if (!brick) return;
    this.#brick = undefined;
    brick.closing = true;
    this.#space?.cancel();
    this.#health?.stop();
    await landfillQuiet(brick);
    brick.close();
  }

  reconfigure(values: PosixOptions): void {
    this.#options = values;
    const brick = this.#brick;
    if (!brick) return;
    brick.options = values;
    if (values["look-only"]) return;
    giveRoot(brick.root, values);
    brick.space.reconfigure(values);
    this.#health?.start();
  }

  state(): Json {
    const brick = this.#brick;
    if (!brick) return { directory: this.#options.directory, open: false };
    return {
      directory: brick.path,
      open: true,
      namespace: brick.xattrs.mapped ? "user" : "trusted",
      openFiles: brick.files.size,
      openDirectories: brick.handles.size,
      onlyReserveLeft: brick.space.low,
      lastHealthCheckMs: this.#health?.lastAt ?? null,
    };
  }

  // A fop's outcome as a promise; what it opened on its way is looked after.
  #answer<T>(run: () => T | Promise<T>): Promise<T> {
    try {
      const answer = run();
      return answer instanceof Promise ? answer : Promise.resolve(answer);
    } catch (error) {
      return Promise.reject(error);
    } finally {
      this.#brick?.handles.trim();
    }
  }

  // Names and attributes.

  override lookup(call: Call, args: Args<"lookup">): Promise<Reply<"lookup">> {
    return this.#answer(() => lookup(this.#open, call, args));
  }
  override stat(call: Call, args: Args<"stat">): Promise<Reply<"stat">> {
    return this.#answer(() => attr.stat(this.#open, call, args));
  }
  override fstat(call: Call, args: Args<"fstat">): Promise<Reply<"fstat">> {
    return this.#answer(() => attr.fstat(this.#open, call, args));
  }
  override setattr(call: Call, args: Args<"setattr">): Promise<Reply<"setattr">> {
    return this.#answer(() => attr.setattr(this.#open, call, args));
  }
  override fsetattr(call: Call, args: Args<"fsetattr">): Promise<Reply<"fsetattr">> {
    return this.#answer(() => attr.fsetattr(this.#open, call, args));
  }
  override access(call: Call, args: Args<"access">): Promise<Reply<"access">> {
    return this.#answer(() => attr.access(this.#open, call, args));
  }
  override readlink(call: Call, args: Args<"readlink">): Promise<Reply<"readlink">> {
    return this.#answer(() => attr.readlink(this.#open, call, args));
  }
  override statfs(call: Call, args: Args<"statfs">): Promise<Reply<"statfs">> {
    return this.#answer(() => attr.statfs(this.#open, call, args));
  }
  override create(call: Call, args: Args<"create">): Promise<Reply<"create">> {
    return this.#answer(() => made.create(this.#open, call, args));
  }
  override mkdir(call: Call, args: Args<"mkdir">): Promise<Reply<"mkdir">> {
    return this.#answer(() => made.mkdir(this.#open, call, args));
  }
  override mknod(call: Call, args: Args<"mknod">): Promise<Reply<"mknod">> {
    return this.#answer(() => made.mknod(this.#open, call, args));
  }
  override symlink(call: Call, args: Args<"symlink">): Promise<Reply<"symlink">> {
    return this.#answer(() => made.symlink(this.#open, call, args));
  }
  override link(call: Call, args: Args<"link">): Promise<Reply<"link">> {
    return this.#answer(() => made.link(this.#open, call, args));
  }
  override icreate(call: Call, args: Args<"icreate">): Promise<Reply<"icreate">> {
    return this.#answer(() => made.icreate(this.#open, call, args));
  }
  override namelink(call: Call, args: Args<"namelink">): Promise<Reply<"namelink">> {
    return this.#answer(() => made.namelink(this.#open, call, args));
  }
  override put(call: Call, args: Args<"put">): Promise<Reply<"put">> {
    return this.#answer(() => made.put(this.#open, call, args));
  }
  override unlink(call: Call, args: Args<"unlink">): Promise<Reply<"unlink">> {
    return this.#answer(() => removed.unlink(this.#open, call, args));
  }
  override rmdir(call: Call, args: Args<"rmdir">): Promise<Reply<"rmdir">> {
    return this.#answer(() => removed.rmdir(this.#open, call, args));
  }
  override rename(call: Call, args: Args<"rename">): Promise<Reply<"rename">> {
    return this.#answer(() => removed.rename(this.#open, call, args));
  }

  // Open files and directories.

  override open(call: Call, args: Args<"open">): Promise<Reply<"open">> {
    return this.#answer(() => {
      const flags = args.flags & ~(O_CREAT | O_EXCL);
      const direct = this.#options["o-direct"] ? O_DIRECT : 0;
      return data.openFile(this.#open, call, args.inode, flags | direct).then((fd) => ({ fd }));
    });
  }
  override opendir(call: Call, args: Args<"opendir">): Promise<Reply<"opendir">> {
    return this.#answer(() => listing.opendir(this.#open, call, args));
  }
  override readdir(call: Call, args: Args<"readdir">): Promise<Reply<"readdir">> {
    return this.#answer(() => listing.readdir(this.#open, call, args));
  }
  override readdirp(call: Call, args: Args<"readdirp">): Promise<Reply<"readdirp">> {
    return this.#answer(() => listing.readdirp(this.#open, call, args));
  }
  override flush(_call: Call, args: Args<"flush">): Promise<Reply<"flush">> {
    return this.#answer(() => {
      if (!args.fd.anonymous) this.#open.files.of(args.fd);
      return DONE;
    });
  }
  override release(_call: Call, args: Args<"release">): Promise<Reply<"release">> {
    return this.#answer(() => {
      if (args.fd.anonymous) return DONE;
      this.#open.files.of(args.fd).release();
      return DONE;
    });
  }
  override releasedir(_call: Call, args: Args<"releasedir">): Promise<Reply<"releasedir">> {
    return this.#answer(() => {
      if (!args.fd.anonymous) listing.dirOf(this.#open, args.fd).close();
      return DONE;
    });
  }

  // Contents.

  override readv(call: Call, args: Args<"readv">): Promise<Reply<"readv">> {
    return this.#answer(() => data.readv(this.#open, call, args));
  }
  override writev(call: Call, args: Args<"writev">): Promise<Reply<"writev">> {
    return this.#answer(() => data.writev(this.#open, call, args));
  }
  override fsync(call: Call, args: Args<"fsync">): Promise<Reply<"fsync">> {
    return this.#answer(() => data.fsync(this.#open, call, args));
  }
  override fsyncdir(call: Call, args: Args<"fsyncdir">): Promise<Reply<"fsyncdir">> {
    return this.#answer(() => data.fsyncdir(this.#open, call, args));
  }
  override truncate(call: Call, args: Args<"truncate">): Promise<Reply<"truncate">> {
    return this.#answer(() => data.truncate(this.#open, call, args));
  }
  override ftruncate(call: Call, args: Args<"ftruncate">): Promise<Reply<"ftruncate">> {
    return this.#answer(() => data.ftruncate(this.#open, call, args));
  }
  override fallocate(call: Call, args: Args<"fallocate">): Promise<Reply<"fallocate">> {
    return this.#answer(() => data.fallocate(this.#open, call, args));
  }
  override discard(call: Call, args: Args<"discard">): Promise<Reply<"discard">> {
    return this.#answer(() => data.discard(this.#open, call, args));
  }
  override zerofill(call: Call, args: Args<"zerofill">): Promise<Reply<"zerofill">> {
    return this.#answer(() => data.zerofill(this.#open, call, args));
  }
  override seek(call: Call, args: Args<"seek">): Promise<Reply<"seek">> {
    return this.#answer(() => data.seek(this.#open, call, args));
  }
  override rchecksum(call: Call, args: Args<"rchecksum">): Promise<Reply<"rchecksum">> {
    return this.#answer(() => data.rchecksum(this.#open, call, args));
  }
  override copyFileRange(
    call: Call,
    args: Args<"copyFileRange">,
  ): Promise<Reply<"copyFileRange">> {
    return this.#answer(() => data.copyFileRange(this.#open, call, args));
  }

  // Extended attributes.

  override getxattr(call: Call, args: Args<"getxattr">): Promise<Reply<"getxattr">> {
    return this.#answer(() => xattr.getxattr(this.#open, call, args));
  }
  override fgetxattr(call: Call, args: Args<"fgetxattr">): Promise<Reply<"fgetxattr">> {
    return this.#answer(() => xattr.fgetxattr(this.#open, call, args));
  }
  override setxattr(call: Call, args: Args<"setxattr">): Promise<Reply<"setxattr">> {
    return this.#answer(() => xattr.setxattr(this.#open, call, args));
  }
  override fsetxattr(call: Call, args: Args<"fsetxattr">): Promise<Reply<"fsetxattr">> {
    return this.#answer(() => xattr.fsetxattr(this.#open, call, args));
  }
  override removexattr(call: Call, args: Args<"removexattr">): Promise<Reply<"removexattr">> {
    return this.#answer(() => xattr.removexattr(this.#open, call, args));
  }
  override fremovexattr(call: Call, args: Args<"fremovexattr">): Promise<Reply<"fremovexattr">> {
    return this.#answer(() => xattr.fremovexattr(this.#open, call, args));
  }
  override xattrop(call: Call, args: Args<"xattrop">): Promise<Reply<"xattrop">> {
    return this.#answer(() => op.xattrop(this.#open, call, args));
  }
  override fxattrop(call: Call, args: Args<"fxattrop">): Promise<Reply<"fxattrop">> {
    return this.#answer(() => op.fxattrop(this.#open, call, args));
  }

  override ipc(_call: Call, args: Args<"ipc">): Promise<Reply<"ipc">> {
    return args.op === IPC_UPCALL ? Promise.resolve(DONE) : Promise.reject(EOPNOTSUPP);
  }
}

/** A brick's storage. */
export const posix = defineXlator({
  type: "storage/posix",
  summary: "Keep a brick's files in a directory",
  options,
  subvolumes: "none",
  check: (values) =>
    values.directory.startsWith("/") ? undefined : "directory is not an absolute path",
  create: (node, values) => new Posix(node, values),
});
