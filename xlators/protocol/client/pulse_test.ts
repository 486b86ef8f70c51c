import { ok, strictEqual as equal } from "node:assert/strict";
import { Connection } from "rpc/connection.ts";
import { dumpProgram } from "rpc/programs/dump.ts";
import { FakeClock } from "tests/fakes/clock.ts";
import { loopback } from "tests/fakes/loopback.ts";
import { testEnv } from "tests/fakes/node.ts";
import { Pulse } from "xlators/protocol/client/pulse.ts";

/** Two ends; the far one answers pings unless it is `mute`. */
function ends(mute: boolean) {
  const clock = new FakeClock();
  const [mine, theirs] = loopback();
  const env = testEnv({ clock });
  const connection = new Connection(mine, env);
  const programs = () =>
    mute ? [{ ...dumpProgram([]), procedures: [] as never[] }] : [dumpProgram([])];
  const far = new Connection(theirs, env, { programs: programs() });
  // Nothing at all comes back from who is mute.
  if (mute) theirs.write = () => new Promise(() => {});
  return { clock, connection, far };
}

/** Moves the clock on in small steps, with what happens meanwhile. */
async function pass(clock: FakeClock, ms: number, step = 250): Promise<void> {
  for (let gone = 0; gone < ms; gone += step) {
    clock.advance(step);
    for (let turns = 0; turns < 50; turns++) await Promise.resolve();
  }
}

Deno.test("protocol/client: a silent brick is given up within its time-out", async () => {
  const { clock, connection, far } = ends(true);
  new Pulse(connection, clock, () => 4000);
  await pass(clock, 3500);
  ok(connection.open);
  await pass(clock, 1500);
  ok(!connection.open);
  equal(await connection.closed, "no answer to a ping in 4 s");
  far.close("done");
});

Deno.test("protocol/client: an idle brick that answers is pinged twice in a time-out, and kept", async () => {
  const { clock, connection, far } = ends(false);
  new Pulse(connection, clock, () => 4000);
  await pass(clock, 40_000);
  ok(connection.open);
  const { callsServed } = far.state();
  ok(callsServed >= 10 && callsServed <= 20, `${callsServed} pings`);
  connection.close("done");
});

Deno.test("protocol/client: what comes from a busy brick is a sign of life: no pings", async () => {
  const { clock, connection, far } = ends(false);
  new Pulse(connection, clock, () => 4000);
  for (let i = 0; i < 20; i++) {
    far.notify({ number: 52743234, version: 1, procedure: 1, ...silent }, undefined);
    await pass(clock, 1000);
  }
  equal(far.state().callsServed, 0);
  ok(connection.open);
  connection.close("done");
});
const silent = {
  args: { write() {}, read: () => undefined },
  result: { write() {}, read: () => undefined },
};

Deno.test("protocol/client: time-out 0 pings nobody, until it is set while connected", async () => {
  const { clock, connection, far } = ends(true);
  let timeout = 0;
  new Pulse(connection, clock, () => timeout);
  await pass(clock, 100_000, 1000);
  ok(connection.open);
  timeout = 4000;
  await pass(clock, 6000);
  ok(!connection.open);
  far.close("done");
});

Deno.test("protocol/client: who stood still himself reads what came meanwhile before he gives up", async () => {
  const { clock, connection, far } = ends(false);
  let stood = 0;
  const monotonic = () => FakeClock.prototype.monotonic.call(clock) + stood;
  new Pulse(connection, Object.assign(clock, { monotonic }), () => 4000);
  await pass(clock, 1000);
  // SIGSTOP, suspend: when the next timer rings, a minute is gone.
  stood = 60_000;
  clock.advance(500);
  ok(connection.open);
  await pass(clock, 10_000);
  ok(connection.open);
  connection.close("done");
  far.close("done");
});
