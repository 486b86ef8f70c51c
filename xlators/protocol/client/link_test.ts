import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { ROOT } from "core/call.ts";
import type { Random } from "core/env.ts";
import { realRandom } from "core/env.ts";
import { ENOTCONN } from "core/errno.ts";
import type { Gfid } from "core/inode.ts";
import { intKey, str, Xdata } from "core/xdata.ts";
import type { Connection } from "rpc/connection.ts";
import { procedures, type Program, serve } from "rpc/program.ts";
import { childDown, childUp, recallLease, statedump } from "rpc/programs/callback.ts";
import { GFX_NAME, GFX_PROGRAM, GFX_VERSION } from "rpc/programs/gfx.ts";
import { HANDSHAKE_NAME, HANDSHAKE_PROGRAM, setvolume } from "rpc/programs/handshake.ts";
import { Listener } from "rpc/server.ts";
import type { Endpoint } from "rpc/transport.ts";
import {
  create,
  eventually,
  inodesOf,
  is,
  makeClient,
  memoryBrick,
  serveBrick,
} from "tests/fakes/client_brick.ts";
import { FakeClock } from "tests/fakes/clock.ts";
import { testEnv } from "tests/fakes/node.ts";
import { seeded } from "tests/fakes/seeded.ts";
import { Wires } from "tests/fakes/wires.ts";

