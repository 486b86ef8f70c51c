/** Old data that is on its way into a segment while others go from there. */

import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { EIO } from "core/errno.ts";
import { type Gfid, ROOT_GFID } from "core/inode.ts";
import { sys } from "core/sys/calls.ts";
import { History } from "snapshot/engine/history.ts";
import { SEGMENT_BYTES } from "snapshot/engine/segments.ts";
import { calling } from "tests/fakes/calling.ts";
import { testEnv } from "tests/fakes/node.ts";
import { SmallVolume } from "tests/fakes/small_volume.ts";

const FILE = "00010000-0000-4000-8000-000000000000" as Gfid;
const UNIT = 4096;
/** Units of a file, and of an append that is written on another thread. */
const UNITS = 80, MANY = 64;
const READER = { kind: "snapshot", file: undefined, name: "", created: 0, active: true } as const;

/** Calls `test` with a history whose first segment has a row of "old", and room for `MANY` units. */
async function withFullSegment(
  test: (
    history: History,
    write: (unit: number, count: number) => Promise<void>,
    segment: string,
  ) => Promise<void>,
): Promise<void> {
  const root = Deno.makeTempDirSync({ prefix: "segments-" });
  const volume = new SmallVolume(`${root}/data`, () => 0);
  volume.make(ROOT_GFID, "file", FILE);
  volume.write(FILE, 0, new Uint8Array(UNITS * UNIT).fill(1));
  const opened = () =>
    History.open({
      ...{ directory: `${root}/history`, live: volume, durability: "relaxed", env: testEnv() },
    });
  let history = await opened();
  const write = (unit: number, count: number) =>
    history.change(async () => {
      await history.preserve.data(FILE, unit * UNIT, count * UNIT);
      volume.write(FILE, unit * UNIT, new Uint8Array(count * UNIT).fill(9));
    });
  try {
    await history.take({ ...READER, id: "old", epoch: 1 });
    await write(UNITS - 1, 1);
    await history.close();
    Deno.truncateSync(`${root}/history/segments/1`, SEGMENT_BYTES - MANY * UNIT);
    history = await opened();
    await history.take({ ...READER, id: "new", epoch: 2 });
    await test(history, write, `${root}/history/segments/1`);
  } finally {
    await history.close();
    Deno.removeSync(root, { recursive: true });
  }
}

async function shown(history: History): Promise<number[]> {
  const data = new Uint8Array(UNITS * UNIT);
  await history.view("new")!.read(FILE, 0, data);
  return [0, MANY - 1, MANY, UNITS - 1].map((unit) => data[unit * UNIT]!);
}

Deno.test("snapshot/engine: a segment stays while something in it has no row yet", () =>
  withFullSegment(async (history, write) => {
    {
      const { pwriteAsync, fdatasyncAsync } = sys, begun = Promise.withResolvers<void>();
      using _ = calling({
        pwriteAsync: async (...args) => {
          // To the next segment; then nothing else is in this one.
          await write(MANY, 1);
          begun.resolve();
          await history.collected();
          return await pwriteAsync(...args);
        },
        // What collecting begins with.
        fdatasyncAsync: (fd) => begun.promise.then(() => fdatasyncAsync(fd)),
      });
      await history.removeAll(["old"]);
      await write(0, MANY);
    }
    deepEqual(await shown(history), [1, 1, 1, 9]);
    await history.remove("new");
    await history.collected();
    deepEqual(history.usage(), { rows: 0, bytes: 0 });
  }));

Deno.test("snapshot/engine: a segment whose last append failed goes with its last row", () =>
  withFullSegment(async (history, write, segment) => {
    {
      using _ = calling({ pwriteAsync: () => write(MANY, 1).then(() => -EIO.errno) });
      await rejects(write(0, MANY), (error) => EIO.matches(error));
    }
    equal(Deno.statSync(segment).isFile, true);
    await history.remove("old");
    await history.collected();
    equal(await Deno.stat(segment).then(() => true, () => false), false);
  }));
