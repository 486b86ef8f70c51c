/**
 * Where the management daemon keeps its records: JSON values under keys such as "volume/v1", changed
 * in transactions, watched by prefix. SQLite keeps them on one node; a store shared by many nodes
 * has the same face, which is why everything here waits.
 */

import type { Json } from "core/xlator.ts";

/** A record and its key. */
export interface Entry {
  readonly key: string;
  readonly value: Json;
}

/** A change that a transaction made; `value` undefined: the record is gone. */
export interface Change {
  readonly key: string;
  readonly value: Json | undefined;
}

/** Reads and writes of one transaction: reads see its own writes. */
export interface Transaction {
  get(key: string): Promise<Json | undefined>;
  /** In the order of keys. */
  list(prefix: string): Promise<readonly Entry[]>;
  put(key: string, value: Json): void;
  delete(key: string): void;
}

/** See the head of this file. */
export interface Store {
  get(key: string): Promise<Json | undefined>;
  /** Records whose keys begin with `prefix`, in the order of keys. */
  list(prefix: string): Promise<readonly Entry[]>;
  /**
   * Runs `change`, and applies all that it put and deleted, or nothing. On disk when it resolves. `change` may
   * run again if another transaction came between, so it only reads and writes records. Throws what `change` throws, and StoreError.
   */
  transact<T>(change: (transaction: Transaction) => Promise<T>): Promise<T>;
  /** Calls `changed` after every transaction that touched keys under `prefix`, until `signal`. */
  watch(prefix: string, changed: (changes: readonly Change[]) => void, signal: AbortSignal): void;
  close(): Promise<void>;
}

/** The store cannot be read or written: what, why and what to do. */
export class StoreError extends Error {
  override readonly name = "StoreError";
}
