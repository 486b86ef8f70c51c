/** Bitmaps that QEMU made are kept while we write, and QEMU reads from them what was written. */

import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { Editor } from "snapshot/qcow2/editor.ts";
import { applySnapshot, createSnapshot, deleteSnapshot } from "snapshot/qcow2/snapshots.ts";
import { hasProgram } from "tests/fakes/programs.ts";
import { differsAt, inFolder, openIn, QEMU, run } from "tests/fakes/qemu_images.ts";
import { seeded } from "tests/fakes/seeded.ts";

const LONG = Deno.env.get("MORTAR_LONG") === "1";
const MIB = 1 << 20;
const TOOLS = QEMU && hasProgram("qemu-nbd") && hasProgram("nbdinfo");

const test = (name: string, body: (folder: string) => Promise<void>) =>
  Deno.test({ name: `snapshot/qcow2: ${name}`, ignore: !TOOLS, fn: () => inFolder(body) });

/** Which granules of a bitmap QEMU says are dirty. */
async function dirtyIn(folder: string, name: string, granularity: number): Promise<Set<number>> {
  const server = ["qemu-nbd", "-r", "-f", "qcow2", "-B", name, "a.qcow2"];
  const context = `--map=qemu:dirty-bitmap:${name}`;
  const command = ["nbdinfo", "--json", context, "--", "[", ...server, "]"];
  const extents = JSON.parse(await run(folder, command[0]!, command.slice(1))) as {
    readonly offset: number;
    readonly length: number;
    readonly type: number;
  }[];
  const found = new Set<number>();
  for (const { offset, length, type } of extents) {
    for (let at = offset; type && at < offset + length; at += granularity) {
      found.add(at / granularity);
    }
  }
  return found;
}

/** What `qemu-img info` says of the bitmaps: name and flags. */
async function flagsIn(folder: string): Promise<Record<string, string[]>> {
  const info = JSON.parse(await run(folder, "qemu-img", ["info", "--output=json", "a.qcow2"]));
  const { bitmaps = [] } = info["format-specific"].data as {
    bitmaps?: { name: string; flags: string[] }[];
  };
  return Object.fromEntries(bitmaps.map(({ name, flags }) => [name, flags]));
}

async function edited(folder: string, act: (editor: Editor) => Promise<void>): Promise<void> {
  const image = await openIn(folder, "a.qcow2", { writable: true, cacheBytes: 1 });
  const editor = await Editor.open(image);
  await act(editor);
  await editor.close();
}

const FORMS: readonly [options: string, size: number, granularity: number][] = [
  ["cluster_size=64k", 8 * MIB, 65536],
  ["cluster_size=512", 3 * MIB + 512, 512],
  ["cluster_size=4k,refcount_bits=1", 5 * MIB, 4096],
  ["extended_l2=on,cluster_size=16k", 4 * MIB + 1536, 1024],
  ["data_file=data.bin", 4 * MIB, 8192],
];

for (const [options, size, granularity] of FORMS) {
  test(`a bitmap of an image with ${options} has exactly what was written`, async (folder) => {
    const random = seeded(size + granularity);
    for (let seed = 1; seed <= (LONG ? 20 : 1); seed++) {
      await Deno.remove(`${folder}/data.bin`).catch(() => {});
      const create = ["create", "-q", "-f", "qcow2", "-o", options, "a.qcow2", String(size)];
      await run(folder, "qemu-img", create);
      for (const name of ["on", "off"]) {
        const add = ["bitmap", "--add", "-g", String(granularity)];
        await run(folder, "qemu-img", [...add, "a.qcow2", name]);
      }
      await run(folder, "qemu-img", ["bitmap", "--disable", "a.qcow2", "off"]);
      const written = new Set<number>();
      for (let round = 0; round < 3; round++) {
        await edited(folder, async (editor) => {
          for (let each = 0; each < 8; each++) {
            const offset = random(size), length = Math.min(1 + random(90_000), size - offset);
            const kind = random(4);
            if (kind === 3) await editor.flush();
            else if (kind === 2) await editor.zero(offset, length);
            else await editor.write(offset, new Uint8Array(length).fill(1 + each));
            if (kind === 3) continue;
            const last = Math.floor((offset + length - 1) / granularity);
            for (let at = Math.floor(offset / granularity); at <= last; at++) written.add(at);
          }
          deepEqual((await flagsIn(folder)).on, ["in-use", "auto"]);
        });
        await run(folder, "qemu-img", ["check", "-q", "a.qcow2"]);
        deepEqual(await flagsIn(folder), { on: ["auto"], off: [] });
        const seen = await dirtyIn(folder, "on", granularity);
        deepEqual([...seen].sort(), [...written].sort());
        equal((await dirtyIn(folder, "off", granularity)).size, 0);
      }
    }
  });
}

