/** Which bricks of a volume have a file system in common: `df` on a client must count it once. */

import type { Clock } from "core/env.ts";
import type { BrickRecord, VolumeRecord } from "mgmt/records.ts";

/** Milliseconds that disks may take. */
const PATIENCE_MS = 1000;

/**
 * How many bricks of `volume` on this node are on each brick's file system; 1 for a brick that is away or
 * another node's, or whose disk does not answer soon.
 */
export async function sharingOf(
  { bricks }: Pick<VolumeRecord, "bricks">,
  nodeId: string,
  clock: Clock,
): Promise<(brick: BrickRecord) => number> {
  const answered = new AbortController();
  const late = clock.delay(PATIENCE_MS, answered.signal).catch(() => undefined);
  const devices = await Promise.all(bricks.map((brick) => {
    if (brick.nodeId !== nodeId) return undefined;
    const device = Deno.stat(brick.path).then(({ dev }) => dev, () => undefined);
    return Promise.race([device, late]);
  }));
  answered.abort();
  const byPath = new Map(bricks.map(({ path, nodeId: of }, index) => [
    `${of} ${path}`,
    devices.filter((dev) => typeof dev === "number" && dev === devices[index]).length,
  ]));
  return ({ path, nodeId: of }) => byPath.get(`${of} ${path}`) || 1;
}
