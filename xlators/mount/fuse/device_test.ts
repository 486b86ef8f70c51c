import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { realClock } from "core/env.ts";
import { O_CLOEXEC, sys } from "core/sys/calls.ts";
import { FakeClock } from "tests/fakes/clock.ts";
import { LinesLog, testEnv } from "tests/fakes/node.ts";
import { Device } from "xlators/mount/fuse/device.ts";

const AF_UNIX = 1, SOCK_SEQPACKET = 5, O_NONBLOCK = 0o4000;

/** A device whose kernel is a socket: each message is a request, of which the first byte counts. */
class Scene {
  readonly log = new LinesLog();
  readonly clock = new FakeClock();
  readonly served: number[] = [];
  readonly ended: Promise<string>;
  readonly #fds = new Int32Array(2);

  constructor(readable?: ConstructorParameters<typeof Device>[3]) {
    ok(sys.socketpair(AF_UNIX, SOCK_SEQPACKET | O_CLOEXEC | O_NONBLOCK, 0, this.#fds) >= 0);
    const { log, clock } = this;
    const device = new Device(
      this.#fds[0]!,
      testEnv({ log, clock: readable ? clock : realClock }),
      ({ bytes }, at) => void this.served.push(bytes[at]!),
      readable,
    );
    this.ended = device.run();
  }

  ask(...numbers: number[]): void {
    for (const number of numbers) equal(sys.write(this.#fds[1]!, new Uint8Array([number]), 1), 1);
  }

  async hasServed(count: number): Promise<void> {
    while (this.served.length < count) await realClock.delay(1);
    equal(this.served.length, count);
  }

  async end(): Promise<void> {
    sys.close(this.#fds[1]!);
    equal(await this.ended, "unmounted");
    sys.close(this.#fds[0]!);
  }
}

Deno.test("mount/fuse: requests are served as they come, more than one turn has, until the mount is gone", async () => {
  const scene = new Scene();
  const numbers = Array.from({ length: 150 }, (_, i) => i);
  for (const number of numbers.slice(0, 20)) {
    scene.ask(number);
    await scene.hasServed(number + 1);
  }
  scene.ask(...numbers.slice(20));
  await scene.hasServed(150);
  deepEqual(scene.served, numbers);
  await scene.end();
  // Among other tests there are several loops: where the one of this test is not found, a thread waits.
  deepEqual(scene.log.lines.filter((line) => line !== "I a thread waits for the kernel"), []);
});

Deno.test("mount/fuse: requests that a wait overlooks are served a second later, in the end by a thread", async () => {
  let closed = 0;
  const never = () => Promise.withResolvers<void>();
  let waiting = never();
  const scene = new Scene(() =>
    Promise.resolve({
      wait: () => (waiting = never()).promise,
      close: () => {
        closed++;
        waiting.reject(new Error("closed"));
      },
    })
  );
  scene.ask(0);
  await scene.hasServed(1);
  for (let i = 1; i <= 2; i++) {
    scene.ask(i);
    scene.clock.advance(1000);
    await scene.hasServed(i + 1);
  }
  equal(closed, 0);
  // One that is over in time makes good for those before.
  scene.ask(3);
  waiting.resolve();
  await scene.hasServed(4);
  scene.clock.advance(1000);
  for (let i = 4; i <= 6; i++) {
    equal(closed, 0);
    scene.ask(i);
    scene.clock.advance(1000);
    await scene.hasServed(i + 1);
  }
  equal(closed, 1);
  scene.ask(7);
  await scene.hasServed(8);
  deepEqual(scene.log.lines, [
    "W a thread waits for the kernel from now on: requests were overlooked",
  ]);
  await scene.end();
});

Deno.test("mount/fuse: a mount that is gone is noticed without a wait that is over", async () => {
  const scene = new Scene(() => {
    const { promise, reject } = Promise.withResolvers<void>();
    return Promise.resolve({ wait: () => promise, close: () => reject(new Error("closed")) });
  });
  scene.ask(0);
  await scene.hasServed(1);
  const ended = scene.end();
  scene.clock.advance(1000);
  await ended;
});
