import {
  deepStrictEqual as deepEqual,
  match,
  ok,
  strictEqual as equal,
  throws,
} from "node:assert/strict";
import { command, CommandError, helpOn, readCommandLine, UsageError } from "mgmt/cli/command.ts";

const paint = command({
  name: "paint",
  summary: "Paint a wall",
  description: ["It takes a while."],
  options: {
    colour: { short: "c", value: "NAME", required: true, help: "Which colour." },
    coat: { value: "TEXT", many: true, help: "One coat." },
    dry: { help: "Only say what would be done." },
  },
  examples: [{ what: "A red wall", line: "mortar paint -c red" }],
  run: () => Promise.resolve(0),
});
const commands = [paint];
const read = (...argv: string[]) => readCommandLine(commands, argv);

Deno.test("mgmt/cli: options arrive by name, repeated ones as a list, absent ones as undefined", () => {
  const request = read("paint", "-c", "red", "--coat", "a=1", "--coat=b", "--dry");
  equal(request.ask, "run");
  deepEqual(request.ask === "run" && { ...request.values as object }, {
    colour: "red",
    coat: ["a=1", "b"],
    dry: true,
  });
});

Deno.test("mgmt/cli: no word, --help and help ask for help on all", () => {
  for (const argv of [[], ["--help"], ["-h"], ["help"]]) deepEqual(read(...argv), { ask: "help" });
});

Deno.test("mgmt/cli: help on one command is asked before or after its name", () => {
  for (const argv of [["paint", "--help"], ["help", "paint"], ["paint", "-c", "x", "--help"]]) {
    deepEqual(read(...argv), { ask: "help", command: paint });
  }
});

Deno.test("mgmt/cli: an unknown command is refused with exit code 1 and says where to look", () => {
  throws(() => read("pain"), (error: CommandError) => {
    match(
      error.message,
      /^Cannot run "pain": there is no such command; "mortar --help" lists them$/,
    );
    return error.exitCode === 1;
  });
});

Deno.test("mgmt/cli: wrong options are refused with exit code 2, naming option and fault", () => {
  const cases: [string[], RegExp][] = [
    [["paint"], /-c, --colour NAME is missing/],
    [["paint", "-c", "red", "blue"], /"blue" is not expected here/],
    [["paint", "-c", "red", "--cost", "1"], /there is no option "--cost"/],
    [["paint", "-c"], /"-c" needs a value, NAME/],
    [["paint", "-c", "--dry"], /"-c" needs a value, NAME/],
    [["paint", "-c", "red", "--dry=1"], /"--dry" takes no value/],
    [["paint", "-c", "red", "-c", "blue"], /"-c" is given twice/],
    [["paint", "-c", "red", "--__proto__", "1"], /there is no option/],
  ];
  for (const [argv, fault] of cases) {
    throws(() => read(...argv), (error: UsageError) => {
      match(error.message, fault);
      match(error.message, /^Cannot run "mortar paint": .*; see "mortar paint --help"$/);
      return error.exitCode === 2;
    });
  }
});

Deno.test("mgmt/cli: help shows usage, every option and the examples, in 82 columns", () => {
  const text = helpOn(paint);
  match(text, /^Usage: mortar paint -c, --colour NAME \[OPTION…\]$/m);
  match(text, /^ {2}--coat TEXT +One coat\. May be repeated\.$/m);
  match(text, /^ {2}mortar paint -c red$/m);
  equal(text.split("\n").every((line) => line.length <= 82), true);
});

const wash = command({
  name: "pet wash",
  summary: "Wash pets",
  description: [],
  options: { hot: { help: "With hot water." } },
  operands: { label: "PET… TUB", min: 2, max: 3 },
  examples: [],
  run: () => Promise.resolve(0),
});

Deno.test("mgmt/cli: a command of a group is two words, and takes its operands in any place", () => {
  const request = readCommandLine([paint, wash], ["pet", "wash", "cat", "--hot", "-"]);
  ok(request.ask === "run" && request.command === wash);
  deepEqual(request.operands, ["cat", "-"]);
  deepEqual({ ...request.values as object }, { hot: true });
  match(helpOn(wash), /^Usage: mortar pet wash \[OPTION…\] PET… TUB$/m);
});

Deno.test("mgmt/cli: too few or too many operands are refused with exit code 2", () => {
  for (
    const [argv, fault] of [[["a"], /expected PET… TUB/], [
      ["a", "b", "c", "d"],
      /"d" is not/,
    ]] as const
  ) {
    throws(() => readCommandLine([wash], ["pet", "wash", ...argv]), (error: UsageError) => {
      match(error.message, fault);
      return error.exitCode === 2;
    });
  }
});

Deno.test("mgmt/cli: a group alone asks for help on its commands", () => {
  for (const argv of [["pet"], ["pet", "--help"], ["help", "pet"]]) {
    deepEqual(readCommandLine([paint, wash], argv), { ask: "help", group: "pet" });
  }
  deepEqual(readCommandLine([wash], ["help", "pet", "wash"]), { ask: "help", command: wash });
  throws(() => readCommandLine([wash], ["pet", "feed"]), /"mortar pet --help" lists them/);
});
