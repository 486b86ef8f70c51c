/**
 * Our mount on our bricks against GlusterFS's mount on its own: two copies, default options, the same
 * load on both in turns. The clients' graphs are those that glusterd, and our daemon, write for a volume
 * without options.
 */

import { type BrickKind, Cluster } from "tests/e2e/harness.ts";
import { must } from "tests/e2e/process.ts";
import { reportOf } from "./fio.ts";
import { healThroughput } from "./heal.ts";
import { type Cpu, cpuSince, Mounted } from "./mounted.ts";
import { median, short, table } from "./report.ts";

const DRIVER = new URL("./small_files.py", import.meta.url).pathname;
/** How often the mounts take turns in a row of fio. */
const TURNS = 4;
/** Of a round that is not measured: mounts are in use for weeks, and ours compiles what runs often. */
const WARM_UP = { turns: 1, files: 2000 };
/** Of the driver. */
const PER_DIRECTORY = 1000;
/** Small enough for the page cache, too many to be read twice in one measurement. */
const SIZE_ALONE = "512m", SIZE_EACH = "32m";
const DEPTHS = [1, 16] as const;
const FORGOTTEN_MS = 2000;
const HEAL = "mount, heal of 1 GiB";

/** What one run measured; times in microseconds, CPU in seconds for 1,000 operations. */
export interface MountFigures extends Cpu {
  /** Operations (of a heal: MiB) a second. */
  readonly rate: number;
  /** Of one operation; 0: not measured. */
  readonly p50: number;
}

/** A row's runs on both sides, in the order they were made. */
export interface MountMeasured {
  readonly row: string;
  readonly theirs: MountFigures[];
  readonly ours: MountFigures[];
}

/** How to measure. */
export interface MountOptions {
  readonly rounds: number;
  readonly seconds: number;
  /** How many small files. */
  readonly files: number;
  readonly under: string | undefined;
  readonly wanted: (row: string) => boolean;
}

interface Side {
  readonly kind: BrickKind;
  readonly cluster: Cluster;
}

/** One turn: its operations, the time they took, and the median time of one in microseconds. */
interface Turn {
  readonly count: number;
  readonly seconds: number;
  readonly p50: number;
}

/** Machines change within seconds: mounts take short turns, each first in every other. Of `p50` the median counts. */
async function inTurns(
  mounts: readonly Mounted[],
  turns: number,
  measure: (mounted: Mounted, turn: number) => Promise<Turn>,
): Promise<MountFigures[]> {
  const sides = mounts.map((mounted) => ({ mounted, before: mounted.cpu(), made: [] as Turn[] }));
  for (let turn = 0; turn < turns; turn++) {
    for (const { mounted, made } of turn % 2 ? sides.toReversed() : sides) {
      made.push(await measure(mounted, turn));
    }
  }
  return sides.map(({ mounted, before, made }) => {
    const sum = (key: "count" | "seconds") => made.reduce((all, each) => all + each[key], 0);
    const count = sum("count"), p50 = median(made.map((each) => each.p50));
    return figures(count / sum("seconds"), p50, count, cpuSince(before, mounted.cpu()));
  });
}

/** How much one measurement does: turns of fio, or small files. */
interface Extent {
  readonly turns: number;
  readonly files: number;
}

/** One row: measures each of the mounts, the first one first, and answers in that order. */
interface Row {
  readonly name: string;
  measure(mounts: readonly Mounted[], extent: Extent): Promise<MountFigures[]>;
}

function fioRow(rw: string, bs: string, depth: 1 | 16, seconds: number): Row {
  const writes = rw.endsWith("write");
  return {
    name: `mount, ${rw} ${bs === "4k" ? "4 KiB" : "1 MiB"}, depth ${depth}`,
    measure: (mounts, { turns }) =>
      inTurns(mounts, turns, async (mounted) => {
        await warm(mounted, depth);
        // What was read is in the kernel's cache: each block is read once. What is written always comes.
        const time = writes ? ["--time_based=1", "--norandommap=1"] : [];
        const out = await fio(mounted, depth, [
          `--rw=${rw}`,
          `--bs=${bs}`,
          `--runtime=${seconds}`,
          "--randrepeat=0",
          ...time,
        ]);
        const { iops, p50, operations } = reportOf(out);
        return { count: operations, seconds: operations / iops, p50 };
      }),
  };
}

