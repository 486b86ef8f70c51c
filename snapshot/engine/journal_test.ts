import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { realClock } from "core/env.ts";
import { ROOT_GFID } from "core/inode.ts";
import { sys } from "core/sys/calls.ts";
import { Journal } from "snapshot/engine/journal.ts";
import { Segments } from "snapshot/engine/segments.ts";
import { HistoryStore } from "snapshot/engine/store.ts";
import { calling, pathOf } from "tests/fakes/calling.ts";
import { FakeClock } from "tests/fakes/clock.ts";

/** Bytes of a page of the index. */
const PAGE = 4096;

/** A log may go on getting empty on other threads. */
async function until(is: () => boolean): Promise<void> {
  while (!is()) await realClock.delay(1);
}

Deno.test("snapshot/engine: the index's log is cut when nothing was written for a while, not before", async () => {
  const directory = Deno.makeTempDirSync(), path = `${directory}/index.sqlite`;
  const store = HistoryStore.open(path), clock = new FakeClock();
  using segments = Segments.open(`${directory}/segments`);
  const journal = new Journal(store, segments, path, "relaxed", clock);
  const log = () => Deno.statSync(`${path}-wal`).size;
  const put = (epoch: number) => journal.add(() => store.putVersion(1, epoch, new Uint8Array(200)));
  try {
    await put(1);
    clock.advance(4000);
    await put(2);
    clock.advance(4000);
    await realClock.delay(5);
    ok(log() > 0, "something was written less than five seconds ago");
    clock.advance(5000);
    await until(() => log() === 0);
    equal(store.version(1, 2)!.epoch, 2);
    await put(3);
    ok(log() > 0);
  } finally {
    await journal.settled();
    store.close();
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("snapshot/engine: what does not wait for the disk is written in order, and told of", async () => {
  const directory = Deno.makeTempDirSync(), path = `${directory}/index.sqlite`;
  const store = HistoryStore.open(path), order: string[] = [];
  using segments = Segments.open(`${directory}/segments`);
  const journal = new Journal(store, segments, path, "strict");
  try {
    await Promise.all([
      journal.add(() => order.push("first")),
      journal.addLazily(() => order.push("second"), 1),
      journal.add(() => order.push("third")),
    ]);
    equal(order.join(" "), "first second third");
    await journal.addLazily(() => store.putVersion(1, 1, new Uint8Array(1)), 1);
    await journal.syncRows();
    equal(store.version(1, 1)!.epoch, 1);
  } finally {
    await journal.settled();
    store.close();
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("snapshot/engine: a loss of power while the log moves leaves an index that is whole", async () => {
  const directory = Deno.makeTempDirSync(), path = `${directory}/index.sqlite`;
  const store = HistoryStore.open(path), clock = new FakeClock();
  using segments = Segments.open(`${directory}/segments`);
  const journal = new Journal(store, segments, path, "relaxed", clock);
  const { fdatasyncAsync } = sys, checkpoint = store.checkpoint.bind(store);
  const lost: string[] = [], rows: number[] = [];
  let log = new Uint8Array();
  using _ = calling({
    fdatasyncAsync: (fd) => {
      if (pathOf(fd) === `${path}-wal`) log = Deno.readFileSync(`${path}-wal`);
      return fdatasyncAsync(fd);
    },
  });
  // Every other page that moved is on the disk, and of the log what was synced.
  store.checkpoint = () => {
    const before = Deno.readFileSync(path), at = `${directory}/lost-${lost.length}.sqlite`;
    checkpoint();
    const after = Deno.readFileSync(path);
    for (let page = 0; page + PAGE <= before.length; page += 2 * PAGE) {
      after.set(before.subarray(page, page + PAGE), page);
    }
    Deno.writeFileSync(at, after);
    Deno.writeFileSync(`${at}-wal`, log);
    lost.push(at);
    rows.push(store.rows());
  };
  try {
    for (const epoch of [1, 2]) {
      await journal.add(() => {
        for (let inode = 1; inode < 400; inode++) {
          store.putVersion(inode, epoch, new Uint8Array(200));
          store.putEntry(inode, { name: `${inode}`, gfid: ROOT_GFID, type: 0, epoch });
        }
      });
      clock.advance(5000);
      await until(() => Deno.statSync(`${path}-wal`).size === 0);
    }
    equal(lost.length, 4);
    for (const [index, at] of lost.entries()) {
      const found = HistoryStore.open(at);
      deepEqual(found.damage(), []);
      equal(found.rows(), rows[index]);
      found.close();
    }
  } finally {
    await journal.settled();
    store.close();
    Deno.removeSync(directory, { recursive: true });
  }
});
