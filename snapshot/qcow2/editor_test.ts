/**
 * What we write, QEMU reads, and `qemu-img check` finds nothing wrong: seeded series of writes, zeroes,
 * discards, snapshots, against a plain array. `MORTAR_LONG=1`: many more series.
 */

import { strictEqual as equal } from "node:assert/strict";
import { createImage } from "snapshot/qcow2/create.ts";
import { Editor } from "snapshot/qcow2/editor.ts";
import { openLocalFile } from "snapshot/qcow2/local_file.ts";
import { applySnapshot, createSnapshot, deleteSnapshot } from "snapshot/qcow2/snapshots.ts";
import {
  differsAt,
  inFolder,
  io,
  openIn,
  QEMU,
  randomWrites,
  run,
} from "tests/fakes/qemu_images.ts";
import { seeded } from "tests/fakes/seeded.ts";

const LONG = Deno.env.get("MORTAR_LONG") === "1";
const MIB = 1 << 20;

const test = (name: string, body: (folder: string) => Promise<void>) =>
  Deno.test({
    name: `snapshot/qcow2: ${name}`,
    ignore: !QEMU,
    fn: () => inFolder(body),
  });

/** What a disk should be, and what it was at each snapshot. */
interface Model {
  now: Uint8Array<ArrayBuffer>;
  readonly then: Map<string, Uint8Array<ArrayBuffer>>;
}

async function step(
  editor: Editor,
  model: Model,
  random: (below: number) => number,
  snapshots: boolean,
): Promise<void> {
  const size = model.now.length;
  const offset = random(4) ? random(size) : random(Math.ceil(size / 65536)) * 65536;
  const length = Math.min(1 + random(random(3) ? 9000 : 400_000), size - offset);
  const kind = random(snapshots ? 24 : 18);
  if (kind < 11) {
    const data = new Uint8Array(length);
    for (let at = 0; at < length; at++) data[at] = (at * 7 + offset + kind) % 251 + 1;
    await editor.write(offset, data);
    model.now.set(data, offset);
  } else if (kind < 14) {
    await editor.zero(offset, length);
    model.now.fill(0, offset, offset + length);
  } else if (kind < 16) {
    const cluster = editor.image.parts.mapping.clusterSize;
    const first = Math.ceil(offset / cluster) * cluster;
    const end = offset + length === size ? size : Math.floor((offset + length) / cluster) * cluster;
    await editor.discard(offset, length);
    if (end > first) model.now.fill(0, first, end);
  } else if (kind < 18) {
    await editor.flush();
  } else await snapshotStep(editor, model, random);
}

async function snapshotStep(
  editor: Editor,
  model: Model,
  random: (below: number) => number,
): Promise<void> {
  const names = [...model.then.keys()];
  const name = names[random(names.length)];
  const kind = random(4);
  if (name === undefined || kind < 2) {
    const fresh = `s${random(1e9)}`;
    await editor.alone((tables) => createSnapshot(tables, fresh, 1_700_000_000_123));
    model.then.set(fresh, model.now.slice());
  } else if (kind === 2) {
    await editor.alone((tables) => deleteSnapshot(tables, editor.image.snapshot(name)));
    model.then.delete(name);
  } else {
    await editor.alone((tables) => applySnapshot(tables, editor.image.snapshot(name)));
    model.now = model.then.get(name)!.slice();
  }
}

// Everything that QEMU and we see is what it should be.
async function verify(folder: string, name: string, model: Model): Promise<void> {
  await run(folder, "qemu-img", ["check", "-q", name]);
  await run(folder, "qemu-img", ["convert", "-O", "raw", name, "now.raw"]);
  await same(`${folder}/now.raw`, model.now, "now");
  for (const [snapshot, bytes] of model.then) {
    const select = `snapshot.name=${snapshot}`;
    await run(folder, "qemu-img", ["convert", "-l", select, "-O", "raw", name, "then.raw"]);
    await same(`${folder}/then.raw`, bytes, snapshot);
  }
}

async function same(path: string, wanted: Uint8Array, what: string): Promise<void> {
  const bytes = await Deno.readFile(path);
  equal(bytes.length, wanted.length, what);
  equal(differsAt(bytes, wanted), -1, what);
}

interface Form {
  readonly options: string;
  readonly size: number;
  readonly snapshots: boolean;
  readonly backing?: boolean;
}

