import { deepStrictEqual as deepEqual } from "node:assert/strict";
import { countJunit } from "./test.ts";

Deno.test("scripts/test: failures and disabled tests are not counted as passed", () => {
  const xml = `<testsuites name="deno test" tests="5" failures="1" errors="0">
    <testsuite name="a" tests="3" disabled="1" errors="0" failures="1"></testsuite>
    <testsuite name="b" tests="2" disabled="0" errors="0" failures="0"></testsuite>
  </testsuites>`;
  deepEqual(countJunit(xml), { passed: 3, failed: 1, skipped: 1 });
});
