/**
 * A random story of one brick, and its end undone: a tree, a snapshot, changes of all kinds and more
 * snapshots, then the whole volume goes back to one of them. What it was is told by naive copies; so
 * is what each snapshot has. A kill is a copy of the brick's disk before some fop of the restore: it
 * is opened, and restored again.
 */

import { deepStrictEqual as deepEqual } from "node:assert/strict";
import { type Call, PID_SELF_HEAL, ROOT } from "core/call.ts";
import { FopError } from "core/errno.ts";
import { type FopName, FOPS, O_RDWR } from "core/fops.ts";
import { isDirectory, isRegular, S_IFCHR } from "core/iatt.ts";
import { Fd, type Gfid, type Inode, ROOT_GFID } from "core/inode.ts";
import { ptr, Xdata } from "core/xdata.ts";
import type { Live } from "snapshot/engine/live.ts";
import type { View } from "snapshot/engine/view.ts";
import { BrickFiles } from "snapshot/brick_files.ts";
import { gfidReq, TestBrick } from "tests/fakes/posix_brick.ts";
import { seeded } from "tests/fakes/seeded.ts";
import { snapshotLayer } from "tests/fakes/snapshot_layer.ts";
import type { Snapshot } from "xlators/features/snapshot/snapshot.ts";

const NAMES = ["a", "b", "c", "d", "ü".repeat(60)];
const UNIT = 4096, FILE_MAX = 12 * UNIT;
const MARK = "trusted.afr.v-client-1";

/** All that a side has, by path. */
type Copy = Map<string, Record<string, string | number>>;

/** See the head of this file. */
export class RestoreStory {
  readonly #random: (below: number) => number;
  #brick: TestBrick;
  #layer!: Snapshot;
  #epoch = 0;
  #made = 0;
  readonly #snapshots = new Map<string, Copy>();

  private constructor(seed: number, brick: TestBrick) {
    this.#random = seeded(seed);
    this.#brick = brick;
  }

  /** Tells it. Throws what is wrong. */
  static async tell(seed: number): Promise<void> {
    const story = new RestoreStory(seed, await TestBrick.start());
    try {
      await story.#tell();
    } finally {
      await story.#layer.stop();
      await story.#brick.remove();
    }
  }

