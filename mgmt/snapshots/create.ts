/**
 * One moment for all bricks of a volume. Transactions of clients come to rest, so that copies are
 * equal; then changes are held back everywhere, each brick takes the snapshot, and lets changes go on.
 * What a client was told is done before is in it at every brick; what it is told afterwards need not
 * be. That others have not taken it yet when the first lets go harms nothing: what follows from its
 * changes waits there until they have.
 *
 * Bricks let changes go on by themselves after a second, and then their take fails: clients see one
 * slow write at worst. If a single brick fails or is late, none may keep what it took: that is the
 * caller's to undo.
 */

import type { Env } from "core/env.ts";
import type { HistoryReader } from "core/history_orders.ts";
import { allDone } from "core/lib/all_done.ts";
import { type BrickRecord, setSize, type VolumeRecord } from "mgmt/records.ts";
import type { HistoryBrick } from "mgmt/snapshots/history_brick.ts";
import { type CopySet, QuietTime } from "mgmt/snapshots/quiet.ts";

/** Bricks hold changes back that long at most. Milliseconds. */
const HOLD_MS = 1000;
/** How long transactions may take to end, and clusters' locks wait at most. Milliseconds. */
const QUIET_PATIENCE_MS = 500, QUIET_MS = 3000;
/** Between two looks whether they have. Milliseconds. */
const LOOK_EVERY_MS = 2;

type Surroundings = Pick<Env, "clock" | "random" | "log">;

/**
 * Has every brick take `reader` at one moment. Throws OrderFailed: one of them did not, and others
 * may have. Answers whether clients came to rest: else copies may differ in what was under way.
 */
export async function takeAtOnce(
  volume: VolumeRecord,
  bricks: readonly HistoryBrick[],
  reader: HistoryReader,
  env: Surroundings,
): Promise<boolean> {
  const sets = copySets(volume, bricks), [only, ...others] = bricks;
  if (!sets.length && only && !others.length) {
    await only.takeAlone(reader);
    return true;
  }
  await all(bricks, (brick) => brick.prepare());
  let rested = true;
  if (!sets.length) await held(bricks, env, (hold) => takeAll(bricks, reader, hold));
  else {
    const quiet = new QuietTime(sets, env.random.uuid());
    await quiet.begin(QUIET_MS);
    try {
      rested = await takeInQuiet(bricks, reader, env, quiet);
    } finally {
      await quiet.end();
    }
  }
  // Nobody waits for this any more.
  await all(bricks, (brick) => brick.secure());
  return rested;
}

async function takeInQuiet(
  bricks: readonly HistoryBrick[],
  reader: HistoryReader,
  env: Surroundings,
  quiet: QuietTime,
): Promise<boolean> {
  const { clock, log } = env;
  const deadline = clock.monotonic() + QUIET_PATIENCE_MS;
  let rested = false;
  for (let taken = false; !taken;) {
    const late = clock.monotonic() >= deadline;
    // What does not look so now is not held back for a closer look.
    if (late || await quiet.rests()) {
      taken = await held(bricks, env, async (hold) => {
        rested = await quiet.rests();
        return (rested || late) && await takeAll(bricks, reader, hold);
      });
    }
    if (!taken) await clock.delay(LOOK_EVERY_MS);
    else if (!rested) log.warn(RESTLESS, { snapshot: reader.name });
  }
  return rested;
}

const RESTLESS =
  "clients did not come to rest: copies in a snapshot may differ in what was not acknowledged";

/** Calls `then` while all bricks hold changes back; it answers whether they took, which ends that. */
async function held(
  bricks: readonly HistoryBrick[],
  { random }: Surroundings,
  then: (hold: string) => Promise<boolean>,
): Promise<boolean> {
  const id = random.uuid();
  let taken = false;
  try {
    await all(bricks, (brick) => brick.hold(id, HOLD_MS));
    return taken = await then(id);
  } finally {
    // Nobody shall wait for what will not be: those that fail here let changes go on by themselves.
    if (!taken) await all(bricks, (brick) => brick.release(id, HOLD_MS)).catch(() => {});
  }
}

async function takeAll(
  bricks: readonly HistoryBrick[],
  reader: HistoryReader,
  hold: string,
): Promise<true> {
  await all(bricks, (brick) => brick.take(hold, reader, HOLD_MS));
  return true;
}

function all(
  bricks: readonly HistoryBrick[],
  order: (brick: HistoryBrick) => Promise<void>,
): Promise<void> {
  return allDone(bricks.map(order));
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
