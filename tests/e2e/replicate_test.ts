/** A replica written by our own client and by GlusterFS's at the same time, while bricks fail; glustershd heals. */

import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { Campaign } from "tests/e2e/faults.ts";
import { type BrickKind, Cluster, e2e, KIND } from "tests/e2e/harness.ts";
import { healed } from "tests/e2e/heals.ts";
import { OurMount } from "tests/e2e/our_mount.ts";
import { must, run, until } from "tests/e2e/process.ts";
import type { Layout } from "tests/e2e/volfiles.ts";

const GLFSHEAL = ["/usr/lib/x86_64-linux-gnu/glusterfs/glfsheal"];

function sh(script: string, ...args: string[]): Promise<string> {
  return must(["sh", "-c", `set -e; ${script}`, "sh", ...args], { timeoutMs: 240_000 });
}

/** Sums of all files of a brick, names and modes, without what is the brick's own. */
async function brickTree(path: string, data = true): Promise<string> {
  const list = `cd "$1"; find . -path ./.glusterfs -prune -o -printf '%y %m %U:%G %p %l\\n' | sort`;
  const sums = `; find . -path ./.glusterfs -prune -o -type f -exec md5sum {} + | sort -k 2`;
  return await sh(list + (data ? sums : ""), path);
}

/** Attributes of a file on a brick that replicate keeps there, without zeros. */
async function marks(path: string): Promise<string[]> {
  const { out } = await run(["getfattr", "-h", "-d", "-m", "trusted.afr", "-e", "hex", path]);
  return out.split("\n").filter((line) => line.includes("=") && !/=0x0+$/.test(line)).sort();
}

async function equalBricks(cluster: Cluster): Promise<void> {
  const { layout } = cluster.options;
  const full = cluster.bricks.slice(0, layout === "arbiter" ? 2 : undefined);
  const [first, ...others] = await Promise.all(full.map(({ path }) => brickTree(path)));
  for (const other of others) equal(other, first);
  if (layout !== "arbiter") return;
  const [names, arbiter] = await Promise.all(
    [full[0]!, cluster.bricks[2]!].map(({ path }) => brickTree(path, false)),
  );
  equal(arbiter, names);
}

/** Both clients make, change, move and remove, each its own and each the other's. */
const BOTH = `
for i in $(seq 1 12); do
  echo "$3 $i" > "$1/$3-$i"; echo more >> "$1/$3-$i"; mkdir -p "$1/dir-$3/$i"
  printf x >> "$1/shared"; mv "$1/$3-$i" "$1/dir-$3/$i/f"; chmod 640 "$1/dir-$3/$i/f"
  ln "$1/dir-$3/$i/f" "$1/hard-$3-$i"; ln -s f "$1/dir-$3/$i/l"; setfattr -n user.k -v $i "$1/dir-$3/$i/f"
  [ $((i % 3)) = 0 ] && rm -r "$1/dir-$3/$i" || true
  dd if=/dev/urandom of="$1/big-$3" bs=64k count=3 seek=$((i % 4)) conv=notrunc 2>/dev/null
  cat "$2/hard-$3-$i" > /dev/null
done`;

/** What changes while a brick is away: every kind of change, on old and on new entries. */
const BEFORE = `cd "$1"
for i in grown over cut mode xattr removed moved linked; do seq 1 300 > $i; done; mkdir gone moved-dir; echo x > moved-dir/f`;
const CHANGES = `cd "$1"
echo more >> grown; printf new > over; truncate -s 100 cut; chmod 600 mode; chown 12:34 mode
setfattr -n user.k -v new xattr; rm removed; rmdir gone; mv moved elsewhere; mv moved-dir there
ln linked hard; ln -s nowhere soft; mkdir -p made/deep; echo made > made/deep/file; mkfifo made/fifo`;

async function both(layout: Layout, kinds: readonly BrickKind[]): Promise<void> {
  await using cluster = await Cluster.start({ layout, kinds, performance: false });
  await using theirs = await cluster.mount();
  await using ours = await OurMount.of(cluster, "attribute-timeout=0,entry-timeout=0");
  await Promise.all([
    sh(BOTH, ours.path, theirs.path, "ours"),
    sh(BOTH, theirs.path, ours.path, "theirs"),
  ]);
  equal(await sh('wc -c < "$1/shared"', ours.path), "24\n");
  equal(
    await sh('cat "$1"/big-* | md5sum', ours.path),
    await sh('cat "$1"/big-* | md5sum', theirs.path),
  );
  await sh("sync -f $1", theirs.path);
  await until("no marks are left", async () => {
    const all = await Promise.all(
      cluster.bricks.map(({ path }) =>
        sh(
          `cd "$1"; getfattr -Rhd -m trusted.afr -e hex . 2>/dev/null | grep -v '=0x0*$' | grep = || true`,
          path,
        )
      ),
    );
    return all.every((each) => each === "");
  });
  await equalBricks(cluster);
}

