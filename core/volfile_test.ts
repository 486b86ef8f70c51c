import { deepStrictEqual, strictEqual, throws } from "node:assert/strict";
import { parseVolfile, printVolfile, VOLFILE_MAX, type VolumeBlock } from "core/volfile.ts";

const TEXT = `# a brick
volume posix
    type storage/posix
    option directory /bricks/a b   # two words
    option volume-id "with  two blanks"
    option shard a#b
end-volume

VOLUME top
    Type features/read-only
    option empty ""
    subvolumes posix
END-VOLUME
`;

Deno.test("core/volfile: blocks, options, subvolumes, comments and quotes are read", () => {
  deepStrictEqual(parseVolfile(TEXT), [
    {
      name: "posix",
      type: "storage/posix",
      options: new Map([
        ["directory", "/bricks/a b"],
        ["volume-id", "with  two blanks"],
        ["shard", "a#b"],
      ]),
      subvolumes: [],
      line: 2,
    },
    {
      name: "top",
      type: "features/read-only",
      options: new Map([["empty", ""]]),
      subvolumes: ["posix"],
      line: 9,
    },
  ]);
});

Deno.test("core/volfile: an empty text has no blocks", () => {
  deepStrictEqual(parseVolfile(""), []);
  deepStrictEqual(parseVolfile("\n # nothing\n\t\r\n"), []);
});

Deno.test("core/volfile: blanks of any kind separate words", () => {
  const [block] = parseVolfile("volume\ta\r\n\ftype\u00a0x/y\r\nend-volume\v\r\n");
  deepStrictEqual([block?.name, block?.type], ["a", "x/y"]);
});

Deno.test("core/volfile: errors name the line", () => {
  const wrong: [string, RegExp][] = [
    ["volume a\nvolume b\n", /line 2: "volume" inside volume "a" \(line 1\)/],
    ["volume\n", /line 1: expected "volume NAME"/],
    ["volume a b\n", /line 1: expected "volume NAME"/],
    ["\ntype x/y\n", /line 2: "type" outside of a volume/],
    ["volume a\ntype\n", /line 2: expected "type/],
    ["volume a\ntype x/y\ntype x/z\n", /line 3: volume "a" has two types/],
    ["volume a\noption key\n", /line 2: expected "option KEY VALUE" in volume "a"/],
    ["volume a\ntype x/y\nsubvolumes\n", /line 3: "subvolumes" without names/],
    [
      "volume a\ntype x/y\nsubvolumes b\nsubvolumes c\n",
      /line 4: volume "a" has two lines of subvolumes; name all of them in one$/,
    ],
    ["\x1b[2J\x01 a\n", /line 1: "\?\[2J\?" outside of a volume$/],
    ["volume a\nend-volume\n", /line 2: volume "a" has no type/],
    ["volume a\nnonsense\n", /line 2: unknown word "nonsense" in volume "a"/],
    ['volume a\noption k "open\n', /line 2: a quote is not closed/],
    ["\n\nvolume a\ntype x/y\n", /volume "a" \(line 3\) has no "end-volume"/],
  ];
  for (const [text, message] of wrong) {
    throws(() => parseVolfile(text), (error) => {
      strictEqual(error instanceof SyntaxError && message.test(error.message), true, String(error));
      return true;
    });
  }
});

Deno.test("core/volfile: a text that is too large is refused", () => {
  throws(() => parseVolfile("#".repeat(VOLFILE_MAX + 1)), /larger than 16 MiB/);
});

Deno.test("core/volfile: what is printed reads as it was", () => {
  let seed = 1;
  const below = (count: number) => (seed = seed * 48271 % 0x7fffffff) % count;
  const alphabet = 'ab/- "#\\\tü=%.\u00a0\r'.split("");
  const word = (least: number) =>
    Array.from({ length: least + below(8) }, () => alphabet[below(alphabet.length)]).join("");
  for (let round = 0; round < 500; round++) {
    const names = [...new Set(Array.from({ length: 1 + below(4) }, () => word(1)))];
    const blocks: VolumeBlock[] = names.map((name, i) => ({
      name,
      type: word(1),
      options: new Map(Array.from({ length: below(4) }, () => [word(1), word(0)])),
      subvolumes: names.slice(0, i),
      line: 0,
    }));
    const read = parseVolfile(printVolfile(blocks)).map((block) => ({ ...block, line: 0 }));
    deepStrictEqual(read, blocks, printVolfile(blocks));
  }
});

Deno.test("core/volfile: a line break, and what GlusterFS would run, cannot be printed", () => {
  const print = (key: string, value: string, name = "a") =>
    printVolfile([{
      name,
      type: "x/y",
      options: new Map([[key, value]]),
      subvolumes: [],
      line: 0,
    }]);
  print("k", "a b");
  throws(() => print("k", "a\nb"), RangeError);
  for (const text of ["`id`", "a`id`", "a `id`", '"`']) {
    throws(() => print("k", text), /backtick/);
    throws(() => print(text, "v"), /backtick/);
    throws(() => print("k", "v", text), /backtick/);
  }
});
