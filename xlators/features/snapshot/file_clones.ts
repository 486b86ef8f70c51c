/** What a daemon orders about clones of files, at one brick. */

import { type Call, PID_SERVER_TRASH, ROOT } from "core/call.ts";
import type { Clock } from "core/env.ts";
import { EINVAL, ENOENT } from "core/errno.ts";
import type { FileClone } from "core/history_orders.ts";
import { isRegular } from "core/iatt.ts";
import type { Gfid } from "core/inode.ts";
import { isLinkFile } from "snapshot/engine/changes.ts";
import type { History } from "snapshot/engine/history.ts";
import { UNIT } from "snapshot/engine/units.ts";
import { checkAlike } from "xlators/features/snapshot/alike.ts";
import type { CloneFops } from "xlators/features/snapshot/clone_fops.ts";

const CALL: Call = { ...ROOT, pid: PID_SERVER_TRASH };

/**
 * Makes an empty file a clone. It is one, on the disk, when this resolves, or an empty file as before.
 * ENOENT: no such snapshot, no such file in it, or none that may become the clone; ENOTEMPTY: that has
 * data; EEXIST: it is a clone, or there is a reader with this id; EINVAL: one of them is no file; EUCLEAN:
 * copies of the file differed in the snapshot.
 */
export function cloneFile(
  history: History,
  fops: CloneFops,
  clock: Clock,
  { id, snapshot, source, gfid }: FileClone,
): Promise<void> {
  return history.change(async () => {
    const view = history.view(snapshot);
    const origin = await view?.inode(source);
    if (!view || !origin || isLinkFile(origin)) throw ENOENT;
    if (!isRegular(origin.iatt)) throw EINVAL;
    checkAlike(origin);
    const inode = await fops.mayBegin(CALL, gfid);
    await history.preserve.inode(gfid);
    const { size } = origin.iatt;
    const edge = new Uint8Array(size % UNIT);
    await view.read(source, size - edge.length, edge);
    const reader = { id, name: "", kind: "clone", file: source, active: false } as const;
    const created = clock.now();
    const clone = await history.clone(gfid, snapshot, { ...reader, created }, origin.iatt);
    try {
      const begun = await Promise.allSettled([
        fops.begin(CALL, inode, origin.iatt, edge),
        history.clones.sync(clone),
      ]);
      for (const part of begun) if (part.status === "rejected") throw part.reason;
    } catch (error) {
      await history.clones.finish(clone);
      throw error;
    }
    if (clone.units === 0) await history.clones.finish(clone);
  });
}

/** Copies what a clone has of its origin, and makes it an ordinary file. ENOENT: it is no clone. */
export async function flattenFile(history: History, fops: CloneFops, gfid: Gfid): Promise<void> {
  const clone = history.clones.get(gfid);
  if (!clone) throw ENOENT;
  await fops.flatten(CALL, clone);
}
