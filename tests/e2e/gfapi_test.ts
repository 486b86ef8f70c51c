/**
 * Programs that use libgfapi: fio and qemu-img. Debian's libgfapi waits ten seconds whenever a
 * program lets go of a volume, whoever serves it; so all layouts run at the same time.
 */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { Cluster, e2e, HOST, LAYOUTS, LONG } from "tests/e2e/harness.ts";
import { must } from "tests/e2e/process.ts";
import type { Layout } from "tests/e2e/volfiles.ts";

const LIMIT = { timeoutMs: LONG ? 1_200_000 : 240_000 };
const SIZE = LONG ? "256M" : "24M";

interface Work {
  readonly fio: Promise<void>;
  readonly qemu: Promise<void>;
}
const begun = new Map<Layout, Work>();

/** Starts everything on every layout at the first call; each test waits for its own part. */
function work(layout: Layout): Work {
  if (begun.size === 0) {
    const on = async (each: Layout, what: (cluster: Cluster) => Promise<void>) => {
      await using cluster = await Cluster.start({ layout: each });
      await what(cluster);
    };
    for (const each of LAYOUTS) {
      const all = { fio: on(each, fio), qemu: on(each, qemu) };
      // A failure waits here until its own test asks.
      Promise.allSettled(Object.values(all));
      begun.set(each, all);
    }
  }
  return begun.get(layout)!;
}

async function fio(cluster: Cluster): Promise<void> {
  const jobs: Record<string, string[]> = {
    "random-4k": ["ioengine=gfapi", "rw=randwrite", "bs=4k"],
    "random-mixed": ["ioengine=gfapi", "rw=randwrite", "bsrange=4k-1m"],
    "sequential-1m": ["ioengine=gfapi", "rw=write", "bs=1m"],
    "queued": ["ioengine=gfapi_async", "rw=randwrite", "bsrange=4k-128k", "iodepth=32"],
    "queued-mixed": ["ioengine=gfapi_async", "rw=randrw", "bs=4k", "iodepth=32"],
  };
  const argv = ["fio", "--verify=crc32c", "--verify_fatal=1", `--size=${SIZE}`];
  argv.push("--output-format=json", "--thread");
  const where = [`--volume=${cluster.volume}`, `--brick=${HOST}`];
  for (const [name, options] of Object.entries(jobs)) {
    argv.push(`--name=${name}`, ...options.map((each) => `--${each}`));
    argv.push(...where, `--filename=${name}`);
  }
  const report = await cluster.must(argv, { ...LIMIT, cwd: cluster.dir });
  const { jobs: results } = JSON.parse(report.slice(report.indexOf("{"))) as {
    jobs: { jobname: string; error: number; read: { io_bytes: number } }[];
  };
  assertEquals(results.length, Object.keys(jobs).length);
  for (const { jobname, error, read } of results) {
    assertEquals([jobname, error], [jobname, 0]);
    // What was verified was read.
    if (read.io_bytes === 0) throw new Error(`fio read nothing back in ${jobname}`);
  }
}

async function qemu(cluster: Cluster): Promise<void> {
  const source = `${cluster.dir}/source.raw`;
  const holes = `head -c 6M /dev/urandom; head -c 9M /dev/zero; head -c 3M /dev/urandom`;
  await must(["sh", "-c", `(${holes}) > "$0" && truncate -s ${SIZE} "$0"`, source]);
  await Promise.all([qemuRaw(cluster, source), qemuQcow2(cluster, source)]);
}

function image(cluster: Cluster, name: string): string {
  return `gluster://${HOST}/${cluster.volume}/${name}`;
}

async function qemuRaw(cluster: Cluster, source: string): Promise<void> {
  const img = (...argv: string[]) => cluster.must(["qemu-img", ...argv], LIMIT);
  const raw = image(cluster, "disk.raw"), direct = image(cluster, "direct.raw");
  const back = `${cluster.dir}/back.raw`;
  await img("create", "-f", "raw", raw, SIZE);
  await img("convert", "-n", "-f", "raw", "-O", "raw", source, raw);
  await Promise.all([
    img("compare", "-f", "raw", "-F", "raw", source, raw),
    img("convert", "-f", "raw", "-O", "raw", "-t", "none", source, direct),
  ]);
  await Promise.all([
    img("compare", "-T", "none", "-f", "raw", "-F", "raw", raw, direct),
    img("convert", "-T", "none", "-f", "raw", "-O", "raw", direct, back),
  ]);
  await must(["cmp", source, back]);
  await img("bench", "-w", "-t", "none", "-c", "500", "-d", "16", "-s", "4096", "-f", "raw", raw);
  await img("bench", "-c", "500", "-d", "16", "-s", "65536", "-f", "raw", raw);
}

async function qemuQcow2(cluster: Cluster, source: string): Promise<void> {
  const img = (...argv: string[]) => cluster.must(["qemu-img", ...argv], LIMIT);
  const fresh = image(cluster, "fresh.qcow2"), disk = image(cluster, "disk.qcow2");
  const direct = image(cluster, "direct.qcow2"), back = `${cluster.dir}/back-qcow2.raw`;
  await Promise.all([
    img("create", "-f", "qcow2", fresh, SIZE),
    img("convert", "-f", "raw", "-O", "qcow2", source, disk),
    img("convert", "-t", "none", "-f", "raw", "-O", "qcow2", source, direct),
  ]);
  await Promise.all([
    img("check", "-f", "qcow2", fresh),
    img("check", "-f", "qcow2", direct),
    img("compare", "-f", "raw", "-F", "qcow2", source, disk),
  ]);
  await img("snapshot", "-c", "before", disk);
  await img("bench", "-w", "-t", "none", "-c", "500", "-d", "8", "-s", "4096", "-f", "qcow2", disk);
  await img("snapshot", "-a", "before", disk);
  const [list] = await Promise.all([
    img("snapshot", "-l", disk),
    img("convert", "-T", "none", "-f", "qcow2", "-O", "raw", disk, back),
  ]);
  assertStringIncludes(list, "before");
  await must(["cmp", source, back]);
  await img("snapshot", "-d", "before", disk);
  assertStringIncludes(await img("check", "-f", "qcow2", disk), "No errors were found");
}

for (const layout of LAYOUTS) {
  e2e(
    `gfapi, ${layout}: fio reads back what it wrote, random and sequential, 4 KiB to 1 MiB, queued`,
    ["fio"],
    () => work(layout).fio,
  );
}

for (const layout of LAYOUTS) {
  e2e(
    `gfapi, ${layout}: qemu-img creates, converts, compares, checks, snapshots raw and qcow2 images`,
    ["qemu-img"],
    () => work(layout).qemu,
  );
}
