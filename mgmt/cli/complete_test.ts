import { deepStrictEqual as deepEqual, match, ok } from "node:assert/strict";
import { completions } from "mgmt/cli/complete.ts";
import { command } from "mgmt/cli/command.ts";
import {
  choice,
  keyword,
  managed,
  operand,
  operands,
  optional,
  optionalChoice,
  volumeName,
  word,
} from "mgmt/cli/managed.ts";

const common = {
  summary: "does it",
  scope: "nothing",
  rest: "GET /x",
  examples: [],
  apply: () => null,
  text: () => "",
  xml: () => [],
} as const;

const all = {
  local: [
    command({
      name: "file put",
      summary: "Copy",
      description: [],
      options: { recursive: { help: "All of it." } },
      operands: { label: "SOURCE", min: 1 },
      examples: [],
      run: () => Promise.resolve(0),
    }),
  ],
  managed: [
    managed({
      ...common,
      path: "volume start",
      args: { volume: volumeName, force: word("force", "") },
    }),
    managed({
      ...common,
      path: "volume create",
      args: {
        name: operand("<NEW>", { help: "" }),
        replica: keyword("replica", "<COUNT>", { help: "", offers: ["2", "3"] }),
        bricks: operands("<BRICK>", { help: "" }),
        force: word("force", ""),
      },
    }),
    managed({
      ...common,
      path: "volume status",
      args: {
        volume: optional("[<VOLNAME>]", { help: "" }),
        what: optionalChoice(["detail", "mem"], ""),
      },
    }),
    managed({
      ...common,
      path: "volume profile",
      args: { volume: volumeName, op: choice(["start", "stop"], "") },
    }),
  ],
};

// No daemon is there: names of volumes are not offered.
async function complete(line: string): Promise<string[]> {
  const words = ["--socket", "/nonexistent", ...line.split(" ")];
  return (await completions(all, words)).map((each) => each.split("\t")[0]!);
}

Deno.test("mgmt/cli/complete: words of commands, local and managed", async () => {
  deepEqual(await complete("vol"), ["volume"]);
  deepEqual(await complete("volume st"), ["start", "status"]);
  deepEqual(await complete("help volume p"), ["profile"]);
  deepEqual(await completions(all, ["file", ""]), ["put\tCopy"]);
  deepEqual(await completions(all, ["file", "put", "--"]), ["--recursive\tAll of it."]);
  deepEqual(await completions(all, ["file", "put", ""]), []);
});

Deno.test("mgmt/cli/complete: arguments where they may stand, each once", async () => {
  deepEqual(await complete("volume start "), []);
  deepEqual(await complete("volume start v1 "), ["force"]);
  deepEqual(await complete("volume start v1 force "), []);
  deepEqual(await complete("volume create v1 "), ["replica", "force"]);
  deepEqual(await complete("volume create v1 replica "), ["2", "3"]);
  deepEqual(await complete("volume create v1 replica 2 h:/b "), ["force"]);
  deepEqual(await complete("volume status "), ["detail", "mem"]);
  deepEqual(await complete("volume status v1 d"), ["detail"]);
  deepEqual(await complete("volume profile v1 "), ["start", "stop"]);
});

Deno.test("mgmt/cli/complete: options of the command line, and no failure on strange ones", async () => {
  const options = await complete("volume start v1 --");
  ok(options.includes("--xml") && options.includes("--mode=script"));
  ok(!options.includes("--glusterd-sock="));
  deepEqual(await complete("--timeout=x volume "), []);
  match((await completions(all, [""])).join("\n"), /^help\tTell of the commands$/m);
});
