import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { makeLog, MetricsTable, realRandom } from "core/env.ts";
import {
  managed,
  type ManagedCommand,
  operand,
  Refusal,
  volumeName,
  word,
} from "mgmt/cli/managed.ts";
import { element } from "mgmt/cli/xml.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";
import { Dispatcher } from "mgmt/dispatch.ts";
import type { Asked } from "rpc/programs/commands.ts";
import { FakeClock } from "tests/fakes/clock.ts";

const log: string[] = [];

async function withDispatcher(
  commands: readonly ManagedCommand[],
  use: (dispatcher: Dispatcher, history: () => string[], clock: FakeClock) => Promise<void>,
): Promise<void> {
  const logs = await Deno.makeTempDir({ prefix: "dispatch-" });
  const clock = new FakeClock();
  const env = {
    clock,
    random: realRandom,
    log: makeLog({ level: "error", format: "text", write: (line) => log.push(line), clock }),
    metrics: new MetricsTable(),
  };
  const cluster = {
    env,
    places: { home: logs, run: logs, logs, socket: "" },
  } as unknown as Cluster;
  const history = () => {
    try {
      return Deno.readTextFileSync(`${logs}/cmd_history.log`).trimEnd().split("\n");
    } catch {
      return [];
    }
  };
  try {
    await use(new Dispatcher(cluster, commands), history, clock);
  } finally {
    await Deno.remove(logs, { recursive: true });
  }
}

const paint = managed({
  path: "volume paint",
  summary: "Paint it",
  args: { volume: volumeName, colour: operand("<COLOUR>", { help: "" }), wet: word("wet", "") },
  scope: "volume",
  rest: "POST /volumes/{volume}/paint",
  examples: [],
  question: ({ wet }) => wet ? "It is wet. Do you want to continue?" : undefined,
  check(_cluster, { colour }) {
    if (colour === "none") throw new Refusal(`There is no colour ${colour}`);
    if (colour === "broken") throw new TypeError("colour is undefined");
  },
  apply: (_cluster, { volume, colour }) => ({ volume, colour }),
  text: ({ volume, colour }) => `${volume} is ${colour} now\n`,
  aside: () => "it smells\n",
  xml: ({ colour }) => [element("colour", colour)],
  failed: (message, { volume }) => `volume paint: ${volume}: failed: ${message}`,
});

const look = managed({
  path: "volume look",
  summary: "Look at it",
  args: { volume: volumeName },
  scope: "nothing",
  rest: "GET /volumes/{volume}/look",
  examples: [],
  apply: (_cluster, { volume }) => [volume],
  text: ([volume]) => `${volume}\n`,
  xml: () => [],
});

const asked = (line: string, more: Partial<Asked> = {}): Asked => ({
  words: line.split(" "),
  form: "text",
  manner: "mortar",
  confirmed: false,
  ...more,
});

Deno.test("mgmt/dispatch: a command answers in text, XML and JSON", async () => {
  await withDispatcher([paint], async (dispatcher) => {
    deepEqual(await dispatcher.run(asked("volume paint v1 red")), {
      stdout: "v1 is red now\n",
      stderr: "it smells\n",
      exitCode: 0,
    });
    const xml = await dispatcher.run(asked("volume paint v1 red", { form: "xml" }));
    equal(
      xml.stdout,
      '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<cliOutput>\n  <opRet>0</opRet>\n' +
        "  <opErrno>0</opErrno>\n  <opErrstr/>\n  <colour>red</colour>\n</cliOutput>\n",
    );
    equal(xml.stderr, "");
    const { stdout } = await dispatcher.run(asked("volume paint v1 red", { form: "json" }));
    deepEqual(JSON.parse(stdout), { ok: true, value: { volume: "v1", colour: "red" } });
  });
});

Deno.test("mgmt/dispatch: a refusal goes where its form says, with the exit code of the manner", async () => {
  await withDispatcher([paint], async (dispatcher) => {
    const line = "volume paint v1 none";
    deepEqual(await dispatcher.run(asked(line)), {
      stdout: "",
      stderr: "volume paint: v1: failed: There is no colour none\n",
      exitCode: 1,
    });
    const xml = await dispatcher.run(asked(line, { form: "xml" }));
    match(xml.stdout, /<opRet>-1<\/opRet>\n {2}<opErrno>30800<\/opErrno>\n {2}<opErrstr>There is/);
    equal(xml.exitCode, 1);
    equal((await dispatcher.run(asked(line, { form: "xml", manner: "gluster" }))).exitCode, 0);
    const json = await dispatcher.run(asked(line, { form: "json" }));
    deepEqual(JSON.parse(json.stdout), {
      ok: false,
      error: { message: "There is no colour none", errno: 30800 },
    });
    equal(json.exitCode, 1);
  });
});

Deno.test("mgmt/dispatch: a question is answered before anything is done", async () => {
  await withDispatcher([paint], async (dispatcher, history) => {
    const line = "volume paint v1 red wet";
    const { question } = await dispatcher.run(asked(line));
    equal(question, "It is wet. Do you want to continue?");
    deepEqual(history(), []);
    equal((await dispatcher.run(asked(line, { confirmed: true }))).exitCode, 0);
    equal(history().length, 1);
  });
});

