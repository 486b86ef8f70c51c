/**
 * A random story of a small volume with a history: changes, several at a time, snapshots of it and
 * of single files, removals, restarts, and kills at any moment. After every step what snapshots show
 * is compared with naive copies. The same seed tells the same story.
 */

import { S_IFREG } from "core/iatt.ts";
import { type Gfid, ROOT_GFID } from "core/inode.ts";
import type { Sides } from "snapshot/engine/diff.ts";
import { History } from "snapshot/engine/history.ts";
import type { Durability } from "snapshot/engine/journal.ts";
import type { Live } from "snapshot/engine/live.ts";
import type { View } from "snapshot/engine/view.ts";
import { allChanges, checkData, type Touch } from "tests/history/differences.ts";
import { checkCopied } from "tests/history/copied.ts";
import { checkHoles } from "tests/history/holes.ts";
import { atKillPoints, copyFiles } from "tests/history/kill_points.ts";
import { testEnv } from "tests/fakes/node.ts";
import { seeded } from "tests/fakes/seeded.ts";
import { SmallVolume, type VolumeCopy, xattrOf } from "tests/fakes/small_volume.ts";

/** A snapshot shows something else than it should. */
export class StoryFailure extends Error {
  override name = "StoryFailure";
}

const FILE_UNITS = 12, UNIT = 4096;
const NAMES = ["a", "b", "c", "d", "e"];

interface Killed {
  /** The call that was not made any more. */
  readonly before: string;
  readonly place: string;
  readonly volume: SmallVolume;
  /** What had been acknowledged. */
  readonly taken: ReadonlyMap<string, Taken>;
}

interface Taken {
  readonly copy: VolumeCopy;
  /** How many touches there had been. */
  readonly touches: number;
  readonly file: Gfid | undefined;
}

/** One story. */
export class Story {
  readonly #random: (below: number) => number;
  readonly #directory: string;
  #volume: SmallVolume;
  #history!: History;
  #taken = new Map<string, Taken>();
  #made = 0;
  #epoch = 0;
  /** What was changed, in order. */
  readonly #touches: Touch[] = [];
  /** What happened, a line each. */
  readonly lines: string[] = [];
  /** Disks that a kill would have left in this step; undefined: nobody looks. */
  #killed: Killed[] | undefined;

