/** Spoiled images; `deno task fuzz:qcow2` is the longer run. */

import { deepStrictEqual as deepEqual, ok } from "node:assert/strict";
import { fuzzQcow2 } from "tests/fuzz/qcow2_fuzz.ts";

Deno.test("snapshot/qcow2: an image with wrong numbers is answered or refused, never worse", async () => {
  const cases = 2000;
  const result = await fuzzQcow2(1, cases);
  deepEqual(result.errors.slice(0, 5), []);
  // Both ways were gone.
  ok(result.opened > cases / 20 && result.refused > cases / 20, JSON.stringify(result));
  ok(result.growthBytes < 192 << 20, `memory grew by ${result.growthBytes}`);
});