const FORMS: readonly Form[] = [
  { options: "compat=0.10", size: 5 * MIB, snapshots: true },
  { options: "compat=0.10,cluster_size=512", size: MIB, snapshots: true, backing: true },
  { options: "cluster_size=512,refcount_bits=64", size: 2 * MIB, snapshots: true },
  { options: "cluster_size=4k,refcount_bits=1", size: 3 * MIB, snapshots: false },
  {
    options: "cluster_size=1k,refcount_bits=8",
    size: 2 * MIB + 512,
    snapshots: true,
    backing: true,
  },
  { options: "refcount_bits=16", size: 6 * MIB + 1536, snapshots: true, backing: true },
  { options: "extended_l2=on,cluster_size=16k", size: 3 * MIB, snapshots: true, backing: true },
  { options: "extended_l2=on,cluster_size=128k", size: 5 * MIB + 512, snapshots: true },
  { options: "cluster_size=2M", size: 9 * MIB, snapshots: true },
  { options: "preallocation=metadata,cluster_size=32k", size: 3 * MIB, snapshots: true },
  { options: "data_file=data.bin", size: 4 * MIB, snapshots: false },
  { options: "data_file=data.bin,data_file_raw=on", size: 4 * MIB, snapshots: false },
  { options: "data_file=data.bin,extended_l2=on", size: 4 * MIB, snapshots: false },
];

for (const { options, size, snapshots, backing } of FORMS) {
  test(`random changes of an image with ${options} are what QEMU reads`, async (folder) => {
    for (let seed = 1; seed <= (LONG ? 30 : 1); seed++) {
      const random = seeded(seed * 1000 + options.length);
      const model: Model = { now: new Uint8Array(size), then: new Map() };
      const below: string[] = [];
      if (backing) {
        await run(folder, "qemu-img", [
          "create",
          "-q",
          "-f",
          "raw",
          "base.raw",
          String(size - 700),
        ]);
        await io(folder, "base.raw", randomWrites(random, size - 1024, 10));
        model.now.set(await Deno.readFile(`${folder}/base.raw`));
        below.push("-b", "base.raw", "-F", "raw");
      }
      await Deno.remove(`${folder}/data.bin`).catch(() => {});
      await run(folder, "qemu-img", [
        ...["create", "-q", "-f", "qcow2", "-o", options, ...below, "a.qcow2", String(size)],
      ]);
      for (let round = 0; round < 3; round++) {
        const image = await openIn(folder, "a.qcow2", { writable: true, cacheBytes: 1 });
        const editor = await Editor.open(image);
        for (let each = 0; each < 25; each++) await step(editor, model, random, snapshots);
        const ours = new Uint8Array(size);
        await editor.read(0, ours);
        equal(differsAt(ours, model.now), -1, `ours, seed ${seed}`);
        await editor.close();
        await verify(folder, "a.qcow2", model);
      }
    }
  });
}

test("a compressed image with a snapshot of QEMU's is changed exactly", async (folder) => {
  const size = 4 * MIB;
  await run(folder, "qemu-img", ["create", "-q", "-f", "raw", "base.raw", String(size)]);
  await io(folder, "base.raw", randomWrites(seeded(4), size, 20));
  await run(folder, "qemu-img", ["convert", "-c", "-O", "qcow2", "base.raw", "a.qcow2"]);
  await run(folder, "qemu-img", ["snapshot", "-c", "first", "a.qcow2"]);
  const now = await Deno.readFile(`${folder}/base.raw`);
  const model: Model = { now, then: new Map([["first", now.slice()]]) };
  const editor = await Editor.open(await openIn(folder, "a.qcow2", { writable: true }));
  const random = seeded(99);
  for (let each = 0; each < 60; each++) await step(editor, model, random, true);
  await editor.close();
  await verify(folder, "a.qcow2", model);
});

test("an image made here is one that QEMU takes, of each form", async (folder) => {
  const forms = [
    { size: 0 },
    { size: 10 * MIB + 512, clusterSize: 512 },
    { size: 3 * MIB, version: 2 as const },
    { size: 1 << 30, clusterSize: 512, refcountBits: 64 },
    { size: 2 ** 43, clusterSize: 2 << 20, extendedL2: true, refcountBits: 1 },
  ];
  for (const form of forms) {
    const path = `${folder}/made.qcow2`;
    const store = openLocalFile(path, { create: true });
    await createImage(store, form);
    await store.close();
    await run(folder, "qemu-img", ["check", "-q", "made.qcow2"]);
    const info = JSON.parse(await run(folder, "qemu-img", ["info", "--output=json", "made.qcow2"]));
    equal(info["virtual-size"], form.size);
    if (form.size) await io(folder, "made.qcow2", ["write -q 100k 64k"]);
    await run(folder, "qemu-img", ["check", "-q", "made.qcow2"]);
    await Deno.remove(path);
  }
});
