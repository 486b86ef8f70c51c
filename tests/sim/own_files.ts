/**
 * Things that one client alone changes and that others may look at: a file that is cut and grows, a
 * directory whose names come and go, extended attributes. A plain model knows what may be there.
 */

import { EEXIST, ENOENT, ENOTEMPTY, FopError } from "core/errno.ts";
import { isDirectory } from "core/iatt.ts";
import type { OpenOptions, Volume } from "core/volume.ts";
import type { VolumeFile } from "core/volume_file.ts";
import type { SimClient } from "tests/sim/client.ts";
import { BLOCK_BYTES, Slot, stamped, stampOf } from "tests/sim/models.ts";
import { SimFailure } from "tests/sim/sim.ts";
import type { WorkKind, World } from "tests/sim/world.ts";

const BLOCKS = 5;
const NAMES = ["a", "b", "c", "d"];
const XATTRS = ["user.one", "user.two"];
/** A name's state: nothing, a directory, or a file. */
type Kind = "nothing" | "directory" | "file";

/** One client's own things. */
export class OwnFiles {
  readonly directory: string;
  readonly file: string;
  readonly #blocks: Slot<number>[];
  readonly #size: Slot<number>;
  readonly #names = new Map<string, Slot<Kind>>();
  readonly #xattrs = new Map<string, Slot<string>>();
  #client: SimClient;

  constructor(readonly world: World, readonly id: number, client: SimClient) {
    this.#client = client;
    this.directory = `/own-${id}`;
    this.file = `/file-${id}`;
    this.#size = new Slot(`blocks in ${this.file}`, 0);
    this.#blocks = Array.from({ length: BLOCKS }, (_, i) => new Slot(`${this.file} block ${i}`, 0));
    for (const name of NAMES) {
      const path = `${this.directory}/${name}`;
      this.#names.set(path, new Slot<Kind>(path, "nothing"));
    }
    for (const name of XATTRS) {
      this.#xattrs.set(name, new Slot(`${name} of ${this.file}`, ""));
    }
  }

  /** Makes what it works on, before any fault. */
  async make(): Promise<void> {
    await this.#client.volume.mkdir(this.directory);
    await this.#client.volume.writeFile(this.file, new Uint8Array(0));
  }

  moveTo(client: SimClient): void {
    this.#client = client;
  }

