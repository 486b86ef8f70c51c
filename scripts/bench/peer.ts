/**
 * The same unmodified fio against GlusterFS's brick and against ours, in turns: peer, ours, peer,
 * ours. Both sides get the same client volfile and the same list of translators in the brick, each
 * has a network and a mount namespace of its own, and the bricks lie on the same file system.
 */

// deno-lint-ignore-file no-console -- a command's output

import { parseArgs } from "node:util";
import { type BrickKind, cannotRun, Cluster } from "tests/e2e/harness.ts";
import type { Layout } from "tests/e2e/volfiles.ts";
import { type Figures, Fio, type FioOptions, layOut } from "./fio.ts";
import { type Machine, machine, machineText, median, short, table } from "./report.ts";

const USAGE = `Usage: deno task bench:peer [OPTION…]
  --rounds N      Measure every row N times on each side (5)
  --seconds N     Seconds for each measurement (5)
  --rows TEXT     Only rows whose name holds TEXT, such as "randread" or "replica 2"; may be repeated
  --performance   With the client-side caches that glusterd configures (write-behind, quick-read, …)
  --under DIR     Make the bricks there instead of in the directory for temporary files
  --out NAME      Write docs/bench/NAME.md and NAME.json (peer); "-": only print
  --help
`;

const SIDES: readonly BrickKind[] = ["glusterfsd", "ours"];
const FILE = "bench";

/** One row of the table. */
interface Row {
  readonly name: string;
  readonly layout: Layout;
  readonly fio: FioOptions;
}

function allRows(): Row[] {
  const rows: Row[] = [];
  for (const [layout, where] of [["one", "one brick"], ["replica", "replica 2"]] as const) {
    for (
      const [rw, bs] of [["randread", "4k"], ["randwrite", "4k"], ["read", "1m"], ["write", "1m"]]
    ) {
      for (const iodepth of [1, 16]) {
        const size = bs === "4k" ? "4 KiB" : "1 MiB";
        rows.push({
          name: `${where}, ${rw} ${size}, depth ${iodepth}`,
          layout,
          fio: { rw: rw!, bs: bs!, iodepth },
        });
      }
    }
  }
  return rows;
}

interface Measured {
  readonly row: string;
  readonly theirs: Figures[];
  readonly ours: Figures[];
}

/** All rounds of the rows of one layout; both clusters live throughout, one of them idle. */
async function measure(
  rows: readonly Row[],
  layout: Layout,
  { rounds, seconds, performance, under }: {
    rounds: number;
    seconds: number;
    performance: boolean;
    under: string | undefined;
  },
): Promise<Measured[]> {
  const start = (kind: BrickKind) =>
    Cluster.start({
      layout,
      kinds: [kind, kind],
      performance,
      ownMounts: true,
      ...(under === undefined ? {} : { under }),
    });
  await using peer = await start(SIDES[0]!);
  await using own = await start(SIDES[1]!);
  await Promise.all([layOut(peer, FILE), layOut(own, FILE)]);
  const waiting: { row: Row; theirs: Promise<Figures>[]; ours: Promise<Figures>[] }[] = rows.map(
    (row) => ({ row, theirs: [], ours: [] }),
  );
  for (let round = 1; round <= rounds; round++) {
    for (const { row, theirs, ours } of waiting) {
      for (const [cluster, results] of [[peer, theirs], [own, ours]] as const) {
        const options = { ...row.fio, filename: FILE, time_based: 1, runtime: seconds };
        const fio = new Fio(cluster, options);
        await fio.idle();
        results.push(fio.figures());
      }
      console.log(`round ${round}/${rounds}: ${row.name}`);
    }
  }
  return await Promise.all(waiting.map(async ({ row, theirs, ours }) => ({
    row: row.name,
    theirs: await Promise.all(theirs),
    ours: await Promise.all(ours),
  })));
}

