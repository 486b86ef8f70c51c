/**
 * What is made of dictionaries that come again and again: requests of one kind mostly carry the same
 * one, to which a layer adds its own keys, or takes them away.
 */

import type { Xdata } from "core/xdata.ts";

interface Made<T> {
  readonly of: Xdata | undefined;
  readonly made: T;
}

/** Remembers what `make` answered for the last two dictionaries; it must depend on nothing else. */
export class Derived<T> {
  readonly #make: (of: Xdata | undefined) => T;
  #last: Made<T> | undefined;
  #before: Made<T> | undefined;

  constructor(make: (of: Xdata | undefined) => T) {
    this.#make = make;
  }

  /** What is made of `xdata`. */
  of(xdata: Xdata | undefined): T {
    const last = this.#last, before = this.#before;
    if (last && last.of === xdata) return last.made;
    this.#before = last;
    this.#last = before && before.of === xdata ? before : { of: xdata, made: this.#make(xdata) };
    return this.#last.made;
  }
}
