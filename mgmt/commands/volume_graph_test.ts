import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import type { Statistics } from "core/reports.ts";
import { volumeCreate } from "mgmt/commands/volume_create.ts";
import { volumeGraph } from "mgmt/commands/volume_graph.ts";
import { volumeSet } from "mgmt/commands/volume_set.ts";
import { volumeStart } from "mgmt/commands/volume_start.ts";
import { INFO, profileAnswer, profileRequest } from "mgmt/brick/profile.ts";
import { Dispatcher } from "mgmt/dispatch.ts";
import { volfileText } from "mgmt/volgen/volfiles.ts";
import { packLegacyDict, parseLegacyDict } from "rpc/legacy_dict.ts";
import { fakeCluster } from "tests/fakes/cluster.ts";

const COMMANDS = [volumeCreate, volumeStart, volumeSet, volumeGraph];

type Fake = ReturnType<typeof fakeCluster>;

/** A volume v1 of two copies, and the volfiles that hands wrote, by key. */
async function withVolume(
  body: (
    at: Fake & { run: (line: string, form?: "text" | "xml") => Promise<string> },
    written: Map<string, string>,
    dir: string,
  ) => Promise<void>,
): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "mt-graph-" });
  const written = new Map<string, string>();
  try {
    const fake = fakeCluster(`${dir}/home`, {
      isHandWritten: (key) => Promise.resolve(written.has(key)),
      volfile: async (key) => {
        const volume = await fake.cluster.volume("v1");
        const input = { volume, globalOptions: {}, nodeId: "node", bindToHost: false };
        return written.get(key) ?? volfileText(input, key, true);
      },
    });
    await Deno.mkdir(fake.cluster.places.logs, { recursive: true });
    const dispatcher = new Dispatcher(fake.cluster, COMMANDS);
    const run = async (line: string, form: "text" | "xml" = "text") => {
      const words = line.split(" ");
      const asked = { words, form, manner: "gluster", confirmed: true } as const;
      const { stdout, stderr } = await dispatcher.run(asked);
      return stdout + stderr;
    };
    const made = await run(`volume create v1 replica 2 h:${dir}/a h:${dir}/b force`);
    match(made, /success/);
    await body({ ...fake, run }, written, dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("volume graph: clients' layers from the top, and only options that change something", () =>
  withVolume(async ({ run }, _written, dir) => {
    const lines = (await run("volume graph v1")).split("\n");
    equal(lines[0], "client (volfile v1)");
    match(lines[1]!, /^v1 +debug\/io-stats$/);
    match(lines[2]!, /^v1-md-cache +performance\/md-cache$/);
    const clients = lines.filter((line) => line.includes("protocol/client"));
    equal(clients.length, 2);
    match(clients[0]!, /^├─ v1-client-0 +protocol\/client .*remote-host=h/);
    match(clients[1]!, /^└─ v1-client-1 /);
    ok(clients[0]!.includes(`remote-subvolume=${dir}/a`));
    ok(!clients[0]!.includes("ping-timeout"));
    await run("volume set v1 network.ping-timeout 7");
    match(await run("volume graph v1"), /v1-client-0 .* ping-timeout=7/);
  }));

Deno.test("volume graph: passwords are shown to nobody", () =>
  withVolume(async ({ cluster, run }) => {
    const { password } = await cluster.volume("v1");
    for (const graph of ["client", "own", "brick", "heal", "proxy", "proxy-client"]) {
      for (const form of ["text", "xml"] as const) {
        const shown = await run(`volume graph v1 ${graph}`, form);
        match(shown, /debug\/io-stats/, graph);
        ok(!shown.includes(password), graph);
      }
    }
  }));

Deno.test("volume graph: bricks, all or one", () =>
  withVolume(async ({ run }, _written, dir) => {
    const both = await run("volume graph v1 brick"),
      one = await run(`volume graph v1 brick h:${dir}/b`);
    equal(both.match(/storage\/posix/g)?.length, 2);
    equal(one.match(/storage\/posix/g)?.length, 1);
    ok(one.startsWith(`brick h:${dir}/b (volfile v1.h.`));
    match(await run("volume graph v1 brick h:/c"), /h:\/c is not a brick of volume v1/);
    match(await run("volume graph v1 heal h:/c"), /A brick goes with "brick"/);
  }));

Deno.test("volume graph: what is not there is said, with the reason", () =>
  withVolume(async ({ run }) => {
    match(await run("volume graph v1 rebalance"), /no graph "rebalance": its files are not distr/);
    match(await run("volume graph v2"), /v2 does not exist/);
    match(await run("volume graph v1 sideways"), /"sideways" is no graph: expected brick, client/);
  }));

Deno.test("volume graph: hand-written volfiles are marked, and may be wrong", () =>
  withVolume(async ({ run }, written) => {
    const low = "volume low\ntype storage/posix\noption directory /d\nend-volume\n";
    const twice = "volume top\ntype x/y\noption z 1\nsubvolumes low low none top\nend-volume\n";
    written.set("v1", low + twice);
    equal(
      await run("volume graph v1"),
      "client (volfile v1, written by hand)\n" +
        "top     x/y            z=1\n" +
        "├─ low  storage/posix  directory=/d\n" +
        "└─ low  storage/posix  (as above)\n",
    );
    written.set("v1", "volume low\n");
    match(await run("volume graph v1"), /Cannot show volfile "v1": line 1|has no "end-volume"/);
    written.set("v1", "");
    match(await run("volume graph v1"), /Cannot show .*empty/);
  }));

Deno.test("volume graph: while a volume is profiled, layers that count tell their calls", () =>
  withVolume(async ({ bricks, cluster, run }, _written, dir) => {
    const [first] = (await cluster.volume("v1")).bricks;
    await run("volume start v1");
    const fop = { fop: "lookup", hits: 12, timed: 0, averageNs: 0, minNs: 0, maxNs: 0 } as const;
    const period = {
      seconds: 1,
      bytesRead: 0,
      bytesWritten: 0,
      reads: [],
      writes: [],
      fops: [fop],
    };
    const statistics = { cumulative: () => period } as unknown as Statistics;
    const output = profileAnswer(statistics, profileRequest(INFO.cumulative, true));
    // As it comes over the wire: all figures are text.
    const told = parseLegacyDict(packLegacyDict(output));
    bricks.answers.set(2, { ret: 0, errno: 0, error: "", output: told });
    ok(!(await run("volume graph v1 brick")).includes("calls:"));
    const on = "diagnostics.latency-measurement on diagnostics.count-fop-hits on";
    await run(`volume set v1 ${on}`);
    match(await run("volume graph v1 brick"), new RegExp(`${dir}/a .*calls: lookup 12`));
    const [one] = (await run(`volume graph v1 brick h:${first!.path}`, "xml")).match(
      /<calls>[^]*?<\/calls>/,
    )!;
    deepEqual(one.replace(/\s/g, ""), "<calls><fop>lookup</fop><count>12</count></calls>");
  }));
