/**
 * A history that another copy of the brick gets, which is empty or lost some snapshots, and may be an
 * arbiter: while both go on, with kills of the one that gets it, and everything compared afterwards.
 */

import type { CopyTarget, HistoryCopies } from "core/history_copies.ts";
import type { Gfid } from "core/inode.ts";
import { copyHistory, type CopyPlace } from "mgmt/snapshots/copy_history.ts";
import { copiesOf } from "snapshot/engine/copies.ts";
import { History } from "snapshot/engine/history.ts";
import type { Reader } from "snapshot/engine/store.ts";
import { atKillPoints, copyFiles } from "tests/history/kill_points.ts";
import { testEnv } from "tests/fakes/node.ts";
import type { SmallVolume, VolumeCopy } from "tests/fakes/small_volume.ts";

/** A story, as far as this needs it. */
export interface Told {
  readonly random: (below: number) => number;
  readonly history: History;
  readonly volume: SmallVolume;
  /** Has the story's "data" and "history". */
  readonly disk: string;
  /** A new directory for the other copy. */
  readonly place: string;
  /** Nobody had it, nor the three before it. */
  readonly epoch: number;
  /** Changes of the story. */
  readonly changes: () => Promise<void>;
  /** Removes one of its snapshots; answers which one, if there was one. */
  readonly remove: () => Promise<string | undefined>;
  /**
   * Compares what snapshots show with what they should, those of `own` as well; `some`: it need not
   * have all of them; `isArbiter`: files are empty in those of the story.
   */
  readonly compare: (
    history: History,
    when: string,
    some?: boolean,
    own?: ReadonlyMap<string, VolumeCopy>,
    isArbiter?: boolean,
  ) => Promise<void>;
}

const ID = "copy", ROWS_AT_ONCE = 5;
const READER = { id: ID, kind: "clone", file: undefined, name: "", created: 0 } as const;

/** See the head of this file. Throws. */
export async function checkCopied(told: Told): Promise<void> {
  const { random, history, disk, epoch } = told;
  let { place } = told;
  const own = new Map<string, VolumeCopy>();
  const compare = (history: History, when: string, some = false) =>
    told.compare(history, `in the other copy${when}`, some, own, isArbiter);
  const isEmpty = random(2) === 0, isArbiter = random(3) === 0;
  const target = { without: "user.none", isArbiter };
  if (isEmpty || isArbiter) {
    Deno.mkdirSync(place, { recursive: true });
    copyFiles(`${disk}/data`, `${place}/data`);
  } else copyFiles(disk, place);
  if (isArbiter) {
    for (const { name } of Deno.readDirSync(`${place}/data`)) {
      Deno.truncateSync(`${place}/data/${name}`);
    }
  }
  const write = isArbiter ? changeAttributes : writeData;
  let volume = told.volume.movedTo(`${place}/data`);
  const opened = (disk = place, live = volume) =>
    History.open({
      ...{ directory: `${disk}/history`, live },
      ...{ durability: "relaxed", env: testEnv() },
    });
  let other = await opened();
  let taken = epoch;
  const take = async () => {
    const id = `own${++taken}`;
    await other.take({ ...READER, id, kind: "snapshot", epoch: taken, active: true });
    own.set(id, volume.copy());
  };
  const remove = async () => {
    const id = await told.remove();
    if (id !== undefined && other.readers.get(id)) await other.remove(id);
  };
  const checkKilled = async (disk: string, given: readonly Reader[]) => {
    const after = await opened(disk, volume.movedTo(`${disk}/data`));
    try {
      await compare(after, ", killed when it ended", true);
      await copiesOf(after).end(ID, given);
      await compare(after, ", killed when it ended, and asked again");
      await after.collected();
      await compare(after, ", killed when it ended, collected");
    } finally {
      await after.close();
    }
  };
  try {
    // An arbiter's history that has lost some comes from such a copy as well.
    if (isArbiter && !isEmpty) await bring(history, other, epoch - 2, target);
    for (const { id } of other.readers.list()) if (random(2)) await other.remove(id);
    if (random(2)) await other.collected();
    // As its files are healed: not only what differs is written.
    for (let more = random(4); more > 0; more--) await write(other, volume, random, { same: true });
    for (const each of [history, other]) await each.take({ ...READER, epoch, active: false });
    history.copyOut.rowsAtOnce = ROWS_AT_ONCE;
    let noted: CopyPlace | undefined;
    for (let tries = 0;; tries++) {
      const stop = new AbortController();
      // What is asked for the last time is not disturbed any more.
      const calls = tries < 2 ? random(40) : Infinity;
      const to = watched(copiesOf(other), calls, async () => {
        if (random(3) === 0) await told.changes();
        if (random(3) === 0) await write(other, volume, random);
        if (random(20) === 0) await take();
        if (random(20) === 0) await remove();
      }, stop);
      try {
        await copyHistory({
          ...{ from: copiesOf(history), to, id: ID, epoch, target },
          ...noted ? { place: noted } : {},
          note: (how) => Promise.resolve(void (noted = how)),
        }, stop.signal);
        const readers = history.readers.list().filter((reader) => reader.epoch < epoch);
        if (random(2)) await remove();
        const given = readers.filter(({ id }) => history.readers.get(id));
        other.copyIn.rowsAtOnce = 1 + random(8);
        const killed = await ending(place, random(60), () => copiesOf(other).end(ID, given));
        await compare(other, "");
        if (killed) await checkKilled(killed, given);
        // Who did not hear it asks again.
        if (random(3) === 0) await to.end(ID, given);
        break;
      } catch (error) {
        if (!stop.signal.aborted) throw error;
        await compare(other, ", in between", true);
        if (random(2)) {
          copyFiles(place, `${place}-killed`);
          volume = volume.movedTo(`${place}-killed/data`);
        }
        await other.close();
        if (volume.directory !== `${place}/data`) place += "-killed";
        other = await opened();
        await compare(other, ", opened in between", true);
      }
    }
    await compare(other, "");
    await other.remove(ID);
    for (let more = 3; more > 0; more--) await write(other, volume, random);
    await compare(other, ", after changes");
    await other.collected();
    await other.close();
    other = await opened();
    await compare(other, ", opened again");
    for (const { id } of other.readers.list()) await other.remove(id);
    await other.collected();
    const { rows, bytes } = other.usage();
    if (rows || bytes) throw new Error(`${rows} rows and ${bytes} bytes are left in the copy`);
  } finally {
    await other.close();
    await history.remove(ID);
  }
}

