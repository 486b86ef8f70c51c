import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { e2e } from "tests/e2e/harness.ts";
import { ManagedNode, NODE_HOST } from "tests/e2e/managed_node.ts";
import { exists, run, until } from "tests/e2e/process.ts";
import { MORTAR } from "tests/e2e/program.ts";

/** The id that `volume info` shows. */
async function idOf(node: ManagedNode): Promise<string> {
  return /^Volume ID: (\S+)$/m.exec(await node.must("volume info v1"))![1]!;
}

/** A volume with an option, started; then the daemon is killed and its store damaged. */
async function damagedNode(): Promise<{ node: ManagedNode; id: string; garbage: string }> {
  const node = await ManagedNode.start();
  await node.volume("v1", 2);
  await node.must("volume set v1 user.note kept");
  await node.allOnline("v1");
  const id = await idOf(node);
  await node.endDaemon();
  const garbage = "not a store\n".repeat(1000);
  await Deno.writeTextFile(`${node.home}/records.sqlite`, garbage);
  return { node, id, garbage };
}

e2e(
  "mgmt/store: a daemon with a damaged store says what it kept where, and bricks serve on",
  [],
  async () => {
    const { node, garbage } = await damagedNode();
    await using _ = node;
    const start = () =>
      run(node.space.inside([MORTAR, "mgmt", "--home", node.home]), {
        env: { DENO: Deno.execPath() },
      });
    const kept = /it is kept as "(\S+records\.sqlite\.corrupt-[^"]+)"/;
    const first = await start();
    equal(first.code, 1, first.out);
    match(first.err, kept);
    const path = kept.exec(first.err)![1]!;
    equal(await Deno.readTextFile(path), garbage);
    // However often somebody restarts it.
    const second = await start();
    equal(second.code, 1);
    equal(kept.exec(second.err)![1], path);
    const pids = [...Deno.readDirSync(`${node.run}/vols/v1`)]
      .map(({ name }) => Number(Deno.readTextFileSync(`${node.run}/vols/v1/${name}`)));
    equal(pids.length, 2);
    for (const pid of pids) equal(exists(`/proc/${pid}`), true);
  },
);

e2e(
  "mgmt/store: with --new-store volumes of a damaged store are taken back from their state files",
  [],
  async () => {
    const { node, id } = await damagedNode();
    await using _ = node;
    await node.startDaemon("--new-store");
    equal(await node.must("volume list"), "");
    const bricks = [0, 1].map((index) => `${NODE_HOST}:${node.dir}/v1-${index}`);
    const adopt = `volume create v1 ${bricks.join(" ")} force --adopt --state ${node.home}`;
    // The brick processes of the forgotten volume still serve: two on one brick would destroy it.
    for (;;) {
      const { code, err } = await node.try(adopt);
      if (code === 0) break;
      const pid = Number(/process (\d+) serves it/.exec(err)?.[1]);
      equal(pid > 0, true, err);
      Deno.kill(pid, "SIGTERM");
      await until("the brick's process ends", () => !exists(`/proc/${pid}`));
    }
    equal(await idOf(node), id);
    match(await node.must("volume info v1"), /^user.note: kept$/m);
    await node.must("volume start v1");
    deepEqual(
      (await node.allOnline("v1")).map(({ path }) => path),
      [0, 1].map((index) => `${node.dir}/v1-${index}`),
    );
  },
);
