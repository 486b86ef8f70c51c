import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { realRandom } from "core/env.ts";
import { PolledClock } from "core/sys/polled_clock.ts";

/** A clock whose time goes on only in `pass`, a millisecond at a time. */
function stopped(): { clock: PolledClock; pass: (ms: number) => Promise<void> } {
  let time = 1000;
  const clock = new PolledClock(() => time);
  const pass = async (ms: number) => {
    for (let i = 0; i < ms; i++) {
      time++;
      clock.fire();
      await Promise.resolve();
    }
  };
  return { clock, pass };
}

Deno.test("polled_clock: a thousand timers fire by their times, less those that were cancelled", async () => {
  const { clock, pass } = stopped();
  const fired: number[] = [];
  const timers = Array.from({ length: 1000 }, () => {
    const ms = 1 + realRandom.int(100);
    return { ms, timer: clock.after(ms, () => fired.push(ms)) };
  });
  for (let i = 0; i < timers.length; i += 3) timers[i]!.timer.cancel();
  const kept = timers.filter((_, i) => i % 3 !== 0).map(({ ms }) => ms).sort((a, b) => a - b);
  equal(clock.untilNext(), kept[0]);
  await pass(100);
  deepEqual(fired, kept);
  equal(clock.untilNext(), Infinity);
});

Deno.test("polled_clock: a timer that fires may cancel and ask for others", async () => {
  const { clock, pass } = stopped();
  const order: string[] = [];
  const second = clock.after(2, () => order.push("never"));
  clock.after(1, () => {
    order.push("first");
    second.cancel();
    second.cancel();
    clock.after(1, () => order.push("third"));
  });
  let ticks = 0;
  const every = clock.every(10, () => void (++ticks === 3 && every.cancel()));
  await pass(29);
  equal(ticks, 2);
  await pass(100);
  deepEqual(order, ["first", "third"]);
  equal(ticks, 3);
});

Deno.test("polled_clock: a delay ends at its time, or fails when it is given up", async () => {
  const { clock, pass } = stopped();
  let done = false;
  clock.delay(10).then(() => done = true);
  const given = new AbortController();
  const failed = clock.delay(60_000, given.signal).catch((error) => error);
  const never = clock.delay(60_000, AbortSignal.abort("before")).catch((error) => error);
  given.abort("enough");
  equal(await failed, "enough");
  equal(await never, "before");
  equal(clock.untilNext(), 10);
  await pass(9);
  equal(done, false);
  await pass(2);
  equal(done, true);
});
