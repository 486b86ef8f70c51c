/**
 * A brick in a simulation: the layers of a real brick's graph that hold state other bricks and
 * clients rely on (locks, index, changed ranges, upcall, arbiter), over a disk that takes time, fails
 * and loses what was not synced. Its process ends and comes back; what the process knew (locks, open
 * files, clients) goes with it.
 */

import type { Call, Client } from "core/call.ts";
import { windCarrying } from "core/carried_locks.ts";
import { EIO, ENOSPC, ENOTCONN } from "core/errno.ts";
import type { GraphEvent } from "core/events.ts";
import { type Args, type FopName, FOPS, type Reply } from "core/fops.ts";
import { buildGraph, type Graph } from "core/graph.ts";
import { InodeTable } from "core/inode.ts";
import { defineXlator, type XlatorTypes, xlatorTypes } from "core/registry.ts";
import { parseVolfile, type VolumeBlock } from "core/volfile.ts";
import { type Json, type Node, Uniform } from "core/xlator.ts";
import { MemoryBrick } from "tests/fakes/memory_brick.ts";
import { SimDisk } from "tests/sim/disk.ts";
import { SimIndexStore } from "tests/sim/index_store.ts";
import { SimRecordStore } from "tests/sim/record_store.ts";
import type { Sim } from "tests/sim/sim.ts";
import { arbiter } from "xlators/features/arbiter/arbiter.ts";
import { ChangedRanges, changedRanges } from "xlators/features/changed-ranges/changed_ranges.ts";
import { Index, index } from "xlators/features/index/index.ts";
import { locks } from "xlators/features/locks/locks.ts";
import { upcall } from "xlators/features/upcall/upcall.ts";

/** What a brick is made with. */
export interface BrickOptions {
  readonly name: string;
  /** The volume's name, in the names of pending marks. */
  readonly volume: string;
  /** True: keeps names and attributes, no data. */
  readonly arbiter?: boolean;
  /** Milliseconds that the disk takes, at most. */
  readonly diskMs?: number;
  /** Its power never goes: its disk need not know what was synced. */
  readonly steady?: boolean;
}

const NEEDS_ROOM: ReadonlySet<FopName> = new Set<FopName>([
  "writev",
  "create",
  "mkdir",
  "mknod",
  "symlink",
  "put",
  "fallocate",
  "setxattr",
  "fsetxattr",
]);
/** Fops that no disk error can hit: they touch only memory. */
const NO_DISK: ReadonlySet<FopName> = new Set<FopName>(["release", "releasedir", "flush", "ipc"]);

/** See the head of this file. */
export class SimBrick {
  readonly disk: SimDisk;
  /** Where its process listens, if clients are told. */
  port = 1;
  readonly #blocks: readonly VolumeBlock[];
  readonly #types: XlatorTypes;
  #graph: Graph | undefined;
  #starting = false;
  #ended: (() => void)[] = [];
  readonly #ears = new Set<(event: GraphEvent) => void>();

  constructor(readonly sim: Sim, readonly options: BrickOptions) {
    this.disk = new SimDisk(options);
    this.#blocks = parseVolfile(volfile(options));
    this.#types = this.#layers();
  }

  get name(): string {
    return this.options.name;
  }

  /** True while a process serves. */
  get up(): boolean {
    return this.#graph !== undefined;
  }

  /** The inodes of the running process. */
  get inodes(): InodeTable {
    return this.#graph!.inodes;
  }

