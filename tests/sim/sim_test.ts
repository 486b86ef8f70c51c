import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { SimRandom } from "tests/sim/random.ts";
import { Sim, SimFailure } from "tests/sim/sim.ts";
import { Trace } from "tests/sim/trace.ts";

/** Three workers that draw, wait and note: enough to tell two orders apart. */
async function play(seed: number, internal: boolean): Promise<readonly string[]> {
  const trace = new Trace(true), sim = new Sim(seed, { trace });
  await sim.run(async () => {
    await Promise.all([0, 1, 2].map(async (worker) => {
      for (let step = 0; step < 20; step++) {
        await sim.delay(sim.random.int(5));
        for (let hop = 0; hop < sim.random.int(30); hop++) await Promise.resolve();
        sim.note(`${worker} ${step} ${sim.random.int(1000)}`);
      }
    }));
  }, { internal });
  return trace.lines;
}

Deno.test("sim: a seed gives the same trace twice, by Deno's internals and without them", async () => {
  const first = await play(7, true);
  equal(first.length, 60);
  deepEqual(await play(7, true), first);
  deepEqual(await play(7, false), first);
  equal((await play(8, true)).join() === first.join(), false);
});

Deno.test("sim: hours pass at once, in order of time", async () => {
  const sim = new Sim(1), seen: number[] = [];
  await sim.run(async () => {
    await Promise.all([3, 1, 2].map(async (hours) => {
      await sim.env.clock.delay(hours * 3600_000);
      seen.push(hours);
    }));
  });
  deepEqual(seen, [1, 2, 3]);
  equal(sim.now, 3 * 3600_000);
});

Deno.test("sim: when nothing can happen any more it says who waits", async () => {
  const sim = new Sim(1);
  const never = sim.waiting("client 2 for a lock", new Promise<void>(() => {}));
  await rejects(
    sim.run(() => never),
    (error) => error instanceof SimFailure && /deadlock[^]*client 2 for a lock/.test(error.message),
  );
});

Deno.test("sim: a run that goes on for ever is ended", async () => {
  const sim = new Sim(1, { limits: { timeMs: 1000 } });
  sim.env.clock.every(10, () => {});
  await rejects(sim.run(() => new Promise<void>(() => {})), /no end after 100 events/);
});

Deno.test("sim: an exception in an event ends the run with it", async () => {
  const sim = new Sim(1);
  sim.after(5, () => {
    throw new RangeError("broken");
  });
  await rejects(sim.run(() => new Promise<void>(() => {})), RangeError);
});

Deno.test("sim/random: neighbouring seeds draw different first numbers", () => {
  const firsts = Array.from({ length: 1000 }, (_, seed) => new SimRandom(seed).int(10));
  for (let digit = 0; digit < 10; digit++) {
    const count = firsts.filter((each) => each === digit).length;
    equal(count > 60 && count < 140, true, `${digit} came ${count} times of 1000`);
  }
});
