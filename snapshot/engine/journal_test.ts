import { ok, strictEqual as equal } from "node:assert/strict";
import { realClock } from "core/env.ts";
import { Journal } from "snapshot/engine/journal.ts";
import { Segments } from "snapshot/engine/segments.ts";
import { HistoryStore } from "snapshot/engine/store.ts";
import { FakeClock } from "tests/fakes/clock.ts";

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
