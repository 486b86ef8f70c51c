import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { realClock } from "core/env.ts";
import type { Json } from "core/xlator.ts";
import { CommandLocks } from "mgmt/command_locks.ts";
import { MANAGED } from "mgmt/commands/mod.ts";
import { Dispatcher } from "mgmt/dispatch.ts";
import { KEYS, type VolumeRecord } from "mgmt/records.ts";
import { Calendar } from "mgmt/snapshots/calendar.ts";
import { ScheduledSnapshots } from "mgmt/snapshots/scheduled.ts";
import type { ScheduleRecord } from "mgmt/snapshots/schedule_record.ts";
import { memoryStore } from "mgmt/store/open_store.ts";
import { FakeClock } from "tests/fakes/clock.ts";
import { FakeBricks, fakeCluster } from "tests/fakes/cluster.ts";
import { FakeHistoryBricks } from "tests/fakes/history_bricks.ts";
import { LinesLog, testEnv } from "tests/fakes/node.ts";
import { seeded } from "tests/fakes/seeded.ts";

const MINUTE = 60_000, HOUR = 60 * MINUTE, DAY = 24 * HOUR;

/** Its wall clock can be set. */
class SetClock extends FakeClock {
  /** Milliseconds that it was set by. */
  set = 0;

  override now(): number {
    return super.now() + this.set;
  }
}

function volume(name: string): VolumeRecord {
  return {
    ...{ name, id: `id-of-${name}`, state: "started", kind: "distribute", replicaCount: 1 },
    ...{ arbiterCount: 0, disperseCount: 0, redundancyCount: 0, stripeCount: 1, options: {} },
    ...{ username: "u", password: "p", version: 1, nextClient: 1, createdAt: 0 },
    bricks: [{ host: "h", path: `/b/${name}`, nodeId: "n", clientName: `${name}-client-0` }],
  };
}

/** A daemon whose bricks keep readers only. */
class Scene {
  readonly clock = new SetClock();
  readonly log = new LinesLog();
  readonly env = testEnv({ clock: this.clock, log: this.log });
  readonly history = new FakeHistoryBricks(this.clock);
  readonly #store = memoryStore(this.env);
  cluster = this.#cluster();
  scheduled = this.#started();

  #cluster() {
    const { history } = this;
    const bricks = Object.assign(new FakeBricks(), {
      ask: history.ask.bind(history),
      status: history.status.bind(history),
    });
    return fakeCluster("/nowhere", { env: this.env, store: this.#store, bricks }).cluster;
  }

  #started() {
    return new ScheduledSnapshots(this.cluster, new CommandLocks(this.clock));
  }

  /** As after a kill. */
  restart(): void {
    this.cluster = this.#cluster();
    this.scheduled = this.#started();
  }

  async volume(name: string, state: VolumeRecord["state"] = "started"): Promise<void> {
    await this.#store.transact((transaction) => {
      transaction.put(KEYS.volume(name), { ...volume(name), state } as unknown as Json);
      return Promise.resolve();
    });
  }

  add(when: string, more: Partial<ScheduleRecord> = {}): Promise<ScheduleRecord> {
    const zone = "UTC", force = false;
    return this.cluster.schedules.add({ volume: "v", prefix: "p", when, zone, force, ...more });
  }

  /** Looks, at this time. Time stands still meanwhile, but for what somebody waits for. */
  async look(): Promise<void> {
    let ended = false;
    const looking = this.scheduled.look().finally(() => ended = true);
    for (let turn = 0; !ended; turn++) {
      await realClock.delay(0);
      if (turn > 20) this.clock.advance(1000);
    }
    await looking;
  }

  async names(name = "v"): Promise<string[]> {
    return (await this.cluster.snapshots.of(name)).map((each) => each.name);
  }

  run(line: string) {
    const asked = { words: line.match(/"[^"]*"|\S+/g)!.map((word) => word.replaceAll('"', "")) };
    return new Dispatcher(this.cluster, MANAGED).run({
      ...{ ...asked, form: "text", manner: "mortar", confirmed: true },
    });
  }
}

async function scene(): Promise<Scene> {
  const scene = new Scene();
  await scene.volume("v");
  return scene;
}

