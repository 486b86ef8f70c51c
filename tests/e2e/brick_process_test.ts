/** `mortar brick` as a process: start, reload, signals, end, and what it says when it cannot. */

import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { DaemonProcess, mortar } from "tests/e2e/daemon.ts";
import { until } from "tests/e2e/process.ts";
import { MORTAR } from "tests/e2e/program.ts";

function volfile(directory: string, port = 0, more = ""): string {
  return `volume posix
    type storage/posix
    option directory ${directory}
end-volume
volume locks
    type features/locks
    subvolumes posix
end-volume
volume b1
    type debug/io-stats
    subvolumes locks
end-volume
volume server
    type protocol/server
    option transport.socket.listen-port ${port}
    option auth.addr.b1.allow *
    option auth.login.u.password geheim
${more}    subvolumes b1
end-volume
`;
}

/** A directory with a brick directory and a volfile in it; removed afterwards. */
async function place() {
  const dir = await Deno.makeTempDir({ prefix: "mt-brick-" });
  const brick = `${dir}/brick`, file = `${dir}/b1.vol`;
  await Deno.mkdir(brick);
  await Deno.writeTextFile(file, volfile(brick));
  return {
    dir,
    brick,
    file,
    [Symbol.asyncDispose]: () => Deno.remove(dir, { recursive: true }),
  };
}

Deno.test("mortar: help, versions and unknown words have their exit codes", async () => {
  const help = await mortar("--help");
  equal(help.code, 0);
  match(help.out, /^ {2}brick +\S/m);
  match(help.out, /^ {2}mgmt +\S/m);
  equal((await mortar("brick", "--help")).code, 0);
  match((await mortar("--version")).out, /^mortar \d+\.\d+\.\d+ \(.+, Deno [\d.]+\)\n$/);
  const unknown = await mortar("brik");
  deepEqual([unknown.code, unknown.out], [1, ""]);
  match(unknown.err, /^Cannot run "brik": there is no such command; did you mean "brick"\? .*\n$/);
  const usage = await mortar("brick", "--nonsense");
  equal(usage.code, 2);
  match(usage.err, /^Cannot run "mortar brick": there is no option "--nonsense"; .*\n$/);
});

Deno.test("mortar: runs from any directory and through a link", async () => {
  const dir = await Deno.makeTempDir();
  await Deno.symlink(MORTAR, `${dir}/first`);
  await Deno.symlink("first", `${dir}/mortar`);
  const { code, stdout } = await new Deno.Command("./mortar", {
    args: ["--version"],
    cwd: dir,
    env: { DENO: Deno.execPath() },
  }).output();
  equal(code, 0);
  match(new TextDecoder().decode(stdout), /^mortar /);
  await Deno.remove(dir, { recursive: true });
});

Deno.test("mortar brick: is ready with its address, names itself, holds its pid file, ends with 0", async () => {
  await using at = await place();
  const pidFile = `${at.dir}/pid`;
  await using brick = new DaemonProcess(["brick", "-f", at.file, "-p", pidFile]);
  const address = await brick.address();
  match(address, /^127\.0\.0\.1:\d+$/);
  equal(await Deno.readTextFile(pidFile), `${brick.pid}\n`);
  equal(await Deno.readTextFile(`/proc/${brick.pid}/comm`), "mortar-brick\n");
  const second = await mortar("brick", "-f", at.file, "-p", pidFile);
  equal(second.code, 1);
  match(
    second.err,
    new RegExp(`^Cannot take pid file .*: process ${brick.pid} is running with it`),
  );
  const port = address.split(":")[1]!;
  const clash = await mortar("brick", "-f", at.file, "--brick-port", port);
  equal(clash.code, 1);
  match(clash.err, /Cannot listen on .*something else listens there; stop it, or choose another/);
  equal(await brick.end(), 0);
  await brick.said(/ I stopping$/);
  await brick.said(/ I brick stopped brick=b1$/);
  equal(await exists(pidFile), false);
});

Deno.test("mortar brick: a volfile that is wrong is refused in one line that names volume and line", async () => {
  await using at = await place();
  const cases: [string, RegExp][] = [
    [
      "volume a\n  typ x\n",
      /^Cannot use volfile "[^"]+": line 2: unknown word "typ" in volume "a"/,
    ],
    [
      volfile(at.brick).replace("features/locks", "features/lokcs"),
      /^Cannot use volfile "[^"]+": volume "locks" \(line 5\): unknown type "features\/lokcs"/,
    ],
    [
      volfile(at.brick).replace("subvolumes locks", "subvolumes lock"),
      /: volume "b1" \(line 9\): subvolume "lock" is not defined above it/,
    ],
    [volfile(at.brick, 70000), /: volume "server" \(line 13\): option .*listen-port/],
    [
      volfile("/nonexistent/brick"),
      /^Cannot serve brick "\/nonexistent\/brick": .*No such file or directory/,
    ],
    ["", /it is empty/],
  ];
  for (const [text, fault] of cases) {
    await Deno.writeTextFile(at.file, text);
    const { code, err } = await mortar("brick", "-f", at.file, "-L", "none");
    equal(code, 1, err);
    match(err, fault);
    equal(err.trimEnd().split("\n").length, 1, err);
  }
  match(
    (await mortar("brick", "-f", "/nope.vol")).err,
    /^Cannot read volfile "\/nope\.vol": No such/,
  );
});

