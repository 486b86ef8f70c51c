/**
 * A random story of a brick and clones of it, clones of clones among them: each is changed by itself,
 * with snapshots that go at once, restarts, and kills of clones at any moment. All of them are
 * compared with naive copies again and again. The same seed tells the same story, but for kills: where
 * one hits depends on the disk.
 */

import { ROOT } from "core/call.ts";
import { FopError } from "core/errno.ts";
import { isDirectory, isRegular } from "core/iatt.ts";
import { type Gfid, ROOT_GFID } from "core/inode.ts";
import { withKey } from "core/xdata.ts";
import { GFID_REQ } from "core/xdata_keys.ts";
import { Files } from "tests/fakes/brick_files.ts";
import { TestBrick } from "tests/fakes/posix_brick.ts";
import { seeded } from "tests/fakes/seeded.ts";
import { snapshotLayer } from "tests/fakes/snapshot_layer.ts";
import { ClonedBrick, joinClone, takeSnapshot } from "tests/fakes/volume_clone.ts";
import { copyDisk } from "tests/history/copied_disk.ts";
import type { Snapshot } from "xlators/features/snapshot/snapshot.ts";

/** A brick has something else than it should. */
export class VolumeCloneFailure extends Error {
  override name = "VolumeCloneFailure";
}

const UNIT = 4096, CLONES_MAX = 4, NAMES = 5;

/** A naive copy. */
class Model {
  readonly names = new Map<Gfid, Map<string, Gfid>>([[ROOT_GFID, new Map()]]);
  readonly data = new Map<Gfid, Uint8Array>();
  readonly modes = new Map<Gfid, number>();

  copy(): Model {
    const copy = new Model();
    for (const [gfid, names] of this.names) copy.names.set(gfid, new Map(names));
    for (const [gfid, data] of this.data) copy.data.set(gfid, data);
    for (const [gfid, mode] of this.modes) copy.modes.set(gfid, mode);
    return copy;
  }

  links(gfid: Gfid): number {
    let count = 0;
    for (const names of this.names.values()) {
      for (const each of names.values()) if (each === gfid) count++;
    }
    return count;
  }

  /** Whether a directory is another one, or in it. */
  isWithin(inner: Gfid, outer: Gfid): boolean {
    return inner === outer ||
      [...this.names.get(outer)?.values() ?? []].some((each) => this.isWithin(inner, each));
  }

  drop(parent: Gfid, name: string): void {
    const gfid = this.names.get(parent)!.get(name)!;
    this.names.get(parent)!.delete(name);
    this.names.delete(gfid);
    if (!this.names.has(gfid) && this.links(gfid) === 0) this.data.delete(gfid);
  }

  put(gfid: Gfid, offset: number, data: Uint8Array): void {
    const old = this.data.get(gfid)!;
    const now = new Uint8Array(Math.max(old.length, offset + data.length));
    now.set(old);
    now.set(data, offset);
    this.data.set(gfid, now);
  }

  cut(gfid: Gfid, size: number): void {
    const now = new Uint8Array(size);
    now.set(this.data.get(gfid)!.subarray(0, size));
    this.data.set(gfid, now);
  }
}

interface Actor {
  readonly name: string;
  model: Model;
  clone: ClonedBrick | undefined;
  /** Whose clone it is. */
  readonly of: Actor | undefined;
  /** What a snapshot of it, with that id, has. */
  snapshot?: { readonly id: string; readonly model: Model } | undefined;
}

/** One story. */
export class VolumeCloneStory {
  readonly #random: (below: number) => number;
  readonly #root: string;
  readonly #lines: string[] = [];
  readonly #actors: Actor[] = [];
  #brick!: TestBrick;
  #layer!: Snapshot;
  #made = 0;

  private constructor(seed: number, root: string) {
    this.#random = seeded(seed);
    this.#root = root;
  }

