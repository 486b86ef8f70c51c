/**
 * Threads that seeds are shared out among. A run depends on nothing but its seed, so it does not matter who
 * plays it; this module is what each thread runs, too.
 */

import { play, type RunReport } from "tests/sim/scenario.ts";
import { systemNamed } from "tests/sim/systems_all.ts";

/** Seeds of one system that follow each other. */
export interface Batch {
  readonly system: string;
  readonly from: number;
  readonly count: number;
}

/** How a batch went. */
export interface Played {
  readonly played: number;
  readonly events: number;
  readonly failures: readonly Failure[];
}

/** A seed that failed, ready to be printed. */
export interface Failure {
  readonly seed: number;
  /** Which seed of which system fails when, and why. */
  readonly what: string;
  /** What happened before that, as the last lines of the trace. */
  readonly trace: readonly string[];
}

/** A run that failed, in words. */
export function failureOf(system: string, { seed, failure, timeMs, trace }: RunReport): Failure {
  const why = failure instanceof Error && failure.name !== "SimFailure"
    ? failure.stack ?? failure.message
    : String(failure);
  return {
    seed,
    what: `seed ${seed} on ${system} fails at ${timeMs.toFixed(3)} ms: ${why}`,
    trace,
  };
}

/** Plays a batch here. */
export async function playBatch({ system: name, from, count }: Batch): Promise<Played> {
  const system = systemNamed(name), failures: Failure[] = [];
  let events = 0;
  for (let seed = from; seed < from + count; seed++) {
    const report = await play(system, seed);
    events += report.events;
    if (report.failure !== undefined) failures.push(failureOf(name, report));
  }
  return { played: count, events, failures };
}

/** A thread that plays one batch after the other. */
export class Player implements Disposable {
  readonly #worker = new Worker(import.meta.url, { type: "module" });

  /** Plays a batch; the one before must be done. */
  play(batch: Batch): Promise<Played> {
    const worker = this.#worker;
    return new Promise((resolve, reject) => {
      worker.onmessage = ({ data }: MessageEvent<Played>) => resolve(data);
      worker.onerror = (event) => {
        event.preventDefault();
        reject(new Error(`a thread that plays ${batch.system} ended: ${event.message}`));
      };
      worker.postMessage(batch);
    });
  }

  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}

/** What a worker sees of itself. */
interface OwnThread {
  onmessage: (message: MessageEvent<Batch>) => void;
  postMessage(played: Played): void;
}

if (import.meta.main && "DedicatedWorkerGlobalScope" in globalThis) {
  const thread = globalThis as unknown as OwnThread;
  thread.onmessage = async ({ data }) => thread.postMessage(await playBatch(data));
}