Deno.test("mgmt/dispatch: changes and failed changes are in the history, looks are not, secrets never", async () => {
  await withDispatcher([paint, look], async (dispatcher, history) => {
    await dispatcher.run(asked("volume paint v1 red"));
    await dispatcher.run(asked("volume paint v1 none"));
    await dispatcher.run(asked("volume look v1"));
    await dispatcher.run(asked("vol paint auth.password tiger"));
    await dispatcher.run({ ...asked(""), words: ["volume", "paint", "v\n[x]", "red"] });
    deepEqual(history(), [
      "[2030-01-01 00:00:00.000000 +0000]  : volume paint v1 red : SUCCESS",
      "[2030-01-01 00:00:00.000000 +0000]  : volume paint v1 none : FAILED : There is no colour none",
      "[2030-01-01 00:00:00.000000 +0000]  : volume paint auth.password **** : SUCCESS",
      "[2030-01-01 00:00:00.000000 +0000]  : volume paint v\\n[x] red : SUCCESS",
    ]);
  });
});

Deno.test("mgmt/dispatch: who is on another machine may look, and change nothing", async () => {
  const peek: ManagedCommand = { ...look, path: "volume peek", localOnly: true };
  await withDispatcher([paint, look, peek], async (dispatcher) => {
    const remote = { remote: true, text: "10.0.0.5" };
    equal((await dispatcher.run(asked("volume look v1"), remote)).exitCode, 0);
    for (const line of ["volume paint v1 red", "volume peek v1"]) {
      const { stderr, exitCode } = await dispatcher.run(asked(line), remote);
      match(
        stderr,
        /for 10\.0\.0\.5: over the network one may only look; run it on the server itself/,
      );
      equal(exitCode, 1);
    }
  });
});

Deno.test("mgmt/dispatch: what nobody foresaw is logged, and told without its inside", async () => {
  await withDispatcher([paint], async (dispatcher) => {
    log.length = 0;
    const { stderr, exitCode } = await dispatcher.run(asked("volume paint v1 broken"));
    match(stderr, /something went wrong inside the management daemon/);
    ok(!stderr.includes("undefined"));
    equal(log.length, 1);
    match(log[0]!, /colour is undefined/);
    equal(exitCode, 1);
  });
});

Deno.test("mgmt/dispatch: a second command on a volume waits for the first, one on another does not", async () => {
  const order: string[] = [];
  const gate = Promise.withResolvers<void>();
  const slow = managed({
    ...paint,
    args: { volume: volumeName, colour: operand("<COLOUR>", { help: "" }), wet: word("wet", "") },
    async apply(_cluster, { volume, colour }) {
      if (colour === "slow") await gate.promise;
      order.push(`${volume} ${colour}`);
      return { volume: volume as string, colour: colour as string };
    },
  });
  await withDispatcher([slow], async (dispatcher) => {
    const first = dispatcher.run(asked("volume paint v1 slow"));
    const second = dispatcher.run(asked("volume paint v1 red"));
    await dispatcher.run(asked("volume paint v2 red"));
    deepEqual(order, ["v2 red"]);
    gate.resolve();
    await Promise.all([first, second]);
    deepEqual(order, ["v2 red", "v1 slow", "v1 red"]);
  });
});

Deno.test("mgmt/dispatch: what changes all volumes waits for a command on one of them", async () => {
  const held = Promise.withResolvers<void>();
  const slow = managed({
    ...paint,
    async apply(_cluster, { volume, colour }) {
      await held.promise;
      return { volume, colour };
    },
  });
  await withDispatcher([slow], async (dispatcher, _history, clock) => {
    const one = dispatcher.run(asked("volume paint v1 red"));
    const all = dispatcher.run(asked("volume paint all red"));
    await clock.advance(10_000);
    held.resolve();
    match((await all).stderr, /Another transaction is in progress.*volume paint v1 red/);
    equal((await one).exitCode, 0);
  });
});

Deno.test("mgmt/dispatch: wrong words are told in the manner of who asks", async () => {
  await withDispatcher([paint], async (dispatcher) => {
    const gluster = { manner: "gluster" } as const;
    const word = await dispatcher.run(asked("volume foo", gluster));
    match(word.stdout, /^unrecognized word: foo \(position 1\)\n\n Usage: gluster /);
    equal(word.exitCode, 1);
    match((await dispatcher.run(asked("volume", gluster))).stdout, /^unrecognized command\n/);
    const usage = "\nUsage:\nvolume paint <VOLNAME> <COLOUR> [wet]\n\n";
    deepEqual(await dispatcher.run(asked("volume paint v1", gluster)), {
      stdout: "",
      stderr: usage,
      exitCode: 1,
    });
    const ours = await dispatcher.run(asked("volume paint v1"));
    match(ours.stderr, /^Cannot run "volume paint": <COLOUR> is missing; usage: volume paint/);
    equal(ours.exitCode, 2);
  });
});
