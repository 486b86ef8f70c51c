/**
 * What turns of the loop that waits for descriptors and those whom it serves tell each other.
 *
 * Whether others wait for who does something in place that may take a while, as reading from a disk:
 * on one thread nothing else goes on meanwhile. That is right only while nobody else comes.
 *
 * And when all that a turn brings is ready: as soon as its promises have gone as far as they get.
 */

/** One for the thread: who holds it up says so, the loop that waits for descriptors tells who had come. */
export const turns = {
  /** Something was done in place since the loop waited last. */
  held: false,
  /** How many times in a row somebody had come by the time the loop waited next. */
  crowded: 0,
};

let waiting: (() => void)[] | undefined;

/**
 * Calls `run`, which must not fail, when the promises of this turn have gone as far as they get; false,
 * and does not, outside of the turns of a loop that lets them go.
 */
export function afterPromises(run: () => void): boolean {
  waiting?.push(run);
  return waiting !== undefined;
}

/** One turn: `serve`, then `letPromisesGo`, and what waits for that, as often as there is something. */
export function turn(serve: () => void, letPromisesGo: () => void): void {
  waiting = [];
  try {
    serve();
    letPromisesGo();
    while (waiting.length > 0) {
      const ready: (() => void)[] = waiting;
      waiting = [];
      for (const run of ready) run();
      letPromisesGo();
    }
  } finally {
    waiting = undefined;
  }
}