// Kernels may take pages of files back that nobody used for a minute (DAMON does): who comes first after
// that would read from the disk what the other finds in memory.
async function warm({ cluster }: Mounted, depth: 1 | 16): Promise<void> {
  for (const { path } of cluster.bricks) {
    await cluster.must(["sh", "-c", `cat "$0"/fio-${depth}-* > /dev/null`, path]);
  }
}

function fio({ cluster, path }: Mounted, depth: 1 | 16, more: string[]): Promise<string> {
  const argv = ["fio", "--name=bench", `--directory=${path}`, "--output-format=json", "--thread"];
  argv.push("--ioengine=psync", `--numjobs=${depth}`, "--group_reporting");
  argv.push(`--filename_format=fio-${depth}-$jobnum`);
  argv.push(`--size=${depth === 1 ? SIZE_ALONE : SIZE_EACH}`, ...more);
  return cluster.must(argv, { timeoutMs: 600_000 });
}

// Files that are there before: writes go into what is allocated.
async function layOut({ kind, cluster }: Side): Promise<void> {
  await using mounted = await Mounted.of(cluster, kind);
  for (const depth of DEPTHS) await fio(mounted, depth, ["--rw=write", "--bs=1m"]);
}

function smallFilesRow(phase: string, all: number): Row {
  return {
    name: `mount, ${phase} ${all.toLocaleString("en")} files`,
    async measure(mounts, { files }) {
      for (const mounted of mounts) await warmSmall(mounted);
      // What kernel and clients remember is good for a second.
      await new Promise((done) => setTimeout(done, FORGOTTEN_MS));
      const turns = Math.ceil(files / PER_DIRECTORY);
      const found = await inTurns(mounts, turns, async ({ path }, turn) => {
        const first = turn * PER_DIRECTORY, count = Math.min(PER_DIRECTORY, files - first);
        const argv = ["python3", DRIVER, phase, smallOf(path), String(count), String(first)];
        const out = await must(argv, { timeoutMs: 600_000 });
        const [rate, p50] = out.trim().split(" ").map(Number);
        return { count, seconds: count / rate!, p50: p50! };
      });
      if (phase === "unlink") {
        for (const { path } of mounts) await must(["rm", "-r", smallOf(path)]);
      }
      return found;
    },
  };
}

// As `warm`: what bricks keep of small files, attributes and links by gfid included.
async function warmSmall({ cluster }: Mounted): Promise<void> {
  const script = 'find "$0" -type f -size -9 -exec cat {} + && getfattr -R -h -d -m - "$0"';
  for (const { path } of cluster.bricks) {
    await cluster.must(["sh", "-c", `{ ${script}; } > /dev/null`, path]);
  }
}

function smallOf(mount: string): string {
  return `${mount}/small`;
}

async function heal({ kind, cluster }: Side): Promise<MountFigures> {
  const { mebibytes, seconds, healer, bricks } = await healThroughput(cluster, kind);
  return figures(mebibytes / seconds, 0, mebibytes, { client: healer, bricks });
}

function figures(rate: number, p50: number, count: number, { client, bricks }: Cpu): MountFigures {
  return { rate, p50, client: client / count * 1000, bricks: bricks / count * 1000 };
}

function rowsOf(seconds: number, files: number): Row[] {
  const rows: Row[] = [];
  for (
    const [rw, bs] of [["randread", "4k"], ["randwrite", "4k"], ["read", "1m"], ["write", "1m"]]
  ) {
    for (const depth of DEPTHS) rows.push(fioRow(rw!, bs!, depth, seconds));
  }
  for (const phase of ["create", "stat", "read", "readdir", "unlink"]) {
    rows.push(smallFilesRow(phase, files));
  }
  return rows;
}

/** Names of all rows. */
export function mountRowNames(files: number): string[] {
  return [...rowsOf(0, files).map(({ name }) => name), HEAL];
}