/** Steps of the clock; between them what sockets have to say is heard. */
async function pass(clock: FakeClock, ms: number, step = 100): Promise<void> {
  for (let gone = 0; gone < ms; gone += step) {
    clock.advance(step);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** Moves the clock on until `condition` holds. */
function passUntil(clock: FakeClock, condition: () => boolean): Promise<void> {
  return eventually(() => {
    clock.advance(100);
    return condition();
  });
}

function random(seed: number): Random {
  return { ...realRandom, int: seeded(seed) };
}

/** A brick that lets everybody in and answers nothing else; `answer` to SETVOLUME. */
function doorkeeper(answer: () => { ret: number; errno: number; dict: Xdata }) {
  const connections: Connection[] = [];
  const listener = new Listener({ kind: "tcp", host: "127.0.0.1", port: 0 }, testEnv(), {
    programs(connection): Program[] {
      connections.push(connection);
      return [
        { number: GFX_PROGRAM, version: GFX_VERSION, name: GFX_NAME, procedures: [] },
        {
          ...HANDSHAKE_PROGRAM,
          name: HANDSHAKE_NAME,
          procedures: procedures([[setvolume.procedure, serve(setvolume, answer)]]),
        },
      ];
    },
  });
  const { port } = listener.endpoint as Endpoint & { kind: "tcp" };
  return { port, connections, stop: () => listener.stop() };
}

Deno.test("protocol/client: attempts begin quickly, become rarer, and never come all at once", async () => {
  const tries = async (seed: number) => {
    const clock = new FakeClock(), wires = new Wires(() => clock.monotonic());
    wires.refusal = new Deno.errors.ConnectionRefused("refused");
    const env = { clock, random: random(seed) };
    const c = makeClient(1, { env, connect: wires.connect });
    await c.top.start();
    await pass(clock, 30_000);
    await c.stop();
    deepEqual(c.events, [{ type: "child-down" }]);
    return wires.attempts;
  };
  const at = await tries(1);
  const pauses = at.slice(1).map((time, i) => time - at[i]!);
  ok(pauses[0]! >= 100 && pauses[0]! <= 200, `first pause ${pauses[0]}`);
  ok(pauses.every((pause) => pause <= 3900), `${pauses}`);
  ok(pauses.slice(6).every((pause) => pause >= 3000), `${pauses}`);
  ok(at.length >= 9 && at.length <= 17, `${at.length} attempts`);
  ok(String(await tries(2)) !== String(at));
});

Deno.test("protocol/client: a brick that refuses the login is asked rarely, and the log says why once", async () => {
  let refusals = 0;
  const door = doorkeeper(() => {
    refusals++;
    return { ret: -1, errno: 13, dict: Xdata.of([["ERROR", str("Authentication failed")]]) };
  });
  const clock = new FakeClock();
  const c = makeClient(door.port, { env: { clock }, options: { password: "sesame" } });
  await c.top.start();
  equal(refusals, 1);
  await pass(clock, 25_000, 1000);
  equal(refusals, 1);
  await pass(clock, 15_000, 1000);
  await eventually(() => refusals >= 2);
  equal(refusals, 2);
  const lines = c.log.lines.filter((line) => line.includes("brick is not connected"));
  deepEqual(lines.length, 1);
  ok(/the brick refused: Authentication failed \(error number 13\)/.test(lines[0]!), lines[0]);
  ok(!c.log.lines.some((line) => line.includes("sesame")));
  await c.stop();
  await door.stop();
});

Deno.test("protocol/client: a brick of another volume is not used, and asked rarely", async () => {
  let id = "00000000-0000-0000-0000-00000000000a", joins = 0;
  const door = doorkeeper(() => {
    joins++;
    return { ret: 0, errno: 0, dict: Xdata.of([["volume-id", str(id)]]) };
  });
  const clock = new FakeClock(), wires = new Wires();
  const c = makeClient(door.port, { env: { clock }, connect: wires.connect });
  await c.top.start();
  await c.heard("child-up");
  id = "00000000-0000-0000-0000-00000000000b";
  wires.tear();
  await c.heard("child-down");
  await pass(clock, 400);
  await eventually(() => c.log.lines.some((line) => line.includes("belongs to another volume")));
  await pass(clock, 20_000, 1000);
  equal(joins, 2);
  await rejects(c.top.stat(ROOT, { inode: c.inodes.root }), is(ENOTCONN));
  deepEqual(c.events.map(({ type }) => type), ["child-up", "child-down"]);
  await c.stop();
  await door.stop();
});

Deno.test("protocol/client: a brick that is lost as soon as it is up is not hammered", async () => {
  const door = doorkeeper(() => ({ ret: 0, errno: 0, dict: new Xdata(new Map()) }));
  const clock = new FakeClock(), wires = new Wires(() => clock.monotonic());
  const c = makeClient(door.port, { env: { clock }, connect: wires.connect });
  await c.top.start();
  for (let ups = 1; ups < 8; ups++) {
    await c.heard("child-up", ups);
    wires.tear();
    await c.heard("child-down", ups);
    const before = wires.attempts.length;
    while (wires.attempts.length === before) await pass(clock, 25, 25);
  }
  const at = wires.attempts;
  ok(at.at(-1)! - at.at(-2)! >= 3000, `${at}`);
  await c.stop();
  await door.stop();
});

Deno.test("protocol/client: up and down are told once each, in order, whatever fails in between", async () => {
  const first = await serveBrick(memoryBrick());
  const clock = new FakeClock(), wires = new Wires();
  const c = makeClient(first.port, { env: { clock }, connect: wires.connect });
  await c.top.start();
  for (let round = 1; round <= 3; round++) {
    await c.heard("child-up", round);
    wires.refusal = new Deno.errors.ConnectionRefused("refused");
    const attempts = wires.attempts.length;
    wires.tear();
    await c.heard("child-down", round);
    await rejects(c.top.stat(ROOT, { inode: c.inodes.root }), is(ENOTCONN));
    await passUntil(clock, () => wires.attempts.length >= attempts + 2);
    wires.refusal = undefined;
    const ups = () => c.events.filter(({ type }) => type === "child-up").length;
    await passUntil(clock, () => ups() > round);
  }
  await c.top.stat(ROOT, { inode: c.inodes.root });
  await c.stop();
  deepEqual(
    c.events.map(({ type }) => type),
    [1, 2, 3, 4].flatMap(() => ["child-up", "child-down"]),
  );
  await first.stop();
});

Deno.test("protocol/client: a brick whose disk is away is down until it says that it is back", async () => {
  const door = doorkeeper(() => ({
    ret: 0,
    errno: 0,
    dict: new Xdata(new Map()).with(intKey("child_up"), 0),
  }));
  const c = makeClient(door.port);
  await c.top.start();
  await rejects(c.top.stat(ROOT, { inode: c.inodes.root }), is(ENOTCONN));
  deepEqual(c.events, []);
  const [connection] = door.connections;
  connection!.notify(childUp, undefined);
  await c.heard("child-up");
  connection!.notify(childUp, undefined);
  connection!.notify(childDown, undefined);
  connection!.notify(childDown, undefined);
  await c.heard("child-down");
  await rejects(c.top.stat(ROOT, { inode: c.inodes.root }), is(ENOTCONN));
  connection!.notify(childUp, undefined);
  await c.heard("child-up", 2);
  deepEqual(c.events.map(({ type }) => type), ["child-up", "child-down", "child-up"]);
  equal(door.connections.length, 1);
  await c.stop();
  await door.stop();
});

Deno.test("protocol/client: a recalled lease and a wanted statedump are told to who listens", async () => {
  const door = doorkeeper(() => ({ ret: 0, errno: 0, dict: new Xdata(new Map()) }));
  const c = makeClient(door.port);
  await c.top.start();
  const [connection] = door.connections;
  const gfid = crypto.randomUUID() as Gfid;
  connection!.notify(recallLease, {
    gfid,
    type: 2,
    tid: new Uint8Array(16).fill(0xab),
    xdata: undefined,
  });
  connection!.notify(statedump, { pid: 4711 });
  const recall = await c.heard("lease-recall");
  deepEqual([recall.gfid, recall.lease, recall.id], [gfid, 2, "ab".repeat(16)]);
  equal((await c.heard("statedump-wanted")).pid, 4711);
  await c.stop();
  await door.stop();
});

Deno.test("protocol/client: what waits for an answer fails once with ENOTCONN when the connection is lost", async () => {
  const brick = memoryBrick();
  const serving = await serveBrick(brick);
  const wires = new Wires();
  const c = makeClient(serving.port, { connect: wires.connect });
  await c.top.start();
  const { fd } = await create(c.top, c.inodes, "f");
  wires.held = true;
  const failures: unknown[] = [];
  const asked = Array.from(
    { length: 100 },
    (_, i) =>
      c.top.writev(ROOT, { fd, offset: i, data: new Uint8Array(1), flags: 0 })
        .catch((error) => void failures.push(error)),
  );
  // They all arrive; only their answers do not.
  const inode = inodesOf(brick).of(fd.inode.gfid);
  await eventually(async () => (await brick.stat(ROOT, { inode })).stat.size === 100);
  wires.tear();
  wires.held = false;
  await Promise.all(asked);
  equal(failures.length, 100);
  ok(failures.every((failure) => ENOTCONN.matches(failure)));
  await c.stop();
  await serving.stop();
});

Deno.test("protocol/client: a brick that stands still fails its fops after the ping time-out", async () => {
  const serving = await serveBrick(memoryBrick());
  const wires = new Wires(), clock = new FakeClock();
  const options = { "ping-timeout": "4" };
  const c = makeClient(serving.port, { connect: wires.connect, env: { clock }, options });
  await c.top.start();
  await c.top.stat(ROOT, { inode: c.inodes.root });
  wires.held = true;
  const failed = rejects(c.top.stat(ROOT, { inode: c.inodes.root }), is(ENOTCONN));
  await pass(clock, 6000);
  await failed;
  await c.heard("child-down");
  // Its answers come when nobody waits for them any more.
  wires.held = false;
  clock.advance(200);
  await c.heard("child-up", 2);
  await c.top.stat(ROOT, { inode: c.inodes.root });
  await c.stop();
  await serving.stop();
});
