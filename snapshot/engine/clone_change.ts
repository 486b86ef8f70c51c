/**
 * Changes of a clone's data.
 *
 * A change of whole units is done to the file first; then they become the clone's own, then it is
 * answered: a crash in between leaves the origin's data, as before the change. Of a unit that is
 * changed in part, the origin's data is put into the file before. The index is not synced for that:
 * after a loss of power, own units that are holes are the origin's again, and an fsync of the file
 * syncs the index as well. Changes that meet on such units wait for each other; those of units that
 * are the clone's own pass.
 *
 * So that a unit which somebody made a hole is not taken for such a one, the index has on the disk
 * that it may be one, before it is. Where blocks are smaller than units that is also so for a part of
 * a unit; what else is in it has to be on the disk before, as nobody looks for it any more.
 */

import type { Clone } from "snapshot/engine/clone.ts";
import type { Clones } from "snapshot/engine/clones.ts";
import { EXTENT_UNITS_MAX, UNIT, type UnitRange, unitsOf } from "snapshot/engine/units.ts";

/** The clone's file itself. Methods throw FopError. */
export interface CloneFile {
  /** Bytes below the file's end. */
  write(offset: number, bytes: Uint8Array): Promise<void>;
  /** What was written, and the size, is on the disk when this resolves. */
  sync(): Promise<void>;
}

/** A range of bytes that changes. */
export interface Change {
  readonly offset: number;
  readonly size: number;
  /** It becomes zeros, which need no room; to the end of a unit if it is to the end of the file. */
  readonly holes?: boolean;
}

/** Writes to a range: `run` does it to the file. */
export function overwrite<T>(
  clones: Clones,
  clone: Clone,
  file: CloneFile,
  { offset, size, holes = false }: Change,
  run: () => Promise<T>,
): Promise<T> {
  if (hasEdge(clone)) {
    const range = { offset, size, holes };
    return ownEdge(clones, clone, file).then(() => overwrite(clones, clone, file, range, run));
  }
  const { start, end } = unitsOf(offset, size);
  if (!holes && passes(clone, start, end)) return run();
  return alone(clone, start, end, async () => {
    const first = Math.ceil(offset / UNIT), last = Math.floor((offset + size) / UNIT);
    if (holes) await ownHoles(clones, clone, { start: first, end: last });
    const edge = holes ? settle : copyUp;
    if (start < first) await edge(clones, clone, file, { start, end: start + 1 });
    if (end > last && end > start) await edge(clones, clone, file, { start: end - 1, end });
    const done = await run();
    if (first < last) await clones.own(clone, { start: first, end: last }, holes);
    return done;
  });
}

/** Copies a range from the origin first: a reservation of room holds only for what is its own. */
export function reserve<T>(
  clones: Clones,
  clone: Clone,
  file: CloneFile,
  { offset, size }: Change,
  run: () => Promise<T>,
): Promise<T> {
  if (hasEdge(clone)) {
    const range = { offset, size };
    return ownEdge(clones, clone, file).then(() => reserve(clones, clone, file, range, run));
  }
  const { start, end } = unitsOf(offset, size);
  if (passes(clone, start, end)) return run();
  return alone(clone, start, end, async () => {
    await copyUp(clones, clone, file, { start, end });
    return await run();
  });
}

/** Sets the size to `size`: `run` does it to the file. */
export function cut<T>(
  clones: Clones,
  clone: Clone,
  file: CloneFile,
  size: number,
  run: () => Promise<T>,
): Promise<T> {
  if (hasEdge(clone)) {
    return ownEdge(clones, clone, file).then(() => cut(clones, clone, file, size, run));
  }
  const start = Math.floor(size / UNIT), units = Math.ceil(size / UNIT);
  const edge = { start, end: units };
  // Own units that are cut off would be holes, too.
  const isCut = units < clone.units || !clones.mayHaveHoles(clone, edge);
  if (!isCut && passes(clone, start, Infinity)) return run();
  return alone(clone, start, Infinity, async () => {
    // What is cut off it is a hole once the file is longer again.
    await settle(clones, clone, file, edge);
    const done = await run();
    if (units < clone.units) {
      // The other way round a loss of power could leave a long file without the origin's data.
      await file.sync();
      await clones.cut(clone, units);
    }
    return done;
  });
}

