import { ok, rejects, strictEqual as equal } from "node:assert/strict";
import { realClock } from "core/env.ts";
import { O_CLOEXEC, sys } from "core/sys/calls.ts";
import { Readable } from "core/sys/readable.ts";

const AF_UNIX = 1, SOCK_STREAM = 1, O_NONBLOCK = 0o4000;

/** Two ends of a connection that Deno does not know. */
class Pair implements Disposable {
  readonly #fds = new Int32Array(2);
  readonly #bytes = new Uint8Array(64);

  constructor() {
    ok(sys.socketpair(AF_UNIX, SOCK_STREAM | O_CLOEXEC | O_NONBLOCK, 0, this.#fds) >= 0);
  }

  get fd(): number {
    return this.#fds[0]!;
  }

  say(count = 1): void {
    equal(sys.write(this.#fds[1]!, this.#bytes, count), count);
  }

  /** How many bytes there are. */
  hear(): number {
    return Math.max(0, sys.read(this.fd, this.#bytes, 64));
  }

  end(): void {
    sys.close(this.#fds[1]!);
  }

  [Symbol.dispose](): void {
    sys.close(this.fd);
  }
}

async function readable(fd: number): Promise<Readable> {
  const made = await Readable.of(fd, realClock);
  ok(made);
  return made;
}

Deno.test("readable: each time that something comes a wait is over", async () => {
  using pair = new Pair();
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
  using pair = new Pair();
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
    using one = new Pair(), other = new Pair();
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
