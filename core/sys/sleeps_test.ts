import { ok, strictEqual as equal } from "node:assert/strict";
import { Events, newEpoll } from "core/sys/epoll.ts";
import { sys } from "core/sys/calls.ts";
import { sleeps } from "core/sys/sleeps.ts";

Deno.test("core/sys/sleeps: a call that waits is a sleep, work is none", () => {
  const epoll = newEpoll(), events = new Events(1);
  const before = sleeps();
  events.wait(epoll, 5);
  const after = sleeps();
  ok(after > before);
  let quiet = 0;
  for (let i = 0; i < 100; i++) {
    const start = sleeps();
    sys.getpid();
    if (sleeps() === start) quiet++;
  }
  // The collector may sleep in between.
  ok(quiet > 90);
  equal(sys.close(epoll), 0);
});
