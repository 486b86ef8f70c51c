import { ok, strictEqual as equal } from "node:assert/strict";
import { realRandom } from "core/env.ts";
import { parseGfid } from "core/inode.ts";
import { NewGfids } from "core/new_gfids.ts";

Deno.test("core/new_gfids: what is made in a row goes to few directories of handles, and to all over time", () => {
  const gfids = new NewGfids(realRandom);
  const made = Array.from({ length: 6400 }, () => gfids.next());
  equal(new Set(made).size, made.length);
  for (const gfid of made) equal(parseGfid(gfid), gfid);
  const places = made.map((gfid) => gfid.slice(0, 4));
  for (let from = 0; from < made.length; from += 64) {
    equal(new Set(places.slice(from, from + 64)).size, 1);
  }
  ok(new Set(places).size > 90, "a hundred rows begin in different directories");
});
