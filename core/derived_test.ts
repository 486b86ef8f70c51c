import { strictEqual as equal } from "node:assert/strict";
import { Derived } from "core/derived.ts";
import { str, Xdata } from "core/xdata.ts";

Deno.test("core/derived: what was made of the last two dictionaries is not made again", () => {
  let made = 0;
  const sizes = new Derived((of) => {
    made++;
    return of?.size ?? 0;
  });
  const one = Xdata.of([["a", str("1")]]), two = one.merged(Xdata.of([["b", str("2")]]));
  for (let i = 0; i < 3; i++) {
    equal(sizes.of(one), 1);
    equal(sizes.of(two), 2);
  }
  equal(made, 2);
  equal(sizes.of(undefined), 0);
  equal(sizes.of(two), 2);
  equal(made, 3);
  equal(sizes.of(one), 1);
  equal(made, 4);
});
