/** Commands at once, commands cut off, and commands that make no sense: no state is ever half. */

import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { DaemonProcess, mortar } from "tests/e2e/daemon.ts";
import { LONG } from "tests/e2e/harness.ts";
import { exists, killAllNaming, processesNaming, residentBytes, until } from "tests/e2e/process.ts";
import { MORTAR } from "tests/e2e/program.ts";

const HOST = "127.0.0.1";
const BUSY = /Another transaction is in progress for /;

type Ended = { readonly code: number; readonly out: string; readonly err: string };

/** A daemon in a home of its own; disposed of, nothing of it is left. */
class Node implements AsyncDisposable {
  private constructor(readonly dir: string, readonly daemon: DaemonProcess) {}

  static async start(): Promise<Node> {
    const dir = await Deno.makeTempDir({ prefix: "mt-cmd-" });
    const daemon = new DaemonProcess(["mgmt", "--home", `${dir}/home`, "--port", "0"]);
    const node = new Node(dir, daemon);
    await daemon.address();
    return node;
  }

  get home(): string {
    return `${this.dir}/home`;
  }

  /** Runs a command. */
  run(...words: string[]): Promise<Ended> {
    return mortar("--home", this.home, "--mode=script", ...words);
  }

  /** Runs one that must work; answers what it printed. */
  async do(line: string): Promise<string> {
    const { code, out, err } = await this.run(...line.split(" "));
    equal(code, 0, `${line}: ${out}${err}`);
    return out;
  }

  brick(name: string): string {
    return `${HOST}:${this.dir}/${name}`;
  }

  /** How many brick processes there are. */
  get running(): number {
    return processesNaming(`-p\0${this.home}/run/vols/`).length;
  }

  /** Names below the home, but for logs. */
  files(path = this.home): string[] {
    return [...Deno.readDirSync(path)].flatMap(({ name, isDirectory }) => {
      const below = `${path}/${name}`;
      return isDirectory && name !== "log" ? this.files(below) : [below.slice(this.home.length)];
    }).sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.daemon[Symbol.asyncDispose]();
    await killAllNaming(`${this.home}/run`);
    await Deno.remove(this.dir, { recursive: true });
  }
}

/** All words of a volume's options that are set, "KEY: VALUE". */
async function optionsOf(node: Node, volume: string): Promise<string> {
  return (await node.do(`volume info ${volume}`)).split("Options Reconfigured:\n")[1] ?? "";
}

Deno.test("commands: those at once on one volume wait for each other, and all of them count", async () => {
  await using node = await Node.start();
  await node.do(`volume create v1 ${node.brick("b0")} ${node.brick("b1")} force`);
  const COUNT = LONG ? 50 : 24;
  const all = await Promise.all(
    Array.from({ length: COUNT }, (_, i) => {
      if (i % 6 === 5) return node.run("volume", "info", "v1");
      return node.run("volume", "set", "v1", `user.k${i}`, `${i}`);
    }),
  );
  deepEqual(all.filter(({ code }) => code !== 0), []);
  const options = await optionsOf(node, "v1");
  for (let i = 0; i < COUNT; i++) {
    equal(new RegExp(`^user.k${i}: ${i}$`, "m").test(options), i % 6 !== 5, `user.k${i}`);
  }
});

Deno.test("commands: of two that exclude each other one is done, the other refused, nothing is half", async () => {
  await using node = await Node.start();
  const create = (brick: string) => node.run("volume", "create", "v1", node.brick(brick), "force");
  for (let round = 0; round < (LONG ? 20 : 3); round++) {
    const made = await Promise.all([create(`a${round}`), create(`b${round}`)]);
    deepEqual(made.map(({ code }) => code).sort(), [0, 1]);
    const lost = made.findIndex(({ code }) => code === 1);
    match(made[lost]!.err + made[lost]!.out, /already exists/);
    const name = lost === 0 ? "a" : "b";
    equal(exists(`${node.dir}/${name}${round}`), false, "the brick of the other is not there");

    await node.do("volume start v1");
    const [stopped, started] = await Promise.all([
      node.run("volume", "stop", "v1"),
      node.run("volume", "start", "v1"),
    ]);
    equal(stopped.code, 0, stopped.err);
    if (started.code !== 0) match(started.err + started.out, /already started/);
    const now = /^Status: (\w+)$/m.exec(await node.do("volume info v1"))![1];
    equal(now, started.code === 0 ? "Started" : "Stopped");
    await until(`bricks of a ${now} volume`, () => node.running === (now === "Started" ? 1 : 0));
    if (now === "Started") await node.do("volume stop v1");

    const [deleted, set] = await Promise.all([
      node.run("volume", "delete", "v1"),
      node.run("volume", "set", "v1", "user.x", "1"),
    ]);
    equal(deleted.code, 0, deleted.err);
    if (set.code !== 0) match(set.err + set.out, /does not exist/);
    equal(await node.do("volume list"), "");
    deepEqual(node.files().filter((each) => /v1/.test(each)), []);
  }
});

