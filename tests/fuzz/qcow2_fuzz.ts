/**
 * Images that are wrong: good ones with numbers changed in their headers, tables, chains and compressed
 * data. Whatever is done with such an image ends with an answer or with a failure that says what is
 * wrong, soon, in little memory, and without looking at a file that the resolver was not to open.
 */

import { deflateRawSync, zstdCompressSync } from "node:zlib";
import { ENOENT, ENOSPC, FopError } from "core/errno.ts";
import { checkImage, repairImage } from "snapshot/qcow2/check.ts";
import { createImage, type CreateOptions } from "snapshot/qcow2/create.ts";
import { Editor } from "snapshot/qcow2/editor.ts";
import { Qcow2Error } from "snapshot/qcow2/failures.ts";
import { EXT_BITMAPS, packHeader, parseHeader } from "snapshot/qcow2/header.ts";
import { type Image, openImage } from "snapshot/qcow2/image.ts";
import { viewOf, writeU64 } from "snapshot/qcow2/numbers.ts";
import type { ImageFile, Resolver } from "snapshot/qcow2/resolve.ts";
import { applySnapshot, createSnapshot, deleteSnapshot } from "snapshot/qcow2/snapshots.ts";
import { applied, MemoryStore } from "tests/fakes/memory_store.ts";
import { seeded } from "tests/fakes/seeded.ts";

type Bytes = Uint8Array<ArrayBuffer>;
type Random = (below: number) => number;

/** What became of the cases. */
export interface Qcow2FuzzResult {
  cases: number;
  /** Images that opened all the same. */
  opened: number;
  /** Failures that said what is wrong. */
  refused: number;
  slowestMs: number;
  growthBytes: number;
  /** What must not happen: the seed and what was thrown. */
  readonly errors: string[];
}

// A disk that is full at 4 MiB: an image must not make us write far away.
class SmallStore extends MemoryStore {
  override write(offset: number, data: Bytes): Promise<void> {
    return offset + data.length > 4 << 20 ? Promise.reject(ENOSPC) : super.write(offset, data);
  }
  override truncate(size: number): Promise<void> {
    return size > 4 << 20 ? Promise.reject(ENOSPC) : super.truncate(size);
  }
}

// Two files and no others; a name that is not a plain path must not get here.
class TwoFiles implements Resolver {
  readonly errors: string[] = [];
  readonly #files: ReadonlyMap<string, Bytes>;

  constructor(files: ReadonlyMap<string, Bytes>) {
    this.#files = files;
  }

  open(name: string): Promise<ImageFile> {
    if (/^[^/]*:/.test(name)) this.errors.push(`asked for ${JSON.stringify(name)}`);
    const bytes = this.#files.get(name);
    if (!bytes) return Promise.reject(ENOENT);
    return Promise.resolve({ store: new SmallStore(bytes.slice()), id: name, path: name });
  }
}

async function made(options: CreateOptions, fill = true): Promise<Bytes> {
  const store = new MemoryStore();
  await createImage(store, options);
  if (!fill) return store.bytes;
  const resolver = new TwoFiles(new Map([["base", new Uint8Array(100_000).fill(3)]]));
  const image = await openImage({ store, id: "a", path: "a" }, { resolver });
  const editor = await Editor.open(image);
  await editor.write(1000, new Uint8Array(30_000).fill(1));
  await editor.alone((tables) => createSnapshot(tables, "one", 0));
  await editor.write(20_000, new Uint8Array(90_000).fill(2));
  await editor.zero(65_536, 20_000);
  await editor.alone((tables) => createSnapshot(tables, "two", 0));
  await editor.flush();
  return store.bytes;
}

