/**
 * Internal snapshots: making, deleting, going back (qcow2.txt "Snapshots").
 *
 * A snapshot is an L1 table that is kept. The flag "used exactly once" stands beside every reference of
 * the active tables, and the counts stand elsewhere; were they changed one after the other, whoever
 * looks between the two sees them contradict each other. So each of these works on copies of what it
 * has to change, and one write of the header makes the copies the image: before it everything is as it
 * was, after it everything is as it should be, and either way only some clusters are left over.
 *
 * - create: the active L1 table becomes the snapshot's as it stands. Every cluster it reaches is used
 *   once more, and the active disk gets a new L1 table.
 * - apply: what the active tables reach is used once less, what the snapshot's reach once more.
 * - delete: what the snapshot's tables reach is used once less; flags of the active ones that are true
 *   again are set.
 */

import { corrupt, refused, usage } from "snapshot/qcow2/failures.ts";
import { l1EntriesFor } from "snapshot/qcow2/header.ts";
import type { L1Table } from "snapshot/qcow2/mapping.ts";
import { COMPRESSED_HIGH, COPIED_HIGH, offsetOf, writeU64 } from "snapshot/qcow2/numbers.ts";
import { STAGE_NEW } from "snapshot/qcow2/refcounts.ts";
import { packSnapshots, type SnapshotEntry } from "snapshot/qcow2/snapshot_table.ts";
import type { Tables } from "snapshot/qcow2/tables.ts";

const SNAPSHOTS_MAX = 65536;

/** Makes a snapshot called `name` of the disk as it is now; `at` is in milliseconds since 1970. */
export async function createSnapshot(
  tables: Tables,
  name: string,
  at: number,
): Promise<SnapshotEntry> {
  const { parts } = tables;
  const { header, snapshots } = parts;
  needsOwnData(tables);
  if (tables.refcounts.most < 2) {
    throw refused("The image has refcounts of 1 bit, which leaves no room for snapshots");
  }
  if (name === "" || name.length > 255) throw usage("A snapshot's name has 1 to 255 characters");
  if (snapshots.some((each) => each.name === name)) {
    throw usage(`The image has a snapshot "${name}" already`);
  }
  if (snapshots.length >= SNAPSHOTS_MAX) throw usage(`${SNAPSHOTS_MAX} snapshots are the most`);
  const ids = snapshots.map(({ id }) => /^\d{1,15}$/.test(id) ? Number(id) : 0);
  const made: SnapshotEntry = {
    l1Offset: header.l1Offset,
    l1Entries: header.l1Entries,
    id: String(Math.max(0, ...ids) + 1),
    name,
    seconds: Math.floor(at / 1000),
    nanoseconds: Math.floor(at % 1000 * 1e6),
    vmClock: 0n,
    vmStateSize: 0,
    diskSize: header.size,
    // No instruction count, as QEMU says it.
    more: new Uint8Array(8).fill(0xff),
  };
  await tables.switch(async () => {
    await eachCluster(tables, header, (cluster) => tables.refcounts.rise(cluster));
    await rebuildActive(tables, header, header.l1Entries, { owned: false });
    await placeSnapshots(tables, [...snapshots, made]);
  });
  return made;
}

/** Deletes a snapshot; what only it used is free. */
export async function deleteSnapshot(tables: Tables, snapshot: SnapshotEntry): Promise<void> {
  const { header, snapshots } = tables.parts;
  needsOwnData(tables);
  await tables.switch(async () => {
    await dropTree(tables, snapshot);
    const old: L1Table = { l1Offset: header.l1Offset, l1Entries: header.l1Entries };
    await rebuildActive(tables, header, header.l1Entries, { owned: true });
    dropL1(tables, old);
    await placeSnapshots(tables, snapshots.filter((each) => each !== snapshot));
  });
}

/** Takes the disk back to what it was at a snapshot. What it is now is lost, unless it has one, too. */
export async function applySnapshot(tables: Tables, snapshot: SnapshotEntry): Promise<void> {
  const { header } = tables.parts;
  needsOwnData(tables);
  // The table that is made has as many entries as one that is there: no number makes it larger.
  if (l1EntriesFor(header, snapshot.diskSize) > snapshot.l1Entries) {
    throw refused(`The L1 table of snapshot "${snapshot.id}" is too small for its disk`);
  }
  if (tables.bitmaps.length && snapshot.diskSize !== header.size) {
    throw refused(
      "The image has bitmaps, which are for the size that it has, and the snapshot has another one: " +
        "remove them first",
    );
  }
  const old: L1Table = { l1Offset: header.l1Offset, l1Entries: header.l1Entries };
  if (tables.recorder.wanted) await markDifferences(tables, old, snapshot);
  await tables.switch(async () => {
    await eachCluster(tables, snapshot, (cluster) => tables.refcounts.rise(cluster));
    await dropTree(tables, old);
    await rebuildActive(tables, snapshot, snapshot.l1Entries, { owned: false });
    header.size = snapshot.diskSize;
  });
}

