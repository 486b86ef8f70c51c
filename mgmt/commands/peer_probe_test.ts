import { deepStrictEqual as deepEqual, match } from "node:assert/strict";
import { peerProbe } from "mgmt/commands/peer_probe.ts";
import { systemUuidGet } from "mgmt/commands/system_uuid_get.ts";
import { Dispatcher } from "mgmt/dispatch.ts";
import { fakeCluster } from "tests/fakes/cluster.ts";

async function run(line: string, own: boolean): Promise<readonly [string, number]> {
  const home = await Deno.makeTempDir({ prefix: "mt-probe-" });
  try {
    const { cluster } = fakeCluster(home);
    Object.assign(cluster, { isOwn: () => Promise.resolve(own) });
    const dispatcher = new Dispatcher(cluster, [peerProbe, systemUuidGet]);
    const asked = { words: line.split(" "), form: "text", manner: "gluster", confirmed: true };
    const { stdout, stderr, exitCode } = await dispatcher.run(asked as never);
    return [(stdout + stderr).replace(cluster.nodeId, "ID"), exitCode];
  } finally {
    await Deno.remove(home, { recursive: true });
  }
}

Deno.test("peer probe: this node is there already, another machine is refused", async () => {
  const there = ["peer probe: Probe on localhost not needed\n", 0];
  deepEqual(await run("peer probe here", true), there);
  const [text, code] = await run("peer probe 192.0.2.9", false);
  match(text, /^peer probe: failed: Cannot take 192\.0\.2\.9 into the pool: .*; use names/);
  deepEqual(code, 1);
});

Deno.test("system uuid get: tells who the node is", async () => {
  deepEqual(await run("system:: uuid get", true), ["UUID: ID\n", 0]);
});
