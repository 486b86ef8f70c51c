/**
 * What snapshots cost: ours beside qcow2's internal snapshots, chains of qcow2 files, whole-file
 * reflinks on XFS and subvolumes of btrfs, on the same disk, in turns. Needs root (loop devices).
 */

// deno-lint-ignore-file no-console -- a command's output

import { parseArgs } from "node:util";
import { must } from "tests/e2e/process.ts";
import { machine, machineText, median, short, table } from "./report.ts";
import { BLOCK, Btrfs, Chain, Internal, Ours, Reflink, type System } from "./snapshot_systems.ts";

const USAGE = `Usage: deno run --allow-all scripts/bench/snapshot.ts [OPTION…]
  --rounds N     Measure N times, all systems in turns (3)
  --mib N        Size of the image (256)
  --blocks N     4 KiB blocks of one measurement (500)
  --under DIR    Make the file systems there instead of in the directory for temporary files
  --write        Write docs/bench/snapshot.md and snapshot.json
  --help
`;

/** Snapshots at which live reads and writes are measured; 1,000 only where that takes no minutes. */
const COUNTS = [0, 1, 16, 64] as const, MANY = 1000;
const DISK_BYTES = 24 * 2 ** 30;

/** A file system in a sparse file. */
class Disk implements AsyncDisposable {
  private constructor(readonly path: string, readonly image: string) {}

  static async make(kind: "xfs" | "btrfs", under: string): Promise<Disk> {
    const path = `${under}/${kind}`, image = `${under}/${kind}.img`;
    await Deno.mkdir(path);
    await must(["truncate", "-s", String(DISK_BYTES), image]);
    await must([`mkfs.${kind}`, "-q", image]);
    await must(["mount", "-o", "loop", image, path]);
    return new Disk(path, image);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await must(["umount", this.path]);
    await Deno.remove(this.image);
  }
}

/** All figures of one system; microseconds unless the name says otherwise. */
interface Figures {
  create: number[];
  createFragmented: number[];
  first: number[];
  again: number[];
  /** By the number of snapshots. */
  live: Map<number, { reads: number[]; writes: number[] }>;
  oldest: number[];
  remove: number[];
  metadata: { index: number; preserved: number } | undefined;
}

function noFigures(): Figures {
  return {
    ...{ create: [], createFragmented: [], first: [], again: [], oldest: [], remove: [] },
    ...{ live: new Map(), metadata: undefined },
  };
}

interface Plan {
  readonly rounds: number;
  readonly bytes: number;
  readonly blocks: number;
}

function offsets({ bytes, blocks }: Plan): number[] {
  const all = new Set<number>();
  while (all.size < blocks) all.add(Math.floor(Math.random() * (bytes / BLOCK)) * BLOCK);
  return [...all];
}

async function measureRound(system: System, figures: Figures, plan: Plan): Promise<void> {
  figures.create.push(await system.create());
  const some = offsets(plan);
  figures.first.push(median(await system.write(some)));
  figures.again.push(median(await system.write(some)));
  if (system.readOldest) figures.oldest.push(median(await system.readOldest(offsets(plan))));
  figures.createFragmented.push(await system.create());
}

async function measureCounts(
  system: System,
  figures: Figures,
  plan: Plan,
  count: number,
  taken: number,
): Promise<void> {
  for (let more = taken; more < count; more++) {
    await system.create();
    await system.write(offsets({ ...plan, blocks: 8 }));
  }
  const some = offsets(plan);
  // What was preserved before is not measured again: a second write finds it done.
  await system.write(some);
  const writes = median(await system.write(some)), reads = median(await system.read(offsets(plan)));
  figures.live.set(count, { reads: [reads], writes: [writes] });
}

