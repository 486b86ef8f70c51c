import { deepStrictEqual, strictEqual, throws } from "node:assert/strict";
import {
  bool,
  duration,
  findOption,
  int,
  list,
  oneOf,
  optionalText,
  OptionError,
  type OptionSpec,
  readOptions,
  shareOrSize,
  size,
  text,
} from "core/options.ts";

const help = "";

// Texts and the values they spell; undefined: refused.
function expectAll<T>(spec: OptionSpec<T>, texts: Readonly<Record<string, T | undefined>>): void {
  for (const [given, expected] of Object.entries(texts)) {
    if (expected === undefined) throws(() => spec.parse(given), RangeError, given);
    else {
      deepStrictEqual(spec.parse(given), expected, given);
      deepStrictEqual(spec.parse(spec.print(expected)), expected, `${given}, printed`);
    }
  }
}

Deno.test("core/options: bool takes GlusterFS's words", () => {
  expectAll(bool({ default: false, help }), {
    on: true,
    Yes: true,
    TRUE: true,
    enable: true,
    "1": true,
    off: false,
    no: false,
    disable: false,
    "0": false,
    maybe: undefined,
    "": undefined,
    "2": undefined,
  });
});

Deno.test("core/options: int keeps its bounds", () => {
  expectAll(int({ default: 5, min: 1, max: 64, help }), {
    "1": 1,
    "64": 64,
    "+7": 7,
    "0": undefined,
    "65": undefined,
    "1.5": undefined,
    "0x10": undefined,
    "": undefined,
    "-3": undefined,
    ["9".repeat(30)]: undefined,
  });
  expectAll(int({ default: 0, help }), { "-3": -3, "9007199254740993": undefined });
});

Deno.test("core/options: size knows units and bounds", () => {
  expectAll(size({ default: 0, help, max: 2 ** 40 }), {
    "512": 512,
    "1KB": 1024,
    "1k": 1024,
    "2MiB": 2 << 20,
    "1.5GB": 1.5 * 2 ** 30,
    "1 TB": 2 ** 40,
    "2TB": undefined,
    "-1": undefined,
    "1XB": undefined,
    "KB": undefined,
    "": undefined,
  });
});

Deno.test("core/options: duration knows units and parts of a second", () => {
  expectAll(duration({ default: 0, help, max: 604800 }), {
    "10": 10,
    "10s": 10,
    "5min": 300,
    "2hr": 7200,
    "1days": 86400,
    "1wk": 604800,
    "250ms": 0.25,
    "2wk": undefined,
    "1year": undefined,
    "": undefined,
    "-1": undefined,
  });
});

Deno.test("core/options: a share is percent up to 100, else a size", () => {
  expectAll(shareOrSize({ default: { percent: 1 }, help }), {
    "5%": { percent: 5 },
    "5": { percent: 5 },
    "0": { percent: 0 },
    "100": { percent: 100 },
    "1GB": { bytes: 2 ** 30 },
    "101": { bytes: 101 },
    "": undefined,
    "half": undefined,
  });
});

Deno.test("core/options: choices, lists and texts", () => {
  const choice = oneOf(["off", "file", "forced"], { default: "off", help });
  expectAll<string>(choice, { FILE: "file", forced: "forced", optimal: undefined, "": undefined });
  expectAll<readonly string[]>(list({ default: [], help }), {
    "a,b": ["a", "b"],
    " a b , c ": ["a", "b", "c"],
    "": [],
  });
  expectAll(text({ default: "", help }), { "a b": "a b", "": "" });
  deepStrictEqual(optionalText({ help }).default, undefined);
});

const TABLE = {
  size: size({ default: 7, help, volumeKey: "x.size", live: false }),
  "auth.addr.*.allow": list({ default: [], help }),
  "*-limit": int({ default: 0, help }),
};

Deno.test("core/options: what is not given has its default, star keys an empty map", () => {
  deepStrictEqual(readOptions(TABLE, new Map()), {
    size: 7,
    "auth.addr.*.allow": new Map(),
    "*-limit": new Map(),
  });
});

Deno.test("core/options: star keys collect what stood for the star", () => {
  const values = readOptions(
    TABLE,
    new Map([
      ["auth.addr./bricks/a.allow", "10.*"],
      ["auth.addr./b.allow", "*"],
      ["trace-limit", "4"],
      ["size", "1KB"],
    ]),
  );
  deepStrictEqual(values["auth.addr.*.allow"], new Map([["/bricks/a", ["10.*"]], ["/b", ["*"]]]));
  deepStrictEqual(values["*-limit"], new Map([["trace", 4]]));
  strictEqual(values.size, 1024);
});

Deno.test("core/options: unknown names are told, wrong values name their option", () => {
  const unknown: string[] = [];
  readOptions(TABLE, new Map([["sise", "1"], ["toString", "1"]]), (name) => unknown.push(name));
  deepStrictEqual(unknown, ["sise", "toString"]);
  throws(() => readOptions(TABLE, new Map([["size", "big"]])), (error) => {
    return error instanceof OptionError && error.option === "size" &&
      error.message.startsWith('option "size": expected a size');
  });
});

Deno.test("core/options: a name fits a star only if something stands for it", () => {
  deepStrictEqual(findOption(TABLE, "auth.addr.x.allow"), { key: "auth.addr.*.allow", star: "x" });
  strictEqual(findOption(TABLE, "auth.addr..allow"), undefined);
  strictEqual(findOption(TABLE, "auth.addr.allow"), undefined);
  strictEqual(findOption(TABLE, "auth.addr.*.allow")?.star, "*");
  strictEqual(findOption(TABLE, "none"), undefined);
});
