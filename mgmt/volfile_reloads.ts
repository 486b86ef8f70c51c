/** When a process reads its volfile again: bricks, clients and proxies. */

/** See the head of this file. One at a time: what comes meanwhile waits. */
export class VolfileReloads {
  readonly #read: () => Promise<void>;
  #settled: Promise<void> = Promise.resolve();
  #wasConnected = false;

  /** `read` takes the volfile over; it logs what is wrong with it. */
  constructor(read: () => Promise<void>) {
    this.#read = read;
  }

  /** Reads it again. */
  again(): void {
    this.#settled = this.#settled.then(this.#read);
  }

  /**
   * Its server is connected. From the second time on it is read again: it may have changed while nobody
   * could say so, and asking is what makes the server tell of changes.
   */
  connected(): void {
    if (this.#wasConnected) this.again();
    this.#wasConnected = true;
  }

  /** Resolves when what was asked for so far is done. */
  get settled(): Promise<void> {
    return this.#settled;
  }
}
