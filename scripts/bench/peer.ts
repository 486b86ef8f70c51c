/**
 * The same load on GlusterFS and on us, in turns: peer, ours, peer, ours. First unmodified fio by
 * libgfapi against the bricks: both sides get the same client volfile and the same list of
 * translators in the brick, each has a network and a mount namespace of its own, and the bricks lie
 * on the same file system. Then mounts (`mount.ts`): their client on their bricks, ours on ours. Then
 * NBD (`nbd.ts`): qemu-nbd and ours.
 */

// deno-lint-ignore-file no-console -- a command's output

import { parseArgs } from "node:util";
import { type BrickKind, cannotRun, Cluster } from "tests/e2e/harness.ts";
import type { Layout } from "tests/e2e/volfiles.ts";
import { measureMounts, mountRowNames, mountTable } from "./mount.ts";
import { measureNbd, nbdRowNames, nbdTable } from "./nbd.ts";
import { type Figures, Fio, type FioOptions, layOut } from "./fio.ts";
import { type Machine, machine, machineText, median, short, table } from "./report.ts";

const USAGE = `Usage: deno task bench:peer [OPTION…]
  --rounds N      Measure every row N times on each side (5)
  --seconds N     Seconds for each measurement (5)
  --files N       Small files on mounts (10000)
  --rows TEXT     Only rows whose name holds TEXT, such as "randread", "replica 2", "mount" or "nbd";
                  may be repeated
  --performance   With the client-side caches that glusterd configures (write-behind, quick-read, …)
  --under DIR     Make the bricks there instead of in the directory for temporary files
  --write         Keep the figures: docs/bench/peer.md, mount.md and nbd.md, with .json
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
      files: { type: "string", default: "10000" },
      rows: { type: "string", multiple: true, default: [] },
      performance: { type: "boolean", default: false },
      under: { type: "string" },
      write: { type: "boolean", default: false },
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
  const files = Number(values.files);
  if (!(rounds >= 1 && seconds >= 1 && files >= 1)) {
    console.error(USAGE);
    return 2;
  }
  const wanted = (name: string) =>
    values.rows.length === 0 || values.rows.some((text) => name.includes(text));
  const rows = allRows().filter(({ name }) => wanted(name));
  const mounts = mountRowNames(files).some(wanted);
  const nbd = nbdRowNames().some(wanted);
  if (rows.length === 0 && !mounts && !nbd) {
    console.error(`Cannot measure: no row holds "${values.rows.join('", "')}"`);
    return 2;
  }
  const where = await machine(values.under ?? (Deno.env.get("TMPDIR") ?? "/tmp"));
  const { performance, under, write } = values;
  const named = values.rows.map((row) => ` --rows '${row}'`).join("");
  const command =
    `\`deno task bench:peer --rounds ${rounds} --seconds ${seconds} --files ${files}` +
    `${named}${performance ? " --performance" : ""}\``;
  const facts = { machine: where, rounds, seconds };
  if (rows.length) {
    const measured: Measured[] = [];
    for (const layout of ["one", "replica"] as const) {
      const some = rows.filter((row) => row.layout === layout);
      if (some.length === 0) continue;
      measured.push(...await measure(some, layout, { rounds, seconds, performance, under }));
    }
    const text = reportText(measured, where, `${command}: ${graphsText(performance)}`);
    await report("peer", text, { ...facts, measured }, write);
  }
  if (mounts) {
    const tell = (line: string) => console.log(line);
    const measured = await measureMounts({ rounds, seconds, files, under, wanted }, tell);
    const text = `# Our mount and GlusterFS's\n\n${machineText(where)}\n${command}\n\n` +
      mountTable(measured, seconds);
    await report("mount", text, { ...facts, measured }, write);
  }
  if (nbd) {
    const tell = (line: string) => console.log(line);
    const measured = await measureNbd({ rounds, seconds, wanted }, tell);
    const text =
      `# Our NBD server and qemu-nbd\n\n${machineText(where)}\n${command}: fio's nbd engine ` +
      `on a file of 128 MiB in the page cache, by unix sockets.\n\n${nbdTable(measured)}`;
    await report("nbd", text, { ...facts, measured }, write);
  }
  return 0;
}

function graphsText(performance: boolean): string {
  return `fio's gfapi_async on a file of 128 MiB in the page cache,\n` +
    `client graph protocol/client, cluster/replicate (replica 2), cluster/distribute` +
    `${performance ? ", utime, write-behind, open-behind, quick-read, md-cache" : ""}, io-stats; ` +
    `brick graph\nserver, io-stats, index, barrier, io-threads, upcall, read-only, worm, locks, ` +
    `access-control, posix on both sides.`;
}

async function report(name: string, text: string, facts: unknown, write: boolean): Promise<void> {
  console.log(`\n${text}`);
  if (!write) return;
  const base = new URL(`../../docs/bench/${name}`, import.meta.url).pathname;
  await Deno.writeTextFile(`${base}.md`, text);
  await Deno.writeTextFile(`${base}.json`, JSON.stringify(facts, null, 1) + "\n");
}

Deno.exit(await main());
