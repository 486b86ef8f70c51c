/**
 * Lock and marks of a file's data in the same requests, where all bricks take them so
 * (`core/carried_locks.ts`): one request to begin and one to end in the place of two each. Each copy is
 * marked under its lock; who gets its lock next finds it without the mark.
 */

import type { Call } from "core/call.ts";
import { LOCK_ALONG, UNLOCK_ALONG } from "core/carried_locks.ts";
import type { Fd } from "core/inode.ts";
import { ptr, withKey, Xdata } from "core/xdata.ts";
import { settle } from "core/xlator.ts";
import { countsBytes, type Marks } from "xlators/cluster/replicate/blame.ts";
import type { Copies, Target } from "xlators/cluster/replicate/copies.ts";
import type { EndOptions, Marker } from "xlators/cluster/replicate/marker.ts";

/**
 * Locks and marks all copies that are up. Answers what those tell that have both; undefined, with
 * nothing held, if somebody is in the way or a brick does not take it so.
 */
export async function lockAndMark(
  copies: Copies,
  call: Call,
  target: Target,
  marker: Marker,
): Promise<(Marks | undefined)[] | undefined> {
  const on = copies.up.map((up, index) => up && (!target.fds || target.fds[index] !== undefined));
  if (!on.includes(true) || !allCarry(copies, on)) return undefined;
  const told = await marker.begin(call, [target], on, withKey(undefined, LOCK_ALONG, copies.name));
  if (!marker.taken) return told;
  const part = told.map((each) => each !== undefined);
  await marker.end(call, [target], part, unlocking(copies));
  return undefined;
}

/** How marks are taken off so that the lock goes with them. */
export function unlocking(copies: Copies): EndOptions {
  return { along: withKey(undefined, UNLOCK_ALONG, copies.name) };
}

/** Takes off the marks of a file, gives its lock up and closes it, on the copies in `part`. */
export async function unmarkAndClose(
  copies: Copies,
  call: Call,
  fds: readonly (Fd | undefined)[],
  part: readonly boolean[],
): Promise<void> {
  const mark = ptr(countsBytes({ data: -1 }));
  const xdata = Xdata.of([[copies.keys.dirty, mark]]).with(UNLOCK_ALONG, copies.name);
  await settle(
    part.flatMap((has, index) =>
      has ? [copies.all[index]!.release(call, { fd: fds[index]!, xdata })] : []
    ),
  );
}

/** Whether the bricks of all copies in `on` take locks along with marks. */
export function allCarry(copies: Copies, on: readonly boolean[]): boolean {
  return on.every((has, index) => !has || copies.carries[index]!);
}
