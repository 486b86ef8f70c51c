/** `mortar file` on bricks of both kinds: what it moves, what it tells, and how it fails. */

import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { BrickPair } from "tests/e2e/brick_pair.ts";
import { DaemonProcess, mortar } from "tests/e2e/daemon.ts";
import { e2e } from "tests/e2e/harness.ts";
import { must, until } from "tests/e2e/process.ts";
import { MORTAR } from "tests/e2e/program.ts";

/** A volume that commands can use. */
class Served implements AsyncDisposable {
  private constructor(
    readonly pair: BrickPair,
    readonly server: DaemonProcess,
    /** `HOST:PORT:vol`. */
    readonly volume: string,
  ) {}

  static async start(pair: BrickPair): Promise<Served> {
    const folder = `${pair.dir}/volfiles`;
    await Deno.mkdir(folder);
    await Deno.writeTextFile(`${folder}/vol.vol`, pair.volfile({ performance: true }));
    const shard = "volume s\n type features/shard\n subvolumes vol\nend-volume\n";
    await Deno.writeTextFile(`${folder}/sharded.vol`, pair.volfile() + shard);
    const server = new DaemonProcess([
      ...["mgmt", "--home", `${pair.dir}/mgmt`, "--volfiles", folder, "--port", "0"],
    ]);
    return new Served(pair, server, `${await server.address()}:vol`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
    await this.pair[Symbol.asyncDispose]();
  }
}

/** A command that must work and say nothing on standard error; answers what it printed. */
async function done(...args: string[]): Promise<string> {
  const { code, out, err } = await mortar("file", ...args);
  deepEqual({ code, err }, { code: 0, err: "" }, args.join(" "));
  return out;
}

/** A command that must fail with this exit code and one line. */
async function fails(exit: number, line: RegExp, ...args: string[]): Promise<void> {
  const { code, out, err } = await mortar("file", ...args);
  equal(code, exit, `${args.join(" ")}: ${out}${err}`);
  match(err, line);
  equal(err.trimEnd().split("\n").length, 1, err);
}

async function tree(at: string): Promise<void> {
  await must([
    "sh",
    "-c",
    `
    mkdir -p "$1/deep/er/still" "$1/empty" && cd "$1"
    head -c 5000000 /dev/urandom > big; : > none; printf x > deep/er/x; printf größe > 'deep/ü b'
    ln -s big link; ln -s nowhere deep/dangling; chmod 750 deep; chmod 640 big
    for i in 1 2 3 4 5 6 7 8 9; do echo $i > deep/er/still/$i; done`,
    "sh",
    at,
  ]);
}

for (const kind of ["ours", "glusterfsd"] as const) {
  e2e(
    `mortar file, bricks ${kind}: files and trees go in and come out the same`,
    ["diff"],
    async () => {
      await using served = await Served.start(await BrickPair.start(kind, kind));
      const { pair, volume } = served;
      const local = `${pair.dir}/local`, back = `${pair.dir}/back`;
      await tree(local);
      equal(await done("put", `${local}/big`, `${volume}/`), "");
      await done("put", "-r", local, `${volume}/tree`);
      await done("put", "-r", `${local}/deep`, `${volume}/tree/`);
      await done("get", "-r", `${volume}/tree`, back);
      await must(["diff", "-r", "--no-dereference", local, back]);
      equal((await Deno.stat(`${back}/deep`)).mode! & 0o777, 0o750);
      equal((await Deno.stat(`${back}/big`)).mode! & 0o777, 0o640);
      await done("get", `${volume}/big`, `${pair.dir}/copy`);
      await must(["cmp", `${local}/big`, `${pair.dir}/copy`]);
      const mount = await pair.mount();
      await must(["diff", "-r", "--no-dereference", local, `${mount}/tree`]);
      equal(await done("cat", `${volume}/tree/deep/er/x`, `${volume}/tree/deep/ü b`), "xgröße");
      await done("rm", "-r", `${volume}/tree`);
      await done("rm", `${volume}/big`);
      equal(await pair.leftovers(), "");
    },
  );
}

e2e("mortar file: names, attributes, renames and removals", [], async () => {
  await using served = await Served.start(await BrickPair.start("ours", "ours"));
  const { pair, volume } = served;
  await done("mkdir", "-p", `${volume}/a/b/c`);
  await Deno.writeTextFile(`${pair.dir}/f`, "hello");
  await done("put", `${pair.dir}/f`, `${volume}/a/one`);
  await done("put", `${pair.dir}/f`, `${volume}/a/.hidden`);
  equal(await done("ls", `${volume}/a`), "b\none\n");
  equal(await done("ls", "-a", `${volume}/a`), ".hidden\nb\none\n");
  match(
    await done("ls", "-l", `${volume}/a`),
    /^drwxr-xr-x +\d+ +0 +0 +4096 +[-\d]+ [:\d]+ +b\n-rw-r--r-- +1 +0 +0 +5 +[-\d]+ [:\d]+ +one\n$/,
  );
  const listed = JSON.parse(await done("ls", "--json", `${volume}/a`));
  deepEqual(
    listed.map((each: { name: string; type: string; size: number }) => [
      each.name,
      each.type,
      each.size,
    ]),
    [[".hidden", "file", 5], ["b", "directory", 4096], ["one", "file", 5]],
  );
  const stat = JSON.parse(await done("stat", "--json", `${volume}/a/one`));
  deepEqual([stat.name, stat.mode, stat.uid, stat.links], ["one", "0644", 0, 1]);
  match(await done("stat", `${volume}/a/one`), /^name: +one\ntype: +file\nsize: +5\n/);
  for (const name of ["two", "three", "four", "five"]) {
    await done("mv", `${volume}/a/one`, `${volume}/a/${name}`);
    await done("mv", `${volume}/a/${name}`, "/a/one");
  }
  await done("mv", `${volume}/a/one`, `${volume}/a/b`);
  equal(await done("ls", `${volume}/a/b`), "c\none\n");
  await done("rm", "-f", `${volume}/a/nothing`);
  await done("rm", "-r", `${volume}/a`);
  equal(await done("ls", `${volume}`), "");
  equal(await pair.leftovers(), "");
  const { code, err } = await mortar("file", "ls", "-v", volume);
  equal(code, 0);
  match(err, /^performance\/write-behind \(vol-write-behind\) is left out/m);
});

e2e("mortar file: every failure is one line and an exit code", [], async () => {
  await using served = await Served.start(await BrickPair.start("ours", "ours"));
  const { pair, volume } = served;
  const server = volume.slice(0, -4);
  const f = `${pair.dir}/f`;
  await Deno.writeTextFile(f, "x");
  await done("mkdir", `${volume}/d`);
  await done("put", f, `${volume}/d/f`);
  await fails(1, /nohost\.invalid:24007: the host is not known/, "ls", "nohost.invalid:vol/");
  await fails(1, /from 127\.0\.0\.1:1: nothing listens there/, "ls", "127.0.0.1:1:vol/");
  await fails(1, /there is no such volume/, "ls", `${server}:other/`);
  await fails(1, /it needs features\/shard/, "ls", `${server}:sharded/`);
  await fails(1, /Cannot list .*no such file or directory/, "ls", `${volume}/nope`);
  await fails(1, /Cannot read .*no such file or directory/, "cat", `${volume}/d/nope`);
  await fails(1, /it is a directory/, "cat", `${volume}/d`);
  await fails(1, /it is a directory; use -r/, "get", `${volume}/d`, `${pair.dir}/out`);
  await fails(1, /it is a directory; use -r/, "put", pair.dir, `${volume}/x`);
  await fails(1, /it is a directory; use -r/, "rm", `${volume}/d`);
  await fails(
    1,
    /Cannot read .*\/nope: no such file or directory/,
    "put",
    `${f}/nope`.replace("f/", ""),
    `${volume}/x`,
  );
  await fails(1, /it is no directory/, "put", f, f, `${volume}/nope`);
  await fails(1, /Cannot put .*no such file or directory/, "put", f, `${volume}/no/such`);
  await fails(1, /Cannot make directory .*it exists/, "mkdir", `${volume}/d`);
  await fails(1, /it is the whole volume/, "rm", "-r", `${volume}/`);
  await fails(1, /no such file or directory/, "get", `${volume}/d/f`, `${pair.dir}/no/such`);
  await fails(2, /expected HOST:VOLUME\/PATH/, "ls", "justaname");
  await fails(2, /different volumes/, "mv", `${volume}/d`, "elsewhere:vol/d");
  await fails(2, /expected SOURCE… HOST:VOLUME\/PATH/, "put", f);
  await fails(2, /there is no option "--fast"/, "put", "--fast", f, volume);
  await fails(1, /"mortar file --help" lists them/, "frob");
  await pair.kill(0);
  await pair.kill(1);
  await fails(1, /none of its bricks can be reached/, "ls", `${volume}/`);
});

e2e("mortar file: a full disk, or an interruption, leaves no part of a file", [], async () => {
  await using served = await Served.start(await BrickPair.small("24m", "ours"));
  const { pair, volume } = served;
  await must(["sh", "-c", `head -c 40000000 /dev/urandom > "${pair.dir}/big"`]);
  await Deno.writeTextFile(`${pair.dir}/small`, "old");
  await done("put", `${pair.dir}/small`, `${volume}/f`);
  await fails(
    1,
    /Cannot put .*: no space left on the volume/,
    "put",
    `${pair.dir}/big`,
    `${volume}/f`,
  );
  equal(await done("cat", `${volume}/f`), "old");
  equal(await done("ls", "-a", volume), "f\n");
  const child = new Deno.Command(MORTAR, {
    args: ["file", "put", "-", `${volume}/g`],
    env: { DENO: Deno.execPath() },
    stdin: "piped",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const input = child.stdin.getWriter();
  await input.write(new Uint8Array(3 << 20).fill(1));
  await until("the transfer has begun", () => parts(pair).length > 0);
  child.kill("SIGINT");
  const { code, stderr } = await child.output();
  await input.close().catch(() => {});
  equal(code, 1);
  match(new TextDecoder().decode(stderr), /interrupted/);
  deepEqual(parts(pair), []);
  equal(await done("ls", "-a", volume), "f\n");
});

function parts(pair: BrickPair): string[] {
  return [...Deno.readDirSync(pair.bricks[0]!.path)].map(({ name }) => name)
    .filter((name) => /^\.g\./.test(name));
}

e2e("mortar file: what a user may not read is refused", ["setpriv"], async () => {
  await using served = await Served.start(await BrickPair.start("ours", "ours"));
  const { pair, volume } = served;
  await Deno.writeTextFile(`${pair.dir}/secret`, "x");
  await Deno.chmod(`${pair.dir}/secret`, 0o600);
  await done("put", `${pair.dir}/secret`, `${volume}/secret`);
  // The runtime may lie where only root gets to.
  const deno = `${pair.dir}/deno`;
  await must(["cp", "--reflink=auto", Deno.execPath(), deno]);
  await must(["chmod", "755", pair.dir, deno]);
  const { code, stderr } = await new Deno.Command("setpriv", {
    args: [
      ...["--reuid=65534", "--regid=65534", "--clear-groups"],
      ...[MORTAR, "file", "cat", `${volume}/secret`],
    ],
    env: { DENO: deno, DENO_DIR: `${pair.dir}/none`, HOME: "/" },
    stdout: "null",
    stderr: "piped",
  }).output();
  const text = new TextDecoder().decode(stderr);
  ok(code === 1 && /Cannot read .*: permission denied/.test(text), `${code}: ${text}`);
});
