import {
  deepStrictEqual as deepEqual,
  match,
  rejects,
  strictEqual as equal,
  throws,
} from "node:assert/strict";
import { CommandError, UsageError } from "mgmt/cli/command_error.ts";
import { GLUSTERD_PLACES } from "mgmt/home.ts";
import { OldArguments } from "mgmt/old_names/arguments.ts";
import { shownArguments } from "mgmt/old_names/detached.ts";
import { glusterfs } from "mgmt/old_names/glusterfs.ts";
import { glusterdRequest } from "mgmt/old_names/glusterd.ts";
import { brickWords } from "mgmt/old_names/glusterfsd.ts";

const read = (program: string, line: string) => new OldArguments(program, line.split(" "));

Deno.test("mgmt/old_names: options are read in all forms that GNU programs take", () => {
  const given = read(
    "glusterd",
    "-LDEBUG -N --log-file=/x --pid-f /p --xlator-option a.b=c=d --xlator-option e.f=g",
  );
  equal(given.last("log-level"), "DEBUG");
  equal(given.staysInFront, true);
  equal(given.last("log-file"), "/x");
  equal(given.last("pid-file"), "/p");
  deepEqual(given.all("xlator-option"), ["a.b=c=d", "e.f=g"]);
  deepEqual(read("glusterfs", "-s host -- --odd /mnt").operands, ["--odd", "/mnt"]);
});

Deno.test("mgmt/old_names: what is no option, unclear or cut off is refused by name", () => {
  for (
    const [line, why] of [
      ["--nonsense", /no option "--nonsense"/],
      ["-Z", /no option "-Z"/],
      ["--log", /not clear which option is meant by "--log"/],
      ["-l", /"-l" needs a value/],
      ["--", undefined],
    ] as const
  ) {
    if (why === undefined) read("glusterd", line);
    else {
      throws(
        () => read("glusterd", line),
        (error) =>
          error instanceof UsageError && error.message.startsWith('Cannot run "glusterd": ') &&
          why.test(error.message),
      );
    }
  }
});

Deno.test("mgmt/old_names: the version is told in the form that tools read", () => {
  match(read("glusterfsd", "--version").printed!, /^glusterfs 10\.3\nmortar \d+\.\d+\.\d+, .*\n$/);
  equal(read("glusterd", "--print-logdir").printed, "/var/log/glusterfs\n");
  equal(read("glusterd", "--print-statedumpdir").printed, "/var/run/gluster\n");
  equal(read("glusterd", "-N").printed, undefined);
});

Deno.test("glusterd: without arguments it lives in GlusterFS's places, on all addresses", () => {
  const { places, words } = glusterdRequest(new OldArguments("glusterd", []));
  deepEqual(places, GLUSTERD_PLACES);
  deepEqual(words, [
    "mgmt",
    "--listen=0.0.0.0",
    "--no-restart",
    "--statedump-dir=/var/run/gluster",
    "--pid-file=/var/run/glusterd.pid",
    "--log-file",
    "/var/log/glusterfs/glusterd.log",
  ]);
});

Deno.test("glusterd: options of the volume management move all that it has", () => {
  const line = "--xlator-option management.working-directory=/d/1/wd " +
    "--xlator-option management.run-directory=/d/1/run " +
    "--xlator-option management.transport.socket.bind-address=127.1.1.1 " +
    "--xlator-option management.glusterd-sockfile=/d/1/gd.sock " +
    "--xlator-option management.logging-directory=/d/1/log --pid-file=/d/1/pid -LDEBUG";
  const configured = new Map([["working-directory", "/etc/wd"], [
    "transport.socket.listen-port",
    "24008",
  ]]);
  const { places, words } = glusterdRequest(read("glusterd", line), configured);
  deepEqual(places, { home: "/d/1/wd", run: "/d/1/run", logs: "/d/1/log", socket: "/d/1/gd.sock" });
  deepEqual(words.filter((each) => /listen|port|pid|log/.test(each)), [
    "--listen=127.1.1.1",
    "--port=24008",
    "--pid-file=/d/1/pid",
    "--log-file",
    "/d/1/log/glusterd.log",
    "--log-level",
  ]);
  equal(words.at(-1), "debug");
});

Deno.test("glusterd: after an upgrade it is asked to make files anew and end", () => {
  const once = (line: string) => glusterdRequest(read("glusterd", line)).once;
  equal(once("--xlator-option *.upgrade=on -N"), true);
  equal(once("--xlator-option management.upgrade=on -N"), true);
  equal(once("--xlator-option *.upgrade=off -N"), false);
  equal(once("-N"), false);
});

Deno.test("glusterfsd: the command line of GlusterFS's management daemon becomes that of our brick", () => {
  const given = read(
    "glusterfsd",
    "-s h1 --volfile-id v.h1.b -p /run/b.pid -S /run/b.socket --brick-name /b -l /log/b.log " +
      "--xlator-option *-posix.glusterd-uuid=u --process-name brick --brick-port 49152 " +
      "--xlator-option v-server.listen-port=49152",
  );
  deepEqual(brickWords(given), [
    "brick",
    "--volfile-server=h1",
    "--volfile-id=v.h1.b",
    "--brick-name=/b",
    "--pid-file=/run/b.pid",
    "--socket-file=/run/b.socket",
    "--xlator-option=*-posix.glusterd-uuid=u",
    "--xlator-option=v-server.listen-port=49152",
    "--brick-port=49152",
    "--log-file",
    "/log/b.log",
  ]);
  throws(() => brickWords(read("glusterfsd", "-N")), UsageError);
});

Deno.test("glusterfs: what is neither a brick nor a mount is refused in one line", async () => {
  for (
    const [line, what] of [
      ["/mnt", 'run "glusterfs"'],
      ["-s localhost --volfile-id shd/v --process-name glustershd", "run as glustershd"],
    ] as const
  ) {
    await rejects(
      glusterfs(line.split(" ")),
      (error) =>
        error instanceof CommandError && error.message.startsWith(`Cannot ${what}: `) &&
        !error.message.includes("\n"),
    );
  }
});

Deno.test("mgmt/old_names: process lists show what was given, not what the detached one got", () => {
  deepEqual(shownArguments(["--no-daemon", "-s", "h"]), ["-s", "h"]);
  deepEqual(shownArguments(["-N", "-s", "h"]), ["-N", "-s", "h"]);
});
