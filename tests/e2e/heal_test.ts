/** A replica that loses a brick in the middle of writes, and the real self-heal daemon after it. */

import { assertEquals } from "@std/assert";
import { type BrickKind, Cluster, e2e, KIND, LONG } from "tests/e2e/harness.ts";
import { healed } from "tests/e2e/heals.ts";
import { must, until } from "tests/e2e/process.ts";
import { expectSameTree, readTree } from "tests/e2e/tree.ts";

const GLFSHEAL = ["/usr/lib/x86_64-linux-gnu/glusterfs/glfsheal"];
const FILES = LONG ? 200 : 30;

/** What a client does while a brick is away: every kind of change, on old and on new entries. */
const CHANGES = `
set -e; cd "$1"
printf more >> grown; printf new > over; mv over replaced; truncate -s 100 cut
chmod 640 mode; chown 12:34 owner; setfattr -n user.k -v changed xattr; setfattr -x user.gone xattr
setfacl -m u:55:r acl; touch -d '2011-11-11 11:11:11.5' times
rm removed; rm -r removed-dir; mkdir -p made/deep/er; printf x > made/deep/er/file; ln -s /target made/soft
ln linked made/hard; mkfifo made/fifo; mv moved made/moved; mv moved-dir made/
dd if=/dev/urandom of=middle bs=4096 seek=20 count=3 conv=notrunc 2>/dev/null
for i in $(seq 1 20); do printf $i > made/file-$i; done; truncate -s 20M made/sparse`;

const BEFORE = `
set -e; cd "$1"
for i in grown replaced cut mode owner xattr acl times removed linked moved; do seq 1 500 > $i; done
setfattr -n user.gone -v x xattr; mkdir -p removed-dir/sub moved-dir; printf x > removed-dir/sub/f
printf x > moved-dir/file; dd if=/dev/urandom of=middle bs=64k count=8 2>/dev/null`;

/** Writes files without pause until `stop` is called. Every write must work. */
function keepWriting(top: string): { written: () => number; stop: () => Promise<void> } {
  let going = true, count = 0;
  const done = (async () => {
    const data = new Uint8Array(64 << 10).fill(7);
    for (; going; count++) {
      const file = await Deno.open(`${top}/w-${count % FILES}`, { create: true, write: true });
      data[0] = count;
      await file.write(data);
      await file.write(data);
      file.close();
    }
  })();
  return {
    written: () => count,
    stop: () => {
      going = false;
      return done;
    },
  };
}

async function killedInTheMiddle(kinds: readonly BrickKind[], victim: number): Promise<void> {
  await using cluster = await Cluster.start({
    layout: "replica",
    kinds,
    client: { pingTimeout: 5 },
  });
  await using mount = await cluster.mount();
  const sh = (script: string) => must(["sh", "-c", script, "sh", mount.path]);
  await sh(BEFORE);
  const writer = keepWriting(mount.path);
  await until("some writes are done", () => sizeOf(`${mount.path}/w-5`) > 0);
  await cluster.bricks[victim]!.end("SIGKILL");
  await sh(CHANGES);
  await until("every file is written", () => writer.written() >= FILES, 120_000);
  await writer.stop();
  const before = await readTree(mount.path);
  await cluster.bricks[victim]!.start();
  await until("the client is back at the brick", async () => {
    const counts = await cluster.pendingHeals();
    return counts.every((each) => each !== undefined);
  });
  const pending = await cluster.pendingHeals();
  if (pending.every((each) => each === 0)) throw new Error("Nothing was marked for healing");
  await healed(cluster);
  // Healing changed nothing that clients see.
  await using fresh = await cluster.mount();
  expectSameTree(before, await readTree(fresh.path), (a, b) => {
    const { blocks: _blocks, mtime: _mtime, ...was } = a;
    const { blocks: _theirBlocks, mtime: _theirMtime, ...is } = b;
    return JSON.stringify(was) === JSON.stringify(is)
      ? []
      : [`${JSON.stringify(was)} became ${JSON.stringify(is)}`];
  });
  assertEquals(await cluster.pendingHeals(), [0, 0]);
}

function sizeOf(path: string): number {
  try {
    return Deno.statSync(path).size;
  } catch {
    return 0;
  }
}

e2e(
  "heal, replica: a brick killed during writes is healed by glustershd",
  GLFSHEAL,
  () => killedInTheMiddle([KIND, KIND], 1),
);

e2e(
  "heal, replica: our brick beside glusterfsd, ours was away",
  GLFSHEAL,
  () => killedInTheMiddle([KIND, "glusterfsd"], 0),
);

e2e(
  "heal, replica: our brick beside glusterfsd, glusterfsd was away",
  GLFSHEAL,
  () => killedInTheMiddle([KIND, "glusterfsd"], 1),
);
