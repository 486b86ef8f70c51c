/** Histories that are damaged, missing or looked through, on a real brick. */

import {
  deepStrictEqual as deepEqual,
  match,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { EIO } from "core/errno.ts";
import { check } from "snapshot/engine/check.ts";
import { HistoryError } from "snapshot/engine/store.ts";
import { snapshotLayer } from "tests/fakes/snapshot_layer.ts";
import { IS_ROOT, TestBrick } from "tests/fakes/posix_brick.ts";
import type { Snapshot } from "xlators/features/snapshot/snapshot.ts";

/** A brick that was stopped, with a snapshot of two files: one changed since, one removed. */
class Place implements AsyncDisposable {
  layer!: Snapshot;
  readonly history: string;

  private constructor(readonly brick: TestBrick) {
    this.history = `${brick.path}/.glusterfs/history`;
  }

  static async stopped(): Promise<Place> {
    const place = new Place(await TestBrick.start());
    const { brick } = place;
    await place.open();
    const { fd } = await brick.create("f");
    await brick.write(fd, new Uint8Array(8192).fill(1));
    await brick.file("g", "removed");
    await place.take("s", 1);
    const data = new Uint8Array(4096).fill(2);
    await place.layer.writev(ROOT, { fd, offset: 0, data, flags: 0 });
    await place.layer.unlink(ROOT, { parent: brick.root, name: "g", flags: 0 });
    await place.layer.release(ROOT, { fd });
    await place.layer.stop();
    return place;
  }

  async open(): Promise<void> {
    this.layer = await snapshotLayer(this.brick);
  }

  take(id: string, epoch: number): Promise<void> {
    const facts = { kind: "snapshot" as const, file: undefined, created: 0, active: true };
    return this.layer.histories.take(undefined, { id, name: id, epoch, ...facts });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.layer.stop();
    await this.brick.remove();
  }
}

function test(name: string, body: (place: Place) => Promise<void>): void {
  Deno.test({
    name: `features/snapshot: ${name}`,
    ignore: !IS_ROOT,
    fn: async () => {
      await using place = await Place.stopped();
      await body(place);
    },
  });
}

for (
  const { what, why, harm } of [
    {
      what: "a missing index",
      why: /old data but no index/,
      harm: (at: string) => Deno.remove(`${at}/index.sqlite`),
    },
    {
      what: "a damaged index",
      why: /cannot be read/,
      harm: (at: string) => Deno.writeTextFile(`${at}/index.sqlite`, "x".repeat(9000)),
    },
    {
      what: "an index that is a directory",
      why: /history/,
      harm: async (at: string) => {
        await Deno.remove(`${at}/index.sqlite`);
        await Deno.mkdir(`${at}/index.sqlite`);
      },
    },
    {
      what: "segments that are no directory",
      why: /cannot be opened/,
      harm: async (at: string) => {
        await Deno.remove(`${at}/segments`, { recursive: true });
        await Deno.writeTextFile(`${at}/segments`, "x");
      },
    },
  ]
) {
  test(`${what} is named, files are served, snapshots refused`, async (place) => {
    await harm(place.history);
    await place.open();
    match(place.layer.histories.trouble()!, why);
    await rejects(place.take("t", 2), (error) => EIO.matches(error));
    const { stat } = await place.layer.lookup(ROOT, { parent: place.brick.root, name: "f" });
    equal(stat.size, 8192);
  });
}

test("an index that comes back after files changed is not taken for exact", async (place) => {
  const { history, brick } = place;
  await Deno.rename(`${history}/index.sqlite`, `${history}/aside`);
  await place.open();
  await place.layer.stop();
  // Nothing changed: it is as good as before.
  await Deno.rename(`${history}/aside`, `${history}/index.sqlite`);
  await place.open();
  equal(place.layer.histories.trouble(), undefined);
  await place.layer.stop();
  await Deno.rename(`${history}/index.sqlite`, `${history}/aside`);
  await place.open();
  await place.layer.unlink(ROOT, { parent: brick.root, name: "f", flags: 0 });
  await place.layer.stop();
  await Deno.rename(`${history}/aside`, `${history}/index.sqlite`);
  await place.open();
  match(place.layer.histories.trouble()!, /files changed while .* not exact/);
  await place.layer.stop();
  await Deno.remove(`${history}/unkept`);
  await place.open();
  equal(place.layer.histories.trouble(), undefined);
});

test("a check finds a history whole", async ({ history }) => {
  const { readers, bytes, damage, leftovers } = await check(history);
  deepEqual({ readers, bytes, damage, leftovers }, {
    ...{ readers: 1, bytes: 4096, damage: [], leftovers: [] },
  });
});

test("a check names old data that is damaged or missing, and what no row names", async (place) => {
  const { history } = place;
  await Deno.writeFile(`${history}/segments/1`, Uint8Array.of(7), { append: false });
  const [kept] = [...Deno.readDirSync(`${history}/kept`)];
  await Deno.rename(`${history}/kept/${kept!.name}`, `${history}/kept/other`);
  await Deno.writeTextFile(`${history}/segments/0`, "x");
  const { damage, leftovers } = await check(history);
  equal(damage.length, 2);
  match(damage[0]!.what, /bytes 0\+4096 of epoch 1 cannot be read from segments\/1/);
  match(damage[1]!.what, /kept\/.* is not there/);
  deepEqual([...leftovers].sort(), ["kept/other: no row names it", "segments/0: no row names it"]);
});

test("a check of what is no history says so", async ({ brick, history }) => {
  await rejects(check(`${brick.path}/nowhere`), HistoryError);
  await Deno.writeTextFile(`${history}/index.sqlite`, "x".repeat(9000));
  await rejects(check(history), /cannot be read/);
});
