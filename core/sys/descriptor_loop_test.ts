import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { nextTurn, realClock } from "core/env.ts";
import { sys } from "core/sys/calls.ts";
import { type Bell, DescriptorLoop } from "core/sys/descriptor_loop.ts";
import { EPOLLIN } from "core/sys/epoll.ts";
import { afterPromises, turns } from "core/sys/turns.ts";
import { FakeClock } from "tests/fakes/clock.ts";
import { LinesLog } from "tests/fakes/node.ts";
import { SocketPair } from "tests/fakes/socket_pair.ts";

/** What comes at one end of a pair, counted by a loop. */
class Scene implements AsyncDisposable {
  readonly pair = new SocketPair();
  readonly log = new LinesLog();
  readonly loop;
  readonly watch;
  heard = 0;
  /** Called when something was heard. */
  answer = () => {};

  constructor(clock = realClock, bell?: () => Promise<Bell | undefined>) {
    this.loop = new DescriptorLoop({ clock, log: this.log }, bell);
    this.watch = this.loop.watch(this.pair.fd, () => {
      this.heard += this.pair.hear();
      this.answer();
    });
    this.watch.want(EPOLLIN);
  }

  async hears(count: number): Promise<void> {
    while (this.heard < count) await realClock.delay(1);
    equal(this.heard, count);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.watch.close();
    await this.loop.close();
    this.pair.end();
    this.pair[Symbol.dispose]();
  }
}

Deno.test("descriptor loop: what comes is heard, whether Deno's loop waits meanwhile or not", async () => {
  await using scene = new Scene();
  await scene.loop.started;
  for (let i = 1; i <= 100; i++) {
    scene.pair.say();
    if (i % 25 === 0) await realClock.delay(10);
    await scene.hears(i);
  }
});

Deno.test("descriptor loop: promises go on between two events, and Deno's timers and threads get their turns", async () => {
  await using scene = new Scene();
  await scene.loop.started;
  let rounds = 0, ends = false;
  const { promise, resolve } = Promise.withResolvers<void>();
  // Each event makes the next one, many promises later: nothing but the loop is needed for that.
  scene.answer = async () => {
    for (let hop = 0; hop < 50; hop++) await undefined;
    rounds++;
    if (ends) resolve();
    else scene.pair.say();
  };
  scene.pair.say();
  for (let i = 0; i < 20; i++) {
    const before = rounds;
    await realClock.delay(1);
    equal(await sys.writeAsync(-1, new Uint8Array(1), 1), -9);
    await Deno.stat("/");
    while (rounds === before) await realClock.delay(1);
  }
  ends = true;
  await promise;
  ok(rounds > 20);
});

Deno.test("descriptor loop: what waits for the promises of a turn comes after all of them, and before the next turn", async () => {
  await using scene = new Scene();
  await scene.loop.started;
  const told: string[] = [];
  const last = Promise.withResolvers<void>();
  scene.answer = async () => {
    if (told.length > 0) return last.resolve();
    told.push("serves");
    const later = () => {
      told.push("after");
      // What it sets off has the same turn.
      Promise.resolve().then(() => afterPromises(() => told.push("after that")));
      scene.pair.say();
    };
    if (!afterPromises(later)) return last.reject(new Error("no turn"));
    for (let hop = 0; hop < 50; hop++) await undefined;
    told.push("promises");
  };
  scene.pair.say();
  await last.promise;
  deepEqual(told, ["serves", "promises", "after", "after that"]);
  await realClock.delay(1);
  equal(afterPromises(() => {}), false);
});

