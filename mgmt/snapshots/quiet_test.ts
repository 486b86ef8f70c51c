import { strictEqual as equal } from "node:assert/strict";
import type { Signature } from "rpc/program.ts";
import { heldLocks, quiesceLocks, resumeLocks } from "rpc/programs/quiet_ops.ts";
import { FakeClock } from "tests/fakes/clock.ts";
import { type AskedBrick, quiesce, resume } from "mgmt/snapshots/quiet.ts";

/** A brick whose locks are what each look finds; the last look is what stays. */
class Brick implements AskedBrick {
  readonly asked: string[] = [];

  constructor(private readonly looks: readonly (readonly string[] | "dead")[]) {}

  ask<A, R>({ procedure }: Signature<A, R>): Promise<R> {
    const name = [quiesceLocks, heldLocks, resumeLocks][procedure - 1] === heldLocks
      ? "held"
      : procedure === 1
      ? "quiesce"
      : "resume";
    const seen = this.asked.filter((each) => each === "held").length;
    this.asked.push(name);
    const look = this.looks[Math.min(seen, this.looks.length - 1)]!;
    if (look === "dead") return Promise.reject(new Error("no brick"));
    return Promise.resolve({ errno: 0, held: look } as R);
  }
}

async function rests(...sets: Brick[][]): Promise<{ quiet: boolean; looks: number }> {
  const clock = new FakeClock();
  const copies = sets.map((bricks, at) => ({ domain: `v-replicate-${at}`, bricks }));
  let done = false;
  const limits = { id: "q", clock, timeoutMs: 1000, patienceMs: 100 };
  const quiet = quiesce(copies, limits).finally(() => done = true);
  while (!done) await clock.advance(1);
  await resume(copies, "q");
  for (const brick of sets.flat()) equal(brick.asked.at(-1), "resume");
  return {
    quiet: await quiet,
    looks: sets[0]![0]!.asked.filter((each) => each === "held").length,
  };
}

Deno.test("mgmt/snapshots: copies rest when no lock is held at all of their bricks", async () => {
  const one = new Brick([["a", "b"], ["a"], []]), two = new Brick([["a", "b"], ["a"], []]);
  equal((await rests([one, two])).quiet, true);
});

Deno.test("mgmt/snapshots: a lock at some bricks only is nothing under way", async () => {
  equal((await rests([new Brick([["a"]]), new Brick([["b"]])])).quiet, true);
});

Deno.test("mgmt/snapshots: who goes from lock to lock is seen at the second look", async () => {
  const one = new Brick([["a"], ["b"]]), two = new Brick([["b"], ["b"]]);
  equal((await rests([one, two])).quiet, false);
});

Deno.test("mgmt/snapshots: one set that does not rest is waited for, not longer than allowed", async () => {
  const idle = [new Brick([[]]), new Brick([[]])], busy = [new Brick([["x"]]), new Brick([["x"]])];
  const { quiet, looks } = await rests(idle, busy);
  equal(quiet, false);
  equal(looks, 2);
});

Deno.test("mgmt/snapshots: a brick that does not answer is left out", async () => {
  equal((await rests([new Brick([["a"], []]), new Brick(["dead"])])).quiet, true);
});
