/**
 * Planted bugs: a simulator that none of them trips over proves nothing.
 *
 * A mutant is one piece of text of one module, replaced. The module's patched copy lies in a temporary
 * directory; an import map sends exactly its name there, and the seeds are played in a process of their
 * own. The text must be there exactly once: who changes that line brings the mutant up to date.
 */

/** One planted bug. */
export interface Mutant {
  /** What is wrong with it, in a few words; unique. */
  readonly name: string;
  /** Path of the module. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
  /** The system that must fail. */
  readonly system: string;
  /** Seeds from `from` (1) on in which it must fail. */
  readonly seeds: number;
  readonly from?: number;
}

const REPLICATE = "xlators/cluster/replicate";
const R3 = "replica-3-unhealed", HEALED = "replica-3";

/** See the head of this file. */
export const MUTANTS: readonly Mutant[] = [
  // The test double, and what it stands on.
  {
    name: "toy: changes are not locked",
    file: "tests/sim/toy.ts",
    find: `type: reads ? "read" : "write",`,
    replace: `type: "read",`,
    system: "toy",
    seeds: 50,
  },
  {
    name: "toy: copies are not compared",
    file: "tests/sim/toy.ts",
    find: "if (reads && new Set(",
    replace: "if (!reads && new Set(",
    system: "toy",
    seeds: 100,
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
    seeds: 50,
  },
  {
    name: "cluster/distribute: a directory is laid out over no subvolume",
    file: "xlators/cluster/distribute/heal.ts",
    find: "if (!now.some(({ ok }) => ok)) throw ENOTCONN;",
    replace: "",
    system: "distribute",
    seeds: 20,
    from: 560,
  },
  // cluster/replicate.
  {
    name: "replicate: a write is answered before absent copies are blamed",
    file: `${REPLICATE}/write.ts`,
    find: "if (!failure) await this.#blameAbsent(answers);",
    replace: "",
    system: R3,
    seeds: 150,
  },
  {
    name: "replicate: who failed a write is not blamed",
    file: `${REPLICATE}/write.ts`,
    find: "    this.#marker.blame(done, index);\n",
    replace: "",
    system: R3,
    seeds: 150,
  },
  {
    name: "replicate: a third of the copies is a quorum",
    file: `${REPLICATE}/copies.ts`,
    find: ": count * 2 > this.count;",
    replace: ": count * 3 >= this.count;",
    system: R3,
    seeds: 150,
  },
  {
    name: "replicate: what fails with a write is not told",
    file: `${REPLICATE}/write.ts`,
    find: "    if (failure) throw failure;\n    return answers;",
    replace: "    return answers;",
    system: R3,
    seeds: 150,
  },
  {
    name: "replicate: nothing is synced before marks are taken off",
    file: `${REPLICATE}/write.ts`,
    find: `if (this.#unstable && this.#copies.values["ensure-durability"]) await this.#sync();`,
    replace: "",
    system: HEALED,
    seeds: 60,
  },
  {
    name: "replicate: writes share the lock of the file",
    file: `${REPLICATE}/locking.ts`,
    find: `take: (index, wait) => ask(index, wait ? "set-wait" : "set", "write"),`,
    replace: `take: (index, wait) => ask(index, wait ? "set-wait" : "set", "read"),`,
    system: R3,
    seeds: 150,
  },
  {
    name: "replicate: locks are never given up",
    file: `${REPLICATE}/locking.ts`,
    find: "await Promise.allSettled(pairs.map(({ lockee, index }) => lockee.drop(index)));",
    replace: "await Promise.resolve(pairs);",
    system: R3,
    seeds: 20,
  },
  {
    name: "replicate: a lock is waited for in any order",
    file: `${REPLICATE}/locking.ts`,
    find: "    await drop(taken());\n    answers = [];",
    replace: "    answers = [];",
    system: R3,
    seeds: 50,
  },
  {
    name: "replicate: nobody counts as blamed",
    file: `${REPLICATE}/blame.ts`,
    find: "told.some((marks) => (marks?.blames[index]?.[part] ?? 0) !== 0)",
    replace: "told.some((marks) => (marks?.blames[index]?.[part] ?? 0) < 0)",
    system: R3,
    seeds: 150,
  },
  {
    name: "replicate: an arbiter is read",
    file: `${REPLICATE}/blame.ts`,
    find: "witness !== undefined && !witness.bad && !blamed[index] && index !== arbiter\n",
    replace: "witness !== undefined && !witness.bad && !blamed[index]\n",
    system: "arbiter-unhealed",
    seeds: 50,
  },
  {
    name: "replicate: marks of changes under way stay",
    file: `${REPLICATE}/marker.ts`,
    find: "this.#dirty[index] && !keep[index] ? -1 : 0;",
    replace: "this.#dirty[index] && !keep[index] ? 0 : 0;",
    system: R3,
    seeds: 50,
  },
  {
    name: "replicate: blames are not counted one by one",
    file: `${REPLICATE}/marker.ts`,
    find: "if (has && by !== index) this.#blames[by]![index] = true;",
    replace: "if (has && by === index) this.#blames[by]![index] = true;",
    system: R3,
    seeds: 150,
  },
  {
    name: "replicate: reads do not ask who is right",
    file: `${REPLICATE}/read.ts`,
    find:
      "return which.map((has, index) => has && this.copies.up[index]! && !state.isBehind(index));",
    replace: "return which.map((_, index) => this.copies.up[index]! || state.isBehind(index));",
    system: R3,
    seeds: 150,
  },
  {
    name: "replicate: one copy's word on a name is believed",
    file: `${REPLICATE}/lookup.ts`,
    find: "return told.includes(true) && (!copies.quorumOn || copies.hasQuorum(told));",
    replace: "return told.includes(true);",
    system: R3,
    seeds: 100,
  },
  {
    name: "replicate: who missed a name or an attribute is not blamed",
    file: `${REPLICATE}/change.ts`,
    find: "      this.#marker.blame(done.includes(true) ? done : clean, index);\n",
    replace: "",
    system: R3,
    seeds: 60,
  },
  {
    name: "replicate: who was away when a name changed is not blamed",
    file: `${REPLICATE}/change.ts`,
    find: "      if (has) return;\n      this.#miss(index);",
    replace: "      if (has || !this.#part[index]) return;\n      this.#miss(index);",
    system: R3,
    seeds: 60,
  },
  {
    name: "replicate: a file is cut on the first copy only",
    file: `${REPLICATE}/data.ts`,
    find: "const wind = (index: number) => this.copies.all[index]!.truncate(call, args);",
    replace: "const wind = (index: number) => this.copies.all[index * 0]!.truncate(call, args);",
    system: R3,
    seeds: 50,
  },
  {
    name: "replicate: a reply is from a copy that failed",
    file: `${REPLICATE}/write.ts`,
    find: "    if (failedAlike(answers)) return failureOf(answers);\n",
    replace: "    if (answers.some((answer) => answer?.ok === false)) return undefined;\n",
    system: R3,
    seeds: 150,
  },
  {
    name: "replicate: the last copy gets one byte of a write",
    file: `${REPLICATE}/data.ts`,
    find: "data: index === copies.arbiter ? ONE_BYTE : data,",
    replace: "data: index === copies.count - 1 ? ONE_BYTE : data,",
    system: R3,
    seeds: 20,
  },
  {
    name: "replicate: blames for data are written as blames for names",
    file: `${REPLICATE}/blame.ts`,
    find: "PARTS.forEach((part, index) => view.setInt32(index * 4,",
    replace: "PARTS.forEach((part, index) => view.setInt32((2 - index) * 4,",
    system: R3,
    seeds: 150,
  },
  {
    name: "replicate: marks are kept by the first copy only",
    file: `${REPLICATE}/marker.ts`,
    find: "const asked = on.flatMap((has, index) => has ? [index] : []);",
    replace: "const asked = on.flatMap((has, index) => has && index === 0 ? [index] : []);",
    system: R3,
    seeds: 20,
  },
  {
    name: "replicate: a change of attributes on too few copies leaves no mark",
    file: `${REPLICATE}/change.ts`,
    find: "if (marked || !done.includes(true)) return;",
    replace: "if (marked || done.includes(true)) return;",
    system: "replica-2",
    seeds: 30,
    from: 100,
  },
  {
    name: "healer: nothing is copied",
    file: `${REPLICATE}/heal_data.ts`,
    find: "if (plan.ranges.length) await copyRanges(plan.copy, plan.ranges, plan.known);",
    replace: "",
    system: HEALED,
    seeds: 40,
  },
  {
    name: "healer: clean files stay on the index",
    file: `${REPLICATE}/heal_file.ts`,
    find: `if (need === "nothing") await unlist(set, inode, told);`,
    replace: "",
    system: HEALED,
    seeds: 40,
  },
  {
    name: "healer: attributes are left as they are",
    file: `${REPLICATE}/heal_file.ts`,
    find: `if (parts.includes("metadata")) outcomes.push(`,
    replace: `if (parts.length > 9) outcomes.push(`,
    system: HEALED,
    seeds: 40,
  },
  {
    name: "healer: names are left as they are",
    file: `${REPLICATE}/heal_file.ts`,
    find: `if (isDirectory(stat) && (parts.includes("entry") ||`,
    replace: `if (isDirectory(stat) && (parts.length > 9 ||`,
    system: HEALED,
    seeds: 40,
  },
];

