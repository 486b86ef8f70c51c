import { deepStrictEqual as deepEqual } from "node:assert/strict";
import { checkImports, importsOf } from "./imports.ts";

Deno.test("scripts/imports: mapped and relative imports are found, type imports among them", () => {
  const text =
    'import { a } from "core/a.ts";\nimport type { B } from "./b.ts";\nimport x from "node:fs";\n';
  deepEqual(importsOf("rpc/c.ts", text), ["core/a.ts", "rpc/b.ts"]);
});

Deno.test("scripts/imports: arrows in this tree only point down", () =>
  deepEqual(checkImports(), []));
