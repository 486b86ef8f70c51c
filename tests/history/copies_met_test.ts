/** What a history that comes from another copy may meet on its way. */

import { deepStrictEqual as deepEqual, rejects, throws } from "node:assert/strict";
import { ESTALE } from "core/errno.ts";
import type { OldData } from "core/history_copies.ts";
import { realClock } from "core/env.ts";
import { type Gfid, ROOT_GFID } from "core/inode.ts";
import { copyHistory } from "mgmt/snapshots/copy_history.ts";
import { copiesOf } from "snapshot/engine/copies.ts";
import { History } from "snapshot/engine/history.ts";
import { LookedAt } from "snapshot/engine/looked_at.ts";
import { SEGMENT_BYTES, Segments } from "snapshot/engine/segments.ts";
import { TurnRows } from "snapshot/engine/turn_rows.ts";
import { copyFiles } from "tests/history/kill_points.ts";
import { testEnv } from "tests/fakes/node.ts";
import { SmallVolume, xattrOf } from "tests/fakes/small_volume.ts";

const FILE = "00010000-0000-4000-8000-000000000000" as Gfid;
const UNIT = 4096, UNITS = 4, TARGET = { without: "user.none", isArbiter: false };
const ARBITER = { ...TARGET, isArbiter: true };
const READER = { kind: "snapshot", file: undefined, name: "", created: 0, active: true } as const;

/** A brick with one file, of units that are all ones, all twos, …, and its history. */
class Brick implements AsyncDisposable {
  readonly #open: Deno.FsFile;

  private constructor(
    readonly directory: string,
    readonly volume: SmallVolume,
    readonly history: History,
  ) {
    this.#open = Deno.openSync(volume.path(FILE), { write: true });
  }

  static async make(directory: string, from?: SmallVolume): Promise<Brick> {
    const volume = from?.movedTo(`${directory}/data`) ??
      new SmallVolume(`${directory}/data`, () => 0);
    if (!from) {
      volume.make(ROOT_GFID, "file", FILE);
      for (let unit = 0; unit < UNITS; unit++) {
        volume.write(FILE, unit * UNIT, new Uint8Array(UNIT).fill(unit + 1));
      }
    }
    const history = await History.open({
      ...{ directory: `${directory}/history`, live: volume, durability: "relaxed", env: testEnv() },
    });
    return new Brick(directory, volume, history);
  }

  take(id: string, epoch: number): Promise<void> {
    return this.history.take({ ...READER, id, epoch });
  }

  /** Another process looks at the index from now on, as for a clone. */
  lookedAt(): void {
    this.history.readers.haveOthers = true;
  }

  /** Fills units; undefined: with what they hold. */
  write(unit: number, count: number, value?: number): Promise<void> {
    return this.history.change(async () => {
      const data = new Uint8Array(count * UNIT).fill(value ?? 0);
      if (value === undefined) await this.volume.read(FILE, unit * UNIT, data);
      await this.history.preserve.data(FILE, unit * UNIT, data.length);
      this.volume.write(FILE, unit * UNIT, data);
    });
  }

  /** The file loses its name. */
  leave(): Promise<void> {
    return this.history.change(async () => {
      const leaving = await this.history.preserve.leaving(ROOT_GFID, "file");
      const keep = leaving && `${this.directory}/history/kept/${leaving.name}`;
      leaving?.done(this.volume.unlink(ROOT_GFID, "file", keep));
    });
  }

  /** Fills a unit of the file by a descriptor that was there before it lost its name. */
  writeOpen(unit: number, value: number): Promise<void> {
    return this.history.change(async () => {
      await this.history.preserve.data(FILE, unit * UNIT, UNIT);
      this.#open.seekSync(unit * UNIT, Deno.SeekMode.Start);
      this.#open.writeSync(new Uint8Array(UNIT).fill(value));
    });
  }

  /** The first byte of each unit that a snapshot shows. */
  async shown(id: string): Promise<number[]> {
    const data = new Uint8Array(UNITS * UNIT);
    await this.history.view(id)!.read(FILE, 0, data);
    return Array.from({ length: UNITS }, (_, unit) => data[unit * UNIT]!);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#open.close();
    await this.history.close();
  }
}

