/** Clones of whole volumes, by real clients: while the origin is written, and when it is not there. */

import { match, strictEqual as equal } from "node:assert/strict";
import { e2e, LONG } from "tests/e2e/harness.ts";
import { ManagedNode } from "tests/e2e/managed_node.ts";
import { must, Process, run, until } from "tests/e2e/process.ts";

const IMAGE = 48 << 20;

/** A tree with all kinds of files, and an image with holes. */
const TREE = `
set -e; cd "$1"; mkdir -p d/e/f; for i in $(seq 1 40); do echo "file $i" > "d/f$i"; done
ln d/f1 d/e/linked; ln -s ../f2 d/e/to; chmod 2750 d/e; setfattr -n user.who -v me d/f3
head -c 100000 /dev/urandom > d/e/f/random; touch -d 2001-02-03 d/f4
dd if=/dev/urandom of=image bs=1M count=8 status=none
dd if=/dev/urandom of=image bs=1M seek=40 count=8 status=none conv=notrunc`;

async function sh(script: string, ...args: string[]): Promise<string> {
  return await must(["sh", "-c", script, "sh", ...args]);
}

async function same(one: string, other: string): Promise<void> {
  const { code, out, err } = await run(["diff", "-r", "--no-dereference", one, other]);
  equal(code, 0, out + err);
  const list = "cd \"$1\" && find . -printf '%p %y %m %n %s %T@ %l\\n' | grep -v '^. ' | sort";
  const [here, there] = [await sh(list, one), await sh(list, other)];
  // A directory's links and size are the disk's.
  const plain = (text: string) => text.replace(/^(.* d \d+) \d+ \d+/gm, "$1");
  equal(plain(here), plain(there));
}

e2e("snapshot clone: a volume that is a snapshot, and goes its own way", [
  ...["mount.glusterfs", "setfattr"],
], async () => {
  await using node = await ManagedNode.start();
  await node.volume("v1", 4, "replica 2");
  const origin = await node.mount("v1");
  await sh(TREE, origin.path);
  await must(["cp", "-a", origin.path, `${node.dir}/copy`]);
  const copy = `${node.dir}/copy`;
  // Somebody writes all the time, in a file beside.
  const busy =
    `while :; do dd if=/dev/urandom of="$1/busy" bs=64k count=4 conv=notrunc status=none; done`;
  const writer = new Process(["sh", "-c", busy, "sh", origin.path], `${node.dir}/writer.log`);
  try {
    await node.must("snapshot create s1 v1 no-timestamp");
    equal(
      await node.must("snapshot clone c1 s1"),
      "snapshot clone: success: Clone c1 created successfully\n",
    );
    await node.must("snapshot delete s1");
    match(await node.must("volume info c1"), /Status: Created[\s\S]*v1-0\.c1/);
    await sh(
      `cd "$1" && echo other > d/f5 && rm d/f6 && mv d/e d/moved &&
      dd if=/dev/urandom of=image bs=1M count=2 seek=1 conv=notrunc status=none`,
      origin.path,
    );
    await node.must("volume start c1");
    const clone = await node.mount("c1");
    await sh('rm -f "$1/busy"', clone.path);
    await same(copy, clone.path);

    // Writes of one are not the other's.
    await sh(
      `cd "$1" && echo mine > d/f7 && rm -r d/e/f && mv d/f8 d/e/f8 && echo more >> d/f9 &&
      dd if=/dev/zero of=image bs=4k count=3 seek=2000 conv=notrunc status=none`,
      clone.path,
    );
    await sh(
      `cd "$1" && echo mine > d/f7 && rm -r d/e/f && mv d/f8 d/e/f8 && echo more >> d/f9 &&
      dd if=/dev/zero of=image bs=4k count=3 seek=2000 conv=notrunc status=none`,
      copy,
    );
    equal(await Deno.readTextFile(`${origin.path}/d/f7`), "file 7\n");
    await sh('cd "$1" && touch -r "$2/d/f7" d/f7', copy, clone.path);
    const { code, out } = await run(["diff", "-r", "--no-dereference", copy, clone.path]);
    equal(code, 0, out);

    // A clone of the clone.
    await node.must("snapshot create s2 c1 no-timestamp");
    await node.must("snapshot clone c2 s2");
    await node.must("snapshot delete s2");
    await node.must("volume start c2");
    const second = await node.mount("c2");
    await sh('echo second > "$1/d/f10"', second.path);
    equal(await Deno.readTextFile(`${clone.path}/d/f10`), "file 10\n");
    await sh('echo "file 10" > "$1/d/f10"', second.path);
    equal((await run(["diff", "-r", "--no-dereference", copy, second.path])).code, 0);
    equal(IMAGE, (await Deno.stat(`${second.path}/image`)).size);
  } finally {
    await writer.end("SIGKILL");
  }
  // Both copies of each set are equal: they came and went the same way.
  const data = (path: string) =>
    sh(`cd "$1" && find . -path ./.glusterfs -prune -o -type f -printf '%p %s %m\\n' | sort`, path);
  equal(await data(`${node.dir}/v1-0.c1`), await data(`${node.dir}/v1-1.c1`));

  match((await node.try("--mode=script volume delete v1")).err, /has been started/);
  for (const name of ["c2", "c1", "v1"]) await node.must(`volume stop ${name}`);
  await node.must("snapshot delete all");
  match((await node.try("volume delete v1")).err, /its clone c1 reads from it; delete that first/);
  match((await node.try("volume delete c1")).err, /its clone c2 reads from it/);
  match((await node.try("volume flatten c2")).err, /Volume c2 is not started: start it first/);
  await node.must("volume start c1");
  await node.must("volume start c2");
  await node.allOnline("c2");
  match((await node.try("volume flatten c1")).err, /clone c2 reads through it/);
  match((await node.try("volume flatten v1")).err, /Volume v1 is no clone of another one/);
  await until("c2 is flattened", async () => /success/.test(await node.must("volume flatten c2")));
  await node.must("volume stop c2");
  for (const name of ["c1", "v1"]) {
    await node.try(`volume stop ${name}`);
    await node.must(`volume delete ${name}`);
  }
  await sh('rm -rf "$1"/v1-? "$1"/v1-?.c1', node.dir);
  await node.must("volume start c2");
  const alone = await node.mount("c2");
  const last = await run(["diff", "-r", "--no-dereference", copy, alone.path]);
  equal(last.code, 0, last.out);
});

