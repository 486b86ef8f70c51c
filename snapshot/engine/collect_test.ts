import { strictEqual as equal } from "node:assert/strict";
import { realClock } from "core/env.ts";
import { ROOT_GFID } from "core/inode.ts";
import { Collector } from "snapshot/engine/collect.ts";
import { Journal } from "snapshot/engine/journal.ts";
import { Readers } from "snapshot/engine/readers.ts";
import { Segments } from "snapshot/engine/segments.ts";
import { HistoryStore } from "snapshot/engine/store.ts";
import { UNIT } from "snapshot/engine/units.ts";
import { FakeClock } from "tests/fakes/clock.ts";

/** Rows of old data that nobody needs. */
const ROWS = 40;

/** Calls `body` with a collector of those; `pieces` are the sizes that are given back. */
async function collecting(
  asked: () => number,
  body: (
    over: Promise<void>,
    rows: () => number,
    clock: FakeClock,
    pieces: number[],
  ) => Promise<void>,
): Promise<void> {
  const directory = Deno.makeTempDirSync(), path = `${directory}/index.sqlite`;
  const store = HistoryStore.open(path), clock = new FakeClock(), pieces: number[] = [];
  using segments = Segments.open(`${directory}/segments`);
  const journal = new Journal(store, segments, path, "strict");
  const punch = segments.punch.bind(segments);
  segments.punch = (place, size) => (pieces.push(size), punch(place, size));
  try {
    const inode = store.idOf(ROOT_GFID);
    // Side by side in the history, far from each other in the file.
    for (let n = 0; n < ROWS; n++) {
      const { place } = segments.append(new Uint8Array(UNIT).fill(n + 1));
      store.putExtent({ inode, start: n * 37 % ROWS * 10, units: 1, epoch: 1, place, crc: 0 });
      store.addLive(1, UNIT);
    }
    const kept = undefined as never;
    const parts = { store, journal, segments, kept, readers: new Readers(), clock, asked };
    const collector = new Collector(parts);
    collector.add(1);
    await body(collector.run(), () => store.rows(), clock, pieces);
    equal(store.segments().get(1), 0);
  } finally {
    await journal.settled();
    store.close();
    Deno.removeSync(directory, { recursive: true });
  }
}

async function until(is: () => boolean): Promise<void> {
  while (!is()) await realClock.delay(1);
}

Deno.test("snapshot/engine: what nobody needs goes in small turns while the brick is asked for something", async () => {
  let fops = 0;
  await collecting(() => ++fops, async (over, rows, clock) => {
    let before = ROWS;
    for (const left of [24, 8, 0]) {
      await until(() => rows() < before);
      equal(before = rows(), left);
      await until(() => clock.timers > 0);
      clock.advance(25);
    }
    await over;
  });
});

Deno.test("snapshot/engine: room that lies side by side is given back as one piece", async () => {
  await collecting(() => 0, async (over, rows, clock, pieces) => {
    await until(() => rows() === 0);
    await until(() => clock.timers > 0);
    clock.advance(1);
    await over;
    equal(pieces.join(" "), String(ROWS * UNIT));
  });
});