Deno.test("mortar brick: SIGHUP takes changed options over, and refuses a changed shape", async () => {
  await using at = await place();
  await using brick = new DaemonProcess(["brick", "-f", at.file]);
  await brick.address();
  await Deno.writeTextFile(at.file, volfile(at.brick, 0, "    option all-squash on\n"));
  brick.kill("SIGHUP");
  await brick.said(/ I volume reconfigured volume=server$/);
  await Deno.writeTextFile(
    at.file,
    volfile(at.brick).replace("volume locks", "volume lox")
      .replace("subvolumes locks", "subvolumes lox"),
  );
  brick.kill("SIGHUP");
  await brick.said(/ E volfile needs a restart: volumes changed/);
  await Deno.writeTextFile(at.file, "volume\n");
  brick.kill("SIGHUP");
  await brick.said(/ E volfile was not taken over .*line 1/);
  equal(await brick.end(), 0);
});

Deno.test("mortar brick: SIGUSR1 and SIGUSR2 write a statedump without passwords, and open no debugger", async () => {
  await using at = await place();
  await using brick = new DaemonProcess(["brick", "-f", at.file, "--statedump-dir", at.dir]);
  await brick.address();
  for (const signal of ["SIGUSR1", "SIGUSR2"] as const) {
    const from = brick.lines.length;
    brick.kill(signal);
    const line = await brick.said(/ I statedump written /, from);
    const file = / file=(\S+)/.exec(line)![1]!;
    const text = await Deno.readTextFile(file);
    match(file, new RegExp(`/b1\\.${brick.pid}\\.dump\\.\\d+$`));
    match(text, /^DUMP-START-TIME: .*\n\n\[mortar\]\nversion=/);
    match(text, /\nDUMP-END-TIME: [-0-9]{10} [:.0-9]{15} \+0000\n$/);
    match(text, new RegExp(`^pid=${brick.pid}$`, "m"));
    ok(text.includes(`\ndirectory=${at.brick}\n`));
    ok(!text.includes("geheim"));
    equal((await Deno.stat(file)).mode! & 0o777, 0o600);
    await Deno.remove(file);
  }
  equal(brick.lines.some((line) => /[Dd]ebugger/.test(line)), false);
  equal(await brick.end(), 0);
});

Deno.test("mortar brick: options of the command line win over the volfile's", async () => {
  await using at = await place();
  await Deno.mkdir(`${at.dir}/other`);
  await using brick = new DaemonProcess([
    ...["brick", "-f", at.file, "--xlator-option", `po*.directory=${at.dir}/other`],
    ...["--brick-name", "named", "--log-format", "json"],
  ]);
  const ready = JSON.parse(await brick.said(/brick ready/));
  equal(ready.brick, "named");
  equal(await exists(`${at.dir}/other/.glusterfs`), true);
  equal(await exists(`${at.brick}/.glusterfs`), false);
  equal(await brick.end(), 0);
});

Deno.test("mortar brick: a log file is opened anew at SIGHUP", async () => {
  await using at = await place();
  const log = `${at.dir}/brick.log`;
  await using brick = new DaemonProcess(["brick", "-f", at.file, "-l", log, "-p", `${at.dir}/pid`]);
  await until("brick is ready", async () => / ready /.test(await read(log)));
  await Deno.rename(log, `${log}.1`);
  brick.kill("SIGHUP");
  await until("the new log is used", async () => /volfile read again/.test(await read(log)));
  ok(!/volfile read again/.test(await read(`${log}.1`)));
  equal(await brick.end(), 0);
});

Deno.test("mortar brick: a disk that goes away ends it with one clear line and exit code 1", async () => {
  await using at = await place();
  const check = "--xlator-option=posix.health-check-interval=1";
  await using brick = new DaemonProcess(["brick", "-f", at.file, check]);
  await brick.address();
  await Deno.remove(at.brick, { recursive: true });
  await brick.said(/ E brick stops: it cannot serve any more brick=b1 why=/);
  equal((await brick.ended()).code, 1);
});

Deno.test("mortar brick: systemd is told when it is ready", async () => {
  await using at = await place();
  const path = `${at.dir}/notify`;
  // Deno's own datagram sockets are unstable; any program that prints what comes in will do.
  const script = `import socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(${JSON.stringify(path)}); print("bound", flush=True); print(s.recv(100).decode())`;
  const listener = new Deno.Command("python3", { args: ["-c", script], stdout: "piped" }).spawn();
  await until("somebody listens", () => exists(path));
  await using brick = new DaemonProcess(["brick", "-f", at.file], { NOTIFY_SOCKET: path });
  await brick.address();
  match(new TextDecoder().decode((await listener.output()).stdout), /READY=1/);
  equal(await brick.end(), 0);
});

async function exists(path: string): Promise<boolean> {
  return await read(path) !== "" || await Deno.lstat(path).then(() => true, () => false);
}

async function read(path: string): Promise<string> {
  return await Deno.readTextFile(path).catch(() => "");
}
