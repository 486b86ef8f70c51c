import { deepStrictEqual as deepEqual, throws } from "node:assert/strict";
import { layoutOf, type LayoutWords } from "mgmt/cluster/layout.ts";

function counts(words: LayoutWords, bricks: number) {
  const { kind, replicaCount, arbiterCount, disperseCount, redundancyCount, stripeCount } =
    layoutOf(words, bricks);
  return [kind, replicaCount, arbiterCount, disperseCount, redundancyCount, stripeCount];
}

Deno.test("cluster/layout: words become the counts of a record", () => {
  deepEqual(counts({}, 3), ["distribute", 1, 0, 0, 0, 1]);
  deepEqual(counts({ replica: 2 }, 4), ["replicate", 2, 0, 0, 0, 1]);
  deepEqual(counts({ replica: 3, arbiter: 1 }, 3), ["replicate", 3, 1, 0, 0, 1]);
  deepEqual(counts({ replica: 2, arbiter: 1 }, 6), ["replicate", 3, 1, 0, 0, 1]);
  deepEqual(counts({ disperse: 0 }, 3), ["disperse", 1, 0, 3, 1, 1]);
  deepEqual(counts({ disperse: 6 }, 12), ["disperse", 1, 0, 6, 2, 1]);
  deepEqual(counts({ "disperse-data": 4, redundancy: 2 }, 6), ["disperse", 1, 0, 6, 2, 1]);
  deepEqual(counts({ redundancy: 2 }, 7), ["disperse", 1, 0, 7, 2, 1]);
  deepEqual(counts({ stripe: 2 }, 4), ["stripe", 1, 0, 0, 0, 2]);
  deepEqual(counts({ stripe: 2, replica: 2 }, 8), ["replicate", 2, 0, 0, 0, 2]);
});

Deno.test("cluster/layout: counts that do not fit are refused, each with its reason", () => {
  const refused: [LayoutWords, number, RegExp][] = [
    [{ replica: 2 }, 3, /not a multiple of replica count: 3 given, 2 make a set/],
    [{ replica: 1 }, 1, /greater than 1/],
    [{ arbiter: 1 }, 3, /preceded by replica/],
    [{ replica: 3, arbiter: 2 }, 3, /arbiter count must be 1/],
    [{ replica: 4, arbiter: 1 }, 4, /replica count must be 2/],
    [{ disperse: 4 }, 6, /not a multiple of disperse count/],
    [{ disperse: 2 }, 2, /greater than 2/],
    [{ disperse: 4, redundancy: 2 }, 4, /less than 2/],
    [{ disperse: 4, redundancy: 0 }, 4, /greater than 0/],
    [{ disperse: 20, redundancy: 2 }, 20, /less than or equal to 16/],
    [{ disperse: 6, "disperse-data": 3, redundancy: 2 }, 6, /not the sum/],
    [{ disperse: 3, replica: 3 }, 3, /cannot be combined/],
    [{ stripe: 1 }, 2, /stripe count should be greater/],
    [{}, 0, /not a multiple/],
  ];
  for (const [words, bricks, why] of refused) {
    throws(() => layoutOf(words, bricks), why, JSON.stringify(words));
  }
});
