/**
 * One moment for all bricks of a volume. Transactions of clients come to rest, so that copies are
 * equal; then answers of changes are held back everywhere, each brick takes the snapshot, and answers
 * go. What a client was told is done before is in it at every brick; what it is told afterwards need
 * not be.
 *
 * Bricks let answers go by themselves after a second, and then their take fails: clients see one
 * slow write at worst. If a single brick fails or is late, none may keep what it took: that is the
 * caller's to undo.
 */

import type { Env } from "core/env.ts";
import type { HistoryReader } from "core/history_orders.ts";
import { type BrickRecord, setSize, type VolumeRecord } from "mgmt/records.ts";
import type { HistoryBrick } from "mgmt/snapshots/history_brick.ts";
import { type CopySet, quiesce, resume } from "mgmt/snapshots/quiet.ts";

/** Bricks hold answers back that long at most. Milliseconds. */
const HOLD_MS = 1000;
/** How long transactions may take to end, and clusters' locks wait at most. Milliseconds. */
const QUIET_PATIENCE_MS = 250, QUIET_MS = 2000;

/**
 * Has every brick take `reader` at one moment. Throws OrderFailed: one of them did not, and others
 * may have.
 */
export async function takeAtOnce(
  volume: VolumeRecord,
  bricks: readonly HistoryBrick[],
  reader: HistoryReader,
  { clock, random, log }: Pick<Env, "clock" | "random" | "log">,
): Promise<void> {
  const id = random.uuid(), sets = copySets(volume, bricks);
  const quiet = { id, clock, timeoutMs: QUIET_MS, patienceMs: QUIET_PATIENCE_MS };
  try {
    if (sets.length && !await quiesce(sets, quiet)) {
      log.warn(
        "a client keeps its locks: copies in a snapshot may differ in what it had not finished",
        {
          volume: volume.name,
          snapshot: reader.name,
        },
      );
    }
    await takeHeld(bricks, reader, id);
  } finally {
    if (sets.length) await resume(sets, id);
  }
  await all(bricks, (brick) => brick.secure());
}

async function takeHeld(
  bricks: readonly HistoryBrick[],
  reader: HistoryReader,
  id: string,
): Promise<void> {
  try {
    await all(bricks, (brick) => brick.hold(id, HOLD_MS));
    await all(bricks, (brick) => brick.take(id, reader, HOLD_MS));
  } catch (error) {
    // Nobody shall wait for what will not be: those that fail here let answers go by themselves.
    await all(bricks, (brick) => brick.release(id, HOLD_MS)).catch(() => {});
    throw error;
  }
  // Fails where the second was over.
  await all(bricks, (brick) => brick.release(id, HOLD_MS));
}

// Waits for all of them, then throws the first failure there was.
async function all(
  bricks: readonly HistoryBrick[],
  order: (brick: HistoryBrick) => Promise<void>,
): Promise<void> {
  const outcomes = await Promise.allSettled(bricks.map(order));
  const failed = outcomes.find((each) => each.status === "rejected");
  if (failed) throw failed.reason;
}

/** The sets of copies of a volume, with those of their bricks that are among `bricks`. */
function copySets(volume: VolumeRecord, bricks: readonly HistoryBrick[]): CopySet[] {
  return setsOf(volume).map((records, index) => ({
    domain: `${volume.name}-${volume.kind}-${index}`,
    bricks: bricks.filter(({ record }) => records.includes(record)),
  })).filter((set) => set.bricks.length > 1);
}

/** The bricks of each set, in order; none if there are no copies. */
export function setsOf(volume: VolumeRecord): BrickRecord[][] {
  const size = setSize(volume);
  if (size < 2) return [];
  return Array.from(
    { length: volume.bricks.length / size },
    (_, index) => volume.bricks.slice(index * size, (index + 1) * size),
  );
}
