/** `features/snapshot` over a brick of a test. */

import type { Xlator } from "core/xlator.ts";
import { node } from "tests/fakes/node.ts";
import { IS_ROOT, TestBrick } from "tests/fakes/posix_brick.ts";
import { Snapshot } from "xlators/features/snapshot/snapshot.ts";

/** How it is: by default without a wait for the disk, and `.snaps` is not listed. */
export interface SnapshotLayerOptions {
  readonly durability?: "strict" | "relaxed";
  readonly listed?: boolean;
}

/** The layer, started; its history is the brick's. `child`: if it is not right over the storage. */
export async function snapshotLayer(
  brick: TestBrick,
  { durability = "relaxed", listed = false }: SnapshotLayerOptions = {},
  child: Xlator = brick.top,
): Promise<Snapshot> {
  const layer = new Snapshot(node("snapshot", [child], { inodes: brick.inodes }), {
    ...{ directory: brick.path, "snapshot-durability": durability },
    ...{ "snapshot-directory": ".snaps", "show-snapshot-directory": listed },
  });
  await layer.start();
  return layer;
}

/** A test of the layer on a brick of its own; both go with it. */
export function testOfLayer(
  name: string,
  body: (layer: Snapshot, brick: TestBrick) => Promise<void>,
): void {
  Deno.test({
    name: `features/snapshot: ${name}`,
    ignore: !IS_ROOT,
    async fn() {
      const brick = await TestBrick.start();
      const layer = await snapshotLayer(brick);
      try {
        await body(layer, brick);
      } finally {
        await layer.stop();
        await brick.remove();
      }
    },
  });
}
