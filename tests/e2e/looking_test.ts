/** What `volume status` and `get-state` tell of bricks that run, and of who uses them. */

import { match, ok, strictEqual as equal } from "node:assert/strict";
import { STATUS_FORMS } from "mgmt/status/volume_status.ts";
import { e2e } from "tests/e2e/harness.ts";
import { ManagedNode } from "tests/e2e/managed_node.ts";
import { must, run, until } from "tests/e2e/process.ts";

e2e(
  "tests/e2e: the status of a volume in use tells of its clients, files and disks",
  ["xmllint"],
  async () => {
    await using node = await ManagedNode.start();
    await node.volume("v", 2);
    await node.mount("v");
    const mount = await node.mount("v");
    await Deno.writeTextFile(`${mount.path}/file`, "some text");

    const clients = await node.must("volume status v clients");
    equal(clients.match(/^Clients connected : 2$/gm)?.length, 2);
    equal(clients.match(/^127\.0\.0\.1:\d+ +\d+ +\d+ +100000$/gm)?.length, 4);
    match(
      await node.must("volume status v client-list"),
      /^fuse +2\n\ntotal clients for volume v : 2 $/m,
    );
    // A write needs the descriptor that GlusterFS's client opened late.
    using file = await Deno.open(`${mount.path}/file`, { write: true });
    await file.write(new TextEncoder().encode("other"));
    await file.sync();
    const fds = await node.must("volume status v fd");
    equal(fds.match(/^RefCount = 1 {2}MaxFDs = \d+ {2}FirstFree = \d+$/gm)?.length, 4);
    equal(fds.match(/^FD Entry +PID +RefCount +Flags +$/gm)?.length, 1);
    match(await node.must("volume status v inode"), /^Active Inodes : [1-9]\d*$/m);
    match(await node.must("volume status v mem"), /^Arena {4}: [1-9]\d+$/m);
    equal(
      (await node.must("volume status v callpool")).match(/^Pending calls: \d+$/gm)?.length,
      2,
    );

    const detail = await node.must("volume status v detail");
    const [, total] = (await must(["df", "-B1", "--output=size", node.dir])).trim().split("\n");
    const xml = await node.must("--xml volume status v detail");
    equal(/<sizeTotal>(\d+)</.exec(xml)![1], total!.trim());
    match(detail, /^Online {15}: Y {19}$/m);

    for (const form of ["", ...STATUS_FORMS]) {
      const path = `${node.dir}/status.xml`;
      await Deno.writeTextFile(path, await node.must(`--xml volume status v ${form}`.trim()));
      const { code, err } = await run(["xmllint", "--noout", path]);
      equal(code, 0, `${form}: ${err}`);
    }
  },
);

e2e(
  "tests/e2e: a brick that was killed is offline in every form, and in the state",
  [],
  async () => {
    await using node = await ManagedNode.start();
    await node.volume("v", 2);
    const [first] = await node.bricks("v");
    // Ended by signal 15 it is not started again: somebody wanted it to end.
    Deno.kill(first!.pid, "SIGTERM");
    await until("the brick is offline", async () => !(await node.bricks("v"))[0]!.online);
    match(
      await node.must("volume status v"),
      /^Brick 127\.0\.0\.1:.*(?:\n.*)*?\s{2,}N\/A {7}N\/A {8}N {7}N\/A {2}$/m,
    );
    for (const form of ["clients", "mem", "inode", "fd", "callpool"]) {
      const text = await node.must(`volume status v ${form}`);
      equal(text.match(/^Brick is offline$/gm)?.length, 1, form);
    }
    match(await node.must("volume status v detail"), /^Online {15}: N {19}$/m);
    const done = await node.must(`get-state odir ${node.dir} file state detail`);
    equal(done, `glusterd state dumped to ${node.dir}/state\n`);
    const state = await Deno.readTextFile(`${node.dir}/state`);
    match(state, /^Volume1\.Brick1\.status: Stopped$/m);
    match(state, /^Volume1\.Brick2\.status: Started$/m);
    match(state, /^Volume1\.Brick2\.client_count: 0$/m);
    ok(!state.includes("Volume1.Brick1.client_count"));
  },
);
