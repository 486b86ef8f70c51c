/**
 * Brings names and inodes of the origin up when somebody first looks for them: from then on they are
 * the brick's own, as if they had been made here. Data stays with the origin.
 *
 * Who says what a name leads to: the brick, if it has the name, or notes that it is gone, or that its
 * directory is whole; else the origin. What has been brought up once is never looked for in the
 * origin again, so changes here need no care for it.
 *
 * One after the other. A kill in between leaves a note of what was arriving: the next start finishes
 * it, or takes half of a name away. Nobody was told of it.
 */

import { type Call, PID_SERVER_TRASH, ROOT } from "core/call.ts";
import { ENODATA } from "core/errno.ts";
import { type Iatt, isDirectory, isRegular, isSymlink, S_IFDIR } from "core/iatt.ts";
import { type Gfid, type Inode, type InodeTable, ROOT_GFID } from "core/inode.ts";
import { type DictValue, ptr, withKey, Xdata } from "core/xdata.ts";
import { BEGUN_XATTR, GFID_REQ } from "core/xdata_keys.ts";
import type { Xlator } from "core/xlator.ts";
import { ifThere } from "snapshot/brick_files.ts";
import type { Entry, InodeState } from "snapshot/engine/live.ts";
import type { LookedAt } from "snapshot/engine/looked_at.ts";
import { begunValue, type Marks } from "xlators/features/clone/marks.ts";

/** What they are made with. */
export interface ArrivalsParts {
  /** The clone's own storage. */
  readonly upper: Xlator;
  readonly inodes: InodeTable;
  readonly origin: LookedAt;
  readonly marks: Marks;
}

const CALL: Call = { ...ROOT, pid: PID_SERVER_TRASH };
const PERMISSIONS = 0o7777;
/** Names that are brought up before others have their turn. */
const NAMES_AT_ONCE = 32;
const KNOWN_MAX = 65_536;
const CAPABILITY = "security.capability";

/** See the head of this file. Methods throw FopError. */
export class Arrivals {
  readonly #parts: ArrivalsParts;
  #last: Promise<unknown> = Promise.resolve();
  /** All names of a file are coming. */
  #linking = false;
  #whole = new Set<Gfid>();
  /** Names about which the brick decides. */
  #known = new Set<string>();

  /** Half of it may be here. */
  arriving: Gfid | undefined;
  /** Nothing can arrive any more. */
  isOver = false;

  constructor(parts: ArrivalsParts) {
    this.#parts = parts;
  }

  /** Before the first fop: ends what a kill has left, and gives a new brick's root its attributes. */
  async begin(): Promise<void> {
    const { upper, inodes, origin, marks } = this.#parts;
    marks.prepare();
    const arriving = marks.arriving();
    if (arriving) {
      const { gfid, parent, name } = arriving;
      await this.#endArriving(inodes.of(parent), name, gfid);
      marks.arrived();
    }
    const linking = marks.linking();
    if (linking) {
      this.#linking = true;
      await this.#names(linking);
      marks.linked();
      this.#linking = false;
    }
    if (marks.isBegun) return;
    const root = await origin.inode(ROOT_GFID);
    if (!root) return;
    const { mode, uid, gid } = root.iatt, inode = inodes.root;
    await upper.setattr(CALL, { inode, changes: { mode: mode & PERMISSIONS, uid, gid } });
    const xattrs = Xdata.of([...root.xattrs].map(([name, value]) => [name, ptr(value)]));
    if (xattrs.size) await upper.setxattr(CALL, { inode, xattrs, flags: 0 });
    await this.#setTimes(inode, root.iatt);
    marks.setBegun();
  }

