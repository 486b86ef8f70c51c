/**
 * The qcow2 library against QEMU's own programs, in turns on the same image in the page cache:
 * a whole image to a plain file beside `qemu-img convert -O raw`, 4 KiB reads all over the disk beside
 * `qemu-nbd` with a client in C, and the opening of a sparse disk of one tebibyte.
 */

// deno-lint-ignore-file no-console -- a command's output

import { parseArgs } from "node:util";
import { type Image, openImage } from "snapshot/qcow2/image.ts";
import { openLocalFile } from "snapshot/qcow2/local_file.ts";
import { median } from "./report.ts";

const USAGE = `Usage: deno run --allow-all scripts/bench/qcow2.ts [OPTION…]
  --rounds N   Measure N times on each side (5)
  --mib N      Size of the image that is read (512)
  --under DIR  Make the images there instead of in the directory for temporary files
  --help
`;

const MIB = 1 << 20, READS = 20_000, BLOCK = 4096;

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

// A stride that goes through the disk without coming near where it was: both sides do the same.
function stride(size: number): number {
  return (Math.floor(size / BLOCK * 0.618) | 1) * BLOCK;
}

async function randomReads(image: Image, depth: number): Promise<void> {
  const { disk } = image, step = stride(disk.size);
  let next = 0, left = READS;
  await Promise.all(Array.from({ length: depth }, async () => {
    const buffer = new Uint8Array(BLOCK);
    while (left-- > 0) {
      const at = next;
      next = (next + step) % disk.size;
      await disk.read(at, buffer);
    }
  }));
}

async function nbdReads(socket: string, size: number, depth: number): Promise<void> {
  await run("qemu-img", [
    ...["bench", "-q", "-f", "raw", "-c", String(READS), "-d", String(depth)],
    ...["-s", String(BLOCK), "-S", String(stride(size)), `nbd+unix:///?socket=${socket}`],
  ]);
}

function rate(work: number, took: readonly Took[]): number {
  return work / median(took.map(({ wall }) => wall));
}

function line(what: string, unit: string, theirs: number, ours: number): void {
  const ratio = (ours / theirs).toFixed(2);
  console.log(`${what}: ${theirs.toFixed(0)} ${unit} theirs, ${ours.toFixed(0)} ours: ${ratio}`);
}

async function sequential(folder: string, mib: number, rounds: number): Promise<void> {
  const theirs: Took[] = [], ours: Took[] = [];
  for (let round = 0; round <= rounds; round++) {
    const a = await timed(() =>
      run("qemu-img", ["convert", "-O", "raw", `${folder}/a.qcow2`, `${folder}/theirs.raw`])
    );
    const b = await timed(() => exportRaw(`${folder}/a.qcow2`, `${folder}/ours.raw`));
    // The first round warms what is compiled and cached.
    if (round) [theirs.push(a), ours.push(b)];
  }
  line("whole image to a plain file", "MiB/s", rate(mib, theirs), rate(mib, ours));
  const cpu = (took: readonly Took[]) => median(took.map((each) => each.cpu)).toFixed(2);
  console.log(`  processor seconds: ${cpu(theirs)} theirs, ${cpu(ours)} ours`);
}

async function random(folder: string, mib: number, rounds: number): Promise<void> {
  const socket = `${folder}/nbd`, path = `${folder}/a.qcow2`;
  const server = new Deno.Command("qemu-nbd", {
    args: ["-r", "-t", "-e", "64", "-f", "qcow2", "-k", socket, path],
  }).spawn();
  const image = await open(path);
  try {
    while (!await Deno.stat(socket).then(() => true, () => false)) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    for (const depth of [1, 16]) {
      const theirs: Took[] = [], ours: Took[] = [];
      for (let round = 0; round <= rounds; round++) {
        const a = await timed(() => nbdReads(socket, mib * MIB, depth));
        const b = await timed(() => randomReads(image, depth));
        if (round) [theirs.push(a), ours.push(b)];
      }
      line(`4 KiB reads, ${depth} at a time`, "IOPS", rate(READS, theirs), rate(READS, ours));
    }
  } finally {
    await image.close();
    server.kill("SIGTERM");
    await server.status;
  }
}

async function opening(folder: string, rounds: number): Promise<void> {
  const path = `${folder}/sparse.qcow2`;
  await run("qemu-img", ["create", "-q", "-f", "qcow2", path, "1T"]);
  await run("qemu-io", ["-c", "write -q 0 64k", "-c", "write -q 600G 64k", path]);
  const times: number[] = [];
  // The code is there already: what counts is what an image costs.
  const before = Deno.memoryUsage().rss;
  for (let round = 0; round < Math.max(5, rounds); round++) {
    const started = performance.now();
    const image = await open(path);
    await image.disk.read(600 * 2 ** 30, new Uint8Array(BLOCK));
    times.push(performance.now() - started);
    await image.close();
  }
  const grown = (Deno.memoryUsage().rss - before) / MIB;
  console.log(
    `opening a sparse tebibyte and reading from it: ${median(times).toFixed(1)} ms, ` +
      `slowest ${Math.max(...times).toFixed(1)} ms; memory of ${times.length} openings ${
        grown.toFixed(1)
      } MiB`,
  );
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      rounds: { type: "string", default: "5" },
      mib: { type: "string", default: "512" },
      under: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return console.log(USAGE);
  const rounds = Number(values.rounds), mib = Number(values.mib);
  const folder = await Deno.makeTempDir({
    prefix: "qc-bench-",
    ...values.under ? { dir: values.under } : {},
  });
  try {
    await opening(folder, rounds);
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
    await sequential(folder, mib, rounds);
    await random(folder, mib, rounds);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

await main();
