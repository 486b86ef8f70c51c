/**
 * A random story of files and clones of them: writes, holes, cuts and fallocates, several at a time,
 * snapshots, clones of what snapshots have (clones of clones among them), removals in any order,
 * restarts, and kills at any moment. After every step all files and all snapshots are compared with
 * naive copies. The same seed tells the same story.
 */

import { AT_FDCWD, cstring, sys } from "core/sys/calls.ts";
import { type Gfid, ROOT_GFID } from "core/inode.ts";
import { cut, flatten, overwrite, reserve } from "snapshot/engine/clone_change.ts";
import { NOW } from "snapshot/engine/clones.ts";
import { History } from "snapshot/engine/history.ts";
import { testEnv } from "tests/fakes/node.ts";
import { seeded } from "tests/fakes/seeded.ts";
import { copyDisk } from "tests/history/copied_disk.ts";
import { allChanges, checkData, type Touch } from "tests/history/differences.ts";
import { checkHoles } from "tests/history/holes.ts";
import { SmallVolume } from "tests/fakes/small_volume.ts";

/** A file, or a snapshot, has other data than it should. */
export class CloneStoryFailure extends Error {
  override name = "CloneStoryFailure";
}

type Contents = Map<Gfid, Uint8Array>;

interface Change {
  readonly gfid: Gfid;
  readonly offset: number;
  readonly size: number;
  readonly fill: number;
}

const UNIT = 4096, FILE_UNITS = 10, FILES_MAX = 9;
const O_RDWR = 2, PUNCH_HOLE_KEEP_SIZE = 3;

interface Taken {
  readonly contents: Contents;
  readonly file: Gfid | undefined;
  /** How many touches there had been. */
  readonly touches: number;
}

/** One story. */
export class CloneStory {
  readonly #random: (below: number) => number;
  readonly #root: string;
  #volume: SmallVolume;
  #history!: History;
  #contents: Contents = new Map();
  #taken = new Map<string, Taken>();
  /** Changes that are over. */
  #over: Change[] = [];
  #made = 0;
  #epoch = 0;
  readonly #touches: Touch[] = [];
  readonly #lines: string[] = [];

