/** Snapshots of a distributed and replicated volume, browsed by GlusterFS's client and by ours. */

import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { e2e, LONG } from "tests/e2e/harness.ts";
import { NODE_HOST } from "tests/e2e/managed_node.ts";
import { Mounts } from "tests/e2e/own_mounts.ts";
import { must, run, until } from "tests/e2e/process.ts";
import { type Entry, expectSameTree, readTree } from "tests/e2e/tree.ts";

const WORK = new URL("./snapshot_views.sh", import.meta.url).pathname;
const FILES = LONG ? 10_000 : 100;

function work(what: "before" | "after", where: string): Promise<string> {
  return must(["sh", WORK, what, where, `${FILES}`], { timeoutMs: 900_000 });
}

/** Differences that a program can see; how many blocks a file takes may change. */
function differs(was: Entry, is: Entry): string[] {
  const seen = ({ blocks: _blocks, ...rest }: Entry) => JSON.stringify(rest);
  return seen(was) === seen(is) ? [] : [`${seen(was)} became ${seen(is)}`];
}

/** Our client tells the time of a directory as one of its bricks has it. */
function differsForOurs(was: Entry, is: Entry): string[] {
  const isDirectory = was.size === undefined;
  return differs(was, isDirectory ? { ...is, mtime: was.mtime } : is);
}

/** Every way to change something, none of which may succeed. */
const CHANGES = [
  "echo x > new",
  "echo x | dd of=large oflag=append conv=notrunc",
  "truncate -s 0 large",
  "mkdir new",
  "rm large",
  "rmdir empty",
  "mv large other",
  "ln large other",
  "ln -s large other",
  "chmod 600 large",
  "chown 1 large",
  "touch large",
  "setfattr -n user.x -v y large",
  "setfattr -x user.color dir",
];

async function expectReadOnly(directory: string): Promise<void> {
  const wrong: string[] = [];
  for (const change of CHANGES) {
    const { code, err } = await run(["sh", "-c", `cd "$0" && ${change}`, directory]);
    if (code === 0 || !/Read-only file system/.test(err)) wrong.push(`${change}: ${code} ${err}`);
  }
  deepEqual(wrong, []);
}

async function names(directory: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(directory), ({ name }) => name)).sort();
}

e2e(
  "snapshots: C clients and ours find in a view all that was there, and cannot change it",
  ["setfacl", "setfattr", "mount.glusterfs"],
  async () => {
    await using mounts = await Mounts.start({ bricks: 4, layout: "replica 2" });
    const { node } = mounts, { dir } = node;
    const live = (await node.mount("v1", "acl")).path;
    await work("before", live);
    const before = await readTree(live);
    await must(["cp", "-a", live, `${dir}/copy`]);
    await node.must("snapshot create s1 v1 no-timestamp");
    await node.try("snapshot activate s1");
    await work("after", live);
    const after = await readTree(live);
    await node.must("snapshot create s2 v1 no-timestamp");
    await node.try("snapshot activate s2");

    const view = `${live}/.snaps/s1`;
    deepEqual(await names(`${live}/.snaps`), ["s1", "s2"]);
    expectSameTree(before, await readTree(view), differs);
    expectSameTree(after, await readTree(`${live}/.snaps/s2`), differs);
    expectSameTree(after, await readTree(live), differs);
    equal((await names(live)).includes(".snaps"), false);
    await must(["diff", "-r", "--no-dereference", `${dir}/copy/dir`, `${view}/dir`]);
    await must(["cp", "-a", view, `${dir}/from-view`]);
    expectSameTree(await readTree(`${dir}/copy`), await readTree(`${dir}/from-view`), differs);
    await expectReadOnly(view);
    match((await run(["mkdir", `${live}/.snaps`])).err, /File exists|Read-only/);
    match((await run(["mkdir", `${live}/.snaps/s9`])).err, /Read-only/);
    match((await run(["rmdir", `${live}/.snaps`])).err, /Read-only|not empty/);

    const ours = await mounts.mount("acl");
    deepEqual(await names(`${ours}/.snaps`), ["s1", "s2"]);
    expectSameTree(before, await readTree(`${ours}/.snaps/s1`), differsForOurs);
    await expectReadOnly(`${ours}/.snaps/s1`);

    // The snapshot as a volume of its own.
    {
      await using snapshot = await node.mount("snaps/s1/v1", "acl");
      expectSameTree(before, await readTree(snapshot.path), differs);
      await expectReadOnly(snapshot.path);
      equal((await run(["ls", `${snapshot.path}/.snaps`])).code, 2);
    }

    // What was refused left nothing for healers.
    for (const { path } of await node.bricks("v1")) {
      for (const index of ["xattrop", "dirty", "entry-changes"]) {
        const found = await names(`${path}/.glusterfs/indices/${index}`);
        deepEqual(found.filter((name) => !name.startsWith(index)), []);
      }
    }

    // What was open goes on after the bricks came back.
    using open = await Deno.open(`${view}/large2`);
    await open.read(new Uint8Array(10));
    for (const { pid } of await node.bricks("v1")) Deno.kill(pid, "SIGKILL");
    await until("the bricks are gone", async () => {
      return (await node.bricks("v1")).every(({ online }) => !online);
    });
    await node.must("volume start v1 force");
    await node.allOnline("v1");
    await until("what is open is read again", async () => {
      await open.seek(0, Deno.SeekMode.Start);
      return await open.read(new Uint8Array(10)).then((count) => count === 10, () => false);
    });
    const same = async () => expectSameTree(before, await readTree(view), differs);
    await until("all bricks are reached", () => same().then(() => true, () => false));
    const rest = new Uint8Array(await new Response(open.readable).arrayBuffer());
    const wanted = await Deno.readFile(`${dir}/copy/large2`);
    deepEqual(rest, wanted.subarray(10));
  },
);

if (LONG) {
  e2e("snapshots: qemu-img takes a disk out of one by gluster://", ["qemu-img"], async () => {
    await using mounts = await Mounts.start({ bricks: 2, layout: "replica 2" });
    const { node } = mounts, { dir } = node;
    const live = (await node.mount("v1")).path;
    const sh = (script: string) => must(["sh", "-c", `cd "$0" && ${script}`, live]);
    await sh("head -c 3145728 /dev/urandom > disk && truncate -s 20M disk && cp disk ../wanted");
    await node.must("snapshot create s1 v1 no-timestamp");
    await node.try("snapshot activate s1");
    await sh("head -c 4000000 /dev/urandom | dd of=disk conv=notrunc");
    const from = `gluster://${NODE_HOST}/v1/.snaps/s1/disk`;
    const convert = ["qemu-img", "convert", "-f", "raw", "-O", "raw", from, `${dir}/out`];
    await must(node.space.inside(convert));
    await must(["cmp", `${dir}/wanted`, `${dir}/out`]);
  });
}