  async #tell(): Promise<void> {
    this.#layer = await snapshotLayer(this.#brick);
    for (let chapter = 0; chapter < 3; chapter++) {
      for (let count = 10 + this.#random(30); count > 0; count--) await this.#change();
      await this.#take();
    }
    for (let count = this.#random(40); count > 0; count--) await this.#change();
    for (let times = 1 + this.#random(2); times > 0; times--) {
      await this.#goBack();
      for (let count = this.#random(10); count > 0; count--) await this.#change();
      if (this.#random(2)) await this.#take();
    }
  }

  #pick<T>(from: readonly T[]): T {
    return from[this.#random(from.length)]!;
  }

  async #take(): Promise<void> {
    const number = (++this.#epoch).toString(16).padStart(12, "0");
    const id = `5c0de000-0000-4000-8000-${number}`;
    await this.#layer.histories.take(undefined, {
      ...{ id, kind: "snapshot", file: undefined, epoch: this.#epoch, name: `s${number}` },
      ...{ created: 0, active: true },
    });
    this.#snapshots.set(id, await copyOf(liveOf(this.#brick)));
  }

  async #goBack(): Promise<void> {
    const id = this.#pick([...this.#snapshots.keys()]);
    const killAt = this.#random(2) ? this.#random(60) : -1, place = `${this.#brick.path}-killed`;
    const killed = countFops(this.#brick, (count) => {
      if (count === killAt) copyDisk(this.#brick.path, place);
    });
    await restore(this.#layer, id);
    killed.end();
    await this.#check(this.#brick, this.#layer, id, "restored");
    if (killed.count <= killAt || killAt < 0) return;
    const after = await TestBrick.start({}, place);
    const layer = await snapshotLayer(after);
    try {
      await restore(layer, id);
      await this.#check(after, layer, id, `killed before fop ${killAt}`);
    } finally {
      await layer.stop();
      await after.remove();
    }
  }

  async #check(brick: TestBrick, layer: Snapshot, id: string, what: string): Promise<void> {
    deepEqual(await copyOf(liveOf(brick)), this.#snapshots.get(id), `${what}: live`);
    for (const [each, copy] of this.#snapshots) {
      deepEqual(await copyOf(layer.history!.view(each)!), copy, `${what}: snapshot ${each}`);
    }
    equalHandles(brick, await copyOf(liveOf(brick)), what);
  }

  async #change(): Promise<void> {
    try {
      await this.#changed();
    } catch (error) {
      // A name that is in use, a directory that is not empty.
      if (!(error instanceof FopError)) throw error;
    }
  }

  async #changed(): Promise<void> {
    const layer = this.#layer, random = this.#random;
    const all = await inodesOf(this.#brick);
    const parent = this.#pick(all.filter(({ type }) => type === "d")).inode;
    const any = this.#pick(all), file = this.#pick(all.filter(({ type }) => type === "f"));
    const name = this.#pick(NAMES), entry = { parent, name, umask: 0, xdata: this.#gfid() };
    switch (random(14)) {
      case 0:
      case 1:
        return void await layer.mkdir(ROOT, { ...entry, mode: 0o755 });
      case 2:
      case 3:
        return void await layer.mknod(ROOT, { ...entry, mode: 0o644, rdev: 0 });
      case 4:
        return void await layer.symlink(ROOT, { ...entry, target: `to-${random(9)}` });
      case 5:
        return void await layer.mknod(ROOT, { ...entry, mode: S_IFCHR | 0o600, rdev: 0x507 });
      case 6:
        if (any.parent) await remove(layer, any.parent, any.name, random(4) ? 0 : 1);
        return;
      case 7:
      case 8:
        if (any.parent) {
          const to = { newParent: parent, newName: name };
          await layer.rename(ROOT, { oldParent: any.parent, oldName: any.name, ...to });
        }
        return;
      case 9:
        if (file) await layer.link(ROOT, { inode: file.inode, parent, name });
        return;
      case 10:
        return await this.#attributes(any.inode);
      default:
        if (file) await this.#write(file.inode);
    }
  }

  async #write(inode: Inode): Promise<void> {
    const random = this.#random, fd = new Fd(inode, O_RDWR, true), offset = random(FILE_MAX);
    if (random(5) === 0) return void await this.#layer.ftruncate(ROOT, { fd, offset });
    const data = new Uint8Array(1 + random(3 * UNIT)).fill(random(256));
    await this.#layer.writev(ROOT, { fd, offset, data, flags: 0 });
  }

  async #attributes(inode: Inode): Promise<void> {
    const random = this.#random, layer = this.#layer, number = new Uint8Array([random(256)]);
    const uid = random(3) * 1000, mtime = { sec: random(1e9), nsec: random(1e9) };
    const marks = Xdata.of([[
      MARK,
      ptr(new Uint8Array([0, 0, 0, random(3), 0, 0, 0, 0, 0, 0, 0, 0])),
    ]]);
    await layer.setattr(ROOT, { inode, changes: { uid, mode: random(0o1000), mtime } });
    if (random(3) === 0) await layer.xattrop(ROOT, { inode, op: "add32", xattrs: marks });
    const xattrs = Xdata.of([[`user.${random(3)}`, ptr(number)]]);
    await layer.setxattr(ROOT, { inode, xattrs, flags: 0 });
  }

  #gfid(): Xdata {
    const number = (++this.#made).toString(16).padStart(8, "0");
    return gfidReq(`${number}-0000-4000-8000-000000000000` as Gfid);
  }
}

async function remove(layer: Snapshot, parent: Inode, name: string, flags: number): Promise<void> {
  try {
    await layer.unlink(ROOT, { parent, name, flags: 0 });
  } catch (error) {
    if (!(error instanceof FopError)) throw error;
    await layer.rmdir({ ...ROOT, pid: PID_SELF_HEAL }, { parent, name, flags });
  }
}

function restore(layer: Snapshot, id: string): Promise<void> {
  return layer.histories.restoreVolume(id, async (inode, xattrs) => {
    await layer.xattrop(ROOT, { inode, op: "add32", xattrs });
  });
}

function liveOf(brick: TestBrick): BrickFiles {
  return new BrickFiles(brick.top, brick.inodes, brick.path);
}

