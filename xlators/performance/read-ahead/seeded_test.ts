/** Random reads and writes of one client beside another's, on a brick whose answers come late. */

import { ok } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { O_RDWR } from "core/fops.ts";
import { InodeTable } from "core/inode.ts";
import { readOptions } from "core/options.ts";
import { gfidReq } from "tests/conformance/place.ts";
import { Late } from "tests/fakes/late.ts";
import { MemoryBrick } from "tests/fakes/memory_brick.ts";
import { node } from "tests/fakes/node.ts";
import { seeded } from "tests/fakes/seeded.ts";
import { readAhead } from "xlators/performance/read-ahead/read_ahead.ts";

const BLOCK = 512, BLOCKS = 40, STEPS = 200;

function block(number: number): Uint8Array<ArrayBuffer> {
  const data = new Uint8Array(BLOCK);
  new DataView(data.buffer).setUint32(0, number);
  return data;
}

async function play(seed: number): Promise<void> {
  const below = seeded(seed);
  const inodes = new InodeTable();
  const brick = new MemoryBrick(node("memory", [], { inodes }));
  const late = new Late(node("late", [brick], { inodes }), below, 15);
  const option = { "page-size": String(4096), "page-count": String(1 + below(4)) };
  const values = readOptions(readAhead.options, new Map(Object.entries(option)));
  const top = readAhead.create(node("ra", [late], { inodes }), values);
  const made = { parent: inodes.root, name: "f", mode: 0o644, umask: 0, flags: O_RDWR };
  const { fd: writer, stat } = await top.create(ROOT, { ...made, xdata: gfidReq() });
  const inode = inodes.of(stat.gfid);
  const readers = await Promise.all([0, 0].map((flags) => top.open(ROOT, { inode, flags })));
  const at = readers.map(() => 0);
  /** By block: the highest number that was seen, or written by this client. */
  const least = new Uint32Array(BLOCKS);
  let number = 0;
  await brick.writev(ROOT, {
    fd: writer,
    offset: 0,
    data: new Uint8Array(BLOCK * BLOCKS),
    flags: 0,
  });

  const read = async (which: number) => {
    if (below(8) === 0 || at[which]! >= BLOCKS) at[which] = below(4) ? 0 : below(BLOCKS);
    const from = at[which]!, count = Math.min(1 + below(6), BLOCKS - from);
    at[which] = from + count;
    const before = least.slice();
    const args = { fd: readers[which]!.fd, offset: from * BLOCK, size: count * BLOCK, flags: 0 };
    const { data } = await top.readv(ROOT, args);
    for (let i = 0; i < count; i++) {
      const seen = new DataView(data.buffer, data.byteOffset + i * BLOCK).getUint32(0);
      const index = from + i;
      ok(seen >= before[index]!, `block ${index}: read ${seen}, before ${before[index]}`);
      least[index] = Math.max(least[index]!, seen);
    }
  };

  const act = async () => {
    const what = below(24), index = below(BLOCKS), offset = index * BLOCK;
    if (what < 12) return await read(below(2));
    const mine = ++number;
    const args = { fd: writer, offset, data: block(mine), flags: 0 };
    // Another client's is not told: it may be seen late, but not come and go.
    if (what < 18) return void await brick.writev(ROOT, args);
    await top.writev(ROOT, args);
    least[index] = mine;
  };

  // One writer at a time: numbers in a block only rise.
  const all = async (each: () => Promise<void>) => {
    for (let step = 0; step < STEPS; step++) await each();
  };
  await Promise.all([all(act), all(() => read(0)), all(() => read(1))]);
}

Deno.test("read-ahead, seeded: one client never reads the past", async () => {
  for (let seed = 1; seed <= 40; seed++) {
    await play(seed).catch((cause) => {
      throw new Error(`seed ${seed}`, { cause });
    });
  }
});
