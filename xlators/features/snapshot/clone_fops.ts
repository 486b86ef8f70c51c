/**
 * Fops on clones: what is not a clone's own is read from its origin, and changes of that go the way
 * `snapshot/engine/clone_change.ts` says. A brick without clones does not come here; fops on other
 * files cost one look at a map.
 *
 * A clone's blocks are told as if it had its origin's as well, as file systems do that share blocks:
 * archivers take a file without blocks for an empty one.
 */

import type { Call } from "core/call.ts";
import type { Clock } from "core/env.ts";
import { EEXIST, EINVAL, ENOENT, ENOTEMPTY, ENXIO } from "core/errno.ts";
import {
  type Args,
  type FopName,
  type Fops,
  O_ACCMODE,
  O_APPEND,
  O_DSYNC,
  O_TRUNC,
  O_WRONLY,
  type Reply,
} from "core/fops.ts";
import { type Iatt, isRegular } from "core/iatt.ts";
import { Fd, type Gfid, type Inode, type InodeTable, PerFd } from "core/inode.ts";
import { blockSums } from "core/lib/block_sums.ts";
import type { Xdata } from "core/xdata.ts";
import { CONTENT, KEEP_AS, KEPT } from "core/xdata_keys.ts";
import type { Xlator } from "core/xlator.ts";
import { ifThere } from "snapshot/brick_files.ts";
import type { Clone } from "snapshot/engine/clone.ts";
import {
  append,
  type CloneFile,
  cut,
  flatten,
  overwrite,
  reserve,
} from "snapshot/engine/clone_change.ts";
import type { Clones } from "snapshot/engine/clones.ts";
import type { OwnRun } from "snapshot/engine/own_units.ts";
import { UNIT } from "snapshot/engine/units.ts";

/** What the fops are done with. */
export interface CloneFopsParts {
  readonly child: Xlator;
  readonly inodes: InodeTable;
  readonly clones: Clones;
  readonly clock: Clock;
}

const READ_MAX = 256 << 20, COPY_MAX = 1 << 20;
const KEEP_SIZE = 1, PUNCH_HOLE = 2, ZERO_RANGE = 16, UNSHARE = 64;
const KNOWN_MODES = KEEP_SIZE | PUNCH_HOLE | ZERO_RANGE | UNSHARE;
const PAUSE_MS = 1, STICKY = 0o1000;
/** Units that a seek looks at in one go. */
const SEEK_UNITS = 65_536;

/** See the head of this file. */
export class CloneFops {
  readonly #parts: CloneFopsParts;
  #opened = new PerFd<Clone>();

  constructor(parts: CloneFopsParts) {
    this.#parts = parts;
  }

  /** Hands the fop to the layer below, or does what it asks of a clone. */
  wind<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    const { clones, child } = this.#parts;
    const { fd, inode } = args as { fd?: Fd; inode?: Inode };
    const unopened = fd?.anonymous ? fd.inode : inode;
    if (unopened && !clones.get(unopened.gfid) && !clones.isHere(unopened.gfid)) {
      // Its attributes are looked at, so that it comes; that it does not, the fop tells.
      const came = child.stat(call, { inode: unopened });
      return came.then(() => {}, () => {}).then(() => this.#wind(fop, call, args));
    }
    return this.#wind(fop, call, args);
  }

  #wind<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    const { clones, child } = this.#parts;
    const { fd, inode, source } = args as { fd?: Fd; inode?: Inode; source?: Fd };
    const gfid = (fd?.inode ?? inode)?.gfid;
    const clone = gfid && clones.get(gfid);
    const handler = (clone || (source && clones.get(source.inode.gfid)) || NAMED.has(fop)) &&
      (this as unknown as Handlers)[fop] as Handler<K> | undefined;
    const answer = handler
      ? handler.call(this, call, args, clone as Clone)
      : (child[fop] as Fops[K])(call, args);
    return clone || NAMED.has(fop) ? answer.then((reply) => this.#dressed(reply)) : answer;
  }