// The second guest cluster compressed by hand, at the end of the file.
async function compressed(method: "zlib" | "zstd"): Promise<Bytes> {
  let bytes = await made({ size: 1 << 20, clusterSize: 65536 });
  const header = parseHeader(bytes.slice(0, 65536), bytes.length);
  const packed = method === "zlib"
    ? deflateRawSync(new Uint8Array(65536).fill(9))
    : zstdCompressSync(new Uint8Array(65536).fill(9));
  const host = bytes.length, data = new Uint8Array(512);
  data.set(packed);
  bytes = applied(bytes, { offset: host, data });
  const view = viewOf(bytes);
  const l2 = view.getUint32(header.l1Offset + 4);
  view.setUint32(l2 + 8, 0x4000_0000);
  view.setUint32(l2 + 12, host);
  if (method === "zstd") {
    view.setUint32(76, 8);
    bytes[104] = 1;
  }
  return bytes;
}

async function withBitmap(): Promise<Bytes> {
  let bytes = await made({ size: 1 << 20, clusterSize: 4096 });
  const header = parseHeader(bytes.slice(0, 4096), bytes.length);
  const offset = bytes.length, directory = new Uint8Array(4096), view = viewOf(directory);
  writeU64(view, 0, offset + 4096);
  view.setUint32(8, 1);
  view.setUint32(12, 2);
  view.setUint8(16, 1);
  view.setUint8(17, 16);
  view.setUint16(18, 2);
  directory.set([98, 48], 24);
  bytes = applied(bytes, { offset, data: directory });
  const table = new Uint8Array(8192);
  writeU64(viewOf(table), 0, offset + 8192);
  table.fill(0xa5, 4096, 4098);
  bytes = applied(bytes, { offset: offset + 4096, data: table });
  const extension = new Uint8Array(24);
  viewOf(extension).setUint32(0, 1);
  writeU64(viewOf(extension), 8, 32);
  writeU64(viewOf(extension), 16, offset);
  header.extensions.push({ type: EXT_BITMAPS, data: extension });
  header.autoclear.low = 1;
  bytes.set(packHeader(header));
  // It records, and its clusters are not counted yet.
  const store = new MemoryStore(bytes);
  await repairImage(await openImage({ store, id: "a", path: "a" }));
  return store.bytes;
}

/** Good images of many forms, to be spoiled. */
export async function goodImages(): Promise<Bytes[]> {
  const backing = { file: "base", format: "raw" as const };
  return [
    await made({ size: 1 << 20, clusterSize: 4096 }),
    await made({ size: 300_032, clusterSize: 512, refcountBits: 64 }),
    await made({ size: 1 << 20, clusterSize: 16384, extendedL2: true, backing }),
    await made({ size: 1 << 20, version: 2, backing }),
    await made({ size: 1 << 20, clusterSize: 1024, refcountBits: 8, backing }),
    await made({ size: 1 << 20, backing: { file: "self", format: "qcow2" } }, false),
    await compressed("zlib"),
    await compressed("zstd"),
    await withBitmap(),
  ];
}

const NAMES = ["self", "/etc/passwd", "json:{}", "nbd:h:1", "../x", "", "\0", "a:b", "base"];

// One number, somewhere that matters, becomes another that somebody might choose.
function spoil(bytes: Bytes, random: Random): Bytes {
  const view = viewOf(bytes), size = bytes.length;
  // Already cut off within the header.
  if (size < 512) return bytes;
  const tables = [40, 48, 64].map((at) => view.getUint32(at + 4)).filter((at) =>
    at > 0 && at < size
  );
  const l1 = view.getUint32(44);
  if (l1 + 8 <= size) tables.push(view.getUint32(l1 + 4));
  const somewhere = random(3) === 0
    ? random(112)
    : random(8) === 0
    ? random(size)
    : (tables[random(tables.length)] ?? 0) + random(64) * (random(2) ? 8 : 1);
  const at = Math.min(Math.max(0, somewhere), size - 8);
  const kind = random(9);
  if (kind === 0) bytes[at] = random(256);
  else if (kind === 1) bytes[at]! ^= 1 << random(8);
  else if (kind === 2) {
    view.setUint32(at, [0, 1, 0xffff_ffff, 0x7fff_ffff, 0x8000_0000][random(5)]!);
  } else if (kind === 3) writeU64(view, at, random(Math.ceil(size / 512)) * 512);
  else if (kind === 4) writeU64(view, at, 2 ** (9 + random(44)));
  else if (kind === 5) view.setBigUint64(at, 0xffff_ffff_ffff_ffffn >> BigInt(random(64)));
  else if (kind === 6) {
    const name = new TextEncoder().encode(NAMES[random(NAMES.length)]);
    const place = 400 - random(200);
    bytes.set(name, place);
    writeU64(view, 8, place);
    view.setUint32(16, name.length);
  } else if (kind === 7) return bytes.slice(0, 1 + random(size));
  else view.setUint32(random(28) * 4, random(64));
  return bytes;
}

