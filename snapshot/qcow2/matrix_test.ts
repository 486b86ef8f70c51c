/**
 * Every form of image that `qemu-img` makes reads as `qemu-img convert -O raw` says: the disk as it is
 * now and each snapshot. `MORTAR_LONG=1`: the whole product of forms instead of a walk through them.
 */

import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import {
  firstDifference,
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

interface Form {
  readonly options: string;
  readonly size?: number;
  readonly snapshots?: number;
}

const SHORT_FORMS: readonly Form[] = [
  { options: "compat=0.10,cluster_size=512", size: 2 * MIB, snapshots: 1 },
  { options: "compat=0.10", snapshots: 5 },
  { options: "compat=1.1,cluster_size=512,refcount_bits=1", size: 2 * MIB },
  { options: "compat=1.1,cluster_size=1k,refcount_bits=8", size: 3 * MIB + 512, snapshots: 1 },
  { options: "compat=1.1,cluster_size=4k,refcount_bits=64", snapshots: 5 },
  { options: "compat=1.1,refcount_bits=1" },
  { options: "compat=1.1,refcount_bits=16", size: 5 * MIB + 1536, snapshots: 5 },
  { options: "compat=1.1,cluster_size=2M", size: 9 * MIB, snapshots: 1 },
  { options: "compat=1.1,lazy_refcounts=on", snapshots: 1 },
  { options: "extended_l2=on,cluster_size=16k", snapshots: 1 },
  { options: "extended_l2=on,cluster_size=64k", size: 5 * MIB + 512, snapshots: 5 },
  { options: "extended_l2=on,cluster_size=2M", size: 12 * MIB },
  { options: "preallocation=metadata" },
  { options: "preallocation=falloc,cluster_size=8k" },
  { options: "preallocation=full" },
  { options: "preallocation=metadata,extended_l2=on,cluster_size=32k" },
];

function longForms(): Form[] {
  const forms: Form[] = [];
  for (let bits = 9; bits <= 21; bits++) {
    const cluster = `cluster_size=${1 << bits}`, size = Math.max(2 * MIB, 6 << bits) + 512;
    forms.push({ options: `compat=0.10,${cluster}`, size, snapshots: 5 });
    for (const refcount of [1, 8, 16, 64]) {
      const snapshots = refcount === 1 ? 0 : 5;
      forms.push({ options: `${cluster},refcount_bits=${refcount}`, size, snapshots });
      if (bits < 14) continue;
      forms.push({
        options: `${cluster},refcount_bits=${refcount},extended_l2=on`,
        size,
        snapshots,
      });
    }
    for (const how of ["metadata", "falloc", "full"]) {
      forms.push({ options: `${cluster},preallocation=${how}`, size, snapshots: 1 });
    }
  }
  return forms;
}

const test = (name: string, body: (folder: string) => Promise<void>) =>
  Deno.test({
    name: `snapshot/qcow2: ${name}`,
    ignore: !QEMU,
    fn: () => inFolder(body),
  });

// The disk as it is now and each snapshot against what QEMU says.
async function compare(folder: string, name: string): Promise<void> {
  await run(folder, "qemu-img", ["convert", "-O", "raw", name, "now.raw"]);
  const image = await openIn(folder, name, { cacheBytes: 1 });
  try {
    equal(await firstDifference(image.disk, `${folder}/now.raw`), -1, `${name} now`);
    for (const snapshot of image.snapshots) {
      const select = `snapshot.id=${snapshot.id}`;
      await run(folder, "qemu-img", ["convert", "-l", select, "-O", "raw", name, "then.raw"]);
      const disk = image.snapshotDisk(snapshot);
      equal(await firstDifference(disk, `${folder}/then.raw`), -1, `${name} ${snapshot.id}`);
    }
  } finally {
    await image.close();
  }
}

async function fill(folder: string, name: string, form: Form, seed: number): Promise<void> {
  const random = seeded(seed), size = form.size ?? 6 * MIB;
  await io(folder, name, randomWrites(random, size, 12));
  for (let each = 1; each <= (form.snapshots ?? 0); each++) {
    await run(folder, "qemu-img", ["snapshot", "-c", `state ${each}`, name]);
    await io(folder, name, randomWrites(random, size, 5));
  }
}

for (const [index, form] of (LONG ? longForms() : SHORT_FORMS).entries()) {
  test(`an image with ${form.options} and ${form.snapshots ?? 0} snapshots reads exactly`, async (folder) => {
    const size = String(form.size ?? 6 * MIB);
    await run(folder, "qemu-img", [
      "create",
      "-q",
      "-f",
      "qcow2",
      "-o",
      form.options,
      "a.qcow2",
      size,
    ]);
    await fill(folder, "a.qcow2", form, 100 + index);
    await compare(folder, "a.qcow2");
  });
}

for (const type of ["zlib", "zstd"]) {
  for (const options of ["cluster_size=64k", "cluster_size=512", "cluster_size=2M"]) {
    test(`clusters compressed with ${type} and ${options} read exactly`, async (folder) => {
      const size = 5 * MIB + 512;
      await run(folder, "qemu-img", ["create", "-q", "-f", "raw", "base.raw", String(size)]);
      await io(folder, "base.raw", randomWrites(seeded(7), size, 20));
      // What does not compress is stored as it is.
      const noise = crypto.getRandomValues(new Uint8Array(65536));
      const file = await Deno.open(`${folder}/base.raw`, { write: true });
      await file.write(noise);
      file.close();
      const more = `${options},compression_type=${type}`;
      const args = ["convert", "-c", "-O", "qcow2", "-o", more, "base.raw", "a.qcow2"];
      await run(folder, "qemu-img", args);
      await compare(folder, "a.qcow2");
      await io(folder, "a.qcow2", randomWrites(seeded(8), size, 8));
      await compare(folder, "a.qcow2");
    });
  }
}

interface Chain {
  readonly depth: number;
  readonly base: "raw" | "qcow2";
  /** Bytes that each overlay has more than what is below it. */
  readonly grows: number;
  readonly options?: string;
}
const CHAINS: readonly Chain[] = [
  { depth: 1, base: "raw", grows: 0 },
  { depth: 1, base: "raw", grows: 333 * 512 },
  { depth: 1, base: "qcow2", grows: -MIB, options: "extended_l2=on" },
  { depth: 8, base: "qcow2", grows: 100 * 512, options: "cluster_size=4k" },
  { depth: 8, base: "raw", grows: -100 * 512 },
];
for (const { depth, base, grows, options } of CHAINS) {
  test(`a chain of ${depth} on ${base}, each ${grows} bytes larger, reads exactly`, async (folder) => {
    const random = seeded(depth * 31 + grows);
    let size = 6 * MIB;
    // A plain file need not end at a sector.
    const baseSize = base === "raw" ? size - 300 : size;
    await run(folder, "qemu-img", ["create", "-q", "-f", base, "0.img", String(baseSize)]);
    await io(folder, "0.img", randomWrites(random, size - 512, 12));
    for (let level = 1; level <= depth; level++) {
      size += grows;
      const below = ["-b", `${level - 1}.img`, "-F", level === 1 ? base : "qcow2"];
      const more = options ? ["-o", options] : [];
      await run(folder, "qemu-img", [
        ...["create", "-q", "-f", "qcow2", ...more, ...below, `${level}.img`, String(size)],
      ]);
      await io(folder, `${level}.img`, randomWrites(random, size, 4));
    }
    await compare(folder, `${depth}.img`);
  });
}

for (const raw of ["off", "on"]) {
  test(`an external data file, raw ${raw}, reads exactly`, async (folder) => {
    const options = `data_file=data.bin,data_file_raw=${raw}`;
    await run(folder, "qemu-img", ["create", "-q", "-f", "qcow2", "-o", options, "a.qcow2", "6M"]);
    await io(folder, "a.qcow2", randomWrites(seeded(3), 6 * MIB, 15));
    await compare(folder, "a.qcow2");
  });
}

test("a snapshot's VM state is what was written there", async (folder) => {
  await run(folder, "qemu-img", ["create", "-q", "-f", "qcow2", "a.qcow2", "6M"]);
  await io(folder, "a.qcow2", [
    "write -q -P 1 0 1M",
    "write -q -b -P 0x55 0 100k",
    "write -q -b -P 0x66 100k 28k",
  ]);
  await run(folder, "qemu-img", ["snapshot", "-c", "with memory", "a.qcow2"]);
  // qemu-img itself never says that there is a state: the size is set in the entry by hand.
  const file = await Deno.open(`${folder}/a.qcow2`, { read: true, write: true });
  const header = new Uint8Array(72);
  await file.read(header);
  const at = new DataView(header.buffer).getUint32(68) + 40;
  await file.seek(at, Deno.SeekMode.Start);
  await file.write(new Uint8Array([0, 0, 0, 0, 0, 2, 0, 0]));
  file.close();
  const image = await openIn(folder, "a.qcow2");
  const snapshot = image.snapshot("with memory");
  equal(snapshot.vmStateSize, 128 * 1024);
  const bytes = new Uint8Array(snapshot.vmStateSize);
  await image.readVmState(snapshot, 0, bytes);
  deepEqual([...new Set(bytes.subarray(0, 102400))], [0x55]);
  deepEqual([...new Set(bytes.subarray(102400))], [0x66]);
  await image.close();
  await compare(folder, "a.qcow2");
});

test("bitmaps are the ranges that were written while they were enabled", async (folder) => {
  const size = 200 * MIB;
  await run(folder, "qemu-img", ["create", "-q", "-f", "qcow2", "a.qcow2", String(size)]);
  await run(folder, "qemu-img", ["bitmap", "--add", "-g", "64k", "a.qcow2", "b0"]);
  await run(folder, "qemu-img", ["bitmap", "--add", "--disable", "a.qcow2", "off"]);
  await io(folder, "a.qcow2", [
    "write -q 0 1",
    "write -q 60k 8k",
    "write -q 10M 3M",
    `write -q ${size - 512} 512`,
  ]);
  const image = await openIn(folder, "a.qcow2");
  const bitmaps = await image.bitmaps();
  deepEqual(bitmaps.map(({ name, enabled, inUse }) => [name, enabled, inUse]), [
    ["b0", true, false],
    ["off", false, false],
  ]);
  deepEqual(await Array.fromAsync(image.dirtyRanges(bitmaps[0]!)), [
    { offset: 0, length: 131072 },
    { offset: 10 * MIB, length: 3 * MIB },
    { offset: size - 65536, length: 65536 },
  ]);
  deepEqual(await Array.fromAsync(image.dirtyRanges(bitmaps[1]!)), []);
  await image.close();
});

test("the stretches of a disk are those of qemu-img map", async (folder) => {
  const options = "extended_l2=on,cluster_size=128k";
  await run(folder, "qemu-img", ["create", "-q", "-f", "qcow2", "0.img", "20M"]);
  await io(folder, "0.img", randomWrites(seeded(5), 20 * MIB, 20));
  await run(folder, "qemu-img", [
    ...["create", "-q", "-f", "qcow2", "-o", options, "-b", "0.img", "-F", "qcow2", "1.img", "22M"],
  ]);
  await io(folder, "1.img", randomWrites(seeded(6), 22 * MIB, 20));
  const said = JSON.parse(await run(folder, "qemu-img", ["map", "--output=json", "1.img"])) as {
    start: number;
    length: number;
    data: boolean;
  }[];
  const image = await openIn(folder, "1.img");
  const ours = await Array.fromAsync(image.disk.extents(0, image.disk.size));
  deepEqual(
    joined(ours.map(({ offset, length, kind }) => [offset, length, kind === "data"])),
    joined(said.map(({ start, length, data }) => [start, length, data])),
  );
  await image.close();
});

// Ranges with the same answer side by side as one.
function joined(ranges: [number, number, boolean][]): [number, number, boolean][] {
  const all: [number, number, boolean][] = [];
  for (const [offset, length, data] of ranges) {
    const last = all.at(-1);
    if (last && last[2] === data) last[1] += length;
    else all.push([offset, length, data]);
  }
  return all;
}
