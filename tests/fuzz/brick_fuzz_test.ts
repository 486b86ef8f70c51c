import { deepStrictEqual as deepEqual, ok } from "node:assert/strict";
import { fuzzBrick } from "tests/fuzz/brick_fuzz.ts";

// `deno task fuzz` runs 100,000 cases from a new seed each time.
for (const seed of [1, 20260]) {
  Deno.test(`rpc: 2,000 malformed records from seed ${seed} close their connections and no other`, async () => {
    const result = await fuzzBrick(seed, 2000);
    deepEqual(result.errors, []);
    ok(result.closed > 100, `${result.closed} connections closed`);
    ok(result.goodCalls >= 120);
    ok(result.growthBytes < 100 << 20, `grew by ${result.growthBytes} bytes`);
  });
}