function report(all: ReadonlyMap<System, Figures>): string {
  const ms = (times: readonly number[]) => times.length ? short(median(times) / 1000) : "-";
  const us = (times: readonly number[]) => times.length ? short(median(times)) : "-";
  const ratio = (a: readonly number[], b: readonly number[]) =>
    a.length && b.length ? short(median(a) / median(b)) : "-";
  const rows = [...all].map(([{ name }, f]) => {
    const none = f.live.get(0)!;
    const at = (count: number, what: "reads" | "writes") => {
      const found = f.live.get(count);
      return found ? ratio(found[what], none[what]) : "-";
    };
    return [
      ...[name, ms(f.create), ms(f.createFragmented), us(f.first), us(f.again)],
      ...[ratio(f.first, f.again), ratio(f.oldest, none.reads), ms(f.remove)],
      ...[at(64, "reads"), at(64, "writes"), at(MANY, "reads"), at(MANY, "writes")],
      f.metadata ? `${short(100 * f.metadata.index / f.metadata.preserved)} %` : "-",
    ];
  });
  const heads = [
    ...["system", "create ms", "create after random writes ms", "first write µs", "rewrite µs"],
    ...["first / rewrite", "oldest read / live", "delete ms"],
    ...["read, 64 / 0", "write, 64 / 0", `read, ${MANY} / 0`, `write, ${MANY} / 0`],
    "index / old data",
  ];
  return table(heads, rows);
}

const NOTES = `
Writes and reads of 4 KiB at random places, one at a time, from the page cache; medians. Ours: the
layers of a brick in one process, no network. qcow2: \`qemu-io\` with a write-back cache; creating
and deleting snapshots of qcow2, reflinks and subvolumes includes the start of the program that does
it. "64 / 0": with 64 snapshots against none. Index: the whole database file against old data kept.
`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      rounds: { type: "string", default: "3" },
      mib: { type: "string", default: "256" },
      blocks: { type: "string", default: "500" },
      under: { type: "string" },
      write: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  if (Deno.uid() !== 0) {
    console.error("Cannot measure: loop devices need root");
    return 1;
  }
  const plan = {
    rounds: Number(values.rounds),
    bytes: Number(values.mib) * 2 ** 20,
    blocks: Number(values.blocks),
  };
  const place = await Deno.makeTempDir({
    prefix: "mt-bench-snapshot-",
    ...(values.under === undefined ? {} : { dir: values.under }),
  });
  try {
    const where = await machine(place);
    const all = await measure(place, plan);
    const text = `${machineText(where)}\n${report(all)}${NOTES}`;
    console.log(text);
    if (values.write) {
      const of = ([{ name }, figures]: [System, Figures]) => {
        const live = Object.fromEntries(figures.live);
        return { name, ...figures, live };
      };
      const json = JSON.stringify({ machine: where, plan, systems: [...all].map(of) }, null, 2);
      await Deno.writeTextFile("docs/bench/snapshot.json", `${json}\n`);
      await Deno.writeTextFile("docs/bench/snapshot.md", `# What snapshots cost\n\n${text}`);
    }
    return 0;
  } finally {
    await Deno.remove(place, { recursive: true });
  }
}

async function measure(place: string, plan: Plan): Promise<Map<System, Figures>> {
  await using xfs = await Disk.make("xfs", place);
  await using btrfs = await Disk.make("btrfs", place);
  await using ended = new AsyncDisposableStack();
  const systems: System[] = [
    new Ours(xfs.path, "strict"),
    new Ours(xfs.path, "relaxed"),
    new Internal(`${xfs.path}/internal`),
    new Chain(`${xfs.path}/chain`),
    new Reflink(`${xfs.path}/reflink`),
    new Btrfs(btrfs.path),
  ];
  const all = new Map(systems.map((system) => [ended.use(system), noFigures()]));
  for (const [system, figures] of all) {
    await system.fill(plan.bytes);
    await measureCounts(system, figures, plan, 0, 0);
  }
  for (let round = 0; round < plan.rounds; round++) {
    for (const [system, figures] of all) await measureRound(system, figures, plan);
    console.error(`round ${round + 1}/${plan.rounds}`);
  }
  let taken = 2 * plan.rounds;
  for (const count of [...COUNTS.slice(1), MANY].filter((count) => count > taken)) {
    for (const [system, figures] of all) {
      if (count === MANY && !(system instanceof Ours)) continue;
      await measureCounts(system, figures, plan, count, taken);
    }
    taken = count;
    console.error(`${count} snapshots`);
  }
  for (const [system, figures] of all) {
    for (let round = 0; round < plan.rounds; round++) {
      figures.remove.push(await system.removeOldest());
    }
    figures.metadata = await system.metadata?.();
  }
  return all;
}

if (import.meta.main) Deno.exit(await main());
