/** Exports that the management daemon keeps: their records, and the file that tells the server of them. */

import type { Json } from "core/xlator.ts";
import { Refusal } from "mgmt/cli/managed.ts";
import type { ExportSpec } from "mgmt/nbd/exports.ts";
import { type Fields, fields, list, text } from "mgmt/records.ts";
import { yes } from "mgmt/snapshots/snapshot_record.ts";
import type { Store } from "mgmt/store/store.ts";

/** A file that is served by a name. */
export interface ExportRecord {
  /** No other export has it. */
  readonly name: string;
  readonly volume: string;
  /** In the volume, with its first slash. */
  readonly path: string;
  /** Name of the snapshot that it is read from; absent: the file as it is now. */
  readonly snapshot?: string;
  readonly readOnly: boolean;
}

/** Keys in the store. */
export const EXPORT_KEYS = {
  export: (name: string) => `nbd-export/${name}`,
  exports: "nbd-export/",
} as const;

/** Throws RangeError: there is no such record under that key. */
export function checkExportRecord(key: string, value: unknown): void {
  const { name } = exportRecord(value);
  if (EXPORT_KEYS.export(name) !== key) throw new RangeError(`it is of the export "${name}"`);
}

/** Names that need no escapes in URIs, nor in the store. */
export function isExportName(name: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(name);
}

/** Their records. */
export class KeptExports {
  readonly #store: Store;

  constructor({ store }: { readonly store: Store }) {
    this.#store = store;
  }

  /** By name. */
  async all(): Promise<ExportRecord[]> {
    return (await this.#store.list(EXPORT_KEYS.exports)).map(({ value }) => exportRecord(value));
  }

  /** Throws Refusal: there is one of that name. */
  async add(record: ExportRecord): Promise<void> {
    await this.#store.transact(async (transaction) => {
      const there = await transaction.get(EXPORT_KEYS.export(record.name));
      if (there !== undefined) {
        const { volume, path } = exportRecord(there);
        throw new Refusal(`There is an export "${record.name}" already: ${volume}${path}`);
      }
      transaction.put(EXPORT_KEYS.export(record.name), record as unknown as Json);
    });
  }

  /** Throws Refusal: the volume has none of that name. */
  async remove(volume: string, name: string): Promise<void> {
    await this.#store.transact(async (transaction) => {
      const there = await transaction.get(EXPORT_KEYS.export(name));
      if (there === undefined || exportRecord(there).volume !== volume) {
        throw new Refusal(
          `Volume ${volume} has no export "${name}"; "mortar volume nbd ${volume} list" names all`,
        );
      }
      transaction.delete(EXPORT_KEYS.export(name));
    });
  }

  /** A volume is gone. */
  async forgetVolume(volume: string): Promise<void> {
    for (const { name } of (await this.all()).filter((each) => each.volume === volume)) {
      await this.remove(volume, name);
    }
  }
}

function exportRecord(value: unknown): ExportRecord {
  const at = fields(value, "export");
  return { ...served(at), volume: text(at, "volume") };
}

function served(at: Fields): Omit<ExportRecord, "volume"> {
  return {
    name: text(at, "name"),
    path: text(at, "path"),
    ...at["snapshot"] === undefined ? {} : { snapshot: text(at, "snapshot") },
    readOnly: yes(at, "readOnly"),
  };
}

/** What a server is told of them, as text. */
export function exportsText(
  exports: readonly ExportRecord[],
  { host, port }: { readonly host: string; readonly port: number },
): string {
  return `${JSON.stringify({ server: { host, port: String(port) }, exports }, null, 1)}\n`;
}

/** The same read back. Throws RangeError naming what is not right, SyntaxError. */
export function readExports(value: string): ExportSpec[] {
  const at = fields(JSON.parse(value), "list of exports"), server = fields(at["server"], "server");
  const [host, port] = [text(server, "host"), Number(text(server, "port"))];
  return list(at, "exports").map((each) => {
    const { name, volume, path, snapshot, readOnly } = exportRecord(each);
    const address = { host, port, volume, path, text: `${volume}${path}` };
    return { name, address, snapshot, readOnly };
  });
}
