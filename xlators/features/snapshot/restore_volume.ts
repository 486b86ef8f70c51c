/**
 * Makes all that a brick holds what a snapshot has of it, through the layer's own fops: newer
 * snapshots keep what goes. Nobody else uses the brick meanwhile. What is done depends on what changed
 * since, which the history tells.
 *
 * Names first. Whatever is at a wrong name and is in the snapshot moves into a directory of the root
 * that is there for that long only; what is not in the snapshot goes. Then every name that the
 * snapshot has gets its inode: from there, as one more link, out of the history (a file that lost its
 * last name comes back as it was kept, unless a newer snapshot needs that one), or made with its old
 * gfid. So directories that changed places never meet. Then data and attributes of every inode that
 * was touched.
 *
 * A kill anywhere leaves a brick that is partly restored, and to which the same can be done again:
 * what is right already is not touched.
 */

import { type Call, PID_SELF_HEAL, ROOT } from "core/call.ts";
import type { Log, LogFields } from "core/env.ts";
import { ENOENT, ENOTEMPTY } from "core/errno.ts";
import { type Fops, O_RDWR } from "core/fops.ts";
import type { AddToMarks, ChangedName, ChangesPage } from "core/history_orders.ts";
import { type Iatt, isDirectory, isRegular, isSymlink } from "core/iatt.ts";
import { Fd, type Gfid, type Inode, type InodeTable } from "core/inode.ts";
import { kernelDevice } from "core/lib/device.ts";
import { ptr, withKey, Xdata } from "core/xdata.ts";
import { GFID_REQ } from "core/xdata_keys.ts";
import type { BrickFiles } from "snapshot/brick_files.ts";
import { changesPage } from "snapshot/engine/changes.ts";
import { type Sides, stateIn } from "snapshot/engine/diff.ts";
import type { History } from "snapshot/engine/history.ts";
import type { InodeState } from "snapshot/engine/live.ts";
import { restoreAttributes, restoreData } from "xlators/features/snapshot/restore.ts";
import { WHOLE_TREE } from "xlators/features/snapshot/tree.ts";

/** What is restored with what. */
export interface RestoreParts {
  readonly history: History;
  /** The layer of the history. */
  readonly layer: Fops;
  readonly live: BrickFiles;
  readonly inodes: InodeTable;
  /** Id of the snapshot. */
  readonly snapshot: string;
  readonly addToMarks: AddToMarks;
  /** Attributes by which this copy says that another one misses something. */
  readonly missedBy: readonly string[];
  readonly log: Log;
}

/** A daemon's that may give a directory the gfid that it had. */
const CALL: Call = { ...ROOT, pid: PID_SELF_HEAL };
/** Rows of one look at what changed. */
const PAGE = 512;
/** Marks of replication. */
const MARK = /^trusted\.afr\./;
/** Those are added to; gfids are as they have to be; the brick knows the names of its files itself. */
const NOT_SET = /^trusted\.(afr\.|gfid|pgfid\.|glusterfs\.mdata$)/;
const MDATA = "trusted.glusterfs.mdata";

/** See the head of this file. ENOENT: there is no such snapshot, or it is of a file. */
export async function restoreVolume(parts: RestoreParts): Promise<void> {
  const sides = parts.history.sides(parts.snapshot);
  if (sides.file !== undefined) throw ENOENT;
  await new Restoring(parts, sides).run();
}

class Restoring {
  readonly #parts: RestoreParts;
  readonly #sides: Sides;
  /** Has what is at no name for now; its gfid is the snapshot's id. */
  readonly #aside: Inode;
  readonly #asideName: string;
  #hasAside = false;
  /** Directories that the snapshot has elsewhere than there are now, by gfid. */
  readonly #directories = new Map<Gfid, ChangedName>();

  constructor(parts: RestoreParts, sides: Sides) {
    this.#parts = parts;
    this.#sides = sides;
    this.#aside = parts.inodes.of(parts.snapshot as Gfid);
    this.#asideName = `.restore-${parts.snapshot}`;
  }

