/**
 * Our NBD server beside qemu-nbd on the same bytes, by fio's engine for NBD, in turns. Ours twice: with
 * the brick's layers in its own process, and as a client of a volume whose brick is another process.
 */

import { DaemonProcess } from "tests/e2e/daemon.ts";
import { ManagedNode, NODE_HOST } from "tests/e2e/managed_node.ts";
import { cpuSeconds, must, Process, run, until } from "tests/e2e/process.ts";
import { MORTAR } from "tests/e2e/program.ts";
import { reportOf } from "./fio.ts";
import { median, short, table } from "./report.ts";

const FILE = "disk", SIZE_MIB = 128;
const DEPTHS = [1, 16] as const;

/** What one run measured: operations a second, µs, CPU seconds of the servers for 1,000 operations. */
export interface NbdFigures {
  readonly iops: number;
  readonly p50: number;
  readonly cpu: number;
}

/** A row's runs, in the order they were made. */
export interface NbdMeasured {
  readonly row: string;
  readonly theirs: NbdFigures[];
  readonly ours: NbdFigures[];
}

/** How to measure. */
export interface NbdOptions {
  readonly rounds: number;
  readonly seconds: number;
  readonly wanted: (row: string) => boolean;
}

const PLACES = ["brick in its process", "volume of one brick"] as const;
type Place = typeof PLACES[number];

/** What fio is to do. */
export interface NbdWork {
  readonly rw: string;
  readonly bs: string;
  readonly depth: number;
}
interface Row extends NbdWork {
  readonly name: string;
  readonly place: Place;
}

function allRows(): Row[] {
  return PLACES.flatMap((place) =>
    [["randread", "4k"], ["randwrite", "4k"], ["read", "1m"], ["write", "1m"]].flatMap((
      [rw, bs],
    ) =>
      DEPTHS.map((depth) => ({
        name: `nbd, ${place}, ${rw} ${bs === "4k" ? "4 KiB" : "1 MiB"}, depth ${depth}`,
        ...{ place, rw: rw!, bs: bs!, depth },
      }))
    )
  );
}

/** What rows there are. */
export function nbdRowNames(): string[] {
  return allRows().map(({ name }) => name);
}

/** A server under load: where it is, and the processes whose work it is. */
export interface Served {
  readonly socket: string;
  readonly pids: readonly number[];
}

/** One run of fio on the export `disk` of a server, over its first `mib`. */
export async function nbdFio(
  { socket, pids }: Served,
  row: NbdWork,
  seconds: number,
  mib = SIZE_MIB,
): Promise<NbdFigures> {
  const used = () => pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
  const before = used();
  const out = await must([
    ...["fio", "--name=bench", "--ioengine=nbd", `--uri=nbd+unix:///${FILE}?socket=${socket}`],
    ...[`--rw=${row.rw}`, `--bs=${row.bs}`, `--iodepth=${row.depth}`, `--size=${mib}m`],
    ...["--time_based=1", `--runtime=${seconds}`, "--randrepeat=0", "--norandommap=1"],
    "--output-format=json",
  ], { timeoutMs: 600_000 });
  const { iops, p50, operations } = reportOf(out);
  return { iops, p50, cpu: (used() - before) / operations * 1000 };
}

/** Resolves when a server serves the export `disk` there. */
export async function nbdListens(socket: string): Promise<void> {
  await until("qemu-nbd listens", async () => {
    return (await run(["nbdinfo", `nbd+unix:///${FILE}?socket=${socket}`])).code === 0;
  });
}