  /** Starts the process, unless there is one. */
  async start(): Promise<void> {
    if (this.#graph || this.#starting) return;
    this.#starting = true;
    const graph = buildGraph(this.#blocks, this.#types, this.sim.env, new SimInodes());
    await graph.start();
    graph.top.listen((event) => {
      if (this.#graph !== graph) return;
      for (const hear of this.#ears) hear(event);
    });
    this.#graph = graph;
    this.#starting = false;
    this.sim.note(`${this.name} starts`);
  }

  /** Ends the process at once; `power`: the machine's power goes, too. */
  crash({ power = false } = {}): void {
    if (!this.#graph) return;
    this.#graph = undefined;
    const lost = power ? this.disk.losePower(this.sim.random) : undefined;
    this.disk.closeAll();
    this.sim.note(`${this.name} ends ${lost ? `without power, lost ${JSON.stringify(lost)}` : ""}`);
    const ended = this.#ended;
    this.#ended = [];
    for (const tell of ended) tell();
  }

  /** What its process knows of locks. */
  state(): Json {
    return this.#graph?.node(`${this.name}-locks`)?.xlator.state?.() ?? null;
  }

  /** Calls `tell` when the process that runs now ends. */
  whenEnded(tell: () => void): void {
    this.#ended.push(tell);
  }

  /** Calls `hear` with upcalls and contention notices until the answer is called. */
  listen(hear: (event: GraphEvent) => void): () => void {
    this.#ears.add(hear);
    return () => this.#ears.delete(hear);
  }

  /** Serves a fop; a process that ended in between never answers. */
  serve<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    if (!this.#graph) return Promise.reject(ENOTCONN);
    return windCarrying(this.#graph.top, fop, call, args);
  }

  /** Whether it is one that takes locks along with marks: not all are. */
  get carriesLocks(): boolean {
    return this.sim.seed % 5 !== 2;
  }

  /** A client is gone: its locks are. */
  clientGone(client: Client): void {
    this.#graph?.clientGone(client);
  }

  #layers(): XlatorTypes {
    const { sim, disk, options } = this;
    const storage = defineXlator({
      type: "storage/sim",
      summary: "A simulated disk",
      options: {},
      subvolumes: "one",
      create: (node) =>
        new SimStorage(node, sim, disk, options.diskMs ?? 2, (tell) => {
          this.whenEnded(tell);
        }),
    });
    const memory = defineXlator({
      type: "storage/memory",
      summary: "Inodes in memory",
      options: {},
      subvolumes: "none",
      create: (node) => new MemoryBrick(node, disk.nodes),
    });
    const simIndex = defineXlator({
      ...index,
      check: () => undefined,
      create: (node, values) => new Index(node, values, new SimIndexStore(disk)),
    });
    const ranges = defineXlator({
      ...changedRanges,
      create: (node, values) => new ChangedRanges(node, values, new SimRecordStore(disk)),
    });
    return xlatorTypes([storage, memory, arbiter, locks, upcall, ranges, simIndex]);
  }
}

function volfile({ name, volume, arbiter: noData }: BrickOptions): string {
  const layers: string[] = [];
  let below = "";
  const add = (short: string, type: string, options = "") => {
    const subvolumes = below && `subvolumes ${below}`;
    below = `${name}-${short}`;
    layers.push(`volume ${below}\ntype ${type}\n${options}\n${subvolumes}\nend-volume\n`);
  };
  add("memory", "storage/memory");
  add("disk", "storage/sim");
  if (noData) add("arbiter", "features/arbiter");
  add("locks", "features/locks");
  add("upcall", "features/upcall");
  add("ranges", "features/changed-ranges");
  add("index", "features/index", `option xattrop-pending-watchlist trusted.afr.${volume}-`);
  return layers.join("");
}

/** Inodes that are never forgotten: whether a weak reference is still alive is no matter of a seed. */
export class SimInodes extends InodeTable {
  override forget(): void {}
}

/** The disk's time and its failures, in front of what is on it. */
class SimStorage extends Uniform {
  readonly #sim: Sim;
  readonly #disk: SimDisk;
  readonly #latencyMs: number;
  #alive = true;

  constructor(
    node: Node,
    sim: Sim,
    disk: SimDisk,
    latencyMs: number,
    whenEnded: (tell: () => void) => void,
  ) {
    super(node);
    this.#sim = sim;
    this.#disk = disk;
    this.#latencyMs = latencyMs;
    whenEnded(() => this.#alive = false);
  }

  protected around<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    if (NO_DISK.has(fop)) return this.#alive ? this.#serve(fop, call, args) : new Promise(() => {});
    return new Promise((resolve, reject) => {
      this.#sim.after(this.#sim.random.float() * this.#latencyMs, () => {
        if (this.#alive) this.#serve(fop, call, args).then(resolve, reject);
      });
    });
  }

  #serve<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    const fails = this.#failure(fop);
    if (fails) {
      this.#sim.note(this.name, fop, "meets", fails.code);
      this.#half(fop, args);
      return Promise.reject(fails);
    }
    const changed = this.#disk.changing(fop, args, this.#sim.now);
    const answer = this.wind(fop, call, args);
    changed?.();
    return answer;
  }

  #failure(fop: FopName): typeof EIO | undefined {
    if (this.#disk.full && NEEDS_ROOM.has(fop)) return ENOSPC;
    if (this.#disk.errors && !NO_DISK.has(fop) && this.#sim.random.chance(this.#disk.errors)) {
      return EIO;
    }
    return undefined;
  }

  // A write that fails may have changed some of its blocks.
  #half(fop: FopName, args: Args<FopName>): void {
    if (fop !== "writev" || FOPS[fop].kind !== "modify") return;
    const { fd, offset, data } = args as Args<"writev">;
    const node = this.#disk.nodes.get(fd.inode.gfid);
    const size = this.#sim.random.int(data.length / 4096 + 1) * 4096;
    if (!node || !size) return;
    const part = { ...args, data: data.subarray(0, size) } as Args<"writev">;
    const changed = this.#disk.changing("writev", part, this.#sim.now);
    node.data.write(offset, part.data);
    changed?.();
  }
}
