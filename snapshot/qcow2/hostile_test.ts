/** The classics among hostile images: each is refused by a message that says why. */

import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { deflateRawSync, zstdCompressSync } from "node:zlib";
import { repairImage } from "snapshot/qcow2/check.ts";
import { createImage, type CreateOptions } from "snapshot/qcow2/create.ts";
import { decompress } from "snapshot/qcow2/compressed.ts";
import { Editor } from "snapshot/qcow2/editor.ts";
import { packHeader, parseHeader } from "snapshot/qcow2/header.ts";
import { type Image, openImage } from "snapshot/qcow2/image.ts";
import { openLocalFile } from "snapshot/qcow2/local_file.ts";
import { viewOf, writeU64 } from "snapshot/qcow2/numbers.ts";
import { LocalResolver } from "snapshot/qcow2/resolve.ts";
import { applySnapshot, createSnapshot, deleteSnapshot } from "snapshot/qcow2/snapshots.ts";
import { MemoryStore } from "tests/fakes/memory_store.ts";
import { inFolder } from "tests/fakes/qemu_images.ts";

type Bytes = Uint8Array<ArrayBuffer>;

async function made(options: Partial<CreateOptions> = {}): Promise<Bytes> {
  const store = new MemoryStore();
  await createImage(store, { size: 1 << 20, ...options });
  return store.bytes;
}

function open(bytes: Bytes): Promise<Image> {
  return openImage({ store: new MemoryStore(bytes), id: "1", path: "a" });
}

const SPOILED: readonly [what: string, spoil: (view: DataView) => void, says: RegExp][] = [
  [
    "an L1 table beyond the file",
    (v) => writeU64(v, 40, 2 ** 40),
    /L1 table is not within the file/,
  ],
  [
    "an L1 table of 2^32 entries",
    (v) => v.setUint32(36, 2 ** 32 - 1),
    /L1 table has .* is the most/,
  ],
  ["a refcount table of 2^32 clusters", (v) => v.setUint32(56, 2 ** 32 - 1), /refcount table has/],
  [
    "more snapshots than can be",
    (v) => v.setUint32(60, 2 ** 32 - 1),
    /snapshots; 65536 is the most/,
  ],
  ["snapshots that leave the file", (v) => {
    v.setUint32(60, 60_000);
    writeU64(v, 64, 65536);
  }, /snapshot table/],
  ["a disk larger than its L1 table", (v) => writeU64(v, 24, 2 ** 50), /too few/],
  ["clusters of 2^63 bytes", (v) => v.setUint32(20, 63), /Clusters of 2\^63/],
  ["AES encryption", (v) => v.setUint32(32, 1), /AES/],
  ["LUKS encryption", (v) => v.setUint32(32, 2), /LUKS/],
  ["an unknown feature", (v) => v.setUint32(76, 1 << 9), /feature bit 9/],
  ["an unknown high feature", (v) => v.setUint32(72, 1 << 3), /feature bit 35/],
  ["a header longer than a cluster", (v) => v.setUint32(100, 1 << 20), /header of/],
  ["a header extension that leaves the header", (v) => {
    v.setUint32(112, 0x1234);
    v.setUint32(116, 0x7fff_ffff);
  }, /extension 0x1234/],
  ["version 4", (v) => v.setUint32(4, 4), /version 4/],
  ["another magic", (v) => v.setUint32(0, 0x7f454c46), /Not a qcow2 image/],
];
for (const [what, spoil, says] of SPOILED) {
  Deno.test(`snapshot/qcow2: ${what} is refused by name`, async () => {
    const bytes = await made();
    spoil(viewOf(bytes));
    await rejects(open(bytes), says);
  });
}

Deno.test("snapshot/qcow2: an unknown feature is called what the image calls it", async () => {
  const bytes = await made();
  const header = parseHeader(bytes.slice(0, 65536), bytes.length);
  const table = new Uint8Array(48);
  table[1] = 7;
  table.set(new TextEncoder().encode("time travel"), 2);
  header.extensions.push({ type: 0x6803f857, data: table });
  header.incompatible.low = 1 << 7;
  bytes.set(packHeader(header));
  await rejects(open(bytes), /feature bit 7 \("time travel"\)/);
});

Deno.test("snapshot/qcow2: extensions that nobody knows are kept byte for byte", async () => {
  const bytes = await made({ clusterSize: 4096 });
  const header = parseHeader(bytes.slice(0, 4096), bytes.length);
  const data = new Uint8Array([1, 2, 3, 4, 5]);
  header.extensions.push({ type: 0xabcd1234, data });
  header.autoclear.low = 1 << 5;
  bytes.set(packHeader(header));
  const store = new MemoryStore(bytes);
  const image = await openImage({ store, id: "1", path: "a" });
  // Writing clears the auto-clear bit that is not known, and so rewrites the header.
  await Editor.open(image);
  const again = parseHeader(store.bytes.slice(0, 4096), bytes.length);
  deepEqual(again.extensions.at(-1), { type: 0xabcd1234, data });
  equal(again.autoclear.low, 0);
});

Deno.test("snapshot/qcow2: compressed data that inflates without end stops at a cluster", () => {
  const bomb = new Uint8Array(100 << 20);
  for (
    const [method, data] of [
      ["zlib", deflateRawSync(bomb)],
      ["zstd", zstdCompressSync(bomb)],
    ] as const
  ) {
    const before = Deno.memoryUsage().rss;
    const packed = new Uint8Array(data);
    for (let each = 0; each < 20; each++) {
      let refusal = "";
      try {
        decompress(method, packed, 65536);
      } catch (failure) {
        refusal = String(failure);
      }
      ok(refusal.includes("compressed cluster"), refusal);
    }
    ok(Deno.memoryUsage().rss - before < 64 << 20, method);
  }
});

