/** Clones on disks whose blocks are smaller than units: holes in a part of a unit, and kills. */

import { deepStrictEqual as deepEqual } from "node:assert/strict";
import { type Gfid, ROOT_GFID } from "core/inode.ts";
import { sys } from "core/sys/calls.ts";
import type { Clone } from "snapshot/engine/clone.ts";
import { type CloneFile, cut, overwrite } from "snapshot/engine/clone_change.ts";
import { NOW } from "snapshot/engine/clones.ts";
import { History } from "snapshot/engine/history.ts";
import { calling } from "tests/fakes/calling.ts";
import { testEnv } from "tests/fakes/node.ts";
import { SmallVolume } from "tests/fakes/small_volume.ts";
import { copyDisk } from "tests/history/copied_disk.ts";

const ORIGIN = "00010000-0000-4000-8000-000000000000" as Gfid;
const CLONE = "00020000-0000-4000-8000-000000000000" as Gfid;
const UNIT = 4096, BLOCK = 1024;
/** What the origin has, and what is written to the clone. */
const OLD = 1, NEW = 2;

/** Says of the clone where a disk with small blocks has data. */
class SmallBlocks extends SmallVolume {
  readonly #data = new Set<number>();

  override write(gfid: Gfid, offset: number, data: Uint8Array): void {
    super.write(gfid, offset, data);
    if (gfid !== CLONE) return;
    const end = (offset + data.length) / BLOCK;
    for (let block = Math.floor(offset / BLOCK); block < end; block++) this.#data.add(block);
  }

  override truncate(gfid: Gfid, size: number): void {
    super.truncate(gfid, size);
    for (const block of this.#data) if (block * BLOCK >= size) this.#data.delete(block);
  }

  /** Whole blocks. */
  punch(offset: number, size: number): void {
    super.write(CLONE, offset, new Uint8Array(size));
    const end = (offset + size) / BLOCK;
    for (let block = offset / BLOCK; block < end; block++) this.#data.delete(block);
  }

  override nextData(gfid: Gfid, offset: number): number | undefined {
    if (gfid !== CLONE) return super.nextData(gfid, offset);
    const blocks = [...this.#data].filter((block) => (block + 1) * BLOCK > offset);
    return blocks.length ? Math.max(offset, Math.min(...blocks) * BLOCK) : undefined;
  }

  override nextHole(gfid: Gfid, offset: number): number {
    if (gfid !== CLONE) return super.nextHole(gfid, offset);
    let at = offset;
    while (this.#data.has(Math.floor(at / BLOCK))) at = (Math.floor(at / BLOCK) + 1) * BLOCK;
    return at;
  }
}

class Place implements AsyncDisposable {
  readonly #root = Deno.makeTempDirSync({ prefix: "small-blocks-" });
  readonly volume = new SmallBlocks(`${this.#root}/data`, () => 0);
  history!: History;
  /** What was waited for, and done, in order. */
  readonly order: string[] = [];
  readonly #file: CloneFile = {
    write: (offset, bytes) => Promise.resolve(this.volume.write(CLONE, offset, bytes)),
    sync: () => Promise.resolve(void this.order.push("file on the disk")),
  };

  /** A clone of four units, of which it has written the first two. */
  static async begin(): Promise<Place> {
    const place = new Place(), { volume } = place;
    const history = place.history = await place.#opened("history");
    volume.make(ROOT_GFID, "origin", ORIGIN);
    volume.write(ORIGIN, 0, new Uint8Array(4 * UNIT).fill(OLD));
    volume.make(ROOT_GFID, "clone", CLONE);
    const reader = { name: "", created: 0, active: true, file: undefined } as const;
    await history.take({ ...reader, id: "s", kind: "snapshot", epoch: 1 });
    const iatt = { size: 4 * UNIT, blocks: 32 };
    await history.clone(CLONE, "s", { ...reader, id: "c", kind: "clone", file: ORIGIN }, iatt);
    volume.truncate(CLONE, 4 * UNIT);
    await place.write(0, 2 * UNIT);
    return place;
  }

  write(offset: number, size: number): Promise<void> {
    return overwrite(this.history.clones, this.#clone, this.#file, { offset, size }, () => {
      this.volume.write(CLONE, offset, new Uint8Array(size).fill(NEW));
      return Promise.resolve();
    });
  }

  #opened(name: string): Promise<History> {
    const { volume: live } = this, directory = `${this.#root}/${name}`;
    return History.open({ directory, live, durability: "relaxed", env: testEnv() });
  }

