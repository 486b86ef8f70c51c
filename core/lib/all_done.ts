/** Several things at a time. */

/** Waits for all of them, whatever becomes of one, then throws what the first in order that failed threw. */
export async function allDone(waits: readonly (Promise<unknown> | undefined)[]): Promise<void> {
  for (const outcome of await Promise.allSettled(waits)) {
    if (outcome.status === "rejected") throw outcome.reason;
  }
}