  private constructor(seed: number, root: string) {
    this.#random = seeded(seed);
    this.#root = root;
    this.#volume = new SmallVolume(
      `${root}/0/data`,
      () => this.#random(3) * this.#random(20),
      seed % 2 === 0,
    );
  }

  /** Tells `steps` steps of the story of a seed in `root`. Throws CloneStoryFailure. */
  static async tell(seed: number, steps: number, root: string): Promise<void> {
    const story = new CloneStory(seed, root);
    story.#history = await story.#opened(`${root}/0`);
    try {
      for (let step = 0; step < steps; step++) {
        await story.#step();
        await story.#check();
      }
      await story.#end();
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      throw new CloneStoryFailure(`seed ${seed}: ${error.message}\n${story.#lines.join("\n")}`, {
        cause: error,
      });
    } finally {
      await story.#history.close();
    }
  }

  #opened(directory: string): Promise<History> {
    const live = this.#volume, env = testEnv();
    return History.open({ directory: `${directory}/history`, live, durability: "relaxed", env });
  }

  #pick<T>(from: readonly T[]): T | undefined {
    return from[this.#random(Math.max(1, from.length))];
  }

  async #step(): Promise<void> {
    const kind = this.#random(20);
    if (kind < 8) await this.#changes();
    else if (kind < 10) await this.#take();
    else if (kind < 14) await this.#clone();
    else if (kind < 15) await this.#unlink();
    else if (kind < 16) await this.#remove();
    else if (kind < 17) await (this.#random(2) ? this.#restart() : this.#differences());
    else if (kind < 18) await this.#flatten();
    else await this.#kill();
  }

  #newGfid(): Gfid {
    const number = (++this.#made).toString(16).padStart(4, "0");
    return `${number}0000-0000-4000-8000-000000000000` as Gfid;
  }

  #make(gfid: Gfid): Promise<void> {
    return this.#history.change(async () => {
      const { preserve } = this.#history;
      await preserve.entry(ROOT_GFID, gfid);
      await preserve.inode(gfid);
      this.#volume.make(ROOT_GFID, gfid, gfid);
    });
  }

  /** Several at a time that do not touch the same bytes. */
  async #changes(): Promise<readonly Change[]> {
    const file = this.#pick([...this.#contents.keys()]);
    if (!file || (this.#contents.size < FILES_MAX && this.#random(4) === 0)) {
      const gfid = this.#newGfid();
      await this.#make(gfid);
      this.#lines.push(`make ${gfid.slice(0, 4)}`);
      this.#contents.set(gfid, new Uint8Array());
      return [];
    }
    if (this.#random(5) === 0) {
      const size = this.#random(3) === 0 ? 0 : this.#random(FILE_UNITS * UNIT);
      await this.#cut(file, size);
      return [];
    }
    const changes: Change[] = [];
    for (let at = this.#random(UNIT); changes.length < 4 && at < FILE_UNITS * UNIT;) {
      const aligned = this.#random(3) === 0 ? Math.floor(at / UNIT) * UNIT : at;
      const offset = changes.length ? at : aligned;
      const size = this.#random(2) ? 1 + this.#random(700) : (1 + this.#random(2)) * UNIT;
      const gfid = this.#random(3) ? file : this.#pick([...this.#contents.keys()])!;
      changes.push({ gfid, offset, size, fill: this.#random(256) });
      at = offset + size + this.#random(2) * this.#random(UNIT);
    }
    await Promise.all(changes.map(async (change) => {
      await this.#change(change);
      this.#over.push(change);
    }));
    return changes;
  }

  async #change({ gfid, offset, size, fill }: Change): Promise<void> {
    const history = this.#history, volume = this.#volume;
    const how = this.#random(6);
    await history.change(async () => {
      this.#touch(gfid, offset, offset + size);
      await history.preserve.data(gfid, offset, size);
      const old = this.#contents.get(gfid)!;
      const within = offset + size <= old.length;
      const clone = history.clones.get(gfid), file = this.#file(gfid);
      const change = { offset, size };
      if (how === 0 && within) {
        this.#lines.push(`punch ${gfid.slice(0, 4)} ${offset}+${size}`);
        const run = () => Promise.resolve(punch(volume.path(gfid), offset, size));
        await (clone
          ? overwrite(history.clones, clone, file, { ...change, holes: true }, run)
          : run());
        this.#replace(gfid, offset, new Uint8Array(size));
        return;
      }
      if (how === 1 && within && clone) {
        this.#lines.push(`reserve ${gfid.slice(0, 4)} ${offset}+${size}`);
        return await reserve(history.clones, clone, file, change, () => Promise.resolve());
      }
      this.#lines.push(`write ${gfid.slice(0, 4)} ${offset}+${size} ${fill}`);
      const data = new Uint8Array(size).fill(fill);
      const run = () => Promise.resolve(volume.write(gfid, offset, data));
      await (clone ? overwrite(history.clones, clone, file, change, run) : run());
      this.#replace(gfid, offset, data);
    });
  }

  // The other changes of the same file went on meanwhile.
  #replace(gfid: Gfid, offset: number, data: Uint8Array): void {
    const old = this.#contents.get(gfid)!;
    const now = new Uint8Array(Math.max(old.length, offset + data.length));
    now.set(old);
    now.set(data, offset);
    this.#contents.set(gfid, now);
  }

  // What was beyond the file's end changes, too.
  #touch(gfid: Gfid, start: number, end: number): void {
    const size = this.#contents.get(gfid)!.length;
    this.#touches.push({ gfid, start: Math.min(start, size), end });
  }

  #file(gfid: Gfid) {
    const volume = this.#volume;
    return {
      write: async (offset: number, bytes: Uint8Array) => {
        for (let turns = this.#random(4); turns > 0; turns--) await undefined;
        volume.write(gfid, offset, bytes);
      },
      sync: () => Promise.resolve(),
    };
  }

  async #cut(gfid: Gfid, size: number): Promise<void> {
    const history = this.#history, volume = this.#volume;
    this.#touch(gfid, size, Infinity);
    this.#lines.push(`cut ${gfid.slice(0, 4)} ${size}`);
    await history.change(async () => {
      await history.preserve.truncate(gfid, size);
      const clone = history.clones.get(gfid);
      const run = () => Promise.resolve(volume.truncate(gfid, size));
      await (clone ? cut(history.clones, clone, this.#file(gfid), size, run) : run());
    });
    const now = new Uint8Array(size);
    now.set(this.#contents.get(gfid)!.subarray(0, size));
    this.#contents.set(gfid, now);
  }

  async #take(): Promise<void> {
    const id = `s${this.#made++}`;
    const file = this.#random(3) === 0 ? this.#pick([...this.#contents.keys()]) : undefined;
    const epoch = this.#epoch = Math.max(this.#epoch, this.#history.epoch) + this.#random(2);
    await this.#history.take({
      ...{ id, kind: "snapshot", file, epoch, name: id, created: 0, active: true },
    });
    this.#lines.push(`take ${id} epoch ${epoch}${file ? ` of ${file.slice(0, 4)}` : ""}`);
    this.#taken.set(id, {
      ...{ contents: new Map(this.#contents), file, touches: this.#touches.length },
    });
  }

  async #clone(): Promise<void> {
    const id = this.#pick([...this.#taken.keys()]);
    if (id === undefined || this.#contents.size >= FILES_MAX) return;
    const { contents, file } = this.#taken.get(id)!;
    const source = file ?? this.#pick([...contents.keys()]);
    if (source === undefined) return;
    const gfid = this.#newGfid(), history = this.#history;
    await this.#make(gfid);
    const reader = { id: `c${gfid}`, kind: "clone", file: source, name: "", created: 0 } as const;
    const { iatt } = (await history.view(id)!.inode(source))!;
    const clone = await history.clone(gfid, id, { ...reader, active: false }, iatt);
    this.#volume.truncate(gfid, iatt.size);
    const edge = iatt.size % UNIT, data = contents.get(source)!;
    if (edge) this.#volume.write(gfid, iatt.size - edge, data.subarray(iatt.size - edge));
    if (clone.units === 0) await history.clones.finish(clone);
    this.#lines.push(`clone ${gfid.slice(0, 4)} of ${source.slice(0, 4)} in ${id}`);
    this.#contents.set(gfid, data);
  }

  async #unlink(): Promise<void> {
    const gfid = this.#pick([...this.#contents.keys()]);
    if (gfid === undefined) return;
    const history = this.#history, volume = this.#volume;
    await history.change(async () => {
      const leaving = await history.preserve.leaving(ROOT_GFID, gfid);
      const keep = leaving && `${volume.directory}/../history/kept/${leaving.name}`;
      const kept = volume.unlink(ROOT_GFID, gfid, keep);
      this.#lines.push(`unlink ${gfid.slice(0, 4)}${kept ? `, kept as ${leaving?.name}` : ""}`);
      leaving?.done(kept);
      history.clones.left(gfid, kept ? leaving?.name : undefined);
    });
    this.#contents.delete(gfid);
  }

  async #remove(): Promise<void> {
    const id = this.#pick([...this.#taken.keys()]);
    if (id === undefined) return;
    this.#lines.push(`remove ${id}`);
    this.#taken.delete(id);
    await this.#history.remove(id);
    if (this.#random(2)) await this.#history.collected();
  }

  async #flatten(): Promise<void> {
    const clone = this.#pick(this.#history.clones.list());
    if (!clone) return;
    this.#lines.push(`flatten ${clone.gfid.slice(0, 4)}`);
    const turn = () => Promise.resolve();
    await flatten(this.#history.clones, clone, this.#file(clone.gfid), turn);
  }

  async #restart(): Promise<void> {
    this.#lines.push("restart");
    await this.#history.close();
    this.#history = await this.#opened(`${this.#root}/0`);
  }

  /** Stops the process at some moment of some changes: a copy of its disk is opened and compared. */
  async #kill(): Promise<void> {
    const before = new Map(this.#contents), taken = new Map(this.#taken);
    this.#over = [];
    const changes = this.#changes();
    for (let turns = this.#random(40); turns > 0; turns--) await undefined;
    const place = `${this.#root}/killed`, lived = this.#volume, history = this.#history;
    copyDisk(`${this.#root}/0`, place);
    const moved = lived.movedTo(`${place}/data`), over = [...this.#over];
    await changes;
    this.#lines.push("kill, and compare");
    this.#volume = moved;
    this.#history = await this.#opened(place);
    try {
      await this.#history.collected();
      for (const [id, { contents, file }] of taken) await this.#compareView(id, contents, file);
      for (const [gfid, was] of before) {
        const is = this.#contents.get(gfid)!;
        const found = await this.#data(gfid);
        const at = found.findIndex((byte, at) => byte !== (was[at] ?? 0) && byte !== (is[at] ?? 0));
        if (at >= 0) throw new Error(`after a kill byte ${at} of ${gfid} is ${found[at]}`);
        for (const { offset, size } of over.filter((change) => change.gfid === gfid)) {
          const lost = is.subarray(offset, offset + size).findIndex((byte, at) =>
            byte !== found[offset + at]
          );
          if (lost >= 0) throw new Error(`after a kill byte ${offset + lost} of ${gfid} is lost`);
        }
      }
    } finally {
      await this.#history.close();
      Deno.removeSync(place, { recursive: true });
      this.#volume = lived;
      this.#history = history;
    }
  }

  async #data(gfid: Gfid): Promise<Uint8Array> {
    const { size } = Deno.statSync(this.#volume.path(gfid));
    const data = new Uint8Array(size);
    await this.#history.clones.read(gfid, NOW, 0, data);
    return data;
  }

  async #check(): Promise<void> {
    for (const [gfid, wanted] of this.#contents) {
      const found = await this.#data(gfid);
      if (found.length !== wanted.length) throw new Error(`${gfid} has ${found.length} bytes`);
      const at = found.findIndex((byte, at) => byte !== wanted[at]);
      if (at >= 0) throw new Error(`byte ${at} of ${gfid} is ${found[at]}, not ${wanted[at]}`);
      this.#checkHoles(gfid, wanted);
    }
    for (const [id, { contents, file }] of this.#taken) await this.#compareView(id, contents, file);
  }

  /** Where no data is told there are zeros. */
  #checkHoles(gfid: Gfid, wanted: Uint8Array): void {
    for (let at = 0; at < wanted.length; at += UNIT) {
      const data = this.#history.clones.nextData(gfid, NOW, at, wanted.length) ?? wanted.length;
      if (wanted.subarray(at, data).some((byte) => byte !== 0)) {
        throw new Error(`${gfid} is said to have no data from ${at} to ${data}`);
      }
    }
  }

  /** Every two snapshots, and each and now: which data differs is told, of clones too. */
  async #differences(): Promise<void> {
    const { length: touches } = this.#touches;
    const now = { contents: this.#contents, file: undefined, touches };
    const all: [string | undefined, Taken][] = [...this.#taken, [undefined, now]];
    for (const [old, before] of this.#taken) {
      for (const [id, after] of all) {
        const only = before.file ?? after.file;
        if (after.touches < before.touches || (after.file ?? only) !== only || id === old) continue;
        const sides = this.#history.sides(old, id);
        const { inodes } = await allChanges(sides, 1 + this.#random(4));
        const between = this.#touches.slice(before.touches, after.touches);
        const { contents } = before;
        for (
          const gfid of only ? [only] : new Set([...contents.keys(), ...after.contents.keys()])
        ) {
          const was = contents.get(gfid), is = after.contents.get(gfid);
          await checkData(sides, inodes.get(gfid), gfid, was, is, between);
        }
      }
    }
  }

  async #compareView(id: string, contents: Contents, file: Gfid | undefined): Promise<void> {
    const view = this.#history.view(id)!;
    for (const [gfid, wanted] of contents) {
      if (file !== undefined && gfid !== file) continue;
      const found = new Uint8Array(wanted.length + 1);
      const count = await view.read(gfid, 0, found);
      const at = wanted.findIndex((byte, at) => byte !== found[at]);
      await checkHoles(view, gfid, wanted);
      if (count === wanted.length && at < 0) continue;
      throw new Error(`${id}: ${gfid} has ${count} bytes, byte ${at} is ${found[at]}`);
    }
  }

  /** Without readers and clones nothing is left, and clones alone are what they were. */
  async #end(): Promise<void> {
    await this.#differences();
    for (const id of this.#taken.keys()) await this.#history.remove(id);
    this.#taken.clear();
    await this.#history.collected();
    await this.#check();
    while (this.#contents.size) await this.#unlink();
    await this.#history.collected();
    const left = this.#history.usage(), readers = this.#history.readers.list();
    if (left.rows || left.bytes || readers.length) {
      throw new Error(`${left.rows} rows, ${left.bytes} bytes, ${readers.length} readers are left`);
    }
  }
}

function punch(path: string, offset: number, size: number): void {
  const fd = sys.openat(AT_FDCWD, cstring(path), O_RDWR, 0);
  const result = sys.fallocate(fd, PUNCH_HOLE_KEEP_SIZE, offset, size);
  sys.close(fd);
  if (result < 0) throw new Error(`Cannot punch a hole: ${result}`);
}
