import { deepStrictEqual as deepEqual, ok } from "node:assert/strict";
import { decodeName, encodeName } from "core/lib/bytes.ts";
import { shownNames } from "xlators/features/qcow2/names.ts";

function shown(...names: string[]): string[] {
  return [...shownNames(names.map((name, index) => ({ id: `${index + 1}`, name }))).keys()];
}

Deno.test("features/qcow2: names that files can have are shown as they are", () => {
  deepEqual(shown("before upgrade", "größe", "a#b", ".x"), [
    "before upgrade",
    "größe",
    "a#b",
    ".x",
  ]);
});

Deno.test("features/qcow2: what no file's name can have is spelled in hexadecimal digits", () => {
  deepEqual(shown("a/b", "50%", "a\nb\0", ".", ".."), [
    "a%2Fb",
    "50%25",
    "a%0Ab%00",
    "%2E",
    "%2E.",
  ]);
});

Deno.test("features/qcow2: bytes that are no text are kept", () => {
  const [name] = shown(decodeName(Uint8Array.of(0x61, 0xff, 0x2f)));
  deepEqual(encodeName(name!), Uint8Array.of(0x61, 0xff, 0x25, 0x32, 0x46));
});

Deno.test("features/qcow2: a name that several have, or none, gets its id", () => {
  deepEqual(shown("a", "b", "a", ""), ["a%#1", "b", "a%#3", "%#4"]);
  // The id may be the same, too.
  const twice = [{ id: "1", name: "a" }, { id: "1", name: "a" }];
  deepEqual([...shownNames(twice).keys()], ["a%#1", "a%#1%#2"]);
  // A name that looks like such a one is another.
  deepEqual(shown("a", "a", "a%#1"), ["a%#1", "a%#2", "a%25#1"]);
});

Deno.test("features/qcow2: long names are cut, not within a character", () => {
  const names = shown("é".repeat(300), "é".repeat(301), "/".repeat(255));
  for (const name of names) ok(encodeName(name).length <= 255 && name.isWellFormed(), name);
  ok(names[2]!.endsWith("%2F%#3"));
});
