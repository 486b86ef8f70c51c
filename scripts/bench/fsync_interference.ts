/**
 * How long one client's cached 4 KiB reads take while another client writes 1 MiB at a time and calls
 * fsync after every 32nd write: GlusterFS's brick and ours, in turns.
 */

// deno-lint-ignore-file no-console -- a command's output

import { parseArgs } from "node:util";
import { type BrickKind, cannotRun, Cluster } from "tests/e2e/harness.ts";
import { type Figures, Fio, layOut } from "./fio.ts";
import { machine, machineText, median, short, table } from "./report.ts";

const USAGE = `Usage: deno run --allow-all scripts/bench/fsync_interference.ts [OPTION…]
  --rounds N      Measure N times on each side (5)
  --seconds N     Seconds for each measurement (6)
  --under DIR     Make the bricks there instead of in the directory for temporary files
  --out NAME      Write docs/bench/NAME.md and NAME.json (fsync-interference); "-": only print
  --help
`;

const SIDES: readonly (readonly [BrickKind, string])[] = [
  ["glusterfsd", "GlusterFS"],
  ["ours", "ours"],
];

interface Round {
  readonly alone: Figures;
  readonly beside: Figures;
  readonly writer: Figures;
}

/** Resolves when the bricks are idle again; the figures come when fio ends, ten seconds later. */
async function oneRound(cluster: Cluster, seconds: number): Promise<{ figures: Promise<Round> }> {
  const reads = { rw: "randread", bs: "4k", iodepth: 1, filename: "reads", time_based: 1 };
  const alone = new Fio(cluster, { ...reads, runtime: Math.ceil(seconds / 2) });
  await alone.idle();
  // The writer begins before the reader and ends after it.
  const writer = new Fio(cluster, {
    ...{ rw: "write", bs: "1m", iodepth: 1, filename: "writes", fsync: 32 },
    ...{ time_based: 1, runtime: seconds + 2, size: "512m" },
  });
  const beside = new Fio(cluster, { ...reads, startdelay: 1, runtime: seconds });
  await Promise.all([writer.idle(), beside.idle()]);
  const all = Promise.all([alone.figures(), beside.figures(), writer.figures()]);
  return { figures: all.then(([alone, beside, writer]) => ({ alone, beside, writer })) };
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      rounds: { type: "string", default: "5" },
      seconds: { type: "string", default: "6" },
      under: { type: "string" },
      out: { type: "string", default: "fsync-interference" },
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
  const rounds = Number(values.rounds), seconds = Number(values.seconds);
  const where = await machine(values.under ?? (Deno.env.get("TMPDIR") ?? "/tmp"));
  const start = (kind: BrickKind) =>
    Cluster.start({
      layout: "one",
      kinds: [kind],
      performance: false,
      ownMounts: true,
      ...(values.under === undefined ? {} : { under: values.under }),
    });
  await using peer = await start("glusterfsd");
  await using own = await start("ours");
  await Promise.all([layOut(peer, "reads"), layOut(own, "reads")]);
  const waiting: Promise<Round>[][] = [[], []];
  for (let round = 1; round <= rounds; round++) {
    for (const [side, cluster] of [peer, own].entries()) {
      waiting[side]!.push((await oneRound(cluster, seconds)).figures);
    }
    console.log(`round ${round}/${rounds}`);
  }
  const measured = await Promise.all(waiting.map((side) => Promise.all(side)));
  const rows = SIDES.map(([, name], side) => {
    const of = (pick: (round: Round) => number) => short(median(measured[side]!.map(pick)));
    return [
      name,
      of(({ alone }) => alone.p50),
      of(({ alone }) => alone.p99),
      of(({ beside }) => beside.p50),
      of(({ beside }) => beside.p99),
      of(({ beside }) => beside.worst),
      of(({ beside }) => beside.iops),
      of(({ writer }) => writer.iops),
      String(rounds),
    ];
  });
  const heads = [
    "brick",
    "p50 µs alone",
    "p99 µs alone",
    "p50 µs beside",
    "p99 µs beside",
    "worst µs beside",
    "reads/s beside",
    "writer MiB/s",
    "n",
  ];
  const text = `# Cached reads beside a writer that calls fsync\n\n${machineText(where)}\n` +
    `4 KiB random reads, depth 1, of a file of 128 MiB in the page cache, alone and beside another client ` +
    `that\nwrites 1 MiB at a time and calls fsync after every 32nd write; one brick, fio's gfapi_async, ` +
    `${seconds} s a run.\n\n${table(heads, rows)}\nMedians of n runs, peer and ours in turns.\n`;
  console.log(`\n${text}`);
  if (values.out !== "-") {
    const base = new URL(`../../docs/bench/${values.out}`, import.meta.url).pathname;
    await Deno.writeTextFile(`${base}.md`, text);
    const [theirs, ours] = measured;
    await Deno.writeTextFile(
      `${base}.json`,
      JSON.stringify({ machine: where, rounds, seconds, theirs, ours }, null, 1) + "\n",
    );
  }
  return 0;
}

Deno.exit(await main());
