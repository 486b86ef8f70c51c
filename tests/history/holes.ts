/** Whether a view tells holes where there are zeros, and in an order that walks through the file. */

import type { Gfid } from "core/inode.ts";
import { UNIT } from "snapshot/engine/units.ts";
import type { View } from "snapshot/engine/view.ts";

/** Throws Error if not; `wanted`: what the file holds. */
export async function checkHoles(view: View, gfid: Gfid, wanted: Uint8Array): Promise<void> {
  const { length: size } = wanted;
  for (let at = 0; at < size;) {
    const data = await view.nextData(gfid, at) ?? size;
    if (data < at || wanted.subarray(at, data).some((byte) => byte !== 0)) {
      throw new Error(`${gfid} is said to be a hole from ${at} to ${data}`);
    }
    if (data >= size) return;
    const hole = await view.nextHole(gfid, data);
    // Zeros may be data while they are the live file's, and a hole when they have moved meanwhile.
    const next = (Math.floor(data / UNIT) + 1) * UNIT;
    const moved = hole === data && wanted.subarray(data, next).every((byte) => byte === 0);
    if (hole === undefined || (hole <= data && !moved) || hole > size) {
      throw new Error(`${gfid} is said to have data from ${data} to ${hole}`);
    }
    at = moved ? next : hole;
  }
}