interface Found {
  readonly inode: Inode;
  readonly parent: Inode | undefined;
  readonly name: string;
  readonly type: "d" | "f" | "other";
}

async function inodesOf(brick: TestBrick): Promise<Found[]> {
  const found: Found[] = [], live = liveOf(brick);
  const visit = async (gfid: Gfid, parent: Inode | undefined, name: string) => {
    const state = (await live.inode(gfid))!, inode = brick.inodes.of(gfid);
    const type = isDirectory(state.iatt) ? "d" : isRegular(state.iatt) ? "f" : "other";
    found.push({ inode, parent, name, type });
    if (type !== "d") return;
    for (const each of await live.entries(gfid)) await visit(each.gfid, inode, each.name);
  };
  await visit(ROOT_GFID, undefined, "");
  live.forget();
  return found;
}

async function copyOf(side: Live | View): Promise<Copy> {
  const copy: Copy = new Map();
  const visit = async (path: string, gfid: Gfid) => {
    const { iatt, xattrs, target = "" } = (await side.inode(gfid))!;
    const { mode, uid, gid, mtime, mtimeNsec, rdev } = iatt;
    const facts: Record<string, string | number> = {
      gfid,
      mode,
      uid,
      gid,
      mtime,
      mtimeNsec,
      target,
    };
    for (const [name, value] of [...xattrs].sort()) {
      // Counters that are zero are as good as none.
      if (name !== MARK || value.some((byte) => byte !== 0)) facts[name] = value.toHex();
    }
    copy.set(path, facts);
    if (isDirectory(iatt)) {
      const entries = [...await side.entries(gfid)].sort((a, b) => a.name < b.name ? -1 : 1);
      for (const { name, gfid } of entries) await visit(`${path}/${name}`, gfid);
      return;
    }
    Object.assign(facts, { nlink: iatt.nlink, rdev });
    if (!isRegular(iatt)) return;
    const data = new Uint8Array(iatt.size);
    await side.read(gfid, 0, data);
    Object.assign(facts, { size: iatt.size, data: runs(data) });
  };
  await visit("", ROOT_GFID);
  if (side instanceof BrickFiles) side.forget();
  return copy;
}

/** Data as runs of equal bytes, which is short and can be read. */
function runs(data: Uint8Array): string {
  let text = "";
  for (let at = 0; at < data.length;) {
    let end = at + 1;
    while (end < data.length && data[end] === data[at]) end++;
    text += `${data[at]}x${end - at} `;
    at = end;
  }
  return text;
}

/** Calls `before` ahead of each fop that changes the brick's files; `end` ends that. */
function countFops(brick: TestBrick, before: (count: number) => void) {
  type Wound = (call: Call, args: unknown) => Promise<unknown>;
  const top = brick.top as unknown as Record<string, Wound>, changed: FopName[] = [];
  const counted = {
    count: 0,
    end() {
      for (const fop of changed) delete top[fop];
    },
  };
  for (const fop of Object.keys(FOPS) as FopName[]) {
    if (FOPS[fop].kind !== "modify") continue;
    const wind = top[fop]!;
    top[fop] = (call, args) => {
      before(counted.count++);
      return wind.call(top, call, args);
    };
    changed.push(fop);
  }
  return counted;
}

/** At once: nothing goes on meanwhile. */
function copyDisk(from: string, to: string): void {
  const { success, stderr } = new Deno.Command("cp", { args: ["-a", from, to] }).outputSync();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}

/** Each inode has a handle, and there is none that no inode has. */
function equalHandles(brick: TestBrick, copy: Copy, what: string): void {
  const handles: string[] = [], base = `${brick.path}/.glusterfs`;
  for (const { name: first } of Deno.readDirSync(base)) {
    if (!/^[0-9a-f]{2}$/.test(first)) continue;
    for (const { name: second } of Deno.readDirSync(`${base}/${first}`)) {
      for (const { name } of Deno.readDirSync(`${base}/${first}/${second}`)) handles.push(name);
    }
  }
  const wanted = new Set([...copy.values()].map(({ gfid }) => String(gfid)));
  deepEqual(handles.sort(), [...wanted].sort(), `${what}: handles`);
}
