/** A brick of a cloned volume over a brick of a test, as volgen stacks it. */

import { readOptions } from "core/options.ts";
import { cstring, sys } from "core/sys/calls.ts";
import { BEGUN_XATTR } from "core/xdata_keys.ts";
import { node } from "tests/fakes/node.ts";
import { TestBrick } from "tests/fakes/posix_brick.ts";
import { snapshotLayer } from "tests/fakes/snapshot_layer.ts";
import { clone, VolumeClone } from "xlators/features/clone/clone.ts";
import type { Snapshot } from "xlators/features/snapshot/snapshot.ts";
import { options } from "xlators/storage/posix/options.ts";
import { Posix } from "xlators/storage/posix/posix.ts";

/** A clone's directory, and of whom it is a clone; `origin`: if that is a clone itself. */
export interface CloneOf {
  readonly directory: string;
  readonly reader: string;
  readonly origin: string;
  readonly of?: CloneOf | undefined;
}

/** Begins a reader for a clone of what the reader `of` of a brick sees. */
export async function joinClone(layer: Snapshot, of: string): Promise<string> {
  const id = crypto.randomUUID();
  const reader = { id, name: "", kind: "clone", file: undefined, created: 0 } as const;
  await layer.histories.join(of, { ...reader, active: false });
  return id;
}

/** A snapshot of all that a brick has. */
export async function takeSnapshot({ history, histories }: Snapshot, id: string): Promise<string> {
  const kind = "snapshot", epoch = history!.epoch;
  const reader = { id, kind, file: undefined, epoch, name: id, created: 0, active: true } as const;
  await histories.take(undefined, reader);
  return id;
}

/** The layers, running. */
export class ClonedBrick implements AsyncDisposable {
  clone!: VolumeClone;
  top!: Snapshot;
  #lower: (Posix | VolumeClone)[] = [];

  private constructor(readonly brick: TestBrick, readonly of: CloneOf) {}

  static async start(of: CloneOf): Promise<ClonedBrick> {
    Deno.mkdirSync(of.directory, { recursive: true });
    const begun = cstring("0 0");
    sys.lsetxattr(cstring(of.directory), cstring(BEGUN_XATTR), begun, begun.length - 1, 0);
    const cloned = new ClonedBrick(await TestBrick.start({}, of.directory), of);
    await cloned.open();
    return cloned;
  }

  async open(): Promise<void> {
    const lower = await this.#look(this.of.origin, this.of.of);
    this.clone = this.#layer("clone", this.of, [this.brick.top, lower], "off");
    await this.clone.start();
    this.top = await snapshotLayer(this.brick, {}, this.clone);
  }

  // What is to be looked at of an origin.
  async #look(directory: string, of: CloneOf | undefined): Promise<Posix | VolumeClone> {
    const { inodes } = this.brick;
    const given = new Map([["directory", directory], ["look-only", "on"]]);
    const posix = new Posix(node("look", [], { inodes }), readOptions(options, given));
    await posix.start();
    this.#lower.push(posix);
    if (!of) return posix;
    const layer = this.#layer("look-clone", of, [posix, await this.#look(of.origin, of.of)], "on");
    await layer.start();
    this.#lower.push(layer);
    return layer;
  }

  #layer(
    name: string,
    { directory, origin, reader }: CloneOf,
    children: (Posix | VolumeClone)[],
    look: string,
  ): VolumeClone {
    const given = new Map(Object.entries({ directory, origin, reader, "look-only": look }));
    const { inodes } = this.brick;
    return new VolumeClone(node(name, children, { inodes }), readOptions(clone.options, given));
  }

  async close(): Promise<void> {
    await this.top.stop();
    await this.clone.stop();
    for (const layer of this.#lower.splice(0).reverse()) await layer.stop();
    await this.brick.top.stop();
  }

  /** As after a restart of the process. */
  async restart(): Promise<void> {
    await this.close();
    await this.brick.open();
    await this.open();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
    await Deno.remove(this.of.directory, { recursive: true });
  }
}
