/**
 * Cloned volumes that are made independent of what they read from: bricks copy in the background
 * (`HistoryOrders.flatten`), here they are told to, asked how far they are, and the tie is cut when all
 * are done. The record of the volume says that it is wanted, so whoever dies, brick or daemon, it goes
 * on: bricks are told again when they sign in.
 */

import type { Timer } from "core/env.ts";
import { Refusal } from "mgmt/cli/managed.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";
import type { CommandLocks } from "mgmt/command_locks.ts";
import { plain } from "mgmt/plain.ts";
import { brickText, type VolumeRecord } from "mgmt/records.ts";
import { clonesOf } from "mgmt/snapshots/clone_volume.ts";
import type { HistoryBrick } from "mgmt/snapshots/history_brick.ts";

/** How far a volume is. */
export interface FlattenProgress {
  /** Files and bytes copied by all bricks since they were started. */
  readonly files: number;
  readonly bytes: number;
  /** Why it does not go on as a whole; undefined: it does. It is tried again by itself. */
  readonly waits: string | undefined;
  /** All bricks have all that they need. */
  readonly copied: boolean;
}

/** Between two looks at bricks: longer while nothing can be done. */
const LOOK_MS = 1000, LOOK_MAX_MS = 60_000;
const NOTHING: FlattenProgress = { files: 0, bytes: 0, waits: undefined, copied: false };

/** Whether bricks of a volume have to copy. */
export function isFlattening({ cloneOf, flatten }: VolumeRecord): boolean {
  return cloneOf !== undefined && flatten !== undefined;
}

/** See the head of this file. */
export class Flattens {
  readonly #cluster: Cluster;
  #locks: CommandLocks | undefined;
  #timer: Timer | undefined;
  #pause = LOOK_MS;
  #working: Promise<void> | undefined;
  #again = false;
  #known = new Map<string, FlattenProgress>();

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** From now on it goes on by itself. */
  start(locks: CommandLocks): void {
    this.#locks = locks;
    this.wake();
  }

  /** Resolves when nothing is under way. */
  async stop(): Promise<void> {
    this.#locks = undefined;
    this.#timer?.cancel();
    await this.#working;
  }

  /** A brick came up, or somebody wants a volume flattened. */
  wake(): void {
    this.#pause = LOOK_MS;
    this.#look();
  }

  /** As far as is known. */
  progress({ id }: VolumeRecord): FlattenProgress {
    return this.#known.get(id) ?? NOTHING;
  }

  #look(): void {
    const locks = this.#locks;
    if (!locks) return;
    this.#timer?.cancel();
    this.#again = this.#working !== undefined;
    this.#working ??= this.#lookAtAll(locks).then((left) => {
      this.#working = undefined;
      if (this.#again) return this.#look();
      if (!left || !this.#locks) return;
      this.#timer = this.#cluster.env.clock.after(this.#pause, () => this.#look());
    });
  }

  // Answers whether there is more to do, as long as nobody wakes it.
  async #lookAtAll(locks: CommandLocks): Promise<boolean> {
    const { log } = this.#cluster.env;
    let left = false, moved = false;
    try {
      for (const volume of (await this.#cluster.started()).filter(isFlattening)) {
        left = true;
        const before = this.progress(volume);
        const { files, bytes, waits, copied } = await this.ask(volume);
        if (waits !== undefined && waits !== before.waits) {
          log.warn("flattening does not go on for now", { volume: volume.name, why: waits });
        }
        moved ||= files !== before.files || bytes !== before.bytes;
        if (copied) await this.#end(volume.name, locks);
      }
    } catch (error) {
      log.error("volumes cannot be flattened", { why: plain(error) });
    }
    this.#pause = moved ? LOOK_MS : Math.min(this.#pause * 2, LOOK_MAX_MS);
    return left;
  }

  async #end(name: string, locks: CommandLocks): Promise<void> {
    try {
      using _held = await locks.take(name, "end of volume flatten");
      const volume = await this.#cluster.find(name);
      if (volume?.state === "started" && isFlattening(volume)) await this.cut(volume);
    } catch (error) {
      // A command takes long: the next look ends it.
      this.#cluster.env.log.warn("flattened volume is still tied to its origin", {
        volume: name,
        why: plain(error),
      });
    }
  }

  /** Has bricks copy, and tells how far they are. Never throws. */
  async ask(volume: VolumeRecord): Promise<FlattenProgress> {
    const bricks = this.#cluster.snapshots.bricks(volume);
    const told = await Promise.all(bricks.map(askBrick));
    const progress = {
      files: told.reduce((sum, { files }) => sum + files, 0),
      bytes: told.reduce((sum, { bytes }) => sum + bytes, 0),
      waits: told.find(({ failed }) => failed !== "")?.failed,
      copied: told.every(({ done }) => done),
    };
    this.#known.set(volume.id, progress);
    return progress;
  }

  /** All is copied: the volume needs no other one any more. The volume's lock is the caller's. */
  async cut(volume: VolumeRecord): Promise<void> {
    await this.#cluster.untie(volume.name);
    this.#cluster.env.log.info("volume is flattened", { volume: volume.name });
  }
}

async function askBrick(brick: HistoryBrick) {
  const named = `brick ${brickText(brick.record)}`;
  const nothing = { files: 0, bytes: 0, done: false };
  if (!brick.isUp) return { ...nothing, failed: `${named} is not running` };
  try {
    const told = await brick.flatten();
    return { ...told, failed: told.failed && `${named}: ${told.failed}` };
  } catch (error) {
    return { ...nothing, failed: plain(error) };
  }
}

/** Throws Refusal: the volume is no clone, or another one reads through it. */
export async function checkFlatten(cluster: Cluster, volume: VolumeRecord): Promise<void> {
  const { name } = volume;
  if (volume.flatten) return;
  if (!volume.cloneOf) throw new Refusal(`Volume ${name} is no clone of another one`);
  const [clone] = await clonesOf(cluster, name);
  if (clone !== undefined) {
    throw new Refusal(
      `clone ${clone} reads through it to its origin; flatten or delete that first`,
    );
  }
}
