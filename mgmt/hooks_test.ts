import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import type { Env } from "core/env.ts";
import { type Places, placesUnder } from "mgmt/home.ts";
import { hookArguments, makeHookDirectories, PostHooks, runHooks } from "mgmt/hooks.ts";
import { LinesLog, testEnv } from "tests/fakes/node.ts";

interface Scene {
  readonly places: Places;
  readonly env: Env;
  readonly log: string[];
  /** Writes a hook: its lines, below "#!/bin/sh". */
  readonly hook: (path: string, text: string, mode?: number) => Promise<string>;
  /** Lines that hooks wrote to "$OUT". */
  readonly said: () => string[];
}

async function inScene(body: (scene: Scene) => Promise<void>): Promise<void> {
  const home = await Deno.makeTempDir({ prefix: "hooks-" });
  const places = placesUnder(home);
  const log = new LinesLog();
  try {
    await makeHookDirectories(places);
    await body({
      places,
      env: testEnv({ log }),
      log: log.lines,
      hook: async (path, text, mode = 0o755) => {
        const file = `${home}/hooks/1/${path}`;
        await Deno.writeTextFile(file, `#!/bin/sh\nOUT=${home}/out\n${text}\n`, { mode });
        return file;
      },
      said: () => Deno.readTextFileSync(`${home}/out`).split("\n").slice(0, -1),
    });
  } finally {
    await Deno.remove(home, { recursive: true });
  }
}

Deno.test("mgmt/hooks: hooks run one after another in the order of their names, only those named S…", () =>
  inScene(async ({ places, env, log, hook, said }) => {
    await hook("start/post/S20second", 'echo second "$@" >> $OUT');
    const first = await hook("start/post/S10first.sh", 'sleep 0.1; echo first "$@" >> $OUT');
    await hook("start/post/K10off", "echo off >> $OUT");
    await hook("start/post/S30.rpmsave", "echo old >> $OUT");
    await hook("start/pre/S10before", "echo before >> $OUT");
    await runHooks(places, env, "start", "post", "v1", { started: 1 });
    const args =
      `--volname=v1 --first=yes --version=1 --volume-op=start --gd-workdir=${places.home}`;
    deepEqual(said(), [`first ${args}`, `second ${args}`]);
    equal(log[0], `I hook ran hook=${first}`);
    equal(log.length, 2);
  }));

Deno.test("mgmt/hooks: a hook that fails, or cannot be run, stops neither the others nor the change", () =>
  inScene(async ({ places, env, log, hook, said }) => {
    const failing = await hook("stop/pre/S1fails", "exit 3");
    const plain = await hook("stop/pre/S2plain", "echo no >> $OUT", 0o644);
    await hook("stop/pre/S3runs", 'echo "$@" >> $OUT');
    await runHooks(places, env, "stop", "pre", "v1", { started: 1 });
    deepEqual(said(), ["--volname=v1 --last=yes"]);
    equal(log[0], `W hook failed hook=${failing} code=3 signal=undefined`);
    equal(log[1]?.startsWith(`W hook cannot be run hook=${plain} why=`), true, log[1]);
  }));

Deno.test("mgmt/hooks: a hook that takes too long is killed with what it started", () =>
  inScene(async ({ places, env, log, hook, said }) => {
    const hanging = await hook("delete/post/S1hangs", "sleep 1000 & echo $! >> $OUT; wait");
    await runHooks(places, env, "delete", "post", "v1", {}, 2000);
    deepEqual(log, [
      `W hook is killed: it took too long hook=${hanging} ms=2000`,
      `W hook failed hook=${hanging} code=137 signal=SIGKILL`,
    ]);
    const pid = said()[0];
    equal(/^\d+$/.test(String(pid)), true, pid);
    // A killed process ends when it runs next, and stays as a zombie where nobody collects it.
    let status = "";
    for (let tries = 0; tries < 500 && !/^State:\t[XZ]/m.test(status); tries++) {
      if (tries) await new Promise((done) => setTimeout(done, 10));
      status = await Deno.readTextFile(`/proc/${pid}/status`).catch(() => "State:\tX");
    }
    equal(/^State:\t[XZ]/m.test(status), true, status);
  }));

Deno.test("mgmt/hooks: what a hook leaves in the background is not waited for", () =>
  inScene(async ({ places, env, hook, said }) => {
    await hook("create/post/S1serves", "sleep 1000 & echo $! >> $OUT");
    await runHooks(places, env, "create", "post", "v1");
    Deno.kill(Number(said()[0]), "SIGKILL");
  }));

Deno.test("mgmt/hooks: nothing there to run is fine", () =>
  inScene(async ({ places, env, log }) => {
    await runHooks(places, env, "reset", "pre", "v1");
    await Deno.remove(`${places.home}/hooks`, { recursive: true });
    await runHooks(places, env, "reset", "pre", "v1");
    deepEqual(log, []);
  }));

Deno.test("mgmt/hooks: hooks after two changes run one change after the other", () =>
  inScene(async ({ places, env, hook, said }) => {
    await hook("create/post/S1", 'sleep 0.1; echo create "$@" >> $OUT');
    await hook("set/post/S1", 'echo set "$@" >> $OUT');
    const hooks = new PostHooks(places, env);
    hooks.add("create", "v1");
    hooks.add("set", "v1", { options: { "user.note": "a b" } });
    await hooks.idle();
    deepEqual(said(), [
      "create --volname=v1",
      `set --volname=v1 -o user.note=a b --gd-workdir=${places.home}`,
    ]);
  }));

Deno.test("mgmt/hooks: the first volume to start and the last to stop are told so", () => {
  const home = { home: "/h" };
  const told = (event: "start" | "stop", phase: "pre" | "post", started: number) =>
    hookArguments(home, event, phase, "v1", { started })[1];
  equal(told("start", "pre", 0), "--first=yes");
  equal(told("start", "pre", 1), "--first=no");
  equal(told("start", "post", 1), "--first=yes");
  equal(told("start", "post", 2), "--first=no");
  equal(told("stop", "pre", 1), "--last=yes");
  equal(told("stop", "pre", 2), "--last=no");
  equal(told("stop", "post", 0), "--last=yes");
  equal(told("stop", "post", 1), "--last=no");
});

Deno.test("mgmt/hooks: every option of one command is told", () => {
  deepEqual(
    hookArguments({ home: "/h" }, "set", "pre", "v1", { options: { "a.b": "1", "c.d": "2" } }),
    ["--volname=v1", "-o", "a.b=1", "c.d=2", "--gd-workdir=/h"],
  );
});
