/** What histories have on the disk, and when: syncs that fail, meet, or come too early. */

import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { realClock } from "core/env.ts";
import { EIO } from "core/errno.ts";
import { type Gfid, ROOT_GFID } from "core/inode.ts";
import { exists } from "core/lib/files.ts";
import { sys } from "core/sys/calls.ts";
import { check } from "snapshot/engine/check.ts";
import { History } from "snapshot/engine/history.ts";
import { Segments } from "snapshot/engine/segments.ts";
import { HistoryStore } from "snapshot/engine/store.ts";
import { calling, pathOf } from "tests/fakes/calling.ts";
import { testEnv } from "tests/fakes/node.ts";
import { SmallVolume } from "tests/fakes/small_volume.ts";
import { copyDisk } from "tests/history/copied_disk.ts";

const FILE = "00010000-0000-4000-8000-000000000000" as Gfid;
const UNIT = 4096, UNITS = 80;
/** Units that are appended on another thread. */
const LONG = 40;
/** What the file had, and what is written. */
const OLD = 1, NEW = 9;

/** A history that has one snapshot of one file. */
class Place implements AsyncDisposable {
  readonly #root = Deno.makeTempDirSync({ prefix: "disk-syncs-" });
  readonly volume = new SmallVolume(`${this.#root}/data`, () => 0);
  readonly directory = `${this.#root}/history`;
  readonly segment = `${this.directory}/segments/1`;
  history!: History;

  static async begin(): Promise<Place> {
    const place = new Place(), { volume } = place;
    volume.make(ROOT_GFID, "file", FILE);
    volume.write(FILE, 0, new Uint8Array(UNITS * UNIT).fill(OLD));
    await place.open();
    const reader = {
      kind: "snapshot",
      file: undefined,
      name: "",
      created: 0,
      active: true,
    } as const;
    await place.history.take({ ...reader, id: "s", epoch: 1 });
    // So that the file's attributes are kept already.
    await place.write(UNITS - 1);
    return place;
  }

  async open(): Promise<void> {
    const { directory, volume: live } = this;
    this.history = await History.open({ directory, live, durability: "strict", env: testEnv() });
  }

  write(unit: number, count = 1): Promise<void> {
    return this.history.change(async () => {
      await this.history.preserve.data(FILE, unit * UNIT, count * UNIT);
      this.volume.write(FILE, unit * UNIT, new Uint8Array(count * UNIT).fill(NEW));
    });
  }

  /** Bytes of the snapshot that are not what they were. */
  async other(): Promise<number> {
    const data = new Uint8Array(UNITS * UNIT);
    await this.history.view("s")!.read(FILE, 0, data);
    return data.filter((byte) => byte !== OLD).length;
  }

