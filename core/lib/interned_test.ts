import { strictEqual as equal, throws } from "node:assert/strict";
import { decodeName, encodeName } from "core/lib/bytes.ts";
import { interned } from "core/lib/interned.ts";

Deno.test("core/lib/interned: what came before is not made again, and is never taken for another", () => {
  const words = Array.from({ length: 20_000 }, (_, i) => `trusted.name-${i}`);
  for (const word of words) {
    const bytes = encodeName(`..${word}.`);
    const made = () => interned(bytes, 2, word.length, decodeName);
    equal(made(), word);
    equal(interned(bytes, 2, word.length, () => "made again"), word);
    bytes[2] = 0x54;
    equal(made(), `T${word.slice(1)}`);
  }
  const long = "x".repeat(97);
  equal(interned(encodeName(long), 0, 97, decodeName), long);
  equal(interned(new Uint8Array(), 0, 0, decodeName), "");
});

Deno.test("core/lib/interned: what was refused is refused again", () => {
  const refuse = () => {
    throw new SyntaxError("no name");
  };
  for (let i = 0; i < 2; i++) {
    throws(() => interned(encodeName("refused"), 0, 7, refuse), SyntaxError);
  }
});
