/** What changes by itself, as a process's output: who waits for something in it looks at every change. */
export class Changing {
  #ended = false;
  #wake: (() => void)[] = [];

  /** It changed. */
  changed(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }

  /** It will not change any more. */
  end(): void {
    this.#ended = true;
    this.changed();
  }

  /** What `find` finds first. Throws with what `complaint` says if it ends before, or takes too long. */
  async until<T>(
    find: () => T | undefined,
    complaint: () => string,
    timeoutMs: number,
  ): Promise<T> {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.changed();
    }, timeoutMs);
    try {
      for (;;) {
        const found = find();
        if (found !== undefined) return found;
        if (this.#ended || late) throw new Error(complaint());
        await new Promise<void>((resolve) => this.#wake.push(resolve));
      }
    } finally {
      clearTimeout(timer);
    }
  }
}
