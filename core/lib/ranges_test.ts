import { deepStrictEqual as deepEqual, strictEqual as equal, throws } from "node:assert/strict";
import { EINVAL } from "core/errno.ts";
import {
  join,
  LAST,
  overlaps,
  rangeOf,
  signedRangeOf,
  sizeOf,
  touches,
  without,
} from "core/lib/ranges.ts";

const invalid = (error: unknown) => EINVAL.matches(error);

Deno.test("core/lib: a range of size 0 reaches to infinity, and back", () => {
  deepEqual(rangeOf(5n, 0n), { start: 5n, end: LAST });
  equal(sizeOf(rangeOf(5n, 0n)), 0n);
  deepEqual(rangeOf(LAST - 1n, 0n), { start: LAST - 1n, end: LAST });
  deepEqual(rangeOf(10n, 4n), { start: 10n, end: 13n });
  equal(sizeOf(rangeOf(10n, 4n)), 4n);
});

Deno.test("core/lib: a range past 2^63 is refused", () => {
  throws(() => rangeOf(-1n, 1n), invalid);
  throws(() => rangeOf(0n, -1n), invalid);
  throws(() => rangeOf(LAST, 1n), invalid);
  throws(() => rangeOf(LAST + 1n, 0n), invalid);
  throws(() => rangeOf(1n, LAST), invalid);
  deepEqual(rangeOf(0n, LAST), { start: 0n, end: LAST - 1n });
});

Deno.test("core/lib: a negative size means the bytes before the start", () => {
  deepEqual(signedRangeOf(10n, -4n), { start: 6n, end: 9n });
  deepEqual(signedRangeOf(10n, (1n << 64n) - 4n), { start: 6n, end: 9n });
  throws(() => signedRangeOf(3n, -4n), invalid);
  throws(() => signedRangeOf(-3n, 4n), invalid);
  throws(() => signedRangeOf((1n << 64n) - 3n, 4n), invalid);
  throws(() => signedRangeOf(0n, -(1n << 63n)), invalid);
});

Deno.test("core/lib: neighbours touch but do not overlap", () => {
  const a = { start: 0n, end: 9n }, b = { start: 10n, end: 19n }, c = { start: 11n, end: 12n };
  equal(overlaps(a, b), false);
  equal(touches(a, b), true);
  equal(touches(b, a), true);
  equal(touches(a, c), false);
  equal(overlaps(b, c), true);
  deepEqual(join(b, a), { start: 0n, end: 19n });
});

Deno.test("core/lib: a cut leaves none, one or two ranges", () => {
  const whole = { start: 10n, end: 19n };
  deepEqual(without(whole, { start: 0n, end: LAST }), []);
  deepEqual(without(whole, { start: 10n, end: 19n }), []);
  deepEqual(without(whole, { start: 10n, end: 12n }), [{ start: 13n, end: 19n }]);
  deepEqual(without(whole, { start: 15n, end: LAST }), [{ start: 10n, end: 14n }]);
  deepEqual(without(whole, { start: 12n, end: 15n }), [
    { start: 10n, end: 11n },
    { start: 16n, end: 19n },
  ]);
  deepEqual(without(whole, { start: 20n, end: 30n }), [whole]);
});
