import { deepStrictEqual as deepEqual } from "node:assert/strict";
import { countJunit, failedTests } from "./test.ts";

Deno.test("scripts/test: failures and disabled tests are not counted as passed", () => {
  const xml = `<testsuites name="deno test" tests="5" failures="1" errors="0">
    <testsuite name="a" tests="3" disabled="1" errors="0" failures="1"></testsuite>
    <testsuite name="b" tests="2" disabled="0" errors="0" failures="0"></testsuite>
  </testsuites>`;
  deepEqual(countJunit(xml), { passed: 3, failed: 1, skipped: 1 });
});

Deno.test("scripts/test: who failed is told by name, as it was written", () => {
  const xml = `<testsuite name="a" tests="3" disabled="1" errors="0" failures="1">
        <testcase name="a: &lt;b&gt; &amp;amp; &quot;c&quot;" classname="./a.ts" time="0.002" line="1">
            <failure message="Uncaught Error: x">Error: x</failure>
        </testcase>
        <testcase name="passed" classname="./a.ts" time="0.000" line="2" col="6">
        </testcase>
        <testcase name="ignored" classname="./a.ts" time="0.000" line="3" col="6">
            <skipped/>
        </testcase>
    </testsuite>`;
  deepEqual(failedTests(xml), ['a: <b> &amp; "c"']);
});
