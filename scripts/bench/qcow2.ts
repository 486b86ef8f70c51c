/**
 * The qcow2 library against QEMU's own programs, in turns on the same image in the page cache:
 * a whole image to a plain file beside `qemu-img convert -O raw`, 4 KiB reads all over the disk by the
 * same client from `qemu-nbd` and from `mortar nbd`, and the opening of a sparse disk of one tebibyte.
 */

// deno-lint-ignore-file no-console -- a command's output

import { parseArgs } from "node:util";
import { type Image, openImage } from "snapshot/qcow2/image.ts";
import { openLocalFile } from "snapshot/qcow2/local_file.ts";
import { DaemonProcess } from "tests/e2e/daemon.ts";
import { ManagedNode, NODE_HOST } from "tests/e2e/managed_node.ts";
import { must, Process } from "tests/e2e/process.ts";
import { MORTAR } from "tests/e2e/program.ts";
import { type NbdFigures, nbdFio, nbdListens } from "./nbd.ts";
import { type Machine, machine, machineText, median, short, table } from "./report.ts";

const USAGE = `Usage: deno run --allow-all scripts/bench/qcow2.ts [OPTION…]
  --rounds N   Measure N times on each side (5)
  --seconds N  How long fio reads in each (3)
  --mib N      Size of the image that is read (512)
  --under DIR  Make the images there instead of in the directory for temporary files
  --write      Replace docs/bench/qcow2.md and qcow2.json
  --help
`;

const MIB = 1 << 20;

async function run(program: string, args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, { args }).output();
  if (!success) throw new Error(`${program}: ${new TextDecoder().decode(stderr)}`);
}

function open(path: string): Promise<Image> {
  return openImage({ store: openLocalFile(path), id: path, path });
}

/** Wall time, and what this process and its children used of the processors, both in seconds. */
interface Took {
  readonly wall: number;
  readonly cpu: number;
}

async function timed(body: () => Promise<unknown>): Promise<Took> {
  const before = cpuSeconds(), started = performance.now();
  await body();
  return { wall: (performance.now() - started) / 1000, cpu: cpuSeconds() - before };
}

// utime, stime, cutime and cstime of this process (proc(5)), in ticks of 10 ms.
function cpuSeconds(): number {
  const fields = Deno.readTextFileSync("/proc/self/stat").split(") ")[1]!.split(" ");
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks) / 100, 0);
}

async function exportRaw(path: string, to: string): Promise<void> {
  const image = await open(path);
  await Deno.remove(to).catch(() => {});
  const out = openLocalFile(to, { create: true });
  const buffers = [new Uint8Array(MIB), new Uint8Array(MIB)], { disk } = image;
  // One piece is written while the next is read.
  let writing: Promise<void> = Promise.resolve();
  for (let at = 0, turn = 0; at < disk.size; at += MIB, turn++) {
    const part = buffers[turn % 2]!.subarray(0, Math.min(MIB, disk.size - at));
    await disk.read(at, part);
    await writing;
    writing = out.write(at, part);
  }
  await writing;
  await out.close();
  await image.close();
}

function rate(work: number, took: readonly Took[]): number[] {
  return took.map(({ wall }) => work / wall);
}

/** A figure of both sides, in pairs that were measured one after the other. */
interface Row {
  readonly what: string;
  readonly unit: string;
  readonly theirs: readonly number[];
  readonly ours: readonly number[];
  /** Processor seconds for the same work. */
  readonly cpu: readonly [theirs: number, ours: number];
}

async function sequential({ folder, mib, rounds }: Wanted): Promise<Row> {
  const theirs: Took[] = [], ours: Took[] = [];
  for (let round = 0; round <= rounds; round++) {
    const a = await timed(() =>
      run("qemu-img", ["convert", "-O", "raw", `${folder}/a.qcow2`, `${folder}/theirs.raw`])
    );
    const b = await timed(() => exportRaw(`${folder}/a.qcow2`, `${folder}/ours.raw`));
    // The first round warms what is compiled and cached.
    if (round) [theirs.push(a), ours.push(b)];
  }
  const cpu = (took: readonly Took[]) => median(took.map((each) => each.cpu));
  return {
    what: "whole image to a plain file, against qemu-img convert",
    unit: "MiB/s",
    ...{ theirs: rate(mib, theirs), ours: rate(mib, ours), cpu: [cpu(theirs), cpu(ours)] },
  };
}

