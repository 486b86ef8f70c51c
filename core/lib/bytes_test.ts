import { deepStrictEqual, strictEqual, throws } from "node:assert/strict";
import {
  dataRuns,
  decodeName,
  encodeName,
  equalBytes,
  fromHex,
  isZero,
  toHex,
} from "core/lib/bytes.ts";

Deno.test("core/lib/bytes: names that are UTF-8 read as they should", () => {
  for (
    const text of [
      "",
      "plain",
      "grün",
      "日本語",
      "🜁",
      "\u{feff}bom",
      "x".repeat(300),
      "ü".repeat(200),
    ]
  ) {
    strictEqual(decodeName(new TextEncoder().encode(text)), text);
    deepStrictEqual(encodeName(text), new TextEncoder().encode(text));
  }
});

Deno.test("core/lib/bytes: every byte and every pair of bytes survives the way to text and back", () => {
  for (let a = 0; a < 256; a++) {
    const one = Uint8Array.of(a);
    deepStrictEqual(encodeName(decodeName(one)), one);
    for (let b = 0; b < 256; b++) {
      const two = Uint8Array.of(a, b);
      if (!equalBytes(encodeName(decodeName(two)), two)) deepStrictEqual([a, b], "differs");
    }
  }
});

Deno.test("core/lib/bytes: random bytes survive the way to text and back, and no two share a text", () => {
  const texts = new Map<string, string>();
  for (let i = 0; i < 3000; i++) {
    const bytes = crypto.getRandomValues(new Uint8Array(i % 300));
    // Many lead and continuation bytes: sequences that are cut, overlong or surrogates.
    if (i % 2) bytes.forEach((byte, at) => bytes[at] = 0x80 | byte);
    const text = decodeName(bytes), hex = toHex(bytes);
    if (!equalBytes(encodeName(text), bytes)) deepStrictEqual(hex, "differs");
    strictEqual(texts.get(text) ?? hex, hex);
    texts.set(text, hex);
  }
});

Deno.test("core/lib/bytes: text between bytes that are none reads as it should", () => {
  const broken = new TextEncoder().encode("?ü日🜁?");
  broken[0] = 0xff;
  strictEqual(decodeName(broken), "\udcffü日🜁?");
  for (
    const edge of [
      "\u{80}",
      "\u{7ff}",
      "\u{800}",
      "\u{d7ff}",
      "\u{e000}",
      "\u{ffff}",
      "\u{10000}",
      "\u{10ffff}",
    ]
  ) {
    const bytes = new TextEncoder().encode(`?${edge}`);
    bytes[0] = 0x80;
    strictEqual(decodeName(bytes), `\udc80${edge}`);
  }
});

Deno.test("core/lib/bytes: a surrogate that was encoded as UTF-8 is bytes, not text", () => {
  const bytes = Uint8Array.of(0xed, 0xb2, 0x80); // U+DC80 in CESU style
  deepStrictEqual(encodeName(decodeName(bytes)), bytes);
});

Deno.test("core/lib/bytes: hexadecimal goes both ways and refuses the rest", () => {
  strictEqual(toHex(Uint8Array.of(0, 15, 255)), "000fff");
  deepStrictEqual(fromHex("000FfF"), Uint8Array.of(0, 15, 255));
  for (const wrong of ["0", "0g", "0x00", " 00"]) throws(() => fromHex(wrong), SyntaxError);
});

Deno.test("core/lib/bytes: bytes are compared by what they hold", () => {
  strictEqual(equalBytes(Uint8Array.of(1, 2), Uint8Array.of(0, 1, 2).subarray(1)), true);
  strictEqual(equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 3)), false);
  strictEqual(equalBytes(Uint8Array.of(1), Uint8Array.of(1, 2)), false);
});

Deno.test("core/lib/bytes: zeros are zeros wherever they begin, and one bit is none", () => {
  const all = new Uint8Array(64);
  for (let from = 0; from < 16; from++) {
    for (let to = from; to < 48; to++) strictEqual(isZero(all.subarray(from, to)), true);
  }
  for (let at = 3; at < 40; at++) {
    all[at] = 1;
    strictEqual(isZero(all.subarray(3, 40)), false, String(at));
    all[at] = 0;
  }
});

Deno.test("core/lib/bytes: runs of data are found between zeros, in steps", () => {
  const all = new Uint8Array(100);
  deepStrictEqual([...dataRuns(all, 16)], []);
  all[17] = all[47] = all[99] = 1;
  deepStrictEqual([...dataRuns(all, 16)], [{ start: 16, end: 48 }, { start: 96, end: 100 }]);
});
