import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { FOP_NAMES } from "core/fops.ts";
import { readOptions } from "core/options.ts";
import { windTo } from "core/xlator.ts";
import { FakeChild, type Script } from "tests/fakes/fake_child.ts";
import { LinesLog, node, testEnv } from "tests/fakes/node.ts";
import { ioThreads } from "xlators/performance/io-threads/io_threads.ts";

Deno.test("performance/io-threads: every fop reaches the child, whose promise is the answer", () => {
  for (const fop of FOP_NAMES) {
    const answer = new Promise<never>(() => {});
    const child = new FakeChild({ [fop]: () => answer } as Script);
    const top = ioThreads.create(node("iot", [child]), readOptions(ioThreads.options, new Map()));
    equal(windTo(top, fop, ROOT, {} as never), answer, fop);
    deepEqual(child.fops, [fop]);
  }
});

Deno.test("performance/io-threads: options of a GlusterFS volfile load, and the log says they do nothing", async () => {
  const unknown: string[] = [];
  const given = new Map([["thread-count", "32"], ["least-prio-threads", "1"]]);
  const values = readOptions(ioThreads.options, given, (name) => unknown.push(name));
  const log = new LinesLog();
  const top = ioThreads.create(node("iot", [new FakeChild()], { env: testEnv({ log }) }), values);
  await top.start?.();
  deepEqual(unknown, []);
  equal(log.lines.length, 1);
  ok(log.lines[0]!.startsWith("I io-threads passes every fop on"));
});
