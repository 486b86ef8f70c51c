/**
 * What was promised of snapshots and is no comparison of systems: each row is measured at a daemon with
 * its bricks and our client, or at one brick's layers in this process.
 */

import { realClock } from "core/env.ts";
import type { Volume } from "core/volume.ts";
import type { VolumeFile } from "core/volume_file.ts";
import { until } from "tests/e2e/process.ts";
import { median, short } from "./report.ts";
import { BLOCK, each, noise, Ours, timed } from "./snapshot_systems.ts";
import { Daemon } from "./snapshot_volume.ts";

/** One figure beside what was promised. */
export type Row = readonly [what: string, found: string, promised: string];

/** How much is done. */
export interface Effort {
  /** Millions of files, ten thousand snapshots: minutes. */
  readonly long: boolean;
}

const MiB = 2 ** 20, GiB = 2 ** 30;
const FEW = 11;

const ms = (micros: number) => `${short(micros / 1000)} ms`;
const at = (values: readonly number[], part: number) =>
  values.toSorted((one, other) => one - other)[Math.floor(part * (values.length - 1))]!;

function places(size: number, count: number): number[] {
  return Array.from({ length: count }, () => Math.floor(Math.random() * (size / BLOCK)) * BLOCK);
}

type Measured = (scene: Scene, effort: Effort) => Promise<Row[]>;

const AT_DAEMON: Readonly<Record<string, Measured>> = {
  S1: creating,
  S2: stalling,
  S7: ofOneFile,
  S8: deleting,
  S9: cloning,
};

/** Rows of one promise, "S1" and so on, or of all; `directory` is on the file system that is measured. */
export async function promises(
  directory: string,
  effort: Effort,
  only: string | undefined,
): Promise<Row[]> {
  const rows: Row[] = [];
  const wanted = Object.keys(AT_DAEMON).filter((name) => (only ?? name) === name);
  if (wanted.length) rows.push(...await atDaemon(`${directory}/daemon`, effort, wanted));
  if ((only ?? "S6") === "S6") {
    rows.push(await index(`${directory}/random`, "random"));
    rows.push(await index(`${directory}/sequential`, "sequential"));
  }
  return rows;
}

async function atDaemon(
  directory: string,
  effort: Effort,
  wanted: readonly string[],
): Promise<Row[]> {
  await using daemon = await Daemon.start(directory);
  await daemon.order("snapshot config snap-max-hard-limit 10000");
  await daemon.volume("v", "strict");
  const { graph, volume } = await daemon.client("v");
  try {
    const scene = new Scene(daemon, volume), rows: Row[] = [];
    for (const name of wanted) rows.push(...await AT_DAEMON[name]!(scene, effort));
    return rows;
  } finally {
    await graph.stop();
  }
}

class Scene {
  #made = 0;
  readonly data = noise(BLOCK);

  constructor(readonly daemon: Daemon, readonly volume: Volume) {}

  name(): string {
    return `s${this.#made++}`;
  }

  async snapshot(more = ""): Promise<string> {
    const name = this.name();
    await this.daemon.order(`snapshot create ${name} v no-timestamp${more}`);
    return name;
  }

  /** Medians of an order and of a command, whose words `line` answers. */
  async cost(line: () => string): Promise<string> {
    const server: number[] = [], command: number[] = [];
    for (let n = 0; n < FEW; n++) {
      server.push(await timed(() => this.daemon.order(line())));
      command.push(await timed(() => this.daemon.command(line())));
    }
    return `${ms(median(server))}, command ${ms(median(command))}`;
  }

  open(path: string): Promise<VolumeFile> {
    return this.volume.open(path, { read: true, write: true, create: true });
  }

  async file(path: string, size: number): Promise<VolumeFile> {
    const file = await this.open(path), data = noise(MiB);
    for (let done = 0; done < size; done += MiB) await file.write(done, data);
    await file.sync();
    return file;
  }

  /** Writes at random places, one after the other, while `meanwhile` runs; microseconds. */
  async writesDuring(
    file: VolumeFile,
    size: number,
    meanwhile: Promise<unknown>,
    note = (_took: number) => {},
  ): Promise<number[]> {
    let over = false;
    const end = () => over = true;
    meanwhile.then(end, end);
    const times: number[] = [];
    while (!over) {
      for (const offset of places(size, 32)) {
        const took = await timed(() => file.write(offset, this.data));
        times.push(took);
        note(took);
      }
      // What is over is told in another turn.
      await realClock.delay(0);
    }
    await meanwhile;
    return times;
  }
}

