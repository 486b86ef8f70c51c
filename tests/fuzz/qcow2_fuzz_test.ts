/** Spoiled images; `MORTAR_QCOW2_CASES=100000 MORTAR_QCOW2_SEED=1` for a longer run. */

import { deepStrictEqual as deepEqual, ok } from "node:assert/strict";
import { fuzzQcow2 } from "tests/fuzz/qcow2_fuzz.ts";

Deno.test("snapshot/qcow2: an image with wrong numbers is answered or refused, never worse", async () => {
  const cases = Number(Deno.env.get("MORTAR_QCOW2_CASES") ?? 2000);
  const seed = Number(Deno.env.get("MORTAR_QCOW2_SEED") ?? 1);
  const result = await fuzzQcow2(seed, cases);
  if (cases > 2000) Deno.stdout.writeSync(new TextEncoder().encode(JSON.stringify(result) + "\n"));
  deepEqual(result.errors.slice(0, 5), []);
  // Both ways were gone.
  ok(result.opened > cases / 20 && result.refused > cases / 20, JSON.stringify(result));
  ok(result.growthBytes < 96 << 20, `memory grew by ${result.growthBytes}`);
});
