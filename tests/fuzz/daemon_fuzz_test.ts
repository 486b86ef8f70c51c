import { deepStrictEqual as deepEqual, ok } from "node:assert/strict";
import { fuzzDaemon } from "tests/fuzz/daemon_fuzz.ts";

// `deno task fuzz` runs more of them, from a new seed each time.
for (const seed of [3, 4]) {
  Deno.test(`mgmt: 2,000 malformed records from seed ${seed} close their connections and no other`, async () => {
    const result = await fuzzDaemon(seed, 2000);
    deepEqual(result.errors, []);
    ok(result.closed > 100, `${result.closed} connections closed`);
    ok(result.goodCalls > 40);
    ok(result.growthBytes < 100 << 20, `grew by ${result.growthBytes} bytes`);
  });
}
