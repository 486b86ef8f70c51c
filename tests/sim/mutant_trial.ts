/**
 * Plants bugs and plays seeds until one finds them. A mutant is one piece of text of one module,
 * replaced: the module's patched copy lies in a temporary directory, an import map sends exactly its
 * name there, and the seeds are played in a process of their own (`mutant_player.ts`).
 */

import type { Found } from "tests/sim/mutant_player.ts";
import type { Mutant } from "tests/sim/mutants.ts";
import { play } from "tests/sim/scenario.ts";
import { systemNamed } from "tests/sim/systems_all.ts";

/** How a mutant fared. */
export type Trial =
  | { readonly fate: "caught"; readonly seed: number; readonly what: string }
  | { readonly fate: "missed"; readonly what: string };

const SEEDS = new URL("mutant_seeds.txt", import.meta.url);
/** A planted bug may make a run go round for ever. */
const LONGEST_MS = 600_000;

/** Seeds known to find planted bugs, by the bugs' names. */
export function knownSeeds(): Map<string, number> {
  const lines = Deno.readTextFileSync(SEEDS).split("\n");
  return new Map(
    lines.filter((line) => /^\d/.test(line)).map((line) => {
      const [seed] = line.split(" ", 1);
      return [line.slice(seed!.length + 1), Number(seed)];
    }),
  );
}

/** Writes down which seed finds which bug. */
export function keepSeeds(seeds: ReadonlyMap<string, number>): void {
  const lines = [...seeds].map(([name, seed]) => `${seed} ${name}\n`);
  const head = "# A seed that finds each planted bug. Written by deno task sim:mutants --write.\n";
  Deno.writeTextFileSync(SEEDS, head + lines.join(""));
}

/** Tries all of them, `jobs` at once; the answers are in the order of `mutants`. */
export function tryMutants(mutants: readonly Mutant[], jobs: number): Promise<Trial>[] {
  const known = knownSeeds(), waiting = mutants.map(() => Promise.withResolvers<Trial>());
  let next = 0;
  const lane = async () => {
    while (next < mutants.length) {
      const index = next++, mutant = mutants[index]!;
      await tryMutant(mutant, known.get(mutant.name)).then(
        waiting[index]!.resolve,
        waiting[index]!.reject,
      );
    }
  };
  // Who asks for an answer later hears of it then.
  for (const { promise } of waiting) promise.catch(() => {});
  for (let job = 0; job < jobs; job++) void lane();
  return waiting.map(({ promise }) => promise);
}

/** Plays the seed that is known to find the bug, then others until one does. */
async function tryMutant(mutant: Mutant, known: number | undefined): Promise<Trial> {
  const source = await Deno.readTextFile(mutant.file);
  if (source.split(mutant.find).length !== 2) {
    const what = `is not planted: its text must be in ${mutant.file} once, which it is not`;
    return { fate: "missed", what: `${what}; bring tests/sim/mutants.ts up to date` };
  }
  const directory = await Deno.makeTempDir({ prefix: "sim-mutant-" });
  try {
    const patched = `${directory}/mutant.ts`, map = `${directory}/imports.json`;
    await Deno.writeTextFile(patched, source.replace(mutant.find, () => mutant.replace));
    await Deno.writeTextFile(map, JSON.stringify(await patchedImports(mutant.file, patched)));
    return await search(mutant, map, known);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

// A seed that fails without the bug, too, finds nothing.
async function search(mutant: Mutant, map: string, known: number | undefined): Promise<Trial> {
  const anyway: number[] = [];
  for (;;) {
    const { seed, what } = await playMutant(mutant, map, known, anyway);
    if (seed === undefined) {
      return { fate: "missed", what: `lives: none of ${mutant.seeds} seeds finds it. ${what}` };
    }
    const { failure } = await play(systemNamed(mutant.system), seed);
    if (failure === undefined) return { fate: "caught", seed, what };
    anyway.push(seed);
  }
}

async function playMutant(
  { system, seeds }: Mutant,
  map: string,
  known: number | undefined,
  anyway: readonly number[],
): Promise<Found> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--allow-all",
      "--no-check",
      "--no-lock",
      "--no-config",
      `--import-map=${map}`,
      "tests/sim/mutant_player.ts",
      JSON.stringify({ system, seeds, known, anyway }),
    ],
    stdin: "null",
    signal: AbortSignal.timeout(LONGEST_MS),
  }).output();
  const text = new TextDecoder();
  // A process that could not even start has found nothing.
  if (code !== 0) return { seed: undefined, what: text.decode(stderr) };
  return JSON.parse(text.decode(stdout)) as Found;
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
