/**
 * Files with several names in several directories, of which one moves, that one client alone changes:
 * made, linked, renamed over each other, removed, cut and written, and looked at. What each file holds
 * tells which one it is. No file may be lost with a name that it keeps elsewhere, and none come back.
 */

import { ENOENT, type FopError } from "core/errno.ts";
import { isDirectory } from "core/iatt.ts";
import type { SimClient } from "tests/sim/client.ts";
import { Slot, stamped, stampOf } from "tests/sim/models.ts";
import { withFile } from "tests/sim/own_files.ts";
import { SimFailure } from "tests/sim/sim.ts";
import type { World } from "tests/sim/world.ts";

const NAMES = ["a", "b", "c"];
/** What a name stands for: a file's number, or nothing. */
type Owner = number;
const NOTHING: Owner = 0;

/** A directory; the one that moves has several places where it may be. */
interface Place {
  readonly at: Slot<string>;
  readonly all: readonly string[];
}

/** A name in a directory. */
interface Name {
  readonly place: Place;
  readonly name: string;
  readonly slot: Slot<Owner>;
}

/** See the head of this file. */
export class LinkedFiles {
  readonly directory: string;
  readonly #places: readonly Place[];
  readonly #names: readonly Name[];
  /** Stamps that files may hold, by number; 0: it is empty. */
  readonly #contents = new Map<Owner, Slot<number>>();
  /** All that files ever held. */
  readonly #before = new Map<Owner, Set<number>>();
  #client: SimClient;

