/**
 * A writer that is killed between any two of its writes leaves an image in which `qemu-img check` finds
 * leaked clusters at worst, `-r leaks` takes them back, and everything that a flush acknowledged is
 * there. Every write of the series is tried. `MORTAR_LONG=1`: longer series and more of them.
 */

import { ok, strictEqual as equal } from "node:assert/strict";
import { createImage, type CreateOptions } from "snapshot/qcow2/create.ts";
import { Editor } from "snapshot/qcow2/editor.ts";
import { type Image, openImage } from "snapshot/qcow2/image.ts";
import { applySnapshot, createSnapshot, deleteSnapshot } from "snapshot/qcow2/snapshots.ts";
import { applied, MemoryStore } from "tests/fakes/memory_store.ts";
import { differsAt, inFolder, QEMU, run } from "tests/fakes/qemu_images.ts";
import { seeded } from "tests/fakes/seeded.ts";

const LONG = Deno.env.get("MORTAR_LONG") === "1";

/** What a kill after `changes` writes of the store has to leave at least. */
interface Promised {
  readonly changes: number;
  readonly now: Uint8Array<ArrayBuffer>;
  readonly then: ReadonlyMap<string, Uint8Array<ArrayBuffer>>;
}
/** Bytes that may be old or new from that many writes of the store on. */
interface Touched {
  readonly changes: number;
  readonly offset: number;
  readonly length: number;
}

interface Form extends CreateOptions {
  readonly snapshots: boolean;
  readonly steps: number;
  readonly fill?: number;
  /** The image has a bitmap that records. */
  readonly bitmap?: boolean;
}

class Series {
  readonly store = new MemoryStore();
  readonly promised: Promised[] = [];
  readonly touched: Touched[] = [];
  readonly deleted = new Map<string, number>();
  /** How often a bitmap was there that may be relied on. */
  trusted = 0;
  bitmap = false;
  readonly #random: (below: number) => number;
  readonly #then = new Map<string, Uint8Array<ArrayBuffer>>();
  #now: Uint8Array<ArrayBuffer>;
  #editor!: Editor;
  /** The image as it was made. */
  start!: Uint8Array<ArrayBuffer>;
  startDisk!: Uint8Array<ArrayBuffer>;

  constructor(seed: number, size: number) {
    this.#random = seeded(seed);
    this.#now = new Uint8Array(size);
  }

  /** `fill`: so many bytes are written before the series begins. */
  async run(options: Form, steps: number, snapshots: boolean): Promise<void> {
    await createImage(this.store, options);
    this.bitmap = options.bitmap ?? false;
    if (this.bitmap) await addBitmap(this.store);
    await this.#open();
    await this.#editor.write(
      0,
      this.#now.fill(9, 0, options.fill ?? 0).slice(0, options.fill ?? 0),
    );
    await this.#editor.flush();
    this.start = this.store.bytes.slice();
    this.store.changes.length = 0;
    this.#promise();
    this.startDisk = this.#now.slice();
    for (let each = 0; each < steps; each++) await this.#step(each, snapshots);
    await this.#flush();
  }

  async #open(): Promise<void> {
    const image = await openImage({ store: this.store, id: "1", path: "a" }, { cacheBytes: 1 });
    this.#editor = await Editor.open(image);
  }

  // A bitmap is said to be right when the image is closed.
  async #flush(): Promise<void> {
    if (this.#editor.image.parts.header.autoclear.low) {
      await this.#editor.close();
      await this.#open();
    } else await this.#editor.flush();
    this.#promise();
  }

  #promise(): void {
    const { changes } = this.store;
    const then = new Map(this.#then);
    this.promised.push({ changes: changes.length, now: this.#now.slice(), then });
  }

  #touch(offset: number, length: number): void {
    this.touched.push({ changes: this.store.changes.length, offset, length });
  }

  async #step(number: number, snapshots: boolean): Promise<void> {
    const random = this.#random, size = this.#now.length;
    const offset = random(size), length = Math.min(1 + random(60_000), size - offset);
    const kind = random(snapshots ? 16 : 10);
    if (kind < 6) {
      const data = new Uint8Array(length).fill(1 + number % 255);
      this.#touch(offset, length);
      await this.#editor.write(offset, data);
      this.#now.set(data, offset);
    } else if (kind < 8) {
      this.#touch(offset, length);
      await this.#editor.zero(offset, length);
      this.#now.fill(0, offset, offset + length);
    } else if (kind < 10) await this.#flush();
    else await this.#snapshotStep(number, kind);
  }

  async #snapshotStep(number: number, kind: number): Promise<void> {
    const names = [...this.#then.keys()], name = names[this.#random(names.length)];
    const { image } = this.#editor;
    if (name === undefined || kind < 13) {
      await this.#editor.alone((tables) => createSnapshot(tables, `s${number}`, 0));
      this.#then.set(`s${number}`, this.#now.slice());
    } else if (kind < 15) {
      this.deleted.set(name, this.store.changes.length);
      await this.#editor.alone((tables) => deleteSnapshot(tables, image.snapshot(name)));
      this.#then.delete(name);
    } else {
      this.#touch(0, this.#now.length);
      await this.#editor.alone((tables) => applySnapshot(tables, image.snapshot(name)));
      this.#now = this.#then.get(name)!.slice();
    }
    // A snapshot is acknowledged by its own flush.
    this.#promise();
  }
}