Deno.test("commands: one whose command line is killed is done to its end, and holds nothing up", async () => {
  await using node = await Node.start();
  await node.do(`volume create v1 ${node.brick("b0")} ${node.brick("b1")} force`);
  for (const verb of ["start", "stop"]) {
    const command = new Deno.Command(MORTAR, {
      args: ["--home", node.home, "--mode=script", "volume", verb, "v1"],
      env: { DENO: Deno.execPath() },
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const status = verb === "start" ? "Started" : "Stopped";
    await until(
      "the daemon is at it",
      async () =>
        new RegExp(`^Status: ${status}$`, "m").test((await node.run("volume", "info", "v1")).out),
    );
    try {
      command.kill("SIGKILL");
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
    }
    await command.status;
    const set = await node.run("volume", "set", "v1", `user.${verb}`, "1");
    equal(set.code, 0, set.err);
    equal(BUSY.test(set.err), false);
    const count = verb === "start" ? 2 : 0;
    await until(`${count} bricks`, () => node.running === count);
  }
});

Deno.test("commands: names, paths and words that are hostile or huge are refused, each with its reason", async () => {
  await using node = await Node.start();
  const b = node.brick("b0");
  await node.do(`volume create v1 ${b} force`);
  const before = [node.files(), await node.do("volume info"), [...Deno.readDirSync(node.dir)]];
  const create = (name: string, ...more: string[]) => ["volume", "create", name, ...more, "force"];
  const other = node.brick("b1"), long = "x".repeat(10_000);
  const bad: [readonly string[], number, RegExp][] = [
    [["volume", "start", "none"], 1, /Volume none does not exist/],
    [["volume", "set", "v1", "no.such", "1"], 1, /no\.such does not exist/],
    [["volume", "set", "v1", "network.ping-timeout", "5000"], 1, /out of range \[0 - 1013\]/],
    [["volume", "set", "v1", "network.ping-timeout"], 2, /a value for .* is missing; usage: /],
    [["volume", "set", "v1", "user.x", "a\nend-volume"], 1, /no control characters/],
    [["volume", "set", "v1", ...Array.from({ length: 6000 }, (_, i) => `${i}`)], 1, /exist/],
    [["volume", "info", ...Array.from({ length: 5000 }, (_, i) => `${i}`)], 2, /not expected here/],
    [
      ["volume", "set", "v1", "user.x", "x".repeat(100_000)],
      1,
      /too long: \d+ bytes, \d+ are taken; give fewer/,
    ],
    [create("v2", b), 1, /volume v1 uses it; choose another directory/],
    [create("v2", `${b}/below`), 1, /already part of a volume; choose/],
    [create("v1", other), 1, /already exists/],
    [create("v2", `${other}/no/parent`), 1, /No such file or directory; make .*b1\/no first/],
    [create("v2", `${HOST}:relative`), 1, /use <HOSTNAME>:<export-dir-abs-path>/],
    [create("v2", `${HOST}:/${long}`), 1, /longer than/],
    [create("v2", `${HOST}:${node.dir}/../b1`), 1, /"\.\." are not allowed/],
    [create("v2", `${other}\n`), 1, /control characters/],
    [create("v2", "192.0.2.1:/b1"), 1, /none of this machine's; name brick .* by an address/],
    [create("v2", "replica", "2", other), 1, /1 given, 2 make a set/],
    [create("v2", "replica", "x", other), 2, /expected a whole number; usage: /],
    ...["../x", "a b", "a'b", 'a"b', "größe", "a/b", "-x", "", "a\tb", "$(x)", "."].map((
      name,
    ): [readonly string[], number, RegExp] => [
      create(name, other),
      1,
      /Volume name should (not contain|begin)/,
    ]),
    [create(long, other), 1, /exceeds 251 characters/],
    [["volume", "frobnicate"], 1, /no such command; "mortar help volume" lists/],
  ];
  for (const [words, code, why] of bad) {
    const ended = await node.run(...words);
    const what = words.join(" ").slice(0, 80);
    equal(ended.code, code, `${what}: ${ended.err}`);
    equal(ended.out, "", what);
    match(ended.err, why, what);
    ok(ended.err.split("\n").length <= 4, what);
    ok(!/\n\s+at |Error:/.test(ended.err), what);
  }
  const after = [node.files(), await node.do("volume info"), [...Deno.readDirSync(node.dir)]];
  deepEqual(after, before);
  // Nothing of it can forge a line of the history.
  const history = await Deno.readTextFile(`${node.home}/log/cmd_history.log`);
  for (const line of history.trim().split("\n")) {
    match(line, /^\[\d{4}-\d\d-\d\d .* \+0000\] {2}: .* : (SUCCESS|FAILED : .*)$/);
  }
});

Deno.test("commands: a volume's life, over and over, leaves nothing behind in the daemon", async () => {
  await using node = await Node.start();
  const { pid } = node.daemon;
  const fds = () => [...Deno.readDirSync(`/proc/${pid}/fd`)].length;
  const cycle = async () => {
    await node.do(`volume create v1 ${node.brick("b0")} ${node.brick("b1")} force`);
    await node.do("volume start v1");
    await node.do("volume status v1");
    await node.do("volume stop v1");
    await node.do("volume delete v1");
    await Deno.remove(`${node.dir}/b0`, { recursive: true });
    await Deno.remove(`${node.dir}/b1`, { recursive: true });
  };
  await cycle();
  await until("the history is written", () => exists(`${node.home}/log/cmd_history.log`));
  const before = { files: node.files(), fds: fds(), bytes: residentBytes(pid) };
  for (let round = 0; round < (LONG ? 40 : 4); round++) await cycle();
  equal(node.running, 0);
  deepEqual(node.files(), before.files);
  await until("descriptors are closed", () => fds() <= before.fds);
  const more = residentBytes(pid) - before.bytes;
  ok(more < 40 << 20, `${more >> 20} MiB more`);
});