async function inRoot(test: (root: string) => Promise<void>): Promise<void> {
  const root = Deno.makeTempDirSync({ prefix: "copies-met-" });
  try {
    await test(root);
  } finally {
    Deno.removeSync(root, { recursive: true });
  }
}

/** The second is a copy of the first, without a history. */
function withTwo(test: (from: Brick, to: Brick) => Promise<void>): Promise<void> {
  return inRoot(async (root) => {
    await using from = await Brick.make(`${root}/from`);
    copyFiles(`${root}/from/data`, `${root}/to/data`);
    await using to = await Brick.make(`${root}/to`, from.volume);
    await test(from, to);
  });
}

/** Reads of old data that last until it is `end`: whoever has to wait for them does, or should. */
class SlowReads {
  readonly #read = Segments.prototype.read;
  readonly #met = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<void>();

  begin(): void {
    const read = this.#read, met = this.#met, ended = this.#ended.promise;
    Segments.prototype.read = async function (place, into) {
      met.resolve();
      await Promise.race([ended, realClock.delay(100)]);
      await read.call(this, place, into);
    };
  }

  get met(): Promise<void> {
    return this.#met.promise;
  }

  end(): void {
    Segments.prototype.read = this.#read;
    this.#ended.resolve();
  }
}

async function copy(
  from: Brick,
  to: Brick,
  epoch: number,
  before: () => Promise<void> = () => Promise.resolve(),
  target = TARGET,
): Promise<void> {
  for (const brick of [from, to]) await brick.take("copy", epoch);
  const orders = copiesOf(to.history);
  await copyHistory({
    ...{ from: copiesOf(from.history), to: orders, id: "copy", epoch, target },
    note: () => Promise.resolve(),
  }, new AbortController().signal);
  await before();
  await orders.end("copy", from.history.readers.list().filter((each) => each.epoch < epoch));
}

/** The end comes while what `begin` began reads old data; answers what that answers. */
async function copyBeside<T>(
  from: Brick,
  to: Brick,
  epoch: number,
  begin: () => Promise<T>,
): Promise<T> {
  const reads = new SlowReads();
  let begun: Promise<T> | undefined;
  await copy(from, to, epoch, () => {
    reads.begin();
    begun = begin();
    return reads.met;
  });
  reads.end();
  return await begun!;
}

Deno.test("snapshot/engine: what only a heal wrote is preserved again after the other history came", () =>
  withTwo(async (from, to) => {
    for (const brick of [from, to]) await brick.take("old", 1);
    await to.write(0, 2);
    await copy(from, to, 3);
    await to.history.remove("copy");
    await to.write(0, 2, 9);
    deepEqual(await to.shown("old"), [1, 2, 3, 4]);
  }));

Deno.test("snapshot/engine: who did not hear that a history came asks again, and nothing is lost", () =>
  inRoot(async (root) => {
    await using from = await Brick.make(`${root}/from`);
    await from.take("old", 1);
    await from.write(0, 2, 9);
    copyFiles(`${root}/from/data`, `${root}/to/data`);
    await using to = await Brick.make(`${root}/to`, from.volume);
    await copy(from, to, 3);
    const readers = from.history.readers.list().filter((each) => each.epoch < 3);
    await to.history.copyIn.end("copy", readers);
    deepEqual(await to.shown("old"), [1, 2, 3, 4]);
  }));

Deno.test("snapshot/engine: rows that go because nobody needs them are none of another history", () =>
  withTwo(async (from, to) => {
    for (const brick of [from, to]) {
      await brick.take("older", 1);
      await brick.write(1, 1, 11);
      await brick.take("old", 2);
      await brick.write(0, 3, 12);
    }
    // A row of "old" is cut where "older" has its own, and takes its time.
    await copyBeside(from, to, 4, () => to.history.remove("old"));
    await to.history.collected();
    deepEqual(await to.shown("older"), [1, 2, 3, 4]);
    deepEqual(await to.shown("old"), [1, 11, 3, 4]);
  }));

Deno.test("snapshot/engine: what is being read when another history comes is read to its end", () =>
  withTwo(async (from, to) => {
    for (const brick of [from, to]) {
      await brick.take("old", 1);
      await brick.write(0, 1, 9);
      await brick.write(2, 1, 9);
    }
    const shown = await copyBeside(from, to, 3, () => to.shown("old"));
    deepEqual(shown, [1, 2, 3, 4]);
  }));

