import { strictEqual as equal } from "node:assert/strict";
import { encodeName } from "core/lib/bytes.ts";
import { xxh64 } from "core/lib/xxh64.ts";

Deno.test("xxh64: published vectors of seed 0 come out", () => {
  // xxHash's own sanity test: a generated buffer, hashed at several sizes.
  const sanity = new Uint8Array(2048);
  let generator = 2654435761n;
  for (let i = 0; i < sanity.length; i++) {
    sanity[i] = Number(generator >> 56n);
    generator = (generator * 11400714785074694797n) & 0xffffffffffffffffn;
  }
  equal(xxh64(sanity.subarray(0, 0)), "ef46db3751d8e999");
  equal(xxh64(sanity.subarray(0, 1)), "e934a84adb052768");
  equal(xxh64(sanity.subarray(0, 4)), "9136a0dca57457ee");
  equal(xxh64(sanity.subarray(0, 14)), "8282dcc4994e35c8");
  equal(xxh64(sanity.subarray(0, 222)), "b641ae8cb691c174");
  equal(xxh64(encodeName("abc")), "44bc2cf5ad770999");
  equal(xxh64(encodeName("Nobody inspects the spammish repetition")), "fbcea83c8a378bf1");
});

Deno.test("xxh64: a name's hash is the one on a brick of GlusterFS 10.3", () => {
  // getfattr -d -m trusted.gfid2path of /z on a brick made by glusterfsd 10.3.
  equal(xxh64(encodeName("00000000-0000-0000-0000-000000000001/z")), "3a89212981c65827");
});
