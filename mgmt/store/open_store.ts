/**
 * Opens the store of a home: `records.sqlite`, readable by its owner only.
 *
 * A store comes into being under another name and is then renamed, so one that is empty or has half
 * a header was damaged later. What is damaged is renamed to `records.sqlite.corrupt-TIME` and never
 * written to; and as a daemon without its records would look as if all volumes were gone, it does not
 * start until somebody puts a good copy back, or asks for an empty store.
 */

import { exists } from "core/lib/files.ts";
import { DatabaseSync } from "node:sqlite";
import type { Env } from "core/env.ts";
import { isOfSystem, plain } from "mgmt/plain.ts";
import { checkRecord } from "mgmt/store/check_record.ts";
import { lockHome } from "mgmt/store/home_lock.ts";
import { saysDamaged, storeError } from "mgmt/store/sqlite_errors.ts";
import { SqliteStore } from "mgmt/store/sqlite_store.ts";
import { type Store, StoreError } from "mgmt/store/store.ts";
import { type Upgrade, UPGRADES } from "mgmt/store/upgrades.ts";

/** How to open a store. */
export interface OpenOptions {
  /** `--new-store`: begin with an empty one where there is none that can be used. */
  readonly startEmpty?: boolean;
  /** Tests have versions of their own. */
  readonly upgrades?: readonly Upgrade[];
}

const STORE_FILE = "records.sqlite";
/** The journal goes first: without it the file is older, with another file's it is damaged. */
const FILE_ENDS = ["-wal", ""];
/** "mort": says that an SQLite file is ours. */
const APPLICATION_ID = 0x6d6f7274;

/**
 * The store of `home`, a directory that is made if it is not there, and that no other process opens
 * until it is closed. Throws StoreError: what is wrong and what to do.
 */
export function openStore(home: string, env: Env, options: OpenOptions = {}): Store {
  try {
    Deno.mkdirSync(home, { recursive: true, mode: 0o700 });
    const lock = lockHome(home);
    try {
      return openLocked(home, env, options, () => lock.release());
    } catch (error) {
      lock.release();
      throw error;
    }
  } catch (error) {
    if (error instanceof StoreError || !isOfSystem(error)) throw error;
    throw new StoreError(
      `Cannot use "${home}": ${plain(error)}; look at its rights and its file system, or choose ` +
        "another directory with --home",
      { cause: error },
    );
  }
}

/** A store that is gone when it is closed, for tests. */
export function memoryStore(env: Pick<Env, "log">): Store {
  const database = new DatabaseSync(":memory:");
  upgrade(database, 0, UPGRADES);
  return new SqliteStore({ database, path: ":memory:", log: env.log, closed: () => {} });
}

function openLocked(
  home: string,
  env: Env,
  { startEmpty = false, upgrades = UPGRADES }: OpenOptions,
  closed: () => void,
): Store {
  const path = `${home}/${STORE_FILE}`;
  let found = findOrKeepAside(path, upgrades, env);
  if (found.state === "damaged" && !startEmpty) throw refusal(path, found.kept, found.why);
  if (found.state === "absent" && !startEmpty) {
    const kept = keptAside(home);
    if (kept) throw refusal(path, kept, "it was found damaged before");
  }
  if (found.state !== "good") {
    create(path, upgrades);
    found = findOrKeepAside(path, upgrades, env);
    if (found.state !== "good") throw new StoreError(`Cannot make the store "${path}"`);
  }
  return new SqliteStore({ database: found.database, path, log: env.log, closed });
}

type Found =
  | { readonly state: "absent" }
  | { readonly state: "good"; readonly database: DatabaseSync }
  | { readonly state: "damaged"; readonly why: string };

type FoundOrKept = Exclude<Found, { state: "damaged" }> | {
  readonly state: "damaged";
  readonly why: string;
  /** Where it is now. */
  readonly kept: string;
};

function findOrKeepAside(path: string, upgrades: readonly Upgrade[], env: Env): FoundOrKept {
  const before = exists(`${path}-wal`) ? copyBefore(path, env) : undefined;
  try {
    const found = findStore(path, upgrades, env);
    if (found.state !== "damaged") return found;
    const kept = keepAside(path, before, env);
    env.log.error("the store is damaged", { store: path, kept, why: found.why });
    return { ...found, kept };
  } finally {
    if (before) removeStore(before);
  }
}

/** Opens a store that is there and is one that we write; writes only to upgrade it. Throws StoreError. */
function findStore(path: string, upgrades: readonly Upgrade[], env: Env): Found {
  if (!exists(path)) {
    if (!exists(`${path}-wal`)) return { state: "absent" };
    // SQLite would take the journal for that of the store that we make.
    return { state: "damaged", why: "only its journal is left" };
  }
  if (Deno.statSync(path).size === 0) return { state: "damaged", why: "it is empty" };
  Deno.chmodSync(path, 0o600);
  const database = new DatabaseSync(path);
  try {
    // Nobody else has it open, so that SQLite needs no file of memory to share.
    database.prepare("PRAGMA locking_mode = EXCLUSIVE").get();
    const version = versionOf(database, path, upgrades.length);
    checkPages(database);
    if (version === upgrades.length) checkRecords(database);
    database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
    if (version < upgrades.length) upgradeFile(database, path, version, upgrades, env);
    return { state: "good", database };
  } catch (error) {
    database.close();
    if (error instanceof RangeError) return { state: "damaged", why: error.message };
    if (saysDamaged(error)) return { state: "damaged", why: plain(error) };
    throw storeError(error, `Cannot open the store "${path}"`);
  }
}

