/** Damage by GlusterFS's clients while a brick is away, mended by our own healer. */

// deno-lint-ignore-file no-console -- the long form tells its figures

import { ok, strictEqual as equal } from "node:assert/strict";
import { Campaign } from "tests/e2e/faults.ts";
import { FioLoad } from "tests/e2e/fio_load.ts";
import { type Brick, type BrickKind, Cluster, e2e, KIND, LONG } from "tests/e2e/harness.ts";
import { BEFORE, CHANGES, healedByUs, startOwnHealer } from "tests/e2e/own_heal.ts";
import { OurMount } from "tests/e2e/our_mount.ts";
import { must, Process, until } from "tests/e2e/process.ts";
import type { Layout } from "tests/e2e/volfiles.ts";

const GLFSHEAL = ["/usr/lib/x86_64-linux-gnu/glusterfs/glfsheal", "fio"];

async function mended(layout: Layout, kinds: readonly BrickKind[], victim: number): Promise<void> {
  await using cluster = await Cluster.start({ layout, kinds, client: { pingTimeout: 5 } });
  await using mount = await cluster.mount();
  const sh = (script: string) => must(["sh", "-c", script, "sh", mount.path]);
  await sh(BEFORE);
  await cluster.bricks[victim]!.end("SIGKILL");
  await sh(CHANGES);
  await cluster.bricks[victim]!.start();
  await until("something is to be healed", async () => {
    const counts = await cluster.pendingHeals();
    return counts.every((each) => each !== undefined) && counts.some((each) => each !== 0);
  });
  await healedByUs(cluster);
  equal(await must(["cat", `${mount.path}/tree/one/2/3/f`]), "deep");
}

e2e(
  "own heal: two copies, every kind of change is mended",
  GLFSHEAL,
  () => mended("replica", [KIND, KIND], 1),
);

e2e(
  "own heal: three copies, the first was away",
  GLFSHEAL,
  () => mended("replica3", [KIND, KIND, KIND], 0),
);

e2e(
  "own heal: two copies and an arbiter, a copy was away",
  GLFSHEAL,
  () => mended("arbiter", [KIND, KIND, KIND], 0),
);

e2e(
  "own heal: GlusterFS's bricks are healed, too",
  GLFSHEAL,
  () => mended("replica", ["glusterfsd", "glusterfsd"], 1),
);

interface Moved {
  readonly written: number;
  readonly read: number;
}

/** Bytes of a brick's files that its process writes and reads while `work` is done. */
async function moved({ pid, path }: Brick, log: string, work: () => Promise<void>): Promise<Moved> {
  const calls = ["-e", "trace=pwrite64,pread64,preadv2"];
  const argv = ["strace", "-f", "-qq", "-y", ...calls, "-o", log, "-p", String(pid)];
  const strace = new Process(argv, `${log}.err`);
  await until("strace is attached", async () => {
    const status = await Deno.readTextFile(`/proc/${pid}/status`);
    return !/^TracerPid:\s+0$/m.test(status);
  });
  try {
    await work();
  } finally {
    await strace.end("SIGTERM");
  }
  return sums(await Deno.readTextFile(log), path);
}

// What strace tells of files below `path`. A call that others interrupt is told in two lines, the
// second one without the file.
function sums(told: string, path: string): Moved {
  let written = 0, read = 0;
  const begun = new Set<string>();
  for (const line of told.split("\n")) {
    const [, thread, name, rest] = /^(\d+) +(?:<\.\.\. )?(pwrite64|preadv?\d+)\b(.*)/.exec(line) ??
      [];
    if (!thread || !(begun.delete(thread) || rest!.includes(`<${path}/`))) continue;
    if (rest!.endsWith("<unfinished ...>")) begun.add(thread);
    const bytes = Number(/ = (\d+)$/.exec(rest!)?.[1] ?? 0);
    if (name === "pwrite64") written += bytes;
    else read += bytes;
  }
  return { written, read };
}

/** A busy machine writes 1 GiB three times in minutes. */
const PATIENT = { timeoutMs: 300_000 };
const IMAGE_MIB = LONG ? 1024 : 64;

async function healWrites(
  { client, restarts }: { readonly client: "theirs" | "ours"; readonly restarts: boolean },
): Promise<Moved> {
  await using cluster = await Cluster.start({ layout: "replica3", client: { pingTimeout: 5 } });
  await using mount = client === "ours" ? await OurMount.of(cluster, "") : await cluster.mount();
  const image = `${mount.path}/image`;
  await must(["dd", "if=/dev/urandom", `of=${image}`, "bs=1M", `count=${IMAGE_MIB}`], PATIENT);
  await must(["sync", image], PATIENT);
  await cluster.bricks[1]!.end("SIGKILL");
  await must([
    ...["fio", "--name=w", `--filename=${image}`, "--rw=randwrite", "--bs=4k", "--io_size=400k"],
    ...[`--size=${IMAGE_MIB}m`, "--direct=0", "--ioengine=psync", "--fsync_on_close=1"],
    ...["--randseed=7", "--output=/dev/null"],
  ], PATIENT);
  if (restarts) {
    // Written transactions are over when nothing is dirty.
    await until("post-ops are done", async () => {
      const marks = await must(
        ["getfattr", "-n", "trusted.afr.dirty", "-e", "hex", "--absolute-names"]
          .concat(`${cluster.bricks[0]!.path}/image`),
      );
      return /=0x0{24}/.test(marks);
    });
    await cluster.bricks[0]!.end("SIGKILL");
    await cluster.bricks[0]!.start();
  }
  await cluster.bricks[1]!.start();
  const log = `${cluster.dir}/strace`;
  return await moved(cluster.bricks[1]!, log, () => healedByUs(cluster));
}

