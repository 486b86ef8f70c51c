/** Clones of files of a replicated volume, as GlusterFS's client sees them. */

import { strictEqual as equal } from "node:assert/strict";
import { realEnv } from "core/env.ts";
import type { Gfid } from "core/inode.ts";
import { BrickLink } from "mgmt/bricks/brick_link.ts";
import { cloneFile, listReaders, restoreFile } from "rpc/programs/history_ops.ts";
import { e2e } from "tests/e2e/harness.ts";
import type { ManagedNode } from "tests/e2e/managed_node.ts";
import { LinesLog } from "tests/fakes/node.ts";
import { Mounts } from "tests/e2e/own_mounts.ts";
import { must, until } from "tests/e2e/process.ts";

/** The unix sockets of all bricks, by their command lines. */
async function links(node: ManagedNode): Promise<BrickLink[]> {
  const env = realEnv(new LinesLog());
  return (await node.bricks("v1")).map(({ pid }) => {
    const argv = Deno.readTextFileSync(`/proc/${pid}/cmdline`).split("\0");
    return new BrickLink(env, argv[argv.indexOf("-S") + 1]!);
  });
}

async function gfidOf(path: string): Promise<Gfid> {
  const args = ["getfattr", "--only-values", "-n", "glusterfs.gfid.string", path];
  return (await must(args)).trim() as Gfid;
}

/** All bricks make `to`, which is made for that, a clone of `from` in the newest snapshot. */
async function clone(node: ManagedNode, mount: string, from: string, to: string): Promise<void> {
  await Deno.writeFile(`${mount}/${to}.new`, new Uint8Array(), { createNew: true });
  const source = await gfidOf(`${mount}/${from}`), gfid = await gfidOf(`${mount}/${to}.new`);
  const id = crypto.randomUUID();
  for (const link of await links(node)) {
    const { readers } = await link.ask(listReaders, {});
    const snapshot = readers.findLast(({ kind }) => kind === "snapshot")!.id;
    const { errno, error } = await link.ask(cloneFile, { id, snapshot, source, gfid });
    equal(errno, 0, error);
    link.close();
  }
  const { size } = await Deno.stat(`${mount}/${from}`);
  await Deno.rename(`${mount}/${to}.new`, `${mount}/${to}`);
  const sized = async () => (await Deno.stat(`${mount}/${to}`)).size === size;
  await until("the clone has its size", sized);
}

async function sum(path: string): Promise<string> {
  return (await must(["sha256sum", path])).slice(0, 64);
}

function fio(file: string, ...more: string[]): Promise<string> {
  return must([
    ...["fio", "--name=clone", `--filename=${file}`, "--rw=randwrite", "--bsrange=512-64k"],
    ...["--size=8M", "--io_size=6M", "--verify=crc32c", "--randseed=7", "--ioengine=psync"],
    ...["--fsync=32", "--output=/dev/null", "--norandommap=0", "--verify_state_save=0", ...more],
  ], { timeoutMs: 120_000 });
}

e2e(
  "clones of files: both replicas and a C client see them, whatever happens to the master",
  ["fio", "qemu-img", "mount.glusterfs", "getfattr"],
  async () => {
    await using mounts = await Mounts.start({ bricks: 2, layout: "replica 2" });
    const { node } = mounts, { dir } = node;
    const live = (await node.mount("v1")).path, master = `${live}/master`;
    await must(["sh", "-c", `head -c 8M /dev/urandom > ${master}; truncate -s 16M ${master}`]);
    await must(["sync", master]);
    await must(["cp", master, `${dir}/copy`]);
    const wanted = await sum(`${dir}/copy`);
    await node.must("snapshot create s1 v1 no-timestamp");
    await clone(node, live, "master", "guest1");
    await clone(node, live, "master", "guest2");
    equal(await sum(`${live}/guest1`), wanted);

    // The master is overwritten while a guest writes.
    const overwriting = must(["dd", "if=/dev/zero", `of=${master}`, "bs=64k", "count=200"]);
    await fio(`${live}/guest1`, "--do_verify=1");
    await overwriting;
    await must(["qemu-img", "compare", "-f", "raw", "-F", "raw", `${live}/guest2`, `${dir}/copy`]);

    // A clone of a clone, its parents gone.
    const first = await sum(`${live}/guest1`);
    await node.must("snapshot create s2 v1 no-timestamp");
    await clone(node, live, "guest1", "guest3");
    await node.try("snapshot delete s1");
    await node.try("snapshot delete s2");
    await Deno.remove(master);
    await Deno.remove(`${live}/guest1`);
    equal(await sum(`${live}/guest3`), first);

    // Each replica alone, and after its process was killed.
    for (const { path } of await node.bricks("v1")) {
      const { pid } = (await node.bricks("v1")).find((each) => each.path === path)!;
      Deno.kill(pid, "SIGKILL");
      await until(
        "one brick is gone",
        async () => (await node.bricks("v1")).some(({ online }) => !online),
      );
      await using alone = await node.mount("v1");
      await until(
        "one replica answers",
        () => sum(`${alone.path}/guest3`).then(() => true, () => false),
      );
      equal(await sum(`${alone.path}/guest3`), first);
      equal(await sum(`${alone.path}/guest2`), wanted);
      await node.must("volume start v1 force");
      await node.allOnline("v1");
    }
  },
);

e2e(
  "snapshots of a file: a C client sees what it went back to at both replicas",
  ["mount.glusterfs", "setfattr", "getfattr"],
  async () => {
    await using mounts = await Mounts.start({ bricks: 2, layout: "replica 2" });
    const { node } = mounts;
    const live = (await node.mount("v1")).path, file = `${live}/f`;
    const order = (what: string) =>
      must(["setfattr", "-n", `trusted.glusterfs.block-snapshot-${what}`, "-v", "s", file]);
    await must(["sh", "-c", `head -c 1M /dev/urandom > ${file}`]);
    const wanted = await sum(file);
    await order("create");
    await must(["dd", "if=/dev/zero", `of=${file}`, "bs=4k", "count=9", "seek=3", "conv=notrunc"]);
    await must(["truncate", "-s", "2M", file]);
    const settled = () => order("goto").then(() => true, () => false);
    await until("the file is closed everywhere, and goes back", settled);
    await until("the client sees it", async () => await sum(file) === wanted);
    const sums = (await node.bricks("v1")).map(({ path }) => sum(`${path}/f`));
    equal((await Promise.all(sums)).join(), `${wanted},${wanted}`);

    await must(["sh", "-c", `echo new > ${file}`]);
    const gfid = await gfidOf(file);
    for (const link of await links(node)) {
      const { readers } = await link.ask(listReaders, {});
      const { errno, error } = await link.ask(restoreFile, { snapshot: readers[0]!.id, gfid });
      equal(errno, 0, error);
      link.close();
    }
    await until("the client sees it again", async () => await sum(file) === wanted);
    await order("remove");
  },
);
