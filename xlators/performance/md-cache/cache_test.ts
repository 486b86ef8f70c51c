import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import type { Iatt } from "core/iatt.ts";
import { type Gfid, Inode } from "core/inode.ts";
import { FakeClock } from "tests/fakes/clock.ts";
import { Cache } from "xlators/performance/md-cache/cache.ts";

const WHO = { uid: 0, gid: 0 };
const inodes = Array.from({ length: 32 }, (_, index) => new Inode(`inode-${index}` as Gfid));
const stat = { size: 1 } as Iatt;

function small(evicted: string[] = [], max: () => number = () => 16) {
  const cache = new Cache(
    new FakeClock(),
    (names) => evicted.push(...names.map(({ name }) => name)),
    max,
  );
  cache.timeoutMs = 1000;
  return cache;
}

Deno.test("md-cache, cache: inodes are bounded, the oldest go", () => {
  const cache = small();
  for (const inode of inodes) cache.keepStat(inode, stat, cache.ask());
  ok(cache.inodes <= 16);
  equal(cache.stat(inodes[0]!), undefined);
  ok(inodes.slice(30).some((inode) => cache.stat(inode)));
});

Deno.test("md-cache, cache: as soon as there is room for fewer, fewer are known", () => {
  let max = Infinity;
  const cache = small([], () => max), dir = inodes[0]!;
  for (const inode of inodes) cache.keepStat(inode, stat, cache.ask());
  for (const { gfid } of inodes) cache.keepName(dir, gfid, dir, WHO, cache.ask());
  deepEqual([cache.inodes, cache.names], [32, 32]);
  max = 8;
  cache.keepStat(new Inode("more" as Gfid), stat, cache.ask());
  cache.keepName(dir, "more", dir, WHO, cache.ask());
  ok(cache.inodes <= 8 && cache.names <= 8);
});

Deno.test("md-cache, cache: names are bounded, and who may rely on them hears which go", () => {
  const evicted: string[] = [];
  const cache = small(evicted);
  const dir = inodes[0]!;
  for (let i = 0; i < 20; i++) cache.keepName(dir, `n${i}`, inodes[1], WHO, cache.ask());
  ok(cache.names <= 16);
  deepEqual(evicted.slice(0, 2), ["n0", "n1"]);
  equal(cache.name(dir, "n0"), undefined);
  equal(cache.name(dir, "n19")?.inode, inodes[1]);
});

Deno.test("md-cache, cache: an inode that went while it changed does not keep what was asked before", () => {
  const cache = small();
  const [first] = inodes;
  const asked = cache.ask();
  const change = cache.change(first!);
  cache.changed(change);
  for (const inode of inodes.slice(1)) cache.keepStat(inode, stat, cache.ask());
  cache.keepStat(first!, stat, asked);
  equal(cache.stat(first!), undefined);
});

Deno.test("md-cache, cache: an inode that is changing is not forgotten", () => {
  const cache = small();
  const [first] = inodes;
  const change = cache.change(first!);
  for (const inode of inodes.slice(1)) cache.keepStat(inode, stat, cache.ask());
  cache.keepStat(first!, stat, cache.ask());
  equal(cache.stat(first!), undefined);
  cache.changed(change, stat);
  equal(cache.stat(first!), stat);
});

Deno.test("md-cache, cache: of two changes that crossed neither's attributes are kept", () => {
  const cache = small();
  const [first] = inodes;
  const one = cache.change(first!), other = cache.change(first!);
  equal(cache.changed(other, stat), false);
  equal(cache.changed(one, stat), false);
  equal(cache.stat(first!), undefined);
});
