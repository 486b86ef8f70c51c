/**
 * Planted bugs: a simulator that none of them trips over proves nothing. `mutant_trial.ts` plants
 * them; `mutant_seeds.txt` has, for each, a seed that is known to find it.
 */

/** One planted bug. */
export interface Mutant {
  /** What is wrong with it, in a few words; unique. */
  readonly name: string;
  /** Path of the module. */
  readonly file: string;
  /** A piece of the module's text, in it exactly once: who changes that brings the mutant up to date. */
  readonly find: string;
  readonly replace: string;
  /** The system that must fail. */
  readonly system: string;
  /** In one of so many seeds it must fail. */
  readonly seeds: number;
}

const REPLICATE = "xlators/cluster/replicate";
const WRITE_BEHIND = "xlators/performance/write-behind";
const R3 = "replica-3-unhealed-short", HEALED = "replica-3-short";
const WRITES_BEHIND = "single-write-behind-short", SWITCHED = "single-write-behind-managed-short";

/** See the head of this file. */
export const MUTANTS: readonly Mutant[] = [
  // The test double, and what it stands on.
  {
    name: "toy: changes are not locked",
    file: "tests/sim/toy.ts",
    find: `type: reads ? "read" : "write",`,
    replace: `type: "read",`,
    system: "toy",
    seeds: 400,
  },
  {
    name: "toy: copies are not compared",
    file: "tests/sim/toy.ts",
    find: "if (reads && new Set(",
    replace: "if (!reads && new Set(",
    system: "toy",
    seeds: 400,
  },
  {
    name: "features/locks: write locks do not exclude each other",
    file: "xlators/features/locks/inodelk.ts",
    find: `return (a.flock.type === "write" || b.flock.type === "write") && overlaps(`,
    replace: `return a.flock.type !== b.flock.type && overlaps(`,
    system: "toy",
    seeds: 400,
  },
  {
    name: "features/locks: locks of a client that is gone stay",
    file: "xlators/features/locks/locks.ts",
    find: "    this.#inodelks.drop(client);\n",
    replace: "",
    system: "toy",
    seeds: 400,
  },
  {
    name: "cluster/distribute: a directory is laid out over no subvolume",
    file: "xlators/cluster/distribute/heal.ts",
    find: "if (!now.some(({ ok }) => ok)) throw ENOTCONN;",
    replace: "",
    system: "distribute",
    seeds: 600,
  },
  // cluster/replicate.
  {
    name: "replicate: a write is answered before absent copies are blamed",
    file: `${REPLICATE}/write.ts`,
    find: "if (!failure) await this.#blameAbsent(answers);",
    replace: "",
    system: R3,
    seeds: 400,
  },
  {
    name: "replicate: who failed a write is not blamed",
    file: `${REPLICATE}/write.ts`,
    find: "    this.#marker.blame(done, index);\n",
    replace: "",
    system: R3,
    seeds: 400,
  },
  {
    name: "replicate: a third of the copies is a quorum",
    file: `${REPLICATE}/copies.ts`,
    find: ": count * 2 > this.count;",
    replace: ": count * 3 >= this.count;",
    system: R3,
    seeds: 400,
  },
  {
    name: "replicate: what fails with a write is not told",
    file: `${REPLICATE}/write.ts`,
    find: "    if (failure) throw failure;\n    return answers;",
    replace: "    return answers;",
    system: R3,
    seeds: 400,
  },
  {
    name: "replicate: nothing is synced before marks are taken off",
    file: `${REPLICATE}/write.ts`,
    find: `if (this.#unstable && this.#copies.values["ensure-durability"]) await this.#sync();`,
    replace: "",
    system: HEALED,
    seeds: 400,
  },
  {
    name: "replicate: writes share the lock of the file",
    file: `${REPLICATE}/locking.ts`,
    find: `take: (index, wait) => ask(index, wait ? "set-wait" : "set", "write"),`,
    replace: `take: (index, wait) => ask(index, wait ? "set-wait" : "set", "read"),`,
    system: R3,
    seeds: 1500,
  },
  {
    name: "replicate: locks are never given up",
    file: `${REPLICATE}/locking.ts`,
    find: "await Promise.allSettled(pairs.map(({ lockee, index }) => lockee.drop(index)));",
    replace: "await Promise.resolve(pairs);",
    system: R3,
    seeds: 400,
  },
  {
    name: "replicate: a lock is waited for in any order",
    file: `${REPLICATE}/locking.ts`,
    find: "    await drop(taken());\n    answers = [];",
    replace: "    answers = [];",
    system: R3,
    seeds: 400,
  },
  {
    name: "replicate: nobody counts as blamed",
    file: `${REPLICATE}/blame.ts`,
    find: "told.some((marks) => (marks?.blames[index]?.[part] ?? 0) !== 0)",
    replace: "told.some((marks) => (marks?.blames[index]?.[part] ?? 0) < 0)",
    system: R3,
    seeds: 400,
  },
  {
    name: "replicate: an arbiter is read",
    file: `${REPLICATE}/blame.ts`,
    find: "soundBut(blamed).map((has, index) => has && index !== arbiter);",
    replace: "soundBut(blamed);",
    system: "arbiter-unhealed",
    seeds: 400,
  },
  {
    name: "replicate: an arbiter's names are always right",
    file: `${REPLICATE}/blame.ts`,
    find: "sound: soundBut(content),",
    replace: "sound: soundBut(content).map((has, index) => has || index === arbiter),",
    system: "arbiter-unhealed",
    seeds: 400,
  },
  {
    name: "replicate: marks of changes under way stay",
    file: `${REPLICATE}/marker.ts`,
    find: "this.#dirty[index] && !keep[index] ? -1 : 0;",
    replace: "this.#dirty[index] && !keep[index] ? 0 : 0;",
    system: R3,
    seeds: 400,
  },
  {
    name: "replicate: blames are not counted one by one",
    file: `${REPLICATE}/marker.ts`,
    find: "if (has && by !== index) this.#blames[by]![index] = true;",
    replace: "if (has && by === index) this.#blames[by]![index] = true;",
    system: R3,
    seeds: 400,
  },
  {
    name: "replicate: reads do not ask who is right",
    file: `${REPLICATE}/read.ts`,
    find:
      "return which.map((has, index) => has && this.copies.up[index]! && !state.isBehind(index));",
    replace: "return which.map((_, index) => this.copies.up[index]! || state.isBehind(index));",
    system: R3,
    seeds: 400,
  },
  {
    name: "replicate: a copy that may be behind tells what names there are",
    file: `${REPLICATE}/change.ts`,
    find: "this.#failure(late && !this.#good ? answers.filter(isOfBrick) : answers)",
    replace: "this.#failure(answers)",
    system: HEALED,
    seeds: 400,
  },
  {
    name: "replicate: who missed a name or an attribute is not blamed",
    file: `${REPLICATE}/change.ts`,
    find: "      this.#marker.blame(done.includes(true) ? done : clean, index);\n",
    replace: "",
    system: R3,
    seeds: 400,
  },
  {
    name: "replicate: who was away when a name changed is not blamed",
    file: `${REPLICATE}/change.ts`,
    find: "      if (has) return;\n      this.#miss(index);",
    replace: "      if (has || !this.#part[index]) return;\n      this.#miss(index);",
    system: R3,
    seeds: 400,
  },
  {
    name: "replicate: a file is cut on the first copy only",
    file: `${REPLICATE}/data.ts`,
    find: "const wind = (index: number) => this.copies.all[index]!.truncate(call, args);",
    replace: "const wind = (index: number) => this.copies.all[index * 0]!.truncate(call, args);",
    system: R3,
    seeds: 400,
  },
  {
    name: "replicate: nobody judges a write that copies failed",
    file: `${REPLICATE}/write.ts`,
    find: "      if (missed) failure = this.#judge(answers);\n",
    replace: "",
    system: R3,
    seeds: 400,
  },
  {
    name: "replicate: the last copy gets one byte of a write",
    file: `${REPLICATE}/data.ts`,
    find: "data: index === copies.arbiter ? ONE_BYTE : data,",
    replace: "data: index === copies.count - 1 ? ONE_BYTE : data,",
    system: R3,
    seeds: 400,
  },
  {
    name: "replicate: blames for data are written as blames for names",
    file: `${REPLICATE}/blame.ts`,
    find: "PARTS.forEach((part, index) => view.setInt32(index * 4,",
    replace: "PARTS.forEach((part, index) => view.setInt32((2 - index) * 4,",
    system: R3,
    seeds: 400,
  },
  {
    name: "replicate: marks are kept by the first copy only",
    file: `${REPLICATE}/marker.ts`,
    find: "const asked = on.flatMap((has, index) => has ? [index] : []);",
    replace: "const asked = on.flatMap((has, index) => has && index === 0 ? [index] : []);",
    system: R3,
    seeds: 400,
  },
  {
    name: "replicate: a change of attributes on too few copies leaves no mark",
    file: `${REPLICATE}/change.ts`,
    find: "      await this.#undo(answers);\n      await this.#doubt();\n",
    replace: "      await this.#undo(answers);\n",
    system: "replica-2-short",
    seeds: 400,
  },
  {
    name: "healer: nothing is copied",
    file: `${REPLICATE}/heal_data.ts`,
    find: "if (plan.ranges.length) await copyRanges(plan.copy, plan.ranges, plan.known);",
    replace: "",
    system: HEALED,
    seeds: 400,
  },
  {
    name: "healer: clean files stay on the index",
    file: `${REPLICATE}/heal_file.ts`,
    find: `if (need === "nothing") await unlist(set, inode, told);`,
    replace: "",
    system: HEALED,
    seeds: 400,
  },
  {
    name: "healer: attributes are left as they are",
    file: `${REPLICATE}/heal_file.ts`,
    find: `if ((parts.includes("metadata") || compared) &&`,
    replace: `if ((parts.length > 9 || compared) &&`,
    system: HEALED,
    seeds: 400,
  },
  {
    name: "healer: names are left as they are",
    file: `${REPLICATE}/heal_file.ts`,
    find: `if (isDirectory(stat) && names && only.has("entry")) {`,
    replace: `if (isDirectory(stat) && names && only.size > 9) {`,
    system: HEALED,
    seeds: 400,
  },
  // Performance layers.
  {
    name: "write-behind: a read does not wait for writes of what it reads",
    file: `${WRITE_BEHIND}/write_behind.ts`,
    find: "    await queue.settle(args.offset, args.size);\n",
    replace: "",
    system: WRITES_BEHIND,
    seeds: 400,
  },
  {
    name: "write-behind: attributes are answered before what was written is in them",
    file: `${WRITE_BEHIND}/write_behind.ts`,
    find: `new Set(["stat", "fstat", "seek", "rchecksum"]);`,
    replace: `new Set(["seek", "rchecksum"]);`,
    system: WRITES_BEHIND,
    seeds: 400,
  },
  {
    name: "write-behind: a name is looked up before its file is written",
    file: `${WRITE_BEHIND}/write_behind.ts`,
    find: "    if (args.inode) await this.#queues.get(args.inode)?.drain();\n",
    replace: "    return this.child.lookup(call, args);\n",
    system: WRITES_BEHIND,
    seeds: 400,
  },
  {
    name: "write-behind: a listing shows sizes from before writes",
    file: `${WRITE_BEHIND}/write_behind.ts`,
    find: "entry.stat && this.#queueSince(entry.stat.gfid, begun) ?",
    replace: "entry.stat && begun < 0 ?",
    system: WRITES_BEHIND,
    seeds: 400,
  },
  {
    name: "write-behind: a sync does not wait for writes",
    file: `${WRITE_BEHIND}/write_behind.ts`,
    find:
      "    const queue = this.#queues.get(args.fd.inode);\n    if (queue?.busy) await queue.drain();\n    const writer",
    replace: "    const writer",
    system: WRITES_BEHIND,
    seeds: 400,
  },
  {
    name: "write-behind: a write that failed is forgotten",
    file: `${WRITE_BEHIND}/queue.ts`,
    find: "    writer.failure ??= failure;\n",
    replace: "",
    system: WRITES_BEHIND,
    seeds: 400,
  },
  {
    name: "write-behind: a write overtakes one that it overlaps",
    file: `${WRITE_BEHIND}/queue.ts`,
    find: "if (other.offset < end && other.offset + other.length > chunk.offset) return true;",
    replace: "if (other.offset > end) return true;",
    system: WRITES_BEHIND,
    seeds: 400,
  },
  {
    name: "write-behind: the buffer of a write that was answered is still used",
    file: `${WRITE_BEHIND}/queue.ts`,
    find: "        data: data.slice(),",
    replace: "        data,",
    system: WRITES_BEHIND,
    seeds: 400,
  },
  {
    name: "md-cache: the client's own writes leave what is kept as it was",
    file: "xlators/performance/md-cache/md_cache.ts",
    find: `  "writev",\n  "ftruncate",`,
    replace: `  "ftruncate",`,
    system: "single-md-cache-short",
    seeds: 400,
  },
  // Another graph under open files.
  {
    name: "graph switch: files move before what was written to them is done",
    file: "core/graph_switch.ts",
    find: "      if (!directory) await this.#sync(opened);\n",
    replace: "",
    system: SWITCHED,
    seeds: 1000,
  },
  {
    name: "graph switch: what failed while files moved is not told",
    file: "core/graph_switch.ts",
    find: "      if (error instanceof FopError) opened.failure = error;\n",
    replace: "",
    system: SWITCHED,
    seeds: 1000,
  },
  {
    name: "graph switch: the new graph answers before the old one's writes are done",
    file: "core/graph_switch.ts",
    find: "    if (this.#syncs.size) {",
    replace: "    if (this.#syncs.size > 9999) {",
    system: SWITCHED,
    seeds: 1000,
  },
  {
    name: "graph switch: an old graph stops with fops under way",
    file: "core/graph_switch.ts",
    find: "|| on.stopping || on.inFlight || on.open.size) return;",
    replace: "|| on.stopping) return;",
    system: "single-managed-short",
    seeds: 1000,
  },
];
