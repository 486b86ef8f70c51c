/**
 * The brick's private database of what blamed copies missed: one small file per file of the volume,
 * `.glusterfs/changed-ranges/<gfid>`, replaced as a whole. Nothing is synced: it has to survive the
 * process. What a power failure leaves is no JSON, or has an older count, and is void either way.
 */

import { exists, removeFile } from "core/lib/files.ts";
import { type Gfid, parseGfid } from "core/inode.ts";
import type { ByteRange } from "core/changed_ranges.ts";

/** What one copy missed. */
export interface Missed {
  /** The copy's count of missed changes of data that this was written with. */
  readonly count: number;
  readonly ranges: readonly ByteRange[];
}

/** By name of the copy. */
export type FileRecord = ReadonlyMap<string, Missed>;

/** Records by gfid. All methods are synchronous and touch what is in the page cache. */
export interface RecordStore {
  /**
   * Drops all records if somebody else served the brick, and those nobody needs. Answers the files that have one.
   */
  open(): Promise<readonly Gfid[]>;
  read(gfid: Gfid): FileRecord;
  /** An empty record is removed. Throws what the file system said. */
  write(gfid: Gfid, record: FileRecord): void;
}

/** Nothing is known to have been missed. */
export const NO_RECORD: FileRecord = new Map();
const BASE_FILE = /^(dirty|xattrop)-([0-9a-f-]{36})$/;
/** Version of UUIDs in the names of our own base files. */
const OWN_VERSION = "8";
const VERSION_AT = 14;

/** Records on the brick's disk, beside its index. */
export class RecordDirectory implements RecordStore {
  readonly #index: string;
  readonly #directory: string;

  /** `index` is the index's directory; the records are beside it. */
  constructor(index: string) {
    this.#index = index;
    this.#directory = `${index.replace(/\/+[^/]*\/*$/, "")}/changed-ranges`;
  }

  async open(): Promise<readonly Gfid[]> {
    const keep = await this.#isOurs(), kept: Gfid[] = [];
    for (const { name } of await entries(this.#directory)) {
      const gfid = parseGfid(name);
      const wanted = keep && gfid !== undefined && exists(`${this.#index}/xattrop/${gfid}`);
      if (wanted) kept.push(gfid);
      else await Deno.remove(`${this.#directory}/${name}`, { recursive: true });
    }
    return kept;
  }

  // GlusterFS's brick makes a base file of its own before it sets the first mark.
  async #isOurs(): Promise<boolean> {
    for (const kind of ["dirty", "xattrop"]) {
      for (const { name } of await entries(`${this.#index}/${kind}`)) {
        const uuid = BASE_FILE.exec(name)?.[2];
        if (uuid !== undefined && uuid[VERSION_AT] !== OWN_VERSION) return false;
      }
    }
    return true;
  }

  read(gfid: Gfid): FileRecord {
    let text: string;
    try {
      text = Deno.readTextFileSync(`${this.#directory}/${gfid}`);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return NO_RECORD;
      throw error;
    }
    return parseRecord(text) ?? NO_RECORD;
  }

  write(gfid: Gfid, record: FileRecord): void {
    const path = `${this.#directory}/${gfid}`;
    if (record.size === 0) {
      removeFile(path);
      return;
    }
    // One writer per brick, and no wait in between: one name for all that is not finished.
    const unfinished = `${this.#directory}/unfinished`;
    // Made with the first record: a brick that is only looked at stays as it is.
    Deno.mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    Deno.writeTextFileSync(unfinished, printRecord(record));
    Deno.renameSync(unfinished, path);
  }
}

/** A record as text. */
export function printRecord(record: FileRecord): string {
  const copies = [...record].map(([name, { count, ranges }]) => ({
    name,
    count,
    ranges: ranges.map(({ start, end }) => [start, end]),
  }));
  return JSON.stringify({ version: 1, copies });
}

/** The inverse; undefined if it is none. */
export function parseRecord(text: string): FileRecord | undefined {
  let given: unknown;
  try {
    given = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { version, copies } = (given ?? {}) as { version?: unknown; copies?: unknown };
  if (version !== 1 || !Array.isArray(copies)) return undefined;
  const record = new Map<string, Missed>();
  for (const each of copies as readonly unknown[]) {
    const { name, count, ranges } = (each ?? {}) as Record<string, unknown>;
    const whole = Array.isArray(ranges) && ranges.every(isRange);
    if (typeof name !== "string" || !Number.isSafeInteger(count) || !whole) return undefined;
    const missed = (ranges as readonly [number, number][]).map(([start, end]) => ({ start, end }));
    record.set(name, { count: count as number, ranges: missed });
  }
  return record;
}

function isRange(value: unknown): boolean {
  const [start, end] = Array.isArray(value) ? value as readonly unknown[] : [];
  return Number.isSafeInteger(start) && Number.isSafeInteger(end) &&
    0 <= (start as number) && (start as number) < (end as number);
}

async function entries(path: string): Promise<Deno.DirEntry[]> {
  try {
    return await Array.fromAsync(Deno.readDir(path));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}
