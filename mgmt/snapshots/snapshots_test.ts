import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { realClock } from "core/env.ts";
import { Refusal } from "mgmt/cli/managed.ts";
import type { VolumeRecord } from "mgmt/records.ts";
import { SNAPSHOT_KEYS } from "mgmt/snapshots/snapshot_record.ts";
import { Snapshots } from "mgmt/snapshots/snapshots.ts";
import { memoryStore } from "mgmt/store/open_store.ts";
import type { Store } from "mgmt/store/store.ts";
import { FakeClock } from "tests/fakes/clock.ts";
import { FakeHistoryBricks, type Fault, type Step } from "tests/fakes/history_bricks.ts";
import { testEnv } from "tests/fakes/node.ts";

const VOLUME: VolumeRecord = {
  name: "v",
  id: "6c16648c-78a8-4e52-8cfb-ad295ebf2258",
  state: "started",
  kind: "replicate",
  replicaCount: 3,
  arbiterCount: 0,
  disperseCount: 0,
  redundancyCount: 0,
  stripeCount: 1,
  bricks: [0, 1, 2].map((index) => ({
    host: "h",
    path: `/b/${index}`,
    nodeId: "node",
    clientName: `v-client-${index}`,
  })),
  options: {},
  username: "the-user",
  password: "the-password",
  version: 1,
  nextClient: 3,
  createdAt: 0,
};

const SINGLE = { kind: "distribute", replicaCount: 1 } as const;

/** A daemon's snapshots on three bricks. */
class Scene {
  readonly clock = new FakeClock();
  readonly bricks = new FakeHistoryBricks(this.clock);
  readonly env = testEnv({ clock: this.clock });
  readonly store: Store = memoryStore(this.env);
  snapshots = this.#started();

  #started(): Snapshots {
    return new Snapshots({ env: this.env, store: this.store, bricks: this.bricks });
  }

  /** Time goes on until `work` has ended. */
  async through<T>(work: Promise<T>): Promise<T> {
    let ended = false;
    const end = () => ended = true;
    work.then(end, end);
    while (!ended) {
      await realClock.delay(0);
      this.clock.advance(200);
    }
    return await work;
  }

  create(name: string, bricks = this.snapshots.bricks(VOLUME)) {
    return this.through(this.snapshots.create(VOLUME, { name, bricks }));
  }

  /** What is late comes, who is down comes up, and the next daemon has begun. */
  async settle(): Promise<void> {
    this.bricks.point = () => {};
    for (let turn = 0; turn < 20; turn++) {
      this.clock.advance(10_000);
      await realClock.delay(0);
    }
    this.snapshots = this.#started();
    await this.snapshots.recover([VOLUME]);
    for (const { path, clientName } of VOLUME.bricks) {
      const brick = this.bricks.at(path);
      brick.isUp = true;
      brick.fault = undefined;
      await this.through(this.snapshots.reconcile(VOLUME, clientName));
    }
  }

  /** Names that each brick has, and then those that the records have. */
  async names(): Promise<string[][]> {
    const bricks = VOLUME.bricks.map(({ path }) =>
      [...this.bricks.at(path).readers.values()].map(({ name }) => name)
    );
    return [...bricks, (await this.snapshots.all()).map(({ name }) => name)];
  }
}

Deno.test("mgmt/snapshots: all bricks hold changes back before the first takes, which lets them go on", async () => {
  const scene = new Scene(), order: string[] = [];
  for (const { path } of VOLUME.bricks) {
    const brick = scene.bricks.at(path), push = brick.asked.push.bind(brick.asked);
    brick.asked.push = (...steps) => (order.push(...steps), push(...steps));
  }
  const made = await scene.create("one");
  deepEqual(
    order,
    ["prepare", "hold", "take", "secure"].flatMap((step) => [step, step, step]),
  );
  deepEqual([made.epoch, made.state, made.missing, made.active], [1, "kept", [], false]);
  deepEqual(await scene.names(), [["one"], ["one"], ["one"], ["one"]]);
  equal((await scene.create("two")).epoch, 2);
  equal(scene.clock.timers <= 6, true, "nobody waits any more but for holds' own ends");
});

Deno.test("mgmt/snapshots: a volume of one brick takes a snapshot by one order", async () => {
  const scene = new Scene(), volume = { ...VOLUME, ...SINGLE, bricks: VOLUME.bricks.slice(0, 1) };
  const bricks = scene.snapshots.bricks(volume);
  await scene.through(scene.snapshots.create(volume, { name: "one", bricks }));
  deepEqual(scene.bricks.at("/b/0").asked, ["take"]);
  scene.bricks.at("/b/0").fault = { step: "take", how: "dead after" };
  await rejects(scene.through(scene.snapshots.create(volume, { name: "two", bricks })), Refusal);
  await scene.settle();
  deepEqual((await scene.names())[0], ["one"]);
});

Deno.test("mgmt/snapshots: one brick that fails, is late or dies at any step leaves nothing anywhere", async () => {
  const steps: Step[] = ["prepare", "hold", "take", "secure"];
  const faults: Fault[] = ["refused", "late", "dead before", "dead after"];
  for (const step of steps) {
    for (const how of faults) {
      for (const { path } of VOLUME.bricks) {
        const scene = new Scene();
        await scene.create("before");
        scene.bricks.at(path).fault = { step, how };
        const what = `${step} ${how} at ${path}`;
        await rejects(scene.create("one"), Refusal, what);
        equal(await scene.snapshots.find("one"), undefined, what);
        for (const each of scene.bricks.byPath.values()) {
          // What is asked for later than it is given up ends by itself.
          if (each.isUp && how !== "late") equal(each.holds.size, 0, what);
        }
        await scene.settle();
        deepEqual(await scene.names(), [["before"], ["before"], ["before"], ["before"]], what);
        deepEqual(await scene.store.list(SNAPSHOT_KEYS.removals), [], what);
        await scene.create("one");
        equal((await scene.names())[0]!.length, 2, what);
      }
    }
  }
});