/** The snapshot "old", looked at by another process, for which nobody waits. */
function lookedAt({ directory, volume }: Brick): LookedAt {
  const options = { directory: `${directory}/history`, live: volume, env: testEnv() };
  return new LookedAt(options, "old");
}

async function shownToOthers(brick: Brick): Promise<number[]> {
  using looked = lookedAt(brick);
  return await seenBy(looked);
}

async function seenBy(looked: LookedAt): Promise<number[]> {
  const data = new Uint8Array(UNITS * UNIT);
  await looked.read(FILE, 0, data);
  return Array.from({ length: UNITS }, (_, unit) => data[unit * UNIT]!);
}

Deno.test("snapshot/engine: what another process reads when another history comes is read again", () =>
  withTwo(async (from, to) => {
    for (const brick of [from, to]) {
      await brick.take("old", 1);
      await brick.write(0, UNITS, 9);
    }
    to.lookedAt();
    deepEqual(await copyBeside(from, to, 3, () => shownToOthers(to)), [1, 2, 3, 4]);
  }));

Deno.test("snapshot/engine: another process reads on when the segment that it looked for has gone", () =>
  inRoot(async (root) => {
    await using from = await Brick.make(`${root}/from`);
    copyFiles(`${root}/from/data`, `${root}/to/data`);
    {
      await using before = await Brick.make(`${root}/to`, from.volume);
      for (const brick of [from, before]) {
        await brick.take("old", 1);
        await brick.write(0, UNITS, 9);
      }
    }
    const segment = `${root}/to/history/segments/1`;
    Deno.truncateSync(segment, SEGMENT_BYTES);
    await using to = await Brick.make(`${root}/to`, from.volume);
    to.lookedAt();
    deepEqual(await copyBeside(from, to, 3, () => shownToOthers(to)), [1, 2, 3, 4]);
    throws(() => Deno.statSync(segment), Deno.errors.NotFound);
  }));

Deno.test("snapshot/engine: another process lets go of a file without a name that another one took the place of", () =>
  withTwo(async (from, to) => {
    for (const brick of [from, to]) {
      await brick.take("old", 1);
      await brick.leave();
    }
    to.lookedAt();
    await to.writeOpen(0, 9);
    using looked = lookedAt(to);
    deepEqual(await seenBy(looked), [1, 2, 3, 4]);
    const { copyOut } = from.history, file = copyOut.file.bind(copyOut);
    // After rows were told: what it was is in the file that is sent only.
    copyOut.file = async (...args) => {
      copyOut.file = file;
      await from.writeOpen(0, 9);
      return await file(...args);
    };
    await copy(from, to, 3);
    deepEqual(await seenBy(looked), [1, 2, 3, 4]);
  }));

/** Both have the file open, without a name, as "old" sees it; the first has changed a unit since. */
function withOpen(test: (from: Brick, to: Brick) => Promise<void>): Promise<void> {
  return withTwo(async (from, to) => {
    for (const brick of [from, to]) {
      await brick.take("old", 1);
      await brick.leave();
      await brick.writeOpen(3, 8);
    }
    await from.writeOpen(0, 9);
    await test(from, to);
    deepEqual(await to.shown("old"), [1, 2, 3, 4]);
    for (const id of ["old", "copy"]) await to.history.remove(id);
    await to.history.collected();
    deepEqual(to.history.usage(), { rows: 0, bytes: 0 });
  });
}

Deno.test("snapshot/engine: a write to an open file without a name ends before another history takes effect", () =>
  withOpen(async (from, to) => {
    const { append } = Segments.prototype;
    const met = Promise.withResolvers<void>(), ended = Promise.withResolvers<void>();
    let writing: Promise<void> | undefined;
    await copy(from, to, 3, () => {
      Segments.prototype.append = function (bytes) {
        Segments.prototype.append = append;
        met.resolve();
        const written = Promise.race([ended.promise, realClock.delay(100)]);
        return { ...append.call(this, bytes), written };
      };
      writing = to.writeOpen(0, 9);
      return met.promise;
    });
    ended.resolve();
    await writing;
  }));

Deno.test("snapshot/engine: a write to an open file without a name goes by the history that takes effect", () =>
  withOpen(async (from, to) => {
    const { some } = TurnRows.prototype;
    let writing: Promise<void> | undefined;
    TurnRows.prototype.some = function (count) {
      writing ??= to.writeOpen(0, 9);
      some.call(this, count);
    };
    try {
      await copy(from, to, 3, () => to.writeOpen(3, 7));
    } finally {
      TurnRows.prototype.some = some;
    }
    await writing!;
  }));