/** All rounds of all wanted rows. */
export async function measureNbd(
  { rounds, seconds, wanted }: NbdOptions,
  tell: (line: string) => void,
): Promise<NbdMeasured[]> {
  const rows = allRows().filter(({ name }) => wanted(name));
  await using node = await ManagedNode.start();
  const { dir } = node, raw = `${dir}/raw`;
  await must(["dd", "if=/dev/urandom", `of=${raw}`, "bs=1M", `count=${SIZE_MIB}`]);
  for (const name of ["near", "far"]) {
    await node.volume(name, 1);
    const put = [MORTAR, "file", "put", raw, `${NODE_HOST}:${name}/${FILE}`];
    await must(node.space.inside(put), { env: { DENO: Deno.execPath() } });
  }
  await node.must("volume stop near");
  await Deno.writeTextFile(`${dir}/near.vol`, nearGraph(`${dir}/near-0`));
  const [theirs, near, far] = ["theirs", "near", "far"].map((name) => `${dir}/${name}.sock`);
  const qemu = new Process([
    ...["qemu-nbd", "-f", "raw", "-t", "-e", "16", "-x", FILE, "-k", theirs!],
    ...["--cache=writeback", "--aio=threads", raw],
  ], `${dir}/qemu-nbd.log`);
  const serve = async (...words: string[]) => {
    const server = new DaemonProcess(["nbd", ...words], {}, (argv) => node.space.inside(argv));
    await server.said(/ serving /);
    return server;
  };
  try {
    await using own = await serve(
      ...["--volfile", `${dir}/near.vol`, "--export", `${FILE}=/${FILE}`, "--socket", near!],
    );
    await using remote = await serve(
      ...["--export", `${FILE}=${NODE_HOST}:far/${FILE}`, "--socket", far!],
    );
    await nbdListens(theirs!);
    const [brick] = await node.bricks("far");
    const peer: Served = { socket: theirs!, pids: [qemu.pid] };
    const ours: Record<Place, Served> = {
      "brick in its process": { socket: near!, pids: [own.pid] },
      "volume of one brick": { socket: far!, pids: [remote.pid, brick!.pid] },
    };
    const measured: NbdMeasured[] = rows.map(({ name }) => ({ row: name, theirs: [], ours: [] }));
    for (let round = 1; round <= rounds; round++) {
      for (const [index, row] of rows.entries()) {
        measured[index]!.theirs.push(await nbdFio(peer, row, seconds));
        measured[index]!.ours.push(await nbdFio(ours[row.place], row, seconds));
        tell(`round ${round}/${rounds}: ${row.name}`);
      }
    }
    return measured;
  } finally {
    await qemu.end();
  }
}

/** The layers that a file's data passes in a brick: those that store it, and keep its snapshots. */
function nearGraph(brick: string): string {
  return [
    `volume posix\n type storage/posix\n option directory ${brick}\nend-volume\n`,
    `volume snapshot\n type features/snapshot\n option directory ${brick}\n subvolumes posix\nend-volume\n`,
  ].join("\n");
}

/** The figures as a table. */
export function nbdTable(measured: readonly NbdMeasured[]): string {
  const of = (side: readonly NbdFigures[], key: keyof NbdFigures) =>
    short(median(side.map((each) => each[key]) as number[]));
  const rows = measured.map(({ row, theirs, ours }) => {
    const ratios = theirs.map((each, at) => ours[at]!.iops / each.iops);
    const range = `${short(Math.min(...ratios))}-${short(Math.max(...ratios))}`;
    return [
      ...[row, of(theirs, "iops"), of(ours, "iops"), `${short(median(ratios))} (${range})`],
      ...(["p50", "cpu"] as const).map((key) => `${of(theirs, key)} / ${of(ours, key)}`),
      String(theirs.length),
    ];
  });
  const heads = ["row", "IOPS qemu-nbd", "ours", "ratio (range)", "p50 µs qemu-nbd / ours"];
  return table([...heads, "CPU s per 1,000 qemu-nbd / ours", "n"], rows) +
    "\nRatios are ours / theirs: above 1 is better for us. Medians of n runs; the ratio is the median " +
    "of n neighbouring\npairs, with its range. CPU is user and system time of the servers, the brick's " +
    "process included.\n";
}
