/** Lets changes pass, and for the moment in which a reader begins keeps them outside until none is under way. */

/** See above. */
export class Gate {
  #now = new Stretch();
  /** Resolves when all that began in earlier stretches are over. */
  #before = Promise.resolve();
  #closed: PromiseWithResolvers<void> | undefined;

  /** Runs a change: at once, or after the gate opened. Its own promise is the answer. */
  pass<T>(change: () => Promise<T>): Promise<T> {
    if (this.#closed) return this.#closed.promise.then(() => this.pass(change));
    const passing = change();
    this.enter(passing);
    return passing;
  }

  /** Whether changes have to wait outside. */
  get isClosed(): boolean {
    return this.#closed !== undefined;
  }

  /** A change that began in this turn, while the gate was open, is inside until `passing` settles. */
  enter(passing: Promise<unknown>): void {
    const { left } = this.#now;
    this.#now.inside++;
    passing.then(left, left);
  }

  /** Resolves when all changes that are inside now are over; others may have come in. */
  over(): Promise<void> {
    const stretch = this.#now;
    this.#now = new Stretch();
    return this.#before = this.#before.then(() => stretch.over());
  }

  /** Closes it; resolves when nobody is inside, or when it was opened before that: false. */
  async close(): Promise<boolean> {
    while (this.#closed) await this.#closed.promise;
    const closed = this.#closed = Promise.withResolvers<void>();
    await Promise.race([this.over(), closed.promise]);
    return this.#closed === closed;
  }

  /** Lets those who wait in; one that is open stays open. */
  open(): void {
    const closed = this.#closed;
    this.#closed = undefined;
    closed?.resolve();
  }
}

/** Changes that began between two questions whether all are over. */
class Stretch {
  inside = 0;
  #ended: (() => void) | undefined;

  // One function for all: nothing is made for a change but the link to it.
  readonly left = () => {
    if (--this.inside === 0) this.#ended?.();
  };

  /** Resolves when none is inside; nobody comes in any more. */
  over(): Promise<void> {
    return this.inside === 0 ? Promise.resolve() : new Promise((resolve) => this.#ended = resolve);
  }
}
