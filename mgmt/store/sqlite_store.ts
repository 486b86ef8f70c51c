/**
 * The store of one node: an SQLite file with a table of keys and JSON texts.
 *
 * A transaction collects its writes in memory and reads through them; SQLite sees it only when it commits,
 * in one go. Transactions run one after another, so none ever has to run again, and readers
 * outside see what was committed last. A commit is on the disk (`synchronous=FULL` in WAL mode:
 * one fdatasync) before it resolves.
 */

import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { Log } from "core/env.ts";
import type { Json } from "core/xlator.ts";
import { plain } from "mgmt/plain.ts";
import { storeError } from "mgmt/store/sqlite_errors.ts";
import {
  type Change,
  type Entry,
  type Store,
  StoreError,
  type Transaction,
} from "mgmt/store/store.ts";

/** What a store is made on. */
export interface SqliteParts {
  /** Has the table of records. Belongs to the store. */
  readonly database: DatabaseSync;
  /** For messages: the path of its file. */
  readonly path: string;
  readonly log: Log;
  /** Called once, when the database is closed. */
  readonly closed: () => void;
}

interface Watcher {
  readonly prefix: string;
  readonly changed: (changes: readonly Change[]) => void;
}

/** See the head of this file. */
export class SqliteStore implements Store {
  #parts: SqliteParts;
  #get: StatementSync;
  #list: StatementSync;
  #put: StatementSync;
  #delete: StatementSync;
  #watchers = new Set<Watcher>();
  #last: Promise<unknown> = Promise.resolve();
  #open = true;

  constructor(parts: SqliteParts) {
    this.#parts = parts;
    const { database } = parts;
    this.#get = database.prepare("SELECT value FROM records WHERE key = ?");
    this.#list = database.prepare(
      "SELECT key, value FROM records WHERE key >= ? AND key < ? ORDER BY key",
    );
    this.#put = database.prepare(
      "INSERT INTO records (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    );
    this.#delete = database.prepare("DELETE FROM records WHERE key = ?");
  }

  // deno-lint-ignore require-await -- what it throws is the promise's answer
  async get(key: string): Promise<Json | undefined> {
    const row = this.#read(() => this.#get.get(checked(key)));
    return row === undefined ? undefined : parsed(row["value"]);
  }

  // deno-lint-ignore require-await -- what it throws is the promise's answer
  async list(prefix: string): Promise<readonly Entry[]> {
    const rows = this.#read(() => this.#list.all(prefix, prefix + AFTER_KEYS));
    return rows.map(({ key, value }) => ({ key: String(key), value: parsed(value) }));
  }

  /** See `Store.transact`. `change` must not begin a transaction itself: it would wait for its own end. */
  transact<T>(change: (transaction: Transaction) => Promise<T>): Promise<T> {
    if (!this.#open) return Promise.reject(this.#closedError());
    const result = this.#last.then(() => this.#run(change));
    this.#last = result.catch(() => {});
    return result;
  }

  watch(prefix: string, changed: Watcher["changed"], signal: AbortSignal): void {
    if (signal.aborted) return;
    const watcher: Watcher = { prefix, changed };
    this.#watchers.add(watcher);
    signal.addEventListener("abort", () => this.#watchers.delete(watcher), { once: true });
  }

  /** Waits for transactions under way; more of them are refused. */
  async close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    await this.#last;
    this.#watchers.clear();
    this.#parts.database.close();
    this.#parts.closed();
  }

  async #run<T>(change: (transaction: Transaction) => Promise<T>): Promise<T> {
    const writes = new Writes(this);
    try {
      const result = await change(writes);
      this.#commit(writes.texts);
      return result;
    } finally {
      writes.end();
    }
  }

  #commit(texts: ReadonlyMap<string, string | undefined>): void {
    if (texts.size === 0) return;
    const { database, path } = this.#parts;
    try {
      database.prepare("BEGIN IMMEDIATE").run();
      for (const [key, text] of texts) {
        if (text === undefined) this.#delete.run(key);
        else this.#put.run(key, text);
      }
      database.prepare("COMMIT").run();
    } catch (error) {
      if (database.isTransaction) database.exec("ROLLBACK");
      throw storeError(error, `Cannot write to the store "${path}"`);
    }
    this.#tell([...texts].map(([key, text]) => ({
      key,
      value: text === undefined ? undefined : JSON.parse(text) as Json,
    })));
  }

  /** A watcher that fails is no reason to tell whoever committed that it did not work. */
  #tell(changes: readonly Change[]): void {
    for (const { prefix, changed } of [...this.#watchers]) {
      const own = changes.filter(({ key }) => key.startsWith(prefix));
      if (own.length === 0) continue;
      try {
        changed(own);
      } catch (error) {
        this.#parts.log.error("a watcher of the store failed", { prefix, why: plain(error) });
      }
    }
  }

  #read<T>(read: () => T): T {
    const { database, path } = this.#parts;
    if (!database.isOpen) throw this.#closedError();
    try {
      return read();
    } catch (error) {
      throw storeError(error, `Cannot read the store "${path}"`);
    }
  }

  #closedError(): StoreError {
    return new StoreError(`Cannot use the store "${this.#parts.path}": it is closed`);
  }
}

/** Greater than every character that a key may have. */
const AFTER_KEYS = "\x7f";

/** Keys are printable ASCII: then SQLite and we order them alike. */
function checked(key: string): string {
  if (!/^[!-~]{1,1024}$/.test(key)) throw new RangeError(`Cannot use "${key}" as a key`);
  return key;
}

function parsed(text: unknown): Json {
  return JSON.parse(String(text)) as Json;
}

/** Writes of one transaction, as JSON texts (undefined: deleted), over what the store has. */
class Writes implements Transaction {
  readonly texts = new Map<string, string | undefined>();
  #store: SqliteStore;
  #ended = false;

  constructor(store: SqliteStore) {
    this.#store = store;
  }

  // deno-lint-ignore require-await -- what it throws is the promise's answer
  async get(key: string): Promise<Json | undefined> {
    this.#checkRunning();
    if (!this.texts.has(key)) return this.#store.get(key);
    const text = this.texts.get(key);
    return text === undefined ? undefined : parsed(text);
  }

  async list(prefix: string): Promise<readonly Entry[]> {
    this.#checkRunning();
    const entries = new Map((await this.#store.list(prefix)).map(({ key, value }) => [key, value]));
    for (const [key, text] of this.texts) {
      if (!key.startsWith(prefix)) continue;
      if (text === undefined) entries.delete(key);
      else entries.set(key, parsed(text));
    }
    return [...entries].map(([key, value]) => ({ key, value }))
      .sort((a, b) => a.key < b.key ? -1 : 1);
  }

  put(key: string, value: Json): void {
    this.#checkRunning();
    // Text at once: what the caller does to its value later is not in the transaction.
    this.texts.set(checked(key), JSON.stringify(value));
  }

  delete(key: string): void {
    this.#checkRunning();
    this.texts.set(checked(key), undefined);
  }

  end(): void {
    this.#ended = true;
  }

  #checkRunning(): void {
    if (this.#ended) throw new Error("a transaction was used after its end");
  }
}
