/** Snapshots of a brick that was replaced come back from its replica, byte for byte. */

import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { e2e } from "tests/e2e/harness.ts";
import { type BrickRow, ManagedNode } from "tests/e2e/managed_node.ts";
import { must, until } from "tests/e2e/process.ts";

const SNAPSHOTS = ["one", "two", "three", "four", "five"];

/** What changes before each snapshot: an image, a tree, names, attributes, links. */
const CHANGE = `
set -e
n=$0; cd "$1"
mkdir -p tree/d$n
for i in 1 2 3 4 5 6 7 8; do echo "$n $i" >tree/d$n/f$i; done
[ $n = 1 ] && head -c 12582912 /dev/urandom >image && ln -s image link
head -c 700000 /dev/urandom | dd of=image bs=4096 seek=$((n * 300)) conv=notrunc status=none
dd if=/dev/urandom of=image bs=1000 seek=$((n * 777)) count=3 conv=notrunc status=none
[ $n = 1 ] || { rm tree/d$((n - 1))/f$n; mv tree/d$((n - 1))/f1 tree/d$n/moved; }
[ $n = 2 ] && ln tree/d2/f3 tree/d1/hard
[ $n = 3 ] && { rm -r tree/d1; truncate -s 5000000 image; setfattr -n user.three -v x image; }
[ $n = 4 ] && { rm image; head -c 3000000 /dev/urandom >image; chmod 640 image; }
touch -d "2020-01-0$n" tree
echo "$n" >newest
`;

/** All that can be seen of a tree. */
const SUMS = `
cd "$0"
find . | sort | while read -r f; do
  stat -c "%n %F %a %u %g %h %s %Y %Z" "$f"
  [ -f "$f" ] && [ ! -L "$f" ] && md5sum <"$f"
  getfattr -h -d -m user -- "$f" 2>/dev/null
done
readlink link
true
`;

async function sums(path: string): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const name of SNAPSHOTS) {
    found.set(name, await must(["sh", "-c", SUMS, `${path}/.snaps/${name}`]));
  }
  return found;
}

async function healed(node: ManagedNode): Promise<void> {
  await until("files are healed", async () => {
    const text = await node.must("volume heal v info");
    return !text.includes("not connected") && !/entries: [1-9]/.test(text);
  }, 60_000);
}

e2e("snapshot: a brick that was replaced gets its snapshots from its replica", [], async () => {
  await using node = await ManagedNode.start("--no-restart");
  await node.volume("v", 2, "replica 2");
  const before = await snapshots(node);
  await replace(node, 1);
  // A daemon that dies goes on, and so does a brick.
  await until("snapshots are on their way", async () => {
    const log = await Deno.readTextFile(`${node.dir}/mgmt.log`);
    return log.includes("gets the snapshots that it misses");
  }, 60_000);
  await node.endDaemon();
  await node.startDaemon("--no-restart");
  const [, again] = await node.allOnline("v");
  Deno.kill(again!.pid, "SIGKILL");
  await until("the brick is gone again", async () => !(await node.bricks("v"))[1]!.online);
  await node.must("volume start v force");
  await until("nothing is missed", async () => (await missed(node)).missing === 0, 60_000);
  equal((await missed(node)).held, true);
  await expectWithoutFirst(node, before);
});

e2e(
  "snapshot: an arbiter that was replaced has its say about old snapshots again",
  [],
  async () => {
    await using node = await ManagedNode.start("--no-restart");
    await node.volume("v", 3, "replica 3 arbiter 1");
    const before = await snapshots(node);
    const { path } = await replace(node, 2);
    await until("nothing is missed", async () => (await missed(node)).missing === 0, 60_000);
    const segments = [...Deno.readDirSync(`${path}/.glusterfs/history/segments`)];
    deepEqual(segments, []);
    await expectWithoutFirst(node, before);
  },
);

/** Takes them, changes more, and answers what each shows. */
async function snapshots(node: ManagedNode): Promise<Map<string, string>> {
  await node.allOnline("v");
  const mount = await node.mount("v");
  for (const [index, name] of SNAPSHOTS.entries()) {
    await must(["sh", "-c", CHANGE, `${index + 1}`, mount.path]);
    await node.must(`snapshot create ${name} v no-timestamp`);
    await node.must(`snapshot activate ${name}`);
  }
  await must(["sh", "-c", CHANGE, "6", mount.path]);
  const before = await sums(mount.path);
  ok(before.get("three")!.includes("user.three"), before.get("three"));
  return before;
}

/** A brick has a new disk, and its files again; it misses all snapshots for now. */
async function replace(node: ManagedNode, index: number): Promise<BrickRow> {
  const brick = (await node.allOnline("v"))[index]!;
  Deno.kill(brick.pid, "SIGKILL");
  await until("the brick is gone", async () => !(await node.bricks("v"))[index]!.online);
  await Deno.remove(brick.path, { recursive: true });
  await Deno.mkdir(brick.path);
  await node.must("volume start v force");
  await node.allOnline("v");
  await until("its snapshots are missed", async () => {
    const { missing } = await missed(node);
    return missing === SNAPSHOTS.length;
  });
  // A crawl that is before the healer's connection to the brick finds nobody there.
  await until(
    "files are there again",
    async () => {
      await node.must("volume heal v full");
      return await Deno.lstat(`${brick.path}/newest`).then(() => true, () => false);
    },
    60_000,
    1000,
  );
  await healed(node);
  return brick;
}

/** What the bricks that are left show is what all showed. */
async function expectWithoutFirst(node: ManagedNode, before: Map<string, string>): Promise<void> {
  const [first] = await node.bricks("v");
  Deno.kill(first!.pid, "SIGKILL");
  await until("the other brick is gone", async () => !(await node.bricks("v"))[0]!.online);
  const alone = await node.mount("v");
  deepEqual(await sums(alone.path), before);
  equal(await Deno.readTextFile(`${alone.path}/newest`), "6\n");
}

/** Snapshots that a brick misses, and whether all hold room at both bricks. */
async function missed(node: ManagedNode): Promise<{ missing: number; held: boolean }> {
  const text = await node.must("snapshot status volume v");
  const held = [...text.matchAll(/Held shared +: +(\S+)/g)].map(([, size]) => size!);
  return {
    missing: text.match(/Missing/g)?.length ?? 0,
    held: held.length === 2 * SNAPSHOTS.length && !held.includes("N/A"),
  };
}
