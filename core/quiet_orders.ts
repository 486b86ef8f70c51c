/**
 * Orders to a layer that keeps locks: let the transactions of clusters come to rest, so that all
 * copies of everything are equal at one moment. Clusters change nothing without a lock on every
 * copy's brick. So: no new locks at any brick, holders are told to let theirs go, and when no lock
 * is held at all bricks of a set, nothing is under way: who got its lock at some of them only has
 * not begun.
 */

/** See the head of this file. */
export interface QuietOrders {
  /**
   * From now on requests for inode and entry locks in these domains wait, unless their owner holds
   * one already; holders hear that their locks are in the way. After `timeoutMs` it ends by itself.
   * EEXIST: there is one with this id.
   */
  quiesce(id: string, domains: readonly string[], timeoutMs: number): void;
  /**
   * The locks that are held in those domains, each as a text that is the same at all bricks.
   * ETIMEDOUT: it is over.
   */
  held(id: string): string[];
  /** Lets locks be granted again. ETIMEDOUT: they were granted before. */
  resume(id: string): void;
}
