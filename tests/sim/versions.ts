/**
 * One client changes a file and a directory so that everything in them only grows: stamps of blocks,
 * the size, an attribute, the newest name. It writes through a file that stays open; others look.
 *
 * What must hold, whatever layers answer early or from what they keep: nobody sees less than he saw
 * before; the client sees what was answered to it; and what it was told is safe (synced, closed),
 * everybody sees. Who was told of a failure knows nothing of what was not safe before it.
 */

import { FopError } from "core/errno.ts";
import type { Volume } from "core/volume.ts";
import type { VolumeFile } from "core/volume_file.ts";
import type { SimClient } from "tests/sim/client.ts";
import { BLOCK_BYTES, stamped, stampOf } from "tests/sim/models.ts";
import { SimFailure } from "tests/sim/sim.ts";
import type { World } from "tests/sim/world.ts";

const BLOCKS_MAX = 12;
const ATTRIBUTE = "user.version";

/** A number that only grows. */
interface Grown {
  readonly name: string;
  /** It changes at once for all: no layer answers such a change early. */
  readonly atOnce: boolean;
  /** The most that anybody may see. */
  begun: number;
  /** The least that the client itself may see. */
  answered: number;
  /** The least that all may see, from when on. */
  safe: { at: number; value: number }[];
  /** Values that a failed change may have made, for a while or for good. */
  readonly doubtful: Set<number>;
  /** What each client saw last. */
  readonly seen: Map<SimClient, number>;
}

/** See the head of this file. */
export class Versions {
  readonly file: string;
  readonly directory: string;
  readonly #facts = new Map<string, Grown>();
  #client: SimClient;
  #open: VolumeFile | undefined;
  /** The client saw less than was answered to it: fine if it is told of a failure. */
  #missing: string | undefined;

  constructor(readonly world: World, readonly id: number, client: SimClient) {
    this.#client = client;
    this.file = `/versions-${id}`;
    this.directory = `/versions-of-${id}`;
  }

  /** The one that works on it now. */
  get client(): SimClient {
    return this.#client;
  }

  /** Makes what it works on, before any fault. */
  async make(): Promise<void> {
    await this.#client.volume.mkdir(this.directory);
    await this.#client.volume.writeFile(this.file, new Uint8Array(0));
  }

  /** Goes on with another client: the one before died, and what it had not made safe with it. */
  moveTo(client: SimClient): void {
    this.#client = client;
    this.#open = undefined;
    this.#forgetUnsafe();
  }