// What the guest will see otherwise: where the tables say something else. What both have is not written
// to as long as they do.
async function markDifferences(tables: Tables, one: L1Table, other: L1Table): Promise<void> {
  const left = new Map<number, number>();
  for await (const { index, offset } of l2Tables(tables, one)) left.set(index, offset);
  for await (const { index, offset } of l2Tables(tables, other)) {
    const was = left.get(index) ?? 0;
    left.delete(index);
    if (was !== offset) await markDifferent(tables, index, was, offset);
  }
  for (const [index, was] of left) await markDifferent(tables, index, was, 0);
}

// The same of two L2 tables; 0: there is none.
async function markDifferent(
  tables: Tables,
  index: number,
  first: number,
  second: number,
): Promise<void> {
  const { header, mapping, pages } = tables.parts;
  const { l2Covers, clusterSize, entrySize } = mapping;
  const none = new DataView(new ArrayBuffer(pages.pageSize));
  const part = async (table: number, at: number): Promise<DataView> =>
    table ? (await pages.load(table + at)).view : none;
  for (let start = 0; start < clusterSize; start += pages.pageSize) {
    const one = await part(first, start), other = await part(second, start);
    for (let at = 0; at < pages.pageSize; at += entrySize) {
      if (sameEntry(one, other, at, entrySize)) continue;
      const offset = index * l2Covers + (start + at) / entrySize * clusterSize;
      const length = Math.min(clusterSize, header.size - offset);
      if (length > 0) await tables.recorder.mark(offset, length);
    }
  }
}

function sameEntry(one: DataView, other: DataView, at: number, size: number): boolean {
  if ((one.getUint32(at) ^ other.getUint32(at)) & ~COPIED_HIGH) return false;
  for (let word = 4; word < size; word += 4) {
    if (one.getUint32(at + word) !== other.getUint32(at + word)) return false;
  }
  return true;
}

/** Takes all that the active disk has from it: everything is as in the backing file then. */
export async function emptyActive(tables: Tables): Promise<void> {
  const { header } = tables.parts;
  await tables.switch(async () => {
    await dropTree(tables, { l1Offset: header.l1Offset, l1Entries: header.l1Entries });
    header.l1Entries = Math.max(1, header.l1Entries);
    header.l1Offset = await tables.place(new Uint8Array(header.l1Entries * 8));
  });
}

function needsOwnData(tables: Tables): void {
  if (tables.counted) return;
  throw refused("An image with an external data file cannot have snapshots");
}

// Every cluster of data that the table reaches, compressed ones included, once for each reference.
async function eachCluster(
  tables: Tables,
  table: L1Table,
  visit: (cluster: number) => Promise<void>,
): Promise<void> {
  for await (const l2 of l2Tables(tables, table)) {
    await eachReference(tables, l2.offset, visit);
    await tables.spill();
  }
}

async function eachReference(
  tables: Tables,
  l2Offset: number,
  visit: (cluster: number) => Promise<void>,
): Promise<void> {
  const { pages, mapping } = tables.parts;
  const { clusterSize, entrySize } = mapping;
  if (!tables.counted) return;
  const end = Math.ceil(mapping.fileSize / clusterSize);
  const checked = (cluster: number): Promise<void> => {
    if (cluster < end) return visit(cluster);
    throw corrupt(`A data cluster past the end of the file, number ${cluster}`);
  };
  for (let start = l2Offset; start < l2Offset + clusterSize; start += pages.pageSize) {
    const { view } = await pages.load(start);
    for (let at = 0; at < pages.pageSize; at += entrySize) {
      const high = view.getUint32(at), low = view.getUint32(at + 4);
      if (high & COMPRESSED_HIGH) {
        const { first, count } = tables.compressedClusters(high, low);
        for (let each = 0; each < count; each++) await checked(first + each);
      } else {
        const host = offsetOf(high, low);
        if (host) await checked(host / clusterSize);
      }
    }
  }
}

async function* l2Tables(
  { parts: { pages, mapping } }: Tables,
  { l1Offset, l1Entries }: L1Table,
): AsyncGenerator<{ index: number; offset: number }> {
  for (let index = 0; index < l1Entries; index++) {
    const at = l1Offset + index * 8;
    const page = await pages.load(pages.startOf(at));
    const offset = mapping.l2TableAt(page, at - page.offset);
    if (offset) yield { index, offset };
  }
}