test("a snapshot that is applied marks what it changes, and no more", async (folder) => {
  const size = 8 * MIB, granularity = 65536;
  await run(folder, "qemu-img", ["create", "-q", "-f", "qcow2", "a.qcow2", String(size)]);
  await edited(folder, (editor) => editor.write(0, new Uint8Array(4 * MIB).fill(1)));
  await edited(folder, async (editor) => {
    await editor.alone((tables) => createSnapshot(tables, "s", 0));
  });
  await edited(folder, async (editor) => {
    await editor.write(MIB, new Uint8Array(200_000).fill(2));
    await editor.write(6 * MIB, new Uint8Array(1));
  });
  await run(folder, "qemu-img", ["bitmap", "--add", "a.qcow2", "b0"]);
  await edited(folder, async (editor) => {
    await editor.alone((tables) => createSnapshot(tables, "t", 0));
    await editor.alone((tables) => deleteSnapshot(tables, editor.image.snapshot("t")));
  });
  equal((await dirtyIn(folder, "b0", granularity)).size, 0);
  await edited(
    folder,
    (editor) => editor.alone((tables) => applySnapshot(tables, editor.image.snapshot("s"))),
  );
  await run(folder, "qemu-img", ["check", "-q", "a.qcow2"]);
  const changed = [16, 17, 18, 19, 96];
  deepEqual([...await dirtyIn(folder, "b0", granularity)].sort((a, b) => a - b), changed);
});

test("a writer that does not end well leaves a bitmap that nobody trusts", async (folder) => {
  await run(folder, "qemu-img", ["create", "-q", "-f", "qcow2", "a.qcow2", "4M"]);
  await run(folder, "qemu-img", ["bitmap", "--add", "a.qcow2", "b0"]);
  const image = await openIn(folder, "a.qcow2", { writable: true });
  const editor = await Editor.open(image);
  deepEqual(await flagsIn(folder), { b0: ["auto"] });
  await editor.write(0, new Uint8Array(MIB).fill(1));
  await editor.flush();
  await image.close();
  deepEqual(await flagsIn(folder), { b0: ["in-use", "auto"] });
  await run(folder, "qemu-img", ["check", "-q", "a.qcow2"]);
  // It stays as it is, and whoever writes next does not make it better.
  await edited(folder, (editor) => editor.write(2 * MIB, new Uint8Array(MIB).fill(1)));
  deepEqual(await flagsIn(folder), { b0: ["in-use", "auto"] });
});

test("room of what is not used any more is given back", async (folder) => {
  const size = 32 * MIB, full = new Uint8Array(size).fill(5);
  const taken = async () => (await Deno.stat(`${folder}/a.qcow2`)).blocks! * 512;
  await run(folder, "qemu-img", ["create", "-q", "-f", "qcow2", "a.qcow2", String(size)]);
  await edited(folder, (editor) => editor.write(0, full));
  await edited(folder, async (editor) => {
    await editor.alone((tables) => createSnapshot(tables, "s", 0));
    await editor.write(0, full.subarray(0, 16 * MIB));
  });
  ok(await taken() > 48 * MIB);
  await edited(
    folder,
    (editor) =>
      editor.alone(async (tables) => await deleteSnapshot(tables, editor.image.snapshot("s"))),
  );
  ok(await taken() < 33 * MIB, `${await taken()} bytes after the snapshot is gone`);
  await edited(folder, async (editor) => {
    await editor.discard(0, 8 * MIB);
    await editor.zero(8 * MIB, 8 * MIB);
    // What is in use again by then stays.
    await editor.write(0, full.subarray(0, 2 * MIB));
  });
  ok(await taken() < 19 * MIB, `${await taken()} bytes after half of it is zeros`);
  await run(folder, "qemu-img", ["check", "-q", "a.qcow2"]);
  await edited(folder, async (editor) => {
    const seen = new Uint8Array(size);
    await editor.read(0, seen);
    equal(differsAt(seen, full.fill(0, 2 * MIB, 16 * MIB)), -1);
  });
});
