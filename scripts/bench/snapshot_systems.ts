/**
 * Ways to keep snapshots of one disk image, as the benchmark drives them: ours, qcow2's internal
 * snapshots, a chain of qcow2 files, whole-file reflinks on XFS, subvolumes of btrfs.
 */

import { ROOT } from "core/call.ts";
import { buildGraph, type Graph } from "core/graph.ts";
import { realEnv } from "core/env.ts";
import { Volume } from "core/volume.ts";
import type { VolumeFile } from "core/volume_file.ts";
import { readBlocks } from "mgmt/brick/volfile.ts";
import { TYPES } from "xlators/mod.ts";
import { Snapshot } from "xlators/features/snapshot/snapshot.ts";
import { must } from "tests/e2e/process.ts";
import { LinesLog } from "tests/fakes/node.ts";

/** Bytes of one write or read. */
export const BLOCK = 4096;

/** One way; times in microseconds. */
export interface System extends AsyncDisposable {
  readonly name: string;
  /** Whether several writes can be under way. */
  readonly concurrent?: boolean;
  /** Makes the image: `bytes` long, all of it written. */
  fill(bytes: number): Promise<void>;
  /** A snapshot, and how long it took. */
  create(): Promise<number>;
  /** How long a write at each of these offsets took. */
  write(offsets: readonly number[]): Promise<number[]>;
  /** The same of writes that are on the disk after it. */
  writeSynced?(offsets: readonly number[]): Promise<number[]>;
  /** The same of reads. */
  read(offsets: readonly number[]): Promise<number[]>;
  /** Reads of the oldest snapshot; undefined: it cannot be read while the image is used. */
  readOldest?(offsets: readonly number[]): Promise<number[]>;
  /** The oldest snapshot goes; how long until that is answered. */
  removeOldest(): Promise<number>;
}

/** Microseconds that `run` takes. */
export async function timed(run: () => unknown): Promise<number> {
  const began = performance.now();
  await run();
  return (performance.now() - began) * 1000;
}

/** Bytes of one write while an image is made. */
export const FILL_BYTES = 1 << 20;

/** Data that does not compress, and is no zeros. */
export function noise(size: number): Uint8Array<ArrayBuffer> {
  const data = new Uint8Array(size);
  for (let at = 0; at < size; at += 65_536) {
    crypto.getRandomValues(data.subarray(at, Math.min(size, at + 65_536)));
  }
  return data;
}

/** A brick's layers in this process: storage/posix and features/snapshot, no network. */
export class Ours implements System {
  readonly name: string;
  readonly concurrent = true;
  readonly #directory: string;
  readonly #durability: "strict" | "relaxed";
  #graph!: Graph;
  #layer!: Snapshot;
  #file!: VolumeFile;
  #taken: string[] = [];
  #epoch = 1;
  readonly #data = noise(BLOCK);

  constructor(directory: string, durability: "strict" | "relaxed") {
    this.name = `ours, ${durability}`;
    this.#directory = `${directory}/${durability}`;
    this.#durability = durability;
  }

