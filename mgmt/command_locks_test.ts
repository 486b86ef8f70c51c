import { deepStrictEqual as deepEqual, match, ok, rejects } from "node:assert/strict";
import type { Refusal } from "mgmt/cli/managed.ts";
import { CommandLocks } from "mgmt/command_locks.ts";
import { FakeClock } from "tests/fakes/clock.ts";

Deno.test("mgmt/command_locks: volumes are changed side by side, one volume by one at a time", async () => {
  const locks = new CommandLocks(new FakeClock());
  const first = await locks.take("v1", "volume start v1");
  const other = await locks.take("v2", "volume start v2");
  let granted = false;
  const second = locks.take("v1", "volume stop v1").then((lock) => {
    granted = true;
    return lock;
  });
  await Promise.resolve();
  ok(!granted);
  first[Symbol.dispose]();
  (await second)[Symbol.dispose]();
  other[Symbol.dispose]();
});

Deno.test("mgmt/command_locks: who changes anything waits for all, and those after wait for it", async () => {
  const locks = new CommandLocks(new FakeClock());
  const order: string[] = [];
  const held = await locks.take("v1", "a");
  const run = async (volume: string | undefined, name: string) => {
    using _lock = await locks.take(volume, name);
    order.push(`${name} begins`);
    await new Promise((resolve) => setTimeout(resolve, 0));
    order.push(`${name} ends`);
  };
  const waiting = [run(undefined, "all"), run("v2", "later"), run("v1", "last")];
  await Promise.resolve();
  deepEqual(order, []);
  held[Symbol.dispose]();
  held[Symbol.dispose]();
  await Promise.all(waiting);
  deepEqual(order.slice(0, 4), ["all begins", "all ends", "later begins", "last begins"]);
  deepEqual(order.length, 6);
});

Deno.test("mgmt/command_locks: who waits too long is told which command is in the way, since when", async () => {
  const clock = new FakeClock();
  const locks = new CommandLocks(clock, 5000);
  const held = await locks.take("v1", "volume start v1");
  const late = locks.take("v1", "volume stop v1");
  const next = locks.take("v2", "volume stop v2");
  await next;
  clock.advance(5000);
  await rejects(late, (error: Refusal) => {
    match(
      error.message,
      /^Another transaction is in progress for v1: "volume start v1", asked at 2030-01-01T00:00:00/,
    );
    match(error.message, /Please try again after some time\.$/);
    return true;
  });
  held[Symbol.dispose]();
  (await locks.take("v1", "x"))[Symbol.dispose]();
});
