/** Taking turns. */

/**
 * Locks by key, one holder at a time, in order of arrival.
 *
 * ```ts
 * import { KeyedLock } from "core/lib/lock.ts";
 * const locks = new KeyedLock<object>();
 * const file = {};
 * {
 *   using _ = await locks.take(file);
 *   // nobody else is here for `file`
 * }
 * ```
 */
export class KeyedLock<K extends WeakKey> {
  #last = new WeakMap<K, Promise<void>>();

  /** Resolves when it is the caller's turn; disposing of the answer ends it. */
  async take(key: K): Promise<Disposable> {
    const before = this.#last.get(key);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#last.set(key, promise);
    await before;
    return {
      [Symbol.dispose]: () => {
        // Nobody behind: what is not locked costs nothing.
        if (this.#last.get(key) === promise) this.#last.delete(key);
        resolve();
      },
    };
  }
}