  async #endArriving(parent: Inode, name: string, gfid: Gfid): Promise<void> {
    const { upper, inodes, origin } = this.#parts;
    const state = await origin.inode(gfid);
    const found = await ifThere(upper.lookup(CALL, { parent, name })).catch((error) => {
      if (!ENODATA.matches(error)) throw error;
      return "half" as const;
    });
    if (found === "half") {
      const args = { parent, name, flags: 0 };
      await (state && isDirectory(state.iatt) ? upper.rmdir(CALL, args) : upper.unlink(CALL, args));
    } else if (found && state) await this.#finish(inodes.of(gfid), state);
  }

  #alone<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#last.then(run, run);
    this.#last = result;
    return result;
  }

  /** An inode of that gfid is here now, if it ever was the clone's; false: it is not. */
  inode(gfid: Gfid): Promise<boolean> {
    return this.#alone(() => this.#inode(gfid));
  }

  async #inode(gfid: Gfid): Promise<boolean> {
    if (await this.#has(gfid)) return true;
    for (const { parent, name } of await this.#parts.origin.view.names(gfid)) {
      if (await this.#inode(parent)) await this.#name(parent, name);
    }
    return await this.#has(gfid);
  }

  /** The directory that a name leads to; undefined: it leads to none. */
  async directory(parent: Inode, name: string): Promise<Gfid | undefined> {
    const found = isName(name)
      ? await ifThere(this.#parts.upper.lookup(CALL, { parent, name }))
      : undefined;
    return found && isDirectory(found.stat) ? found.stat.gfid : undefined;
  }

  async #has(gfid: Gfid): Promise<boolean> {
    const { upper, inodes } = this.#parts;
    return gfid === ROOT_GFID ||
      await ifThere(upper.stat(CALL, { inode: inodes.of(gfid) })) !== undefined;
  }

  /** The name is here now, if the clone has it; undefined: it was already. */
  name(parent: Gfid, name: string): Promise<void> | undefined {
    if (this.#decides(parent, name) || !isName(name)) return undefined;
    return this.#alone(async () => {
      if (await this.#inode(parent)) await this.#name(parent, name);
    });
  }

  // Whether the brick says what the name leads to, as far as is known without a look.
  #decides(parent: Gfid, name: string): boolean {
    return this.#whole.has(parent) || this.#known.has(`${parent}/${name}`);
  }

  async #name(parent: Gfid, name: string): Promise<void> {
    if (this.#decides(parent, name)) return;
    const { origin, marks, upper, inodes } = this.#parts;
    if (marks.isWhole(parent)) {
      this.#setWhole(parent);
      return;
    }
    const inode = inodes.of(parent);
    if (
      !await ifThere(upper.lookup(CALL, { parent: inode, name })) && !marks.isGone(parent, name)
    ) {
      const entry = await origin.view.entry(parent, name);
      if (entry) await this.#bringUp(inode, entry);
    }
    if (this.#known.size >= KNOWN_MAX) this.#known.clear();
    this.#known.add(`${parent}/${name}`);
  }

  /** All names of a directory are here now; undefined: they were already. */
  whole(directory: Gfid): Promise<void> | undefined {
    return this.#whole.has(directory) ? undefined : this.#bringAll(directory);
  }

  async #bringAll(directory: Gfid): Promise<void> {
    const { origin, marks } = this.#parts;
    if (!marks.isWhole(directory)) {
      if (!await this.inode(directory)) return;
      const entries = await origin.view.entries(directory);
      for (let at = 0; at < entries.length; at += NAMES_AT_ONCE) {
        const some = entries.slice(at, at + NAMES_AT_ONCE);
        await this.#alone(async () => {
          for (const { name } of some) await this.#name(directory, name);
        });
      }
      // What was made here needs no note.
      if (entries.length) marks.setWhole(directory);
    }
    this.#setWhole(directory);
  }

  #setWhole(directory: Gfid): void {
    if (this.#whole.size >= KNOWN_MAX) this.#whole.clear();
    this.#whole.add(directory);
  }

  /** All directories of the origin are whole. */
  end(): void {
    this.isOver = true;
  }

  /** What is arriving is here as a whole, or not at all. */
  settled(): Promise<void> {
    return this.#alone(() => Promise.resolve());
  }

  /** Before a name goes, or leads elsewhere: all names of the file are here, and this one never comes again. */
  async leaving(parent: Gfid, name: string): Promise<void> {
    await this.name(parent, name);
    const { origin, marks } = this.#parts;
    const entry = isName(name) ? await origin.view.entry(parent, name) : undefined;
    if (!entry) return;
    if (entry.type !== S_IFDIR) await this.#alone(() => this.#names(entry.gfid));
    if (!this.#whole.has(parent)) marks.setGone(parent, name);
  }

  // A file is told to have as many names as it has here: they come together.
  async #names(gfid: Gfid): Promise<void> {
    const { origin } = this.#parts;
    const state = await origin.inode(gfid);
    if (!state || state.iatt.nlink < 2) return;
    for (const { parent, name } of await origin.view.names(gfid)) {
      if (await this.#inode(parent)) await this.#name(parent, name);
    }
  }

  async #bringUp(parent: Inode, { gfid, name }: Entry): Promise<void> {
    const { origin, marks } = this.#parts;
    const state = await origin.inode(gfid);
    if (!state) return;
    const isLinked = !isDirectory(state.iatt) && state.iatt.nlink > 1;
    if (!isLinked || this.#linking) return await this.#bringOne(parent, name, state);
    marks.link(gfid);
    this.#linking = true;
    try {
      await this.#bringOne(parent, name, state);
      await this.#names(gfid);
    } finally {
      marks.linked();
      this.#linking = false;
    }
  }

  async #bringOne(parent: Inode, name: string, state: InodeState): Promise<void> {
    const { upper, inodes, marks } = this.#parts, { gfid } = state.iatt;
    const inode = inodes.of(gfid), isDir = isDirectory(state.iatt);
    const has = await this.#has(gfid);
    // It was moved by a healer.
    if (has && isDir) return;
    const { stat: before } = await upper.stat(CALL, { inode: parent });
    if (has) await upper.link(CALL, { parent, name, inode });
    else {
      marks.arrive({ gfid, parent: parent.gfid, name });
      this.arriving = gfid;
      try {
        await this.#make(parent, name, state);
        await this.#finish(inode, state);
      } catch (error) {
        await this.#endArriving(parent, name, gfid);
        throw error;
      } finally {
        marks.arrived();
        this.arriving = undefined;
      }
    }
    await this.#setTimes(parent, before);
    this.#known.add(`${parent.gfid}/${name}`);
  }

  async #make(parent: Inode, name: string, state: InodeState): Promise<void> {
    const { upper } = this.#parts, { iatt, xattrs, target = "" } = state;
    const { gfid, mode, uid, gid, rdev } = iatt;
    const values = new Map<string, DictValue>();
    for (const [key, value] of xattrs) values.set(key, ptr(value));
    if (isRegular(iatt) && iatt.size > 0) values.set(BEGUN_XATTR, ptr(begunValue(iatt)));
    const xdata = withKey(new Xdata(values), GFID_REQ, gfid);
    const call: Call = { ...CALL, uid, gid }, args = { parent, name, umask: 0, xdata };
    if (isDirectory(iatt)) await upper.mkdir(call, { ...args, mode: mode & PERMISSIONS });
    else if (isSymlink(iatt)) await upper.symlink(call, { ...args, target });
    else await upper.mknod(call, { ...args, mode, rdev });
  }

  async #finish(inode: Inode, { iatt, xattrs }: InodeState): Promise<void> {
    const { upper } = this.#parts;
    const { uid, gid, mode, size } = iatt;
    if (isRegular(iatt) && size > 0) await upper.truncate(CALL, { inode, offset: size });
    const { stat } = await upper.stat(CALL, { inode });
    if (stat.uid !== uid || stat.gid !== gid) {
      await upper.setattr(CALL, { inode, changes: { uid, gid } });
    }
    if (!isSymlink(iatt) && stat.mode !== mode) {
      await upper.setattr(CALL, { inode, changes: { mode: mode & PERMISSIONS } });
    }
    // A cut has taken it away.
    const capability = xattrs.get(CAPABILITY);
    if (capability) {
      const given = Xdata.of([[CAPABILITY, ptr(capability)]]);
      await upper.setxattr(CALL, { inode, xattrs: given, flags: 0 });
    }
    await this.#setTimes(inode, iatt);
  }

  async #setTimes(inode: Inode, iatt: Iatt): Promise<void> {
    const atime = { sec: iatt.atime, nsec: iatt.atimeNsec };
    const mtime = { sec: iatt.mtime, nsec: iatt.mtimeNsec };
    await this.#parts.upper.setattr(CALL, { inode, changes: { atime, mtime } });
  }
}

// What is none, the storage refuses.
function isName(name: string): boolean {
  return name !== "" && name !== "." && name !== ".." && !/[/\0]/.test(name) && name.length < 256;
}
