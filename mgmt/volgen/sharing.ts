/** Which bricks of a volume have a file system in common: `df` on a client must count it once. */

import type { BrickRecord, VolumeRecord } from "mgmt/records.ts";

/**
 * How many bricks of `volume` on this node are on each brick's file system; 1 for a brick that is away or
 * another node's. Waits for the disks.
 */
export async function sharingOf(
  { bricks }: Pick<VolumeRecord, "bricks">,
  nodeId: string,
): Promise<(brick: BrickRecord) => number> {
  const devices = await Promise.all(bricks.map(async (brick) => {
    if (brick.nodeId !== nodeId) return undefined;
    return await Deno.stat(brick.path).then(({ dev }) => dev, () => undefined);
  }));
  const byPath = new Map(bricks.map(({ path, nodeId: of }, index) => [
    `${of} ${path}`,
    devices.filter((dev) => dev !== undefined && dev === devices[index]).length,
  ]));
  return ({ path, nodeId: of }) => byPath.get(`${of} ${path}`) || 1;
}