  /** One operation on the file's data. */
  async fileStep(): Promise<void> {
    const { random } = this.world.sim, draw = random.float();
    if (draw < 0.4) await this.#write(random.int(BLOCKS));
    else if (draw < 0.6) await this.#truncate(random.int(BLOCKS + 1));
    else await this.checkFile(this.#client);
  }

  /** One operation on names. */
  async nameStep(): Promise<void> {
    const { random } = this.world.sim, draw = random.float();
    const path = random.pick([...this.#names.keys()]);
    if (draw < 0.25) await this.#create(path);
    else if (draw < 0.35) await this.#mkdir(path);
    else if (draw < 0.55) await this.#remove(path);
    else if (draw < 0.7) await this.#rename(path, random.pick([...this.#names.keys()]));
    else if (draw < 0.9) await this.#checkName(this.#client, path);
    else await this.checkListing(this.#client);
  }

  /** One operation on extended attributes. */
  async xattrStep(): Promise<void> {
    const { random } = this.world.sim, draw = random.float();
    const name = random.pick(XATTRS), slot = this.#xattrs.get(name)!;
    if (draw < 0.4) {
      const value = `${this.world.nextStamp()}`;
      await this.#change(
        `setxattr ${name}=${value}`,
        (volume) => volume.setXattr(this.file, name, new TextEncoder().encode(value)),
        slot,
        value,
      );
    } else if (draw < 0.55) {
      await this.#removeXattr(name, slot);
    } else await this.#checkXattr(this.#client, name);
  }

  // Where there is nothing to remove nothing changes: what failed to be set may be on another copy.
  async #removeXattr(name: string, slot: Slot<string>): Promise<void> {
    const remove = () => this.#client.volume.removeXattr(this.file, name);
    const done = await this.world.try(this.#client, `removexattr ${name}`, remove, ["ENODATA"]);
    if (!done) slot.maybe("");
    else if ("error" in done) slot.saw("");
    else slot.set("");
  }

  /** Looks at all of it that is of these kinds, through `client`. */
  async checkAll(client: SimClient, kinds: readonly WorkKind[]): Promise<void> {
    if (kinds.includes("own")) await this.checkFile(client);
    if (kinds.includes("names")) {
      for (const path of this.#names.keys()) await this.#checkName(client, path);
      await this.checkListing(client);
    }
    if (!kinds.includes("xattrs")) return;
    for (const name of XATTRS) await this.#checkXattr(client, name);
  }

  // A change of one slot: done, or maybe.
  async #change<T>(
    what: string,
    act: (volume: Volume) => Promise<unknown>,
    slot: Slot<T>,
    value: T,
  ): Promise<void> {
    const done = await this.world.try(this.#client, what, () => act(this.#client.volume));
    if (done) slot.set(value);
    else slot.maybe(value);
  }

  async #write(block: number): Promise<void> {
    const stamp = this.world.nextStamp(), { sync } = this.world.swarm;
    const done = await this.world.try(
      this.#client,
      `write ${stamp} at ${block} of ${this.file}`,
      async () => {
        const write = (file: VolumeFile) => file.write(block * BLOCK_BYTES, stamped(stamp));
        const options = { write: true, sync, closingTells: this.world.system.tuned !== undefined };
        await withFile(this.#client.volume, this.file, options, write);
      },
    );
    const sizes = [...this.#size.possible].map((size) => Math.max(size, block + 1));
    if (done) {
      this.#blocks[block]!.set(stamp);
      this.#size.set(sizes[0]!);
    } else this.#blocks[block]!.maybe(stamp);
    this.#size.maybe(...sizes);
  }

  async #truncate(size: number): Promise<void> {
    const what = `truncate ${this.file} to ${size}`;
    const done = await this.world.try(
      this.#client,
      what,
      () => this.#client.volume.truncate(this.file, size * BLOCK_BYTES),
    );
    for (const block of this.#blocks.slice(size)) {
      if (done) block.set(0);
      else block.maybe(0);
    }
    if (done) this.#size.set(size);
    else this.#size.maybe(size);
  }

  /** Reads the file through `client`. */
  async checkFile(client: SimClient): Promise<void> {
    const read = await this.world.try(
      client,
      `read ${this.file}`,
      () =>
        withFile(client.volume, this.file, {}, (file) => file.read(0, (BLOCKS + 1) * BLOCK_BYTES)),
    );
    if (!read || !("value" in read)) return;
    const { value: data } = read;
    this.world.sim.note(`${client.name} read ${this.file}: ${data.length} bytes`);
    this.#size.saw(data.length / BLOCK_BYTES);
    this.#blocks.forEach((slot, i) => {
      slot.saw(stampOf(data.subarray(i * BLOCK_BYTES, (i + 1) * BLOCK_BYTES), slot.name));
    });
  }

  async #create(path: string): Promise<void> {
    const slot = this.#names.get(path)!;
    const done = await this.world.try(this.#client, `create ${path}`, async () => {
      const file = await this.#client.volume.open(path, { write: true, exclusive: true });
      // Only the creation counts: closing may fail for reasons of its own.
      await file.close().catch(mustBeFop);
    }, ["EEXIST"]);
    this.#made(slot, done, "file");
  }

  async #mkdir(path: string): Promise<void> {
    const slot = this.#names.get(path)!;
    const make = () => this.#client.volume.mkdir(path);
    const done = await this.world.try(this.#client, `mkdir ${path}`, make, ["EEXIST"]);
    this.#made(slot, done, "directory");
  }