  async run(): Promise<void> {
    const { live, inodes } = this.#parts, { root } = inodes;
    this.#hasAside = await live.entry(root.gfid, this.#asideName) !== undefined;
    await this.#names((name) => this.#clear(name));
    await this.#names((name) => this.#removeTree(name));
    await this.#names((name) => this.#noteDirectory(name));
    for (const name of this.#directories.values()) await this.#place(name);
    await this.#names((name) => this.#place(name));
    if (this.#hasAside) await this.#removeAside();
    await this.#inodes();
  }

  // What is left there are links that the snapshot does not have.
  async #removeAside(): Promise<void> {
    const { layer, inodes, live } = this.#parts, aside = this.#aside;
    for (const { name, gfid } of await live.entries(aside.gfid)) {
      const is = await live.inode(gfid);
      if (is && (isDirectory(is.iatt) || is.iatt.nlink < 2)) throw ENOTEMPTY;
      await layer.unlink(CALL, { parent: aside, name, flags: 0 });
    }
    await layer.rmdir(CALL, { parent: inodes.root, name: this.#asideName, flags: 0 });
  }

  async #names(each: (name: ChangedName) => Promise<void>): Promise<void> {
    for await (const { names } of this.#pages()) {
      for (const name of names) {
        if (name.parent === this.#aside.gfid || this.#isAside(name)) continue;
        await this.#told(each(name), { gfid: name.old ?? name.now, name: name.name });
      }
    }
  }

  async #told(work: Promise<void>, what: LogFields): Promise<void> {
    try {
      await work;
    } catch (error) {
      this.#parts.log.error("cannot restore", { ...what, why: String(error) });
      throw error;
    }
  }

  #isAside({ parent, name }: ChangedName): boolean {
    return parent === this.#parts.inodes.root.gfid && name === this.#asideName;
  }

  async *#pages(): AsyncGenerator<ChangesPage> {
    for (let after: string | undefined = ""; after !== undefined;) {
      const page: ChangesPage = await changesPage(this.#sides, after, PAGE);
      yield page;
      after = page.next;
    }
  }

  // Nothing but directories that are to go stays at a wrong name.
  async #clear({ parent, name, now }: ChangedName): Promise<void> {
    const { layer, inodes, live } = this.#parts;
    if (!now) return;
    const from = inodes.of(parent);
    const is = await live.inode(now), wanted = await stateIn(this.#sides.before, now) !== undefined;
    if (wanted && !await this.#isPutAside(now)) {
      await this.#makeAside();
      const to = { newParent: this.#aside, newName: now };
      await layer.rename(CALL, { oldParent: from, oldName: name, ...to });
    } else if (!is || !isDirectory(is.iatt)) {
      await layer.unlink(CALL, { parent: from, name, flags: 0 });
    }
  }

  async #isPutAside(gfid: Gfid): Promise<boolean> {
    return this.#hasAside && await this.#parts.live.entry(this.#aside.gfid, gfid) !== undefined;
  }

  async #makeAside(): Promise<void> {
    if (this.#hasAside) return;
    const { layer, inodes } = this.#parts;
    await layer.mkdir(CALL, {
      ...{ parent: inodes.root, name: this.#asideName, mode: 0o700, umask: 0 },
      xdata: withGfid(this.#aside.gfid),
    });
    this.#hasAside = true;
  }

  async #removeTree({ parent, name, now }: ChangedName): Promise<void> {
    const { layer, inodes, live } = this.#parts, flags = WHOLE_TREE;
    // It may have gone with the directory that it is in.
    if (!now || (await live.entry(parent, name))?.gfid !== now) return;
    await layer.rmdir(CALL, { parent: inodes.of(parent), name, flags });
  }

  async #noteDirectory(name: ChangedName): Promise<void> {
    const was = name.old && await stateIn(this.#sides.before, name.old);
    if (was && isDirectory(was.iatt)) this.#directories.set(name.old!, name);
  }

  async #place({ parent, name, old }: ChangedName): Promise<void> {
    if (!old) return;
    // A directory comes before what is in it.
    const above = this.#directories.get(parent);
    if (above && !await this.#parts.live.inode(parent)) await this.#place(above);
    const { layer, inodes, live } = this.#parts;
    if ((await live.entry(parent, name))?.gfid === old) return;
    const to = inodes.of(parent), inode = inodes.of(old);
    const was = await stateIn(this.#sides.before, old);
    if (!was) return;
    if (await this.#isPutAside(old)) {
      await layer.rename(CALL, {
        ...{ oldParent: this.#aside, oldName: old, newParent: to, newName: name },
      });
    } else if (await this.#isThere(old, was)) {
      await layer.link(CALL, { inode, parent: to, name });
      await this.#parts.history.returned(this.#parts.snapshot, old);
    } else await this.#make(to, name, old, was);
  }

  // Raised out of the history, if it can be.
  async #isThere(gfid: Gfid, { iatt }: InodeState): Promise<boolean> {
    const { history, live, snapshot } = this.#parts;
    if (!isRegular(iatt)) return await live.inode(gfid) !== undefined;
    const kept = history.keptWhole(snapshot, gfid);
    if (await live.inode(gfid)) return true;
    if (kept === undefined) return false;
    live.raise(gfid, kept);
    return true;
  }

  // Data and attributes follow.
  async #make(parent: Inode, name: string, gfid: Gfid, was: InodeState): Promise<void> {
    const { layer } = this.#parts, { mode, rdev } = was.iatt;
    const entry = { parent, name, mode, umask: 0, xdata: withGfid(gfid) };
    if (isDirectory(was.iatt)) await layer.mkdir(CALL, entry);
    else if (isSymlink(was.iatt)) await layer.symlink(CALL, { ...entry, target: was.target ?? "" });
    else await layer.mknod(CALL, { ...entry, rdev: kernelDevice(rdev) });
  }

  async #inodes(): Promise<void> {
    for await (const { inodes } of this.#pages()) {
      for (const { gfid, old } of inodes) {
        const was = old && await stateIn(this.#sides.before, gfid);
        if (was) await this.#told(this.#restore(this.#parts.inodes.of(gfid), was), { gfid });
      }
    }
  }

  async #restore(inode: Inode, was: InodeState): Promise<void> {
    const { layer, live } = this.#parts;
    if (isRegular(was.iatt)) {
      const { stat } = await layer.stat(CALL, { inode }), fd = new Fd(inode, O_RDWR, true);
      await restoreData(this.#sides, layer, CALL, fd, stat.size, was.iatt.size);
    }
    const is = await live.inode(inode.gfid);
    if (!is) throw ENOENT;
    if (!isDone(is, was)) await restoreAttributes(layer, CALL, inode, was, NOT_SET);
    await this.#restoreMarks(inode, was, is);
    await this.#noteMissed(inode, was);
    await this.#restoreTimes(inode, was);
  }

  // Done again it is one more, which says the same.
  async #noteMissed(inode: Inode, { iatt }: InodeState): Promise<void> {
    const { missedBy, addToMarks } = this.#parts;
    if (!missedBy.length) return;
    const missed = ptr(missedCounts(iatt));
    await addToMarks(inode, Xdata.of(missedBy.map((name) => [name, missed])));
  }

  async #restoreMarks(inode: Inode, { xattrs: old }: InodeState, { xattrs: now }: InodeState) {
    const names = new Set([...old.keys(), ...now.keys()].filter((name) => MARK.test(name)));
    const deltas = [...names].flatMap((name) => {
      const delta = difference(old.get(name), now.get(name));
      return delta ? [[name, ptr(delta)] as const] : [];
    });
    if (deltas.length) await this.#parts.addToMarks(inode, Xdata.of(deltas));
  }

