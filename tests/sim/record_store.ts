/** What `features/changed-ranges` of a simulated brick keeps in files, in memory. */

import type { Gfid } from "core/inode.ts";
import type { SimDisk } from "tests/sim/disk.ts";
import type { FileRecord, RecordStore } from "xlators/features/changed-ranges/record_store.ts";

/** Records are on `disk`, in its journal like all names. */
export class SimRecordStore implements RecordStore {
  readonly #disk: SimDisk;

  constructor(disk: SimDisk) {
    this.#disk = disk;
  }

  open(): Promise<readonly Gfid[]> {
    const { records, index } = this.#disk, listed = index.get("xattrop");
    for (const gfid of [...records.keys()]) if (!listed?.has(gfid)) this.#set(gfid, undefined);
    return Promise.resolve([...records.keys()]);
  }

  read(gfid: Gfid): FileRecord {
    return this.#disk.records.get(gfid) ?? new Map();
  }

  write(gfid: Gfid, record: FileRecord): void {
    this.#set(gfid, record.size ? record : undefined);
  }

  #set(gfid: Gfid, record: FileRecord | undefined): void {
    const { records } = this.#disk, was = records.get(gfid);
    const put = (value: FileRecord | undefined) =>
      value ? records.set(gfid, value) : records.delete(gfid);
    put(record);
    this.#disk.undoable(() => void put(was));
  }
}