  /** One change, or a look at one's own. */
  async step(): Promise<void> {
    const { random } = this.world.sim, draw = random.float();
    if (draw < 0.4) await this.#write();
    else if (draw < 0.5) await this.#makeSafe();
    else if (draw < 0.58) await this.#setAttribute();
    else if (draw < 0.66) await this.#makeName();
    else await this.look(this.#client);
  }

  /** Closes what is open. */
  async close(): Promise<void> {
    const file = this.#open;
    this.#open = undefined;
    if (file) await this.#telling("close", () => file.close(), true);
  }

  /** Looks at everything. */
  async lookAtAll(client: SimClient): Promise<void> {
    const size = this.#fact("size").begun;
    for (let block = 0; block < size; block++) await this.#readBlock(client, block);
    await this.#lookAtSize(client, "stat");
    await this.#lookAtSize(client, "list");
    await this.#lookAtAttribute(client);
    await this.#lookAtNames(client);
  }

  /** Looks at one thing through `client`. */
  async look(client: SimClient): Promise<void> {
    const { random } = this.world.sim, draw = random.float();
    const { begun: size } = this.#fact("size");
    if (draw < 0.45 && size) await this.#readBlock(client, random.int(size));
    else if (draw < 0.65) await this.#lookAtSize(client, random.pick(["stat", "fstat", "list"]));
    else if (draw < 0.8) await this.#lookAtAttribute(client);
    else await this.#lookAtNames(client);
  }

  async #write(): Promise<void> {
    const { random } = this.world.sim;
    const file = await this.#opened();
    if (!file) return;
    const size = this.#fact("size"), stamp = this.world.nextStamp();
    const block = random.int(Math.min(size.begun + 1, BLOCKS_MAX));
    const of = this.#fact(`block ${block}`);
    of.begun = stamp;
    size.begun = Math.max(size.begun, block + 1);
    const what = `write ${stamp} at ${block} of`;
    const data = stamped(stamp), at = block * BLOCK_BYTES;
    const done = await this.#telling(what, async () => {
      await file.write(at, data);
      // The buffer is the caller's again.
      data.fill(0xff);
    });
    if (!done) return void of.doubtful.add(stamp);
    of.answered = stamp;
    size.answered = Math.max(size.answered, block + 1);
  }

  async #makeSafe(): Promise<void> {
    const { random } = this.world.sim, file = this.#open;
    if (!file) return;
    if (random.chance(0.5)) await this.#telling("sync", () => file.sync(), true);
    else await this.close();
    const alive = this.world.clients.filter((client) => client.alive);
    if (random.chance(0.5) && alive.length) await this.look(random.pick(alive));
  }

  async #setAttribute(): Promise<void> {
    const fact = this.#fact("attribute", true), value = this.world.nextStamp();
    fact.begun = value;
    const set = (volume: Volume) =>
      volume.setXattr(this.file, ATTRIBUTE, new TextEncoder().encode(`${value}`));
    this.#changed(fact, value, await this.#try(`set ${value} on`, set));
  }

  async #makeName(): Promise<void> {
    const fact = this.#fact("newest name", true), value = this.world.nextStamp();
    fact.begun = value;
    const make = (volume: Volume) => volume.mkdir(`${this.directory}/${value}`);
    this.#changed(fact, value, await this.#try(`make ${value} in`, make));
  }

  #changed(fact: Grown, value: number, done: unknown): void {
    if (!done) return void fact.doubtful.add(value);
    fact.answered = value;
    fact.safe.push({ at: this.world.sim.now, value });
  }

  async #readBlock(client: SimClient, block: number): Promise<void> {
    const own = client === this.#client && this.#open && this.world.sim.random.chance(0.5);
    const fact = this.#fact(`block ${block}`), at = block * BLOCK_BYTES;
    await this.#see(client, fact, async () => {
      const file = own ? this.#open! : await client.volume.open(this.file);
      try {
        return stampOf(await file.read(at, BLOCK_BYTES), `${this.file} ${fact.name}`);
      } finally {
        if (!own) await file.abandon();
      }
    });
  }

  async #lookAtSize(client: SimClient, how: "stat" | "fstat" | "list"): Promise<void> {
    await this.#see(client, this.#fact("size"), async () => {
      if (how === "fstat" && client === this.#client && this.#open) {
        return (await this.#open.stat()).size / BLOCK_BYTES;
      }
      if (how !== "list") return (await client.volume.stat(this.file)).size / BLOCK_BYTES;
      for await (const { name, stat } of client.volume.readDir("/")) {
        if (`/${name}` === this.file && stat) return stat.size / BLOCK_BYTES;
      }
      return (await client.volume.stat(this.file)).size / BLOCK_BYTES;
    });
  }

  async #lookAtAttribute(client: SimClient): Promise<void> {
    await this.#see(client, this.#fact("attribute", true), async () => {
      try {
        return Number(
          new TextDecoder().decode(await client.volume.getXattr(this.file, ATTRIBUTE)),
        );
      } catch (error) {
        if (error instanceof FopError && error.code === "ENODATA") return 0;
        throw error;
      }
    });
  }

  async #lookAtNames(client: SimClient): Promise<void> {
    await this.#see(client, this.#fact("newest name", true), async () => {
      let newest = 0;
      for await (const { name } of client.volume.readDir(this.directory)) {
        newest = Math.max(newest, Number(name));
      }
      return newest;
    });
  }

  // Asks, and holds the answer against all that must be true of it.
  async #see(client: SimClient, fact: Grown, ask: () => Promise<number>): Promise<void> {
    const { sim, system, strict } = this.world;
    const stale = Math.max(0, ...(system.tuned ?? []).map(({ staleMs }) => staleMs));
    const floor = fact.safe.findLast(({ at }) => at <= sim.now - stale)?.value ?? 0;
    const { answered } = fact, owner = client === this.#client;
    // Taken before it asks: two looks through one client may be under way at once.
    const seen = fact.seen.get(client) ?? 0;
    const what = `${fact.name} of ${this.file}`;
    const found = await this.world.try(client, `look at ${what}`, ask);
    if (!found || !("value" in found)) return;
    const { value } = found;
    sim.note(client.name, "saw", `${value}`, what);
    if (value > fact.begun) throw new SimFailure(`${what} is ${value}, which nobody wrote`);
    fact.seen.set(client, Math.max(fact.seen.get(client) ?? 0, value));
    if (!strict || (system.copies && fact.doubtful.size)) return;
    if (value < floor) {
      throw new SimFailure(`${client.name} sees ${what} as ${value}: ${floor} was safe`);
    }
    if (value < seen) {
      throw new SimFailure(`${client.name} sees ${what} go back from ${seen} to ${value}`);
    }
    if (!owner || value >= answered) return;
    const missing = `${client.name} sees ${what} as ${value}, but was answered ${answered}`;
    if (fact.atOnce) throw new SimFailure(missing);
    // What was answered early may have failed; then the client must be told.
    this.#missing ??= missing;
  }

  async #opened(): Promise<VolumeFile | undefined> {
    if (this.#open) return this.#open;
    const open = (volume: Volume) => volume.open(this.file, { read: true, write: true });
    const opened = await this.#try("open", open);
    return this.#open = opened?.value;
  }

  // Something through which the client may be told that earlier writes failed.
  async #telling(what: string, act: () => Promise<unknown>, makesSafe = false): Promise<boolean> {
    if (!await this.#try(what, act)) {
      this.#forgetUnsafe();
      if (this.world.sim.random.chance(0.5)) await this.close();
      return false;
    }
    if (!makesSafe) return true;
    if (this.#missing) throw new SimFailure(`${this.#missing}, and nobody was told why`);
    for (const fact of this.#facts.values()) {
      if (!fact.atOnce) fact.safe.push({ at: this.world.sim.now, value: fact.answered });
    }
    return true;
  }

  #forgetUnsafe(): void {
    this.#missing = undefined;
    for (const fact of this.#facts.values()) {
      if (fact.atOnce) continue;
      const safe = fact.safe.at(-1)?.value ?? 0;
      if (fact.answered > safe) fact.doubtful.add(fact.answered);
      fact.answered = safe;
    }
  }

  async #try<T>(
    what: string,
    act: (volume: Volume) => Promise<T>,
  ): Promise<{ value: T } | undefined> {
    const client = this.#client;
    const done = await this.world.try(client, `${what} ${this.file}`, () => act(client.volume));
    return done && "value" in done ? done : undefined;
  }

  #fact(name: string, atOnce = false): Grown {
    let fact = this.#facts.get(name);
    if (!fact) {
      fact = {
        name,
        atOnce,
        begun: 0,
        answered: 0,
        safe: [],
        doubtful: new Set(),
        seen: new Map(),
      };
      this.#facts.set(name, fact);
    }
    return fact;
  }
}
