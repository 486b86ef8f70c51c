/**
 * What snapshots cost: ours beside qcow2's internal snapshots, chains of qcow2 files, whole-file
 * reflinks on XFS and subvolumes of btrfs, on the same disk, in turns. Needs root (loop devices).
 */

// deno-lint-ignore-file no-console -- a command's output

import { parseArgs } from "node:util";
import { must } from "tests/e2e/process.ts";
import { machine, machineText, median, short, table } from "./report.ts";
import { promises, type Row } from "./snapshot_promises.ts";
import { BLOCK, Btrfs, Chain, Internal, Ours, Reflink, type System } from "./snapshot_systems.ts";
import { AtClient, Daemon } from "./snapshot_volume.ts";

const USAGE = `Usage: deno run --allow-all scripts/bench/snapshot.ts [OPTION…]
  --rounds N     Measure N times, all systems in turns (3)
  --mib N        Size of the image (256)
  --blocks N     4 KiB blocks of one measurement (500)
  --under DIR    Make the file systems there instead of in the directory for temporary files
  --write        Write docs/bench/snapshot.md and snapshot.json
  --help
`;

/** Snapshots at which live reads and writes are measured; 1,000 only where that takes no minutes. */
const COUNTS = [0, 1, 16, 64] as const;
/** Writes under way at a time. */
const DEEP = 16;
/** Of the blocks of one measurement, this part is written with an fsync after each. */
const SYNCED_PART = 5;
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
  /** With some under way at a time. */
  firstDeep: number[];
  againDeep: number[];
  /** With an fsync after each. */
  firstSynced: number[];
  againSynced: number[];
  /** By the number of snapshots. */
  live: Map<number, { reads: number[]; writes: number[] }>;
  oldest: number[];
  remove: number[];
}

function noFigures(): Figures {
  return {
    ...{ create: [], createFragmented: [], first: [], again: [], oldest: [], remove: [] },
    ...{ live: new Map(), firstDeep: [], againDeep: [], firstSynced: [], againSynced: [] },
  };
}

interface Plan {
  readonly rounds: number;
  readonly bytes: number;
  readonly blocks: number;
  readonly many: number;
}

function deep(system: System, offsets: readonly number[]): Promise<number[][]> {
  const parts = Array.from({ length: DEEP }, (_, n) => offsets.filter((_, i) => i % DEEP === n));
  return Promise.all(parts.map((part) => system.write(part)));
}

function offsets({ bytes, blocks }: Plan): number[] {
  const all = new Set<number>();
  while (all.size < blocks) all.add(Math.floor(Math.random() * (bytes / BLOCK)) * BLOCK);
  return [...all];
}

// All systems share a disk: none waits for what another one wrote.
async function atRest(): Promise<void> {
  await must(["sync"]);
}

async function measureRound(system: System, figures: Figures, plan: Plan): Promise<void> {
  await atRest();
  figures.create.push(await system.create());
  const some = offsets(plan);
  figures.first.push(median(await system.write(some)));
  figures.again.push(median(await system.write(some)));
  if (system.readOldest) figures.oldest.push(median(await system.readOldest(offsets(plan))));
  await atRest();
  figures.createFragmented.push(await system.create());
  if (!system.concurrent) return;
  const others = offsets(plan);
  figures.firstDeep.push(median((await deep(system, others)).flat()));
  figures.againDeep.push(median((await deep(system, others)).flat()));
  if (!system.writeSynced) return;
  const written = new Set(others), blocks = Math.ceil(plan.blocks / SYNCED_PART);
  const few = offsets({ ...plan, blocks }).filter((at) => !written.has(at));
  figures.firstSynced.push(median(await system.writeSynced(few)));
  figures.againSynced.push(median(await system.writeSynced(few)));
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

function report(all: ReadonlyMap<System, Figures>, { many }: Plan): string {
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
      ...[ratio(f.first, f.again), us(f.firstDeep), ratio(f.firstDeep, f.againDeep)],
      ...[us(f.firstSynced), us(f.againSynced), ratio(f.firstSynced, f.againSynced)],
      ...[ratio(f.oldest, none.reads), ms(f.remove)],
      ...[at(64, "reads"), at(64, "writes"), at(many, "reads"), at(many, "writes")],
    ];
  });
  const heads = [
    ...["system", "create ms", "create after random writes ms", "first write µs", "rewrite µs"],
    ...["first / rewrite", `first, ${DEEP} at a time`, `first / rewrite, ${DEEP}`],
    ...["first write and fsync µs", "rewrite and fsync µs", "first / rewrite, with fsync"],
    ...["oldest read / live", "delete ms"],
    ...["read, 64 / 0", "write, 64 / 0", `read, ${many} / 0`, `write, ${many} / 0`],
  ];
  return table(heads, rows);
}

