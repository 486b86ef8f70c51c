/**
 * Calls on other threads, and pauses, end after so many turns of the loop as a seed says, in place of
 * when a disk or a clock has it: what runs beside each other meets in ways that a quiet machine
 * never shows, and that come again.
 */

import { EAGAIN } from "core/errno.ts";
import { realClock } from "core/env.ts";
import { type Sys, sys } from "core/sys/calls.ts";

/** Until it is disposed of; `most` turns at most before a call, and after it. */
export function inTurns(random: (below: number) => number, most: number): Disposable {
  // Many are short, so that the long ones are met.
  const wait = async () => {
    for (let turns = random(2) * random(most + 1); turns > 0; turns--) await undefined;
  };
  const made = async (call: () => number) => {
    await wait();
    const result = call();
    await wait();
    return result;
  };
  const { preadv2, pread, pwrite, fallocate } = sys, { delay } = realClock;
  const calls: Partial<Sys> = {
    preadv2: (...args) => random(3) ? -EAGAIN.errno : preadv2(...args),
    preadAsync: (...args) => made(() => pread(...args)),
    pwriteAsync: (...args) => made(() => pwrite(...args)),
    fallocateAsync: (...args) => made(() => fallocate(...args)),
    // What is in the page cache is all that there is.
    fdatasyncAsync: () => made(() => 0),
    fsyncAsync: () => made(() => 0),
    syncfsAsync: () => made(() => 0),
  };
  const before = { ...sys };
  Object.assign(sys, calls);
  realClock.delay = wait;
  return {
    [Symbol.dispose]() {
      Object.assign(sys, before);
      realClock.delay = delay;
    },
  };
}
