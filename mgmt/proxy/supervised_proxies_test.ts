import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { Ports } from "mgmt/bricks/ports.ts";
import { type Places, placesUnder } from "mgmt/home.ts";
import { SupervisedProxies } from "mgmt/proxy/supervised_proxies.ts";
import type { VolumeRecord } from "mgmt/records.ts";
import { FakeClock } from "tests/fakes/clock.ts";
import { testEnv } from "tests/fakes/node.ts";
import { type FakeProcess, FakeRunner } from "tests/fakes/runner.ts";

const NODE = "c026f440-4e6b-4598-bfcd-de78e0922d8d";

function volume(state: VolumeRecord["state"], proxy = "on", nodeId = NODE): VolumeRecord {
  return {
    name: "v1",
    state,
    options: { "features.proxy": proxy },
    bricks: [{ host: "h", path: "/b", nodeId, clientName: "v1-client-0" }],
  } as Partial<VolumeRecord> as VolumeRecord;
}

const STARTED = volume("started");

interface Setting {
  readonly clock: FakeClock;
  readonly runner: FakeRunner;
  readonly places: Places;
  make(port?: number): SupervisedProxies;
}

// Proxies sign in as soon as they are started, unless the test says otherwise.
async function withProxies(body: (at: Setting) => Promise<void>): Promise<void> {
  const home = await Deno.makeTempDir({ prefix: "qp-unit-" });
  try {
    const clock = new FakeClock(), runner = new FakeRunner(), places = placesUnder(home);
    const make = (port = 24007) => {
      const proxies = new SupervisedProxies({
        env: testEnv({ clock }),
        ...{ places, runner, nodeId: NODE, restart: true },
        ports: new Ports({ base: 49152, max: 49160 }, () => true),
        program: (role) => ({ command: "mortar", args: [role] }),
        server: () => ({ host: "::1", port }),
      });
      runner.onStart = (process) => queueMicrotask(() => signIn(proxies, process));
      return proxies;
    };
    await body({ clock, runner, places, make });
  } finally {
    await Deno.remove(home, { recursive: true });
  }
}

function portOf({ args }: FakeProcess): number {
  return Number(args[args.indexOf("--listen") + 1]!.split(":")[1]);
}

function signIn(proxies: SupervisedProxies, process: FakeProcess): void {
  proxies.ears.signedIn({ brick: "v1-proxy", port: portOf(process), pid: process.pid });
}

/** What outlives a daemon: the process, and its pid file. */
async function writePidFile({ run }: Places, { pid }: FakeProcess): Promise<void> {
  await Deno.writeTextFile(`${run}/proxy-v1.pid`, `${pid}\n`);
}

Deno.test("mgmt/proxy: it runs while its volume is started, has it switched on and has a brick here", () =>
  withProxies(async ({ runner, make }) => {
    const proxies = make();
    for (const not of [volume("stopped"), volume("started", "off"), volume("started", "on", "x")]) {
      await proxies.converge(not);
      equal(runner.processes.length, 0);
    }
    await proxies.converge(STARTED);
    const [process] = runner.processes;
    deepEqual(process!.args.slice(0, 5), [
      ...["mortar", "proxy", "[::1]:24007:v1", "--listen", "bricks:49152"],
    ]);
    const { pid } = process!;
    deepEqual(proxies.status(STARTED), { online: true, pid, port: 49152, why: undefined });
    await proxies.converge(STARTED);
    equal(runner.processes.length, 1);
    await proxies.converge(volume("stopped"));
    deepEqual(process!.signals, ["SIGTERM"]);
    equal(proxies.status(STARTED).online, false);
    await proxies.stop();
  }));

Deno.test("mgmt/proxy: one that dies is started again, on its port", () =>
  withProxies(async ({ clock, runner, make }) => {
    const proxies = make();
    await proxies.converge(STARTED);
    runner.processes[0]!.end({ signal: "SIGKILL" });
    proxies.ears.gone("v1-proxy");
    await Promise.resolve();
    equal(proxies.status(STARTED).online, false);
    clock.advance(1000);
    await proxies.converge(STARTED);
    deepEqual(runner.processes.map(portOf), [49152, 49152]);
    equal(proxies.status(STARTED).pid, runner.processes[1]!.pid);
    await proxies.stop();
  }));

Deno.test("mgmt/proxy: the next daemon knows it, and clients are told its port before it says so", () =>
  withProxies(async ({ runner, places, make }) => {
    const first = make();
    await first.converge(STARTED);
    const [process] = runner.processes;
    await writePidFile(places, process!);
    await first.stop();
    const second = make();
    equal(second.portOf("v1-proxy"), undefined);
    await second.converge(STARTED);
    equal(runner.processes.length, 1);
    equal(second.portOf("v1-proxy"), 49152);
    equal(second.status(STARTED).online, true);
    signIn(second, process!);
    second.ears.gone("v1-proxy");
    equal(second.status(STARTED).online, false);
    await second.stop();
    // One that looks for a daemon where there is none is of no use.
    const elsewhere = make(24008);
    await elsewhere.converge(STARTED);
    deepEqual(process!.signals, ["SIGTERM"]);
    equal(runner.processes[1]!.args[2], "[::1]:24008:v1");
    await elsewhere.stop();
    // Whom nobody wants any more, the next daemon ends.
    await writePidFile(places, runner.processes[1]!);
    const last = make(24008);
    await last.converge(volume("stopped"));
    equal(runner.processes[1]!.alive, false);
    await last.stop();
  }));

Deno.test("mgmt/proxy: why one does not come up is told", () =>
  withProxies(async ({ runner, make }) => {
    const proxies = make();
    runner.onStart = (process, log) => {
      Deno.writeTextFileSync(log, "Cannot fetch volfile: no\n");
      process.end({ code: 1 });
    };
    await proxies.converge(STARTED);
    const { online, why } = proxies.status(STARTED);
    equal(online, false);
    match(why!, /^Cannot fetch volfile: no$/);
    await proxies.converge(volume("started", "off"));
    equal(proxies.status(STARTED).why, undefined);
    await proxies.stop();
  }));
