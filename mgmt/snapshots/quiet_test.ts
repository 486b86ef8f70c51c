import { strictEqual as equal } from "node:assert/strict";
import { type AskedBrick, QuietTime } from "mgmt/snapshots/quiet.ts";
import type { Signature } from "rpc/program.ts";
import { heldLocks, quiesceLocks, resumeLocks } from "rpc/programs/quiet_ops.ts";

type Look = Readonly<Record<string, number>> | "dead";

/** A brick whose locks, with how many changes, are what each look finds; the last look is what stays. */
class Brick implements AskedBrick {
  readonly asked: string[] = [];

  constructor(private readonly looks: readonly Look[]) {}

  ask<A, R>({ procedure }: Signature<A, R>): Promise<R> {
    const seen = this.asked.filter((each) => each === "held").length;
    const look = this.looks[Math.min(seen, this.looks.length - 1)]!;
    const orders = { quiesce: quiesceLocks, held: heldLocks, resume: resumeLocks };
    const name = Object.entries(orders).find(([, order]) => order.procedure === procedure)![0];
    this.asked.push(name);
    if (look === "dead") return Promise.reject(new Error("no brick"));
    const held = Object.entries(look).map(([lock, changes]) => ({ lock, changes }));
    return Promise.resolve({ errno: 0, held } as R);
  }
}

const brick = (...looks: Look[]) => new Brick(looks);

async function rests(...sets: Brick[][]): Promise<boolean> {
  const copies = sets.map((bricks, at) => ({ domain: `v-replicate-${at}`, bricks }));
  const quiet = new QuietTime(copies, "q");
  await quiet.begin(1000);
  const answer = await quiet.rests();
  await quiet.end();
  for (const { asked } of sets.flat()) {
    if (asked.length > 1) equal(asked.at(-1), "resume");
  }
  return answer;
}

Deno.test("mgmt/snapshots: copies rest when no lock is held at all of their bricks", async () => {
  equal(await rests([brick({}), brick({})]), true);
  equal(await rests([brick({ a: 1 }), brick({ b: 2 })]), true);
});

Deno.test("mgmt/snapshots: a lock at all bricks rests when as many changes were done under it", async () => {
  equal(await rests([brick({ a: 3 }), brick({ a: 3 })]), true);
  equal(await rests([brick({ a: 3 }), brick({ a: 2 })]), false);
  equal(await rests([brick({ a: 3 }), brick({ a: 3 }), brick({ a: 2 })]), false);
  equal(await rests([brick({ a: 3 }), brick({ a: 2 }), brick({})]), true);
});

Deno.test("mgmt/snapshots: who goes from lock to lock is seen at the second look", async () => {
  equal(await rests([brick({ a: 1 }, { b: 0 }), brick({ b: 1 })]), false);
});

Deno.test("mgmt/snapshots: one set that does not rest is enough", async () => {
  equal(await rests([brick({}), brick({})], [brick({ x: 1 }), brick({ x: 2 })]), false);
});

Deno.test("mgmt/snapshots: a brick that does not answer is left out", async () => {
  equal(await rests([brick({ a: 1 }), brick("dead")]), true);
  equal(await rests([brick({ a: 1 }), brick("dead"), brick({ a: 2 })]), false);
});
