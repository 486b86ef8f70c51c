import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { crc32 } from "node:zlib";
import { realClock } from "core/env.ts";
import type { Gfid } from "core/inode.ts";
import { sys } from "core/sys/calls.ts";
import { Journal } from "snapshot/engine/journal.ts";
import { Notes } from "snapshot/engine/notes.ts";
import { putNotes } from "snapshot/engine/recover.ts";
import { Segments } from "snapshot/engine/segments.ts";
import { SharedSync } from "snapshot/engine/shared_sync.ts";
import { HistoryStore } from "snapshot/engine/store.ts";
import { calling } from "tests/fakes/calling.ts";

const FILE = "00010000-0000-4000-8000-000000000000" as Gfid;
const UNIT = 4096;

/** A brick's history without the brick; what a killed process leaves is opened `again`. */
class Kept {
  readonly store: HistoryStore;
  readonly segments: Segments;
  readonly notes: Notes;
  readonly journal: Journal;

  constructor(directory: string, durability: "strict" | "relaxed" = "relaxed") {
    const path = `${directory}/index.sqlite`;
    const store = this.store = HistoryStore.open(path);
    const segments = this.segments = Segments.open(`${directory}/segments`);
    const notes = this.notes = Notes.open(`${directory}/notes`);
    this.journal = new Journal(store, segments, path, durability, undefined, notes);
    store.transaction(() => store.idOf(FILE));
  }

  static async again(directory: string): Promise<Kept> {
    const kept = new Kept(directory);
    await putNotes(kept.store, kept.segments, kept.notes);
    return kept;
  }

  note(start: number, epoch = 1): Promise<void> | undefined {
    const bytes = new Uint8Array(UNIT).fill(start + 1);
    const { place } = this.segments.append(bytes);
    ok(this.journal.takesNotes);
    const inode = this.store.idOf(FILE), crc = crc32(bytes);
    return this.journal.note(FILE, { inode, start, units: 1, epoch, place, crc }, () => crc);
  }

  starts(): number[] {
    const rows = this.store.extents(this.store.idOf(FILE), 0, 1e6, 0);
    return rows.map(({ start }) => start).sort((one, other) => one - other);
  }

  end(): void {
    this.store.close();
    this.segments[Symbol.dispose]();
    this.notes[Symbol.dispose]();
  }
}

async function inDirectory(test: (directory: string) => Promise<void>): Promise<void> {
  const directory = Deno.makeTempDirSync({ prefix: "notes-" });
  try {
    await test(directory);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

Deno.test("snapshot/engine: what is noted is found at once, and after a kill", () =>
  inDirectory(async (directory) => {
    const killed = new Kept(directory);
    for (const start of [9, 2, 5]) killed.note(start);
    deepEqual(killed.starts(), [2, 5, 9]);
    deepEqual([killed.store.rows(), [...killed.store.segments()]], [3, [[1, 3 * UNIT]]]);
    equal(killed.store.nextUnit(killed.store.idOf(FILE), 3), 5);
    killed.end();
    const after = await Kept.again(directory);
    deepEqual(after.starts(), [2, 5, 9]);
    equal(after.store.noted.count, 0);
    after.note(7);
    after.end();
    const last = await Kept.again(directory);
    deepEqual(last.starts(), [2, 5, 7, 9]);
    deepEqual([...last.store.segments()], [[1, 4 * UNIT]]);
    last.end();
  }));

Deno.test("snapshot/engine: notes go into the index with the next transaction, once, and slots are used again", () =>
  inDirectory(async (directory) => {
    const kept = new Kept(directory);
    kept.note(1);
    kept.store.transaction(() => equal(kept.starts().length, 1));
    equal(kept.store.noted.count, 0);
    for (let start = 10; start < 5000; start += 2) kept.note(start);
    equal(kept.starts().length, 2496);
    kept.end();
    const after = await Kept.again(directory);
    equal(after.starts().length, 2496);
    equal(after.store.rows(), 2496);
    after.end();
  }));

Deno.test("snapshot/engine: a note that is not whole, or whose data is not there, is none", () =>
  inDirectory(async (directory) => {
    const killed = new Kept(directory);
    for (const start of [1, 2, 3]) killed.note(start);
    killed.end();
    const [notes, segment] = [`${directory}/notes`, `${directory}/segments/1`];
    using file = Deno.openSync(notes, { write: true });
    file.seekSync(2 * 64 + 20, Deno.SeekMode.Start);
    file.writeSync(Uint8Array.of(1));
    using data = Deno.openSync(segment, { write: true });
    data.seekSync(2 * UNIT, Deno.SeekMode.Start);
    data.writeSync(Uint8Array.of(99));
    const after = await Kept.again(directory);
    deepEqual(after.starts(), [1]);
    after.end();
  }));

Deno.test("snapshot/engine: a transaction that fails leaves what is noted as it was", () =>
  inDirectory(async (directory) => {
    const kept = new Kept(directory);
    kept.note(4);
    try {
      kept.store.transaction(() => {
        throw new Error("no");
      });
    } catch { /* As told. */ }
    deepEqual([kept.store.noted.count, kept.starts()], [1, [4]]);
    kept.journal.putNoted();
    deepEqual([kept.store.noted.count, kept.starts()], [0, [4]]);
    kept.end();
    await Promise.resolve();
  }));

Deno.test("snapshot/engine: strict notes wait for data and notes on the disk, and share syncs", () =>
  inDirectory(async (directory) => {
    const kept = new Kept(directory, "strict");
    await kept.journal.sync();
    const { fdatasyncAsync } = sys, ends: (() => void)[] = [];
    using _ = calling({
      fdatasyncAsync: async (fd) => {
        const { promise, resolve } = Promise.withResolvers<void>();
        ends.push(resolve);
        await promise;
        return await fdatasyncAsync(fd);
      },
    });
    const turns = async () => {
      for (let turn = 0; turn < 20; turn++) await undefined;
    };
    const over: number[] = [];
    const note = (start: number) => kept.note(start)!.then(() => over.push(start));
    const all = [note(1), note(3)];
    await turns();
    equal(ends.length, 2, "a segment and the notes");
    all.push(note(5), note(7));
    await turns();
    deepEqual([ends.length, over], [2, []]);
    for (const end of ends.splice(0)) end();
    await Promise.all(all.slice(0, 2));
    deepEqual(over, [1, 3]);
    while (ends.length < 2) await realClock.delay(1);
    for (const end of ends.splice(0)) end();
    await Promise.all(all);
    kept.end();
  }));

Deno.test("snapshot/engine: who asks for a sync waits for the one that took its file before", async () => {
  const ends: (() => void)[] = [];
  const sync = new SharedSync(() => new Promise((resolve) => ends.push(() => resolve(0))));
  equal(sync.done(), undefined);
  sync.wrote();
  const first = sync.done(), second = sync.done();
  ok(first && second);
  equal(ends.length, 1);
  let isOver = false;
  const waits = second.then(() => isOver = true);
  await undefined;
  equal(isOver, false);
  ends[0]!();
  await waits;
  await first;
  equal(sync.done(), undefined);
});