Deno.test("descriptor loop: Deno's loop goes on as soon as a short timer is set, and seldom without", async () => {
  // A bell that rings all the time, and counts how often Deno's loop has its turn.
  let turns = 0;
  const bell = {
    ...{ deno: -1, wait: () => Promise.resolve(), close() {}, pause() {}, take: () => undefined },
    resume: () => void turns++,
  };
  await using scene = new Scene(realClock, () => Promise.resolve(bell));
  await scene.loop.started;
  // Whether Deno's loop has its turn between an event, after so many that it waits, and the next one.
  async function turned(meanwhile: () => unknown): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    let events = 0, before = 0;
    scene.answer = () => {
      if (++events > 300) return resolve(turns > before);
      before = turns;
      if (events === 300) meanwhile();
      scene.pair.say();
    };
    scene.pair.say();
    return await promise;
  }
  // A turn may be due at that moment.
  async function staysOnce(meanwhile: () => unknown): Promise<boolean> {
    for (let i = 0; i < 10; i++) if (!await turned(meanwhile)) return true;
    return false;
  }
  ok(await staysOnce(() => {}));
  ok(!await staysOnce(() => realClock.after(19, () => {})));
  ok(await staysOnce(() => realClock.after(20, () => {})));
});

Deno.test("descriptor loop: who held the thread up learns whether others had come meanwhile, how often in a row", async () => {
  await using scene = new Scene();
  await scene.loop.started;
  const others = new SocketPair();
  const { promise, resolve } = Promise.withResolvers<void>();
  // 1, 2, 4 and 5: somebody comes meanwhile.
  const seen: number[] = [];
  const watch = scene.loop.watch(others.fd, () => void others.hear());
  watch.want(EPOLLIN);
  scene.answer = () => {
    if (seen.length === 0) turns.crowded = 0;
    seen.push(turns.crowded);
    if (seen.length > 6) return resolve();
    turns.held = true;
    if (seen.length % 3 !== 0) others.say();
    nextTurn(() => scene.pair.say());
  };
  scene.pair.say();
  await promise;
  deepEqual(seen, [0, 1, 2, 0, 1, 2, 0]);
  equal(turns.held, false);
  watch.close();
  others.end();
});

Deno.test("descriptor loop: who wants nothing is told nothing, not even that the other end is gone", async () => {
  await using scene = new Scene();
  scene.watch.want(0);
  let called = 0;
  scene.answer = () => called++;
  scene.pair.say();
  const other = new SocketPair();
  sys.close(other.fd);
  await scene.loop.started;
  await realClock.delay(20);
  equal(called, 0);
  scene.watch.want(EPOLLIN);
  await scene.hears(1);
  other.end();
});

Deno.test("descriptor loop: without a bell, or without events that it rings for, a thread waits", async () => {
  await using scene = new Scene(realClock, () => Promise.resolve(undefined));
  for (let i = 1; i <= 3; i++) {
    scene.pair.say();
    await scene.hears(i);
  }
  equal(scene.loop.take(scene.pair.fd), undefined);
  deepEqual(scene.log.lines, ["I a thread waits for descriptors"]);
});

Deno.test("descriptor loop: events that the bell overlooks are served a second later, in the end by a thread", async () => {
  let closed = 0, waiting = Promise.withResolvers<void>();
  const bell = {
    deno: -1,
    wait: () => (waiting = Promise.withResolvers<void>()).promise,
    close: () => {
      closed++;
      waiting.reject(new Error("closed"));
    },
    pause() {},
    resume() {},
    take: () => undefined,
  };
  const clock = new FakeClock();
  await using scene = new Scene(clock, () => Promise.resolve(bell));
  await scene.loop.started;
  for (let i = 1; i <= 2; i++) {
    scene.pair.say();
    clock.advance(1000);
    await scene.hears(i);
  }
  equal(closed, 0);
  // One that is heard in time makes good for those before.
  scene.pair.say();
  waiting.resolve();
  await scene.hears(3);
  clock.advance(1000);
  for (let i = 4; i <= 6; i++) {
    equal(closed, 0);
    scene.pair.say();
    clock.advance(1000);
    await scene.hears(i);
  }
  equal(closed, 1);
  scene.pair.say();
  await scene.hears(7);
  deepEqual(scene.log.lines, [
    "W a thread waits for descriptors from now on: events were overlooked",
  ]);
});
