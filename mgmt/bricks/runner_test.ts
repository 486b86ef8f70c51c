import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { realClock } from "core/env.ts";
import { lastLine } from "mgmt/bricks/log_tail.ts";
import { argsOf, startTime } from "mgmt/bricks/proc.ts";
import { SystemRunner } from "mgmt/bricks/runner.ts";

async function withLog(body: (log: string, runner: SystemRunner) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "bp-runner-" });
  // Children do not keep us alive, and here is nothing else that does.
  const done = new AbortController();
  const staying = realClock.delay(30_000, done.signal).catch(() => {});
  try {
    await body(`${dir}/log`, new SystemRunner(realClock));
  } finally {
    done.abort();
    await staying;
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("bricks/runner: a process has its own session, its standard error is in the log, its exit is told", () =>
  withLog(async (log, runner) => {
    const args = ["-c", "cut -d' ' -f1,6 /proc/self/stat >&2; echo last words >&2; exit 3"];
    const process = runner.start({ command: "/bin/sh", args }, log);
    deepEqual(await process.ended, { code: 3 });
    equal(process.alive, false);
    equal(await lastLine(log), "last words");
    const [, session] = (await Deno.readTextFile(log)).split("\n")[0]!.split(" ");
    equal(Number(session), process.pid);
    process.signal("SIGTERM"); // harmless
  }));

Deno.test("bricks/runner: a process is found by its number, with its command line, until it ends", () =>
  withLog(async (log, runner) => {
    const started = runner.start({ command: "/bin/sleep", args: ["60"] }, log);
    const found = runner.find(started.pid)!;
    // The shell in front of it is gone a moment later.
    while (found.args[0] !== "/bin/sleep") await realClock.delay(5);
    deepEqual(found.args, ["/bin/sleep", "60"]);
    ok(runner.list().some(({ pid, args }) => pid === started.pid && args[1] === "60"));
    found.signal("SIGKILL");
    deepEqual(await started.ended, { signal: "SIGKILL" });
    deepEqual(await found.ended, {});
    equal(runner.find(started.pid), undefined);
    equal(startTime(started.pid), undefined);
  }));

Deno.test("bricks/runner: a process is alive until its last thread has ended", () =>
  withLog(async (log, runner) => {
    const script = "import ctypes, threading, time\n" +
      "threading.Thread(target=time.sleep, args=(60,)).start()\n" +
      "ctypes.CDLL(None).syscall(60, 0)"; // exit(2): of this thread alone
    const { pid } = runner.start({ command: "/usr/bin/python3", args: ["-c", script] }, log);
    const found = runner.find(pid)!;
    const isZombie = () => /\) Z /.test(Deno.readTextFileSync(`/proc/${pid}/stat`));
    while (!isZombie()) await realClock.delay(5);
    equal(found.alive, true);
    found.signal("SIGKILL");
    await found.ended;
    equal(found.alive, false);
  }));

Deno.test({
  name: "bricks/runner: a process of another user is none of ours, whatever it calls itself",
  ignore: Deno.uid() !== 0,
  fn: () =>
    withLog(async (log, runner) => {
      const setpriv = { command: "/usr/bin/setpriv", args: ["--reuid=65534", "/bin/sleep", "60"] };
      const started = runner.start(setpriv, log);
      while (argsOf(started.pid)[0] !== "/bin/sleep") await realClock.delay(5);
      equal(runner.find(started.pid), undefined);
      started.signal("SIGKILL");
      await started.ended;
    }),
});
