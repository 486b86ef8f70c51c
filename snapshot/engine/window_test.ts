import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import type { Extent } from "snapshot/engine/store.ts";
import { Room, windowOf } from "snapshot/engine/window.ts";

function extent(start: number, units: number, epoch: number): Extent {
  return { inode: 1, start, units, epoch, place: epoch * 100, crc: 0 };
}

Deno.test("snapshot/engine: a window remembers only what the reader sees of many epochs", () => {
  const rows = [];
  for (let epoch = 200; epoch > 0; epoch--) rows.push(extent(3, 2, epoch), extent(250, 20, epoch));
  const { at, extents } = windowOf(rows, 0, Infinity);
  deepEqual(extents.map(({ start, epoch }) => [start, epoch]), [[3, 1], [250, 1]]);
  deepEqual([at[2], at[3], at[4], at[5], at[249], at[255]], [-1, 0, 0, -1, -1, 1]);
});

Deno.test("snapshot/engine: a newer row shows where older ones end, and none of a file that came later", () => {
  const rows = [extent(0, 10, 3), extent(0, 4, 2), extent(256, 4, 1)];
  const { at, extents } = windowOf(rows, 0, Infinity);
  deepEqual(extents.map(({ epoch }) => epoch), [2, 3]);
  deepEqual([at[3], at[4], at[10]], [0, 1, -1]);
  deepEqual(windowOf(rows, 0, 2).extents.map(({ epoch }) => epoch), [2]);
});

Deno.test("snapshot/engine: when views remember too much all forget", () => {
  let forgot = 0;
  const room = new Room(() => forgot++, 10_000), window = windowOf([], 0, Infinity);
  for (let count = 0; count < 6; count++) room.window(window);
  equal(forgot, 0);
  room.gone(window);
  room.state();
  equal(forgot, 0);
  room.state();
  equal(forgot, 1);
  for (let count = 0; count < 5; count++) room.state();
  equal(forgot, 1);
});