// One use less of all that the table reaches, L2 tables and itself included.
async function dropTree(tables: Tables, table: L1Table): Promise<void> {
  const { refcounts } = tables;
  for await (const { offset } of l2Tables(tables, table)) {
    await eachReference(tables, offset, (cluster) => refcounts.fallNow(cluster));
    await refcounts.fallNow(offset / tables.clusterSize);
    await tables.spill();
  }
  dropL1(tables, table);
}

function dropL1(tables: Tables, { l1Offset, l1Entries }: L1Table): void {
  tables.refcounts.fallLater(l1Offset, Math.ceil(l1Entries * 8 / tables.clusterSize));
}

/**
 * A new active L1 table with what `from` reaches, its flags as the counts say. An L2 table whose flags
 * are right is used as it is; others are copied. `owned`: `from` is the active table, which ends here;
 * otherwise somebody keeps it, and what is shared is used once more.
 */
async function rebuildActive(
  tables: Tables,
  from: L1Table,
  entries: number,
  { owned }: { readonly owned: boolean },
): Promise<void> {
  const { refcounts, clusterSize } = tables;
  const l1 = new Uint8Array(Math.max(entries, 1) * 8);
  const view = new DataView(l1.buffer);
  for await (const { index, offset } of l2Tables(tables, from)) {
    let place = offset;
    if (!await flagsRight(tables, offset)) {
      place = await refcounts.allocate();
      await copyWithFlags(tables, offset, place);
      if (owned) await refcounts.fallNow(offset / clusterSize);
    } else if (!owned) await refcounts.rise(offset / clusterSize);
    writeU64(view, index * 8, place);
    if (await refcounts.get(place / clusterSize) === 1) {
      view.setUint32(index * 8, (view.getUint32(index * 8) | COPIED_HIGH) >>> 0);
    }
    await tables.spill();
  }
  const { header } = tables.parts;
  header.l1Offset = await tables.place(l1);
  header.l1Entries = l1.length / 8;
}

// The flag that an entry should have: exactly one use of a cluster that is not compressed.
async function wantedFlag(tables: Tables, high: number, low: number): Promise<number> {
  const host = high & COMPRESSED_HIGH ? 0 : offsetOf(high, low);
  if (host % tables.clusterSize) throw corrupt(`A cluster at ${host}, not where a cluster begins`);
  return host && await tables.refcounts.get(host / tables.clusterSize) === 1 ? COPIED_HIGH : 0;
}

async function flagsRight(tables: Tables, l2Offset: number): Promise<boolean> {
  const { pages, mapping } = tables.parts;
  for (let at = 0; at < mapping.clusterSize; at += mapping.entrySize) {
    const start = pages.startOf(l2Offset + at);
    const { view } = pages.get(start) ?? await pages.load(start);
    const within = l2Offset + at - start;
    const high = view.getUint32(within), low = view.getUint32(within + 4);
    if (high === 0 && low === 0) continue;
    if ((high & COPIED_HIGH) >>> 0 !== await wantedFlag(tables, high, low)) return false;
  }
  return true;
}

async function copyWithFlags(tables: Tables, from: number, to: number): Promise<void> {
  const { pages, mapping } = tables.parts;
  pages.fresh(to, mapping.clusterSize, STAGE_NEW);
  for (let start = 0; start < mapping.clusterSize; start += pages.pageSize) {
    const source = await pages.load(from + start), target = await pages.load(to + start);
    target.bytes.set(source.bytes);
    for (let at = 0; at < pages.pageSize; at += mapping.entrySize) {
      const high = target.view.getUint32(at), low = target.view.getUint32(at + 4);
      if (high === 0 && low === 0) continue;
      const flag = await wantedFlag(tables, high, low);
      target.view.setUint32(at, ((high & ~COPIED_HIGH) | flag) >>> 0);
    }
  }
}

async function placeSnapshots(tables: Tables, snapshots: SnapshotEntry[]): Promise<void> {
  const { parts } = tables;
  const { header } = parts;
  const old = Math.ceil(parts.snapshotBytes / tables.clusterSize);
  if (old) tables.refcounts.fallLater(header.snapshotsOffset, old);
  const bytes = packSnapshots(snapshots);
  header.snapshotsOffset = snapshots.length ? await tables.place(bytes) : 0;
  header.snapshotCount = snapshots.length;
  parts.snapshots = snapshots;
  parts.snapshotBytes = bytes.length;
}