const NOTES = `
Writes and reads of 4 KiB at random places, one at a time, from the page cache; medians. Ours: the
layers of a brick in one process, no network; at a client: our client, TCP, a brick's process, and
orders to the daemon. With fsync: each write is followed by one. qcow2: \`qemu-io\` with a write-back
cache; creating and deleting snapshots of qcow2, reflinks and subvolumes includes the start of the
program that does it. "64 / 0": with 64 snapshots against none. XFS and btrfs are made in files; ours
and qcow2 are on that XFS. With a load average above 0.5 something else was running: times are too
long then.
`;

const PROMISED = `
A daemon, a volume of one brick with durability \`strict\`, our client with one write at a time; medians.
Commands include the start of their process. Index: a brick's layers in one process, the database when
that much was overwritten, 16 blocks of 4 KiB at a time, and nobody writes any more. All on XFS in a
file.
`;

interface Kept {
  systems?: string;
  promises?: { where: string; rows: Row[] };
}

const REPORT = "docs/bench/snapshot";

// What was measured at another time is what it was.
async function write(change: (kept: Kept) => object): Promise<void> {
  const text = await Deno.readTextFile(`${REPORT}.json`).catch(() => "{}");
  const before = JSON.parse(text) as Kept, kept: Kept = { ...before, ...change(before) };
  await Deno.writeTextFile(`${REPORT}.json`, `${JSON.stringify(kept, null, 2)}\n`);
  const sections = [
    ...kept.systems === undefined ? [] : [kept.systems],
    ...kept.promises === undefined ? [] : [promised(kept.promises)],
  ];
  await Deno.writeTextFile(`${REPORT}.md`, `# What snapshots cost\n\n${sections.join("\n")}`);
}

function promised({ where, rows }: NonNullable<Kept["promises"]>): string {
  const heads = ["what", "measured", "promised"];
  return `## What was promised\n\n${where}${table(heads, rows)}${PROMISED}`;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      rounds: { type: "string", default: "3" },
      mib: { type: "string", default: "256" },
      blocks: { type: "string", default: "500" },
      under: { type: "string" },
      many: { type: "string", default: "1000" },
      part: { type: "string" },
      long: { type: "boolean", default: false },
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
    many: Number(values.many),
  };
  const place = await Deno.makeTempDir({
    prefix: "mt-bench-snapshot-",
    ...(values.under === undefined ? {} : { dir: values.under }),
  });
  try {
    const where = `${machineText(await machine(place))}\n`;
    if ((values.part ?? "systems") === "systems") {
      const all = await measure(place, plan);
      const much = `${plan.rounds} rounds, ${plan.blocks} blocks of ${values.mib} MiB each.\n\n`;
      const text = `## Side by side\n\n${where}${much}${report(all, plan)}${NOTES}`;
      console.log(text);
      const of = ([{ name }, figures]: [System, Figures]) => {
        const live = Object.fromEntries(figures.live);
        return { name, ...figures, live };
      };
      const figures = { systems: text, plan, figures: [...all].map(of) };
      if (values.write) await write(() => figures);
    }
    if (values.part !== "systems") {
      const rows = await measurePromises(place, values.long, values.part);
      console.log(promised({ where, rows }));
      if (values.write) {
        await write(({ promises }) => ({
          promises: { where, rows: merged(promises?.rows, rows) },
        }));
      }
    }
    return 0;
  } finally {
    await Deno.remove(place, { recursive: true });
  }
}

async function measurePromises(
  place: string,
  long: boolean,
  only: string | undefined,
): Promise<Row[]> {
  await using xfs = await Disk.make("xfs", place);
  return await promises(xfs.path, { long }, only);
}

function merged(before: readonly Row[] = [], now: readonly Row[]): Row[] {
  const rows = new Map([...before, ...now].map((row) => [row[0], row]));
  return [...rows.values()].sort(([one], [other]) =>
    one.localeCompare(other, "en", { numeric: true })
  );
}

async function measure(place: string, plan: Plan): Promise<Map<System, Figures>> {
  await using xfs = await Disk.make("xfs", place);
  await using btrfs = await Disk.make("btrfs", place);
  await using daemon = await Daemon.start(`${xfs.path}/daemon`);
  await using ended = new AsyncDisposableStack();
  const systems: System[] = [
    new Ours(xfs.path, "strict"),
    new Ours(xfs.path, "relaxed"),
    new AtClient(daemon, "strict"),
    new AtClient(daemon, "relaxed"),
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
  for (const count of [...COUNTS.slice(1), plan.many].filter((count) => count > taken)) {
    for (const [system, figures] of all) {
      if (count > 64 && !(system instanceof Ours)) continue;
      await measureCounts(system, figures, plan, count, taken);
    }
    taken = count;
    console.error(`${count} snapshots`);
  }
  for (const [system, figures] of all) {
    for (let round = 0; round < plan.rounds; round++) {
      await atRest();
      figures.remove.push(await system.removeOldest());
    }
  }
  return all;
}

if (import.meta.main) Deno.exit(await main());
