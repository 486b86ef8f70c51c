import { deepStrictEqual, rejects, strictEqual, throws } from "node:assert/strict";
import { KeyedLock } from "core/lib/lock.ts";
import { Window } from "core/lib/window.ts";

Deno.test("core/lib/lock: holders of one key take turns in order of arrival", async () => {
  const locks = new KeyedLock<object>();
  const key = {}, order: string[] = [];
  const visit = async (name: string) => {
    using _ = await locks.take(key);
    order.push(`${name} in`);
    await Promise.resolve();
    order.push(`${name} out`);
  };
  await Promise.all([visit("a"), visit("b"), visit("c")]);
  deepStrictEqual(order, ["a in", "a out", "b in", "b out", "c in", "c out"]);
});

Deno.test("core/lib/lock: keys do not wait for each other", async () => {
  const locks = new KeyedLock<object>();
  using _a = await locks.take({});
  using _b = await locks.take({});
});

Deno.test("core/lib/lock: a holder that throws lets the next one in", async () => {
  const locks = new KeyedLock<object>();
  const key = {};
  await rejects(async () => {
    using _ = await locks.take(key);
    throw new Error("inside");
  }, /inside/);
  using _ = await locks.take(key);
});

Deno.test("core/lib/window: no more tasks run than the limit, and all of them do", async () => {
  const window = new Window(3);
  let most = 0;
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, i) =>
      window.run(async () => {
        most = Math.max(most, window.running);
        await Promise.resolve();
        return i;
      })),
  );
  deepStrictEqual(answers, Array.from({ length: 20 }, (_, i) => i));
  strictEqual(most, 3);
  strictEqual(window.running, 0);
});

Deno.test("core/lib/window: a task that fails frees its place", async () => {
  const window = new Window(1);
  await rejects(window.run(() => Promise.reject(new Error("task"))), /task/);
  strictEqual(await window.run(() => Promise.resolve(1)), 1);
  throws(() => new Window(0), RangeError);
});