function cells({ row, theirs, ours }: Measured): string[] {
  const of = (side: Figures[], key: keyof Figures) => median(side.map((each) => each[key]));
  // Neighbours in time are compared with each other: what else the machine did hit both.
  const ratios = theirs.map((each, round) => ours[round]!.iops / each.iops);
  const pair = (key: keyof Figures) => `${short(of(theirs, key))} / ${short(of(ours, key))}`;
  return [
    row,
    short(of(theirs, "iops")),
    short(of(ours, "iops")),
    `${short(median(ratios))} (${short(Math.min(...ratios))}-${short(Math.max(...ratios))})`,
    pair("p50"),
    pair("p99"),
    `${short(of(theirs, "cpu") * 1000)} / ${short(of(ours, "cpu") * 1000)}`,
    short(of(ours, "cpu") / of(theirs, "cpu")),
    String(theirs.length),
  ];
}

function reportText(measured: readonly Measured[], where: Machine, how: string): string {
  const heads = [
    "row",
    "IOPS theirs",
    "ours",
    "ratio (range)",
    "p50 µs theirs / ours",
    "p99 µs theirs / ours",
    "CPU ms per 1,000 theirs / ours",
    "CPU ratio",
    "n",
  ];
  return `# The same fio against GlusterFS and against us\n\n${machineText(where)}\n${how}\n\n` +
    table(heads, measured.map(cells)) +
    `\nRatios are ours / theirs: of IOPS above 1, of CPU below 1 is better for us. IOPS, p50, p99 and CPU ` +
    `are medians of n runs;\nthe ratio of IOPS is the median of n neighbouring pairs, with its range. CPU is ` +
    `user and system time of all brick processes.\nfio's gfapi_async sleeps 100 µs between looks for answers: at depth 1 that is most of what it measures.\n`;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      rounds: { type: "string", default: "5" },
      seconds: { type: "string", default: "5" },
      rows: { type: "string", multiple: true, default: [] },
      performance: { type: "boolean", default: false },
      under: { type: "string" },
      out: { type: "string", default: "peer" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  const reason = cannotRun("fio");
  if (reason) {
    console.error(`Cannot measure: ${reason}`);
    return 1;
  }
  const [rounds, seconds] = [Number(values.rounds), Number(values.seconds)];
  if (!(rounds >= 1 && seconds >= 1)) {
    console.error(USAGE);
    return 2;
  }
  const rows = allRows().filter(({ name }) =>
    values.rows.length === 0 || values.rows.some((text) => name.includes(text))
  );
  if (rows.length === 0) {
    console.error(`Cannot measure: no row holds "${values.rows.join('", "')}"`);
    return 2;
  }
  const where = await machine(values.under ?? (Deno.env.get("TMPDIR") ?? "/tmp"));
  const measured: Measured[] = [];
  for (const layout of ["one", "replica"] as const) {
    const some = rows.filter((row) => row.layout === layout);
    if (some.length === 0) continue;
    const { performance, under } = values;
    measured.push(...await measure(some, layout, { rounds, seconds, performance, under }));
  }
  const how = `\`deno task bench:peer --rounds ${rounds} --seconds ${seconds}` +
    `${
      values.performance ? " --performance" : ""
    }\`: fio's gfapi_async on a file of 128 MiB in the ` +
    `page cache,\nclient graph protocol/client, ${"cluster/replicate (replica 2), "}cluster/distribute` +
    `${
      values.performance ? ", utime, write-behind, open-behind, quick-read, md-cache" : ""
    }, io-stats; ` +
    `brick graph\nserver, io-stats, index, barrier, io-threads, upcall, read-only, worm, locks, ` +
    `access-control, posix on both sides.`;
  const text = reportText(measured, where, how);
  console.log(`\n${text}`);
  if (values.out !== "-") {
    const base = new URL(`../../docs/bench/${values.out}`, import.meta.url).pathname;
    await Deno.writeTextFile(`${base}.md`, text);
    await Deno.writeTextFile(
      `${base}.json`,
      JSON.stringify({ machine: where, rounds, seconds, measured }, null, 1) + "\n",
    );
  }
  return 0;
}

Deno.exit(await main());
