import { ok, rejects, strictEqual as equal } from "node:assert/strict";
import { realClock } from "core/env.ts";
import { Readable } from "core/sys/readable.ts";
import { SocketPair } from "tests/fakes/socket_pair.ts";

async function readable(fd: number): Promise<Readable> {
  const made = await Readable.of(fd, realClock);
  ok(made);
  return made;
}

Deno.test("readable: each time that something comes a wait is over", async () => {
  using pair = new SocketPair();
  const waits = await readable(pair.fd);
  let heard = 0;
  for (let i = 0; i < 1000; i++) {
    if (i % 3 === 0) pair.say();
    else if (i % 3 === 1) queueMicrotask(() => pair.say());
    else realClock.after(0, () => pair.say());
    // It may be over for nothing, but what came is never waited for in vain.
    for (;;) {
      const count = pair.hear();
      heard += count;
      if (count) break;
      await waits.wait();
    }
  }
  equal(heard, 1000);
  waits.close();
  pair.end();
});

Deno.test("readable: a wait goes on until something comes, and is over when the other end is gone", async () => {
  using pair = new SocketPair();
  const waits = await readable(pair.fd);
  let over = 0;
  const loop = async () => {
    while (pair.hear() > 0 || over < 2) {
      await waits.wait();
      over++;
    }
  };
  const done = loop();
  await realClock.delay(20);
  equal(over, 0);
  pair.say();
  while (over < 1) await realClock.delay(1);
  pair.end();
  await done;
  waits.close();
});

Deno.test("readable: many come and go, and a wait fails when its own does", async () => {
  for (let i = 0; i < 50; i++) {
    using one = new SocketPair(), other = new SocketPair();
    const first = await readable(one.fd), second = await readable(other.fd);
    const waiting = second.wait();
    other.say();
    await waiting;
    const never = rejects(first.wait());
    first.close();
    await never;
    const again = second.wait();
    equal(other.hear(), 1);
    other.say();
    await again;
    second.close();
    one.end();
    other.end();
  }
});
