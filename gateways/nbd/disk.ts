/** What an NBD server serves: a disk of bytes, whatever is behind it. */

/** A run of bytes with what a context says of it. */
export interface Extent {
  readonly length: number;
  /** Bits of the context; of `base:allocation`: 1 a hole, 2 zeros. */
  readonly flags: number;
}

/** Answers extents from `offset` on, in order and without gaps, of `length` bytes at most. */
export type Extents = (offset: number, length: number) => Promise<readonly Extent[]>;

/** Bits of `base:allocation`. */
export const HOLE = 1, ZERO = 2;
/** The context that every disk has. */
export const ALLOCATION = "base:allocation";

/**
 * A disk. Ranges are inside of it: the server checks. Methods throw FopError. What a method was
 * given is its caller's again when it resolves.
 */
export interface Disk {
  /** Bytes. */
  readonly size: number;
  readonly readOnly: boolean;
  /** For people. */
  readonly description: string;
  /** Bytes that go together best: a power of two. */
  readonly preferredBlock: number;
  /** By name: `base:allocation` and what else is told of the disk's ranges. */
  readonly contexts: ReadonlyMap<string, Extents>;
  /** All of `size` bytes, which may be put into `into`, a place of as many. */
  read(offset: number, size: number, into?: Uint8Array<ArrayBuffer>): Promise<Uint8Array>;
  write(offset: number, data: Uint8Array): Promise<void>;
  /** Makes a range zeros; `mayPunch`: it may take no space afterwards. */
  zero(offset: number, length: number, mayPunch: boolean): Promise<void>;
  /** The range is not needed any more. */
  trim(offset: number, length: number): Promise<void>;
  /** Resolves when all that was answered is on stable storage. */
  flush(): Promise<void>;
  /** Closes it; nothing is asked afterwards. */
  close(): Promise<void>;
}

/** An export cannot be opened; the message says why. */
export class Unavailable extends Error {
  override name = "Unavailable";
}

/** What a server offers, by name. */
export interface Exports {
  /** In the order in which they are listed. */
  list(): readonly { readonly name: string; readonly description: string }[];
  /**
   * The disk, to be closed by the caller; "" is the only one, if there is only one. Undefined: there
   * is none of that name. Throws Unavailable.
   */
  open(name: string): Promise<Disk | undefined>;
}