Deno.test("mgmt/snapshots/scheduled: what is due is taken once, with the time in its name", async () => {
  const at = await scene();
  await at.add("30 2 * * *", { prefix: "nightly" });
  await at.look();
  deepEqual(await at.names(), []);
  at.clock.advance(2.5 * HOUR);
  await at.look();
  await at.look();
  const [name] = await at.names();
  match(name!, /^nightly_GMT-2030\.01\.01-02\.30\.0\d$/);
  at.clock.advance(10 * MINUTE);
  await at.look();
  equal((await at.names()).length, 1);
  at.clock.advance(DAY);
  await at.look();
  equal((await at.names()).length, 2);
});

Deno.test("mgmt/snapshots/scheduled: it looks at each full minute, and not after it was stopped", async () => {
  const at = await scene();
  await at.add("* * * * *");
  at.clock.advance(17_000);
  at.scheduled.start();
  const waited = async (count: number) => {
    for (let turn = 0; turn < 50 && (await at.names()).length < count; turn++) {
      await realClock.delay(0);
    }
    return await at.names();
  };
  at.clock.advance(42_000);
  deepEqual(await waited(0), []);
  at.clock.advance(1000);
  deepEqual(await waited(1), ["p_GMT-2030.01.01-00.01.00"]);
  for (let turn = 0; turn < 20; turn++) await realClock.delay(0);
  at.clock.advance(MINUTE);
  equal((await waited(2)).length, 2);
  await at.scheduled.stop();
  at.clock.advance(HOUR);
  equal((await waited(2)).length, 2);
});

Deno.test("mgmt/snapshots/scheduled: however many were missed, one is taken", async () => {
  const at = await scene();
  await at.add("*/10 * * * *");
  at.clock.advance(3 * DAY);
  at.restart();
  await at.look();
  await at.look();
  equal((await at.names()).length, 1);
});

Deno.test("mgmt/snapshots/scheduled: a daemon that dies after it took one does not take it again", async () => {
  const at = await scene();
  await at.add("@daily");
  at.clock.advance(DAY);
  const { note } = at.cluster.schedules;
  at.cluster.schedules.note = () => Promise.reject(new Error("died"));
  await at.look();
  at.cluster.schedules.note = note;
  at.restart();
  at.clock.advance(MINUTE);
  await at.look();
  equal((await at.names()).length, 1);
  equal((await at.cluster.schedules.all())[0]!.last!.snapshot, (await at.names())[0]);
});

Deno.test("mgmt/snapshots/scheduled: clocks that are set, and daemons that are down, make none twice", async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = seeded(seed), at = await scene();
    const zone = ["UTC", "Europe/Berlin", "America/New_York"][random(3)]!;
    const when = ["*/30 * * * *", "30 2 * * *", "0 */6 * * *", "15 4 * * 1"][random(4)]!;
    at.clock.set = random(365) * DAY;
    const { addedAt } = await at.add(when, { zone });
    const calendar = new Calendar(when, zone);
    // The newest time that the wall clock has shown while there was a daemon.
    let until = addedAt, count = 0;
    for (let step = 0; step < 30; step++) {
      const kind = random(10);
      if (kind < 6) at.clock.advance(random(40) * MINUTE);
      else if (kind < 8) at.clock.advance(random(3 * DAY));
      else if (kind < 9) at.clock.set += random(5) * HOUR;
      else at.clock.set -= random(5) * HOUR;
      if (random(4) === 0) at.restart();
      const now = at.clock.now();
      if (calendar.next(until)! <= now) {
        count++;
        until = now;
      }
      await at.look();
      equal((await at.names()).length, count, `seed ${seed}, step ${step}`);
    }
    ok(count > 0, `seed ${seed}`);
  }
});

Deno.test("mgmt/snapshots/scheduled: a clock that was years ahead does not stop a schedule for years", async () => {
  const at = await scene();
  await at.add("@hourly");
  at.clock.set = 2000 * DAY;
  await at.look();
  at.clock.set = 0;
  await at.look();
  equal((await at.names()).length, 1);
  at.clock.advance(HOUR);
  for (let turn = 0; turn < 2; turn++) await at.look();
  equal((await at.names()).length, 2);
});

