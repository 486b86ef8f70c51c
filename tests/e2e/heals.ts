/** Waits for the real self-heal daemon, and compares what the bricks of a volume hold afterwards. */

import type { Brick, Cluster } from "tests/e2e/harness.ts";
import { run, until } from "tests/e2e/process.ts";
import { type Entry, expectSameTree, healedDiffers, readTree, visible } from "tests/e2e/tree.ts";

const HEAL_MS = 240_000, SAME_MS = 60_000;

/** What of copies is compared. */
export interface Compare {
  /** Times of last change, as clients see them; true if absent. */
  readonly times?: boolean;
}

/** Starts glustershd and waits until nothing is left to heal and all bricks hold the same. */
export async function healed(cluster: Cluster, compare: Compare = {}): Promise<void> {
  const healer = await cluster.startHealer();
  await untilHealed(cluster, compare).catch((error) => {
    throw new Error(`${error}\nglustershd: ${healer.lastWords()}`);
  });
}

/** Waits until nothing is left to heal and all bricks hold the same; some healer is at it. */
export async function untilHealed(cluster: Cluster, compare: Compare = {}): Promise<void> {
  const nothing = async () => (await cluster.pendingHeals()).every((each) => each === 0);
  await until("nothing is left to heal", nothing, HEAL_MS, 500).catch(async (error) => {
    throw new Error(`${error}\n${(await Promise.all(cluster.bricks.map(leftOf))).join("")}`);
  });
  // Names that a heal took away are purged a little after the heal is complete.
  let difference: unknown;
  const same = () =>
    expectHealedBricks(cluster, compare).then(() => true, (error) => {
      difference = error;
      return false;
    });
  await until("all bricks hold the same", same, SAME_MS, 500).catch((error) => {
    throw new Error(`${error}\n${difference}`);
  });
}

// What a brick has on record to heal, and the marks of all that it holds.
async function leftOf({ path }: Brick): Promise<string> {
  const script = 'cd "$0" && find .glusterfs/indices && getfattr -R -h -d -m trusted.afr -e hex .';
  return `${path}:\n${(await run(["sh", "-c", script, path])).out}`;
}

/** Throws unless every brick holds what the first one holds, as far as the layout wants that. */
async function expectHealedBricks(
  { bricks, options }: Cluster,
  { times = true }: Compare = {},
): Promise<void> {
  const trees = await Promise.all(bricks.map(async ({ path }) => visible(await readTree(path))));
  const first = trees[0]!;
  trees.slice(1).forEach((tree, index) => {
    if (options.layout.startsWith("disperse")) expectSameTree(first, tree, fragmentDiffers);
    else if (bricks[index + 1]!.facts.arbiter) expectSameTree(first, tree, arbiterDiffers);
    else if (times) expectSameTree(first, tree, healedDiffers);
    else expectSameTree(first, tree, (one, other) => healedDiffers(timeless(one), timeless(other)));
  });
}

// Each brick has another fragment of the data; versions and sizes are the same, and zero says what
// absence says. Healing a dispersed file brings no time back that was set to the past.
function fragmentDiffers(one: Entry, other: Entry): string[] {
  const comparable = ({ sha256: _own, xattrs, ...rest }: Entry): Entry => {
    const settled = Object.entries(xattrs).filter(([name, value]) =>
      name !== "trusted.glusterfs.mdata" && !(name.startsWith("trusted.ec.") && /^0*$/.test(value))
    );
    return { ...rest, xattrs: Object.fromEntries(settled) };
  };
  return healedDiffers(comparable(one), comparable(other));
}

// No data: no size, and no word of writes in the times.
function arbiterDiffers(copy: Entry, arbiter: Entry): string[] {
  const names = (entry: Entry): Entry => {
    const { size: _size, sha256: _data, ...rest } = timeless(entry);
    return rest;
  };
  const data = arbiter.sha256 !== undefined && arbiter.size !== 0;
  return [
    ...healedDiffers(names(copy), names(arbiter)),
    ...(data ? [`the arbiter holds ${arbiter.size} bytes`] : []),
  ];
}

function timeless(entry: Entry): Entry {
  const { "trusted.glusterfs.mdata": _times, ...xattrs } = entry.xattrs;
  return { ...entry, xattrs };
}