  /** The process dies, and another one begins. */
  async kill(): Promise<void> {
    const killed = `${this.#root}/killed`, { history, directory } = this;
    copyDisk(directory, killed);
    await history.close();
    Deno.removeSync(directory, { recursive: true });
    Deno.renameSync(killed, directory);
    await this.open();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.history.close();
    Deno.removeSync(this.#root, { recursive: true });
  }
}

for (const [what, count] of [["was noted", 1], ["is in the index", LONG]] as const) {
  Deno.test(`snapshot/engine: old data whose row ${what} stays when a sync fails`, async () => {
    await using place = await Place.begin();
    {
      using _ = calling({ fdatasyncAsync: () => Promise.resolve(-EIO.errno) });
      await rejects(place.write(0, count), (error) => EIO.matches(error));
      await rejects(place.write(0, count), (error) => EIO.matches(error));
    }
    equal(await place.other(), 0);
    deepEqual((await check(place.directory)).damage, []);
    await place.kill();
    equal(await place.other(), 0);
    await place.write(0, count);
    equal(await place.other(), 0);
  });
}

Deno.test("snapshot/engine: room of old data that got no row is given back", async () => {
  await using place = await Place.begin();
  const put = HistoryStore.prototype.putExtent, punched: number[] = [];
  const { fallocateAsync } = sys;
  using _ = calling({
    fallocateAsync: (...args) => (punched.push(Number(args[3])), fallocateAsync(...args)),
  });
  HistoryStore.prototype.putExtent = () => {
    throw Object.assign(new Error("database or disk is full"), { errcode: 13 });
  };
  try {
    await rejects(place.write(0, LONG));
  } finally {
    HistoryStore.prototype.putExtent = put;
  }
  deepEqual(punched, [LONG * UNIT]);
});

Deno.test("snapshot/engine: after a failed sync what only memory has is not taken for kept", async () => {
  await using place = await Place.begin();
  {
    using _ = calling({ fdatasyncAsync: () => Promise.resolve(-EIO.errno) });
    await rejects(place.write(0), (error) => EIO.matches(error));
  }
  const { fdatasyncAsync, fadviseAsync } = sys, synced: string[] = [];
  let dropped = false;
  {
    using _ = calling({
      fdatasyncAsync: (fd) => (synced.push(pathOf(fd)), fdatasyncAsync(fd)),
      // It drops what the disk was said to have, and what is read then is what the disk has.
      fadviseAsync: (fd, ...rest) => {
        equal(synced.includes(pathOf(fd)), true);
        const data = Deno.readFileSync(pathOf(fd));
        Deno.writeFileSync(pathOf(fd), data.fill(0, UNIT));
        dropped = true;
        return fadviseAsync(fd, ...rest);
      },
    });
    await place.kill();
  }
  equal(dropped, true);
  equal(await place.other(), 0);
  await place.write(0);
  equal(await place.other(), 0);
});

Deno.test("snapshot/engine: old data that is long on its way is synced when it is there", async () => {
  await using place = await Place.begin();
  const { pwriteAsync, fdatasyncAsync } = sys, order: string[] = [];
  using _ = calling({
    pwriteAsync: async (...args) => {
      // Another change preserves, and syncs, meanwhile.
      await place.write(UNITS - 2);
      const count = await pwriteAsync(...args);
      order.push("written");
      return count;
    },
    fdatasyncAsync: (fd) => {
      if (pathOf(fd) === place.segment) order.push("synced");
      return fdatasyncAsync(fd);
    },
  });
  await place.write(0, LONG);
  deepEqual(order, ["synced", "written", "synced"]);
});

Deno.test("snapshot/engine: what is on its way to the disk is not before the end of what was written", async () => {
  const directory = Deno.makeTempDirSync({ prefix: "disk-syncs-" }), { pwriteAsync } = sys;
  const held = Promise.withResolvers<void>();
  try {
    using segments = Segments.open(directory);
    using _ = calling({ pwriteAsync: (...args) => held.promise.then(() => pwriteAsync(...args)) });
    const { place, written } = segments.append(new Uint8Array(LONG * UNIT));
    segments.append(new Uint8Array(UNIT));
    equal(segments.end, place);
    held.resolve();
    await written;
    equal(segments.end, place + (LONG + 1) * UNIT);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("snapshot/engine: who syncs while another one does waits for the disk as well", async () => {
  const directory = Deno.makeTempDirSync({ prefix: "disk-syncs-" });
  const { fdatasyncAsync } = sys, held = Promise.withResolvers<void>();
  try {
    using segments = Segments.open(directory);
    using _ = calling({ fdatasyncAsync: (fd) => held.promise.then(() => fdatasyncAsync(fd)) });
    segments.append(new Uint8Array(UNIT));
    const over: string[] = [];
    const first = segments.sync().then(() => over.push("first"));
    const second = segments.sync().then(() => over.push("second"));
    await realClock.delay(5);
    deepEqual(over, []);
    held.resolve();
    await Promise.all([first, second]);
    await segments.sync();
  } finally {
    held.resolve();
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("snapshot/engine: a history that ended leaves nothing to be written yet", async () => {
  const place = await Place.begin(), { fdatasyncAsync } = sys;
  const index = `${place.directory}/index.sqlite`, lost = `${place.directory}/lost.sqlite`;
  await using _ = place;
  await place.write(0);
  {
    using _ = calling({
      fdatasyncAsync: async (fd) => {
        const result = await fdatasyncAsync(fd);
        if (pathOf(fd) === index) Deno.copyFileSync(index, lost);
        return result;
      },
    });
    await place.history.close();
  }
  equal(exists(`${index}-wal`), false);
  // After a loss of power.
  Deno.renameSync(lost, index);
  await place.open();
  equal(await place.other(), 0);
});
