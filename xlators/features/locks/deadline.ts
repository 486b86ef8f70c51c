import type { Clock } from "core/env.ts";

/** Longest time a timer can be set to, in milliseconds; what is due later is never due. */
const TIMER_MAX = 0x7fff_ffff;

/**
 * `answer`, and `giveUp` is called if it has not come by `deadline` (monotonic milliseconds). A
 * request that is granted after its client gave up would be a lock that nobody knows of.
 */
export function untilDeadline<T>(
  clock: Clock,
  deadline: number,
  answer: Promise<T>,
  giveUp: () => void,
): Promise<T> {
  const left = deadline - clock.monotonic();
  if (left > TIMER_MAX) return answer;
  const timer = clock.after(Math.max(0, left), giveUp);
  const cancel = () => timer.cancel();
  answer.then(cancel, cancel);
  return answer;
}
