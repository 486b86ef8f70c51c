/** Checks, repairs, other sizes and commits, each judged by QEMU. */

import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { checkImage, repairImage } from "snapshot/qcow2/check.ts";
import { Editor } from "snapshot/qcow2/editor.ts";
import { openLocalFile } from "snapshot/qcow2/local_file.ts";
import { commit, intoFile, intoImage, resize } from "snapshot/qcow2/resize.ts";
import {
  differsAt,
  firstDifference,
  inFolder,
  io,
  openIn,
  QEMU,
  randomWrites,
  run,
} from "tests/fakes/qemu_images.ts";
import { seeded } from "tests/fakes/seeded.ts";

const MIB = 1 << 20;

const test = (name: string, body: (folder: string) => Promise<void>) =>
  Deno.test({ name: `snapshot/qcow2: ${name}`, ignore: !QEMU, fn: () => inFolder(body) });

async function make(folder: string, name: string, ...args: string[]): Promise<void> {
  await run(folder, "qemu-img", ["create", "-q", "-f", "qcow2", ...args.slice(1), name, args[0]!]);
}

test("check counts as QEMU does, with snapshots, compression and bitmaps", async (folder) => {
  await run(folder, "qemu-img", ["create", "-q", "-f", "raw", "base.raw", "6M"]);
  await io(folder, "base.raw", randomWrites(seeded(2), 6 * MIB, 20));
  await run(folder, "qemu-img", ["convert", "-c", "-O", "qcow2", "base.raw", "a.qcow2"]);
  await run(folder, "qemu-img", ["bitmap", "--add", "a.qcow2", "b0"]);
  await run(folder, "qemu-img", ["snapshot", "-c", "s", "a.qcow2"]);
  await io(folder, "a.qcow2", randomWrites(seeded(3), 6 * MIB, 9));
  const image = await openIn(folder, "a.qcow2");
  const { leaks, tooLow, errors } = await checkImage(image);
  deepEqual({ leaks, tooLow, errors }, { leaks: 0, tooLow: 0, errors: [] });
  await image.close();
});

test("leaked clusters are found and taken back", async (folder) => {
  await make(folder, "a.qcow2", "6M");
  await io(folder, "a.qcow2", ["write -q 0 1M"]);
  // The refcount block is the third cluster; these clusters hold nothing.
  const file = await Deno.open(`${folder}/a.qcow2`, { write: true });
  await file.seek(2 * 65536 + 2 * 10, Deno.SeekMode.Start);
  await file.write(new Uint8Array([0, 3, 0, 1]));
  await file.seek(2 * 65536 + 2 * 40, Deno.SeekMode.Start);
  await file.write(new Uint8Array([0, 1, 0, 1, 0, 2]));
  file.close();
  await Deno.truncate(`${folder}/a.qcow2`, 50 * 65536);
  const image = await openIn(folder, "a.qcow2", { writable: true });
  const report = await repairImage(image);
  deepEqual([report.leaks, report.tooLow], [4, 0]);
  equal((await checkImage(image)).leaks, 0);
  await image.close();
  await run(folder, "qemu-img", ["check", "-q", "a.qcow2"]);
});

test("an image that was not closed is refused until it is repaired", async (folder) => {
  await make(folder, "a.qcow2", "6M", "-o", "lazy_refcounts=on");
  // qemu-io ends without writing the counts that it put off.
  await rejects(io(folder, "a.qcow2", ["write -q -P 7 0 3M", "flush", "abort"]));
  let image = await openIn(folder, "a.qcow2", { writable: true });
  equal(image.dirty, true);
  await rejects(Editor.open(image), /was not closed by its last user/);
  const report = await repairImage(image);
  equal(report.tooLow > 0, true);
  await image.close();
  await run(folder, "qemu-img", ["check", "-q", "a.qcow2"]);
  image = await openIn(folder, "a.qcow2", { writable: true });
  equal(image.dirty, false);
  const bytes = new Uint8Array(3 * MIB);
  await image.disk.read(0, bytes);
  equal(differsAt(bytes, new Uint8Array(3 * MIB).fill(7)), -1);
  const editor = await Editor.open(image);
  await editor.write(5 * MIB, bytes.subarray(0, MIB));
  await editor.close();
  await run(folder, "qemu-img", ["check", "-q", "a.qcow2"]);
});

test("a disk that shrinks and grows has zeros where it grew", async (folder) => {
  await run(folder, "qemu-img", ["create", "-q", "-f", "raw", "base.raw", "3M"]);
  await io(folder, "base.raw", ["write -q -P 9 0 3M"]);
  for (const options of ["compat=0.10,cluster_size=512", "compat=1.1", "extended_l2=on"]) {
    await make(folder, "a.qcow2", "2M", "-o", options, "-b", "base.raw", "-F", "raw");
    await io(folder, "a.qcow2", ["write -q -P 5 1M 300k"]);
    const editor = await Editor.open(await openIn(folder, "a.qcow2", { writable: true }));
    await resize(editor, MIB + 100 * 1024);
    await resize(editor, 40 * MIB);
    await editor.write(39 * MIB, new Uint8Array(1000).fill(3));
    await editor.close();
    await run(folder, "qemu-img", ["check", "-q", "a.qcow2"]);
    await run(folder, "qemu-img", ["convert", "-O", "raw", "a.qcow2", "now.raw"]);
    const wanted = new Uint8Array(40 * MIB);
    wanted.fill(9, 0, MIB).fill(5, MIB, MIB + 102400).fill(3, 39 * MIB, 39 * MIB + 1000);
    equal(differsAt(await Deno.readFile(`${folder}/now.raw`), wanted), -1, options);
  }
});

for (const base of ["raw", "qcow2"]) {
  test(`a commit takes an overlay's changes down into a ${base} file`, async (folder) => {
    await run(folder, "qemu-img", ["create", "-q", "-f", base, "base.img", "4M"]);
    await io(folder, "base.img", randomWrites(seeded(11), 4 * MIB, 10));
    await make(folder, "a.qcow2", "5M", "-b", "base.img", "-F", base);
    await io(folder, "a.qcow2", randomWrites(seeded(12), 5 * MIB, 12));
    await run(folder, "qemu-img", ["convert", "-O", "raw", "a.qcow2", "before.raw"]);
    const editor = await Editor.open(await openIn(folder, "a.qcow2", { writable: true }));
    if (base === "raw") {
      const store = openLocalFile(`${folder}/base.img`, { writable: true });
      await commit(editor, intoFile(store, 4 * MIB));
      await store.close();
    } else {
      const below = await Editor.open(await openIn(folder, "base.img", { writable: true }));
      await commit(editor, intoImage(below));
      await below.close();
    }
    await editor.close();
    await run(folder, "qemu-img", ["check", "-q", "a.qcow2"]);
    for (const name of ["base.img", "a.qcow2"]) {
      const format = name === "base.img" ? base : "qcow2";
      await run(folder, "qemu-img", ["convert", "-f", format, "-O", "raw", name, "now.raw"]);
      equal(
        differsAt(
          await Deno.readFile(`${folder}/now.raw`),
          await Deno.readFile(`${folder}/before.raw`),
        ),
        -1,
        name,
      );
    }
    const image = await openIn(folder, "a.qcow2");
    equal(await firstDifference(image.disk, `${folder}/before.raw`), -1);
    await image.close();
  });
}