Deno.test("mgmt/snapshots/scheduled: only its own snapshots go, by count and by age, and never the newest", async () => {
  const at = await scene();
  await at.run("snapshot create mine v no-timestamp");
  await at.add("@hourly", { prefix: "many", keep: 3 });
  await at.add("@daily", { prefix: "old", keepFor: 2 * 86_400 });
  for (let hour = 0; hour < 96; hour++) {
    at.clock.advance(HOUR);
    await at.look();
  }
  const of = async (prefix: string) =>
    (await at.names()).filter((name) => name.startsWith(prefix)).map((name) => name.slice(-14, -3));
  deepEqual(
    await of("many_"),
    ["01.04-22.00", "01.04-23.00", "01.05-00.00"],
  );
  deepEqual((await of("old_")).length, 3);
  deepEqual((await of("mine")).length, 1);
  // None was taken for long: what there is stays.
  await at.volume("v", "stopped");
  at.clock.advance(30 * DAY);
  await at.look();
  equal((await of("old_")).length, 3);
  await at.volume("v");
  at.clock.advance(MINUTE);
  await at.look();
  equal((await of("old_")).length, 1);
});

Deno.test("mgmt/snapshots/scheduled: a failure is logged, shown, tried again, and given up until the next time", async () => {
  const at = await scene();
  await at.run('snapshot schedule add v p --when "0 0 * * *" --zone UTC');
  await at.volume("v", "stopped");
  at.clock.advance(DAY);
  for (let tries = 0; tries < 9; tries++) {
    await at.look();
    at.clock.advance(MINUTE);
  }
  const lines = at.log.lines.filter((line) => line.includes("scheduled snapshot was not taken"));
  equal(lines.length, 5);
  match(lines[0]!, /volume v is not started/);
  const { stdout } = await at.run("snapshot schedule list v");
  match(stdout, /Last error : 2030-01-02 00:0\d:\d\d \+0000, volume v is not started\n/);
  match(stdout, /Last run {3}: none yet\nLast error/);
  match(stdout, /Next run {3}: 2030-01-03 00:00:00 \+0000\n/);
  await at.volume("v");
  at.clock.advance(DAY);
  await at.look();
  const { stdout: after } = await at.run("snapshot schedule list");
  match(after, /Last run {3}: 2030-01-03 .*, p_GMT-2030.01.03.*\nLast error : none\n/);
});

Deno.test("snapshot schedule: what cannot be is refused, in a line", async () => {
  const at = await scene();
  await at.volume("w");
  const cases: [string, RegExp][] = [
    ["add v p", /--when is missing/],
    ['add v p --when "61 * * * *"', /"61" is no minute; those are 0 to 59/],
    ["add v p --when @daily --zone Mars", /there is no time zone "Mars"/],
    ["add v p --when @daily --keep 0", /greater than zero/],
    ["add v p --when @daily --keep-for long", /expected a time/],
    ["add none p --when @daily", /Volume \(none\) does not exist/],
    ["add v all --when @daily", /"all" cannot be a snapname/],
    ["add v a/b --when @daily", /alphanumeric/],
    [`add v ${"a".repeat(240)} --when @daily`, /cannot exceed 255 characters/],
    ["remove v p", /Volume v has no schedule "p"/],
    ["list none", /does not exist/],
  ];
  for (const [words, why] of cases) {
    const { stderr, exitCode } = await at.run(`snapshot schedule ${words}`);
    match(stderr, why);
    equal(stderr.trim().split("\n").length, 1, stderr);
    ok(exitCode > 0);
  }
  const { stdout } = await at.run("snapshot schedule add v --when @daily --zone UTC");
  equal(
    stdout,
    "snapshot schedule add: success: v, for the first time at 2030-01-02 00:00:00 +0000\n",
  );
  match((await at.run("snapshot schedule add w v --when @daily")).stderr, /already, of volume v/);
  match((await at.run("snapshot schedule remove w v")).stderr, /no schedule/);
  equal(
    (await at.run("snapshot schedule remove v v")).stdout,
    "snapshot schedule remove: success: v\n",
  );
  equal((await at.run("snapshot schedule list")).stdout, "No schedules present\n");
});

Deno.test("snapshot schedule: a volume that goes takes its schedules along", async () => {
  const at = await scene();
  await at.volume("v", "stopped");
  await at.add("@daily");
  await at.cluster.remove("v");
  deepEqual(await at.cluster.schedules.all(), []);
});
