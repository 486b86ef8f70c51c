// Options of a volume reach bricks and GlusterFS's clients while files are used.

import {
  deepStrictEqual as deepEqual,
  match,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { NONE } from "mgmt/volume_options/rows.ts";
import { VOLUME_OPTIONS } from "mgmt/volume_options/mod.ts";
import { e2e } from "tests/e2e/harness.ts";
import { ManagedNode, NODE_HOST } from "tests/e2e/managed_node.ts";
import { until } from "tests/e2e/process.ts";

const PROGRAMS = ["glusterfs", "mount.glusterfs", "unshare", "ip"];

async function writes(path: string): Promise<string> {
  try {
    await Deno.writeTextFile(path, "x");
    return "";
  } catch (error) {
    return (error as Error).message;
  }
}

e2e(
  "volume set: bricks and a mount follow without a restart, and take it back",
  PROGRAMS,
  async () => {
    await using node = await ManagedNode.start();
    await node.volume("v1", 2);
    const before = await node.allOnline("v1");
    const { path } = await node.mount("v1");
    equal(await writes(`${path}/a`), "");

    equal(await node.must("volume set v1 features.read-only on"), "volume set: success\n");
    await until("writes are refused", async () => /os error 30/.test(await writes(`${path}/b`)));
    equal(await Deno.readTextFile(`${path}/a`), "x");
    equal(
      await node.must("volume reset v1 features.read-only"),
      "volume reset: success: reset volume successful\n",
    );
    await until("writes are taken again", async () => await writes(`${path}/b`) === "");

    // The client's graph: a layer goes, another comes, an option of a third changes.
    const line =
      "volume set v1 performance.write-behind off performance.io-cache on performance.md-cache-timeout 7";
    await node.must(line);
    const spec = await node.must("system:: getspec v1");
    match(spec, /type performance\/io-cache/);
    equal(/type performance\/write-behind/.test(spec), false);
    match(spec, /option md-cache-timeout 7/);
    await until(
      "the mount has the new graph",
      async () => /type performance\/io-cache/.test(await Deno.readTextFile(`${path}.log`)),
    );
    equal(await writes(`${path}/c`), "");
    equal(
      (await node.allOnline("v1")).map(({ pid }) => pid).join(),
      before.map(({ pid }) => pid).join(),
    );
  },
);

e2e("volume set: what bricks cannot do changes neither record nor bricks", PROGRAMS, async () => {
  await using node = await ManagedNode.start();
  await node.volume("v1", 1);
  await node.allOnline("v1");
  const before = await node.must("volume info v1");
  await rejects(
    node.must("volume set v1 network.ping-timeout 20 server.ssl on"),
    /TLS is not supported/,
  );
  await rejects(
    node.must(`volume set v1 auth.allow ${NODE_HOST},300.0.0.1`),
    /not a valid internet/,
  );
  equal(await node.must("volume info v1"), before);
});

/** Layers of clients that are off by default: on, they read their options, too. */
const LAYERS = [
  "features.cache-invalidation",
  "features.shard",
  "performance.cache-invalidation",
  "performance.io-cache",
  "performance.nl-cache",
  "performance.parallel-readdir",
  "performance.read-ahead",
  "performance.readdir-ahead",
];

const KINDS: readonly (readonly [kind: string, bricks: number, others: RegExp])[] = [
  ["", 2, /^disperse\.quorum-count|^disperse\.shd-max|^cluster\.(.*self-heal|shd-max)/],
  ["replica 3", 3, /^disperse\.(quorum-count|shd-max)|^cluster\.(lock-mig|disperse-self)/],
  ["disperse 3", 3, /^disperse\.quorum-count|^cluster\.(.*self-heal|shd-max|lock-mig)/],
];

// Not for every volume: disturb, place files, or have a value that is no text of its own.
const APART = /^(debug|delay-gen)\.|^cluster\.(nufa|switch)|^changelog\.changelog-dir/;

// Read by the transport below a layer, or written by GlusterFS's own daemon for nobody.
const ELSEWHERE = /^(transport\..*|volume-id|performance\.readdir-ahead)$/;

function allDefaults(others: RegExp): readonly string[] {
  return [...VOLUME_OPTIONS.values()].flatMap(({ key, shown, global }) => {
    const apart = global || shown === NONE || shown === "" || APART.test(key) || others.test(key);
    return apart ? [] : [key, LAYERS.includes(key) ? "on" : shown];
  }).concat("diagnostics.client-log-level", "DEBUG"); // else it tells of no unknown options
}

e2e("volume set: GlusterFS's client takes every option of the table", PROGRAMS, async () => {
  await using node = await ManagedNode.start();
  for (const [index, [kind, count, others]] of KINDS.entries()) {
    const name = `v${index}`;
    const bricks = Array.from({ length: count }, (_, i) => `${NODE_HOST}:${node.dir}/${name}-${i}`);
    const words = ["volume create", name, kind, ...bricks, "force"].filter((word) => word !== "");
    await node.must(words.join(" "));
    const all = allDefaults(others);
    ok(all.length > 500);
    await node.must(`volume set ${name} ${all.join(" ")}`);
    await node.must(`volume start ${name}`);
    const { path } = await node.mount(name);
    const text = "x".repeat(100_000);
    await Deno.writeTextFile(`${path}/f`, text);
    equal(await Deno.readTextFile(`${path}/f`), text);
    const log = await Deno.readTextFile(`${path}.log`);
    ok(log.includes(" D ["), "the client logs at level DEBUG");
    const unknown = [...log.matchAll(/option '([^']+)' is not recognized/g)].map(([, name]) =>
      name!
    );
    deepEqual(unknown.filter((option) => !ELSEWHERE.test(option)), [], kind);
  }
});