async function addBitmap(store: MemoryStore): Promise<void> {
  await inFolder(async (folder) => {
    await Deno.writeFile(`${folder}/a.qcow2`, store.bytes);
    await run(folder, "qemu-img", ["bitmap", "--add", "-g", "4096", "a.qcow2", "b0"]);
    store.bytes = await Deno.readFile(`${folder}/a.qcow2`);
  });
}

interface Check {
  readonly "check-errors": number;
  readonly corruptions?: number;
  readonly leaks?: number;
}

async function check(folder: string, ...args: string[]): Promise<Check> {
  const { stdout } = await new Deno.Command("qemu-img", {
    args: ["check", "--output=json", ...args, "a.qcow2"],
    cwd: folder,
  }).output();
  return JSON.parse(new TextDecoder().decode(stdout)) as Check;
}

async function checkKill(folder: string, series: Series, bytes: Uint8Array, at: number) {
  await Deno.writeFile(`${folder}/a.qcow2`, bytes);
  const found = await check(folder);
  equal(found["check-errors"], 0, `errors after ${at} writes`);
  equal(found.corruptions ?? 0, 0, `corruptions after ${at} writes`);
  if (found.leaks) {
    await check(folder, "-r", "leaks");
    const left = await check(folder);
    equal((left.leaks ?? 0) + (left.corruptions ?? 0), 0, `after -r leaks, ${at} writes`);
  }
  // QEMU's own repair (7.2) loses the list of snapshots of an image that has bitmaps.
  const after = series.bitmap ? bytes.slice() : await Deno.readFile(`${folder}/a.qcow2`);
  await checkContents(series, after, at);
}

async function checkContents(series: Series, bytes: Uint8Array<ArrayBuffer>, at: number) {
  const image = await openImage({ store: new MemoryStore(bytes), id: "1", path: "a" });
  const promised = series.promised.findLast(({ changes }) => changes <= at)!;
  const seen = new Uint8Array(promised.now.length), wanted = promised.now.slice();
  await image.disk.read(0, seen);
  for (const { changes, offset, length } of series.touched) {
    if (changes < promised.changes || changes > at) continue;
    wanted.set(seen.subarray(offset, offset + length), offset);
  }
  equal(differsAt(seen, wanted), -1, `the disk after ${at} writes`);
  await checkBitmaps(series, image, at);
  for (const [name, then] of promised.then) {
    if ((series.deleted.get(name) ?? Infinity) <= at) continue;
    await image.snapshotDisk(image.snapshot(name)).read(0, seen);
    equal(differsAt(seen, then), -1, `snapshot ${name} after ${at} writes`);
  }
}

// What a bitmap that is trusted does not say did not change.
async function checkBitmaps(series: Series, image: Image, at: number): Promise<void> {
  for (const bitmap of await image.bitmaps()) {
    if (bitmap.inUse) continue;
    series.trusted++;
    const now = new Uint8Array(image.disk.size);
    await image.disk.read(0, now);
    for await (const { offset, length } of image.dirtyRanges(bitmap)) {
      now.set(series.startDisk.subarray(offset, offset + length), offset);
    }
    equal(differsAt(now, series.startDisk), -1, `bitmap after ${at} writes`);
  }
}

const TINY = { clusterSize: 512, refcountBits: 64 };
const FORMS: readonly Form[] = [
  { size: 1 << 20, clusterSize: 4096, snapshots: true, steps: 16 },
  { size: 256 << 10, clusterSize: 512, refcountBits: 64, snapshots: true, steps: 10 },
  { size: 1 << 20, clusterSize: 16384, extendedL2: true, snapshots: true, steps: 11 },
  { size: 1 << 20, clusterSize: 1024, refcountBits: 1, snapshots: false, steps: 14 },
  // Past 2 MiB the refcount table is too small and gets a new place.
  { ...TINY, size: 3 << 20, fill: 2_040_000, snapshots: true, steps: 4 },
  { size: 1 << 20, version: 2, snapshots: true, steps: 11 },
  { size: 1 << 20, clusterSize: 4096, snapshots: true, steps: 14, bitmap: true },
  { size: 256 << 10, clusterSize: 512, snapshots: true, steps: 10, bitmap: true },
];

for (const [index, options] of FORMS.entries()) {
  const { size, clusterSize = 65536, version = 3, snapshots, steps, fill = 0 } = options;
  const { bitmap = false } = options;
  Deno.test({
    name: `snapshot/qcow2: a kill between any two writes leaves leaks at worst ` +
      `(version ${version}, clusters of ${clusterSize}, ${fill} bytes before${
        bitmap ? ", a bitmap" : ""
      })`,
    ignore: !QEMU,
    fn: () =>
      inFolder(async (folder) => {
        for (let seed = 1; seed <= (LONG ? 10 : 1); seed++) {
          const series = new Series(seed * 100 + index, size);
          await series.run(options, LONG ? steps * 3 : steps, snapshots);
          let bytes = series.start.slice();
          ok(series.store.changes.length > 20, "a series with few writes shows little");
          for (const [at, change] of series.store.changes.entries()) {
            bytes = applied(bytes, change);
            await checkKill(folder, series, bytes, at + 1);
          }
          equal(series.trusted > 0, bitmap);
        }
      }),
  });
}