Deno.test("snapshot/engine: room that is given back while it is read is not sent", () =>
  inRoot(async (root) => {
    await using from = await Brick.make(root);
    await from.take("old", 1);
    await from.write(0, 2, 9);
    const rows = dataOf(from.history);
    const { read } = Segments.prototype;
    Segments.prototype.read = async function (place, into) {
      Segments.prototype.read = read;
      await from.history.remove("old");
      await from.history.collected();
      await read.call(this, place, into);
    };
    try {
      deepEqual(await from.history.copyOut.data(rows), []);
    } finally {
      Segments.prototype.read = read;
    }
  }));

Deno.test("snapshot/engine: what came from another copy and was not on the disk comes again", () =>
  inRoot(async (root) => {
    await using from = await Brick.make(`${root}/from`);
    await from.take("old", 1);
    await from.write(0, 2, 9);
    const rows = dataOf(from.history);
    const parts = await from.history.copyOut.data(rows);
    {
      await using to = await Brick.make(`${root}/to`);
      await to.history.copyIn.putData(parts);
      deepEqual(await to.history.copyIn.offer(rows), []);
      copyFiles(`${root}/to`, `${root}/lost`);
    }
    const segment = `${root}/lost/history/segments/1`, { size } = Deno.statSync(segment);
    Deno.truncateSync(segment, 0);
    Deno.truncateSync(segment, size);
    await using after = await Brick.make(`${root}/lost`, from.volume);
    deepEqual(await after.history.copyIn.offer(rows), [0]);
  }));

Deno.test("snapshot/engine: an arbiter gets names and states of empty files, and no rows of data", () =>
  withTwo(async (from, to) => {
    to.volume.truncate(FILE, 0);
    await from.take("old", 1);
    await from.write(0, 2, 9);
    await from.leave();
    to.volume.unlink(ROOT_GFID, "file");
    const { total, rows } = from.history.copyOut.rows(3, "", ARBITER);
    deepEqual([total, rows.map(({ kind }) => kind)], [3, ["state", "state"]]);
    await copy(from, to, 3, undefined, ARBITER);
    const view = to.history.view("old")!;
    const { iatt } = (await view.inode(FILE))!;
    deepEqual([iatt.size, iatt.blocks, iatt.nlink], [0, 0, 1]);
    deepEqual((await view.entries(ROOT_GFID)).map(({ name }) => name), ["file"]);
    deepEqual(await to.shown("old"), [0, 0, 0, 0]);
    await to.history.remove("copy");
    await to.history.collected();
    deepEqual(to.history.usage(), { rows: 3, bytes: 0 });
  }));

Deno.test("snapshot/engine: attributes that an arbiter has otherwise are kept for older readers", () =>
  withTwo(async (from, to) => {
    to.volume.truncate(FILE, 0);
    await from.take("old", 1);
    to.volume.files.get(FILE)!.xattr = 7;
    await copy(from, to, 3, undefined, ARBITER);
    const state = await to.history.view("old")!.inode(FILE);
    deepEqual([state!.iatt.size, xattrOf(state!)], [0, 0]);
  }));

Deno.test("snapshot/engine: a copy with data takes nothing from an arbiter, nor an arbiter what is for others", () =>
  withTwo(async (from, to) => {
    from.volume.truncate(FILE, 0);
    for (const brick of [from, to]) await brick.take("old", 1);
    const wrong = [[from, to, TARGET], [to, from, TARGET], [from, to, ARBITER]] as const;
    for (const [index, [source, target, as]] of wrong.entries()) {
      const isStale = (error: unknown) => ESTALE.matches(error);
      await rejects(copy(source, target, 3 + 2 * index, undefined, as), isStale);
      for (const brick of [from, to]) await brick.history.remove("copy");
    }
    deepEqual(await to.shown("old"), [1, 2, 3, 4]);
  }));

function dataOf({ copyOut }: History): OldData[] {
  const { rows } = copyOut.rows(Number.MAX_SAFE_INTEGER, '{"table":"data"}', TARGET);
  return rows.filter((row): row is OldData => row.kind === "data");
}
