import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";

const PROBE = `
  import { setCommandLine, setProcessName } from "core/sys/process_look.ts";
  const [times, ...words] = Deno.args;
  setProcessName("glusterfsd");
  const done = setCommandLine(words.map((word) => word.repeat(Number(times))));
  console.log(JSON.stringify({ done, env: Deno.env.get("LOOK") }));
  await Deno.stdin.read(new Uint8Array(1));
`;

/** What a process shows that calls itself `words`, each repeated. */
async function shown(times: number, ...words: string[]) {
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  const config = new URL("../../deno.json", import.meta.url).pathname;
  const allowed = ["--allow-read", "--allow-write", "--allow-ffi", "--allow-env=LOOK"];
  try {
    await Deno.writeTextFile(file, PROBE);
    const args = [
      "run",
      "--no-check",
      ...allowed,
      "--config",
      config,
      file,
      String(times),
      ...words,
    ];
    await using child = new Deno.Command(Deno.execPath(), {
      args,
      env: { LOOK: "kept" },
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const output = child.stdout.getReader();
    const { value } = await output.read();
    const proc = (name: string) => Deno.readTextFile(`/proc/${child.pid}/${name}`);
    const answer = {
      ...JSON.parse(new TextDecoder().decode(value)),
      comm: (await proc("comm")).trim(),
      line: await proc("cmdline"),
      before: [Deno.execPath(), ...args].join(" ").length + 1,
    };
    await child.stdin.close();
    await output.cancel();
    await child.status;
    return answer;
  } finally {
    await Deno.remove(file);
  }
}

/** Whether processes here may say where their command line ends. */
function mayShorten(): boolean {
  const CAP_SYS_RESOURCE = 24n;
  const status = Deno.readTextFileSync("/proc/self/status");
  return ((BigInt(`0x${/^CapEff:\s*(\w+)$/m.exec(status)![1]}`) >> CAP_SYS_RESOURCE) & 1n) === 1n;
}

Deno.test("core/sys/process_look: name and command line are those that were set", async () => {
  const words = ["/usr/sbin/glusterfsd", "-s", "host", "--brick-name", "/bricks/ä b"];
  const { done, comm, line, env } = await shown(1, ...words);
  deepEqual([done, comm, env], [true, "glusterfsd", "kept"]);
  equal(mayShorten() ? line : line.replace(/\0+$/, "\0"), words.join("\0") + "\0");
});

Deno.test("core/sys/process_look: a command line that does not fit is cut, and nothing else is harmed", async () => {
  const { done, line, before, env } = await shown(1000, "abc");
  deepEqual([done, env], [true, "kept"]);
  ok("abc".repeat(1000).startsWith(line.replace(/\0$/, "")));
  equal(line.length, before);
});
