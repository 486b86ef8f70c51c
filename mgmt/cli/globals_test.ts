import { deepStrictEqual as deepEqual, ok, strictEqual as equal, throws } from "node:assert/strict";
import { UsageError } from "mgmt/cli/command_error.ts";
import { readGlobals, UnknownOption } from "mgmt/cli/globals.ts";

const words = (text: string) => text.split(" ");

Deno.test("mgmt/cli/globals: options stand anywhere, their values beside or behind", () => {
  const read = readGlobals(
    words("--home /h volume --xml start v1 --mode=script --timeout 5"),
    "mortar",
  );
  deepEqual(read.words, ["volume", "start", "v1"]);
  equal(read.home, "/h");
  equal(read.form, "xml");
  equal(read.script, true);
  equal(read.timeoutMs, 5000);
});

Deno.test("mgmt/cli/globals: after -- all are words, and what is no option of ours is one, too", () => {
  deepEqual(readGlobals(words("volume -- --xml"), "mortar").words, ["volume", "--xml"]);
  deepEqual(readGlobals(words("volume x --adopt"), "mortar").words, ["volume", "x", "--adopt"]);
  deepEqual(readGlobals(["x", "--__proto__"], "mortar").words, ["x", "--__proto__"]);
});

Deno.test("mgmt/cli/globals: gluster knows its options, refuses ours, and wants = before a value", () => {
  const all = "--mode=script --wignore --wignore-partition --glusterd-sock=/s --log-file=/l " +
    "--log-level=INFO --nolog --inet6 --secure-mgmt=no volume list --xml";
  const read = readGlobals(words(all), "gluster");
  deepEqual(read.words, ["volume", "list"]);
  equal(read.socket, "/s");
  equal(read.form, "xml");
  equal(read.ignoreWarnings, true);
  for (const line of ["--foo", "--json", "--home=/h", "--mode=foo", "--timeout", "--xml=1"]) {
    throws(() => readGlobals(words(line), "gluster"), UnknownOption, line);
  }
});

Deno.test("mgmt/cli/globals: a value that is missing, too much or no time is refused", () => {
  for (const line of ["--home", "--xml=1", "--timeout=0", "--timeout=x", "--timeout=-1"]) {
    throws(() => readGlobals(words(line), "mortar"), UsageError, line);
  }
});

Deno.test("mgmt/cli/globals: what gluster prints at once ends its command line", () => {
  equal(readGlobals(words("--print-logdir --foo"), "gluster").print, "logdir");
  ok(readGlobals(words("volume start --help"), "gluster").print === "help");
});