/** How a mutant fared. */
export type Fate = "killed" | "survived" | "stale";

/** Plays a mutant's seeds; `output` is what the run printed. */
export async function tryMutant(mutant: Mutant): Promise<{ fate: Fate; output: string }> {
  const source = await Deno.readTextFile(mutant.file);
  if (source.split(mutant.find).length !== 2) return { fate: "stale", output: "" };
  const directory = await Deno.makeTempDir({ prefix: "sim-mutant-" });
  try {
    const patched = `${directory}/mutant.ts`, map = `${directory}/imports.json`;
    await Deno.writeTextFile(patched, source.replace(mutant.find, () => mutant.replace));
    await Deno.writeTextFile(map, JSON.stringify(await patchedImports(mutant.file, patched)));
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--allow-all",
        "--no-check",
        "--no-lock",
        "--no-config",
        `--import-map=${map}`,
        "tests/sim/run.ts",
        `--system=${mutant.system}`,
        `--from=${mutant.from ?? 1}`,
        `--seeds=${mutant.seeds}`,
        "--failures=1",
      ],
      stdin: "null",
    }).output();
    const output = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    // A run that could not even start has killed nothing.
    const found = code === 1 && output.includes(` on ${mutant.system} fails at `);
    return { fate: found ? "killed" : "survived", output };
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

// The project's import map with full paths, and one module sent elsewhere.
async function patchedImports(file: string, patched: string) {
  const { imports } = JSON.parse(await Deno.readTextFile("deno.json")) as {
    imports: Record<string, string>;
  };
  const root = `file://${Deno.cwd()}`;
  const full = Object.entries(imports).map(([name, to]) =>
    [name, to.startsWith("./") ? `${root}/${to.slice(2)}` : to] as const
  );
  return { imports: { ...Object.fromEntries(full), [file]: `file://${patched}` } };
}
