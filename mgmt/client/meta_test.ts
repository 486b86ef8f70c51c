import {
  deepStrictEqual as deepEqual,
  match,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { ROOT } from "core/call.ts";
import type { LogLevel } from "core/env.ts";
import { EINVAL, EROFS } from "core/errno.ts";
import { buildGraph } from "core/graph.ts";
import { InodeTable } from "core/inode.ts";
import { encodeName } from "core/lib/bytes.ts";
import { parseVolfile } from "core/volfile.ts";
import { Volume } from "core/volume.ts";
import { LogLevels } from "mgmt/client/log_levels.ts";
import { Measurement } from "mgmt/client/measurement.ts";
import { Meta } from "mgmt/client/meta.ts";
import { FakeChild } from "tests/fakes/fake_child.ts";
import { MemoryBrick } from "tests/fakes/memory_brick.ts";
import { node, testEnv } from "tests/fakes/node.ts";
import { TYPES } from "xlators/mod.ts";

function overMemory() {
  const inodes = new InodeTable(), env = testEnv();
  const brick = new MemoryBrick(node("brick", [], { inodes }));
  const text = "volume c0\n type protocol/client\n option remote-subvolume b\n" +
    " option password secret\nend-volume\n" +
    "volume trace\n type debug/trace\n subvolumes c0\nend-volume\n";
  const graph = buildGraph(parseVolfile(text), TYPES, env);
  let graphName = "first", logLevel = 7;
  const measurement = new Measurement(env.clock);
  const meta: Meta = new Meta(node("meta", [brick], { inodes, env }), {
    graph: () => ({ graph, name: graphName }),
    mount: () => ({
      layer: Object.assign(new FakeChild({}), {
        name: "fuse",
        children: [brick],
        state: () => ({ underWay: 7, history: ["one", "two"] }),
      }),
      options: new Map([["acl", "on"]]),
    }),
    commandLine: ["mortar", "client"],
    processId: "p",
    logFile: "/l",
    logLevel: () => logLevel,
    setLogLevel: (level) => void (logLevel = level),
    measurement,
    measure: (on) => measurement.measure(on ? [meta, brick] : []),
  });
  const volume = new Volume({ top: meta, inodes, env, call: ROOT });
  return { volume, rename: (name: string) => void (graphName = name), level: () => logLevel };
}

/** Where the parts of a path with links lead, and what is there. */
async function text({ volume }: { volume: Volume }, path: string): Promise<string> {
  return new TextDecoder().decode(await volume.readFile(path));
}

async function names({ volume }: { volume: Volume }, path: string): Promise<string[]> {
  return (await Array.fromAsync(volume.readDir(path), ({ name }) => name)).sort();
}

Deno.test(".meta: it is found and not listed, and shows layers, options and what they tell", async () => {
  const bed = overMemory(), { volume } = bed;
  await volume.mkdir("/d");
  deepEqual(await names(bed, "/"), ["d"]);
  const graph = "/.meta/graphs/first";
  equal(await text(bed, `${graph}/c0/type`), "protocol/client\n");
  ok((await text(bed, `${graph}/c0/private`)).includes("connected = 0\n"));
  equal(await text(bed, `${graph}/c0/options/password`), "********\n");
  ok(!(await text(bed, `${graph}/volfile`)).includes("secret"));
  deepEqual(parseVolfile(await text(bed, `${graph}/volfile`)).map(({ name }) => name), [
    ...["c0", "trace"],
  ]);
  deepEqual(await names(bed, "/.meta"), [
    ...["cmdline", "frames", "graphs", "logging", "mallinfo", "measure_latency", "process_uuid"],
    ...["root", "version"],
  ]);
  const layer = ["history", "meminfo", "name", "options", "private", "profile", "subvolumes"];
  deepEqual(await names(bed, `${graph}/trace`), [...layer, "type", "view"]);
  deepEqual(await names(bed, "/.meta/root"), [...layer, "type", "view"]);
  equal(await text(bed, "/.meta/root/options/acl"), "on\n");
  equal(await text(bed, "/.meta/root/history"), "one\ntwo\n");
  equal(await text(bed, "/.meta/process_uuid"), "p\n");
  match(await text(bed, "/.meta/mallinfo"), /^\[mallinfo\]\nmallinfo_arena = \d+$/m);
});

Deno.test(".meta: links lead to the live graph, its top, and what is below a layer", async () => {
  const bed = overMemory(), { volume } = bed;
  const link = (path: string) => volume.readlink(path);
  equal(await link("/.meta/graphs/active"), "first");
  equal(await link("/.meta/graphs/first/top"), "trace");
  equal(await link("/.meta/graphs/first/trace/subvolumes/0"), "../../c0");
  deepEqual(await names(bed, "/.meta/graphs/first/c0/subvolumes"), []);
  equal(await link("/.meta/logging/logfile"), "/l");
  bed.rename("second");
  equal(await link("/.meta/graphs/active"), "second");
  deepEqual(await names(bed, "/.meta/graphs"), ["active", "second"]);
});

Deno.test(".meta: layers are measured when that is asked for, and calls under way are shown", async () => {
  const bed = overMemory(), { volume } = bed;
  const set = (to: string) => volume.writeFile("/.meta/measure_latency", encodeName(to));
  equal(await text(bed, "/.meta/measure_latency"), "0\n");
  await volume.mkdir("/d1");
  await set("1\n");
  equal(await text(bed, "/.meta/measure_latency"), "1\n");
  await volume.mkdir("/d2");
  const profile = await text(bed, "/.meta/root/profile");
  match(profile, /^\[fuse\.latency\]\n/);
  match(profile, /^fuse\.latency\.MKDIR = AVG:\d+\.\d{6} CNT:1 TOTAL:\d+ MIN:\d+ MAX:\d+$/m);
  const frames = JSON.parse(await text(bed, "/.meta/frames"));
  equal(frames.Call_Count, 7);
  deepEqual([frames.Stack[0].Type, frames.Stack[0].Frame[0].Xlator], ["OPEN", "meta"]);
  await set("0");
  await volume.mkdir("/d3");
  equal(await text(bed, "/.meta/root/profile"), profile);
  deepEqual(JSON.parse(await text(bed, "/.meta/frames")).Stack, []);
});

Deno.test(".meta: the log's level can be set, and nothing else be changed", async () => {
  const bed = overMemory(), { volume } = bed;
  await volume.writeFile("/.meta/logging/loglevel", encodeName("8\n"));
  deepEqual([bed.level(), await text(bed, "/.meta/logging/loglevel")], [8, "8\n"]);
  for (const wrong of ["10", "-1", "DEBUG", ""]) {
    const written = volume.writeFile("/.meta/logging/loglevel", encodeName(wrong));
    if (wrong) await rejects(written, (error) => EINVAL.matches(error), wrong);
  }
  equal(bed.level(), 8);
  const refused = (error: unknown) => EROFS.matches(error);
  await rejects(volume.writeFile("/.meta/version", new Uint8Array(1)), refused);
  await rejects(volume.mkdir("/.meta/d"), refused);
  await rejects(volume.chmod("/.meta/version", 0o777), refused);
});

Deno.test("log levels: numbers are GlusterFS's, and stay as they were set", () => {
  const of: { logLevel: LogLevel } = { logLevel: "warn" };
  const levels = new LogLevels(of);
  equal(levels.number, 5);
  levels.number = 9;
  deepEqual([levels.number, of.logLevel], [9, "debug"]);
  of.logLevel = "error";
  equal(levels.number, 4);
});
