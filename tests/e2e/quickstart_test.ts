/** The quickstart as a person runs it: done, kept, interrupted. */

import { match, rejects, strictEqual as equal } from "node:assert/strict";
import { exists, until } from "tests/e2e/process.ts";

const SCRIPT = new URL("../../scripts/quickstart.ts", import.meta.url).pathname;

function quickstart(...args: string[]): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", SCRIPT, ...args],
    env: { NO_COLOR: "1" },
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

async function finished(child: Deno.ChildProcess) {
  const { code, stdout, stderr } = await child.output();
  const text = new TextDecoder();
  return { code, out: text.decode(stdout), err: text.decode(stderr) };
}

/** Process numbers and directory that it told. */
function told(out: string): { pids: number[]; directory: string } {
  const pids = [...out.matchAll(/\(process (\d+)\)/g)].map((each) => Number(each[1]));
  return { pids, directory: /serves (\S+)\/brick on/.exec(out)![1]! };
}

Deno.test("quickstart: a file goes in and comes back, and nothing is left", async () => {
  const { code, out, err } = await finished(quickstart());
  equal(code, 0, err);
  match(out, /^ {2}sha256 +[0-9a-f]{64}, three times$/m);
  match(out, /^ {2}mount -t glusterfs -o server-port=\d+ 127\.0\.0\.1:\/demo \/mnt$/m);
  const { pids, directory } = told(out);
  equal(exists(directory), false);
  equal(pids.length, 2);
  for (const pid of pids) equal(exists(`/proc/${pid}`), false);
});

Deno.test("quickstart: with --keep it serves on, and ends as it says", async () => {
  const { code, out, err } = await finished(quickstart("--keep"));
  equal(code, 0, err);
  const { pids, directory } = told(out);
  for (const pid of pids) equal(exists(`/proc/${pid}`), true);
  const command = /^ {2}(kill [\d ]+; rm -r \S+)$/m.exec(out)![1]!;
  equal((await new Deno.Command("sh", { args: ["-c", command] }).output()).code, 0);
  await until("both end", () => pids.every((pid) => !exists(`/proc/${pid}/fd`)));
  // What ended last may still have had a line to log.
  await Deno.remove(directory, { recursive: true }).catch(() => {});
});

Deno.test("quickstart: interrupted half-way, it leaves nothing", async () => {
  const child = quickstart();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let out = "";
  while (!/serves \S+\/brick on/.test(out)) {
    const { value, done } = await reader.read();
    if (done) break;
    out += value;
  }
  child.kill("SIGINT");
  while (!(await reader.read()).done);
  const err = await new Response(child.stderr).text();
  const { code } = await child.status;
  const { pids, directory } = told(out);
  // It may have been done before the signal came.
  equal(code === 0 || /interrupted/.test(err), true, err);
  equal(exists(directory), false);
  for (const pid of pids) equal(exists(`/proc/${pid}`), false);
  await rejects(Deno.stat(directory), Deno.errors.NotFound);
});
