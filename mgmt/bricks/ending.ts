/** How processes are ended: asked first, then not. */

import type { Clock } from "core/env.ts";
import type { Running } from "mgmt/bricks/runner.ts";

/** How long a process may take to end in order, and then to be gone. */
const STOP_MS = 10_000, KILL_MS = 5000;
const LOOK_MS = 20;

/** Ends a process, and answers how that went: `hangs` is one that even SIGKILL does not end. */
export async function endProcess(
  process: Running,
  clock: Clock,
): Promise<"ended" | "killed" | "hangs"> {
  process.signal("SIGTERM");
  if (await isGone(process, clock, STOP_MS)) return "ended";
  process.signal("SIGKILL");
  return await isGone(process, clock, KILL_MS) ? "killed" : "hangs";
}

async function isGone(process: Running, clock: Clock, ms: number): Promise<boolean> {
  for (const until = clock.monotonic() + ms; clock.monotonic() < until;) {
    if (!process.alive) return true;
    await Promise.race([process.ended, clock.delay(LOOK_MS)]);
  }
  return !process.alive;
}