  #file(call: Call, inode: Inode, fd?: Fd): CloneFile {
    const { child } = this.#parts;
    const usable = fd && (fd.flags & O_ACCMODE) !== 0 && !appends(fd);
    const to = usable ? fd : new Fd(inode, 0, true);
    return {
      write: async (offset, data) => {
        await child.writev(call, { fd: to, offset, data, flags: 0 });
      },
      sync: async () => {
        await child.fsync(call, { fd: to, dataOnly: false });
      },
    };
  }

  readv(call: Call, args: Args<"readv">, clone: Clone): Promise<Reply<"readv">> {
    const { child } = this.#parts, { fd, offset, size } = args;
    const start = Math.floor(offset / UNIT), end = Math.ceil((offset + size) / UNIT);
    const readable = fd.anonymous || (fd.flags & O_ACCMODE) !== O_WRONLY;
    const usual = readable && isRange(args) && size <= READ_MAX;
    if (!usual) return child.readv(call, args);
    // Before the file is read: what becomes its own meanwhile may be read as it was.
    const run = clone.run(start, end);
    if (run.end < end) return this.#readRuns(call, args, clone, [...foreign(clone, start, end)]);
    if (run.own) return child.readv(call, args);
    return child.fstat(call, { fd }).then(({ stat }) => this.#readOrigin(args, clone, stat));
  }

  // Without a wait where there is nothing to wait for.
  #readOrigin(
    { offset, size, into }: Args<"readv">,
    clone: Clone,
    stat: Iatt,
  ): Reply<"readv"> | Promise<Reply<"readv">> {
    const count = Math.max(0, Math.min(size, stat.size - offset));
    const data = into && into.length >= count ? into.subarray(0, count) : new Uint8Array(count);
    const reply = { data, stat, eof: offset + count >= stat.size };
    const reading = this.#parts.clones.readOrigin(clone, offset, data);
    return reading ? reading.then(() => reply) : reply;
  }

  async #readRuns(
    call: Call,
    args: Args<"readv">,
    clone: Clone,
    runs: readonly OwnRun[],
  ): Promise<Reply<"readv">> {
    const { child, clones } = this.#parts, { offset } = args;
    const reply = await child.readv(call, args);
    const data = reply.data as Uint8Array<ArrayBuffer>;
    for (const run of runs) {
      const from = Math.max(offset, run.start * UNIT);
      const until = Math.min(offset + data.length, run.end * UNIT);
      if (from >= until) continue;
      await clones.readOrigin(clone, from, data.subarray(from - offset, until - offset));
    }
    return reply;
  }

  async rchecksum(call: Call, args: Args<"rchecksum">, clone: Clone): Promise<Reply<"rchecksum">> {
    const { data } = await this.readv(call, { ...args, flags: 0 }, clone);
    return blockSums(data, args.xdata);
  }

  async seek(call: Call, args: Args<"seek">, clone: Clone): Promise<Reply<"seek">> {
    const { child, clones } = this.#parts, { fd, offset, what } = args;
    const { stat: { size } } = await child.fstat(call, { fd });
    if (!isRange({ offset, size: 1 })) return await child.seek(call, args);
    if (offset >= size) throw ENXIO;
    for (let at = offset; at < size;) {
      const unit = Math.floor(at / UNIT);
      const run = clone.run(unit, Math.min(Math.ceil(size / UNIT), unit + SEEK_UNITS));
      const end = Math.min(size, run.end * UNIT);
      const found = run.own
        ? await this.#seekOwn(call, { ...args, offset: at })
        : what === "data"
        ? clones.originData(clone, at, end)
        : clones.originHole(clone, at, end);
      if (found !== undefined && found < end) return { offset: found };
      at = end;
    }
    if (what === "data") throw ENXIO;
    return { offset: size };
  }

  async #seekOwn(call: Call, args: Args<"seek">): Promise<number | undefined> {
    try {
      return (await this.#parts.child.seek(call, args)).offset;
    } catch (error) {
      if (ENXIO.matches(error)) return undefined;
      throw error;
    }
  }

  async writev(call: Call, args: Args<"writev">, clone: Clone): Promise<Reply<"writev">> {
    const { child, clones } = this.#parts, { fd, offset, data } = args;
    // What is appended is beyond the units that are the origin's.
    const change = { offset, size: data.length };
    const file = this.#file(call, fd.inode, fd);
    if (appends(fd)) return await append(clones, clone, file, () => child.writev(call, args));
    if (!isRange(change)) return await child.writev(call, args);
    const reply = await overwrite(clones, clone, file, change, () => child.writev(call, args));
    if ((fd.flags | args.flags) & O_DSYNC) await clones.sync(clone);
    return reply;
  }

  async #zeroed<T>(
    call: Call,
    { fd, offset, size }: Args<"discard">,
    clone: Clone,
    run: () => Promise<T>,
  ) {
    if (!isRange({ offset, size })) return await run();
    // The rest of a unit at the end of the file is nothing: it may become a hole as a whole.
    const { stat } = await this.#parts.child.fstat(call, { fd });
    const end = offset + size;
    const until = end < stat.size ? end : Math.ceil(end / UNIT) * UNIT;
    const change = { offset, size: until - offset, holes: true };
    return await overwrite(this.#parts.clones, clone, this.#file(call, fd.inode, fd), change, run);
  }

  discard(call: Call, args: Args<"discard">, clone: Clone): Promise<Reply<"discard">> {
    return this.#zeroed(call, args, clone, () => this.#parts.child.discard(call, args));
  }

  zerofill(call: Call, args: Args<"zerofill">, clone: Clone): Promise<Reply<"zerofill">> {
    return this.#zeroed(call, args, clone, () => this.#parts.child.zerofill(call, args));
  }

  fallocate(call: Call, args: Args<"fallocate">, clone: Clone): Promise<Reply<"fallocate">> {
    const { child, clones } = this.#parts, { fd } = args;
    const run = () => child.fallocate(call, args);
    if (args.mode & ~KNOWN_MODES || !isRange(args)) return run();
    if (args.mode & (PUNCH_HOLE | ZERO_RANGE)) return this.#zeroed(call, args, clone, run);
    return reserve(clones, clone, this.#file(call, fd.inode, fd), args, run);
  }

  truncate(call: Call, args: Args<"truncate">, clone: Clone): Promise<Reply<"truncate">> {
    const { child, clones } = this.#parts, { inode, offset } = args;
    const run = () => child.truncate(call, args);
    if (!isRange({ offset, size: 1 })) return run();
    return cut(clones, clone, this.#file(call, inode), offset, run);
  }

  ftruncate(call: Call, args: Args<"ftruncate">, clone: Clone): Promise<Reply<"ftruncate">> {
    const { child, clones } = this.#parts, { fd, offset } = args;
    const run = () => child.ftruncate(call, args);
    if (!isRange({ offset, size: 1 })) return run();
    return cut(clones, clone, this.#file(call, fd.inode, fd), offset, run);
  }

  async open(call: Call, args: Args<"open">, clone: Clone): Promise<Reply<"open">> {
    const reply = await this.#parts.child.open(call, args);
    return await this.#didOpen(call, reply, args.flags, clone);
  }

  async create(call: Call, args: Args<"create">): Promise<Reply<"create">> {
    const reply = await this.#parts.child.create(call, args);
    const clone = this.#parts.clones.get(reply.stat.gfid);
    return clone ? await this.#didOpen(call, reply, args.flags, clone) : reply;
  }

  async put(call: Call, args: Args<"put">): Promise<Reply<"put">> {
    const { child, clones } = this.#parts;
    const reply = await child.put(call, args);
    const clone = clones.get(reply.stat.gfid);
    if (clone) await clones.cut(clone, 0);
    return reply;
  }

  async #didOpen<T extends { fd: Fd }>(
    call: Call,
    reply: T,
    flags: number,
    clone: Clone,
  ): Promise<T> {
    const { clones } = this.#parts, { fd } = reply;
    this.#opened.set(fd, clone);
    clones.opened(clone);
    if (!(flags & O_TRUNC)) return reply;
    await cut(clones, clone, this.#file(call, fd.inode), 0, () => Promise.resolve());
    return reply;
  }

  async release(call: Call, args: Args<"release">): Promise<Reply<"release">> {
    const reply = await this.#parts.child.release(call, args);
    const clone = this.#opened.get(args.fd);
    if (clone) this.#parts.clones.closed(clone);
    return reply;
  }

  async fsync(call: Call, args: Args<"fsync">, clone: Clone): Promise<Reply<"fsync">> {
    const reply = await this.#parts.child.fsync(call, args);
    await this.#parts.clones.sync(clone);
    return reply;
  }

  /** A part, as copy_file_range(2) may: the caller goes on. */
  async copyFileRange(
    call: Call,
    { source, sourceOffset, fd, offset, size, flags }: Args<"copyFileRange">,
  ): Promise<Reply<"copyFileRange">> {
    if (flags !== 0) throw EINVAL;
    const range = { fd: source, offset: sourceOffset, size: Math.min(size, COPY_MAX), flags: 0 };
    const { data, stat } = await this.wind("readv", call, range);
    if (data.length === 0) {
      const { stat: now } = await this.#parts.child.fstat(call, { fd });
      return { size: 0, pre: now, post: now, stat };
    }
    const { pre, post } = await this.wind("writev", call, { fd, offset, data, flags: 0 });
    return { size: data.length, pre, post, stat };
  }

  unlink(call: Call, args: Args<"unlink">): Promise<Reply<"unlink">> {
    return this.#leaving(
      call,
      args.parent,
      args.name,
      args.xdata,
      () => this.#parts.child.unlink(call, args),
    );
  }

  rename(call: Call, args: Args<"rename">): Promise<Reply<"rename">> {
    return this.#leaving(
      call,
      args.newParent,
      args.newName,
      args.xdata,
      () => this.#parts.child.rename(call, args),
    );
  }

  // A name goes: it may be a clone's last.
  async #leaving<T extends { readonly xdata?: Xdata | undefined }>(
    call: Call,
    parent: Inode,
    name: string,
    xdata: Xdata | undefined,
    run: () => Promise<T>,
  ): Promise<T> {
    const { child, clones, inodes } = this.#parts;
    const found = await ifThere(child.lookup(call, { parent, name }));
    const gfid = found?.stat.gfid;
    // While its file is there to be looked at.
    const clone = gfid && clones.get(gfid);
    const reply = await run();
    if (gfid === undefined || !clone) return reply;
    const kept = reply.xdata?.has(KEPT) === true;
    const after = kept ? undefined : await ifThere(child.stat(call, { inode: inodes.of(gfid) }));
    if (!after?.stat.nlink) clones.left(gfid, kept ? xdata?.get(KEEP_AS) : undefined);
    return reply;
  }

  // Blocks, and no content: the file of a clone has not got it.
  #dressed<T>(reply: T): T {
    const { stat, pre, post, entries, xdata } = reply as Told;
    const dressed = { ...reply } as { -readonly [K in keyof Told]: Told[K] };
    if (stat) dressed.stat = this.#told(stat);
    if (pre) dressed.pre = this.#told(pre);
    if (post) dressed.post = this.#told(post);
    if (entries) dressed.entries = entries.map((entry) => this.#entry(entry));
    if (stat && xdata?.has(CONTENT) && this.#parts.clones.get(stat.gfid)) {
      dressed.xdata = xdata.without(CONTENT);
    }
    return dressed as T;
  }

  #entry<T extends Told>(entry: T): T {
    const { stat } = entry;
    return stat && isRegular(stat) && this.#parts.clones.get(stat.gfid)
      ? this.#dressed(entry)
      : entry;
  }

  #told(stat: Iatt): Iatt {
    const clone = isRegular(stat) ? this.#parts.clones.get(stat.gfid) : undefined;
    if (!clone) return stat;
    return { ...stat, blocks: Math.min(stat.blocks + clone.blocks, Math.ceil(stat.size / 512)) };
  }

  /** Gives a new clone its origin's size, owner and mode, and what is no whole unit of that. */
  async begin(call: Call, inode: Inode, origin: Iatt, edge: Uint8Array): Promise<void> {
    const { child } = this.#parts, file = this.#file(call, inode);
    const { size, uid, gid, mode } = origin;
    await child.truncate(call, { inode, offset: size });
    // Another owner takes bits of the mode away.
    await child.setattr(call, { inode, changes: { uid, gid } });
    await child.setattr(call, { inode, changes: { mode: mode & 0o7777 } });
    if (edge.length) await file.write(size - edge.length, edge);
    await file.sync();
  }

  /**
   * Copies what is not the clone's own, and makes it an ordinary file; its times stay. `copied` is told
   * of bytes as they come.
   */
  async flatten(call: Call, clone: Clone, copied?: (bytes: number) => void): Promise<void> {
    const { child, clones, inodes, clock } = this.#parts;
    const inode = inodes.of(clone.gfid), file = this.#file(call, inode);
    const write = async (offset: number, data: Uint8Array) => {
      const { stat: { mtime, mtimeNsec } } = await child.stat(call, { inode });
      await file.write(offset, data);
      const changes = { mtime: { sec: mtime, nsec: mtimeNsec } };
      await child.setattr(call, { inode, changes });
    };
    await flatten(clones, clone, { ...file, write }, (bytes) => {
      copied?.(bytes);
      return clock.delay(PAUSE_MS);
    });
  }

  /** Whether a file may become a clone: it is there, empty, and no clone yet. */
  async mayBegin(call: Call, gfid: Gfid): Promise<Inode> {
    const { child, clones, inodes } = this.#parts;
    const inode = inodes.of(gfid);
    const { stat } = await child.stat(call, { inode });
    if (!isRegular(stat)) throw EINVAL;
    // Distribution's pointer to a file that it placed elsewhere.
    if ((stat.mode & 0o7777) === STICKY) throw ENOENT;
    if (clones.get(gfid)) throw EEXIST;
    if (stat.size > 0) throw ENOTEMPTY;
    return inode;
  }
}