  /** Tells `steps` steps of the story of a seed in `root`. Throws VolumeCloneFailure. */
  static async tell(seed: number, steps: number, root: string): Promise<void> {
    const story = new VolumeCloneStory(seed, root);
    Deno.mkdirSync(`${root}/origin`);
    story.#brick = await TestBrick.start({}, `${root}/origin`);
    story.#layer = await snapshotLayer(story.#brick);
    story.#actors.push({ name: "origin", model: new Model(), clone: undefined, of: undefined });
    try {
      for (let step = 0; step < 12; step++) await story.#change(story.#actors[0]!);
      for (let step = 0; step < steps; step++) await story.#step();
      for (const actor of story.#actors) await story.#check(actor);
    } catch (error) {
      const why = error instanceof Error ? error.stack : String(error);
      throw new VolumeCloneFailure(`seed ${seed}: ${why}\n${story.#lines.join("\n")}`);
    } finally {
      for (const { clone } of story.#actors) await clone?.close();
      await story.#layer.stop();
      await story.#brick.top.stop();
    }
  }

  #pick<T>(from: readonly T[]): T | undefined {
    return from[this.#random(Math.max(1, from.length))];
  }

  #layerOf({ clone }: Actor): Snapshot {
    return clone?.top ?? this.#layer;
  }

  #files(actor: Actor): Files {
    const { inodes, root } = actor.clone?.brick ?? this.#brick;
    return new Files(this.#layerOf(actor), (gfid) => inodes.of(gfid), root);
  }

  async #step(): Promise<void> {
    const kind = this.#random(24);
    const actor = this.#pick(this.#actors)!;
    if (kind < 16) await this.#change(actor);
    else if (kind < 18) await this.#clone(actor);
    else if (kind < 19) await this.#snapshot(actor);
    else if (kind < 20) await this.#restart(actor);
    else if (kind < 22) await this.#kill(actor);
    else await this.#check(actor);
  }