/**
 * Copies all that is not its own yet, a MiB at a time, and makes it an ordinary file. `pause` is waited
 * for in between; it is told how many bytes that was.
 */
export async function flatten(
  clones: Clones,
  clone: Clone,
  file: CloneFile,
  pause: (bytes: number) => Promise<void>,
): Promise<void> {
  for (let start = 0; start < clone.units; start += EXTENT_UNITS_MAX) {
    const end = Math.min(start + EXTENT_UNITS_MAX, clone.units);
    if (clone.owns(start, end)) continue;
    await alone(clone, start, end, () => copyUp(clones, clone, file, { start, end }));
    await pause((end - start) * UNIT);
  }
  await alone(clone, 0, Infinity, async () => {
    await file.sync();
    await clones.cut(clone, 0);
  });
}

/** Appends: what is written is beyond the origin's units, once its last one is whole. */
export function append<T>(
  clones: Clones,
  clone: Clone,
  file: CloneFile,
  run: () => Promise<T>,
): Promise<T> {
  return hasEdge(clone) ? ownEdge(clones, clone, file).then(run) : run();
}

// Its own units become holes as a whole.
async function ownHoles(clones: Clones, clone: Clone, { start, end }: UnitRange): Promise<void> {
  const holes: UnitRange[] = [];
  for (let at = start; at < Math.min(end, clone.units);) {
    const run = clone.run(at, end);
    if (run.own && !clones.mayHaveHoles(clone, run)) holes.push(run);
    at = run.end;
  }
  for (const run of holes) await clones.own(clone, run, true);
  if (holes.length) await clones.syncRows();
}

// Parts of these units, which become its own, become holes.
async function settle(
  clones: Clones,
  clone: Clone,
  file: CloneFile,
  units: UnitRange,
): Promise<void> {
  if (clones.mayHaveHoles(clone, units)) return;
  await copyUp(clones, clone, file, units);
  await file.sync();
  await clones.own(clone, units, true);
  await clones.syncRows();
}

// The last unit of what began as a foreign file need not be whole, until something changes.
function hasEdge({ size, units, own }: Clone): boolean {
  const edge = Math.floor(size / UNIT);
  return edge < units && size % UNIT > 0 && !own.has(edge);
}

async function ownEdge(clones: Clones, clone: Clone, file: CloneFile): Promise<void> {
  const start = Math.floor(clone.size / UNIT), end = start + 1;
  await alone(clone, start, end, () => copyUp(clones, clone, file, { start, end }));
}

function passes(clone: Clone, start: number, end: number): boolean {
  return clone.busy.length === 0 && clone.owns(start, end);
}

async function alone<T>(
  clone: Clone,
  start: number,
  end: number,
  run: () => Promise<T>,
): Promise<T> {
  for (;;) {
    const met = clone.busy.filter((busy) => busy.start < end && start < busy.end);
    if (!met.length) break;
    // Whoever waited tries by itself.
    await Promise.allSettled(met.map(({ done }) => done));
  }
  const { promise: done, resolve } = Promise.withResolvers<void>();
  const busy = { start, end, done };
  clone.busy = [...clone.busy, busy];
  try {
    return await run();
  } finally {
    clone.busy = clone.busy.filter((other) => other !== busy);
    resolve();
  }
}

// Units that are not its own become that with what the origin has.
async function copyUp(
  clones: Clones,
  clone: Clone,
  file: CloneFile,
  { start, end }: UnitRange,
): Promise<void> {
  for (let at = start; at < Math.min(end, clone.units);) {
    const run = clone.run(at, Math.min(end, clone.units, at + EXTENT_UNITS_MAX));
    if (!run.own) await copyRun(clones, clone, file, run);
    at = run.end;
  }
}

async function copyRun(
  clones: Clones,
  clone: Clone,
  file: CloneFile,
  run: UnitRange,
): Promise<void> {
  const offset = run.start * UNIT, until = run.end * UNIT;
  const empty = clones.originData(clone, offset, until) === undefined;
  if (!empty || clones.hasLeftovers(clone, run)) {
    const bytes = new Uint8Array(Math.min(until, clone.size) - offset);
    if (!empty) await clones.readOrigin(clone, offset, bytes);
    await file.write(offset, bytes);
  }
  await clones.own(clone, run, empty);
}