/** Throws StoreError if the file is not for us to read, RangeError if it has no version. */
function versionOf(database: DatabaseSync, path: string, newest: number): number {
  if (number(database, "application_id") !== APPLICATION_ID) {
    throw new StoreError(
      `Cannot open the store "${path}": it is another program's database; move it away`,
    );
  }
  const version = number(database, "user_version");
  if (version > newest) {
    throw new StoreError(
      `Cannot open the store "${path}": a newer mortar wrote it (version ${version}, this one ` +
        `reads up to ${newest}); start that one`,
    );
  }
  if (version < 1) throw new RangeError("it has no version");
  return version;
}

/** Throws RangeError saying what is wrong with the file, whatever its records say. */
function checkPages(database: DatabaseSync): void {
  const table = database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'records'").get();
  if (!table) throw new RangeError("it has no records");
  const answer = database.prepare("PRAGMA integrity_check(1)").get()?.["integrity_check"];
  if (answer !== "ok") throw new RangeError(String(answer).replaceAll("\n", " "));
}

/** Throws RangeError naming the first record that is not right. */
function checkRecords(database: DatabaseSync): void {
  for (const row of database.prepare("SELECT key, value FROM records").iterate()) {
    const key = String(row["key"]);
    let value;
    try {
      value = JSON.parse(String(row["value"]));
    } catch {
      throw new RangeError(`record "${key}" is no JSON`);
    }
    checkRecord({ key, value });
  }
}

function create(path: string, upgrades: readonly Upgrade[]): void {
  const fresh = `${path}.new`;
  for (const file of [fresh, `${fresh}-journal`]) if (exists(file)) Deno.removeSync(file);
  try {
    // SQLite would make it readable by all.
    Deno.openSync(fresh, { write: true, createNew: true, mode: 0o600 }).close();
    const database = new DatabaseSync(fresh);
    try {
      database.prepare("PRAGMA synchronous = FULL").run();
      upgrade(database, 0, upgrades);
    } finally {
      database.close();
    }
    Deno.renameSync(fresh, path);
    syncDirectory(path.slice(0, path.lastIndexOf("/")));
  } catch (error) {
    throw storeError(error, `Cannot make the store "${path}"`);
  }
}

/** Runs the steps that are missing, and keeps the old version beside it for a way back. */
function upgradeFile(
  database: DatabaseSync,
  path: string,
  from: number,
  upgrades: readonly Upgrade[],
  env: Env,
): void {
  const old = `${path}.version-${from}`;
  if (exists(old)) Deno.removeSync(old);
  Deno.openSync(old, { write: true, createNew: true, mode: 0o600 }).close();
  database.prepare("VACUUM INTO ?").run(old);
  upgrade(database, from, upgrades);
  env.log.info("the store was upgraded", { store: path, from, to: upgrades.length, old });
}

/** Throws what SQLite throws, and RangeError if the records are not right afterwards: then nothing changed. */
function upgrade(database: DatabaseSync, from: number, upgrades: readonly Upgrade[]): void {
  database.prepare("BEGIN IMMEDIATE").run();
  try {
    for (const { apply } of upgrades.slice(from)) apply(database);
    checkRecords(database);
    database.prepare(`PRAGMA application_id = ${APPLICATION_ID}`).run();
    database.prepare(`PRAGMA user_version = ${upgrades.length}`).run();
    database.prepare("COMMIT").run();
  } catch (error) {
    if (database.isTransaction) database.exec("ROLLBACK");
    throw error;
  }
}

/**
 * After a crash SQLite writes what the journal has into the file, even into a damaged one: this copy
 * is what was there. Answers its path; undefined if there is no room for it.
 */
function copyBefore(path: string, env: Env): string | undefined {
  const before = `${path}.before`;
  removeStore(before);
  try {
    for (const end of FILE_ENDS) {
      if (exists(path + end)) Deno.copyFileSync(path + end, before + end);
    }
    return before;
  } catch (error) {
    env.log.warn("the store is opened without a copy of it", { store: path, why: plain(error) });
    removeStore(before);
    return undefined;
  }
}

/** Renames the store, or the copy `before` of it, and its journal; answers the store's new name. */
function keepAside(path: string, before: string | undefined, env: Env): string {
  const time = new Date(env.clock.now()).toISOString().replaceAll(":", "-");
  let kept = `${path}.corrupt-${time}`;
  for (let more = 2; exists(kept); more++) kept = `${path}.corrupt-${time}-${more}`;
  const from = before ?? path;
  for (const end of FILE_ENDS) if (exists(from + end)) Deno.renameSync(from + end, kept + end);
  removeStore(path);
  return kept;
}

function removeStore(path: string): void {
  for (const end of FILE_ENDS) if (exists(path + end)) Deno.removeSync(path + end);
}

/** The store that was kept aside last; undefined: none was. */
function keptAside(home: string): string | undefined {
  const names = [...Deno.readDirSync(home)].map(({ name }) => name)
    .filter((name) => name.startsWith(`${STORE_FILE}.corrupt-`))
    .map((name) => name.replace(/-wal$/, ""));
  const last = names.sort().at(-1);
  return last && `${home}/${last}`;
}

function refusal(path: string, kept: string, why: string): StoreError {
  const home = path.slice(0, path.lastIndexOf("/"));
  return new StoreError(
    `Cannot use the store "${path}": ${why}; it is kept as "${kept}". Put a good copy ` +
      "back under the first name; or start with --new-store and take the volumes back with " +
      `"volume create VOLNAME … force --adopt --state ${home}". Bricks and their data are untouched`,
  );
}

function syncDirectory(path: string): void {
  const directory = Deno.openSync(path);
  try {
    directory.syncSync();
  } finally {
    directory.close();
  }
}

function number(database: DatabaseSync, pragma: string): number {
  return Number(database.prepare(`PRAGMA ${pragma}`).get()?.[pragma]);
}
