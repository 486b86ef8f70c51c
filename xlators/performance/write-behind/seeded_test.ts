/** Random work on a brick in memory whose answers come late and out of order. */

import { ok, strictEqual as equal } from "node:assert/strict";
import { type Call, ROOT } from "core/call.ts";
import { ENOSPC, FopError } from "core/errno.ts";
import { type Args, type FopName, O_RDWR, type Reply } from "core/fops.ts";
import { type Fd, InodeTable } from "core/inode.ts";
import { readOptions } from "core/options.ts";
import { Late } from "tests/fakes/late.ts";
import { MemoryBrick } from "tests/fakes/memory_brick.ts";
import { node } from "tests/fakes/node.ts";
import { seeded } from "tests/fakes/seeded.ts";
import { gfidReq } from "tests/conformance/place.ts";
import { writeBehind } from "xlators/performance/write-behind/write_behind.ts";

const BLOCK = 512, BLOCKS = 12, STEPS = 400;

/** Every `failing`th write fails, if that is not 0. */
class Failing extends Late {
  failed = 0;
  failing = 0;

  protected override wind<K extends FopName>(
    fop: K,
    call: Call,
    args: Args<K>,
  ): Promise<Reply<K>> {
    if (fop !== "writev" || !this.failing || this.below(this.failing)) {
      return super.wind(fop, call, args);
    }
    this.failed++;
    return Promise.reject(ENOSPC);
  }
}

async function world(below: (below: number) => number) {
  const inodes = new InodeTable();
  const brick = new MemoryBrick(node("memory", [], { inodes }));
  const late = new Failing(node("late", [brick], { inodes }), below, 20);
  const options = {
    "aggregate-size": String(BLOCK * (1 + below(4))),
    "trickling-writes": below(2) ? "on" : "off",
    "strict-write-ordering": below(4) ? "off" : "on",
  };
  const values = readOptions(writeBehind.options, new Map(Object.entries(options)));
  // Less than users may set, so that answers wait.
  const window = { ...values, "cache-size": BLOCK * 3 };
  const top = writeBehind.create(node("wb", [late], { inodes }), window);
  const at = { parent: inodes.root, name: "f" };
  const made = await top.create(ROOT, {
    ...at,
    mode: 0o644,
    umask: 0,
    flags: O_RDWR,
    xdata: gfidReq(),
  });
  const inode = inodes.of(made.stat.gfid);
  const second = await top.open(ROOT, { inode, flags: O_RDWR });
  return { top, brick, late, inode, at, fds: [made.fd, second.fd] as const };
}

type World = Awaited<ReturnType<typeof world>>;

/** One application that writes rising numbers into blocks and never sees one fall, nor the size. */
class Application {
  readonly #world: World;
  readonly #below: (below: number) => number;
  /** By block: the last number whose write was answered. */
  readonly #written = new Uint32Array(BLOCKS);
  #number = 0;
  #size = 0;

  constructor(world: World, below: (below: number) => number) {
    this.#world = world;
    this.#below = below;
  }

  get fd(): Fd {
    return this.#world.fds[this.#below(2)]!;
  }

  async step(): Promise<void> {
    const { top, at, inode } = this.#world, fd = this.fd;
    switch (this.#below(10)) {
      case 0:
        return this.#sizeIs((await top.fstat(ROOT, { fd })).stat.size);
      case 1:
        return this.#sizeIs((await top.lookup(ROOT, at)).stat.size);
      case 2:
      case 3:
        return this.#read(this.#below(BLOCKS));
      case 4:
        await top.fsync(ROOT, { fd, dataOnly: false });
        return this.onBrick();
      case 5:
        await top.flush(ROOT, { fd });
        return this.onBrick();
      case 6:
        return this.#sizeIs((await top.stat(ROOT, { inode })).stat.size);
      default:
        return this.#write(this.#below(BLOCKS - 2), 1 + this.#below(2));
    }
  }

  async #write(block: number, count: number): Promise<void> {
    const number = ++this.#number;
    const data = new Uint8Array(count * BLOCK);
    for (let i = 0; i < count; i++) new DataView(data.buffer).setUint32(i * BLOCK, number);
    const args = { fd: this.fd, offset: block * BLOCK, data, flags: 0 };
    await this.#world.top.writev(ROOT, args);
    data.fill(0xff);
    this.#written.fill(number, block, block + count);
    this.#size = Math.max(this.#size, (block + count) * BLOCK);
  }

  #sizeIs(size: number): void {
    equal(size, this.#size);
  }

  async #read(block: number): Promise<void> {
    const args = { fd: this.fd, offset: block * BLOCK, size: BLOCK, flags: 0 };
    const { data } = await this.#world.top.readv(ROOT, args);
    equal(data.length, (block + 1) * BLOCK <= this.#size ? BLOCK : 0);
    if (data.length) equal(numberIn(data), this.#written[block]);
  }

  /** All that was answered is on the brick. */
  async onBrick(): Promise<void> {
    const { brick, fds } = this.#world;
    const args = { fd: fds[0], offset: 0, size: BLOCKS * BLOCK, flags: 0 };
    const { data } = await brick.readv(ROOT, args);
    equal(data.length, this.#size);
    for (let block = 0; block * BLOCK < data.length; block++) {
      equal(numberIn(data.subarray(block * BLOCK)), this.#written[block], `block ${block}`);
    }
  }
}

function numberIn(data: Uint8Array): number {
  return new DataView(data.buffer, data.byteOffset).getUint32(0);
}

Deno.test("write-behind, seeded: one client never sees the past, and what was flushed is there", async () => {
  for (let seed = 1; seed <= 40; seed++) {
    const below = seeded(seed);
    const place = await world(below);
    const application = new Application(place, below);
    try {
      for (let step = 0; step < STEPS; step++) await application.step();
      for (const fd of place.fds) await place.top.flush(ROOT, { fd });
      await application.onBrick();
      for (const fd of place.fds) await place.top.release(ROOT, { fd });
      equal(place.brick.openFiles, 0);
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
  }
});

Deno.test("write-behind, seeded: no failure is lost, and none is told twice", async () => {
  for (let seed = 1; seed <= 40; seed++) {
    const below = seeded(seed);
    const { top, late, fds } = await world(below);
    late.failing = 12;
    let told = 0;
    const tell = async (answer: Promise<unknown>) => {
      try {
        await answer;
        return true;
      } catch (error) {
        ok(error instanceof FopError && ENOSPC.matches(error));
        told++;
        return false;
      }
    };
    for (let step = 0; step < STEPS; step++) {
      const fd = fds[below(2)]!, before = late.failed;
      const offset = below(BLOCKS) * BLOCK;
      if (below(8)) {
        await tell(top.writev(ROOT, { fd, offset, data: new Uint8Array(BLOCK), flags: 0 }));
      } else {
        // Whoever was told, or had nothing to be told, is not told again.
        await tell(top.fsync(ROOT, { fd, dataOnly: false }));
        const again = await tell(top.fsync(ROOT, { fd, dataOnly: false }));
        ok(again || late.failed > before, `seed ${seed}: told twice`);
      }
      ok(told <= late.failed, `seed ${seed}: ${told} told of ${late.failed}`);
    }
    const pending = told;
    for (const fd of fds) await tell(top.flush(ROOT, { fd }));
    ok(late.failed === 0 || told > 0, `seed ${seed}`);
    for (const fd of fds) equal(await tell(top.release(ROOT, { fd })), true, `seed ${seed}`);
    ok(told - pending <= fds.length);
    equal(late.failed > 0, told > 0, `seed ${seed}`);
  }
});
