/** Locks of one inode as lines of a statedump, in GlusterFS's words. */

/** What all locks tell (`state` of `features/locks`). Times are ISO 8601. */
interface Held {
  readonly client: string;
  readonly owner: string;
  readonly pid: number;
  readonly state: "granted" | "blocked";
  readonly type: string;
  readonly grantedAt?: string;
  readonly blockedAt?: string;
}
interface Range {
  readonly start: string;
  readonly size: string;
}

/** An inode with locks. */
export interface LockedInode {
  readonly gfid: string;
  readonly inodelks?: readonly (Held & Range & { readonly domain: string })[];
  readonly entrylks?: readonly (Held & { readonly domain: string; readonly name: string })[];
  readonly posixlks?: readonly (Held & Range & { readonly since: string })[];
}

type Entry = readonly [string, string | number];

/**
 * The lines: counts first, then locks by domain, those that are held before those that wait. `path`:
 * from the brick's root, if it is known.
 */
export function* lockEntries(inode: LockedInode, path: string | undefined): Generator<Entry> {
  const { gfid, inodelks = [], entrylks = [], posixlks = [] } = inode;
  if (path !== undefined) yield ["path", path];
  yield ["gfid", gfid];
  if (entrylks.length) {
    yield ["entrylk-count", entrylks.length];
    yield* byDomain(
      entrylks,
      "xlator.feature.locks.lock-dump.domain.entrylk.entrylk",
      (lock) =>
        `type=${lock.type === "read" ? "ENTRYLK_RDLCK" : "ENTRYLK_WRLCK"} on basename=${lock.name}`,
    );
  }
  if (inodelks.length) {
    yield ["inodelk-count", inodelks.length];
    yield* byDomain(inodelks, "inodelk.inodelk", range);
  }
  if (posixlks.length) {
    yield ["posixlk-count", posixlks.length];
    for (const [index, lock] of posixlks.entries()) {
      const times = lock.state === "granted"
        ? { grantedAt: lock.since }
        : { blockedAt: lock.since };
      yield [`posixlk.posixlk[${index}](${word(lock)})`, `${range(lock)}, ${tail(lock, times)}`];
    }
  }
}

function* byDomain<L extends Held & { readonly domain: string }>(
  locks: readonly L[],
  key: string,
  head: (lock: L) => string,
): Generator<Entry> {
  for (const [domain, own] of Map.groupBy(locks, (lock) => lock.domain)) {
    yield ["lock-dump.domain.domain", domain];
    for (const [index, lock] of own.entries()) {
      yield [`${key}[${index}](${word(lock)})`, `${head(lock)}, ${tail(lock, lock)}`];
    }
  }
}

function word({ state }: Held): string {
  return state === "granted" ? "ACTIVE" : "BLOCKED";
}

function range({ type, start, size }: Held & Range): string {
  return `type=${type.toUpperCase()}, whence=0, start=${start}, len=${size}`;
}

function tail(
  { pid, owner, client }: Held,
  { grantedAt, blockedAt }: Pick<Held, "grantedAt" | "blockedAt">,
): string {
  const time = (iso: string) => `${iso.slice(0, 10)} ${iso.slice(11, 19)} +0000`;
  return [
    `pid = ${pid}`,
    `owner=${owner}`,
    `client=${client}`,
    `connection-id=${client}`,
    ...blockedAt === undefined ? [] : [`blocked at ${time(blockedAt)}`],
    ...grantedAt === undefined ? [] : [`granted at ${time(grantedAt)}`],
  ].join(", ");
}
