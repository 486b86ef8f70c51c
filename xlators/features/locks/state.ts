/** What a statedump tells of locks: who holds and who waits, since when. */

import type { Flock } from "core/fops.ts";
import type { Gfid } from "core/inode.ts";
import type { Json } from "core/xlator.ts";
import type { DomainLock } from "xlators/features/locks/domain.ts";
import type { DomainTable } from "xlators/features/locks/domain_table.ts";
import type { Entrylk } from "xlators/features/locks/entrylk.ts";
import type { Holder } from "xlators/features/locks/holder.ts";
import type { Inodelk } from "xlators/features/locks/inodelk.ts";
import { flockOf, type PosixLock, type PosixLocks } from "xlators/features/locks/posix_lk.ts";

type Row = { [key: string]: Json };

/** All locks by inode. */
export function stateOf(
  inodelks: DomainTable<Inodelk>,
  entrylks: DomainTable<Entrylk>,
  posixlks: ReadonlyMap<Gfid, PosixLocks>,
): Json {
  const inodes = new Map<Gfid, Row>();
  const rowOf = (gfid: Gfid) => {
    let row = inodes.get(gfid);
    if (!row) inodes.set(gfid, row = { gfid });
    return row;
  };
  for (const [gfid, domains] of inodelks) {
    rowOf(gfid)["inodelks"] = [...domains].flatMap(([domain, locks]) => [
      ...locks.granted.map((lock) => ({ domain, ...inodelkRow(lock) })),
      ...locks.waiting.map((lock) => ({ domain, ...inodelkRow(lock) })),
    ]);
  }
  for (const [gfid, domains] of entrylks) {
    rowOf(gfid)["entrylks"] = [...domains].flatMap(([domain, locks]) => [
      ...locks.granted.map((lock) => ({ domain, ...entrylkRow(lock) })),
      ...locks.waiting.map((lock) => ({ domain, ...entrylkRow(lock) })),
    ]);
  }
  for (const [gfid, locks] of posixlks) {
    rowOf(gfid)["posixlks"] = [
      ...locks.granted.map((lock) => ({ state: "granted", ...posixRow(lock) })),
      ...locks.waiting.map((lock) => ({ state: "blocked", ...posixRow(lock) })),
    ];
  }
  return { inodes: [...inodes.values()] };
}

function holderRow({ client, owner, pid }: Holder): Row {
  return { client: client.id, owner, pid };
}

function rangeRow({ type, start, size }: Flock): Row {
  return { type, start: String(start), size: String(size) };
}

function timesRow({ grantedAt, waitsSince }: DomainLock): Row {
  return {
    state: grantedAt === undefined ? "blocked" : "granted",
    ...(waitsSince === undefined ? {} : { blockedAt: isoTime(waitsSince) }),
    ...(grantedAt === undefined ? {} : { grantedAt: isoTime(grantedAt) }),
  };
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}

function inodelkRow(lock: Inodelk): Row {
  return { ...timesRow(lock), ...rangeRow(lock.flock), ...holderRow(lock) };
}

function entrylkRow(lock: Entrylk): Row {
  return { ...timesRow(lock), type: lock.type, name: lock.name, ...holderRow(lock) };
}

function posixRow(lock: PosixLock): Row {
  return { since: isoTime(lock.since), ...rangeRow(flockOf(lock)), ...holderRow(lock) };
}
