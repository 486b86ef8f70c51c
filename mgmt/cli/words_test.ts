import {
  deepStrictEqual as deepEqual,
  match,
  strictEqual as equal,
  throws,
} from "node:assert/strict";
import {
  choice,
  keyword,
  keywordOrBare,
  managed,
  type ManagedCommand,
  operands,
  optional,
  optionalChoice,
  volumeName,
  wholeNumber,
  word,
} from "mgmt/cli/managed.ts";
import {
  findCommand,
  nearest,
  readArguments,
  UnknownCommand,
  WrongArguments,
} from "mgmt/cli/words.ts";
import type { ArgumentTable } from "mgmt/cli/managed.ts";

function declared(path: string, args: ArgumentTable = {}): ManagedCommand {
  return managed({
    path,
    summary: path,
    args,
    scope: "nothing",
    rest: "GET /nothing",
    examples: [],
    apply: () => null,
    text: () => "",
    xml: () => [],
  });
}

const commands = ["volume start", "volume stop", "volume info", "volume set", "volume set help"]
  .map((path) => declared(path)).concat(declared("peer status"));
const find = (line: string) => {
  const { command, rest } = findCommand(commands, line.split(" "));
  return [command.path, ...rest];
};

Deno.test("mgmt/cli/words: words of a command may be shortened while they are clear", () => {
  deepEqual(find("vol info v1"), ["volume info", "v1"]);
  deepEqual(find("p s"), ["peer status"]);
  deepEqual(find("volume sta v1"), ["volume start", "v1"]);
});

Deno.test("mgmt/cli/words: after a whole command only a whole word makes a longer one", () => {
  deepEqual(find("volume set help"), ["volume set help"]);
  deepEqual(find("volume set he"), ["volume set", "he"]);
});

Deno.test("mgmt/cli/words: a word that no command has is named with its place and the nearest", () => {
  const cases: [string, number | undefined, RegExp][] = [
    ["foo", 0, /^Cannot run "foo": there is no such command; "mortar help" lists/],
    ["file ls", 0, /^Cannot run "file" after other options: .* "mortar file …"$/],
    ["brik", 0, /did you mean "brick"\?/],
    ["volume st v1", 1, /"volume st"/],
    ["volume strat v1", 1, /did you mean "volume start"\?/],
    ["volume", undefined, /^Cannot run "volume": more words are needed/],
    [" ", 0, /there is no such command/],
  ];
  for (const [line, position, text] of cases) {
    throws(() => find(line), (error: UnknownCommand) => {
      match(error.message, text);
      return error instanceof UnknownCommand && error.position === position;
    });
  }
});

Deno.test("mgmt/cli/words: the nearest word is one or two letters away, not more", () => {
  equal(nearest("volmue", ["volume", "peer"]), "volume");
  equal(nearest("xyz", ["volume", "peer"]), undefined);
  equal(nearest("pee", ["peer", "pool"]), "peer");
});

const brick = (text: string) => {
  if (!/^\w+:\//.test(text)) throw new RangeError("expected HOST:/PATH");
  return text;
};
const create = declared("volume create", {
  volume: volumeName,
  replica: keyword("replica", "<COUNT>", { help: "", parse: wholeNumber }),
  disperse: keywordOrBare("disperse", "<COUNT>", 0, { help: "", parse: wholeNumber }),
  bricks: operands("<BRICK>", { help: "", parse: brick }),
  force: word("force", ""),
});
const read = (command: ManagedCommand, line: string) => ({
  ...readArguments(command, line.split(" ").filter((each) => each)),
});

Deno.test("mgmt/cli/words: keywords and words stand anywhere after the first operands", () => {
  const wanted = {
    volume: "v",
    replica: 2,
    disperse: undefined,
    bricks: ["a:/b", "a:/c"],
    force: true,
  };
  deepEqual(read(create, "v replica 2 a:/b a:/c force"), wanted);
  deepEqual(read(create, "v a:/b force replica 2 a:/c"), wanted);
});

Deno.test("mgmt/cli/words: a volume may be called like a word of the command", () => {
  deepEqual(read(create, "force a:/b force"), {
    volume: "force",
    replica: undefined,
    disperse: undefined,
    bricks: ["a:/b"],
    force: true,
  });
});

Deno.test("mgmt/cli/words: a keyword that may stand alone does so before what is no value", () => {
  equal(read(create, "v disperse a:/b")["disperse"], 0);
  equal(read(create, "v disperse 6 a:/b")["disperse"], 6);
});

const status = declared("volume status", {
  volume: optional("[<VOLNAME>]", { help: "" }),
  brick: optional("[<BRICK>]", { help: "", parse: brick }),
  what: optionalChoice(["detail", "mem"], ""),
});

Deno.test("mgmt/cli/words: an operand that may be missing is passed over for a later one", () => {
  deepEqual(read(status, "v detail"), { volume: "v", brick: undefined, what: "detail" });
  deepEqual(read(status, "v h:/b mem"), { volume: "v", brick: "h:/b", what: "mem" });
  deepEqual(read(status, ""), { volume: undefined, brick: undefined, what: undefined });
});

const locks = declared("volume clear-locks", {
  volume: volumeName,
  kind: keyword("kind", "<KIND>", { help: "" }),
  type: choice(["inode", "entry"], ""),
});

Deno.test("mgmt/cli/words: a keyword may stand before a required operand that it is not right for", () => {
  deepEqual(read(locks, "v kind all inode"), { volume: "v", kind: "all", type: "inode" });
});

Deno.test("mgmt/cli/words: wrong arguments say which, why and how it is used", () => {
  const cases: [ManagedCommand, string, RegExp, boolean][] = [
    [create, "", /<VOLNAME> is missing/, false],
    [create, "v", /<BRICK> is missing/, false],
    [create, "v replica", /a value is missing: replica <COUNT>/, false],
    [create, "v replica x a:/b", /"x" for replica <COUNT>: expected a whole number/, true],
    [create, "v foo", /"foo" for <BRICK>: expected HOST:\/PATH/, true],
    [create, "v a:/b force force", /"force" for <BRICK>/, true],
    [status, "v detail mem", /"mem" is not expected here/, false],
    [status, "v foo", /"foo" for \[<BRICK>\]: expected HOST/, true],
  ];
  for (const [command, line, text, value] of cases) {
    throws(() => read(command, line), (error: WrongArguments) => {
      match(error.message, text);
      match(error.message, /^Cannot run "volume [a-z-]+": .*; usage: volume /);
      equal(error.value, value);
      return error.exitCode === 2;
    });
  }
});