Deno.test("mgmt/snapshots: a daemon that dies at any step leaves all or nothing after the next one's start", async () => {
  for (const doing of ["create", "remove"] as const) {
    const seen = new Set<string>();
    let ended = false;
    for (let at = 1; !ended; at++) {
      const scene = new Scene();
      const old = await scene.create("old");
      let left = at;
      // From there on nothing that it does comes about.
      const point = () => --left <= 0 ? new Promise<void>(() => {}) : undefined;
      const store = {
        ...{ get: scene.store.get.bind(scene.store), list: scene.store.list.bind(scene.store) },
        async transact(change: Parameters<Store["transact"]>[0]) {
          await point();
          const value = await scene.store.transact(change);
          await point();
          return value;
        },
      } as unknown as Store;
      scene.bricks.point = point;
      const dying = new Snapshots({ env: scene.env, store, bricks: scene.bricks });
      const work = doing === "create"
        ? dying.create(VOLUME, { name: "one", bricks: dying.bricks(VOLUME) })
        : dying.remove(VOLUME, old);
      ended = await scene.through(Promise.race([
        work.then(() => true, () => false),
        scene.clock.delay(6000).then(() => false),
      ]));
      await scene.settle();
      const names = await scene.names();
      for (const each of names) deepEqual(each, names[3], `${doing} killed at ${at}`);
      deepEqual(await scene.store.list(SNAPSHOT_KEYS.removals), [], `${doing} killed at ${at}`);
      seen.add(names[3]!.join(" "));
      ok(at < 100, "it never ends");
    }
    deepEqual([...seen].sort(), doing === "create" ? ["old", "old one"] : ["", "old"]);
  }
});

Deno.test("mgmt/snapshots: a brick that is further than the records is caught up with", async () => {
  const scene = new Scene();
  scene.bricks.at("/b/1").epoch = 8;
  equal((await scene.create("one")).epoch, 8);
  equal((await scene.create("two")).epoch, 9);
});

Deno.test("mgmt/snapshots: a brick that was down misses what was taken, and hears of the rest when it comes up", async () => {
  const scene = new Scene(), away = scene.bricks.at("/b/2");
  const kept = await scene.create("kept"), gone = await scene.create("gone");
  away.die();
  const up = scene.snapshots.bricks(VOLUME).filter(({ isUp }) => isUp);
  deepEqual((await scene.create("without", up)).missing, ["v-client-2"]);
  await scene.snapshots.remove(VOLUME, gone);
  await scene.snapshots.setActive(VOLUME, kept, true);
  equal((await scene.store.list(SNAPSHOT_KEYS.removals)).length, 1);
  away.isUp = true;
  await scene.snapshots.reconcile(VOLUME, "v-client-2");
  deepEqual([...away.readers.values()].map(({ name, active }) => [name, active]), [["kept", true]]);
  deepEqual(await scene.store.list(SNAPSHOT_KEYS.removals), []);
  equal((await scene.create("later")).missing.length, 0);
});

Deno.test("mgmt/snapshots: a removal is answered when nobody sees it, and on record until disks have it", async () => {
  const scene = new Scene(), disks = Promise.withResolvers<void>();
  const gone = await scene.create("gone");
  let points = 0;
  // Before and after the first order to each brick; what comes then waits for disks.
  scene.bricks.point = () => ++points > 2 * VOLUME.bricks.length ? disks.promise : undefined;
  await scene.through(scene.snapshots.remove(VOLUME, gone));
  deepEqual(await scene.names(), [[], [], [], []]);
  const records = () => scene.store.list(SNAPSHOT_KEYS.removals);
  equal((await records()).length, 1);
  disks.resolve();
  while ((await records()).length) await realClock.delay(0);
  deepEqual(scene.bricks.at("/b/0").asked.slice(-2), ["remove", "remove"]);
});

Deno.test("mgmt/snapshots: what a brick has lost is noted as missing there, for the next daemon, too", async () => {
  const scene = new Scene();
  await scene.create("one");
  scene.bricks.at("/b/0").readers.clear();
  await scene.settle();
  deepEqual((await scene.snapshots.find("one"))!.missing, ["v-client-0"]);
  await scene.settle();
  deepEqual((await scene.snapshots.find("one"))!.missing, ["v-client-0"]);
});

Deno.test("mgmt/snapshots: a name is given once, whatever volume has it", async () => {
  const scene = new Scene();
  await scene.create("one");
  await rejects(scene.create("one"), new Refusal("Snapshot one already exists", 30812));
  deepEqual((await scene.names())[0], ["one"]);
});

Deno.test("mgmt/snapshots: a brick that does not follow an activation is told of", async () => {
  const scene = new Scene();
  const one = await scene.create("one");
  scene.bricks.at("/b/1").fault = { step: "update", how: "refused" };
  await rejects(scene.snapshots.setActive(VOLUME, one, true), /h:\/b\/1/);
  equal((await scene.snapshots.find("one"))!.active, false);
  equal((await scene.snapshots.setActive(VOLUME, one, true)).active, true);
});