  constructor(readonly world: World, readonly id: number, client: SimClient) {
    this.#client = client;
    const top = this.directory = `/links-${id}`;
    this.#places = [[`${top}/x`], [`${top}/y`], [`${top}/x/m`, `${top}/y/m`, `${top}/n`]].map(
      (all) => ({ at: new Slot(`place of ${all[0]}`, all[0]!), all }),
    );
    this.#names = this.#places.flatMap((place) =>
      NAMES.map((name) => {
        const slot = new Slot<Owner>(`file under ${place.all[0]}/${name}`, NOTHING);
        return { place, name, slot };
      })
    );
  }

  /** Makes its directories, before any fault. */
  async make(): Promise<void> {
    await this.#client.volume.mkdir(this.directory);
    for (const { all } of this.#places) await this.#client.volume.mkdir(all[0]!);
  }

  moveTo(client: SimClient): void {
    this.#client = client;
  }

  /** One operation. */
  async step(): Promise<void> {
    const { random } = this.world.sim, draw = random.float();
    // Where a directory is must be known to use it.
    const names = this.#names.filter(({ place }) => place.at.known !== undefined);
    const one = random.pick(names), other = random.pick(names);
    if (draw < 0.2) await this.#open(one, true);
    else if (draw < 0.35) await this.#open(one, false);
    else if (draw < 0.5) await this.#link(one, other);
    else if (draw < 0.7) await this.#rename(one, other);
    else if (draw < 0.85) await this.#unlink(one);
    else if (draw < 0.92) await this.#moveDirectory();
    else await this.#check(this.#client, one);
  }

  /** Looks at all of it through `client`. */
  async checkAll(client: SimClient): Promise<void> {
    for (const { at, all } of this.#places) {
      if (at.known !== undefined) continue;
      const found: string[] = [];
      for (const path of all) if (await this.#isThere(client, path)) found.push(path);
      if (!this.world.excuses && found.length !== 1) {
        throw new SimFailure(`${at.name} is ${JSON.stringify(found)}`);
      }
      for (const path of found) at.saw(path);
      if (found.length === 1) at.set(found[0]!);
    }
    for (const name of this.#names) {
      if (name.place.at.known === undefined) continue;
      await this.#check(client, name);
    }
    for (const place of this.#places) if (place.at.known) await this.#list(client, place);
  }

  async #isThere(client: SimClient, path: string): Promise<boolean> {
    const look = () => client.volume.lstat(path);
    const found = await this.world.try(client, `stat ${path}`, look, ["ENOENT"]);
    return found !== undefined && "value" in found;
  }

  #path({ place, name }: Name): string {
    return `${place.at.known}/${name}`;
  }

  // Makes a file, or empties the one that is there; writes a block.
  async #open(name: Name, exclusive: boolean): Promise<void> {
    const { slot } = name, before = slot.known, path = this.#path(name);
    // Which file would be emptied must be known.
    if (before === undefined || exclusive && before !== NOTHING) return;
    const stamp = this.world.nextStamp(), owner = before || stamp;
    if (!before) {
      this.#contents.set(owner, new Slot(`content of file ${owner} (${path})`, 0));
      this.#before.set(owner, new Set([0]));
    }
    this.#before.get(owner)!.add(stamp);
    const content = this.#contents.get(owner)!, { volume } = this.#client;
    const options = exclusive
      ? { write: true, exclusive }
      : { write: true, create: true, truncate: true };
    const how = exclusive ? "make" : "empty or make";
    const what = `${how} ${path} as file ${owner}`;
    const done = await this.world.try(this.#client, what, () => volume.open(path, options), [
      "EEXIST",
    ]);
    if (!done || "error" in done) {
      slot.maybe(owner);
      content.maybe(0, stamp);
      // Of a volume that loses a reply, a client may find what its own failed attempt made.
      if (done && !this.world.excuses) throw new SimFailure(`${path} is said to be there`);
      return;
    }
    const { value: file } = done;
    slot.set(owner);
    content.set(0);
    const write = () => file.write(0, stamped(stamp));
    const written = await this.world.try(this.#client, `write ${stamp} to file ${owner}`, write);
    if (written) content.set(stamp);
    else content.maybe(stamp);
    await file.abandon();
  }

  async #link(from: Name, to: Name): Promise<void> {
    const owner = from.slot.known;
    if (!owner || to.slot.known !== NOTHING) return;
    const what = `link ${this.#path(from)} ${this.#path(to)}, file ${owner}`;
    const link = () => this.#client.volume.link(this.#path(from), this.#path(to));
    const done = await this.world.try(this.#client, what, link, ["EEXIST"]);
    if (done && "value" in done) return to.slot.set(owner);
    if (done && !this.world.excuses) throw new SimFailure(`${what}: it is said to be there`);
    to.slot.maybe(owner);
  }

  async #rename(from: Name, to: Name): Promise<void> {
    const owner = from.slot.known, there = to.slot.known;
    if (!owner || there === undefined || from === to) return;
    const what = `rename ${this.#path(from)} ${this.#path(to)}, file ${owner} over ${there}`;
    const move = () => this.#client.volume.rename(this.#path(from), this.#path(to));
    const done = await this.world.try(this.#client, what, move);
    // Of two names of one file both stay.
    if (there === owner) return;
    if (done) {
      from.slot.set(NOTHING);
      to.slot.set(owner);
    } else {
      from.slot.maybe(NOTHING);
      to.slot.maybe(owner);
      this.#mayBeOld(there);
    }
  }

  // A removal that failed may have taken away all copies with the last content.
  #mayBeOld(owner: Owner): void {
    if (!owner) return;
    this.#contents.get(owner)!.maybe(...this.#before.get(owner)!);
  }

  async #unlink(name: Name): Promise<void> {
    const { slot } = name, path = this.#path(name);
    const remove = () => this.#client.volume.unlink(path);
    const done = await this.world.try(this.#client, `unlink ${path}`, remove, ["ENOENT"]);
    if (!done) {
      for (const owner of slot.possible) this.#mayBeOld(owner);
      return slot.maybe(NOTHING);
    }
    if (!("error" in done)) return slot.set(NOTHING);
    if (slot.possible.has(NOTHING) || this.world.excuses) return;
    throw new SimFailure(`${slot.name} is said not to be there, but it is`);
  }

  async #moveDirectory(): Promise<void> {
    const { random } = this.world.sim;
    const { at, all } = this.#places.find((place) => place.all.length > 1)!;
    const to = random.pick(all), from = at.known ?? random.pick([...at.possible]);
    if (from === to) return;
    const move = () => this.#client.volume.rename(from, to);
    const expected = at.known === undefined ? ["ENOENT"] : [];
    const done = await this.world.try(this.#client, `rename ${from} ${to}`, move, expected);
    if (done && "value" in done) at.set(to);
    else if (!done) at.maybe(to);
  }

  async #check(client: SimClient, name: Name): Promise<void> {
    const { slot } = name, path = this.#path(name);
    const stamp = await this.#read(client, path);
    if (stamp === undefined) return;
    if (ENOENT.matches(stamp)) return slot.saw(NOTHING);
    const owners = [...slot.possible].filter((owner) => owner !== NOTHING);
    const stamps = owners.flatMap((owner) => [...this.#contents.get(owner)!.possible]);
    if (stamps.includes(stamp as number)) return;
    const may = owners.map((owner) => `${owner} with ${[...this.#contents.get(owner)!.possible]}`);
    throw new SimFailure(`${path} holds ${stamp}, but may only be file ${may.join(" or ")}`);
  }

  async #read(client: SimClient, path: string): Promise<number | FopError | undefined> {
    const read = () =>
      withFile(client.volume, path, {}, async (file) => stampOf(await file.read(0, 8192), path));
    const found = await this.world.try(client, `read ${path}`, read, ["ENOENT"]);
    return found && ("value" in found ? found.value : found.error);
  }

  async #list(client: SimClient, { at }: Place): Promise<void> {
    const found = await this.world.try(client, `list ${at.known}`, async () => {
      const names: string[] = [];
      for await (const { name, stat } of client.volume.readDir(at.known!)) {
        if (!isDirectory(stat)) names.push(name);
      }
      return names;
    });
    if (!found || !("value" in found)) return;
    for (const { place, name, slot } of this.#names) {
      if (place.at !== at) continue;
      const listed = found.value.filter((each) => each === name).length;
      if (listed > 1) throw new SimFailure(`${at.known} lists ${name} twice`);
      if (!listed) slot.saw(NOTHING);
      else if (slot.known === NOTHING) {
        throw new SimFailure(`${at.known} lists ${name}, but it is gone`);
      }
    }
  }
}
