/** Real clients on volumes of other shapes: three copies, an arbiter, dispersed files, shards. */

import { assertEquals } from "@std/assert";
import { Cluster, e2e, LONG } from "tests/e2e/harness.ts";
import { healed, untilHealed } from "tests/e2e/heals.ts";
import { must, run, until } from "tests/e2e/process.ts";
import { type Entry, expectSameTree, readTree } from "tests/e2e/tree.ts";
import type { Layout } from "tests/e2e/volfiles.ts";

const CASES = new URL("./fs_cases.py", import.meta.url).pathname;
const LOAD = new URL("./fs_load.py", import.meta.url).pathname;
const GLFSHEAL = ["/usr/lib/x86_64-linux-gnu/glusterfs/glfsheal"];
const LONG_MS = 600_000;

/** Shapes that outlive bricks, how many, and which are killed first. */
const SHAPES: readonly { layout: Layout; victims: readonly number[]; long?: boolean }[] = [
  { layout: "replica3", victims: [0], long: true },
  { layout: "arbiter", victims: [1] },
  { layout: "arbiter", victims: [2], long: true },
  { layout: "disperse", victims: [0] },
  { layout: "disperse6", victims: [1, 4], long: true },
];

/** Every kind of change, on entries of `BEFORE` and on new ones. */
const CHANGES = `
set -e; cd "$1"
printf more >> grown; printf new > over; mv over replaced; truncate -s 100 cut
chmod 640 mode; chown 12:34 owner; setfattr -n user.k -v changed xattr; touch -d '2011-11-11' times
rm removed; rm -r removed-dir; mkdir -p made/deep; printf x > made/deep/file; ln -s /target made/soft
ln linked made/hard; mkfifo made/fifo; mv moved made/moved; mv moved-dir made/
dd if=/dev/zero of=middle bs=5000 seek=20 count=3 conv=notrunc 2>/dev/null; truncate -s 20M made/sparse`;

const BEFORE = `
set -e; cd "$1"
for i in grown replaced cut mode owner xattr times removed linked moved; do seq 1 500 > $i; done
mkdir -p removed-dir/sub moved-dir; printf x > removed-dir/sub/f; printf x > moved-dir/file
seq 1 100000 > middle`;

/** A program that writes and, when told to stop, checks what it wrote. */
function keepWriting(mount: string, patience = 0): { stop: () => Promise<string> } {
  const done = run(["python3", LOAD, "write", mount, "load", String(patience)], {
    timeoutMs: LONG_MS,
  });
  return {
    stop: async () => {
      await until(
        "the client is back",
        () => Deno.writeTextFile(`${mount}/load.stop`, "").then(() => true, () => false),
      );
      const { code, out, err } = await done;
      if (code) throw new Error(`The writer failed: ${err}`);
      return out.trim();
    },
  };
}

function sameToClients(was: Entry, is: Entry): string[] {
  const seen = ({ blocks: _blocks, mtime: _mtime, ...rest }: Entry) => JSON.stringify(rest);
  return seen(was) === seen(is) ? [] : [`${seen(was)} became ${seen(is)}`];
}

/** A test that CI has no time for. */
function long(...test: Parameters<typeof e2e>): void {
  if (LONG) e2e(...test);
}

function sizeOf(path: string): number {
  try {
    return Deno.statSync(path).size;
  } catch {
    return 0;
  }
}

async function connected(cluster: Cluster): Promise<void> {
  await until("all bricks are reached", async () => {
    return (await cluster.pendingHeals()).every((each) => each !== undefined);
  });
}

