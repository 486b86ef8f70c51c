import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { type Iatt, S_IFDIR, S_IFREG } from "core/iatt.ts";
import { Xdata } from "core/xdata.ts";
import { STAT } from "tests/fakes/locks_layer.ts";
import {
  blamedCopies,
  type Counts,
  countsBytes,
  isSplitBrain,
  judge,
  type Marks,
  marksIn,
  marksToAdd,
  NO_COUNTS,
  parseCounts,
  tellSame,
  type Witness,
} from "xlators/cluster/replicate/blame.ts";

const KEYS = { pending: ["trusted.afr.v-0", "trusted.afr.v-1"], dirty: "trusted.afr.dirty" };

/** A copy that blames others as `blames` says: "d", "m", "e" per copy. */
function marks(...blames: string[]): Marks {
  const counts = (text: string): Counts => ({
    data: text.includes("d") ? 1 : 0,
    metadata: text.includes("m") ? 1 : 0,
    entry: text.includes("e") ? 1 : 0,
  });
  return { blames: blames.map(counts), dirty: NO_COUNTS };
}

function witness(told: Marks, over: Partial<Iatt> = {}): Witness {
  return { stat: { ...STAT, mode: S_IFREG | 0o644, ...over }, marks: told };
}

const CALM = { busy: false };

Deno.test("cluster/replicate blame: counts are three big-endian numbers, as GlusterFS stores them", () => {
  const bytes = Uint8Array.of(0, 0, 0, 1, 0, 0, 1, 0, 0xff, 0xff, 0xff, 0xff);
  const counts = { data: 1, metadata: 256, entry: -1 };
  deepEqual(parseCounts(bytes), counts);
  deepEqual(countsBytes(counts), bytes);
  deepEqual(countsBytes({ entry: 1 }), Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1));
});

Deno.test("cluster/replicate blame: missing and short attributes count as 0", () => {
  deepEqual(parseCounts(undefined), NO_COUNTS);
  deepEqual(parseCounts(new Uint8Array(0)), NO_COUNTS);
  deepEqual(parseCounts(Uint8Array.of(0, 0, 0, 2, 1)), { data: 2, metadata: 0, entry: 0 });
});

Deno.test("cluster/replicate blame: what is to be added reads back", () => {
  const xdata = marksToAdd(KEYS, [undefined, { data: 1 }], { data: -1 });
  const { blames, dirty } = marksIn(xdata, KEYS);
  deepEqual(blames, [NO_COUNTS, { data: 1, metadata: 0, entry: 0 }]);
  equal(dirty.data, -1);
  deepEqual([...marksToAdd(KEYS, []).names()], KEYS.pending);
  deepEqual(marksIn(undefined, KEYS).blames, [NO_COUNTS, NO_COUNTS]);
  deepEqual(marksIn(Xdata.of([]), KEYS).dirty, NO_COUNTS);
});

Deno.test("cluster/replicate blame: a copy is blamed by others and by itself, part by part", () => {
  deepEqual(blamedCopies([marks("", "d"), marks("", "")], "data"), [false, true]);
  deepEqual(blamedCopies([marks("", "d"), marks("", "")], "metadata"), [false, false]);
  deepEqual(blamedCopies([marks("d", ""), undefined], "data"), [true, false]);
});

Deno.test("cluster/replicate blame: copies that nobody blames are read, but for absent ones and the arbiter", () => {
  const none = marks("", "", "");
  const all = [witness(none), witness(none), witness(none)];
  deepEqual(judge(all, CALM).content, [true, true, true]);
  deepEqual(judge(all, CALM).needsHeal, false);
  deepEqual(judge(all, { ...CALM, arbiter: 2 }).content, [true, true, false]);
  deepEqual(judge([all[0], undefined, all[2]], CALM).content, [true, false, true]);
  const blaming = [witness(marks("", "d", "")), witness(none), witness(none)];
  deepEqual(judge(blaming, CALM).content, [true, false, true]);
  deepEqual(judge(blaming, CALM).metadata, [true, true, true]);
  equal(judge(blaming, CALM).needsHeal, true);
});

Deno.test("cluster/replicate blame: judgements are the same that say the same of each copy", () => {
  const none = marks("", ""), blames = marks("", "d");
  const [all, again] = [0, 1].map(() => judge([witness(none), witness(none)], CALM));
  equal(tellSame(all!, again!), true);
  const others = [
    judge([witness(none), undefined], CALM),
    judge([witness(blames), witness(none)], CALM),
    judge([witness(marks("", "m")), witness(none)], CALM),
    judge([witness(none), witness(none)], { ...CALM, arbiter: 1 }),
  ];
  for (const other of others) equal(tellSame(all!, other), false);
});

Deno.test("cluster/replicate blame: a blame on an absent copy calls for no heal now", () => {
  equal(judge([witness(marks("", "d")), undefined], CALM).needsHeal, false);
});

Deno.test("cluster/replicate blame: of a directory the names count, of a file the data", () => {
  const directory = { mode: S_IFDIR | 0o755 };
  const told = marks("", "e");
  deepEqual(judge([witness(told, directory), witness(marks("", ""), directory)], CALM).content, [
    true,
    false,
  ]);
  deepEqual(judge([witness(told), witness(marks("", ""))], CALM).content, [true, true]);
});

Deno.test("cluster/replicate blame: a shorter copy lost an append, unless somebody writes", () => {
  const none = marks("", "", "");
  const all = [witness(none, { size: 5 }), witness(none, { size: 9 }), witness(none, { size: 0 })];
  deepEqual(judge(all, { busy: false, arbiter: 2 }).content, [false, true, false]);
  deepEqual(judge(all, { busy: true, arbiter: 2 }).content, [true, true, false]);
  const blamed = [witness(none, { size: 5 }), witness(marks("", "d", ""), { size: 9 })];
  deepEqual(judge(blamed, CALM).content, [true, false]);
});

Deno.test("cluster/replicate blame: a copy that its brick found damaged is not read", () => {
  const none = marks("", "");
  deepEqual(judge([{ ...witness(none), bad: true }, witness(none)], CALM).content, [false, true]);
});

Deno.test("cluster/replicate blame: copies that blame each other are split, a blamed one alone is, too", () => {
  equal(isSplitBrain([marks("", "d"), marks("d", "")], "data"), true);
  equal(isSplitBrain([marks("", "d"), marks("d", "")], "metadata"), false);
  equal(isSplitBrain([marks("", "d"), marks("", "")], "data"), false);
  equal(isSplitBrain([undefined, undefined], "data"), false);
});
