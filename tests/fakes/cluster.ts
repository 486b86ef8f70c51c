/** A management daemon's cluster without processes, on a store in memory. */

import type { Bricks, BrickStatus } from "mgmt/bricks/bricks.ts";
import { Refusal } from "mgmt/cli/managed.ts";
import { Cluster, type ClusterParts } from "mgmt/cluster/cluster.ts";
import { placesUnder } from "mgmt/home.ts";
import { type BrickRecord, brickText, type VolumeRecord } from "mgmt/records.ts";
import { memoryStore } from "mgmt/store/open_store.ts";
import { testEnv } from "tests/fakes/node.ts";

/** Bricks that are up as soon as their volume is started, but for those in `broken`. */
export class FakeBricks implements Bricks {
  readonly up = new Map<string, { pid: number; port: number }>();
  /** Bricks ("host:/path") that do not come up, and why. */
  readonly broken = new Map<string, string>();
  /** Answers of bricks by procedure number. */
  readonly answers = new Map<number, unknown>();
  #next = 0;

  adopt(): Promise<void> {
    return Promise.resolve();
  }

  converge(volume: VolumeRecord): Promise<void> {
    for (const brick of volume.bricks) {
      const name = brickText(brick);
      const why = this.broken.get(name);
      if (volume.state !== "started" || why !== undefined) this.up.delete(name);
      else if (!this.up.has(name)) {
        this.up.set(name, { pid: 1000 + this.#next, port: 49152 + this.#next });
        this.#next++;
      }
      if (volume.state === "started" && why !== undefined) {
        return Promise.reject(new Refusal(`Brick ${name} did not come up: ${why}`));
      }
    }
    return Promise.resolve();
  }

  forget(volume: VolumeRecord): Promise<void> {
    for (const brick of volume.bricks) this.up.delete(brickText(brick));
    return Promise.resolve();
  }

  status(_volume: VolumeRecord, brick: { host: string; path: string }): BrickStatus {
    const up = this.up.get(brickText(brick));
    return up ? { online: true, ...up, why: undefined } : {
      online: false,
      pid: undefined,
      port: undefined,
      why: this.broken.get(brickText(brick)),
    };
  }

  ask<A, R>(
    _volume: VolumeRecord,
    brick: { host: string; path: string },
    { procedure }: { procedure: number },
    _args: A,
  ): Promise<R> {
    if (this.up.has(brickText(brick)) && this.answers.has(procedure)) {
      return Promise.resolve(this.answers.get(procedure) as R);
    }
    return Promise.reject(new Refusal(`Brick ${brickText(brick)} is down`));
  }

  /** Snapshots that bricks were restored to, and which copies miss them, by path. */
  readonly restored = new Map<string, readonly string[]>();

  restore(
    _volume: VolumeRecord,
    brick: BrickRecord,
    snapshot: string,
    missedBy: readonly string[],
  ): Promise<void> {
    const why = this.broken.get(brickText(brick));
    if (why !== undefined) return Promise.reject(new Refusal(`Brick was not restored: ${why}`));
    this.restored.set(brick.path, [snapshot, ...missedBy]);
    return Promise.resolve();
  }

  rotateLog(): Promise<void> {
    return Promise.resolve();
  }

  stop(): Promise<void> {
    return Promise.resolve();
  }
}

/** A cluster of one node, every host its own. `home` need not be there. */
export function fakeCluster(home = "/nowhere/mortar", parts: Partial<ClusterParts> = {}) {
  const store = memoryStore(testEnv()), bricks = new FakeBricks();
  const published: string[] = [];
  const cluster = new Cluster({
    env: testEnv(),
    places: placesUnder(home),
    store,
    nodeId: "c026f440-4e6b-4598-bfcd-de78e0922d8d",
    bricks,
    isOwn: () => Promise.resolve(true),
    checkHost: () => Promise.resolve(),
    volfile: () => Promise.resolve(undefined),
    isHandWritten: () => Promise.resolve(false),
    publish: ({ name, version }) => Promise.resolve(void published.push(`${name} ${version}`)),
    unpublish: ({ name }) => Promise.resolve(void published.push(`${name} gone`)),
    ...parts,
  });
  return { cluster, store, bricks, published };
}
