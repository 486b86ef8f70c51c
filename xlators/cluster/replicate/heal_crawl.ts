/**
 * Which files to heal: those that bricks list in their index, or all. One crawl of a set at a time; who
 * asks while it runs gets another one after it.
 */

import { FopError } from "core/errno.ts";
import type { HealCounts } from "core/healer.ts";
import { type Gfid, type Inode, parseGfid, ROOT_GFID } from "core/inode.ts";
import { Window } from "core/lib/window.ts";
import type { FileOutcome } from "xlators/cluster/replicate/heal_file.ts";
import { healFile } from "xlators/cluster/replicate/heal_file.ts";
import { inspect } from "xlators/cluster/replicate/heal_inspect.ts";
import { indexOf, listNames } from "xlators/cluster/replicate/heal_listing.ts";
import type { HealSet } from "xlators/cluster/replicate/heal_set.ts";

/** Passes over an index that heal something, and then heal more because of it. */
const PASSES_MAX = 100;
const DT_DIR = 4;

/** How files are healed. */
export interface CrawlOptions {
  readonly filesAtOnce: number;
  readonly signal: AbortSignal;
  /** Gets the files that are being healed. */
  readonly working: Set<Gfid>;
}

/** Heals what the copies' indexes list, until nothing gets better. */
export async function crawlIndex(set: HealSet, options: CrawlOptions): Promise<HealCounts> {
  const total = { healed: 0, splitBrain: 0, failed: 0 };
  for (let pass = 0, last = false; pass < PASSES_MAX; pass++) {
    const outcomes = await onePass(set, options, last);
    const count = (which: FileOutcome) => outcomes.filter((each) => each === which).length;
    total.healed += count("healed");
    total.splitBrain = count("split-brain");
    total.failed = count("left") + count("later");
    if (options.signal.aborted) break;
    const better = count("healed") > 0;
    if (better) last = false;
    else if (count("later") && !last) last = true;
    else break;
  }
  return total;
}

async function onePass(
  set: HealSet,
  { filesAtOnce, signal, working }: CrawlOptions,
  last: boolean,
): Promise<FileOutcome[]> {
  const window = new Window(filesAtOnce);
  const outcomes: FileOutcome[] = [];
  const tried = new Set<Gfid>();
  const running = new Set<Promise<void>>();
  const begin = (gfid: Gfid) => {
    if (tried.has(gfid) || signal.aborted) return;
    tried.add(gfid);
    const found = new Set<Gfid>();
    const run = window.run(async () => {
      if (signal.aborted) return;
      working.add(gfid);
      const outcome = await healOne(set, gfid, { found, last });
      working.delete(gfid);
      outcomes.push(outcome);
      for (const each of found) begin(each);
    }).finally(() => running.delete(run));
    running.add(run);
  };
  for (const index of set.all) {
    for await (const gfid of listed(set, index)) {
      begin(gfid);
      if (running.size > filesAtOnce * 4) await Promise.race(running);
    }
  }
  while (running.size) await Promise.race(running);
  return outcomes;
}

async function healOne(
  set: HealSet,
  gfid: Gfid,
  options: { readonly found: Set<Gfid>; readonly last: boolean; readonly full?: boolean },
): Promise<FileOutcome> {
  try {
    const outcome = await healFile(set, gfid, options);
    if (outcome === "gone") await purge(set, gfid);
    if (outcome === "healed" || outcome === "split-brain") {
      set.env.log.info(
        outcome === "healed" ? "healed" : "split-brain: nobody can tell who is right",
        {
          set: set.name,
          gfid,
        },
      );
    }
    return outcome;
  } catch (error) {
    if (!(error instanceof FopError)) throw error;
    set.env.log.warn("cannot be healed", { set: set.name, gfid, error: error.message });
    return "left";
  }
}

/** Files with blames on others, and files that were being changed. */
const LISTS = ["xattrop_index", "xattrop_dirty"] as const;

/** What copy `index` lists; nothing if it cannot be asked. */
export async function* listed(set: HealSet, index: number): AsyncGenerator<Gfid> {
  for (const kind of LISTS) {
    try {
      const inode = await indexOf(set, index, kind);
      for await (const { name } of listNames(set, index, inode)) {
        const gfid = parseGfid(name);
        if (gfid) yield gfid;
      }
    } catch (error) {
      if (!(error instanceof FopError)) throw error;
    }
  }
}

// No copy has the file any more: an entry that a crash left.
async function purge(set: HealSet, gfid: Gfid): Promise<void> {
  // A copy that is away may have it, and so may one that could not tell.
  const { missing } = await inspect(set, set.inodes.of(gfid), set.all);
  if (missing.length < set.count) return;
  const answers = await set.ask(
    set.all,
    (_, index) => Promise.all(LISTS.map((kind) => indexOf(set, index, kind))),
  );
  if (answers.some((answer) => !answer.ok)) return;
  await set.ask(set.all, (copy, index) => {
    const answer = answers[index]!;
    if (!answer.ok) return Promise.reject(answer.error);
    const unlink = (parent: Inode) => copy.unlink(set.call, { parent, name: gfid, flags: 0 });
    return Promise.all(answer.value.map(unlink));
  });
}

/** Looks at every file of the set: what is missing or differs anywhere is healed. */
export async function crawlAll(set: HealSet, options: CrawlOptions): Promise<HealCounts> {
  const total = { healed: 0, splitBrain: 0, failed: 0 };
  const window = new Window(options.filesAtOnce);
  const queue: Inode[] = [set.inodes.of(ROOT_GFID)];
  const visit = async (gfid: Gfid) => {
    const found = new Set<Gfid>();
    const outcome = await healOne(set, gfid, { found, last: false, full: true });
    if (outcome === "healed") total.healed++;
    else if (outcome === "split-brain") total.splitBrain++;
    else if (outcome === "left" || outcome === "later") total.failed++;
  };
  for (let inode = queue.pop(); inode && !options.signal.aborted; inode = queue.pop()) {
    const parent = inode;
    await visit(parent.gfid);
    const children = await childrenOf(set, parent);
    await Promise.all(children.map(({ gfid, directory }) =>
      window.run(async () => {
        if (directory) queue.push(set.inodes.of(gfid));
        else await visit(gfid);
      })
    ));
  }
  return total;
}

async function childrenOf(set: HealSet, parent: Inode) {
  for (const index of set.all) {
    try {
      const children: { gfid: Gfid; directory: boolean }[] = [];
      for await (const { name, type } of listNames(set, index, parent)) {
        const { stat } = await set.copies[index]!.lookup(set.call, { parent, name });
        children.push({ gfid: stat.gfid, directory: type === DT_DIR });
      }
      return children;
    } catch (error) {
      if (!(error instanceof FopError)) throw error;
    }
  }
  return [];
}
