/** Lets changes pass, and for the moment in which a reader begins keeps them outside until none is under way. */

/** See above. */
export class Gate {
  #inside = 0;
  #closed: PromiseWithResolvers<void> | undefined;
  #emptied: ((empty: boolean) => void) | undefined;

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
    this.#inside++;
    passing.then(this.#left, this.#left);
  }

  // One function for all: nothing is made for a change but the link to it.
  readonly #left = () => {
    if (--this.#inside === 0) this.#emptied?.(true);
  };

  /** Closes it; resolves when nobody is inside, or when it was opened before that: false. */
  async close(): Promise<boolean> {
    while (this.#closed) await this.#closed.promise;
    this.#closed = Promise.withResolvers();
    if (this.#inside === 0) return true;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#emptied = resolve;
    return await promise;
  }

  /** Lets those who wait in; one that is open stays open. */
  open(): void {
    const closed = this.#closed;
    this.#closed = undefined;
    this.#emptied?.(false);
    this.#emptied = undefined;
    closed?.resolve();
  }
}
