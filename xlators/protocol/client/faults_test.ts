/**
 * Connections that are torn, stand still and come back under work of many kinds, by chance of a seed.
 * What was acknowledged is there, nothing is done twice, nothing is done after what followed it.
 */

import { deepStrictEqual as deepEqual, ok } from "node:assert/strict";
import { type Call, ROOT } from "core/call.ts";
import { realClock } from "core/env.ts";
import { EBADFD, ENOTCONN } from "core/errno.ts";
import { type Args, type FopName, O_APPEND, O_RDWR, type Reply } from "core/fops.ts";
import type { Fd, Gfid, Inode } from "core/inode.ts";
import { ptr, Xdata } from "core/xdata.ts";
import { Uniform, type Xlator } from "core/xlator.ts";
import {
  create,
  eventually,
  inodesOf,
  makeClient,
  memoryBrick,
  over,
  serveBrick,
} from "tests/fakes/client_brick.ts";
import { node } from "tests/fakes/node.ts";
import { seeded } from "tests/fakes/seeded.ts";
import { Wires } from "tests/fakes/wires.ts";

type Dice = (below: number) => number;
const SEEDS = 3, WORKERS = 6, ROUNDS = 30;
const COUNTER = "trusted.count";

/** A disk that takes its time: requests of a lost connection are under way when the next one comes. */
class Slow extends Uniform {
  constructor(child: Xlator, inodes: ReturnType<typeof inodesOf>, readonly dice: Dice) {
    super(node("brick", [child], { inodes }));
  }
  protected async around<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    this.underWay++;
    try {
      await realClock.delay(this.dice(this.dice(8) ? 3 : 60));
      return await this.wind(fop, call, args);
    } finally {
      this.underWay--;
    }
  }
  underWay = 0;
}

/** What a worker knows of its own files. */
class Worker {
  #value = 0;
  #acknowledged = 0;
  #unknown = 0;
  readonly appended = new Map<string, boolean>();
  readonly made = new Map<string, { gfid: Gfid; sure: boolean }>();
  failures = 0;

  constructor(
    readonly top: Xlator & { readonly up: boolean },
    readonly root: Inode,
    readonly id: number,
    readonly slot: Fd,
    readonly log: Fd,
  ) {}

  async work(dice: Dice): Promise<void> {
    for (let round = 0; round < ROUNDS; round++) {
      const [does] = [
        [
          () => this.#write(),
          () => this.#append(round),
          () => this.#create(round),
          () => this.#count(),
        ][dice(4)]!,
      ];
      try {
        await does();
      } catch (error) {
        if (!ENOTCONN.matches(error) && !EBADFD.matches(error)) throw error;
        this.failures++;
        // Most go on as soon as they can, some do not wait.
        if (dice(4)) await eventually(() => this.top.up);
        else await realClock.delay(dice(20));
      }
    }
  }

  async #write(): Promise<void> {
    // A write that was given up must not come through after one that followed it.
    if (this.#acknowledged === this.#value) await this.#readBack();
    const value = ++this.#value, data = word(value);
    await this.top.writev(ROOT, { fd: this.slot, offset: 0, data, flags: 0 });
    this.#acknowledged = value;
    await this.#readBack();
  }

  async #readBack(): Promise<void> {
    const read = await this.top.readv(ROOT, { fd: this.slot, offset: 0, size: 8, flags: 0 });
    deepEqual(number(read.data), this.#value, `worker ${this.id} read an older value`);
  }