interface Told {
  readonly stat?: Iatt | undefined;
  readonly pre?: Iatt | undefined;
  readonly post?: Iatt | undefined;
  readonly entries?: readonly Told[];
  readonly xdata?: Xdata | undefined;
}

type Handler<K extends FopName> = (call: Call, args: Args<K>, clone: Clone) => Promise<Reply<K>>;
type Handlers = { readonly [K in FopName]?: Handler<K> };

/** Fops that may be about a clone without naming its inode. */
const NAMED: ReadonlySet<FopName> = new Set<FopName>([
  ...["lookup", "readdirp", "create", "put", "link", "unlink", "rename"] as const,
]);

/** Whether a range is one; what is none, the storage refuses. */
function isRange({ offset, size }: { readonly offset: number; readonly size: number }): boolean {
  return offset >= 0 && size > 0 && Number.isSafeInteger(offset) && Number.isSafeInteger(size) &&
    Number.isSafeInteger(offset + size);
}

/** Whether what is written goes to the end: flags of a write itself do not say so. */
function appends({ anonymous, flags }: Fd): boolean {
  return !anonymous && (flags & O_APPEND) !== 0;
}

function* foreign(clone: Clone, start: number, end: number) {
  for (let at = start; at < end;) {
    const run = clone.run(at, end);
    if (!run.own) yield run;
    at = run.end;
  }
}
