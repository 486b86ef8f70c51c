/**
 * How long the layers of a graph take to answer, and what they have not answered yet, for as long as
 * somebody wants to know: until then, and after that, nothing is in the way of any fop.
 */

import type { Call } from "core/call.ts";
import type { Clock } from "core/env.ts";
import { type FopName, FOPS } from "core/fops.ts";
import type { Xlator } from "core/xlator.ts";

const ALL = Object.keys(FOPS) as FopName[];

/** What a fop took in one layer, those below it included; times in milliseconds. */
export interface Latency {
  count: number;
  total: number;
  min: number;
  max: number;
}

/** A fop that a layer was asked for and has not answered. */
export interface UnderWay {
  readonly layer: string;
  readonly fop: FopName;
  readonly call: Call;
  /** Monotonic milliseconds. */
  readonly since: number;
}

/** Any of a layer's methods that are fops. */
type Method = (call: Call, args: unknown) => Promise<unknown>;

/** See the head of this file. */
export class Measurement {
  readonly #clock: Pick<Clock, "monotonic">;
  readonly #latencies = new WeakMap<Xlator, Map<FopName, Latency>>();
  readonly #measured = new Set<Xlator>();
  readonly #underWay = new Set<UnderWay>();

  constructor(clock: Pick<Clock, "monotonic">) {
    this.#clock = clock;
  }

  /** Whether it goes on. */
  get on(): boolean {
    return this.#measured.size > 0;
  }

  /** From now on those layers are measured, and no others. */
  measure(layers: Iterable<Xlator>): void {
    const wanted = new Set(layers);
    for (const layer of this.#measured) if (!wanted.has(layer)) this.#leave(layer);
    for (const layer of wanted) if (!this.#measured.has(layer)) this.#begin(layer);
  }

  /** What a layer's fops took while it was measured. */
  latencies(layer: Xlator): ReadonlyMap<FopName, Readonly<Latency>> {
    return this.#latencies.get(layer) ?? new Map();
  }

  /** What was not answered yet of what was asked for since it is measured, in order. */
  get underWay(): readonly UnderWay[] {
    return [...this.#underWay];
  }

  // Every layer calls its child by the fop's name: what stands there in the object itself is found
  // before what its class has.
  #begin(layer: Xlator): void {
    this.#measured.add(layer);
    const figures = this.#latencies.get(layer) ?? new Map<FopName, Latency>();
    this.#latencies.set(layer, figures);
    for (const fop of ALL) {
      const method = layer[fop] as Method;
      const timed: Method = (call, args) => this.#time(figures, fop, layer, method, call, args);
      Object.defineProperty(layer, fop, { value: timed, configurable: true });
    }
  }

  #leave(layer: Xlator): void {
    this.#measured.delete(layer);
    for (const fop of ALL) delete (layer as unknown as Record<string, unknown>)[fop];
  }

  async #time(
    figures: Map<FopName, Latency>,
    fop: FopName,
    layer: Xlator,
    method: Method,
    call: Call,
    args: unknown,
  ): Promise<unknown> {
    const since = this.#clock.monotonic();
    const one: UnderWay = { layer: layer.name, fop, call, since };
    this.#underWay.add(one);
    try {
      return await method.call(layer, call, args);
    } finally {
      this.#underWay.delete(one);
      add(figures, fop, this.#clock.monotonic() - since);
    }
  }
}

function add(figures: Map<FopName, Latency>, fop: FopName, took: number): void {
  const known = figures.get(fop);
  if (!known) return void figures.set(fop, { count: 1, total: took, min: took, max: took });
  known.count++;
  known.total += took;
  known.min = Math.min(known.min, took);
  known.max = Math.max(known.max, took);
}
