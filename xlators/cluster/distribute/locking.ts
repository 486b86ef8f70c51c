/** Locks that keep clients of both kinds apart while they change names and layouts. */

import type { Call } from "core/call.ts";
import { EINVAL, ENOSYS, ENOTCONN, EOPNOTSUPP } from "core/errno.ts";
import type { Entry, Inode } from "core/inode.ts";
import { encodeName, toHex } from "core/lib/bytes.ts";
import type { Xlator } from "core/xlator.ts";
import { isMissing, type Subvolumes } from "xlators/cluster/distribute/subvolumes.ts";

const NAMES_DOMAIN = "dht.entry.sync";
const FILES_DOMAIN = "dht.file.migrate", LAYOUT_DOMAIN = "dht.layout.heal";

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
  return await holding(
    inOrder(subvolumes, entries, ({ parent, name }) => parent.gfid + toHex(encodeName(name)))
      .map(({ index, parent, name }) => async () => {
        const to = subvolumes.all[index]!;
        const args = { inode: parent, domain: NAMES_DOMAIN, name, type: "write" } as const;
        await to.entrylk(locker, { ...args, cmd: "lock" });
        return { release: () => to.entrylk(locker, { ...args, cmd: "unlock" }) };
      }),
    act,
  );
}

/**
 * Does `act` while nobody else moves the files, or their data. Taken before the locks of names: a brick
 * lets a removal wait for whoever has the file locked, so who holds the names would wait for somebody
 * who waits for the names.
 */
export async function withFiles<T>(
  subvolumes: Subvolumes,
  call: Call,
  files: readonly { readonly index: number; readonly inode: Inode }[],
  act: () => Promise<T>,
): Promise<T> {
  const locker = subvolumes.asLocker(call);
  return await holding(
    inOrder(subvolumes, files, ({ inode }) => inode.gfid)
      .map(({ index, inode }) => () =>
        lockWhole(subvolumes.all[index]!, locker, inode, FILES_DOMAIN)
      ),
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
  return await holding(
    subvolumes.lockOrder.map((index) => () =>
      lockWhole(subvolumes.all[index]!, locker, inode, LAYOUT_DOMAIN)
    ),
    act,
  );
}

// Each thing once, in the order that GlusterFS's clients lock in: by the subvolume's name, then by `key`.
function inOrder<T extends { readonly index: number }>(
  { lockOrder }: Subvolumes,
  things: readonly T[],
  key: (thing: T) => string,
): T[] {
  const byKey = new Map(things.map((thing) => [`${thing.index} ${key(thing)}`, thing]));
  const place = ({ index }: T) => lockOrder.indexOf(index);
  return [...byKey.values()].sort((a, b) => place(a) - place(b) || (key(a) < key(b) ? -1 : 1));
}

async function lockWhole(to: Xlator, locker: Call, inode: Inode, domain: string): Promise<Held> {
  const range = { whence: 0, start: 0n, size: 0n, pid: locker.pid, owner: locker.lkOwner };
  const args = { inode, domain };
  await to.inodelk(locker, { ...args, cmd: "set-wait", lock: { ...range, type: "write" } });
  const unlock = { ...args, cmd: "set", lock: { ...range, type: "unlock" } } as const;
  return { release: () => to.inodelk(locker, unlock) };
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
