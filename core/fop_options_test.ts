import { deepStrictEqual as deepEqual, strictEqual as equal, throws } from "node:assert/strict";
import { fopNamed, fops } from "core/fop_options.ts";

Deno.test("core/fop_options: fops go by both their names, in any case", () => {
  equal(fopNamed("readv"), "readv");
  equal(fopNamed("Read"), "readv");
  equal(fopNamed("COPY_FILE_RANGE"), "copyFileRange");
  equal(fopNamed("nonsense"), undefined);
});

Deno.test("core/fop_options: a list reads as it prints, and a wrong word is named", () => {
  const option = fops({ help: "" });
  const value = option.parse("lookup, WRITE");
  deepEqual(value, new Set(["lookup", "writev"]));
  deepEqual(option.parse(option.print(value)), value);
  deepEqual(option.parse(""), new Set());
  throws(() => option.parse("lookup,bogus"), /"bogus"/);
});