  #made(slot: Slot<Kind>, done: { error: FopError } | object | undefined, kind: Kind): void {
    if (!done) return slot.maybe(kind);
    const error = "error" in done ? done.error : undefined;
    if (EEXIST.matches(error)) return this.#notNothing(slot, kind);
    if (!slot.possible.has("nothing")) {
      throw new SimFailure(`${slot.name} was made although it was there`);
    }
    slot.set(kind);
  }

  // Of a volume that loses a reply, a client may find what its own failed attempt made.
  #notNothing(slot: Slot<Kind>, kind: Kind): void {
    if (slot.known === "nothing" && !this.world.excuses) {
      throw new SimFailure(`${slot.name} is said to be there, but it was removed`);
    }
    if (slot.known === "nothing") slot.maybe(kind);
  }

  async #remove(path: string): Promise<void> {
    const slot = this.#names.get(path)!, { volume } = this.#client;
    const expected = ["ENOENT", "ENOTEMPTY"];
    const done = await this.world.try(this.#client, `remove ${path}`, async () => {
      if (isDirectory(await volume.lstat(path))) await volume.rmdir(path);
      else await volume.unlink(path);
    }, expected);
    if (!done) return slot.maybe("nothing");
    const error = "error" in done ? done.error : undefined;
    if (ENOTEMPTY.matches(error)) throw new SimFailure(`${path} is said not to be empty`);
    // What may be there may come back: not every copy was asked.
    if (ENOENT.matches(error)) this.#gone(slot);
    else slot.set("nothing");
  }

  // A removal that says "not there": was it? What was under way may have done it already.
  #gone(slot: Slot<Kind>): void {
    if (slot.possible.has("nothing") || this.world.excuses) return;
    throw new SimFailure(`${slot.name} is said not to be there, but it is`);
  }

  async #rename(from: string, to: string): Promise<void> {
    const source = this.#names.get(from)!, target = this.#names.get(to)!;
    // Only what is sure to work and to mean one thing.
    if (source === target || source.known !== "file" || target.possible.has("directory")) return;
    const move = () => this.#client.volume.rename(from, to);
    const done = await this.world.try(this.#client, `rename ${from} ${to}`, move);
    if (done) {
      source.set("nothing");
      target.set("file");
    } else {
      source.maybe("nothing");
      target.maybe("file");
    }
  }

  async #checkName(client: SimClient, path: string): Promise<void> {
    const found = await this.world.try(client, `stat ${path}`, () => client.volume.lstat(path), [
      "ENOENT",
    ]);
    if (!found) return;
    this.#names.get(path)!.saw(
      "error" in found ? "nothing" : isDirectory(found.value) ? "directory" : "file",
    );
  }

  /** Lists the directory through `client`. */
  async checkListing(client: SimClient): Promise<void> {
    const found = await this.world.try(client, `list ${this.directory}`, async () => {
      const names = new Set<string>();
      for await (const { name } of client.volume.readDir(this.directory)) {
        if (names.has(name)) throw new SimFailure(`${this.directory} lists ${name} twice`);
        names.add(name);
      }
      return names;
    });
    if (!found || !("value" in found)) return;
    // A volume of single copies lists what it can reach.
    const partial = !this.world.system.copies && this.world.excuses;
    for (const [path, slot] of this.#names) {
      const listed = found.value.has(path.slice(this.directory.length + 1));
      if (!listed && !partial) slot.saw("nothing");
      else if (listed && slot.known === "nothing") slot.saw("file");
    }
  }

  async #checkXattr(client: SimClient, name: string): Promise<void> {
    const read = () => client.volume.getXattr(this.file, name);
    const found = await this.world.try(client, `getxattr ${name}`, read, ["ENODATA"]);
    if (!found) return;
    const value = "error" in found ? "" : new TextDecoder().decode(found.value);
    this.#xattrs.get(name)!.saw(value);
  }
}

/**
 * Does something with an open file. Whether closing works says something about what was done only where
 * writes are answered early.
 */
export async function withFile<T>(
  volume: Volume,
  path: string,
  options: OpenOptions & { readonly closingTells?: boolean },
  act: (file: VolumeFile) => Promise<T>,
): Promise<T> {
  const file = await volume.open(path, options);
  try {
    const done = await act(file);
    if (options.closingTells) await file.close();
    return done;
  } finally {
    await file.abandon();
  }
}

function mustBeFop(error: unknown): void {
  if (!(error instanceof FopError)) throw error;
}
