/**
 * Lock and marks of a file's data in the same requests, where all bricks take them so
 * (`core/carried_locks.ts`): one request to begin and one to end in the place of two each. Each copy is
 * marked under its lock; who gets its lock next finds it without the mark.
 */

import type { Call } from "core/call.ts";
import { LOCK_ALONG, UNLOCK_ALONG } from "core/carried_locks.ts";
import { type Args, O_ACCMODE } from "core/fops.ts";
import type { Fd } from "core/inode.ts";
import { ptr, withKey, Xdata } from "core/xdata.ts";
import { GFID_REQ } from "core/xdata_keys.ts";
import { settle } from "core/xlator.ts";
import { countsBytes, type Marks } from "xlators/cluster/replicate/blame.ts";
import type { Copies, Target } from "xlators/cluster/replicate/copies.ts";
import { type EndOptions, Marker } from "xlators/cluster/replicate/marker.ts";
import { isOnWord } from "xlators/cluster/replicate/options.ts";

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

/** A file that this client made, locked and marked on all copies. */
export interface NewFile {
  /** Who has the lock. */
  readonly locker: Call;
  readonly target: Target;
  readonly fd: Fd;
}

/**
 * What a create is asked with so that its file comes locked and marked; undefined where a copy is away
 * or does not take it so, or new files are not written.
 */
export function lockingNew(
  copies: Copies,
  { flags, xdata }: Args<"create">,
): Xdata | undefined {
  const { up, values, writesNew } = copies;
  if (!writesNew || !(flags & O_ACCMODE) || !xdata?.has(GFID_REQ) || up.includes(false)) {
    return undefined;
  }
  const keeps = isOnWord(values["eager-lock"]) && values["post-op-delay-secs"] > 0;
  if (!keeps || !allCarry(copies, up)) return undefined;
  const mark = ptr(countsBytes({ data: 1 }));
  return xdata.merged(Xdata.of([[copies.keys.dirty, mark]])).with(LOCK_ALONG, copies.name);
}

/** Takes off again what came with a new file, on the copies in `on`. */
export async function unlockNew(
  copies: Copies,
  { locker, target }: Omit<NewFile, "fd">,
  on: readonly boolean[],
): Promise<void> {
  const marker = new Marker(copies, "data");
  marker.began(on);
  await marker.end(locker, [target], on, unlocking(copies));
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