/** All of it, with nothing in between. */
async function bring(
  from: History,
  to: History,
  epoch: number,
  target: CopyTarget,
): Promise<void> {
  for (const each of [from, to]) await each.take({ ...READER, epoch, active: false });
  await copyHistory({
    ...{ from: copiesOf(from), to: copiesOf(to), id: ID, epoch, target },
    note: () => Promise.resolve(),
  }, new AbortController().signal);
  const readers = from.readers.list().filter((reader) => reader.epoch < epoch);
  await copiesOf(to).end(ID, readers);
  for (const each of [from, to]) await each.remove(ID);
}

/** Answers where a copy of the disk is as it was before the step of that number. */
async function ending(
  disk: string,
  number: number,
  end: () => Promise<void>,
): Promise<string | undefined> {
  let left = number, killed: string | undefined;
  using _ = atKillPoints(() => {
    if (left-- === 0) copyFiles(disk, killed = `${disk}-ended`);
  });
  await end();
  return killed;
}

/** A change of the other copy; `same`: of what is there to the same. */
type Change = (
  history: History,
  volume: SmallVolume,
  random: (below: number) => number,
  how?: { same?: boolean },
) => Promise<void>;

const changeAttributes: Change = async (history, volume, random, { same = false } = {}) => {
  const gfid = someFile(volume, random);
  if (!gfid) return;
  await history.change(async () => {
    await history.preserve.inode(gfid);
    if (!same) volume.files.get(gfid)!.xattr = random(256);
  });
};

const writeData: Change = async (history, volume, random, { same = false } = {}) => {
  const gfid = someFile(volume, random);
  if (!gfid) return;
  const offset = random(same ? volume.size(gfid) + 1 : 30_000);
  const size = Math.min(1 + random(9000), same ? volume.size(gfid) - offset : Infinity);
  const data = new Uint8Array(size).fill(random(256));
  await history.change(async () => {
    await history.preserve.data(gfid, offset, size);
    if (same) await volume.read(gfid, offset, data);
    volume.write(gfid, offset, data);
  });
};

function someFile(volume: SmallVolume, random: (below: number) => number): Gfid | undefined {
  return [...volume.files.keys()][random(Math.max(1, volume.files.size))];
}

/** Calls `between` before each order, and aborts at number `calls`. */
function watched(
  copies: HistoryCopies,
  calls: number,
  between: () => Promise<void>,
  stop: AbortController,
): HistoryCopies {
  let left = calls;
  return new Proxy(copies, {
    get: (of, name) => async (...args: unknown[]) => {
      await between();
      if (left-- <= 0) stop.abort(new Error("killed"));
      stop.signal.throwIfAborted();
      const order = of[name as keyof HistoryCopies] as (...args: unknown[]) => unknown;
      return await order(...args);
    },
  });
}