for (const { layout, victims } of SHAPES.filter(({ long }) => LONG || !long)) {
  e2e(
    `shapes, ${layout}: bricks ${victims} killed under a writer, healed, same for clients`,
    GLFSHEAL,
    async () => {
      await using cluster = await Cluster.start({ layout, client: { pingTimeout: 5 } });
      await using mount = await cluster.mount();
      const sh = (script: string) => must(["sh", "-c", script, "sh", mount.path]);
      await sh(BEFORE);
      const writer = keepWriting(mount.path);
      await until("some is written", () => sizeOf(`${mount.path}/load`) > 100_000);
      for (const victim of victims) await cluster.bricks[victim]!.end("SIGKILL");
      await sh(CHANGES);
      await writer.stop();
      const before = await readTree(mount.path);
      for (const victim of victims) await cluster.bricks[victim]!.start();
      await connected(cluster);
      const pending = await cluster.pendingHeals();
      if (pending.every((each) => each === 0)) throw new Error("Nothing was marked for healing");
      await healed(cluster);
      // What was healed is what is read when the others are away.
      const others = cluster.bricks.filter((brick) =>
        !victims.includes(brick.index) && !brick.facts.arbiter
      ).slice(0, victims.length);
      for (const other of others) await other.end("SIGKILL");
      await using fresh = await cluster.mount();
      expectSameTree(before, await readTree(fresh.path), sameToClients);
    },
  );
}

for (const layout of ["replica3", "arbiter", "disperse", "disperse6"] as const) {
  long(`shapes, ${layout}: two mounts see one POSIX file system`, GLFSHEAL, async () => {
    await using cluster = await Cluster.start({ layout, performance: false });
    await using first = await cluster.mount();
    await using second = await cluster.mount();
    const failures: string[] = [];
    for (
      const [name, number] of [
        ["names", "0"],
        ["links", "0"],
        ["unlinked", "0"],
        ["io", "0"],
        ["attributes", "0"],
        ["permissions", "0"],
        ["deep", "60"],
        ["flock", "0"],
        ["ranges", "0"],
        ["small_files", "300"],
      ] as const
    ) {
      const argv = ["python3", CASES, name, first.path, second.path, number];
      const { code, err } = await run(argv, { timeoutMs: LONG_MS });
      if (code) failures.push(`${name}: ${err}`);
    }
    if (failures.length) throw new Error(failures.join("\n"));
    await untilHealed(cluster);
  });
}

async function seesTheOther(layout: Layout): Promise<void> {
  await using cluster = await Cluster.start({ layout, performance: "all" });
  // The kernel's own caches are told to forget, too.
  await using first = await cluster.mount();
  await using second = await cluster.mount();
  await must(["python3", LOAD, "caches", first.path, second.path]);
}

for (const layout of LONG ? ["one", "replica3", "disperse"] as const : ["one"] as const) {
  e2e(`shapes, ${layout}: mounts with every cache see each other's changes`, [], async () => {
    await seesTheOther(layout);
  });
}

e2e("shapes, one: open files go on after their brick was killed and came back", [], async () => {
  await using cluster = await Cluster.start({ layout: "one", performance: false });
  await using mount = await cluster.mount();
  const brick = cluster.bricks[0]!;
  const writer = keepWriting(mount.path, 60);
  for (let times = 0; times < (LONG ? 4 : 1); times++) {
    const size = sizeOf(`${mount.path}/load`);
    await until("it writes", () => sizeOf(`${mount.path}/load`) > size || size > 4e6);
    await brick.end("SIGKILL");
    await brick.start();
  }
  await writer.stop();
});

long("shapes, one: a brick that stood still for ten seconds only delays", [], async () => {
  await using cluster = await Cluster.start({ layout: "one" });
  await using mount = await cluster.mount();
  const writer = keepWriting(mount.path);
  await until("it writes", () => sizeOf(`${mount.path}/load`) > 100_000);
  Deno.kill(cluster.bricks[0]!.pid, "SIGSTOP");
  await new Promise((done) => setTimeout(done, 10_000));
  Deno.kill(cluster.bricks[0]!.pid, "SIGCONT");
  await writer.stop();
});

