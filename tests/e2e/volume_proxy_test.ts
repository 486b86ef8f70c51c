/** A volume's proxy that the management daemon keeps running: GlusterFS's own client and QEMU use it. */

import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { e2e } from "tests/e2e/harness.ts";
import { ManagedNode, NODE_HOST } from "tests/e2e/managed_node.ts";
import { must, processesNaming, run, until } from "tests/e2e/process.ts";
import { clientVolfile } from "tests/e2e/volfiles.ts";

const CLIENT = ["glusterfs"], TOOLS = [...CLIENT, "qemu-img", "qemu-io"];

/** What `volume status` tells of the proxy; undefined: it does not run. */
async function proxyOf(node: ManagedNode): Promise<{ port: number; pid: number } | undefined> {
  const table = await node.must("volume status v1 proxy");
  const row = /^Proxy on localhost +(\d+) +0 +Y +(\d+)/m.exec(table);
  return row ? { port: Number(row[1]), pid: Number(row[2]) } : undefined;
}

async function started(layout = "replica 2"): Promise<ManagedNode> {
  const node = await ManagedNode.start();
  try {
    await node.volume("v1", 2, layout);
    await node.must("volume set v1 features.qcow2 on features.proxy on");
    return node;
  } catch (error) {
    await node[Symbol.asyncDispose]();
    throw error;
  }
}

async function gone(node: ManagedNode): Promise<void> {
  await until("no proxy runs", () => processesNaming(`${node.run}/proxy-v1.pid`).length === 0);
}

e2e(
  "features.proxy: clients go on through changes, kills and a daemon that restarts",
  TOOLS,
  async () => {
    await using node = await started();
    const before = (await proxyOf(node))!;
    const { path } = await node.mount("v1.proxy");
    const inside = `${path}/.qcow2/images/vm.qcow2`, raw = `${node.dir}/raw`;
    await must(["qemu-img", "create", "-q", "-f", "qcow2", `${path}/vm.qcow2`, "8M"]);
    await must(["qemu-io", "-c", "write -q -P 7 1M 2M", `${path}/vm.qcow2`]);
    await must(["qemu-img", "convert", "-O", "raw", `${path}/vm.qcow2`, raw]);
    await must(["cmp", `${inside}/disk.raw`, raw]);
    const uri = `gluster://${NODE_HOST}/v1-proxy/.qcow2/images/vm.qcow2/disk.raw`;
    const compare = ["qemu-img", "compare", "-f", "raw", "-F", "raw", uri, raw];
    const compared = run(node.space.inside(compare));

    // What another client changes, of files and of what is in images, is seen.
    const other = await node.mount("v1");
    await Deno.writeTextFile(`${other.path}/file`, "one");
    equal(await Deno.readTextFile(`${path}/file`), "one");
    await Deno.writeTextFile(`${other.path}/file`, "two");
    await until("it is seen", async () => await Deno.readTextFile(`${path}/file`) === "two");
    const image = `${other.path}/vm2.qcow2`;
    await must(["qemu-img", "create", "-q", "-f", "qcow2", image, "2M"]);
    const shown = async () => {
      return (await Deno.readFile(`${path}/.qcow2/images/vm2.qcow2/disk.raw`))[2 ** 20];
    };
    equal(await shown(), 0);
    await must(["qemu-io", "-c", "write -q -P 8 1M 64k", image]);
    await until("the disk is", async () => await shown() === 8);

    using open = await Deno.open(`${path}/log`, { append: true, create: true });
    const say = async (what: string) => {
      await open.write(new TextEncoder().encode(`${what}\n`));
      await open.sync();
    };
    await say("at first");
    // Another graph, below clients that stay connected.
    await node.must("volume set v1 features.ctime off");
    await say("changed");
    await must(["cmp", `${inside}/disk.raw`, raw]);
    await node.must("volume set v1 features.qcow2 off");
    await until("what is in images is not shown", async () => {
      return (await run(["stat", `${path}/.qcow2`])).code !== 0;
    });
    await node.must("volume set v1 features.qcow2 on");
    await until(
      "it is again",
      async () => (await run(["cmp", `${inside}/disk.raw`, raw])).code === 0,
    );
    deepEqual(await proxyOf(node), before);
    equal((await compared).out, "Images are identical.\n");

    Deno.kill(before.pid, "SIGKILL");
    await until("it was started again", async () => {
      const now = await proxyOf(node);
      return now !== undefined && now.pid !== before.pid;
    });
    await until("the client is back", async () => (await run(["ls", path])).code === 0);
    await say("killed");
    await must(["cmp", `${inside}/disk.raw`, raw]);
    const after = (await proxyOf(node))!;
    equal(after.port, before.port);

    await node.endDaemon();
    await node.startDaemon();
    await until("it is known", async () => (await proxyOf(node))?.pid === after.pid);
    await say("restarted");
    equal(await Deno.readTextFile(`${path}/log`), "at first\nchanged\nkilled\nrestarted\n");
    equal((await run(["ls", (await node.mount("v1.proxy")).path])).code, 0);
  },
);

/** The addresses that may use the volume may use its proxy, and no other ones. */
async function onlyThoseWhoMay(node: ManagedNode): Promise<void> {
  const { port } = (await proxyOf(node))!;
  const mounts = async (sourceAddress: string): Promise<boolean> => {
    const at = await Deno.makeTempDir({ dir: node.dir });
    const volfile = clientVolfile({
      ...{ volume: "v1", volumeId: "", layout: "one", host: NODE_HOST, sourceAddress },
      bricks: [{ path: "v1-proxy", port }],
      performance: false,
    });
    await Deno.writeTextFile(`${at}.vol`, volfile);
    await run(node.space.inside(["glusterfs", "-f", `${at}.vol`, "-l", `${at}.log`, at]));
    // A client that is refused unmounts: what then answers is the directory below.
    const root = await run(["stat", "-c", "%i", at]);
    await run(["umount", "-l", at]);
    return root.out.trim() === "1";
  };
  await node.must("volume set v1 auth.allow 127.0.0.8");
  deepEqual(await Promise.all(["127.0.0.9", "127.0.0.8"].map(mounts)), [false, true]);
}

e2e(
  "features.proxy: it runs while the volume is started and the option is on, for who may use the volume",
  CLIENT,
  async () => {
    await using node = await started("");
    ok(await proxyOf(node));
    match(
      await node.must("--xml volume status v1"),
      /<hostname>Proxy<\/hostname>\s*<path>localhost</,
    );
    await node.must("volume stop v1");
    await gone(node);
    await node.must("volume start v1");
    ok(await proxyOf(node));
    await node.must("volume reset v1 features.proxy");
    await gone(node);
    match((await node.try("volume status v1 proxy")).err, /v1 has no proxy: features.proxy is off/);
    await node.must("volume set v1 features.proxy on");
    await onlyThoseWhoMay(node);
    await node.endDaemon();
    await node.startDaemon();
    await node.must("volume stop v1");
    await gone(node);
    await node.must("volume delete v1");
  },
);