e2e("snapshot clone: by GlusterFS's gluster, through kills of the daemon, and healed", [
  ...["mount.glusterfs", "gluster"],
], async () => {
  await using node = await ManagedNode.start();
  await node.volume("v1", 2, "replica 2");
  const origin = await node.mount("v1");
  await sh('mkdir "$1/d"; for i in $(seq 1 20); do echo "file $i" > "$1/d/f$i"; done', origin.path);
  await node.must("snapshot create s1 v1 no-timestamp");
  const argv = ["gluster", `--glusterd-sock=${node.run}/mgmt.socket`, "--mode=script"];
  const gluster = (line: string) => run(node.space.inside([...argv, ...line.split(" ")]));
  const made = await gluster("snapshot clone c1 s1");
  equal(made.out, "snapshot clone: success: Clone c1 created successfully\n", made.err);
  match((await gluster("snapshot clone c1 s1")).err, /Volume with name:c1 already exists/);

  // All of a clone is there after a kill, or nothing.
  for (const ms of [50, 150, 300]) {
    const going = node.try(`snapshot clone k${ms} s1`);
    await new Promise((resolve) => setTimeout(resolve, ms));
    await node.endDaemon();
    await going;
    await node.startDaemon();
    const there = (await node.must("volume list")).split("\n").includes(`k${ms}`);
    for (const at of [0, 1]) equal(await exists(`${node.dir}/v1-${at}.k${ms}`), there);
    if (there) await node.must(`volume delete k${ms}`);
  }

  await node.must("volume start c1");
  const clone = await node.mount("c1");
  const [first] = await node.allOnline("c1");
  Deno.kill(first!.pid, "SIGKILL");
  await until("the brick is down", async () => !(await node.bricks("c1"))[0]!.online);
  await sh('cd "$1" && echo new > d/f1 && rm d/f2 && mv d/f3 d/g3 && mkdir e', clone.path);
  await node.must("volume start c1 force");
  const rows = await node.allOnline("c1");
  await until("nothing is left to heal", async () => {
    const info = await node.must("volume heal c1 info");
    return [...info.matchAll(/Number of entries: (\S+)/g)].every(([, count]) => count === "0");
  });
  Deno.kill(rows[1]!.pid, "SIGKILL");
  await until("the other is down", async () => !(await node.bricks("c1"))[1]!.online);
  // The client may still be finding out that the first one is back.
  await until("the healed brick answers", () => exists(`${clone.path}/d/g3`));
  equal(
    await sh('cd "$1" && cat d/f1 d/f4 && ls -d e d/g3 && ! ls d/f2 2>/dev/null', clone.path),
    "new\nfile 4\nd/g3\ne\n",
  );
  equal(await sh('cat "$1/d/f1"', origin.path), "file 1\n");
});