Deno.test("snapshot/qcow2: a data cluster that is a table is not written to", async () => {
  const store = new MemoryStore(await made());
  let image = await openImage({ store, id: "1", path: "a" });
  let editor = await Editor.open(image);
  await editor.write(0, new Uint8Array(65536).fill(1));
  await editor.flush();
  const view = viewOf(store.bytes);
  const l2 = view.getUint32(view.getUint32(44) + 4);
  for (const table of [0x8000_0000_0001_0000n, 0x8000_0000_0000_0000n | BigInt(l2)]) {
    const spoiled = new MemoryStore(store.bytes.slice());
    viewOf(spoiled.bytes).setBigUint64(l2, table);
    image = await openImage({ store: spoiled, id: "1", path: "a" });
    editor = await Editor.open(image);
    await rejects(editor.write(100, new Uint8Array(10)), /where there is a table/);
    // From then on nobody writes.
    await rejects(
      Editor.open(await openImage({ store: spoiled, id: "1", path: "a" })),
      /marked as corrupt/,
    );
  }
});

Deno.test("snapshot/qcow2: a snapshot whose disk is larger than its L1 table is not applied", async () => {
  const store = new MemoryStore(await made({ clusterSize: 512 }));
  let editor = await Editor.open(await openImage({ store, id: "1", path: "a" }));
  await editor.alone((tables) => createSnapshot(tables, "s", 0));
  // The disk's size in the entry: 32 GiB, for which an L1 table of 8 MiB would be made.
  viewOf(store.bytes).setUint32(viewOf(store.bytes).getUint32(68) + 48, 8);
  editor = await Editor.open(await openImage({ store, id: "1", path: "a" }));
  const { snapshots } = editor.image;
  await rejects(editor.alone((tables) => applySnapshot(tables, snapshots[0]!)), /too small/);
});

Deno.test("snapshot/qcow2: a snapshot beside a cluster that begins nowhere is not deleted", async () => {
  const store = new MemoryStore(await made());
  let editor = await Editor.open(await openImage({ store, id: "1", path: "a" }));
  await editor.alone((tables) => createSnapshot(tables, "s", 0));
  await editor.write(0, new Uint8Array(65536).fill(1));
  await editor.flush();
  const view = viewOf(store.bytes), l2 = view.getUint32(view.getUint32(44) + 4);
  view.setUint32(l2 + 4, view.getUint32(l2 + 4) + 512);
  editor = await Editor.open(await openImage({ store, id: "1", path: "a" }));
  const [snapshot] = editor.image.snapshots;
  await rejects(
    editor.alone((tables) => deleteSnapshot(tables, snapshot!)),
    /not where a cluster begins/,
  );
});

Deno.test("snapshot/qcow2: an image whose header no refcount describes is not repaired", async () => {
  const store = new MemoryStore(await made());
  viewOf(store.bytes).setBigUint64(65536, 0n);
  const image = await openImage({ store, id: "1", path: "a" });
  await rejects(repairImage(image), /No refcount block describes the image's header/);
});

Deno.test("snapshot/qcow2: no snapshot in refcounts of one bit", async () => {
  const store = new MemoryStore(await made({ refcountBits: 1 }));
  const editor = await Editor.open(await openImage({ store, id: "1", path: "a" }));
  await rejects(editor.alone((tables) => createSnapshot(tables, "a", 0)), /no room for snapshots/);
  // Nothing was changed, and the image works on.
  await editor.write(0, new Uint8Array(10));
});

// What an image with this backing name says when it is opened in a folder of its own.
async function openWithBacking(folder: string, file: string, format: "raw" | "qcow2" = "raw") {
  const path = `${folder}/images/a.qcow2`;
  await Deno.mkdir(`${folder}/images`, { recursive: true });
  await Deno.remove(path).catch(() => {});
  const store = openLocalFile(path, { create: true });
  await createImage(store, { size: 1 << 20, backing: { file, format } });
  await store.close();
  const resolver = new LocalResolver(`${folder}/images`);
  try {
    const opened = await resolver.open("a.qcow2", "", { writable: false });
    const image = await openImage(opened, { resolver });
    await image.close();
  } finally {
    resolver.close();
  }
}

for (
  const [name, says] of [
    ["/etc/passwd", /outside of the folder/],
    ["../secret", /leads out of the folder/],
    ["x/../../secret", /leads out of the folder/],
    ["link", /leads out of the folder/],
    ['json:{"file.filename":"/etc/passwd"}', /protocol/],
    ["nbd:localhost:10809", /protocol/],
    ["file:/etc/passwd", /protocol/],
    ["fifo", /is not a file/],
    [".", /is not a file/],
    ["absent", /ENOENT/],
  ] as const
) {
  Deno.test(`snapshot/qcow2: the backing name ${name} opens no other file`, () =>
    inFolder(async (folder) => {
      await Deno.writeTextFile(`${folder}/secret`, "secret");
      await Deno.mkdir(`${folder}/images/x`, { recursive: true });
      await Deno.symlink("../secret", `${folder}/images/link`);
      await new Deno.Command("mkfifo", { args: [`${folder}/images/fifo`] }).output();
      await rejects(openWithBacking(folder, name), says);
    }));
}

Deno.test("snapshot/qcow2: a chain that is a loop is refused", () =>
  inFolder(async (folder) => {
    await rejects(openWithBacking(folder, "a.qcow2", "qcow2"), /is a loop/);
    await Deno.symlink("a.qcow2", `${folder}/images/b.qcow2`);
    await rejects(openWithBacking(folder, "b.qcow2", "qcow2"), /is a loop/);
  }));