async function away(layout: Layout, kinds: readonly BrickKind[], victim: number): Promise<void> {
  await using cluster = await Cluster.start({ layout, kinds, performance: false });
  await using ours = await OurMount.of(cluster, "attribute-timeout=0,entry-timeout=0");
  await sh(BEFORE, ours.path);
  await cluster.bricks[victim]!.end("SIGKILL");
  await sh(CHANGES, ours.path);
  const good = cluster.bricks.findIndex((_, index) => index !== victim);
  const blamed = (await marks(`${cluster.bricks[good]!.path}/grown`)).join(" ");
  ok(blamed.includes(`trusted.afr.vol-client-${victim}=`), blamed);
  await cluster.bricks[victim]!.start();
  equal(
    await sh('cat "$1/over"; tail -n 1 "$1/grown"; ls "$1"', ours.path),
    [
      "newmore",
      ..."cut elsewhere grown hard linked made mode over soft there xattr".split(" "),
      "",
    ].join("\n"),
  );
  await healed(cluster);
  await equalBricks(cluster);
  deepEqual(await cluster.pendingHeals(), cluster.bricks.map(() => 0));
}

for (
  const [name, kinds] of [
    ["our bricks", [KIND, KIND, KIND]],
    ["bricks of both kinds", [KIND, "glusterfsd", "glusterfsd"]],
  ] as [string, BrickKind[]][]
) {
  e2e(
    `replicate, ${name}: our client and GlusterFS's change a replica of three at once, bricks end equal`,
    [],
    () => both("replica3", kinds),
  );
  e2e(
    `replicate, ${name}: glustershd heals what our client marked`,
    GLFSHEAL,
    () => away("replica3", kinds, 1),
  );
}
e2e(
  "replicate, arbiter: our client and GlusterFS's change files at once, bricks end equal",
  [],
  () => both("arbiter", [KIND, KIND, KIND]),
);
e2e(
  "replicate, arbiter: glustershd heals a copy that our client marked",
  GLFSHEAL,
  () => away("arbiter", [KIND, KIND, KIND], 0),
);
e2e(
  "replicate, two copies: glustershd heals what our client marked",
  GLFSHEAL,
  () => away("replica", [KIND, KIND], 0),
);

/** fio goes on until so many bricks were killed. */
const KILLS_MIN = 2;

/** Writes a file in random 4 KiB blocks and reads every block back; fails at the first that differs. */
function fio(path: string, name: string): Promise<string> {
  const args =
    `--name=${name} --filename=${path}/${name} --size=4m --bs=4k --rw=randwrite --verify=crc32c`;
  const more =
    "--verify_fatal=1 --verify_state_save=0 --ioengine=psync --fsync=64 --loops=3 --rate_iops=300";
  return must(["fio", ...args.split(" "), ...more.split(" ")], { timeoutMs: 600_000 });
}

e2e(
  "replicate: bricks are killed in turn under fio on our mount and on GlusterFS's, no block differs",
  ["fio", ...GLFSHEAL],
  async () => {
    const client = { pingTimeout: 5 };
    await using cluster = await Cluster.start({ layout: "replica3", performance: false, client });
    await using theirs = await cluster.mount();
    await using ours = await OurMount.of(cluster, "attribute-timeout=0,entry-timeout=0");
    await cluster.startHealer();
    let working = true, kills = 0;
    const again = async (path: string, name: string) => {
      do await fio(path, name); while (kills < KILLS_MIN);
    };
    const work = Promise.all([again(ours.path, "by-ours"), again(theirs.path, "by-theirs")])
      .finally(() => working = false);
    // A failure waits until it is asked for.
    work.catch(() => {});
    const mounts = new Campaign(cluster, [ours.path, theirs.path]);
    try {
      for (; working; kills++) {
        const brick = cluster.bricks[kills % 3]!;
        await brick.end("SIGKILL");
        await new Promise((resolve) => setTimeout(resolve, 700));
        await brick.start();
        // The next one may go only when nothing hangs on this one: two of three must be right, and
        // within reach of either mount.
        await mounts.whole();
      }
    } finally {
      kills = KILLS_MIN;
      await work;
    }
    await healed(cluster);
    await equalBricks(cluster);
  },
);

/** Writes one file again and again for so many seconds, with pauses that are shorter than a lock is kept. */
const WRITING = `
import os, sys, time
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
end = time.time() + float(sys.argv[2])
while time.time() < end:
  os.pwrite(fd, b"x" * 4096, 0)
  time.sleep(0.05)`;

e2e(
  "replicate, our bricks: a file that GlusterFS's client writes without a pause is removed by another at once",
  [],
  async () => {
    await using cluster = await Cluster.start({ layout: "replica", performance: false });
    await using writer = await cluster.mount();
    await using remover = await cluster.mount();
    const seconds = 20, file = `${writer.path}/f`;
    const writing = must(["python3", "-c", WRITING, file, `${seconds}`], { timeoutMs: 60_000 });
    await until("it is written", async () => (await run(["test", "-s", file])).code === 0);
    const began = performance.now();
    await sh('rm "$1/f"', remover.path);
    // A write tells the writer that somebody wants his lock: it had been the end of all writes.
    const tookMs = performance.now() - began;
    ok(tookMs < seconds * 500, `${tookMs} ms`);
    await writing;
  },
);
