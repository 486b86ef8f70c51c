/** The quickstart as a person runs it: done, kept, interrupted. */

import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { exists, processesNaming, until } from "tests/e2e/process.ts";
import { MORTAR } from "tests/e2e/program.ts";

const SCRIPT = new URL("../../scripts/quickstart.ts", import.meta.url).pathname;

function quickstart(...args: string[]): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", SCRIPT, ...args],
    env: { NO_COLOR: "1", MORTAR },
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

async function finished(child: Deno.ChildProcess) {
  const { code, stdout, stderr } = await child.output();
  const text = new TextDecoder();
  return { code, out: text.decode(stdout), err: text.decode(stderr) };
}

/** Its directory, as told. */
function directoryOf(out: string): string {
  return /^\$ mortar mgmt --home (\S+)\/home /m.exec(out)![1]!;
}

async function nothingLeft(directory: string): Promise<void> {
  equal(exists(directory), false);
  // A command that was interrupted as well may still be on its way out.
  await until("all ended", () => processesNaming(directory).length === 0);
}

Deno.test("quickstart: a disk is as it was after each step, and nothing is left", async () => {
  const { code, out, err } = await finished(quickstart());
  equal(code, 0, err);
  match(out, /^volume start: vms: success$/m);
  match(out, /^1 range, 4096 bytes of \/vm1\.img changed; /m);
  match(out, /^Snapshot restore: before: Snap restored successfully$/m);
  match(out, /^vm3\.qcow2@monday$/m);
  const seen = [...out.matchAll(/^(All is well|The upgrade went)/gm)].map(([, text]) => text);
  deepEqual(seen, ["All is well", "The upgrade went", "All is well", "All is well"]);
  await nothingLeft(directoryOf(out));
});

Deno.test("quickstart: with --keep it serves on, and ends as it says", async () => {
  const { code, out, err } = await finished(quickstart("--keep"));
  equal(code, 0, err);
  const directory = directoryOf(out);
  // The daemon, two bricks, the healer, and the disk.
  equal(processesNaming(directory).length, 5);
  match(out, /^ {2}mortar client 127\.0\.0\.1:\d+:\/vms \/mnt$/m);
  const [, path] = /file='nbd\+unix:\/\/\/vm1\?socket=(\S+)'/.exec(out)!;
  (await Deno.connect({ transport: "unix", path: path! })).close();
  const commands = out.slice(out.indexOf("To end it:")).split("\n").filter((line) =>
    /^ {2}\S/.test(line)
  ).map((line) => line.replace(/^ +mortar /, `${MORTAR} `));
  equal(commands.length, 3);
  for (const command of commands) {
    const env = { DENO: Deno.execPath() };
    equal((await new Deno.Command("sh", { args: ["-c", command], env }).output()).code, 0);
  }
  await until("all end", () => processesNaming(directory).length === 0);
  // What ended last may still have had a line to log.
  await Deno.remove(directory, { recursive: true }).catch(() => {});
});

Deno.test("quickstart: interrupted at any step, it leaves nothing", async () => {
  for (const step of [/mgmt --home/, /volume start vms/, /\$ mortar nbd /]) {
    const child = quickstart();
    const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    let out = "";
    while (!step.test(out)) {
      const { value, done } = await reader.read();
      if (done) break;
      out += value;
    }
    child.kill("SIGINT");
    while (!(await reader.read()).done);
    const err = await new Response(child.stderr).text();
    const { code } = await child.status;
    // It may have been done before the signal came.
    equal(code === 0 || /interrupted/.test(err), true, err);
    await nothingLeft(directoryOf(out));
  }
});