const CASES = [
  { client: "theirs", restarts: false, what: "" },
  { client: "theirs", restarts: true, what: ", after a restart of a brick, too" },
  { client: "ours", restarts: false, what: ", by our own client, too" },
] as const;

for (const each of CASES) {
  e2e(
    `own heal: 100 writes of 4 KiB to an image are 400 KiB to heal${each.what}`,
    [...GLFSHEAL, "strace"],
    async () => {
      const { written, read } = await healWrites(each);
      if (LONG) console.log(`${IMAGE_MIB} MiB: ${written} bytes were written, ${read} read`);
      ok(written >= 350 << 10 && written < 1.1 * (400 << 10), `${written} bytes were written`);
      // Nobody looked at the rest.
      ok(read < 2 * (400 << 10), `${read} bytes were read`);
    },
  );
}

e2e(
  "own heal: beside GlusterFS's healer, while its client writes and bricks come and go",
  GLFSHEAL,
  async () => {
    await using cluster = await Cluster.start({ layout: "replica3", client: { pingTimeout: 5 } });
    await using mount = await cluster.mount();
    const theirs = await cluster.startHealer();
    const ours = await startOwnHealer(cluster);
    const mounts = new Campaign(cluster, [mount.path]);
    const load = new FioLoad({ directory: mount.path, cwd: cluster.dir });
    try {
      for (let fault = 0; fault < (LONG ? 12 : 3); fault++) {
        const victim = cluster.bricks[fault % 3]!;
        await mounts.whole();
        await victim.end("SIGKILL");
        const more = `${mount.path}/more-${victim.index}`;
        await must(["dd", "if=/dev/urandom", `of=${more}`, "bs=64k", "count=4"]);
        await victim.start();
        load.check();
      }
    } finally {
      await load.stop();
    }
    await theirs.end("SIGTERM");
    await ours.end("SIGTERM");
    await healedByUs(cluster);
  },
);

e2e("own heal: a healer killed again and again goes on where it was needed", GLFSHEAL, async () => {
  await using cluster = await Cluster.start({ layout: "replica", client: { pingTimeout: 5 } });
  await using mount = await cluster.mount();
  const sh = (script: string) => must(["sh", "-c", `set -e; cd "$1"; ${script}`, "sh", mount.path]);
  await sh("dd if=/dev/urandom of=big bs=1M count=64 2>/dev/null; mkdir d; sync big");
  await cluster.bricks[0]!.end("SIGKILL");
  await sh(`dd if=/dev/urandom of=big bs=1M count=64 conv=notrunc 2>/dev/null
    for i in $(seq 1 60); do echo $i > d/f$i; mkdir d/d$i; done; sync big`);
  await cluster.bricks[0]!.start();
  for (let kill = 0; kill < 4; kill++) {
    const healer = await startOwnHealer(cluster);
    const before = cluster.bricks[0]!.pid;
    const bytes = async () =>
      Number(/^wchar: (\d+)/m.exec(await Deno.readTextFile(`/proc/${before}/io`))![1]);
    const from = await bytes();
    await until("it heals", async () => await bytes() > from + (4 << 20) * (kill + 1), 30_000, 5)
      .catch(() => {}); // nothing was left to do
    await healer.end("SIGKILL");
  }
  await healedByUs(cluster);
});

e2e("own heal: what a client left when it was killed while writing", GLFSHEAL, async () => {
  await using cluster = await Cluster.start({ layout: "replica3", client: { pingTimeout: 5 } });
  const mount = await cluster.mount();
  const fio = must([
    ...["fio", "--name=w", `--directory=${mount.path}`, "--nrfiles=3", "--size=24m"],
    ...["--rw=randwrite", "--bs=16k", "--time_based", "--runtime=60", "--ioengine=psync"],
    ...["--fallocate=none", "--output=/dev/null"],
  ]);
  fio.catch(() => {});
  const file = `${cluster.bricks[0]!.path}/w.0.0`;
  await until("it writes", () => {
    try {
      return Deno.statSync(file).blocks! > 1000;
    } catch {
      return false;
    }
  });
  await mount.kill();
  await fio.catch(() => {});
  await mount[Symbol.asyncDispose]();
  await healedByUs(cluster);
});
