/** What the management daemon says where it cannot start: one line with what, why and what to do. */

import { match, ok, strictEqual as equal } from "node:assert/strict";
import { DaemonProcess, mortar } from "tests/e2e/daemon.ts";
import { e2e } from "tests/e2e/harness.ts";
import { exists, must, run, until } from "tests/e2e/process.ts";

/** Longest path of a unix socket (unix(7)), with what our sockets' names add to a home. */
const SOCKET_PATH_MAX = 107, SOCKET_NAME = "/run/0123456789abcdef.socket".length;

/** Runs a daemon that must not start; answers its only line. */
async function refused(code: number, ...flags: string[]): Promise<string> {
  const ended = await mortar("mgmt", ...flags);
  equal(ended.code, code, ended.err);
  equal(ended.out, "");
  match(ended.err, /^[^\n]+\n$/, flags.join(" "));
  return ended.err.trim();
}

Deno.test("mortar mgmt: what it cannot use is told in one line, and nothing is left there", async () => {
  const dir = await Deno.makeTempDir({ prefix: "mt-start-" });
  const file = `${dir}/file`, home = `${dir}/home`;
  await Deno.writeTextFile(file, "");
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  try {
    const why = (...flags: string[]) => refused(1, "--home", home, "--port", "0", ...flags);
    match(
      await refused(1, "--home", file),
      /^Cannot use directory ".*\/file": .*; choose another with --home$/,
    );
    match(
      await refused(1, "--home", `${file}/sub`),
      /^Cannot use directory ".*": Not a directory; choose/,
    );
    match(await refused(2, "--home", ""), /^Cannot use --home "": expected a directory$/);
    match(
      await why("--socket", `/${"s".repeat(SOCKET_PATH_MAX)}`),
      /socket.*longer than 107 bytes/,
    );
    match(
      await why("--listen", "192.0.2.1"),
      /no address of this machine; choose another with --listen$/,
    );
    match(
      await why("--listen", "no-such-host.invalid"),
      /^Cannot listen on no-such-host.invalid:0: .*not known.*; choose another with --listen$/,
    );
    match(
      await refused(1, "--home", home, "--port", `${taken.addr.port}`),
      /something else listens there; stop it, or choose another with --port$/,
    );
    match(await why("--log-file", `${dir}/none/log`), /^Cannot open log file .*No such file/);
    match(await why("--pid-file", `${dir}/none/pid`), /^Cannot write pid file .*No such file/);
    ok(!exists(`${home}/run/mgmt.socket`));
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("mortar mgmt: a home is refused if sockets of its bricks would have too long paths", async () => {
  const dir = await Deno.makeTempDir({ prefix: "mt-start-" });
  try {
    const fits = SOCKET_PATH_MAX - SOCKET_NAME - dir.length - 1;
    const line = await refused(1, "--home", `${dir}/${"h".repeat(fits + 1)}`, "--port", "0");
    match(line, /^Cannot use ".*\/run\/.*": .* longer than 107 bytes; choose a shorter .*--home$/);
    await using daemon = new DaemonProcess(
      ["mgmt", "--home", `${dir}/${"h".repeat(fits)}`, "--port", "0"],
    );
    await daemon.address();
    equal(await daemon.end(), 0);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("mortar mgmt: a second one on the same home is refused when it runs detached, too", async () => {
  const dir = await Deno.makeTempDir({ prefix: "mt-start-" });
  const flags = ["--home", `${dir}/home`, "--port", "0"];
  try {
    await using daemon = new DaemonProcess(["mgmt", ...flags]);
    await daemon.address();
    match(
      await refused(1, "--daemon", ...flags),
      new RegExp(`^Cannot use ".*/home": process ${daemon.pid} manages it already; stop that one`),
    );
    equal(await daemon.end(), 0);
    equal((await mortar("mgmt", "--daemon", ...flags)).code, 0);
    const pid = Number(await Deno.readTextFile(`${dir}/home/mgmt.lock`));
    equal((await mortar("--home", `${dir}/home`, "volume", "list")).code, 0);
    Deno.kill(pid);
    await until("it has ended", () => !exists(`/proc/${pid}`));
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

e2e(
  "mortar mgmt: a home on a full disk is served as far as it goes, and told",
  ["mount"],
  async () => {
    const dir = await Deno.makeTempDir({ prefix: "mt-start-" });
    await must(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", dir]);
    const flags = ["--home", `${dir}/home`, "--port", "0"];
    const fill = () => run(["dd", "if=/dev/zero", `of=${dir}/fill`, "bs=4k"]);
    const command = (...words: string[]) => mortar("--home", `${dir}/home`, ...words);
    try {
      await fill();
      match(await refused(1, ...flags), /^Cannot use ".*\/home": No space left on device; /);
      await Deno.remove(`${dir}/fill`);
      {
        await using daemon = new DaemonProcess(["mgmt", ...flags]);
        await daemon.address();
        equal((await command("volume", "create", "v1", `127.0.0.1:${dir}/b1`, "force")).code, 0);
        equal(await daemon.end(), 0);
      }
      await Deno.remove(`${dir}/home/glusterd.info`);
      await fill();
      await using daemon = new DaemonProcess(["mgmt", ...flags]);
      await daemon.address();
      await daemon.said(/ E state files .*No space left on device/);
      equal((await command("volume", "list")).out, "v1\n");
      const set = await command("volume", "set", "v1", "network.ping-timeout", "11");
      equal(set.code, 1);
      match(set.err + set.out, /the disk is full; make room and try again/);
      await Deno.remove(`${dir}/fill`);
      equal((await command("volume", "set", "v1", "network.ping-timeout", "11")).code, 0);
      equal(await daemon.end(), 0);
      await using again = new DaemonProcess(["mgmt", ...flags]);
      await again.address();
      match(await Deno.readTextFile(`${dir}/home/glusterd.info`), /^UUID=/m);
      equal(await again.end(), 0);
    } finally {
      await run(["umount", "-l", dir]);
      await Deno.remove(dir);
    }
  },
);