  // As clients told them. The brick takes later ones only, unless there are none.
  async #restoreTimes(inode: Inode, { xattrs }: InodeState): Promise<void> {
    const { layer, live } = this.#parts, old = xattrs.get(MDATA);
    const now = (await live.inode(inode.gfid))?.xattrs.get(MDATA);
    if (old?.toHex() === now?.toHex()) return;
    if (now) await layer.removexattr(CALL, { inode, name: MDATA });
    if (!old) return;
    await layer.setxattr(CALL, { inode, xattrs: Xdata.of([[MDATA, ptr(old)]]), flags: 0 });
  }
}

function withGfid(gfid: Gfid): Xdata {
  return withKey(undefined, GFID_REQ, gfid);
}

/** Data, metadata, entries; of a directory data says that all names are to be looked at. */
function missedCounts(iatt: Iatt): Uint8Array<ArrayBuffer> {
  const counts = new DataView(new ArrayBuffer(12));
  if (isRegular(iatt) || isDirectory(iatt)) counts.setUint32(0, 1);
  counts.setUint32(4, 1);
  if (isDirectory(iatt)) counts.setUint32(8, 1);
  return new Uint8Array(counts.buffer);
}

/** What has to be added to big-endian 32-bit counters; undefined: nothing. */
function difference(
  old: Uint8Array | undefined,
  now: Uint8Array | undefined,
): Uint8Array | undefined {
  const size = Math.max(old?.length ?? 0, now?.length ?? 0), delta = new Uint8Array(size);
  const [from, to, view] = [now, old, delta].map((bytes) => {
    const padded = bytes === delta ? delta : new Uint8Array(size);
    if (bytes && bytes !== delta) padded.set(bytes);
    return new DataView(padded.buffer);
  }) as [DataView, DataView, DataView];
  for (let at = 0; at + 4 <= size; at += 4) {
    view.setUint32(at, to.getUint32(at) - from.getUint32(at) >>> 0);
  }
  return delta.some((byte) => byte !== 0) ? delta : undefined;
}

function isDone(is: InodeState, was: InodeState): boolean {
  return sameFacts(is.iatt, was.iatt) && is.xattrs.size === was.xattrs.size &&
    [...was.xattrs].every(([name, value]) => is.xattrs.get(name)?.toHex() === value.toHex());
}

function sameFacts(one: Iatt, other: Iatt): boolean {
  const facts = ["mode", "uid", "gid", "size", "mtime", "mtimeNsec", "atime", "atimeNsec"] as const;
  return facts.every((fact) => one[fact] === other[fact]);
}