const CREATED = "10 ms, command 150 ms";

async function creating(scene: Scene, { long }: Effort): Promise<Row[]> {
  const rows: Row[] = [];
  const create = () => `snapshot create ${scene.name()} v no-timestamp`;
  const measured = async (what: string) => {
    rows.push([`S1 create, ${what}`, await scene.cost(create), CREATED]);
    await scene.daemon.order("snapshot delete volume v");
  };
  await measured("empty");
  const file = await scene.file("/one", GiB);
  await measured("1 GiB");
  await file.truncate(100 * GiB);
  await each(places(100 * GiB, 1000), (offset) => timed(() => file.write(offset, scene.data)));
  await measured("100 GiB, sparse");
  await file.close();
  await scene.volume.unlink("/one");
  let made = 0;
  for (const count of long ? [10, 1_000_000] : [10, 10_000]) {
    await scene.volume.mkdir(`/many-${count}`);
    while (made < count) {
      const some = Array.from({ length: Math.min(64, count - made) }, () => made++);
      await Promise.all(some.map((n) => scene.volume.mknod(`/many-${count}/${n}`, 0o100644, 0)));
    }
    await measured(`${count.toLocaleString("en")} files`);
  }
  return rows;
}

async function stalling(scene: Scene): Promise<Row[]> {
  const size = 64 * MiB, file = await scene.file("/stall", size);
  // Of each snapshot: the longest of the writes that were under way before it was told of.
  const longest: number[] = [];
  let told = 0;
  const some = async () => {
    for (let n = 0; n < 20; n++) {
      longest.push(0);
      told = Infinity;
      await scene.snapshot();
      told = performance.now();
      await realClock.delay(300);
    }
  };
  const during = await scene.writesDuring(file, size, some(), (took) => {
    const began = performance.now() - took / 1000;
    if (began < told) longest[longest.length - 1] = Math.max(longest.at(-1)!, took);
  });
  await file.close();
  await scene.daemon.order("snapshot delete volume v");
  const disk = syncsOf(scene.daemon.directory, 3000);
  const stall = `${ms(median(longest))}, the longest of ${longest.length} ${ms(at(longest, 1))}`;
  return [
    ["S2 longest write while one is taken", stall, "20 ms"],
    ["S2 longest write then and between", ms(at(during, 1)), "-"],
    ["S2 longest of this disk's own syncs", `${ms(at(disk, 1))}; median ${ms(median(disk))}`, "-"],
  ];
}

/** What writing and syncing 4 KiB takes with nothing of ours in between; microseconds. */
function syncsOf(directory: string, forMs: number): number[] {
  const path = `${directory}/syncs`, data = noise(BLOCK), times: number[] = [];
  using file = Deno.openSync(path, { create: true, write: true });
  for (const end = performance.now() + forMs; performance.now() < end;) {
    const began = performance.now();
    file.seekSync(places(MiB, 1)[0]!, Deno.SeekMode.Start);
    file.writeSync(data);
    file.syncDataSync();
    times.push((performance.now() - began) * 1000);
  }
  Deno.removeSync(path);
  return times;
}

async function deleting(scene: Scene, { long }: Effort): Promise<Row[]> {
  const rows: Row[] = [], size = 64 * MiB, file = await scene.file("/gone", size);
  const names: string[] = [];
  for (const count of long ? [100, 1000, 10_000] : [100, 1000]) {
    while (names.length < count) {
      names.push(await scene.snapshot());
      if (names.length % 10 === 0) await file.write(places(size, 1)[0]!, scene.data);
    }
    const remove = () =>
      `snapshot delete ${names.splice(Math.floor(Math.random() * names.length), 1)}`;
    const what = `S8 delete one of ${count.toLocaleString("en")}, any`;
    rows.push([what, await scene.cost(remove), "10 ms"]);
  }
  await scene.daemon.order("snapshot delete volume v");
  const large: string[] = [];
  for (let n = 0; n < 4; n++) {
    large.push(await scene.snapshot());
    const some = [...new Set(places(size, 4000))];
    for (let from = 0; from < some.length; from += 64) {
      const few = some.slice(from, from + 64);
      await Promise.all(few.map((offset) => file.write(offset, scene.data)));
    }
  }
  // The newest stays, and all is preserved for it: what follows are rewrites.
  await scene.snapshot();
  for (let offset = 0; offset < size; offset += MiB) await file.write(offset, noise(MiB));
  const before = await scene.writesDuring(file, size, realClock.delay(4000));
  const all = async () => {
    for (const name of large) {
      await scene.daemon.order(`snapshot delete ${name}`);
      await realClock.delay(1000);
    }
  };
  const during = await scene.writesDuring(file, size, all());
  await file.close();
  const p99 = at(during, 0.99) / at(before, 0.99);
  const found = `${short(p99)} times: ${short(at(before, 0.99))} to ${short(at(during, 0.99))} µs`;
  rows.push(["S8 p99 of writes while 4 × 4,000 blocks go", found, "1.2 times"]);
  await scene.daemon.order("snapshot delete volume v");
  return rows;
}