  // What is done, to the brick and to the copy.
  async #change(actor: Actor): Promise<void> {
    const { brick, model } = this.#planned(actor);
    await brick();
    model(actor.model);
  }

  #planned(actor: Actor): { brick: () => Promise<unknown>; model: (model: Model) => void } {
    const { model } = actor, files = this.#files(actor), { top } = files;
    const parent = this.#pick([...model.names.keys()])!, name = `n${this.#random(NAMES)}`;
    const at = { parent: files.inodeOf(parent), name };
    const found = model.names.get(parent)!.get(name);
    const tell = (line: string) =>
      this.#lines.push(`${actor.name}: ${line} ${parent.slice(0, 4)}/${name}`);
    const nothing = { brick: () => Promise.resolve(), model: () => {} };
    if (found === undefined) {
      const gfid = this.#newGfid(), xdata = withKey(undefined, GFID_REQ, gfid);
      const file = this.#pick([...model.data.keys()]);
      if (this.#random(3) === 0) {
        tell(`mkdir ${gfid.slice(0, 4)}`);
        return {
          brick: () => top.mkdir(ROOT, { ...at, mode: 0o755, umask: 0, xdata }),
          model: (to) => {
            to.names.get(parent)!.set(name, gfid);
            to.names.set(gfid, new Map());
          },
        };
      }
      if (file && this.#random(4) === 0) {
        tell(`link ${file.slice(0, 4)}`);
        return {
          brick: () => top.link(ROOT, { ...at, inode: files.inodeOf(file) }),
          model: (to) => void to.names.get(parent)!.set(name, file),
        };
      }
      const data = this.#bytes(this.#random(3) * this.#random(3 * UNIT));
      tell(`make ${gfid.slice(0, 4)} ${data.length}`);
      return {
        brick: async () => {
          await top.mknod(ROOT, { ...at, mode: 0o100644, rdev: 0, umask: 0, xdata });
          if (data.length) await files.write(gfid, 0, data);
        },
        model: (to) => {
          to.names.get(parent)!.set(name, gfid);
          to.data.set(gfid, data);
        },
      };
    }
    const isDir = model.names.has(found), kind = this.#random(8);
    if (kind === 0) {
      if (isDir && model.names.get(found)!.size) return nothing;
      tell(isDir ? "rmdir" : "unlink");
      const args = { ...at, flags: 0 };
      return {
        brick: () => isDir ? top.rmdir(ROOT, args) : top.unlink(ROOT, args),
        model: (to) => to.drop(parent, name),
      };
    }
    if (kind < 3) {
      const target = this.#pick([...model.names.keys()])!, newName = `n${this.#random(NAMES)}`;
      const over = model.names.get(target)!.get(newName);
      const fits = over === undefined ||
        (model.names.has(over) === isDir && !model.names.get(over)?.size);
      if (over === found || !fits || (isDir && model.isWithin(target, found))) return nothing;
      tell(`rename to ${target.slice(0, 4)}/${newName} of`);
      return {
        brick: () => files.rename(name, newName, at.parent, files.inodeOf(target)),
        model: (to) => {
          if (over !== undefined) to.drop(target, newName);
          to.names.get(parent)!.delete(name);
          to.names.get(target)!.set(newName, found);
        },
      };
    }
    if (isDir) return nothing;
    return this.#dataChange(files, found, tell);
  }

  #dataChange(files: Files, gfid: Gfid, tell: (line: string) => void) {
    const { top } = files, offset = this.#random(4 * UNIT), inode = files.inodeOf(gfid);
    const kind = this.#random(6);
    if (kind === 0) {
      tell(`cut to ${offset}`);
      return {
        brick: () => top.truncate(ROOT, { inode, offset }),
        model: (to: Model) => to.cut(gfid, offset),
      };
    }
    if (kind === 1) {
      const mode = 0o600 + this.#random(8);
      tell(`mode ${mode}`);
      return {
        brick: () => top.setattr(ROOT, { inode, changes: { mode } }),
        model: (to: Model) => void to.modes.set(gfid, mode),
      };
    }
    const data = kind === 2 ? new Uint8Array(UNIT) : this.#bytes(1 + this.#random(2 * UNIT));
    tell(`${kind === 2 ? "zero" : "write"} ${offset}+${data.length}`);
    return {
      brick: async () => {
        const fd = files.fd(gfid);
        if (kind === 2) await top.zerofill(ROOT, { fd, offset, size: UNIT });
        else await files.write(gfid, offset, data);
      },
      model: (to: Model) => to.put(gfid, offset, data),
    };
  }

  #bytes(size: number): Uint8Array<ArrayBuffer> {
    const seed = this.#random(250);
    return Uint8Array.from({ length: size }, (_, at) => 1 + (at * 3 + seed) % 251);
  }

  #newGfid(): Gfid {
    const number = (++this.#made).toString(16).padStart(4, "0");
    return `${number}0000-0000-4000-8000-000000000000` as Gfid;
  }

  async #clone(of: Actor): Promise<void> {
    if (this.#actors.length > CLONES_MAX) return;
    const name = `clone${++this.#made}`;
    this.#lines.push(`${name} of ${of.name}`);
    const layer = this.#layerOf(of), directory = `${this.#root}/${name}`;
    const id = await takeSnapshot(layer, `s${this.#made}`);
    const reader = await joinClone(layer, id);
    await layer.histories.remove(id);
    const origin = of.clone?.of.directory ?? this.#brick.path;
    const clone = await ClonedBrick.start({ directory, reader, origin, of: of.clone?.of });
    this.#actors.push({ name, model: of.model.copy(), clone, of });
  }

  async #snapshot(actor: Actor): Promise<void> {
    const { histories } = this.#layerOf(actor);
    if (actor.snapshot) {
      await this.#checkSnapshot(actor);
      await histories.remove(actor.snapshot.id);
      actor.snapshot = undefined;
      return;
    }
    const id = `kept${++this.#made}`;
    this.#lines.push(`${actor.name}: snapshot ${id}`);
    await takeSnapshot(this.#layerOf(actor), id);
    actor.snapshot = { id, model: actor.model.copy() };
  }

  async #restart(actor: Actor): Promise<void> {
    this.#lines.push(`${actor.name}: restart`);
    if (actor.clone) return await actor.clone.restart();
    await this.#layer.stop();
    await this.#brick.restart();
    this.#layer = await snapshotLayer(this.#brick);
  }

  // A disk as it is in the midst of a change, or of a look at everything.
  async #kill(actor: Actor): Promise<void> {
    const { clone } = actor;
    if (!clone || this.#actors.some(({ of }) => of === actor)) return;
    this.#lines.push(`${actor.name}: kill`);
    const looks = this.#random(3) === 0;
    const { brick, model } = looks
      ? { brick: () => this.#files(actor).tree(), model: () => {} }
      : this.#planned(actor);
    const going = brick().then(() => true, (error) => {
      if (!(error instanceof FopError)) throw error;
      return false;
    });
    for (let turns = this.#random(looks ? 3000 : 120); turns > 0; turns--) await undefined;
    const { directory } = clone.of, killed = `${directory}.killed`;
    copyDisk(directory, killed);
    await going;
    await clone.close();
    await Deno.remove(directory, { recursive: true });
    await Deno.rename(killed, directory);
    await clone.brick.open();
    await clone.open();
    const changed = actor.model.copy();
    model(changed);
    try {
      await this.#check(actor);
    } catch (error) {
      if (!(error instanceof VolumeCloneFailure)) throw error;
      // Or it was done already, or in part.
      const before = actor.model;
      actor.model = changed;
      await this.#check(actor, before);
    }
  }

  // `before`: data may be as it was in that.
  async #check(actor: Actor, before?: Model): Promise<void> {
    const files = this.#files(actor), { model, name } = actor;
    const different = (what: string) => new VolumeCloneFailure(`${name}: ${what}`);
    for (const [parent, names] of model.names) {
      const inode = files.inodeOf(parent);
      const found = await files.names(inode);
      const wanted = [...names.keys()].sort();
      if (found.join() !== wanted.join()) {
        throw different(`${parent.slice(0, 4)} has ${found}, not ${wanted}`);
      }
      for (const [each, gfid] of names) {
        const { stat } = await files.top.lookup(ROOT, { parent: inode, name: each });
        const at = `${parent.slice(0, 4)}/${each}`;
        if (stat.gfid !== gfid) throw different(`${at} is ${stat.gfid}, not ${gfid}`);
        if (isDirectory(stat) !== model.names.has(gfid)) throw different(`${at}: wrong type`);
        if (!isRegular(stat)) continue;
        if (stat.nlink !== model.links(gfid)) throw different(`${at}: ${stat.nlink} names`);
        const mode = model.modes.get(gfid) ?? 0o644;
        if ((stat.mode & 0o777) !== mode) throw different(`${at}: mode ${stat.mode & 0o777}`);
        const data = await files.read(gfid), expected = model.data.get(gfid)!;
        const wrong = difference(data, expected);
        if (!wrong) continue;
        const old = before && (before.data.get(gfid) ?? new Uint8Array());
        if (!old || !isMix(data, old, expected)) {
          throw different(`${at} ${gfid.slice(0, 4)}: ${wrong}`);
        }
        model.data.set(gfid, data.slice());
      }
    }
    if (actor.snapshot) await this.#checkSnapshot(actor);
  }

  async #checkSnapshot(actor: Actor): Promise<void> {
    const { id, model } = actor.snapshot!, view = this.#layerOf(actor).history!.view(id)!;
    for (const [parent, names] of model.names) {
      const found = (await view.entries(parent)).map(({ name }) => name).sort().join();
      const wanted = [...names.keys()].sort().join();
      const where = `${actor.name} in ${id}`;
      if (found !== wanted) throw new VolumeCloneFailure(`${where}: ${found}, not ${wanted}`);
      for (const gfid of names.values()) {
        const expected = model.data.get(gfid);
        if (!expected) continue;
        const size = (await view.inode(gfid))?.iatt.size ?? -1;
        const data = new Uint8Array(Math.max(0, size));
        await view.read(gfid, 0, data);
        const wrong = size < 0 ? "is not there" : difference(data, expected);
        if (wrong) throw new VolumeCloneFailure(`${where}: ${gfid.slice(0, 4)} ${wrong}`);
      }
    }
  }
}

/** Whether each byte is one's or the other's, in a file that is as long as one of them. */
function isMix(data: Uint8Array, one: Uint8Array, other: Uint8Array): boolean {
  return (data.length === one.length || data.length === other.length) &&
    data.every((byte, at) => byte === (one[at] ?? 0) || byte === (other[at] ?? 0));
}

function difference(data: Uint8Array, expected: Uint8Array): string | undefined {
  if (data.length !== expected.length) return `${data.length} bytes, not ${expected.length}`;
  const at = data.findIndex((byte, index) => byte !== expected[index]);
  return at < 0 ? undefined : `byte ${at} is ${data[at]}, not ${expected[at]}`;
}
