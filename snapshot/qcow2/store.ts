/**
 * Where an image's bytes are: a local file, an fd of the client graph, a view of a snapshot. The
 * library needs no more than this, and nothing in it knows which one it has.
 */

/** A run of bytes that can be read, and, where it was opened so, written. */
export interface Store {
  /** Size in bytes now. */
  size(): Promise<number>;
  /**
   * Fills `into` from `offset` on and answers how many bytes there were; fewer only at the end.
   * `into` belongs to the store until the promise settles.
   */
  read(offset: number, into: Uint8Array<ArrayBuffer>): Promise<number>;
  /** Writes all of `data`, which is borrowed until the promise settles; grows the store. */
  write(offset: number, data: Uint8Array<ArrayBuffer>): Promise<void>;
  /** Cuts or grows to `size` bytes; what is new reads as zeros. */
  truncate(size: number): Promise<void>;
  /**
   * Gives the room of a range back, whose bytes nobody needs any more; it may read as zeros then. Does
   * nothing where that cannot be.
   */
  punch(offset: number, length: number): Promise<void>;
  /** All that was written before survives a crash once this resolves. */
  flush(): Promise<void>;
  /** Gives back what is held. Does not flush. */
  close(): Promise<void>;
}