async function use(image: Image, random: Random): Promise<void> {
  const { disk } = image, into = new Uint8Array(200_000);
  await disk.read(0, into);
  if (disk.size > into.length) await disk.read(disk.size - 1000, into.subarray(0, 2000));
  let seen = 0;
  for await (const _ of disk.extents(0, disk.size)) if (++seen > 500) break;
  for (const snapshot of image.snapshots.slice(0, 3)) {
    await image.snapshotDisk(snapshot).read(0, into);
    const state = Math.min(snapshot.vmStateSize, 10_000);
    await image.readVmState(snapshot, 0, into.subarray(0, state));
  }
  for (const bitmap of await image.bitmaps()) {
    seen = 0;
    if (!bitmap.inUse) { for await (const _ of image.dirtyRanges(bitmap)) if (++seen > 500) break; }
  }
  if (random(2)) await checkImage(image);
}

async function change(image: Image, random: Random): Promise<void> {
  if (random(4) === 0) await repairImage(image);
  const editor = await Editor.open(image);
  const room = Math.max(0, Math.min(image.disk.size, 1 << 20) - 50_000);
  for (let each = 0; each < 3; each++) {
    await editor.write(random(room + 1), new Uint8Array(Math.min(40_000, image.disk.size)));
  }
  await editor.flush();
  const kind = random(3), [first] = image.snapshots;
  await editor.alone(async (tables) => {
    if (kind === 0) await createSnapshot(tables, "fuzz", 0);
    else if (first) await (kind === 1 ? deleteSnapshot : applySnapshot)(tables, first);
  });
  await editor.write(0, new Uint8Array(Math.min(9000, image.disk.size)));
  await editor.flush();
}

/** Spoils `cases` images, each by its own seed from `seed` on. */
export async function fuzzQcow2(seed: number, cases: number): Promise<Qcow2FuzzResult> {
  const good = await goodImages();
  const result = { cases: 0, opened: 0, refused: 0, slowestMs: 0, growthBytes: 0 };
  const errors: string[] = [];
  let memory = 0;
  for (let each = 0; each < cases; each++) {
    // What the first ones make grow is the program itself.
    if (each === Math.min(500, cases >> 1)) memory = Deno.memoryUsage().rss;
    const started = performance.now();
    try {
      await oneCase(good, seeded(seed + each), result, errors);
    } catch (failure) {
      const known = failure instanceof Qcow2Error || failure instanceof FopError;
      if (known) result.refused++;
      else errors.push(`seed ${seed + each}: ${(failure as Error).stack ?? failure}`);
    }
    const took = performance.now() - started;
    result.slowestMs = Math.max(result.slowestMs, took);
    if (took > 10_000) errors.push(`seed ${seed + each}: ${Math.round(took)} ms`);
    result.cases++;
  }
  result.growthBytes = Deno.memoryUsage().rss - memory;
  return { ...result, errors };
}

async function oneCase(
  good: readonly Bytes[],
  random: Random,
  result: { opened: number },
  errors: string[],
): Promise<void> {
  let bytes = good[random(good.length)]!.slice();
  for (let left = 1 + random(random(3) ? 2 : 8); left > 0; left--) bytes = spoil(bytes, random);
  const files = new Map([["base", new Uint8Array(100_000).fill(3)], ["self", bytes]]);
  const resolver = new TwoFiles(files);
  try {
    const file = { store: new SmallStore(bytes), id: "self", path: "self" };
    const image = await openImage(file, { resolver, cacheBytes: 1 << 16 });
    result.opened++;
    await use(image, random);
    await change(image, random);
  } finally {
    errors.push(...resolver.errors);
  }
}
