import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { realClock } from "core/env.ts";
import { O_CLOEXEC, sys } from "core/sys/calls.ts";
import { calling } from "tests/fakes/calling.ts";
import { LinesLog, testEnv } from "tests/fakes/node.ts";
import { Device } from "xlators/mount/fuse/device.ts";

const AF_UNIX = 1, SOCK_SEQPACKET = 5, O_NONBLOCK = 0o4000;

/** A device whose kernel is a socket: each message is a request, of which the first byte counts. */
class Scene {
  readonly log = new LinesLog();
  readonly served: number[] = [];
  readonly ended: Promise<string>;
  readonly #fds = new Int32Array(2);

  constructor() {
    ok(sys.socketpair(AF_UNIX, SOCK_SEQPACKET | O_CLOEXEC | O_NONBLOCK, 0, this.#fds) >= 0);
    const device = new Device(
      this.#fds[0]!,
      testEnv({ log: this.log }),
      ({ bytes }, at) => void this.served.push(bytes[at]!),
    );
    this.ended = device.run();
  }

  get fd(): number {
    return this.#fds[0]!;
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
  deepEqual(scene.log.lines.filter((line) => line !== "I a thread waits for descriptors"), []);
});

Deno.test("mount/fuse: who asks one thing after the other costs a system call for each, who asks many at once few more", async () => {
  const scene = new Scene();
  const { read } = sys;
  let reads = 0;
  const counted = (fd: number, bytes: BufferSource | null, size: number) => {
    if (fd === scene.fd) reads++;
    return read(fd, bytes, size);
  };
  using _ = calling({ read: counted });
  for (let number = 0; number < 170; number++) {
    scene.ask(number);
    await scene.hasServed(number + 1);
  }
  ok(reads <= 190, `${reads} reads for 170 requests, one after the other`);
  reads = 0;
  for (let served = 170; served < 250; served += 40) {
    scene.ask(...Array.from({ length: 40 }, (_, i) => served + i));
    await scene.hasServed(served + 40);
  }
  ok(reads <= 84, `${reads} reads for 80 requests, 40 at once`);
  await scene.end();
});
