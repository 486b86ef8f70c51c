import {
  deepStrictEqual as deepEqual,
  match,
  notStrictEqual as notEqual,
  ok,
  strictEqual as equal,
} from "node:assert/strict";
import { e2e, LONG } from "tests/e2e/harness.ts";
import { ManagedNode } from "tests/e2e/managed_node.ts";
import { exists, must, Process, processesNaming, until, untilEqual } from "tests/e2e/process.ts";

/** Writes, syncs and reads files until a file "stop" is there; fails at the first error. */
const LOAD = `
import os, sys
root, rounds = sys.argv[1], 0
while not os.path.exists(sys.argv[2]):
    path = "%s/f%d" % (root, rounds % 50)
    data = os.urandom(65536)
    with open(path, "wb") as file:
        file.write(data)
        os.fsync(file.fileno())
    with open(path, "rb") as file:
        assert file.read() == data, path
    rounds += 1
print("rounds", rounds)
`;

e2e("bricks: one that is killed is started again, and a mounted client goes on", [], async () => {
  await using node = await ManagedNode.start();
  await node.volume("v1", 2);
  const before = await node.allOnline("v1");
  deepEqual(before.map(({ port }) => port), [49152, 49153]);
  await using mount = await node.mount("v1");
  for (let i = 0; i < 10; i++) await Deno.writeTextFile(`${mount.path}/f${i}`, `${i}`);
  Deno.kill(before[0]!.pid, "SIGKILL");
  await until("the brick is seen to be down", async () => !(await node.bricks("v1"))[0]!.online);
  const after = await node.allOnline("v1");
  notEqual(after[0]!.pid, before[0]!.pid);
  deepEqual([after[0]!.port, after[1]!.pid], [49152, before[1]!.pid]);
  await until("the client has it again", async () => {
    const texts = await Promise.all(
      Array.from(
        { length: 10 },
        (_, i) => Deno.readTextFile(`${mount.path}/f${i}`).catch(() => ""),
      ),
    );
    return texts.every((text, i) => text === `${i}`);
  });
  await Deno.writeTextFile(`${mount.path}/f0`, "after");
  match(await Deno.readTextFile(`${node.dir}/mgmt.log`), /W brick ended volume=v1 .*SIGKILL/);
});

e2e(
  "bricks: a daemon that is killed and started again finds them, and a client under I/O never notices",
  [
    "glusterfs",
  ],
  async () => {
    await using node = await ManagedNode.start();
    await node.volume("v1", 2);
    const before = await node.allOnline("v1");
    await using mount = await node.mount("v1");
    const stop = `${node.dir}/stop`;
    const load = new Process(["python3", "-c", LOAD, mount.path, stop], `${node.dir}/load.log`);
    const wrote = () => exists(`${mount.path}/f5`);
    await until("the client writes", wrote);
    for (let round = 0; round < 2; round++) {
      await node.endDaemon();
      for (const { pid } of before) ok(exists(`/proc/${pid}`));
      await node.startDaemon();
      deepEqual(await node.allOnline("v1"), before);
    }
    // They are one cluster again: the client that was there all the time hears of a change.
    await node.must("volume set v1 cluster.min-free-disk 11%");
    await Deno.writeTextFile(stop, "");
    await until("the load ends", () => !load.running);
    match(load.lastWords(), /^rounds \d+\n$/);
    const log = await Deno.readTextFile(mount.log);
    equal((log.match(/disconnected from v1-client/g) ?? []).length, 0);
    await using second = await node.mount("v1");
    ok(exists(`${second.path}/f5`));
  },
);

e2e("bricks: one that died while there was no daemon is started by the next", [], async () => {
  await using node = await ManagedNode.start();
  await node.volume("v1", 2);
  const before = await node.allOnline("v1");
  await node.endDaemon();
  Deno.kill(before[1]!.pid, "SIGKILL");
  await until("it is gone", () => !exists(`/proc/${before[1]!.pid}/exe`));
  await node.startDaemon();
  const after = await node.allOnline("v1");
  equal(after[0]!.pid, before[0]!.pid);
  notEqual(after[1]!.pid, before[1]!.pid);
  equal(after[1]!.port, before[1]!.port);
});

e2e(
  "bricks: one that an operator ended stays down until start with force",
  ["gf_attach"],
  async () => {
    await using node = await ManagedNode.start();
    await node.volume("v1", 2);
    const [first, second] = await node.allOnline("v1");
    const args = (await Deno.readTextFile(`/proc/${first!.pid}/cmdline`)).split("\0");
    const socket = args.find((each) => each.endsWith(".socket"))!;
    await must(["gf_attach", "-d", socket, first!.path]);
    await until("it ends", async () => !(await node.bricks("v1"))[0]!.online);
    await node.must("volume set v1 cluster.min-free-disk 12%");
    await node.must("volume log rotate v1");
    deepEqual((await node.bricks("v1")).map(({ online }) => online), [false, true]);
    await node.must("volume start v1 force");
    const after = await node.bricks("v1");
    deepEqual(after.map(({ online }) => online), [true, true]);
    equal(after[1]!.pid, second!.pid);
  },
);

