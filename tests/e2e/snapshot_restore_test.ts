/** Volumes that go back to a snapshot, as clients of GlusterFS's see it, and through its `gluster`. */

import { match, strictEqual as equal } from "node:assert/strict";
import { e2e } from "tests/e2e/harness.ts";
import { ManagedNode } from "tests/e2e/managed_node.ts";
import { must, processesNaming, run, until } from "tests/e2e/process.ts";
import { CHANGE, differences, expectTree, MAKE, script } from "tests/e2e/snapshot_trees.ts";
import { type Entry, expectSameTree, readTree } from "tests/e2e/tree.ts";

/** Bricks of a set of two are equal, what each knows of the other and of handles aside. */
async function expectEqualCopies(node: ManagedNode, volume: string, sets: number): Promise<void> {
  for (let set = 0; set < sets; set++) {
    const [one, other] = await Promise.all([2 * set, 2 * set + 1].map(async (index) => {
      const tree = await readTree(`${node.dir}/${volume}-${index}`);
      return new Map([...tree].filter(([path]) => !path.startsWith(".glusterfs")));
    }));
    const own = /^trusted\.(afr\.|glusterfs\.mdata$)/;
    const shared = (entry: Entry): Entry => ({
      ...entry,
      ...{
        mtime: 0,
        xattrs: Object.fromEntries(
          Object.entries(entry.xattrs).filter(([name]) => !own.test(name)),
        ),
      },
    });
    expectSameTree(one!, other!, (want, got) => differences(shared(want), shared(got)));
  }
}

async function expectHealed(node: ManagedNode, volume: string): Promise<void> {
  await until("nothing is to be healed", async () => {
    const info = await node.must(`volume heal ${volume} info`);
    return [...info.matchAll(/Number of entries: (\d+)/g)].every(([, count]) => count === "0");
  });
}

e2e(
  "snapshot restore: a volume is what it was, and so is every snapshot",
  ["gluster", "setfacl"],
  async () => {
    await using node = await ManagedNode.start();
    await node.volume("v1", 4, "replica 2");
    let mount = await node.mount("v1", "acl");
    await script(MAKE, mount.path);
    const first = await readTree(mount.path);
    await node.must("snapshot create one v1 no-timestamp");
    await script(CHANGE, mount.path);
    const second = await readTree(mount.path);
    await node.must("snapshot create two v1 no-timestamp");
    await must(["sh", "-c", 'rm -rf "$1"/*', "rm", mount.path]);
    match(
      (await node.try("snapshot restore one")).err,
      /^snapshot restore: failed: Volume \(v1\) has been started\. Volume needs to be stopped before restoring a snapshot\.\n$/,
    );
    await mount[Symbol.asyncDispose]();
    await node.must("volume stop v1");
    const gluster = ["gluster", `--glusterd-sock=${node.run}/mgmt.socket`, "--mode=script"];
    const theirs = await run(node.space.inside([...gluster, "snapshot", "restore", "one"]));
    equal(theirs.out, "Snapshot restore: one: Snap restored successfully\n", theirs.err);
    await node.must("volume start v1");
    mount = await node.mount("v1", "acl");
    await expectTree(first, mount.path);
    await expectEqualCopies(node, "v1", 2);
    await expectHealed(node, "v1");
    equal(await node.must("snapshot list v1"), "one\ntwo\n");
    for (const [name, tree] of [["one", first], ["two", second]] as const) {
      await node.must(`snapshot activate ${name}`);
      const view = await node.mount(`snaps/${name}/v1`, "acl");
      await expectTree(tree, view.path);
      await view[Symbol.asyncDispose]();
    }
    // On to the newer one, killed on the way.
    await script('cd "$1" && rm -rf dir && echo y >image && mkdir after', mount.path);
    await mount[Symbol.asyncDispose]();
    await node.must("volume stop v1");
    const asked = node.try("snapshot restore two");
    await until("a brick is being restored", () => processesNaming("--restore").length > 0);
    await node.endDaemon();
    for (const pid of processesNaming("--restore")) {
      if (Deno.readTextFileSync(`/proc/${pid}/cmdline`).includes(node.dir)) {
        Deno.kill(
          pid,
          "SIGKILL",
        );
      }
    }
    await asked;
    await node.startDaemon();
    match(
      (await node.try("snapshot delete two")).err,
      /Volume v1 was being restored from snapshot two/,
    );
    match((await node.try("snapshot restore one")).err, /do it first: mortar snapshot restore two/);
    match(await node.must("volume start v1"), /success\nIt was being restored from snapshot two/);
    mount = await node.mount("v1", "acl");
    await expectTree(second, mount.path);
    await expectEqualCopies(node, "v1", 2);
    await expectHealed(node, "v1");
  },
);

e2e("snapshot restore: a brick that misses the snapshot is healed from its copy", [
  ...["mount.glusterfs", "setfacl"],
], async () => {
  await using node = await ManagedNode.start();
  await node.volume("v1", 2, "replica 2");
  let mount = await node.mount("v1", "acl");
  await script(MAKE, mount.path);
  const zero = await readTree(mount.path);
  await node.must("snapshot create zero v1 no-timestamp");
  // What is not healed keeps the brick from getting the snapshot from its copy.
  await node.must("volume set v1 cluster.self-heal-daemon off");
  const down = async (index: number) => {
    Deno.kill((await node.bricks("v1"))[index]!.pid, "SIGKILL");
    await until("the brick is down", async () => !(await node.bricks("v1"))[index]!.online);
  };
  await down(1);
  await Deno.writeTextFile(`${mount.path}/waits`, "for the other copy");
  await script(
    'cd "$1" && echo more >>dir/deep/f7 && chmod 700 dir/deep/f9 && rm symlink',
    mount.path,
  );
  await node.must("snapshot create one v1 no-timestamp force");
  const first = await readTree(mount.path);
  await node.must("volume start v1 force");
  await node.allOnline("v1");
  await until("changes reach both copies", async () => {
    await Deno.writeTextFile(`${mount.path}/reaches`, "");
    return await Deno.stat(`${node.dir}/v1-1/reaches`).then(() => true, () => false);
  });
  await script(CHANGE, mount.path);
  await mount[Symbol.asyncDispose]();
  await node.must("volume stop v1");
  match(await node.must("snapshot info one"), /Missing on +: .*v1-1/);
  equal((await node.try("snapshot restore one")).err, "");
  await node.must("volume start v1");
  await node.must("volume set v1 cluster.self-heal-daemon on");
  await node.allOnline("v1");
  mount = await node.mount("v1", "acl");
  await expectTree(first, mount.path);
  await expectHealed(node, "v1");
  await expectEqualCopies(node, "v1", 1);
  await node.must("snapshot activate zero");
  await mount[Symbol.asyncDispose]();
  await down(0);
  // From the healed copy alone: what it is, and what its own snapshot was.
  for (const [tree, name] of [[first, "v1"], [zero, "snaps/zero/v1"]] as const) {
    const alone = await node.mount(name, "acl");
    await expectTree(tree, alone.path);
    await alone[Symbol.asyncDispose]();
  }
});
