import { match, ok, throws } from "node:assert/strict";
import { command } from "mgmt/cli/command.ts";
import { managed, volumeName, word } from "mgmt/cli/managed.ts";
import { glusterHelp, helpText } from "mgmt/commands/help.ts";

const all = {
  local: [command({
    name: "brick",
    summary: "Serve it",
    description: [],
    options: { all: { help: "All." } },
    examples: [],
    run: () => Promise.resolve(0),
  })],
  managed: [managed({
    path: "volume start",
    summary: "start it",
    description: ["It takes a while."],
    args: { volume: volumeName, force: word("force", "Even so.") },
    scope: "volume",
    rest: "POST /volumes/{volume}/start",
    examples: [{ what: "Start v1", line: "mortar volume start v1" }],
    apply: () => null,
    text: () => "",
    xml: () => [],
  })],
};
const help = (line: string) => helpText(all, line.split(" ").filter((each) => each), "1.0");

Deno.test("mgmt/commands/help: all commands, local and managed, are in one list", () => {
  match(help(""), /^ {2}volume start +start it$/m);
  match(help(""), /^ {2}brick +Serve it$/m);
  match(help(""), /^ {2}--mode=script +With/m);
  ok(!help("").includes("wignore"));
  ok(!help("volume").includes("brick"));
});

Deno.test("mgmt/commands/help: one command, however much of a command line follows it", () => {
  for (const line of ["volume start", "volume start v1 force"]) {
    match(help(line), /^Usage: mortar volume start <VOLNAME> \[force\]$/m);
    match(help(line), /^ {2}force +Even so\.$/m);
    match(help(line), /^It takes a while\.$/m);
  }
  match(help("brick"), /^Usage: mortar brick/m);
});

Deno.test("mgmt/commands/help: what there is not is named, with the nearest", () => {
  throws(() => help("volmue"), /Cannot help with "volmue".*did you mean "volume"\?/);
  throws(() => help("volume strat"), /did you mean "volume start"\?/);
  throws(() => help("xyzzy"), /there is no such command; "mortar help" lists them/);
});

Deno.test("mgmt/commands/help: gluster's help has a line a command, and one a group without words", () => {
  match(glusterHelp(all.managed, ["volume"]), /^volume start <VOLNAME> \[force\] - start it$/m);
  match(glusterHelp(all.managed, []), /^ volume help +- /m);
});