  async #append(round: number): Promise<void> {
    const token = `${this.id}`.padStart(3, "0") + `${round}`.padStart(5, "0");
    this.appended.set(token, false);
    const data = new TextEncoder().encode(token);
    await this.top.writev(ROOT, { fd: this.log, offset: 0, data, flags: O_APPEND });
    this.appended.set(token, true);
  }

  async #create(round: number): Promise<void> {
    const name = `${this.id}-${round}`;
    const known = { gfid: crypto.randomUUID() as Gfid, sure: false };
    this.made.set(name, known);
    const { stat, fd } = await create(this.top, { root: this.root } as never, name);
    known.gfid = stat.gfid;
    known.sure = true;
    await this.top.release(ROOT, { fd });
  }

  async #count(): Promise<void> {
    this.#unknown++;
    const xattrs = Xdata.of([[COUNTER, ptr(new Uint8Array([0, 0, 0, 1]))]]);
    await this.top.fxattrop(ROOT, { fd: this.slot, op: "add32", xattrs });
    this.#unknown--;
    this.counted++;
  }
  counted = 0;

  get slotBounds(): [number, number] {
    return [this.#acknowledged, this.#value];
  }
  get countBounds(): [number, number] {
    return [this.counted, this.counted + this.#unknown];
  }
}

function word(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setUint32(4, value);
  return bytes;
}
function number(bytes: Uint8Array): number {
  return bytes.length < 8 ? 0 : new DataView(bytes.buffer, bytes.byteOffset).getUint32(4);
}

/** Hurts the connection until `done`. */
async function hurt(wires: Wires, dice: Dice, done: () => boolean, restart: () => Promise<void>) {
  while (!done()) {
    await realClock.delay(10 + dice(40));
    switch (dice(4)) {
      case 0:
        wires.tear();
        break;
      case 1:
        // Requests arrive, answers do not.
        wires.held = true;
        await realClock.delay(dice(30));
        wires.tear();
        wires.held = false;
        break;
      case 2:
        // As a process that was stopped: longer than the ping time-out, or shorter.
        wires.held = true;
        await realClock.delay(dice(200));
        wires.held = false;
        break;
      default:
        await restart();
    }
  }
}

async function scenario(seed: number): Promise<number> {
  const dice = seeded(seed);
  const disk = memoryBrick();
  let slow!: Slow;
  const serve = (port = 0) =>
    serveBrick(over(disk, (inodes) => slow = new Slow(disk, inodes, dice)), port);
  let brick = await serve();
  const { port } = brick;
  const wires = new Wires();
  // Pauses between attempts are short: what a lost connection asked for is still under way then.
  const clock = {
    ...realClock,
    delay: (ms: number, s?: AbortSignal) => realClock.delay(ms / 200, s),
  };
  const c = makeClient(port, {
    connect: wires.connect,
    env: { clock },
    options: { "ping-timeout": "100ms" },
  });
  await c.top.start();
  await c.heard("child-up");
  const { fd: shared } = await create(c.top, c.inodes, "log");
  const workers: Worker[] = [];
  for (let id = 0; id < WORKERS; id++) {
    const { fd: slot } = await create(c.top, c.inodes, `slot-${id}`);
    const { fd: log } = await c.top.open(ROOT, { inode: shared.inode, flags: O_RDWR | O_APPEND });
    workers.push(new Worker(c.top, c.inodes.root, id, slot, log));
  }
  let done = false;
  const restart = async () => {
    await brick.stop();
    // A process that ends leaves nothing under way.
    await eventually(() => slow.underWay === 0);
    for (;;) {
      try {
        return void (brick = await serve(port));
      } catch (error) {
        // A socket of somebody else, or the client's own, has the port for a moment.
        if (!(error instanceof Deno.errors.AddrInUse)) throw error;
        await realClock.delay(10);
      }
    }
  };
  const hurting = hurt(wires, dice, () => done, restart);
  await Promise.all(workers.map((worker) => worker.work(dice))).finally(() => done = true);
  await hurting;
  await c.stop();
  await brick.stop();
  await check(disk, workers, shared.inode.gfid);
  checkEvents(c.events.map(({ type }) => type));
  return workers.reduce((sum, { failures }) => sum + failures, 0);
}

/** What lies on the disk is what workers know. */
async function check(disk: Xlator, workers: readonly Worker[], log: Gfid): Promise<void> {
  const inodes = inodesOf(disk);
  const content = async (gfid: Gfid) => {
    const { fd } = await disk.open(ROOT, { inode: inodes.of(gfid), flags: 0 });
    return (await disk.readv(ROOT, { fd, offset: 0, size: 1 << 20, flags: 0 })).data;
  };
  const text = new TextDecoder().decode(await content(log));
  const tokens: readonly string[] = text.match(/.{8}/g) ?? [];
  deepEqual(new Set(tokens).size, tokens.length, "an append was done twice");
  const expected = new Map(workers.flatMap(({ appended }) => [...appended]));
  ok(tokens.every((token) => expected.has(token)));
  for (const [token, sure] of expected) ok(!sure || tokens.includes(token), `${token} is lost`);
  for (const worker of workers) {
    const { gfid } = worker.slot.inode;
    within(number(await content(gfid)), worker.slotBounds, `slot ${worker.id}`);
    const { xattrs } = await disk.getxattr(ROOT, { inode: inodes.of(gfid), name: COUNTER })
      .catch(() => ({ xattrs: undefined }));
    const value = xattrs?.raw(COUNTER);
    const count = value?.type === "ptr" ? value.value[3]! : 0;
    within(count, worker.countBounds, `counter ${worker.id}`);
    for (const [name, { gfid, sure }] of worker.made) {
      if (!sure) continue;
      const { stat } = await disk.lookup(ROOT, { parent: inodes.root, name });
      deepEqual(stat.gfid, gfid, name);
    }
  }
}

function within(value: number, [least, most]: [number, number], what: string): void {
  ok(value >= least && value <= most, `${what}: ${value} is not from ${least} to ${most}`);
}

function checkEvents(types: readonly string[]): void {
  ok(types.length > 2, `${types}`);
  for (const [i, type] of types.entries()) deepEqual(type, i % 2 ? "child-down" : "child-up");
}

Deno.test("protocol/client: whatever happens to connections, what was acknowledged is there, and nothing twice", async () => {
  let failures = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    try {
      failures += await scenario(seed);
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
  }
  // Otherwise nothing was tried.
  ok(failures > SEEDS * 5, `${failures} failures`);
});