e2e("volume flatten: goes on by itself whatever is killed or stopped, and says how far it is", [
  ...["mount.glusterfs", "gluster"],
], async () => {
  await using node = await ManagedNode.start();
  await node.volume("v1", 2, "replica 2");
  const origin = await node.mount("v1");
  await sh(TREE, origin.path);
  await must(["cp", "-a", origin.path, `${node.dir}/copy`]);
  await node.must("snapshot create s1 v1 no-timestamp");
  await node.must("snapshot clone c1 s1");
  await node.must("volume start c1");
  const [first, second] = await node.allOnline("c1");
  Deno.kill(second!.pid, "SIGKILL");
  await until("the brick is down", async () => !(await node.bricks("c1"))[1]!.online);
  const begun = /^volume flatten: c1: in progress, \d+ files \(.*; waits: brick .*v1-1\.c1 is not /;
  for (const _ of ["begins", "is asked again"]) match(await node.must("volume flatten c1"), begun);
  match(
    await node.must("volume status c1"),
    /Task +: Flatten[^]*Status +: in progress[^]*Copied +: \d+ files, [^]*Waits +: brick /,
  );
  match(
    await node.must("--xml volume status c1"),
    /<type>Flatten<[^]*<statusStr>in progress<[^]*<waits>/,
  );
  const told = JSON.parse(await node.must("--json volume status c1 tasks"));
  equal(told.value.volumes[0].tasks[0].statusText, "in progress");
  const gluster = ["gluster", `--glusterd-sock=${node.run}/mgmt.socket`, "volume", "status", "c1"];
  const theirs = await must(node.space.inside(gluster));
  match(theirs, /Task +: Flatten[^]*Status +: in progress/);
  await node.must("snapshot create s2 c1 no-timestamp force");
  match(
    (await node.try("snapshot clone c2 s2")).err,
    /Volume c1 is being flattened; clone it when/,
  );

  Deno.kill(first!.pid, "SIGKILL");
  match(await node.must("volume stop c1"), /success\nIt was being flattened, which goes on when/);
  match((await node.try("volume flatten c1")).err, /not started: flattening has begun and goes on/);
  await node.endDaemon();
  await node.startDaemon();
  await node.must("volume start c1");
  for (const { pid } of await node.allOnline("c1")) Deno.kill(pid, "SIGKILL");
  await node.endDaemon();
  await node.startDaemon();
  await until("it is flattened", async () => {
    return /Task +: Flatten[^]*Status +: completed/.test(await node.must("volume status c1"));
  });
  match(await node.must("volume flatten c1"), /^volume flatten: c1: success: it needs no other/);
  await node.must("volume stop v1");
  await node.must("snapshot delete s1");
  await node.must("volume delete v1");
  await sh('rm -rf "$1"/v1-0 "$1"/v1-1', node.dir);
  await node.must("volume start c1 force");
  const alone = await node.mount("c1");
  await same(`${node.dir}/copy`, alone.path);
});

e2e("snapshot clone: clones of clones are exact, whatever was removed before", [], async () => {
  await using node = await ManagedNode.start();
  await node.volume("v1", 1);
  const origin = await node.mount("v1"), model = `${node.dir}/model`;
  await sh(TREE, origin.path);
  await must(["cp", "-a", origin.path, model]);
  await origin[Symbol.asyncDispose]();
  const depth = LONG ? 64 : 4;
  let before = "v1";
  for (let level = 1; level <= depth; level++) {
    const name = `c${level}`;
    await node.must(`snapshot create s ${before} no-timestamp`);
    await node.must(`snapshot clone ${name} s`);
    await node.must("snapshot delete s");
    await node.must(`volume stop ${before}`);
    await node.must(`volume start ${name}`);
    before = name;
    if (level % (depth / 4) !== 0) continue;
    const mount = await node.mount(name);
    // Something of each level is its own.
    const change = `cd "$1" && echo "level ${level}" >d/f${level % 40 + 1} && rm -f d/f${
      level % 7 + 9
    } &&
      yes ${level} | dd of=image bs=4k count=3 seek=${
      level * 20
    } conv=notrunc iflag=fullblock status=none`;
    for (const path of [mount.path, model]) await sh(change, path);
    const { code, out } = await run(["diff", "-r", "--no-dereference", model, mount.path]);
    equal(code, 0, out);
    await mount[Symbol.asyncDispose]();
  }
  if (!LONG) return;
  await node.must(`snapshot create s ${before} no-timestamp`);
  match(
    (await node.try("snapshot clone more s")).err,
    /reads through 64 others already; flatten it/,
  );
});

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