  get #clone(): Clone {
    return this.history.clones.get(CLONE)!;
  }

  discard(offset: number, size: number): Promise<void> {
    const change = { offset, size, holes: true };
    return overwrite(this.history.clones, this.#clone, this.#file, change, () => {
      this.order.push("hole");
      return Promise.resolve(this.volume.punch(offset, size));
    });
  }

  cut(size: number): Promise<void> {
    return cut(this.history.clones, this.#clone, this.#file, size, () => {
      this.order.push("cut");
      return Promise.resolve(this.volume.truncate(CLONE, size));
    });
  }

  /** What each block of the clone has after a kill. */
  async killed(): Promise<number[]> {
    copyDisk(`${this.#root}/history`, `${this.#root}/killed`);
    const history = await this.#opened("killed");
    try {
      const data = new Uint8Array(this.volume.size(CLONE));
      await history.clones.read(CLONE, NOW, 0, data);
      return Array.from({ length: data.length / BLOCK }, (_, block) => data[block * BLOCK]!);
    } finally {
      await history.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.history.close();
    Deno.removeSync(this.#root, { recursive: true });
  }
}

function filled(...counts: [count: number, fill: number][]): number[] {
  return counts.flatMap(([count, fill]) => new Array<number>(count).fill(fill));
}

Deno.test("snapshot/engine: a clone's unit that discards made a hole in parts stays its own after a kill", async () => {
  await using place = await Place.begin();
  await place.discard(0, UNIT / 2);
  await place.discard(UNIT / 2, UNIT / 2);
  deepEqual(await place.killed(), filled([4, 0], [4, NEW], [8, OLD]));
});

Deno.test("snapshot/engine: what a clone wrote beside a discarded part of a unit stays after a kill", async () => {
  await using place = await Place.begin();
  await place.discard(UNIT - BLOCK, 2 * BLOCK);
  deepEqual(await place.killed(), filled([3, NEW], [2, 0], [3, NEW], [8, OLD]));
});

Deno.test("snapshot/engine: a discarded part of a unit that a clone had not written stays zeros after a kill", async () => {
  await using place = await Place.begin();
  await place.discard(2 * UNIT, BLOCK);
  deepEqual(await place.killed(), filled([8, NEW], [1, 0], [7, OLD]));
});

Deno.test("snapshot/engine: a clone that was cut and is longer again is what it was after a kill", async () => {
  await using place = await Place.begin();
  await place.cut(UNIT + BLOCK);
  await place.cut(2 * UNIT);
  deepEqual(await place.killed(), filled([5, NEW], [3, 0]));
});

Deno.test("snapshot/engine: all of a clone's own that was cut off stays zeros after a kill", async () => {
  await using place = await Place.begin();
  await place.write(2 * UNIT, 2 * UNIT);
  await place.cut(UNIT);
  await place.cut(4 * UNIT);
  deepEqual(await place.killed(), filled([4, NEW], [12, 0]));
});

Deno.test("snapshot/engine: what a clone has beside a hole, and the index, are on the disk before the hole", async () => {
  await using place = await Place.begin();
  const { order } = place, { fdatasyncAsync } = sys;
  using _ = calling({
    fdatasyncAsync: (fd) => (order.push("index on the disk"), fdatasyncAsync(fd)),
  });
  await place.discard(0, BLOCK);
  deepEqual(order, ["file on the disk", "index on the disk", "hole"]);
  // Once for a unit, and of a whole one there is nothing beside it.
  await place.discard(BLOCK, BLOCK);
  await place.discard(0, 2 * UNIT);
  deepEqual(order.slice(3), ["hole", "index on the disk", "hole"]);
});
