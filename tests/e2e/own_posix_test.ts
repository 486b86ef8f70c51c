/** What programs need of a file system, on our mounts, and on ours and GlusterFS's at once. */

import { Cluster, e2e, LONG } from "tests/e2e/harness.ts";
import { OurMount } from "tests/e2e/our_mount.ts";
import { CACHES, FRESH, Mounts } from "tests/e2e/own_mounts.ts";
import { run, until } from "tests/e2e/process.ts";

const MORE = new URL("./fs_more.py", import.meta.url).pathname;
const CASES = new URL("./fs_cases.py", import.meta.url).pathname;
const PROGRAMS = ["setfacl", "getfacl"];
const PATIENCE_MS = 600_000;

/** Cases of `fs_more.py` that clients of any kind must pass together. */
const TOGETHER = ["counter", "mapped", "holes", "copies", "times", "acls", "big_directory"];
/** Those that GlusterFS's client fails: it tears lines, and knows no renameat2. */
const OURS = ["append", "rename_flags", "refused", "specials", "space"];

async function pass(file: string, names: readonly string[], one: string, other: string) {
  const failures: string[] = [];
  for (const name of names) {
    const argv = ["python3", file, name, one, other, "0"];
    const { code, err } = await run(argv, { timeoutMs: PATIENCE_MS });
    if (code) failures.push(`${name}: ${err}`);
  }
  if (failures.length) throw new Error(failures.join("\n"));
}

for (const layout of LONG ? ["replica 2", ""] : ["replica 2"]) {
  e2e(
    `own posix, ${layout || "distributed"}: what programs need holds on two mounts`,
    PROGRAMS,
    async () => {
      await using mounts = await Mounts.start({ bricks: 2, layout, without: CACHES });
      const first = await mounts.mount(), second = await mounts.mount();
      await pass(MORE, [...TOGETHER, ...OURS], first, second);
    },
  );
}

e2e("own posix: locks and changes hold between our mount and GlusterFS's", PROGRAMS, async () => {
  await using cluster = await Cluster.start({ layout: "replica", performance: false });
  await using ours = await OurMount.of(cluster, FRESH);
  // Who gets a lock through GlusterFS's client may still see what its kernel cached before.
  await using theirs = await cluster.mount("direct-io-mode=enable");
  const ways = [[ours.path, theirs.path], [theirs.path, ours.path]] as const;
  for (const [one, other] of LONG ? ways : ways.slice(0, 1)) {
    await pass(CASES, ["flock", "ranges"], one, other);
    await pass(MORE, ["counter"], one, other);
    for (const name of ["flock", "ranges", "by-range", "by-flock"]) {
      await Deno.remove(`${one}/${name}`);
    }
  }
  if (LONG) await pass(MORE, TOGETHER, ours.path, theirs.path);
});

e2e("own posix: who had a lock has it when all bricks were away and came back", [], async () => {
  await using cluster = await Cluster.start({ layout: "one", performance: false });
  await using ours = await OurMount.of(cluster, FRESH);
  await using other = await cluster.mount();
  const held = await Deno.open(`${ours.path}/f`, { create: true, write: true });
  await held.lock(true);
  const isFree = async () => (await run(["flock", "-n", `${other.path}/f`, "true"])).code === 0;
  const [brick] = cluster.bricks;
  await brick!.end("SIGKILL");
  await brick!.start();
  for (const { path } of [ours, other]) {
    await until("the brick is back", async () => (await run(["ls", path])).code === 0);
  }
  // It may be asked before our client has taken its lock again.
  await until("the lock is held again", async () => !(await isFree()));
  await held.write(new TextEncoder().encode("mine"));
  held.close();
  await until("the lock is free", isFree);
});
