import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { hashBytes, NameHash, RSYNC_PATTERN } from "xlators/cluster/distribute/hash.ts";
import { Layout, newLayout, parseShare, printShare } from "xlators/cluster/distribute/layout.ts";
import { fromHex, toHex } from "core/lib/bytes.ts";

// Made by GlusterFS 10.3: `glusterfs -f client.vol mnt` with cluster/distribute over three
// glusterfsd bricks, `mkdir`s and `touch`es in mnt, then on each brick
// `getfattr --only-values -n trusted.glusterfs.dht DIR | xxd -p` and `find . -type f`.
const NAMES = ["d-client-0", "d-client-1", "d-client-2"];
const LAYOUTS: readonly (readonly [string, readonly string[]])[] = [
  ["/a", [
    "00000000000000000000000055555554",
    "000000000000000055555555aaaaaaa9",
    "0000000000000000aaaaaaaaffffffff",
  ]],
  ["/b", [
    "00000000000000000000000055555554",
    "000000000000000055555555aaaaaaa9",
    "0000000000000000aaaaaaaaffffffff",
  ]],
  ["/c", [
    "000000000000000055555555aaaaaaa9",
    "0000000000000000aaaaaaaaffffffff",
    "00000000000000000000000055555554",
  ]],
  ["/sub/deep", [
    "000000000000000055555555aaaaaaa9",
    "0000000000000000aaaaaaaaffffffff",
    "00000000000000000000000055555554",
  ]],
  ["/ünï", [
    "000000000000000055555555aaaaaaa9",
    "0000000000000000aaaaaaaaffffffff",
    "00000000000000000000000055555554",
  ]],
];
const ROOT = [
  "0000000100000000aaaaaaaaffffffff",
  "00000001000000000000000055555554",
  "000000010000000055555555aaaaaaa9",
];
const FILES = [
  "file6 file22 file23 file30 .x.tmp.1 file5 file21 file20 file15 file26 file8 file14 ünï",
  "file10 renamed2 file7 renamed1 file18 file4 .foo.abc file12 foo file13 file28 file9 a c file3",
  "file11 file24 file17 file25 file19 file16 renamed3 file29 größe file27 b sub file1 file2",
];

Deno.test("cluster/distribute: hashes of known names are GlusterFS's", () => {
  const hex = (text: string) => hashBytes(new TextEncoder().encode(text)).toString(16);
  equal(hex("file1"), "a787fa82");
  equal(hex("foo"), "b55ac76");
});

Deno.test("cluster/distribute: names belong where a real client put them", () => {
  const layout = new Layout(ROOT.map((hex) => parseShare(fromHex(hex))));
  const hash = new NameHash([new RegExp(RSYNC_PATTERN)]);
  equal(layout.whole, true);
  for (const [index, names] of FILES.entries()) {
    for (const name of names.split(" ")) equal(layout.find(hash.of(name)), index, name);
  }
});

Deno.test("cluster/distribute: new directories get the layouts that a real client wrote", () => {
  const hash = new NameHash([new RegExp(RSYNC_PATTERN)]);
  for (const [path, shares] of LAYOUTS) {
    const made = newLayout({
      names: NAMES,
      weights: [1, 1, 1],
      seed: hash.of(path),
      commit: 0,
    });
    deepEqual(made.shares.map((share) => toHex(printShare(share!))), shares, path);
  }
});

Deno.test("cluster/distribute: the first expression that fits says what of a name is hashed", () => {
  const hash = new NameHash([/^(.+)~$/, new RegExp(RSYNC_PATTERN)]);
  equal(hash.reduced(".foo.abc"), "foo");
  equal(hash.reduced("foo~"), "foo");
  equal(hash.reduced(".foo.abc~"), ".foo.abc");
  equal(hash.reduced(".foo"), ".foo");
  equal(hash.reduced("foo"), "foo");
});

Deno.test("cluster/distribute: layouts with holes or overlaps are not whole", () => {
  const layout = (...ranges: [number, number][]) =>
    new Layout(ranges.map(([start, stop]) => ({ commit: 0, start, stop })));
  equal(layout([0, 0xffffffff]).whole, true);
  equal(layout([0x80000000, 0xffffffff], [0, 0x7fffffff], [0, 0]).whole, true);
  equal(layout([0, 5], [7, 0xffffffff]).whole, false);
  equal(layout([0, 7], [7, 0xffffffff]).whole, false);
  equal(layout([0, 0xfffffffe]).whole, false);
  equal(layout([1, 0xffffffff]).whole, false);
  equal(new Layout([undefined]).whole, false);
});

Deno.test("cluster/distribute: what is no share is not read as one", () => {
  equal(parseShare(new Uint8Array(15)), undefined);
  equal(parseShare(fromHex("00000000000000090000000000000001")), undefined);
  equal(parseShare(fromHex("00000000000000000000000200000001")), undefined);
});

Deno.test("cluster/distribute: ranges follow the weights, and who may not be used gets none", () => {
  const names = ["v-client-0", "v-client-1", "v-client-10", "v-client-2"];
  const made = newLayout({ names, weights: [1, 2, 0, 1], seed: 0, commit: 1 });
  equal(made.whole, true);
  equal(made.has(2), false);
  const sizes = made.shares.map((share) => share!.stop - share!.start);
  equal(Math.round(sizes[1]! / sizes[0]!), 2);
});
