import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { EROFS } from "core/errno.ts";
import { buildGraph } from "core/graph.ts";
import { InodeTable } from "core/inode.ts";
import { parseVolfile } from "core/volfile.ts";
import { Volume } from "core/volume.ts";
import { Meta } from "mgmt/client/meta.ts";
import { MemoryBrick } from "tests/fakes/memory_brick.ts";
import { node, testEnv } from "tests/fakes/node.ts";
import { TYPES } from "xlators/mod.ts";

function overMemory() {
  const inodes = new InodeTable(), env = testEnv();
  const brick = new MemoryBrick(node("brick", [], { inodes }));
  const text = "volume c0\n type protocol/client\n option remote-subvolume b\n" +
    " option password secret\nend-volume\n";
  const graph = buildGraph(parseVolfile(text), TYPES, env);
  const top = new Meta(node("meta", [brick], { inodes, env }), {
    graph: () => graph,
    mount: () => ({ calls: 7 }),
    commandLine: ["mortar", "client"],
    logLevel: "info",
  });
  return new Volume({ top, inodes, env, call: ROOT });
}

const text = async (volume: Volume, path: string) =>
  new TextDecoder().decode(await volume.readFile(path));

Deno.test(".meta: it is found and not listed, and shows layers, options and what they tell", async () => {
  const volume = overMemory();
  await volume.mkdir("/d");
  const names = await Array.fromAsync(volume.readDir("/"), ({ name }) => name);
  deepEqual(names, ["d"]);
  equal(await text(volume, "/.meta/graphs/active/c0/type"), "protocol/client\n");
  ok((await text(volume, "/.meta/graphs/active/c0/private")).includes("connected = 0\n"));
  equal(await text(volume, "/.meta/graphs/active/c0/options/password"), "********\n");
  equal(await text(volume, "/.meta/logging/loglevel"), "7\n");
  equal(await text(volume, "/.meta/frames"), "calls = 7\n");
  const top = await Array.fromAsync(volume.readDir("/.meta"), ({ name }) => name);
  deepEqual(top.sort(), ["cmdline", "frames", "graphs", "logging", "version"]);
});

Deno.test(".meta: nothing in it can be changed", async () => {
  const volume = overMemory();
  const refused = (error: unknown) => EROFS.matches(error);
  await rejects(volume.writeFile("/.meta/version", new Uint8Array(1)), refused);
  await rejects(volume.mkdir("/.meta/d"), refused);
  await rejects(volume.chmod("/.meta/version", 0o777), refused);
});
