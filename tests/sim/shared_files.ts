/**
 * Several clients read and write the same blocks of the same files. Every write has a stamp, every
 * block must be linearizable, and no client sees a file shrink that nobody cuts.
 */

import type { VolumeFile } from "core/volume_file.ts";
import type { SimClient } from "tests/sim/client.ts";
import { BLOCK_BYTES, stamped, stampOf } from "tests/sim/models.ts";
import { SimFailure } from "tests/sim/sim.ts";
import type { World } from "tests/sim/world.ts";

const FILES = ["/shared-0", "/shared-1"];
const BLOCKS = 6, BLOCKS_AT_ONCE = 3;

/** One client's part of it. */
export class SharedFiles {
  readonly #files = new Map<string, VolumeFile>();
  #client: SimClient;

  /** `fresh`: its reads follow an open that asks all copies, when nobody writes any more. */
  constructor(
    readonly world: World,
    readonly id: number,
    client: SimClient,
    readonly fresh = false,
  ) {
    this.#client = client;
  }

  /** Makes the files, before any fault; `full`: with all their blocks, on stable storage. */
  static async make(client: SimClient, { full = false } = {}): Promise<void> {
    for (const path of FILES) {
      const file = await client.volume.open(path, { write: true, create: true, sync: full });
      if (full) await file.write(0, new Uint8Array(BLOCKS * BLOCK_BYTES));
      await file.close();
    }
  }

  /** Goes on with another client: the one before died. */
  moveTo(client: SimClient): void {
    this.#client = client;
    this.#files.clear();
  }

  async step(): Promise<void> {
    const { sim: { random }, swarm: { narrow } } = this.world;
    const path = random.pick(narrow ? [FILES[0]!] : FILES);
    const file = await this.#file(path);
    if (!file) return;
    const blocks = narrow ? 1 : BLOCKS, block = random.int(blocks);
    const count = random.between(1, Math.min(BLOCKS_AT_ONCE, blocks - block));
    const draw = random.float();
    if (draw < 0.45) await this.#write(path, file, block, count);
    else if (draw < 0.9) await this.read(path, file, block, count);
    else if (draw < 0.95) await this.#use(path, "fsync", () => file.sync());
    else await this.#close(path);
  }

  /** Reads every block of every file. */
  async readAll(): Promise<void> {
    for (const path of FILES) {
      const file = await this.#file(path);
      if (file) await this.read(path, file, 0, BLOCKS);
    }
  }

  /** Closes what is open. */
  async close(): Promise<void> {
    for (const path of [...this.#files.keys()]) await this.#close(path);
  }

  async #file(path: string): Promise<VolumeFile | undefined> {
    const known = this.#files.get(path);
    if (known) return known;
    const client = this.#client, { sync } = this.world.swarm;
    const options = { read: true, write: true, sync };
    const opened = await this.world.try(
      client,
      `open ${path}`,
      () => client.volume.open(path, options),
    );
    if (!opened || !("value" in opened)) return undefined;
    this.#files.set(path, opened.value);
    return opened.value;
  }

  // A handle that failed is not trusted any more: its file may not be open at any brick.
  async #use<T>(path: string, what: string, act: () => Promise<T>): Promise<T | undefined> {
    const done = await this.world.try(this.#client, `${what} ${path}`, act);
    if (done && "value" in done) return done.value;
    if (this.world.sim.random.chance(0.5)) await this.#close(path);
    return undefined;
  }

  async #close(path: string): Promise<void> {
    const file = this.#files.get(path);
    this.#files.delete(path);
    if (file) await this.world.try(this.#client, `close ${path}`, () => file.close(), ["EBADF"]);
  }

  async #write(path: string, file: VolumeFile, first: number, count: number): Promise<void> {
    const { sim, history } = this.world;
    const data = new Uint8Array(count * BLOCK_BYTES), stamps: number[] = [];
    for (let i = 0; i < count; i++) {
      stamps.push(this.world.nextStamp());
      data.set(stamped(stamps[i]!), i * BLOCK_BYTES);
    }
    const begin = sim.now;
    const what = `write ${stamps.join(" ")} at ${first} of`;
    const done = await this.#use(
      path,
      what,
      () => file.write(first * BLOCK_BYTES, data).then(() => true),
    );
    const end = done ? sim.now : Infinity;
    stamps.forEach((value, i) => {
      const failed = done ? {} : { failed: sim.now };
      const op = { client: this.id, kind: "write", value, begin, end, ...failed } as const;
      history.add(`${path} ${first + i}`, op);
    });
  }

  /** Reads some blocks and adds them to the history. */
  async read(path: string, file: VolumeFile, first: number, count: number): Promise<void> {
    const { sim, history } = this.world;
    const begin = sim.now;
    const data = await this.#use(
      path,
      `read ${count} at ${first} of`,
      () => file.read(first * BLOCK_BYTES, count * BLOCK_BYTES),
    );
    if (!data) return;
    const stamps: number[] = [];
    for (let i = 0; i < count; i++) {
      const block = data.subarray(i * BLOCK_BYTES, (i + 1) * BLOCK_BYTES);
      const value = stampOf(block, `${path} block ${first + i}`);
      stamps.push(value);
      history.add(`${path} ${first + i}`, {
        client: this.id,
        kind: "read",
        value,
        begin,
        end: sim.now,
        fresh: this.fresh,
      });
    }
    sim.note(`${this.#client.name} read ${path} from ${first}: ${stamps.join(" ")}`);
    if (data.length > BLOCKS * BLOCK_BYTES) {
      throw new SimFailure(`${path} has ${data.length} bytes`);
    }
  }
}
