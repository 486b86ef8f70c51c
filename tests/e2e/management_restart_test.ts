/** The management daemon ends, comes back, moves and is replaced: bricks and clients go on. */

import {
  deepStrictEqual as deepEqual,
  match,
  notStrictEqual as notEqual,
  strictEqual as equal,
} from "node:assert/strict";
import { DaemonProcess, mortar } from "tests/e2e/daemon.ts";
import { e2e } from "tests/e2e/harness.ts";
import { ManagedNode } from "tests/e2e/managed_node.ts";
import { must, Process, processesNaming, until, untilEqual } from "tests/e2e/process.ts";

const ROOT = new URL("../..", import.meta.url).pathname;

/** How often bricks of a node signed in, whichever the daemon. */
function signIns({ dir }: ManagedNode): number {
  return Deno.readTextFileSync(`${dir}/mgmt.log`).match(/brick signed in/g)?.length ?? 0;
}

/** Numbers of the processes that are bricks of a node. */
function brickPids({ run }: ManagedNode): number[] {
  return processesNaming(`-p\0${run}/vols/`);
}

e2e("mortar mgmt: killed and started again, it knows at once what serves where", [], async () => {
  await using node = await ManagedNode.start();
  await node.volume("v1", 2);
  const before = await node.allOnline("v1");
  // A brick that stands still cannot sign in.
  for (const { pid } of before) Deno.kill(pid, "SIGSTOP");
  try {
    await node.endDaemon();
    await node.startDaemon();
    deepEqual(await node.bricks("v1"), before);
  } finally {
    for (const { pid } of before) Deno.kill(pid, "SIGCONT");
  }
  await until("they sign in", () => signIns(node) === 4);
  deepEqual(await node.bricks("v1"), before);
});

e2e("mortar mgmt: bricks follow a daemon to another port or address", [], async () => {
  await using node = await ManagedNode.start();
  await node.volume("v1", 2);
  let before = await node.allOnline("v1");
  for (const flags of [["--port", "24010"], ["--listen", "127.0.0.2"]]) {
    await node.endDaemon("SIGTERM");
    await node.startDaemon(...flags);
    await until("bricks that asked elsewhere are others", async () => {
      const now = await node.bricks("v1");
      return now.every(({ online, pid }, i) => online && pid !== before[i]!.pid);
    });
    const now = await node.bricks("v1");
    deepEqual(now.map(({ port }) => port), before.map(({ port }) => port));
    const pids = now.map(({ pid }) => pid).sort();
    await untilEqual("only those serve", pids, () => brickPids(node).sort());
    before = now;
  }
  // All addresses are that one, too.
  await node.endDaemon("SIGTERM");
  await node.startDaemon("--listen", "127.0.0.1", "--listen", "127.0.0.2");
  await until("they sign in", () => signIns(node) === 8);
  deepEqual(await node.bricks("v1"), before);
});

Deno.test("mortar mgmt: open connections do not keep it from ending", async () => {
  const dir = await Deno.makeTempDir({ prefix: "mt-restart-" });
  const home = `${dir}/home`;
  const connections: Deno.Conn[] = [];
  try {
    await using daemon = new DaemonProcess(
      ["mgmt", "--home", home, "--port", "0", "--http", "0"],
    );
    const [hostname, port] = (await daemon.address()).split(":") as [string, string];
    const http = Number(/ http=\S*:(\d+)/.exec(await daemon.said(/ ready /))![1]);
    const open = async (to: Deno.ConnectOptions | Deno.UnixConnectOptions, bytes: string) => {
      const conn = await ("path" in to ? Deno.connect(to) : Deno.connect(to));
      connections.push(conn);
      await conn.write(new TextEncoder().encode(bytes));
    };
    const unix = { transport: "unix", path: `${home}/run/mgmt.socket` } as const;
    for (let i = 0; i < 20; i++) {
      await open({ hostname, port: Number(port) }, i % 2 ? "" : "\x80\0\x01\0half of a request");
      await open(unix, i % 2 ? "" : "\x80\0\x01\0half");
      await open({ hostname, port: http }, i % 2 ? "" : "GET /v1/volumes HTTP/1.1\r\nhost: x\r\n");
    }
    equal((await mortar("--home", home, "volume", "list")).code, 0);
    // It does not wait for them: they stay until it has ended.
    equal(await daemon.end(), 0);
  } finally {
    for (const conn of connections) conn.close();
    await Deno.remove(dir, { recursive: true });
  }
});

e2e("mortar mgmt: a second one in one home, or on one port, changes nothing", [], async () => {
  await using node = await ManagedNode.start();
  await node.volume("v1", 1);
  const before = await node.allOnline("v1");
  for (
    const [home, flags, why] of [
      [node.home, ["--port", "0"], /manages it already/],
      [`${node.dir}/other`, [], /something else listens there/],
    ] as const
  ) {
    const argv = ["mgmt", "--home", home, ...flags];
    await using second = new DaemonProcess(argv, {}, (argv) => node.space.inside(argv));
    equal((await second.ended()).code, 1);
    match(second.lines.join("\n"), why);
    deepEqual(await node.bricks("v1"), before);
  }
});

e2e(
  "mortar mgmt: a daemon of another version takes over what the old one left",
  ["cp"],
  async () => {
    await using node = await ManagedNode.start();
    await node.volume("v1", 2);
    const before = await node.allOnline("v1");
    const mount = await node.mount("v1");
    await Deno.writeTextFile(`${mount.path}/f`, "of before");
    await node.endDaemon("SIGTERM");
    const copy = `${node.dir}/copy`;
    await Deno.mkdir(copy);
    const parts = ["core", "rpc", "snapshot", "xlators", "mgmt", "scripts", "main.ts", "deno.json"];
    await must(["cp", "-r", ...parts.map((part) => `${ROOT}${part}`), copy]);
    const brick = `${copy}/mgmt/brick/process.ts`;
    const source = await Deno.readTextFile(brick);
    await Deno.writeTextFile(brick, source.replace('"brick ready"', '"brick of the copy"'));
    const argv = [`${copy}/scripts/mortar`, "mgmt", "--home", node.home];
    const log = `${node.dir}/copy.log`;
    const other = new Process(node.space.inside(argv), log, { DENO: Deno.execPath() });
    try {
      await until("it takes commands", async () => (await node.try("volume list")).code === 0);
      deepEqual(await node.bricks("v1"), before);
      await node.must("volume set v1 diagnostics.count-fop-hits on");
      equal(await Deno.readTextFile(`${mount.path}/f`), "of before");
      // What it starts is of its own version.
      Deno.kill(before[0]!.pid, "SIGKILL");
      await until("the brick is another", async () => {
        const [now] = await node.bricks("v1");
        return now!.online && now!.pid !== before[0]!.pid;
      });
      const [first, second] = await node.bricks("v1");
      notEqual(first!.pid, before[0]!.pid);
      equal(second!.pid, before[1]!.pid);
      const logs = `${node.home}/log/bricks`;
      const told = [...Deno.readDirSync(logs)].map(({ name }) =>
        Deno.readTextFileSync(`${logs}/${name}`).match(/brick (ready|of the copy)/g)!.join()
      );
      deepEqual(told.sort(), ["brick ready", "brick ready,brick of the copy"]);
    } finally {
      await other.end();
    }
  },
);