  async fill(bytes: number): Promise<void> {
    await Deno.mkdir(this.#directory, { recursive: true });
    const volfile = `volume posix
    type storage/posix
    option directory ${this.#directory}
end-volume
volume snapshot
    type features/snapshot
    option directory ${this.#directory}
    option snapshot-durability ${this.#durability}
    subvolumes posix
end-volume
`;
    const env = realEnv(new LinesLog());
    this.#graph = buildGraph(readBlocks(volfile, "bench"), TYPES, env);
    await this.#graph.start();
    this.#layer = this.#graph.top as Snapshot;
    const volume = new Volume({
      top: this.#graph.top,
      inodes: this.#graph.inodes,
      env,
      call: ROOT,
    });
    this.#file = await volume.open("/disk", { write: true, read: true, create: true });
    const data = noise(FILL_BYTES);
    for (let at = 0; at < bytes; at += data.length) await this.#file.write(at, data);
    await this.#file.sync();
  }

  create(): Promise<number> {
    const id = crypto.randomUUID(), orders = this.#layer.histories;
    this.#taken.push(id);
    return timed(async () => {
      await orders.hold(id, 1000);
      await orders.take(id, {
        ...{ id, name: id, kind: "snapshot", file: undefined, epoch: this.#epoch++ },
        ...{ created: Date.now(), active: true },
      });
    });
  }

  write(offsets: readonly number[]): Promise<number[]> {
    return each(offsets, (at) => timed(() => this.#file.write(at, this.#data)));
  }

  writeSynced(offsets: readonly number[]): Promise<number[]> {
    return writtenSynced(this.#file, offsets, this.#data);
  }

  read(offsets: readonly number[]): Promise<number[]> {
    return each(offsets, (at) => timed(() => this.#file.read(at, BLOCK)));
  }

  readOldest(offsets: readonly number[]): Promise<number[]> {
    const view = this.#layer.history!.view(this.#taken[0]!)!, into = new Uint8Array(BLOCK);
    const { gfid } = this.#file.fd.inode;
    return each(offsets, (at) => timed(() => view.read(gfid, at, into)));
  }

  removeOldest(): Promise<number> {
    const id = this.#taken.shift()!;
    return timed(() => this.#layer.histories.remove(id));
  }

  /** What the index takes, and its log, beside old data; in bytes. */
  async metadata(): Promise<{ index: number; log: number; preserved: number }> {
    const path = `${this.#directory}/.glusterfs/history/index.sqlite`;
    const [index, log] = [(await Deno.stat(path)).size, (await Deno.stat(`${path}-wal`)).size];
    return { index, log, preserved: this.#layer.history!.usage().bytes };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file?.close();
    await this.#graph?.stop();
  }
}

/** How long a write at each offset took, with an fsync after it. */
export function writtenSynced(
  file: VolumeFile,
  offsets: readonly number[],
  data: Uint8Array<ArrayBuffer>,
): Promise<number[]> {
  return each(offsets, (at) =>
    timed(async () => {
      await file.write(at, data);
      await file.sync();
    }));
}

/** What `act` answers for each offset, one after the other. */
export async function each(
  offsets: readonly number[],
  act: (offset: number) => Promise<number>,
): Promise<number[]> {
  const times: number[] = [];
  for (const offset of offsets) times.push(await act(offset));
  return times;
}

/** `qemu-io` that stays: commands in, times out. */
class QemuIo {
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #lines: ReadableStreamDefaultReader<string>;
  #text = "";

  constructor(image: string, how: readonly string[] = []) {
    this.#child = new Deno.Command("qemu-io", {
      args: ["-t", "writeback", "-f", "qcow2", ...how, image],
      ...{ stdin: "piped", stdout: "piped", stderr: "null" },
    }).spawn();
    this.#writer = this.#child.stdin.getWriter();
    this.#lines = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** Microseconds of each command, of which `qemu-io` tells operations a second. */
  async times(commands: readonly string[]): Promise<number[]> {
    const times: number[] = [];
    for (const command of commands) {
      await this.#writer.write(new TextEncoder().encode(`${command}\n`));
      let found;
      while (!(found = /and ([\d.]+) ops\/sec\)/.exec(this.#text))) {
        const { value, done } = await this.#lines.read();
        if (done) throw new Error(`qemu-io ended at "${command}"`);
        this.#text += value;
      }
      this.#text = "";
      times.push(1e6 / Number(found[1]));
    }
    return times;
  }

  async end(): Promise<void> {
    await this.#writer.close();
    await this.#lines.cancel();
    await this.#child.status;
  }
}

/** What both kinds of qcow2 share: an image that a process has open. */
abstract class Qcow2 implements System {
  abstract readonly name: string;
  protected image: string;
  #io: QemuIo | undefined;

  constructor(protected readonly directory: string) {
    this.image = `${directory}/disk.qcow2`;
  }

  async fill(bytes: number): Promise<void> {
    await Deno.mkdir(this.directory, { recursive: true });
    await must(["qemu-img", "create", "-q", "-f", "qcow2", this.image, String(bytes)]);
    await must(["qemu-io", "-f", "qcow2", "-c", `write -P 7 0 ${bytes}`, this.image]);
  }

  abstract create(): Promise<number>;
  abstract removeOldest(): Promise<number>;

  write(offsets: readonly number[]): Promise<number[]> {
    return this.#opened().times(offsets.map((at) => `write -P 9 ${at} ${BLOCK}`));
  }

  read(offsets: readonly number[]): Promise<number[]> {
    return this.#opened().times(offsets.map((at) => `read ${at} ${BLOCK}`));
  }

  #opened(): QemuIo {
    return this.#io ??= new QemuIo(this.image);
  }

  protected async closed(): Promise<void> {
    await this.#io?.end();
    this.#io = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.closed();
  }
}

/** Snapshots inside of the image. Times include the start of `qemu-img`. */
export class Internal extends Qcow2 {
  readonly name = "qcow2 internal";
  #made = 0;
  #oldest = 0;

  async create(): Promise<number> {
    await this.closed();
    return await timed(() => must(["qemu-img", "snapshot", "-c", `s${this.#made++}`, this.image]));
  }

  async removeOldest(): Promise<number> {
    await this.closed();
    return await timed(() =>
      must(["qemu-img", "snapshot", "-d", `s${this.#oldest++}`, this.image])
    );
  }
}

/** A new file over the last one for each snapshot. Times include the start of `qemu-img`. */
export class Chain extends Qcow2 {
  readonly name = "qcow2 chain";
  #files: string[] = [];

  async create(): Promise<number> {
    await this.closed();
    const backing = this.image;
    this.#files.push(backing);
    this.image = `${this.directory}/over${this.#files.length}.qcow2`;
    const backed = ["-b", backing, "-F", "qcow2"];
    return await timed(() =>
      must(["qemu-img", "create", "-q", "-f", "qcow2", ...backed, this.image])
    );
  }

  async readOldest(offsets: readonly number[]): Promise<number[]> {
    const io = new QemuIo(this.#files[0]!, ["-r", "-U"]);
    try {
      return await io.times(offsets.map((at) => `read ${at} ${BLOCK}`));
    } finally {
      await io.end();
    }
  }

  /** What the oldest file had goes into the one over it. */
  async removeOldest(): Promise<number> {
    await this.closed();
    const [oldest, next, after = this.image] = this.#files;
    const backed = ["-u", "-b", oldest!, "-F", "qcow2"];
    const took = await timed(async () => {
      await must(["qemu-img", "commit", "-q", "-d", next!]);
      await must(["qemu-img", "rebase", "-f", "qcow2", ...backed, after]);
    });
    this.#files.splice(1, 1);
    return took;
  }
}

/** What files of a local file system share. */
abstract class Local implements System {
  abstract readonly name: string;
  #file: Deno.FsFile | undefined;
  readonly #data = noise(BLOCK);
  protected taken: string[] = [];
  protected made = 0;

  constructor(protected readonly directory: string) {}

  protected get path(): string {
    return `${this.directory}/live/disk`;
  }

  async fill(bytes: number): Promise<void> {
    await this.makeDirectory();
    using file = await Deno.open(this.path, { write: true, create: true });
    const data = noise(FILL_BYTES);
    for (let at = 0; at < bytes; at += data.length) file.writeSync(data);
    await file.sync();
  }

  protected async makeDirectory(): Promise<void> {
    await Deno.mkdir(`${this.directory}/live`, { recursive: true });
  }

  abstract create(): Promise<number>;
  abstract removeOldest(): Promise<number>;
  protected abstract get oldest(): string;

  write(offsets: readonly number[]): Promise<number[]> {
    const file = this.#file ??= Deno.openSync(this.path, { read: true, write: true });
    return each(offsets, (at) =>
      timed(() => {
        file.seekSync(at, Deno.SeekMode.Start);
        file.writeSync(this.#data);
      }));
  }

  read(offsets: readonly number[]): Promise<number[]> {
    return readsOf(this.path, offsets);
  }

  readOldest(offsets: readonly number[]): Promise<number[]> {
    return readsOf(this.oldest, offsets);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#file?.close();
    return Promise.resolve();
  }
}

async function readsOf(path: string, offsets: readonly number[]): Promise<number[]> {
  using file = Deno.openSync(path);
  const into = new Uint8Array(BLOCK);
  return await each(offsets, (at) =>
    timed(() => {
      file.seekSync(at, Deno.SeekMode.Start);
      file.readSync(into);
    }));
}

/** A copy that shares all extents. Times include the start of `cp` and `rm`. */
export class Reflink extends Local {
  readonly name = "XFS reflink";

  protected get oldest(): string {
    return this.taken[0]!;
  }

  create(): Promise<number> {
    const copy = `${this.directory}/s${this.made++}`;
    this.taken.push(copy);
    return timed(() => must(["cp", "--reflink=always", this.path, copy]));
  }

  removeOldest(): Promise<number> {
    return timed(() => must(["rm", this.taken.shift()!]));
  }
}

/** A subvolume's snapshot. Times include the start of `btrfs`. */
export class Btrfs extends Local {
  readonly name = "btrfs subvolume";

  protected override async makeDirectory(): Promise<void> {
    await must(["btrfs", "subvolume", "create", `${this.directory}/live`]);
  }

  protected get oldest(): string {
    return `${this.taken[0]!}/disk`;
  }

  create(): Promise<number> {
    const at = `${this.directory}/s${this.made++}`;
    this.taken.push(at);
    return timed(() =>
      must(["btrfs", "subvolume", "snapshot", "-r", `${this.directory}/live`, at])
    );
  }

  removeOldest(): Promise<number> {
    return timed(() => must(["btrfs", "subvolume", "delete", this.taken.shift()!]));
  }
}
