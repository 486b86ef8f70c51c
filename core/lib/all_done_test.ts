import { rejects, strictEqual as equal } from "node:assert/strict";
import { allDone } from "core/lib/all_done.ts";

Deno.test("core/lib/all_done: the first that failed is thrown, when all are over", async () => {
  const slow = Promise.withResolvers<void>();
  let over = false;
  const done = allDone([slow.promise, undefined, Promise.reject(new Error("second"))])
    .finally(() => over = true);
  const failed = rejects(done, /first/);
  await undefined;
  equal(over, false);
  slow.reject(new Error("first"));
  await failed;
  await allDone([undefined, Promise.resolve(1)]);
});
