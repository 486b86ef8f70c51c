/** Locks that keep clients of both kinds apart while they change names and layouts. */

import type { Call } from "core/call.ts";
import { EINVAL, ENOSYS, ENOTCONN, EOPNOTSUPP } from "core/errno.ts";
import type { Entry, Inode } from "core/inode.ts";
import { isMissing, type Subvolumes } from "xlators/cluster/distribute/subvolumes.ts";

const NAMES_DOMAIN = "dht.entry.sync", LAYOUT_DOMAIN = "dht.layout.heal";

interface Held {
  release(): Promise<unknown>;
}

/**
 * Does `act` while nobody else makes, renames or removes the names, each locked on the subvolume
 * where it belongs. Always taken in the same order, so that two clients never wait for each other.
 */
export async function withNames<T>(
  subvolumes: Subvolumes,
  call: Call,
  entries: readonly (Entry & { readonly index: number })[],
  act: () => Promise<T>,
): Promise<T> {
  const locker = subvolumes.asLocker(call);
  const keyOf = ({ index, parent, name }: typeof entries[number]) =>
    `${String(index).padStart(6, "0")} ${parent.gfid} ${name}`;
  const byKey = new Map(entries.map((entry) => [keyOf(entry), entry]));
  const sorted = [...byKey].sort(([a], [b]) => a < b ? -1 : 1).map(([, entry]) => entry);
  return await holding(
    sorted.map(({ index, parent, name }) => async () => {
      const to = subvolumes.all[index]!;
      const args = { inode: parent, domain: NAMES_DOMAIN, name, type: "write" } as const;
      await to.entrylk(locker, { ...args, cmd: "lock" });
      return { release: () => to.entrylk(locker, { ...args, cmd: "unlock" }) };
    }),
    act,
  );
}

/** Does `act` while nobody else writes the directory's layout. */
export async function withLayout<T>(
  subvolumes: Subvolumes,
  call: Call,
  inode: Inode,
  act: () => Promise<T>,
): Promise<T> {
  const locker = subvolumes.asLocker(call);
  const range = { whence: 0, start: 0n, size: 0n, pid: call.pid, owner: locker.lkOwner };
  const args = { inode, domain: LAYOUT_DOMAIN };
  return await holding(
    subvolumes.all.map((to) => async () => {
      await to.inodelk(locker, { ...args, cmd: "set-wait", lock: { ...range, type: "write" } });
      const unlock = { ...args, cmd: "set", lock: { ...range, type: "unlock" } } as const;
      return { release: () => to.inodelk(locker, unlock) };
    }),
    act,
  );
}

async function holding<T>(
  takers: readonly (() => Promise<Held>)[],
  act: () => Promise<T>,
): Promise<T> {
  const held: Held[] = [];
  try {
    for (const take of takers) {
      const lock = await take().catch((error) => {
        if (cannotLock(error)) return undefined;
        throw error;
      });
      if (lock) held.push(lock);
    }
    return await act();
  } finally {
    // What cannot be released now goes with the connection, or with the directory.
    await Promise.allSettled(held.reverse().map((lock) => lock.release()));
  }
}

// A brick without features/locks, one that is away, or one that has no such directory yet.
function cannotLock(error: unknown): boolean {
  return [EOPNOTSUPP, ENOSYS, EINVAL, ENOTCONN].some((each) => each.matches(error)) ||
    isMissing(error);
}
