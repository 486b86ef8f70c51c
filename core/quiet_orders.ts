/**
 * Orders to a layer that keeps locks: let the transactions of clusters come to rest, so that all
 * copies of everything are equal at one moment. Clusters change nothing without a lock on every
 * copy's brick. So: no new locks at any brick, and holders are told to let theirs go. Nothing is
 * under way when no lock is held at all bricks of a set: who got its lock at some of them only has
 * not begun. Some clients keep locks for a second after their last change: if changes wait
 * (`hold` of `core/history_orders.ts`) and as many were done under such a lock at each brick,
 * nothing is under way either.
 */

/** A lock that is held. */
export interface HeldLock {
  /** A text that is the same at all bricks. */
  readonly lock: string;
  /** Changes by the holder's client, of what it locks, that were done since it was granted. */
  readonly changes: number;
}

/** See the head of this file. */
export interface QuietOrders {
  /**
   * From now on requests for inode and entry locks in these domains wait, unless their owner holds
   * one already; holders hear that their locks are in the way. After `timeoutMs` it ends by itself.
   * EEXIST: there is one with this id.
   */
  quiesce(id: string, domains: readonly string[], timeoutMs: number): void;
  /** The locks that are held in those domains. ETIMEDOUT: it is over. */
  held(id: string): HeldLock[];
  /** Lets locks be granted again. ETIMEDOUT: they were granted before. */
  resume(id: string): void;
}
