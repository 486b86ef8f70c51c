/** Locks that clusters left at bricks: nobody would ever give them up. */

import { SimFailure } from "tests/sim/sim.ts";
import type { World } from "tests/sim/world.ts";

/** What `features/locks` tells of an inode. */
interface Row {
  readonly inodelks?: readonly unknown[];
  readonly entrylks?: readonly unknown[];
}

/** A brick may keep what a client had of which it hears nothing for 40 seconds. */
const PATIENCE_MS = 60_000;

/** Waits until no brick has a lock of a cluster, as nothing is under way; throws if that takes too long. */
export async function checkLocks({ bricks, sim }: World): Promise<void> {
  const until = sim.now + PATIENCE_MS;
  for (;;) {
    const left = bricks.flatMap((brick) => {
      const state = brick.state() as { readonly inodes: readonly Row[] } | null;
      const rows = state?.inodes.filter((row) => row.inodelks?.length || row.entrylks?.length);
      return rows?.map((row) => `${brick.name} has ${JSON.stringify(row)}`) ?? [];
    });
    if (!left.length) return;
    if (sim.now > until) throw new SimFailure(`a lock is left: ${left[0]}`);
    await sim.delay(1000);
  }
}