async function ofOneFile(scene: Scene): Promise<Row[]> {
  const count = 1000, part = 50, size = MiB, file = await scene.file("/many", size);
  const times: number[] = [];
  for (let n = 0; n < count; n++) {
    if (n % 10 === 0) await file.write(places(size, 1)[0]!, scene.data);
    times.push(await timed(() => scene.snapshot(" --file /many")));
  }
  const [first, last] = [times.slice(0, part), times.slice(-part)].map(median);
  const reads = median(await each(places(size, 500), (o) => timed(() => file.read(o, BLOCK))));
  await file.close();
  const gone = await timed(() => scene.daemon.order("snapshot delete volume v"));
  return [[
    `S7 ${count.toLocaleString("en")} of one file`,
    `create ${ms(first!)}, the last ${ms(last!)}; live read ${short(reads)} µs; all go ${ms(gone)}`,
    "as the first",
  ]];
}

async function cloning(scene: Scene): Promise<Row[]> {
  const { daemon, volume } = scene, size = 32 * MiB;
  const master = await scene.file("/master", size);
  await daemon.order("snapshot config activate-on-create enable");
  const name = await scene.snapshot();
  let made = 0;
  const ofFile = await scene.cost(() => `snapshot clone --file /clone${made++} ${name}:/master`);
  const ofVolume = await scene.cost(() => `snapshot clone c${made++} ${name}`);
  // Each begins as the one before, with some units of its own.
  let last = "/master";
  for (let depth = 0; depth < 64; depth++) {
    const from = await scene.snapshot(), path = `/deep${depth}`;
    await daemon.order(`snapshot clone --file ${path} ${from}:${last}`);
    last = path;
    const file = await volume.open(path, { read: true, write: true });
    for (const offset of places(size, 4)) await file.write(offset, scene.data);
    await file.close();
  }
  const deep = await volume.open(last, { read: true });
  const ratios: number[] = [];
  for (let round = 0; round < 5; round++) {
    const some = places(size, 800);
    const [live, clone] = [
      await each(some, (o) => timed(() => master.read(o, BLOCK))),
      await each(some, (o) => timed(() => deep.read(o, BLOCK))),
    ].map(median);
    ratios.push(clone! / live!);
  }
  await deep.close();
  await master.close();
  return [
    ["S9 clone of a file", ofFile, CREATED],
    ["S9 clone of a volume", ofVolume, CREATED],
    ["S9 read of a clone of 64 clones / of a file", short(median(ratios)), "1.0"],
  ];
}

const PRESERVED = 256 * MiB;

async function index(directory: string, kind: "random" | "sequential"): Promise<Row> {
  await using brick = new Ours(directory, "relaxed");
  await brick.fill(PRESERVED);
  await brick.create();
  const all = Array.from({ length: PRESERVED / BLOCK }, (_, n) => n * BLOCK);
  if (kind === "random") {
    for (let n = all.length; n > 1; n--) {
      const other = Math.floor(Math.random() * n);
      [all[n - 1], all[other]] = [all[other]!, all[n - 1]!];
    }
  }
  for (let from = 0; from < all.length; from += 16) {
    const some = all.slice(from, from + 16);
    await Promise.all(some.map((offset) => brick.write([offset])));
    // Otherwise nothing but this would ever have a turn.
    if (from % 1024 === 0) await realClock.delay(0);
  }
  const { log } = await brick.metadata();
  await until("the log is cut", async () => (await brick.metadata()).log === 0);
  const { index, preserved } = await brick.metadata();
  const part = 100 * index / preserved, each = index / (preserved / BLOCK);
  const found = `${short(part)} %, ${short(each)} bytes for 4 KiB; log before ${
    short(log / MiB)
  } MiB`;
  return [`S6 index, ${preserved / MiB} MiB, ${kind}`, found, kind === "random" ? "2 %" : "1 %"];
}
