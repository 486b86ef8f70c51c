/** A mount stays small, however many files it is asked for: long, a million of them in one directory. */

// deno-lint-ignore-file no-console -- the long form tells its figures

import { ok, strictEqual as equal } from "node:assert/strict";
import { e2e, LONG } from "tests/e2e/harness.ts";
import { Mounts } from "tests/e2e/own_mounts.ts";
import { must, residentBytes, run, until } from "tests/e2e/process.ts";

const MANY = new URL("./many_files.py", import.meta.url).pathname;
const FILES = 1_000_000, PATIENCE_MS = 1_800_000;
/** Garbage is collected when there is nothing else to do. */
const GIVEN_BACK_MS = 300_000;
const PEAK_BYTES = 300_000_000;
/** What a mount may keep that has nothing to do any more. */
const IDLE_BYTES = 160 << 20;
/** Files whose attributes are asked for, one after the other. */
const LOOKED_AT = 100_000;

/** Most that a process ever had resident, in bytes. */
function peakBytes(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
}

/** Puts an empty disk in memory where a brick is that does not run. */
async function emptyDisk(path: string): Promise<void> {
  const name = ["-n", "trusted.glusterfs.volume-id"];
  const told = await must(["getfattr", ...name, "-e", "hex", "--absolute-names", path]);
  await must(["mount", "-t", "tmpfs", "-o", "nr_inodes=0,size=8g", "tmpfs", path]);
  await must(["setfattr", ...name, "-v", /=(0x[0-9a-f]+)/.exec(told)![1]!, path]);
  await Deno.mkdir(`${path}/.glusterfs/indices`, { recursive: true, mode: 0o700 });
}

/** Looks at each file as it is listed; find does so in another order. */
const LOOK = "import os, sys; print(sum(e.is_file() and os.stat(e).st_nlink == 1" +
  " for e in os.scandir(sys.argv[1])))";
/** What is done, how, and how many lines of it, or files, there must be at least. */
const LISTINGS = [
  ["list", 'ls -f "$0" | wc -l', FILES],
  ["look at", `find "$0" -printf '%s\\n' | head -n ${LOOKED_AT} | wc -l`, LOOKED_AT],
  ["list and look at", `python3 -c '${LOOK}' "$0"`, FILES],
] as const;

async function listed(mounts: Mounts, layout: string): Promise<void> {
  const { node } = mounts, bricks = [0, 1].map((i) => `${node.dir}/v1-${i}`);
  await node.must("volume stop v1");
  for (const brick of bricks) await emptyDisk(brick);
  const [first, ...copies] = bricks;
  const patient = { timeoutMs: PATIENCE_MS };
  await must(["python3", MANY, first!, "d", String(FILES), ...copies], patient);
  await node.must("volume start v1");
  await node.allOnline("v1");
  const path = await mounts.mount("acl"), pid = mounts.processOf(path);
  const mib = (bytes: number) => `${bytes >> 20} MiB`;
  console.log(`${layout}: before, ${mib(residentBytes(pid))}`);
  for (const [what, script, least] of LISTINGS) {
    const began = performance.now();
    const count = await must(["sh", "-c", script, `${path}/d`], patient);
    const seconds = Math.round((performance.now() - began) / 1000);
    ok(Number(count) >= least && Number(count) <= FILES + 2, `${what}: ${count}`);
    console.log(
      `${layout}: ${what} ${least} in ${seconds} s, ${mib(residentBytes(pid))}, peak ${
        mib(peakBytes(pid))
      }`,
    );
  }
  const peak = peakBytes(pid);
  // The kernel forgets what it is not asked for when it needs room.
  await Deno.writeTextFile("/proc/sys/vm/drop_caches", "2");
  await until(
    "memory is given back",
    () => residentBytes(pid) < IDLE_BYTES,
    GIVEN_BACK_MS,
    1000,
  ).catch((error) => {
    throw new Error(`${error}: ${mib(residentBytes(pid))}, peak ${mib(peak)}`);
  });
  console.log(`${layout}: afterwards, ${mib(residentBytes(pid))}`);
  ok(peak < PEAK_BYTES, `${mib(peak)} were resident`);
  equal((await run(["stat", "-c", "%F", `${path}/d`])).out, "directory\n");
}

/** What a mount tells of itself under that name. */
async function told(path: string, what: string): Promise<number> {
  const state = await Deno.readTextFile(`${path}/.meta/root/private`);
  return Number(new RegExp(`^${what} = (\\d+)$`, "m").exec(state)?.[1]);
}

e2e("own many: what the kernel does not use it forgets beyond the limit", [], async () => {
  const LIMIT = 64, COUNT = 600;
  await using mounts = await Mounts.start();
  const path = await mounts.mount(`lru-limit=${LIMIT}`);
  await must(["sh", "-c", `cd "$0"; mkdir d; for i in $(seq ${COUNT}); do >d/$i; done`, path]);
  const open = await Deno.open(`${path}/d/1`, { read: true, write: true });
  await until("it forgets", async () => await told(path, "inodes") <= 2 * LIMIT);
  const count = await must(["python3", "-c", LOOK, `${path}/d`]);
  equal(Number(count), COUNT);
  await until("it forgets again", async () => await told(path, "inodes") <= 2 * LIMIT);
  await open.write(new TextEncoder().encode("kept"));
  open.close();
  equal(await Deno.readTextFile(`${path}/d/1`), "kept");
});

if (LONG) {
  e2e("own many: a million files are listed, memory stays small", ["getfattr"], async () => {
    await using mounts = await Mounts.start({ bricks: 2, layout: "replica 2", without: [] });
    try {
      await listed(mounts, "replica 2");
    } finally {
      await run(["umount", "-l", ...[0, 1].map((i) => `${mounts.node.dir}/v1-${i}`)]);
    }
  });
}
