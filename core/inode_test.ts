import { deepStrictEqual, notStrictEqual, strictEqual } from "node:assert/strict";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import {
  type Gfid,
  gfidFromBytes,
  gfidToBytes,
  Inode,
  InodeTable,
  NULL_GFID,
  parseGfid,
  PerInode,
  ROOT_GFID,
} from "core/inode.ts";

function numbered(n: number): Gfid {
  return `00000000-0000-4000-8000-${n.toString(16).padStart(12, "0")}` as Gfid;
}

Deno.test("core/inode: gfids are read from text and nothing else is", () => {
  strictEqual(
    parseGfid("00000000-0000-0000-0000-00000000000A"),
    "00000000-0000-0000-0000-00000000000a",
  );
  for (const wrong of ["", "1", `${ROOT_GFID}0`, ROOT_GFID.replace("-", ""), "g".repeat(36)]) {
    strictEqual(parseGfid(wrong), undefined, wrong);
  }
});

Deno.test("core/inode: gfids survive the way to bytes and back, however often", () => {
  const all = [
    NULL_GFID,
    ROOT_GFID,
    ...Array.from({ length: 5000 }, () => crypto.randomUUID() as Gfid),
  ];
  for (let round = 0; round < 2; round++) {
    for (const gfid of all) strictEqual(gfidFromBytes(gfidToBytes(gfid)), gfid);
  }
});

Deno.test("core/inode: gfids that share a slot of the memo stay apart", () => {
  // Bytes 3, 14 and 15 choose the slot: these differ elsewhere only.
  const all = Array.from({ length: 300 }, (_, i) => {
    const bytes = new Uint8Array(16).fill(7);
    bytes[0] = i & 0xff;
    bytes[8] = i >> 8;
    return bytes;
  });
  const texts = all.map((bytes) => gfidFromBytes(bytes));
  strictEqual(new Set(texts).size, 300);
  all.forEach((bytes, i) => strictEqual(gfidFromBytes(bytes), texts[i]));
});

Deno.test("core/inode: bytes are read and written at an offset", () => {
  const bytes = new Uint8Array(24);
  gfidToBytes(ROOT_GFID, bytes, 5);
  deepStrictEqual([bytes[20], bytes[19], gfidFromBytes(bytes, 5)], [1, 0, ROOT_GFID]);
});

Deno.test("core/inode: the table answers one object per gfid, and its root", () => {
  const table = new InodeTable();
  const inode = table.of(numbered(1));
  strictEqual(table.of(numbered(1)), inode);
  notStrictEqual(table.of(numbered(2)), inode);
  strictEqual(table.of(ROOT_GFID), table.root);
  strictEqual(table.size, 2);
});

Deno.test("core/inode: an evicted inode that somebody holds comes back as the same object", () => {
  const table = new InodeTable(16);
  const held = table.of(numbered(0));
  const state = new PerInode<string>();
  state.set(held, "kept");
  for (let i = 1; i < 1000; i++) table.of(numbered(i));
  strictEqual(table.size <= 16, true);
  strictEqual(table.of(numbered(0)), held);
  strictEqual(state.get(table.of(numbered(0))), "kept");
});

Deno.test("core/inode: of inodes that nobody holds nothing stays", async () => {
  setFlagsFromString("--expose-gc");
  const collect: () => void = runInNewContext("gc");
  const table = new InodeTable(16), COUNT = 10_000;
  const held = Array.from({ length: 100 }, (_, i) => table.of(numbered(i)));
  let most = 0;
  for (let i = held.length; i < COUNT; i++) {
    table.of(numbered(i));
    if (i % 500) continue;
    most = Math.max(most, table.remembered);
    // Until its turn ends, nothing of it is collected.
    await new Promise((done) => setImmediate(done));
    collect();
  }
  strictEqual(most < COUNT / 5, true, `${most}`);
  for (const [i, inode] of held.entries()) strictEqual(table.of(numbered(i)), inode);
});

Deno.test("core/inode: asking which inode is known makes none", () => {
  const table = new InodeTable(16);
  strictEqual(table.known(numbered(1)), undefined);
  strictEqual(table.size, 0);
  const held = table.of(numbered(1));
  strictEqual(table.known(numbered(1)), held);
  for (let i = 2; i < 100; i++) table.of(numbered(i));
  strictEqual(table.known(numbered(1)), held);
  strictEqual(table.known(ROOT_GFID), table.root);
});

Deno.test("core/inode: a forgotten inode that somebody holds comes back as the same object", () => {
  const table = new InodeTable();
  const inode = table.of(numbered(1));
  table.forget(numbered(1));
  table.forget(numbered(2));
  strictEqual(table.size, 0);
  strictEqual(table.of(numbered(1)), inode);
  table.forget(ROOT_GFID);
  strictEqual(table.of(ROOT_GFID), table.root);
});

Deno.test("core/inode: state of a layer is per inode object and can be dropped", () => {
  const state = new PerInode<number>();
  const a = new Inode(numbered(1)), b = new Inode(numbered(1));
  state.set(a, 1);
  deepStrictEqual([state.get(a), state.get(b)], [1, undefined]);
  state.delete(a);
  strictEqual(state.get(a), undefined);
});

Deno.test("core/inode: a table that shall hold fewer lets the oldest go, and 0 holds all", () => {
  const table = new InodeTable(0x10000);
  for (let i = 1; i <= 1000; i++) table.of(numbered(i));
  table.holdAtMost(100);
  strictEqual(table.size, 100);
  for (let i = 1; i <= 200; i++) table.of(numbered(i));
  strictEqual(table.size <= 100, true);
  table.holdAtMost(0);
  for (let i = 1; i <= 1000; i++) table.of(numbered(i));
  strictEqual(table.size, 1000);
});
