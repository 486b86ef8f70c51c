/**
 * Running promises to their end without leaving a function.
 *
 * A simulation moves its clock only when nothing is left to do at this moment, so it must know when
 * all promise callbacks have run. Inside one turn of the event loop V8 can be told to run them
 * (`runMicrotasks`, an internal of Deno): then a whole run is one synchronous loop. Where that is
 * missing or does not drain, a turn of the event loop between two events does the same, slower.
 */

interface Internals {
  readonly core?: { readonly runMicrotasks?: () => void };
}

function found(): (() => void) | undefined {
  const deno = Deno as unknown as Record<symbol, Internals | undefined>;
  const internal = (Deno as unknown as { internal?: symbol }).internal;
  const core = internal === undefined ? undefined : deno[internal]?.core;
  const run = core?.runMicrotasks;
  return typeof run === "function" ? () => run.call(core) : undefined;
}

/** True if `drain` runs a chain of promises to its end here and now. */
function drains(drain: () => void): boolean {
  let hops = 0;
  const chain = async () => {
    for (; hops < 100; hops++) await Promise.resolve();
  };
  chain();
  drain();
  return hops === 100;
}

/** One turn of the event loop, in which all promise callbacks have run. */
export function eventLoopTurn(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(0);
  });
}

/**
 * Calls `step` until it answers false, all promise callbacks run before each call. `internal` false
 * keeps to what is public.
 */
export function eachSettled(step: () => boolean, { internal = true } = {}): Promise<void> {
  return new Promise((resolve, reject) => {
    // From a timer: inside a promise callback V8 does not begin another round.
    setTimeout(() => {
      const drain = internal ? found() : undefined;
      if (!drain || !drains(drain)) return resolve(byTurns(step));
      try {
        do drain(); while (step());
        resolve();
      } catch (error) {
        reject(error);
      }
    });
  });
}

async function byTurns(step: () => boolean): Promise<void> {
  do await eventLoopTurn(); while (step());
}
