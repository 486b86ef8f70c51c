/** The description of REST, judged by a validator that others wrote. */

import { ok } from "node:assert/strict";
import { MANAGED } from "mgmt/commands/mod.ts";
import { openApi } from "mgmt/http/openapi.ts";
import { run } from "tests/e2e/process.ts";

const VALIDATOR = "npm:@seriousme/openapi-schema-validator@2.11.0";
const APART = ["--quiet", "--no-config", "--no-lock"];

// It is fetched for this test only; without a package registry there is none.
const fetched = await run([Deno.execPath(), "cache", ...APART, VALIDATOR], { timeoutMs: 60_000 });

Deno.test({
  name: "mgmt/http: the description is right by OpenAPI 3.1's own rules",
  ignore: fetched.code !== 0,
  async fn() {
    const document = openApi(MANAGED) as Record<string, unknown>;
    const judge = async (what: unknown) => {
      const script = `import { Validator } from "${VALIDATOR}";
        const { valid, errors } = await new Validator().validate(${JSON.stringify(what)});
        if (!valid) { console.error(JSON.stringify(errors)); Deno.exit(1); }`;
      const path = await Deno.makeTempFile({ suffix: ".ts" });
      try {
        await Deno.writeTextFile(path, script);
        return await run([Deno.execPath(), "run", ...APART, "--no-check", "--allow-all", path]);
      } finally {
        await Deno.remove(path);
      }
    };
    const { code, err } = await judge(document);
    ok(code === 0, err);
    const { info: _info, ...headless } = document;
    ok((await judge(headless)).code !== 0);
  },
});