/** All rounds; both clusters live throughout, one of them idle, and for all rows but the heal's so do the mounts. */
export async function measureMounts(
  { rounds, seconds, files, under, wanted }: MountOptions,
  tell: (line: string) => void,
): Promise<MountMeasured[]> {
  const start = (kind: BrickKind) =>
    Cluster.start({
      layout: "replica",
      kinds: [kind, kind],
      performance: kind === "ours" ? "ours" : true,
      ...(under ? { under } : {}),
    });
  await using peer = await start("glusterfsd");
  await using own = await start("ours");
  const sides: readonly [Side, Side] = [
    { kind: "glusterfsd", cluster: peer },
    { kind: "ours", cluster: own },
  ];
  // Small files that one phase leaves are the next one's.
  const all = rowsOf(seconds, files);
  const small = all.some(({ name }) => isSmall(name) && wanted(name));
  const rows = all.filter(({ name }) => wanted(name) || small && (isFirst(name) || isLast(name)));
  if (rows.some(({ name }) => !isSmall(name))) {
    for (const side of sides) await layOut(side);
  }
  const names = [...rows.map(({ name }) => name), ...(wanted(HEAL) ? [HEAL] : [])];
  const measured = names.map((row): MountMeasured => ({ row, theirs: [], ours: [] }));
  const note = (round: number, index: number, one: MountFigures, two: MountFigures) => {
    const { row, theirs, ours } = measured[index]!;
    theirs.push(one);
    ours.push(two);
    tell(`round ${round}/${rounds}: ${row}: ${short(two.rate / one.rate)}`);
  };
  if (rows.length) {
    await using theirs = await Mounted.of(peer, "glusterfsd");
    await using ours = await Mounted.of(own, "ours");
    for (const row of rows) await row.measure([theirs, ours], WARM_UP);
    for (let round = 1; round <= rounds; round++) {
      // Who comes second may find other memory, and another disk, than who comes first.
      const order = round % 2 === 1 ? [theirs, ours] : [ours, theirs];
      for (const [index, row] of rows.entries()) {
        const found = await row.measure(order, { turns: TURNS, files });
        const of = (mounted: Mounted) => found[order.indexOf(mounted)]!;
        note(round, index, of(theirs), of(ours));
      }
    }
  }
  for (let round = 1; wanted(HEAL) && round <= rounds; round++) {
    note(round, rows.length, await heal(sides[0]), await heal(sides[1]));
  }
  return measured.filter(({ row }) => wanted(row));
}

function isSmall(row: string): boolean {
  return row.endsWith(" files");
}

// Of small files: what makes them, and what takes them away.
function isFirst(row: string): boolean {
  return isSmall(row) && row.startsWith("mount, create ");
}

function isLast(row: string): boolean {
  return isSmall(row) && row.startsWith("mount, unlink ");
}

/** The table, and what it means. */
export function mountTable(measured: readonly MountMeasured[], seconds: number): string {
  const cells = ({ row, theirs, ours }: MountMeasured) => {
    const of = (side: MountFigures[], key: keyof MountFigures) => median(side.map((x) => x[key]));
    const ratios = theirs.map((each, round) => ours[round]!.rate / each.rate);
    const cpu = (key: "client" | "bricks") =>
      `${short(of(theirs, key) * 1000)} / ${short(of(ours, key) * 1000)}`;
    const p50 = of(theirs, "p50") ? `${short(of(theirs, "p50"))} / ${short(of(ours, "p50"))}` : "-";
    return [
      row,
      short(of(theirs, "rate")),
      short(of(ours, "rate")),
      `${short(median(ratios))} (${short(Math.min(...ratios))}-${short(Math.max(...ratios))})`,
      p50,
      cpu("client"),
      cpu("bricks"),
      String(theirs.length),
    ];
  };
  const heads = [
    "row",
    "per second theirs",
    "ours",
    "ratio (range)",
    "p50 µs theirs / ours",
    "CPU ms per 1,000 client theirs / ours",
    "bricks theirs / ours",
    "n",
  ];
  return table(heads, measured.map(cells)) +
    `\nTheir mount on two of their bricks, ours on two of ours, default options on both sides: medians of n ` +
    `runs,\nthe ratio that of neighbouring pairs with its range. The mounts, which live through all rounds, had ` +
    `a short run of\neach row before that is not measured (${WARM_UP.turns} turn, ${WARM_UP.files} files). fio: ` +
    `psync through the page cache, 1 thread on a file\nof ${SIZE_ALONE} or 16 threads on ${SIZE_EACH} each, the ` +
    `mounts in ${TURNS} turns of at most ${seconds} s, from bricks that have them in the\npage cache; each block ` +
    `is read once. Small files: 4 KiB, 1,000 in a directory, one Python thread, the mounts in\nturns by the ` +
    `directory, 2 s and bricks in the page cache between phases: what was remembered is not valid any\nmore; ` +
    `readdir with attributes. Heal: 1 GiB that a brick has nothing of, from its first byte until the index is\n` +
    `empty, in MiB; the client is the healer.\n`;
}