  private constructor(seed: number, directory: string) {
    this.#random = seeded(seed);
    this.#directory = directory;
    this.#volume = new SmallVolume(
      `${directory}/0/data`,
      () => this.#random(3) * this.#random(20),
      seed % 2 === 0,
    );
  }

  /**
   * Tells `steps` steps of the story of a seed in `directory`. `kills`: every disk that a kill would
   * leave is looked at; `copies`: another copy of the brick gets the history. Throws StoryFailure.
   */
  static async tell(
    seed: number,
    steps: number,
    directory: string,
    { kills = false, copies = false } = {},
  ): Promise<Story> {
    const story = new Story(seed, directory);
    const durability: Durability = story.#random(4) ? "relaxed" : "strict";
    story.#history = await story.#opened(`${directory}/0`, durability);
    try {
      for (let step = 0; step < steps; step++) {
        if (kills) await story.#stepWithKills();
        else await story.#step();
      }
      await story.#check("at the end");
      await story.#differences();
      if (copies) await story.#copy();
      await story.#end();
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      throw new StoryFailure(`seed ${seed}: ${error.message}\n${story.lines.join("\n")}`, {
        cause: error,
      });
    } finally {
      await story.#history.close();
    }
    return story;
  }

  #opened(directory: string, durability: Durability): Promise<History> {
    const live = this.#volume;
    return History.open({ directory: `${directory}/history`, live, durability, env: testEnv() });
  }

  #pick<T>(from: readonly T[]): T {
    return from[this.#random(from.length)]!;
  }

  async #step(): Promise<void> {
    const kind = this.#random(20);
    if (kind < 12) await this.#changes();
    else if (kind < 15) await this.#take();
    else if (kind < 17) await this.#remove();
    else if (kind < 18) await this.#restart();
    else if (kind < 19) await (this.#killed ? this.#changes() : this.#kill());
    else if (this.#random(2)) await this.#readBeside();
    else await this.#differences();
    if (this.#random(3) === 0) await this.#check("after it");
  }

  /** One step, and then all disks that a kill in it would have left. */
  async #stepWithKills(): Promise<void> {
    const killed: Killed[] = this.#killed = [];
    {
      using _ = atKillPoints((before) => {
        const place = `${this.#directory}/killed-${killed.length}`;
        copyFiles(`${this.#directory}/0`, place);
        const volume = this.#volume.movedTo(`${place}/data`);
        killed.push({ before, place, volume, taken: new Map(this.#taken) });
      });
      await this.#step();
      await this.#history.collected();
    }
    this.#killed = undefined;
    this.killPoints += killed.length;
    for (const [number, kill] of killed.entries()) {
      try {
        await this.#afterKill(kill);
      } catch (error) {
        const { message } = error as Error;
        throw new StoryFailure(`kill ${number}, before ${kill.before}: ${message}`, {
          cause: error,
        });
      }
    }
  }

  /** How many disks of kills were looked at. */
  killPoints = 0;

  async #afterKill({ place, volume, taken }: Killed): Promise<void> {
    const lived = this.#volume, history = this.#history;
    this.#volume = volume;
    const after = await this.#opened(place, history.durability);
    this.#volume = lived;
    try {
      // All files are there.
      volume.copy();
      for (const [id, { copy, file }] of taken) await compare(id, after.view(id), copy, file);
      for (const { id } of after.readers.list()) await after.remove(id);
      await after.collected();
      const { rows, bytes } = after.usage(), kept = [...Deno.readDirSync(`${place}/history/kept`)];
      if (rows || bytes || kept.length) {
        throw new StoryFailure(`${rows} rows, ${bytes} bytes, ${kept.length} files are left`);
      }
    } finally {
      await after.close();
      Deno.removeSync(place, { recursive: true });
    }
  }

  /** Several changes at a time. */
  async #changes(): Promise<void> {
    const changes = Array.from({ length: 1 + this.#random(4) }, () => this.#change());
    await Promise.all(changes);
  }

  #files(): Gfid[] {
    return [...this.#volume.files.keys()];
  }

  #change(): Promise<void> {
    const { preserve } = this.#history;
    const parent = this.#pick([...this.#volume.directories.keys()]);
    const name = this.#pick(NAMES);
    const kind = this.#random(12);
    const gfid = this.#pick(this.#files());
    const offset = this.#random(FILE_UNITS * UNIT), size = 1 + this.#random(3 * UNIT);
    const fill = this.#random(4) === 0 ? 0 : 1 + this.#random(255);
    return this.#history.change(async () => {
      const volume = this.#volume;
      if (kind < 3) return await this.#make(parent, name, kind === 0);
      if (kind < 5) return await this.#leave(parent, name);
      if (!gfid || !volume.files.has(gfid)) return;
      if (kind < 9) {
        this.lines.push(`write ${gfid.slice(0, 4)} ${offset}+${size} ${fill}`);
        this.#touch(gfid, Math.min(offset, volume.size(gfid)), offset + size);
        await preserve.data(gfid, offset, size);
        if (volume.files.has(gfid)) volume.write(gfid, offset, new Uint8Array(size).fill(fill));
      } else if (kind === 9) {
        this.lines.push(`truncate ${gfid.slice(0, 4)} ${offset}`);
        this.#touch(gfid, Math.min(offset, volume.size(gfid)), Infinity);
        await preserve.truncate(gfid, offset);
        if (volume.files.has(gfid)) volume.truncate(gfid, offset);
      } else if (kind === 10) {
        this.#touch(gfid);
        await preserve.inode(gfid);
        const file = volume.files.get(gfid);
        if (file) {
          file.mode = S_IFREG | this.#random(0o1000);
          file.xattr = this.#random(256);
        }
        this.lines.push(`attributes ${gfid.slice(0, 4)}`);
      } else await this.#link(parent, name, gfid);
    });
  }

  #touch(gfid: Gfid, start = 0, end = start): void {
    this.#touches.push({ gfid, start, end });
  }

  // Two changes of one name do not happen at a time: locks of the layers above see to that.
  readonly #names = new Set<string>();

  async #named(parent: Gfid, name: string, change: () => Promise<void>): Promise<void> {
    const key = `${parent}/${name}`;
    if (this.#names.has(key)) return;
    this.#names.add(key);
    try {
      await change();
    } finally {
      this.#names.delete(key);
    }
  }

  #make(parent: Gfid, name: string, isDirectory: boolean): Promise<void> {
    return this.#named(parent, name, async () => {
      const { preserve } = this.#history, volume = this.#volume;
      const gfid = this.#newGfid();
      if (volume.directories.get(parent)?.has(name) !== false) return;
      this.#touch(parent);
      this.#touch(gfid);
      await preserve.entry(parent, name);
      await preserve.inode(gfid);
      if (!volume.directories.has(parent)) return;
      this.lines.push(`${isDirectory ? "mkdir" : "make"} ${gfid.slice(0, 4)} ${name}`);
      if (isDirectory) volume.makeDirectory(parent, name, gfid);
      else volume.make(parent, name, gfid);
    });
  }

  #leave(parent: Gfid, name: string): Promise<void> {
    return this.#named(parent, name, async () => {
      const { preserve } = this.#history, volume = this.#volume;
      const gfid = volume.directories.get(parent)?.get(name);
      if (gfid === undefined) return;
      this.#touch(parent);
      this.#touch(gfid);
      const leaving = await preserve.leaving(parent, name);
      if (volume.directories.has(gfid)) {
        if (volume.directories.get(gfid)!.size || this.#busyIn(gfid)) return leaving?.done(false);
        this.lines.push(`rmdir ${gfid.slice(0, 4)} ${name}`);
        return volume.removeDirectory(parent, name);
      }
      const keep = leaving && `${volume.directory}/../history/kept/${leaving.name}`;
      const kept = volume.unlink(parent, name, keep);
      this.lines.push(`unlink ${gfid.slice(0, 4)} ${name}${kept ? ", kept" : ""}`);
      leaving?.done(kept);
    });
  }

  #busyIn(directory: Gfid): boolean {
    return [...this.#names].some((key) => key.startsWith(directory));
  }

  #link(parent: Gfid, name: string, gfid: Gfid): Promise<void> {
    return this.#named(parent, name, async () => {
      const { preserve } = this.#history, volume = this.#volume;
      if (volume.directories.get(parent)?.has(name) !== false) return;
      this.#touch(parent);
      this.#touch(gfid);
      await preserve.entry(parent, name);
      await preserve.inode(gfid);
      if (!volume.directories.has(parent) || !volume.files.has(gfid)) return;
      this.lines.push(`link ${gfid.slice(0, 4)} ${name}`);
      volume.link(parent, name, gfid);
    });
  }

  #newGfid(): Gfid {
    const number = (++this.#made).toString(16).padStart(4, "0");
    return `${number}0000-0000-4000-8000-000000000000` as Gfid;
  }

  async #take(): Promise<void> {
    const id = `s${this.#made++}`;
    const file = this.#random(4) === 0 ? this.#pick(this.#files()) : undefined;
    const epoch = this.#epoch += 1 + this.#random(2);
    await this.#history.take({
      ...{ id, kind: "snapshot", file, epoch, name: id, created: 0, active: true },
    });
    this.#taken.set(id, { copy: this.#volume.copy(), file, touches: this.#touches.length });
    this.lines.push(`take ${id} epoch ${epoch}${file ? ` of ${file.slice(0, 4)}` : ""}`);
  }

  async #remove(): Promise<string | undefined> {
    const id = this.#pick([...this.#taken.keys()]);
    if (id === undefined) return undefined;
    this.lines.push(`remove ${id}`);
    this.#taken.delete(id);
    await this.#history.remove(id);
    if (this.#random(2)) await this.#history.collected();
    return id;
  }

  async #restart(): Promise<void> {
    this.lines.push("restart");
    const { durability } = this.#history;
    await this.#history.close();
    this.#history = await this.#opened(`${this.#directory}/0`, durability);
  }

  /** Stops the process at some moment of some changes: a copy of its disk is opened and compared. */
  async #kill(): Promise<void> {
    const { durability } = this.#history;
    const changes = this.#changes();
    for (let turns = this.#random(30); turns > 0; turns--) await undefined;
    const place = `${this.#directory}/killed`;
    copyFiles(`${this.#directory}/0`, place);
    const lived = this.#volume, taken = new Map(this.#taken);
    const moved = lived.movedTo(`${place}/data`);
    await changes;
    this.lines.push("kill, and compare");
    const history = this.#history;
    this.#volume = moved;
    this.#history = await this.#opened(place, durability);
    const both = async () => {
      for (const [id, { copy, file }] of taken) {
        await compare(id, this.#history.view(id), copy, file);
      }
    };
    try {
      await both();
      // What comes next is done to a disk that was left in the middle of something.
      for (let more = this.#random(3); more > 0; more--) await this.#changes();
      await this.#history.collected();
      await both();
    } finally {
      await this.#history.close();
      Deno.removeSync(place, { recursive: true });
      this.#volume = lived;
      this.#history = history;
    }
  }

  /** Looks at a snapshot while changes are under way. */
  async #readBeside(): Promise<void> {
    const changes = this.#changes();
    const checks = this.#check("beside changes");
    await changes;
    await checks;
  }

  /** Every two snapshots, and each and now, both ways: what differs is told, and nothing else. */
  async #differences(): Promise<void> {
    const now = { copy: this.#volume.copy(), file: undefined, touches: this.#touches.length };
    const all: [string | undefined, Taken][] = [...this.#taken, [undefined, now]];
    for (const [old, before] of this.#taken) {
      for (const [id, after] of all) {
        const { file } = before, other = after.file ?? file;
        if (id === old || (file ?? other) !== other) continue;
        try {
          await this.#difference(this.#history.sides(old, id), before, after);
        } catch (error) {
          const { message } = error as Error;
          throw new StoryFailure(`from ${old} to ${id ?? "now"}: ${message}`, { cause: error });
        }
      }
    }
  }

  async #difference(sides: Sides, before: Taken, after: Taken): Promise<void> {
    const { inodes, names } = await allChanges(sides, 1 + this.#random(4));
    const only = before.file ?? after.file;
    const places = (only ? [] : names).map(({ parent, name }) => `${parent}/${name}`);
    const wanted = only ? [] : differentNames(before.copy, after.copy);
    if (places.sort().join() !== wanted.sort().join()) {
      throw new StoryFailure(`names ${places} changed, not ${wanted}`);
    }
    const between = [before.touches, after.touches].sort((a, b) => a - b);
    const touches = this.#touches.slice(...between);
    for (const gfid of inodes.keys()) {
      if (only || touches.some((touch) => touch.gfid === gfid)) continue;
      throw new StoryFailure(`${gfid} is told, and nobody touched it`);
    }
    const files = new Set([...before.copy.files.keys(), ...after.copy.files.keys()]);
    for (const gfid of only ? [only] : files) {
      const was = before.copy.files.get(gfid), is = after.copy.files.get(gfid);
      const told = inodes.get(gfid);
      const differs = was && is && (was.mode !== is.mode || was.xattr !== is.xattr);
      if ((told?.attributes ?? false) !== (differs ?? false)) {
        throw new StoryFailure(`attributes of ${gfid} are told wrong`);
      }
      await checkData(sides, told, gfid, was?.data, is?.data, touches);
      if (only) continue;
      await compareNames(sides.before, before.copy, gfid);
      await compareNames(sides.after, after.copy, gfid);
    }
    for (const gfid of new Set([...before.copy.entries.keys(), ...after.copy.entries.keys()])) {
      if (only) break;
      const was = before.copy.entries.has(gfid), is = after.copy.entries.has(gfid);
      if (was === is) continue;
      const told = inodes.get(gfid);
      if (!told || !told.old !== !was) throw new StoryFailure(`directory ${gfid} is not told`);
      await compareNames(was ? sides.before : sides.after, (was ? before : after).copy, gfid);
    }
  }

  async #check(when: string): Promise<void> {
    for (const [id, { copy, file }] of [...this.#taken]) {
      try {
        await compare(id, this.#history.view(id), copy, file);
      } catch (error) {
        throw new StoryFailure(`${when}: ${(error as Error).message}`, { cause: error });
      }
    }
  }

  async #copy(): Promise<void> {
    this.lines.push("copy");
    const epoch = this.#epoch += 4;
    await checkCopied({
      ...{ random: this.#random, history: this.#history, volume: this.#volume, epoch },
      ...{ disk: `${this.#directory}/0`, place: `${this.#directory}/copy` },
      changes: () => this.#changes(),
      remove: () => this.#remove(),
      compare: async (history, when, some = false, own = new Map(), isArbiter = false) => {
        for (const [id, { copy, file }] of this.#taken) {
          if (some && !history.readers.get(id)) continue;
          const there = isArbiter ? emptied(copy) : copy;
          await compare(`${when}, ${id}`, history.view(id), there, file);
        }
        for (const [id, copy] of own) {
          await compare(`${when}, ${id}`, history.view(id), copy, undefined);
        }
      },
    });
    await this.#check("after it was copied");
  }

  /** Without readers nothing is left. */
  async #end(): Promise<void> {
    for (const id of this.#taken.keys()) await this.#history.remove(id);
    await this.#history.collected();
    const left = this.#history.usage();
    if (left.rows || left.bytes) {
      throw new StoryFailure(`${left.rows} rows and ${left.bytes} bytes are left without readers`);
    }
  }
}

/** As an arbiter has it. */
function emptied({ entries, files }: VolumeCopy): VolumeCopy {
  const data = new Uint8Array();
  return { entries, files: new Map([...files].map(([gfid, file]) => [gfid, { ...file, data }])) };
}

async function compare(
  id: string,
  view: View | undefined,
  copy: VolumeCopy,
  file: Gfid | undefined,
): Promise<void> {
  if (!view) throw new StoryFailure(`${id} is not there`);
  if (file !== undefined) return await compareFile(id, view, copy, file);
  const seen = new Set<Gfid>();
  const directories = [ROOT_GFID];
  for (let gfid; (gfid = directories.pop());) {
    const wanted = copy.entries.get(gfid)!;
    const found = await view.entries(gfid);
    const text = (names: Iterable<readonly [string, Gfid]>) => JSON.stringify([...names].sort());
    const names = text(found.map(({ name, gfid }) => [name, gfid] as const));
    if (names !== text(wanted)) {
      throw new StoryFailure(`${id}: names are ${names}, not ${text(wanted)}`);
    }
    for (const [name, child] of wanted) {
      const entry = await view.entry(gfid, name);
      if (entry?.gfid !== child) throw new StoryFailure(`${id}: ${name} is ${entry?.gfid}`);
      if (copy.entries.has(child)) directories.push(child);
      else if (!seen.has(child)) await compareFile(id, view, copy, child);
      seen.add(child);
    }
  }
  for (const name of NAMES) {
    const entry = await view.entry(ROOT_GFID, name);
    if (entry?.gfid !== copy.entries.get(ROOT_GFID)!.get(name)) {
      throw new StoryFailure(`${id}: ${name} is ${entry?.gfid}`);
    }
  }
}

async function compareFile(id: string, view: View, copy: VolumeCopy, gfid: Gfid): Promise<void> {
  const wanted = copy.files.get(gfid)!;
  const state = await view.inode(gfid);
  const where = `${id}: ${gfid.slice(0, 4)}`;
  if (!state) throw new StoryFailure(`${where} is not there`);
  const facts = [state.iatt.mode, state.iatt.nlink, state.iatt.size, xattrOf(state)];
  const right = [wanted.mode, wanted.nlink, wanted.data.length, wanted.xattr];
  if (facts.join() !== right.join()) {
    throw new StoryFailure(`${where}: mode, links, size, attribute are ${facts}, not ${right}`);
  }
  const data = new Uint8Array(wanted.data.length + 1);
  const count = await view.read(gfid, 0, data);
  if (count !== wanted.data.length) throw new StoryFailure(`${where}: ${count} bytes`);
  const at = wanted.data.findIndex((byte, index) => byte !== data[index]);
  if (at >= 0) {
    throw new StoryFailure(`${where}: byte ${at} is ${data[at]}, not ${wanted.data[at]}`);
  }
  await checkHoles(view, gfid, wanted.data);
}

function differentNames(before: VolumeCopy, after: VolumeCopy): string[] {
  const different: string[] = [];
  for (const parent of new Set([...before.entries.keys(), ...after.entries.keys()])) {
    const [was, is] = [before.entries.get(parent), after.entries.get(parent)];
    for (const name of new Set([...was?.keys() ?? [], ...is?.keys() ?? []])) {
      if (was?.get(name) !== is?.get(name)) different.push(`${parent}/${name}`);
    }
  }
  return different;
}

async function compareNames(side: View | Live, copy: VolumeCopy, gfid: Gfid): Promise<void> {
  const wanted = [...copy.entries].flatMap(([parent, names]) =>
    [...names].filter(([, child]) => child === gfid).map(([name]) => `${parent}/${name}`)
  );
  const found = (await side.names(gfid)).map(({ parent, name }) => `${parent}/${name}`);
  if (found.sort().join() === wanted.sort().join()) return;
  throw new StoryFailure(`names of ${gfid} are ${found}, not ${wanted}`);
}