e2e("bricks: with --no-restart one that is killed stays down, as in GlusterFS", [], async () => {
  await using node = await ManagedNode.start("--no-restart");
  await node.volume("v1", 1);
  const [brick] = await node.allOnline("v1");
  Deno.kill(brick!.pid, "SIGKILL");
  const log = () => Deno.readTextFileSync(`${node.dir}/mgmt.log`);
  await until("the daemon notices", () => /brick ended volume=v1/.test(log()));
  ok(!/started again/.test(log()));
  equal((await node.bricks("v1"))[0]!.online, false);
  await node.must("volume start v1 force");
  await node.allOnline("v1");
});

e2e(
  "bricks: of a volume that is gone nothing is left, and its ports are given again",
  [],
  async () => {
    await using node = await ManagedNode.start();
    await node.volume("v1", 3);
    await node.must("volume stop v1");
    equal(processesNaming(`${node.run}/vols/`).length, 0);
    await node.must("volume delete v1");
    const left = [...Deno.readDirSync(node.run)].map(({ name }) => name).sort();
    deepEqual(left.filter((name) => name.endsWith(".socket")), ["mgmt.socket"]);
    deepEqual([...Deno.readDirSync(`${node.run}/vols`)], []);
    await node.volume("v2", 1);
    deepEqual((await node.allOnline("v2")).map(({ port }) => port), [49152]);
  },
);

e2e(
  "bricks: one that cannot serve fails the start in one line that says why, and leaves nothing",
  [],
  async () => {
    await using node = await ManagedNode.start();
    const path = `${node.dir}/b0`;
    await node.must(`volume create v1 127.0.0.1:${path} force`);
    await must(["setfattr", "-x", "trusted.glusterfs.volume-id", path]);
    await must([
      "setfattr",
      "-n",
      "trusted.glusterfs.volume-id",
      "-v",
      `0x${"1".repeat(32)}`,
      path,
    ]);
    const { code, out, err } = await node.try("volume start v1 force");
    match(out + err, /^Brick 127\.0\.0\.1:\S+b0 did not start: .*: it belongs to volume 1111.*$/m);
    equal(code, 0);
    await node.must("volume stop v1");
    equal(processesNaming(`${node.run}/vols/`).length, 0);
  },
);

e2e("bricks: a port that somebody else has is passed over", ["python3"], async () => {
  await using node = await ManagedNode.start();
  const script = "import socket,time; s=socket.create_server(('127.0.0.1',49152)); time.sleep(600)";
  const other = new Process(node.space.inside(["python3", "-c", script]), `${node.dir}/other.log`);
  await until(
    "somebody listens",
    async () => /49152/.test(await must(node.space.inside(["ss", "-ltn"]))),
  );
  await node.volume("v1", 2);
  deepEqual((await node.allOnline("v1")).map(({ port }) => port), [49153, 49154]);
  await other.end();
});

e2e("bricks: volume log rotate begins a new file, and the brick writes there", [], async () => {
  await using node = await ManagedNode.start();
  await node.volume("v1", 1);
  await node.must("volume log v1 rotate");
  const logs = `${node.home}/log/bricks`;
  await until("the new file is used", () => {
    const names = [...Deno.readDirSync(logs)].map(({ name }) => name);
    const now = names.find((name) => name.endsWith("v1-0.log"));
    return names.length === 2 && now !== undefined && Deno.statSync(`${logs}/${now}`).size > 0;
  });
});

e2e(
  "bricks: a daemon killed at any moment of start and stop leaves one process per brick, or none",
  [],
  async () => {
    await using node = await ManagedNode.start();
    const bricks = [0, 1].map((i) => `127.0.0.1:${node.dir}/b${i}`);
    await node.must(`volume create v1 ${bricks.join(" ")} force`);
    const ROUNDS = LONG ? 40 : 6, STEP_MS = LONG ? 25 : 150;
    for (let round = 0; round < ROUNDS; round++) {
      for (const verb of ["start", "stop"]) {
        const command = node.try(`volume ${verb} v1`);
        await new Promise((resolve) => setTimeout(resolve, 60 + round * STEP_MS));
        await node.endDaemon();
        await command;
        await node.startDaemon();
        const started = /^Status: Started$/m.test(await node.must("volume info v1"));
        if (started) await node.allOnline("v1");
        const running = () => processesNaming(`-p\0${node.run}/vols/v1/`).length;
        await until(
          `${started ? bricks.length : 0} brick processes`,
          () => running() === (started ? bricks.length : 0),
        );
        // What the killed one did not get to.
        if (started !== (verb === "start")) await node.must(`volume ${verb} v1`);
      }
      const left = () => [...Deno.readDirSync(node.run)].map(({ name }) => name).sort();
      await untilEqual("no socket is left", ["mgmt.socket", "vols"], left);
    }
  },
);
