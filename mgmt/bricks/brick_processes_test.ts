import {
  deepStrictEqual as deepEqual,
  match,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { realClock } from "core/env.ts";
import {
  BrickProcesses,
  type BrickProcessesOptions,
  filesOf,
} from "mgmt/bricks/brick_processes.ts";
import { readBrickArguments } from "mgmt/bricks/command_line.ts";
import { Ports } from "mgmt/bricks/ports.ts";
import { Refusal } from "mgmt/cli/managed.ts";
import { type Places, placesUnder } from "mgmt/home.ts";
import type { VolumeRecord } from "mgmt/records.ts";
import { FakeClock } from "tests/fakes/clock.ts";
import { testEnv } from "tests/fakes/node.ts";
import { type FakeProcess, FakeRunner } from "tests/fakes/runner.ts";

const NODE = "c026f440-4e6b-4598-bfcd-de78e0922d8d";

function volume(state: VolumeRecord["state"], count = 2, name = "v1"): VolumeRecord {
  return {
    name,
    id: "0f4c4a6e-6a0c-4b0e-9a4e-8f5b4d1c7e11",
    state,
    kind: "distribute",
    replicaCount: 1,
    arbiterCount: 0,
    disperseCount: 0,
    redundancyCount: 0,
    stripeCount: 1,
    bricks: Array.from({ length: count }, (_, index) => ({
      host: "h",
      path: `/${name}/b${index}`,
      nodeId: NODE,
      clientName: `${name}-client-${index}`,
    })),
    options: {},
    username: "u",
    password: "p",
    version: 1,
    nextClient: count,
    createdAt: 0,
  };
}

interface Setting {
  readonly clock: FakeClock;
  readonly runner: FakeRunner;
  readonly places: Places;
  readonly ports: Ports;
  /** The daemon. */
  make(over?: Partial<BrickProcessesOptions>): BrickProcesses;
}

// Bricks sign in as soon as they are started, unless the test says otherwise.
async function withBricks(body: (at: Setting) => Promise<void>): Promise<void> {
  const home = await Deno.makeTempDir({ prefix: "bp-unit-" });
  try {
    const clock = new FakeClock(), runner = new FakeRunner(), places = placesUnder(home);
    const ports = new Ports({ base: 49152, max: 49160 }, () => true);
    const make = (over: Partial<BrickProcessesOptions> = {}) => {
      const bricks = new BrickProcesses({
        env: testEnv({ clock }),
        places,
        nodeId: NODE,
        runner,
        ports,
        program: (role) => ({ command: "mortar", args: [role] }),
        server: () => ({ host: "h", port: 24007 }),
        restart: true,
        ...over,
      });
      runner.onStart = (process) => queueMicrotask(() => signIn(bricks, process));
      return bricks;
    };
    await body({ clock, runner, places, ports, make });
  } finally {
    await Deno.remove(home, { recursive: true });
  }
}

function signIn(bricks: BrickProcesses, process: FakeProcess): void {
  const { path, port } = readBrickArguments(process.args)!;
  bricks.ears.signedIn({ brick: path, port, pid: process.pid });
}

/** Ports of the bricks that are online. */
function online(bricks: BrickProcesses, of: VolumeRecord): (number | undefined)[] {
  return of.bricks.map((brick) => {
    const { online, port } = bricks.status(of, brick);
    return online ? port : undefined;
  });
}

/** Lets everything happen that waits for nothing but the event loop and the disk. */
async function until(condition: () => boolean): Promise<void> {
  const late = realClock.monotonic() + 60_000;
  while (!condition()) {
    if (realClock.monotonic() > late) throw new Error("Never came true");
    await new Promise((resolve) => setImmediate(resolve));
  }
}

Deno.test("bricks: a started volume's bricks run, in GlusterFS's form, and a stopped one's end", () =>
  withBricks(async ({ runner, places, ports, make }) => {
    const bricks = make(), started = volume("started");
    await bricks.converge(started);
    deepEqual(online(bricks, started), [49152, 49153]);
    const files = filesOf(places, "v1", started.bricks[0]!);
    const first = runner.processes.find(({ args }) => args.includes("/v1/b0"))!;
    deepEqual(first.args, [
      ...["mortar", "brick", "-s", "h", "--volfile-id", "v1.h.v1-b0"],
      ...["-p", `${places.run}/vols/v1/h-v1-b0.pid`, "-S", files.socket],
      ...["--brick-name", "/v1/b0", "-l", `${places.logs}/bricks/v1-b0.log`],
      ...["--xlator-option", `*-posix.glusterd-uuid=${NODE}`, "--process-name", "brick"],
      ...["--brick-port", "49152", "--xlator-option", "v1-server.listen-port=49152"],
    ]);
    match(files.socket, /\/run\/[0-9a-f]{16}\.socket$/);
    await bricks.converge(started);
    equal(runner.processes.length, 2);
    await bricks.converge(volume("stopped"));
    ok(runner.processes.every(({ alive }) => !alive));
    equal(ports.taken, 0);
    deepEqual(online(bricks, started), [undefined, undefined]);
  }));

Deno.test("bricks: a stop and a start at once end with bricks that run, one process each", () =>
  withBricks(async ({ runner, make }) => {
    const bricks = make(), started = volume("started");
    await bricks.converge(started);
    const stopped = bricks.converge(volume("stopped"));
    await Promise.all([stopped, bricks.converge(started)]);
    // Which of them ends first, and gives its port back first, is up to chance.
    deepEqual(online(bricks, started).sort(), [49152, 49153]);
    equal(runner.processes.filter(({ alive }) => alive).length, 2);
    await bricks.stop();
  }));

Deno.test("bricks: those of other nodes are never touched", () =>
  withBricks(async ({ runner, make }) => {
    const started = volume("started");
    const foreign = { ...started, bricks: started.bricks.map((b) => ({ ...b, nodeId: "other" })) };
    await make().converge(foreign);
    equal(runner.processes.length, 0);
  }));

Deno.test("bricks: a brick that dies is started again after 1 s, 2 s, and so on, each with a line", () =>
  withBricks(async ({ clock, runner, make }) => {
    const bricks = make(), started = volume("started", 1);
    await bricks.converge(started);
    for (const [round, pause] of [1000, 2000, 4000].entries()) {
      runner.processes[round]!.end({ signal: "SIGKILL" });
      await until(() => bricks.status(started, started.bricks[0]!).why !== undefined);
      const { why } = bricks.status(started, started.bricks[0]!);
      match(
        why!,
        new RegExp(`it ended with signal SIGKILL; .*; started again in ${pause / 1000} s`),
      );
      clock.advance(pause - 1);
      equal(runner.processes.length, round + 1);
      clock.advance(1);
      await until(() => online(bricks, started)[0] !== undefined);
      deepEqual(online(bricks, started), [49152]);
    }
    clock.advance(60_000);
    runner.processes[3]!.end({ code: 1 });
    await until(() => bricks.status(started, started.bricks[0]!).why !== undefined);
    match(bricks.status(started, started.bricks[0]!).why!, /exit code 1; .*again in 1 s/);
    await bricks.stop();
    equal(clock.timers, 0);
  }));

Deno.test("bricks: one that was ended in order, or any without restart, stays down until a start by force", () =>
  withBricks(async ({ clock, runner, make }) => {
    for (const [restart, exit] of [[true, { code: 0 }], [false, { signal: "SIGKILL" }]] as const) {
      const bricks = make({ restart }), started = volume("started", 1);
      await bricks.converge(started);
      const before = runner.processes.length;
      runner.processes.at(-1)!.end(exit);
      await until(() => bricks.status(started, started.bricks[0]!).why !== undefined);
      clock.advance(600_000);
      await bricks.converge(started);
      equal(runner.processes.length, before);
      equal(bricks.status(started, started.bricks[0]!).online, false);
      await bricks.converge(started, { force: true });
      equal(runner.processes.length, before + 1);
      deepEqual(online(bricks, started), [49152]);
      await bricks.forget(started);
    }
  }));

Deno.test("bricks: one that does not come up is a refusal with its last words, and is tried again", () =>
  withBricks(async ({ clock, runner, make }) => {
    const bricks = make(), started = volume("started", 2);
    const good = runner.onStart;
    runner.onStart = (process, log) => {
      if (!process.args.includes("/v1/b1")) return good(process, log);
      Deno.writeTextFileSync(log, "first\nCannot serve brick: the disk is away\n", {
        append: true,
      });
      process.end({ code: 1 });
    };
    await rejects(bricks.converge(started), (error: Refusal) => {
      ok(error instanceof Refusal);
      equal(
        error.message,
        "Brick h:/v1/b1 did not start: it ended with exit code 1: Cannot serve brick: the disk is away",
      );
      return true;
    });
    deepEqual(online(bricks, started), [49152, undefined]);
    runner.onStart = good;
    clock.advance(1000);
    await until(() => online(bricks, started)[1] !== undefined);
    deepEqual(online(bricks, started), [49152, 49153]);
    await bricks.stop();
  }));

Deno.test("bricks: one that hangs at its start is ended after 20 s; a stop need not wait for that", () =>
  withBricks(async ({ clock, runner, ports, make }) => {
    const bricks = make({ restart: false }), started = volume("started", 1);
    runner.onStart = () => {};
    const first = bricks.converge(started);
    await until(() => runner.processes.length === 1);
    await until(() => clock.timers > 0);
    clock.advance(20_000);
    await rejects(first, /Brick h:\/v1\/b0 did not come up within 20 s/);
    deepEqual(runner.processes[0]!.signals, ["SIGTERM"]);
    const second = bricks.converge(started, { force: true });
    await until(() => runner.processes.length === 2);
    await Promise.all([
      rejects(second, /stopped while it was started/),
      bricks.converge(volume("stopped", 1)),
    ]);
    equal(runner.processes[1]!.alive, false);
    equal(ports.taken, 0);
  }));

Deno.test("bricks: one that does not end when it is asked is killed", () =>
  withBricks(async ({ clock, runner, make }) => {
    const bricks = make(), started = volume("started", 1);
    await bricks.converge(started);
    const process = runner.processes[0]!;
    process.stubborn = true;
    const stopped = bricks.converge(volume("stopped", 1));
    while (process.alive) {
      await until(() => clock.timers > 0 || !process.alive);
      clock.advance(20);
    }
    await stopped;
    deepEqual(process.signals, ["SIGTERM", "SIGKILL"]);
  }));

Deno.test("bricks: a new daemon knows the processes of the old one, and ends those that no volume has", () =>
  withBricks(async ({ runner, places, ports, make }) => {
    const old = make(), kept = volume("started"), gone = volume("started", 1, "v2");
    await old.converge(kept);
    await old.converge(gone);
    await old.stop();
    for (const process of runner.processes) process.child = false;
    const foreign = runner.add(["tail", "-f", filesOf(places, "v1", kept.bricks[0]!).pidFile]);
    for (const each of runner.processes.slice(0, 3)) {
      ports.give(readBrickArguments(each.args)!.port);
    }

    const bricks = make();
    await bricks.adopt([kept, volume("stopped", 1, "v3")]);
    deepEqual(runner.processes.map(({ alive }) => alive), [true, true, false, true]);
    deepEqual(foreign.signals, []);
    equal(ports.taken, 2);
    const converged = bricks.converge(kept);
    for (const process of runner.processes.slice(0, 2)) signIn(bricks, process);
    await converged;
    deepEqual(online(bricks, kept), [49152, 49153]);
    equal(runner.processes.length, 4);
    // Not our child: only the sign-out tells that it ended in order.
    bricks.ears.signedOut("/v1/b0");
    runner.processes.find(({ args }) => args.includes("/v1/b0"))!.end({});
    await until(() => /in order/.test(bricks.status(kept, kept.bricks[0]!).why ?? ""));
    await bricks.stop();
  }));

Deno.test("bricks: one that an earlier daemon left is online at once, where its command line says", () =>
  withBricks(async ({ clock, runner, make }) => {
    const started = volume("started", 1), old = make();
    await old.converge(started);
    await old.stop();
    const bricks = make();
    await bricks.adopt([started]);
    deepEqual([online(bricks, started), bricks.portOf("/v1/b0")], [[49152], 49152]);
    await bricks.converge(started);
    signIn(bricks, runner.processes[0]!);
    clock.advance(600_000);
    deepEqual([online(bricks, started), runner.processes.length], [[49152], 1]);
    runner.processes[0]!.end({});
    await until(() => bricks.portOf("/v1/b0") === undefined);
    await bricks.stop();
    equal(clock.timers, 0);
  }));

Deno.test("bricks: one that does not find the new daemon is ended and started anew", () =>
  withBricks(async ({ clock, runner, make }) => {
    const started = volume("started", 1), old = make();
    await old.converge(started);
    await old.stop();
    const bricks = make();
    await bricks.adopt([started]);
    await bricks.converge(started);
    clock.advance(20_000);
    await until(() => runner.processes.length === 2 && online(bricks, started)[0] !== undefined);
    deepEqual(runner.processes.map(({ alive }) => alive), [false, true]);
    deepEqual(online(bricks, started), [49152]);
    await bricks.stop();
    equal(clock.timers, 0);
  }));

Deno.test("bricks: one that asks at another address is offline, and soon started anew", () =>
  withBricks(async ({ clock, runner, make }) => {
    const started = volume("started", 1), old = make();
    await old.converge(started);
    await old.stop();
    const bricks = make({ server: () => ({ host: "h", port: 24008 }) });
    await bricks.adopt([started]);
    deepEqual([online(bricks, started), bricks.portOf("/v1/b0")], [[undefined], undefined]);
    const converged = bricks.converge(started);
    await until(() => clock.timers > 0);
    clock.advance(3000);
    await converged;
    deepEqual(runner.processes.map(({ alive }) => alive), [false, true]);
    equal(readBrickArguments(runner.processes[1]!.args)!.server, "h:24008");
    deepEqual(online(bricks, started), [49152]);
    await bricks.stop();
  }));

Deno.test("bricks: where no file can be made the refusal names the place, and nothing runs", () =>
  withBricks(async ({ runner, places, ports, make }) => {
    await Deno.writeTextFile(places.logs, "not a directory");
    const bricks = make({ restart: false });
    await rejects(
      bricks.converge(volume("started", 1)),
      /Brick h:\/v1\/b0 did not start: no files can be made in \S+vols\/v1 or \S+bricks: \S+/,
    );
    deepEqual([runner.processes.length, ports.taken], [0, 0]);
  }));

Deno.test("bricks: a process of ours that signs in though nobody wants it is ended", () =>
  withBricks(async ({ runner, make }) => {
    const old = make(), started = volume("started", 1);
    await old.converge(started);
    await old.stop();
    const [late] = runner.processes;
    const bricks = make();
    const list = runner.list.bind(runner);
    runner.list = () => []; // its command line was not there yet
    await bricks.adopt([]);
    runner.list = list;
    signIn(bricks, late!);
    deepEqual(late!.signals, ["SIGTERM"]);
  }));

Deno.test("bricks: asking one that is down is a refusal that says why", () =>
  withBricks(async ({ make }) => {
    const bricks = make(), created = volume("created", 1);
    await rejects(
      bricks.rotateLog(created, created.bricks[0]!, 1),
      /^Refusal: Brick h:\/v1\/b0 is down: it was not started$/,
    );
  }));

Deno.test("bricks: a log that is rotated keeps its lines under the new name, and the brick is told", () =>
  withBricks(async ({ runner, places, make }) => {
    const bricks = make(), started = volume("started", 1);
    await bricks.converge(started);
    const { logFile } = filesOf(places, "v1", started.bricks[0]!);
    await Deno.writeTextFile(logFile, "old\n");
    await bricks.rotateLog(started, started.bricks[0]!, 1700000000);
    equal(await Deno.readTextFile(`${logFile}.1700000000`), "old\n");
    await Deno.writeTextFile(logFile, "newer\n");
    await bricks.rotateLog(started, started.bricks[0]!, 1700000000);
    equal(await Deno.readTextFile(`${logFile}.1700000001`), "newer\n");
    deepEqual(runner.processes[0]!.signals, ["SIGHUP", "SIGHUP"]);
    await bricks.stop();
  }));