// The image in a brick's directory, and the layer that shows what is in it, in one process.
async function random({ folder, mib, rounds, seconds }: Wanted): Promise<Row[]> {
  await using node = await ManagedNode.start();
  await node.volume("v", 1);
  const put = [MORTAR, "file", "put", `${folder}/a.qcow2`, `${NODE_HOST}:v/a.qcow2`];
  await must(node.space.inside(put), { env: { DENO: Deno.execPath() } });
  await node.must("volume stop v");
  const graph = `${node.dir}/tree.vol`, sockets = [`${node.dir}/theirs`, `${node.dir}/ours`];
  await Deno.writeTextFile(
    graph,
    `volume posix\n type storage/posix\n option directory ${node.dir}/v-0\nend-volume\n` +
      "volume tree\n type features/qcow2\n subvolumes posix\nend-volume\n",
  );
  await using own = new DaemonProcess([
    ...["nbd", "--read-only", "--volfile", graph, "--socket", sockets[1]!],
    ...["--export", "disk=/.qcow2/images/a.qcow2/disk.raw"],
  ]);
  await own.said(/ serving /);
  const qemu = new Process([
    ...["qemu-nbd", "-r", "-t", "-e", "64", "-x", "disk", "-f", "qcow2", "-k", sockets[0]!],
    `${node.dir}/v-0/a.qcow2`,
  ], `${node.dir}/qemu-nbd.log`);
  try {
    await nbdListens(sockets[0]!);
    const rows: Row[] = [];
    for (const depth of [1, 16]) {
      const work = { rw: "randread", bs: "4k", depth };
      const theirs: NbdFigures[] = [], ours: NbdFigures[] = [];
      for (let round = 0; round <= rounds; round++) {
        const a = await nbdFio({ socket: sockets[0]!, pids: [qemu.pid] }, work, seconds, mib);
        const b = await nbdFio({ socket: sockets[1]!, pids: [own.pid] }, work, seconds, mib);
        if (round) [theirs.push(a), ours.push(b)];
      }
      const of = (side: readonly NbdFigures[], key: "iops" | "cpu") =>
        side.map((each) => each[key]);
      rows.push({
        what: `4 KiB random reads by NBD, ${depth} at a time, against qemu-nbd`,
        unit: "IOPS",
        ...{ theirs: of(theirs, "iops"), ours: of(ours, "iops") },
        cpu: [median(of(theirs, "cpu")), median(of(ours, "cpu"))],
      });
    }
    return rows;
  } finally {
    await qemu.end();
  }
}

async function opening({ folder, rounds }: Wanted): Promise<string> {
  const path = `${folder}/sparse.qcow2`;
  await run("qemu-img", ["create", "-q", "-f", "qcow2", path, "1T"]);
  await run("qemu-io", ["-c", "write -q 0 64k", "-c", "write -q 600G 64k", path]);
  const times: number[] = [];
  // The code is there already: what counts is what an image costs.
  const before = Deno.memoryUsage().rss;
  for (let round = 0; round < Math.max(5, rounds); round++) {
    const started = performance.now();
    const image = await open(path);
    await image.disk.read(600 * 2 ** 30, new Uint8Array(4096));
    times.push(performance.now() - started);
    await image.close();
  }
  const grown = (Deno.memoryUsage().rss - before) / MIB;
  return `Opening a sparse disk of one tebibyte and reading from it: ${short(median(times))} ms, ` +
    `the first time ${short(times[0]!)} ms; ${times.length} times took ${
      short(grown)
    } MiB of memory.`;
}

function reportText(rows: readonly Row[], opened: string, where: Machine, how: string): string {
  const cells = rows.map(({ what, unit, theirs, ours, cpu }) => {
    // Neighbours in time are compared with each other: what else the machine did hit both.
    const ratios = theirs.map((each, round) => ours[round]! / each);
    return [
      ...[what, unit, short(median(theirs)), short(median(ours))],
      `${short(median(ratios))} (${short(Math.min(...ratios))}-${short(Math.max(...ratios))})`,
      `${short(cpu[0])} / ${short(cpu[1])}`,
      String(theirs.length),
    ];
  });
  const heads = ["row", "unit", "QEMU", "ours", "ratio (range)", "CPU QEMU / ours", "n"];
  return `# qcow2 images: QEMU's programs and us\n\n${machineText(where)}\n${how}\n\n` +
    `${table(heads, cells)}\n${opened}\n\n` +
    "Ratios are ours / QEMU's: above 1 is better for us. Figures are medians of n runs; the ratio is " +
    "the median of n\nneighbouring pairs, with its range. CPU is in seconds, user and system: of the " +
    "first row for the whole image, of the\nothers that of the server for 1,000 reads.\n";
}

/** What is to be measured. */
interface Wanted {
  readonly folder: string;
  readonly mib: number;
  readonly rounds: number;
  readonly seconds: number;
}

async function makeImage({ folder, mib }: Wanted): Promise<void> {
  const raw = await Deno.open(`${folder}/noise.raw`, { write: true, create: true });
  const noise = crypto.getRandomValues(new Uint8Array(65536));
  for (let at = 0; at < mib * 16; at++) {
    noise[0] = at;
    await raw.write(noise);
  }
  raw.close();
  const [from, to] = [`${folder}/noise.raw`, `${folder}/a.qcow2`];
  await run("qemu-img", ["convert", "-O", "qcow2", from, to]);
  await Deno.remove(from);
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      rounds: { type: "string", default: "5" },
      seconds: { type: "string", default: "3" },
      mib: { type: "string", default: "512" },
      under: { type: "string" },
      write: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return console.log(USAGE);
  const { under, write, ...numbers } = values;
  const rounds = Number(numbers.rounds), mib = Number(numbers.mib);
  const seconds = Number(numbers.seconds);
  const where = await machine(under ?? (Deno.env.get("TMPDIR") ?? "/tmp"));
  const folder = await Deno.makeTempDir({ prefix: "qc-bench-", ...under ? { dir: under } : {} });
  try {
    const wanted = { folder, rounds, mib, seconds };
    const opened = await opening(wanted);
    await makeImage(wanted);
    const rows = [await sequential(wanted), ...await random(wanted)];
    const how =
      `\`deno task bench:qcow2 --rounds ${rounds} --seconds ${seconds} --mib ${mib}\`: an ` +
      `image of ${mib} MiB, all of it allocated, in the page cache;\nfio's nbd engine by unix sockets.`;
    const text = reportText(rows, opened, where, how);
    console.log(`\n${text}`);
    if (!write) return;
    const base = new URL("../../docs/bench/qcow2", import.meta.url).pathname;
    await Deno.writeTextFile(`${base}.md`, text);
    const facts = { machine: where, rounds, seconds, mib, opened, rows };
    await Deno.writeTextFile(`${base}.json`, JSON.stringify(facts, null, 1) + "\n");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

await main();
