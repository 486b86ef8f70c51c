import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { checkImage } from "snapshot/qcow2/check.ts";
import { createImage } from "snapshot/qcow2/create.ts";
import { type Disk, type Extent, RawDisk } from "snapshot/qcow2/disk.ts";
import { Editor } from "snapshot/qcow2/editor.ts";
import { openImage } from "snapshot/qcow2/image.ts";
import {
  type DiskRange,
  diskSize,
  OVERLAY_CLUSTER,
  overlayBytes,
  writeOverlay,
} from "snapshot/qcow2/overlay.ts";
import type { ImageFile } from "snapshot/qcow2/resolve.ts";
import { seeded } from "tests/fakes/seeded.ts";
import { MemoryStore } from "tests/fakes/memory_store.ts";

const CLUSTER = OVERLAY_CLUSTER, UNIT = 4096;

/** Bytes as a disk that tells units of zeros as holes. */
class Bytes implements Disk {
  readonly #disk: RawDisk;

  constructor(readonly bytes: Uint8Array<ArrayBuffer>) {
    this.#disk = new RawDisk(new MemoryStore(bytes), bytes.length);
  }

  get size(): number {
    return this.bytes.length;
  }

  read(offset: number, into: Uint8Array<ArrayBuffer>): Promise<void> {
    return this.#disk.read(offset, into);
  }

  async *extents(offset: number, end: number): AsyncGenerator<Extent> {
    for (let at = offset; at < end; at += UNIT) {
      const length = Math.min(UNIT, end - at);
      const isData = this.bytes.subarray(at, at + length).some((byte) => byte !== 0);
      yield { offset: at, length, kind: isData ? "data" : "hole" };
    }
  }
}

/** Units in which two states differ, some more, and what was made longer. */
async function* changed(
  old: Uint8Array,
  now: Uint8Array,
  random: (below: number) => number,
): AsyncGenerator<DiskRange> {
  for (let at = 0; at < now.length; at += UNIT) {
    const end = Math.min(at + UNIT, now.length);
    const was = old.subarray(at, end), is = now.subarray(at, end);
    const differs = was.length !== is.length || is.some((byte, index) => byte !== was[index]);
    // Cutting a file writes to the unit at its end.
    const isCut = end === now.length && old.length > now.length;
    if (differs || isCut || random(9) === 0) yield { offset: at, length: end - at };
  }
}

function nextState(old: Uint8Array, random: (below: number) => number): Uint8Array<ArrayBuffer> {
  const now = new Uint8Array(1 + random(9 * CLUSTER));
  now.set(old.subarray(0, now.length));
  for (let changes = random(6); changes > 0; changes--) {
    const at = random(now.length);
    now.fill(random(3) && random(256), at, at + random(2 * CLUSTER));
  }
  return now;
}

async function* each<T>(all: readonly T[]): AsyncGenerator<T> {
  yield* all;
}

async function chainOf(files: ReadonlyMap<string, MemoryStore>, name: string) {
  const open = (name: string): ImageFile => ({ store: files.get(name)!, id: name, path: name });
  return await openImage(open(name), { resolver: { open: (name) => Promise.resolve(open(name)) } });
}

Deno.test("snapshot/qcow2: chains of overlays hold what each state was, through growth and shrinking", async () => {
  for (let seed = 1; seed <= 12; seed++) {
    const random = seeded(seed), files = new Map<string, MemoryStore>();
    let old: Uint8Array<ArrayBuffer> = new Uint8Array(1 + random(8 * CLUSTER)).fill(7);
    const base = new MemoryStore();
    files.set("0", base);
    await createImage(base, { size: diskSize(old.length) });
    const editor = await Editor.open(await openImage({ store: base, id: "0", path: "0" }));
    await editor.write(0, old);
    await editor.flush();
    for (let step = 1; step <= 4; step++) {
      const now = nextState(old, random), store = new MemoryStore();
      const below = {
        file: String(step - 1),
        format: "qcow2" as const,
        size: diskSize(old.length),
      };
      const ranges = await Array.fromAsync(changed(old, now, random));
      let wrote = 0;
      await writeOverlay(store, new Bytes(now), below, each(ranges), (bytes) => wrote += bytes);
      equal(wrote, overlayBytes(ranges, now.length));
      files.set(String(step), store);
      const image = await chainOf(files, String(step));
      equal(image.disk.size, diskSize(now.length));
      const found = new Uint8Array(image.disk.size);
      await image.disk.read(0, found);
      const wrong = found.findIndex((byte, at) => byte !== (now[at] ?? 0));
      ok(
        wrong < 0,
        `seed ${seed}, step ${step}: byte ${wrong} is ${found[wrong]}, not ${now[wrong]}`,
      );
      const { errors, leaks } = await checkImage(image);
      deepEqual([errors, leaks], [[], 0]);
      old = now;
    }
  }
});
