import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { type Clock, type Random, realClock, realRandom } from "core/env.ts";
import { DONE } from "core/fops.ts";
import { readOptions } from "core/options.ts";
import { FakeChild } from "tests/fakes/fake_child.ts";
import { node, testEnv } from "tests/fakes/node.ts";
import { delayGen } from "xlators/debug/delay-gen/delay_gen.ts";

function bed(option: Record<string, string>, numbers: number[] = []) {
  const delays: { ms: number; end: () => void }[] = [];
  const clock: Clock = {
    ...realClock,
    delay: (ms) => new Promise((resolve) => delays.push({ ms, end: resolve })),
  };
  const random: Random = { ...realRandom, int: () => numbers.shift() ?? 0 };
  const script = {
    flush: () => Promise.resolve(DONE),
    fsync: () => Promise.resolve(DONE as never),
  };
  const child = new FakeChild(script);
  const at = node("delay", [child], { env: testEnv({ clock, random }) });
  const top = delayGen.create(at, readOptions(delayGen.options, new Map(Object.entries(option))));
  return { top, child, delays };
}

Deno.test("debug/delay-gen: a chosen fop reaches the child when its time is over", async () => {
  const { top, child, delays } = bed({ "delay-percentage": "100", "delay-duration": "2500" });
  const answer = top.flush(ROOT, {} as never);
  deepEqual([delays.map(({ ms }) => ms), child.fops], [[2.5], []]);
  delays[0]!.end();
  equal(await answer, DONE);
});

Deno.test("debug/delay-gen: the share decides, and only named fops wait", async () => {
  const { top, delays } = bed({ "delay-percentage": "25%", enable: "FLUSH" }, [249_999, 250_000]);
  const waiting = top.flush(ROOT, {} as never);
  await top.flush(ROOT, {} as never);
  await top.fsync(ROOT, {} as never);
  equal(delays.length, 1);
  delays[0]!.end();
  await waiting;
});

Deno.test("debug/delay-gen: at 0 percent nothing waits", async () => {
  const { top, delays } = bed({ "delay-percentage": "0" });
  await top.flush(ROOT, {} as never);
  equal(delays.length, 0);
});