for (const layout of ["replica3", "disperse6"] as const) {
  long(
    `shapes, ${layout}: a brick cut off the network and one that stands still`,
    GLFSHEAL,
    async () => {
      await using cluster = await Cluster.start({
        layout,
        hosts: true,
        client: { pingTimeout: 3 },
      });
      await using mount = await cluster.mount();
      const writer = keepWriting(mount.path);
      await until("it writes", () => sizeOf(`${mount.path}/load`) > 100_000);
      await cluster.bricks[1]!.host!.cut();
      // Writes wait until the client gives the brick up.
      await must(["sh", "-c", 'echo cut > "$1/cut"', "sh", mount.path]);
      await must(["sh", "-c", BEFORE, "sh", mount.path]);
      await cluster.bricks[1]!.host!.mend();
      await connected(cluster);
      await healed(cluster);
      Deno.kill(cluster.bricks[0]!.pid, "SIGSTOP");
      await must(["sh", "-c", CHANGES, "sh", mount.path]);
      Deno.kill(cluster.bricks[0]!.pid, "SIGCONT");
      await connected(cluster);
      await writer.stop();
      await untilHealed(cluster);
    },
  );
}

long("shapes, one: a connection that was cut for three seconds goes on", [], async () => {
  await using cluster = await Cluster.start({ layout: "one", hosts: true });
  await using mount = await cluster.mount();
  const writer = keepWriting(mount.path);
  await until("it writes", () => sizeOf(`${mount.path}/load`) > 100_000);
  await cluster.bricks[0]!.host!.cut();
  await new Promise((done) => setTimeout(done, 3_000));
  await cluster.bricks[0]!.host!.mend();
  await writer.stop();
});

for (const layout of LONG ? ["distributed", "replica3"] as const : ["distributed"] as const) {
  e2e(`shapes, ${layout}: sharded images of qemu-img and fio`, ["qemu-img", "fio"], async () => {
    await using cluster = await Cluster.start({ layout, client: { shard: "4MB" } });
    await using mount = await cluster.mount();
    const size = LONG ? "200M" : "24M";
    const fio = ["fio", "--name=image", `--filename=${mount.path}/image`, `--size=${size}`];
    fio.push(
      "--verify=crc32c",
      "--verify_fatal=1",
      "--rw=randrw",
      "--bsrange=4k-512k",
      "--end_fsync=1",
    );
    await must(fio, { timeoutMs: LONG_MS, cwd: cluster.dir });
    await must([
      "qemu-img",
      "convert",
      "-O",
      "qcow2",
      `${mount.path}/image`,
      `${mount.path}/image.qcow2`,
    ], { timeoutMs: LONG_MS });
    for (const brick of cluster.bricks) {
      await brick.end("SIGKILL");
      await brick.start();
    }
    await using fresh = await cluster.mount();
    const compare = ["qemu-img", "compare", `${fresh.path}/image`, `${fresh.path}/image.qcow2`];
    await must(compare, { timeoutMs: LONG_MS });
    const pieces = cluster.bricks.map(({ path }) => [...Deno.readDirSync(`${path}/.shard`)].length);
    const whole = layout === "distributed" ? pieces.reduce((a, b) => a + b) : pieces[0]!;
    if (whole < 5) throw new Error(`Only ${whole} pieces`);
    await must(["rm", `${fresh.path}/image`, `${fresh.path}/image.qcow2`]);
    const gone = () =>
      cluster.bricks.every(({ path }) =>
        [...Deno.readDirSync(`${path}/.shard`)].every((e) => e.name.startsWith("."))
      );
    await until("all pieces are removed", gone, 60_000);
  });
}

e2e("shapes, replica3: times are the same whichever brick answers", [], async () => {
  await using cluster = await Cluster.start({ layout: "replica3" });
  const times = (path: string) =>
    must([
      "sh",
      "-c",
      'cd "$1" && find . -exec stat -c "%n %.9X %.9Y %.9Z" {} + | sort',
      "sh",
      path,
    ]);
  let want: string;
  {
    await using mount = await cluster.mount();
    await must(["sh", "-c", BEFORE, "sh", mount.path]);
    await must(["sh", "-c", CHANGES, "sh", mount.path]);
    want = await times(mount.path);
  }
  for (const brick of LONG ? cluster.bricks : cluster.bricks.slice(0, 1)) {
    await brick.end("SIGKILL");
    {
      await using mount = await cluster.mount();
      assertEquals(await times(mount.path), want);
    }
    await brick.start();
  }
});
