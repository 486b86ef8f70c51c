/** What layers tell the layers above them, outside of any fop. */

import type { Client } from "core/call.ts";
import type { Flock } from "core/fops.ts";
import type { Iatt } from "core/iatt.ts";
import type { Gfid } from "core/inode.ts";
import type { Xdata } from "core/xdata.ts";

/** Which parts of a file a cache invalidation is about (GlusterFS's upcall-utils.h, `UP_*`). */
export const UP = {
  NLINK: 0x1,
  MODE: 0x2,
  OWN: 0x4,
  SIZE: 0x8,
  TIMES: 0x10,
  /** Only the access time: nobody is told. */
  ATIME: 0x20,
  PERM: 0x40,
  RENAME: 0x80,
  /** The brick stops watching: whatever is cached is not kept up to date any more. */
  FORGET: 0x100,
  PARENT_TIMES: 0x200,
  XATTR: 0x400,
  XATTR_RM: 0x800,
  EXPLICIT_LOOKUP: 0x1000,
  INVAL_ATTR: 0x2000,
} as const;

/** Something changed that `clients` may have cached (callback CACHE_INVALIDATION). */
export interface CacheInvalidation {
  readonly type: "cache-invalidation";
  readonly clients: readonly Client[];
  readonly gfid: Gfid;
  /** Bits of `UP`: which parts changed. */
  readonly flags: number;
  /** Seconds after which the brick forgets that the client was interested. */
  readonly expireSec: number;
  readonly stat: Iatt | undefined;
  readonly parent: Iatt | undefined;
  readonly oldParent: Iatt | undefined;
  readonly xdata?: Xdata | undefined;
}

/** Another client waits for a lock that `client` holds: it should give it up soon. */
export interface InodelkContention {
  readonly type: "inodelk-contention";
  readonly client: Client;
  readonly gfid: Gfid;
  readonly domain: string;
  readonly lock: Flock;
}
/** The same for an entry lock. */
export interface EntrylkContention {
  readonly type: "entrylk-contention";
  readonly client: Client;
  readonly gfid: Gfid;
  readonly domain: string;
  readonly name: string;
  readonly lockType: "read" | "write";
  readonly pid: number;
}

/** Another client wants what `client`'s lease keeps from it: the lease should be given up soon. */
export interface LeaseRecall {
  readonly type: "lease-recall";
  readonly client: Client;
  readonly gfid: Gfid;
  /** RD 1, RW 2: the kind of lease that is wanted back. */
  readonly lease: number;
  /** 16 bytes that the brick tells recalls apart by, as hexadecimal text. */
  readonly id: string;
}

/** A person at a brick asks the client's process of that id for a statedump. */
export interface StatedumpWanted {
  readonly type: "statedump-wanted";
  readonly pid: number;
}

/** The layer cannot serve any more (the disk is gone): the process should end cleanly. */
export interface Failing {
  readonly type: "failing";
  readonly reason: string;
}

/** A child can, or cannot, be reached. */
export interface ChildUp {
  readonly type: "child-up";
  /** It serves requests that carry locks: see `core/carried_locks.ts`. */
  readonly carriesLocks?: boolean;
}
/** Fops on the child fail with ENOTCONN until it is up again. */
export interface ChildDown {
  readonly type: "child-down";
}
/** One of several children cannot be reached: what it would have told is not heard. */
export interface SomeDown {
  readonly type: "some-down";
}

/** What was answered about these names may not hold any more. */
export interface NamesDoubted {
  readonly type: "names-doubted";
  /** The directory they are in. */
  readonly parent: Gfid;
  readonly names: readonly string[];
}

export type GraphEvent =
  | CacheInvalidation
  | InodelkContention
  | EntrylkContention
  | LeaseRecall
  | StatedumpWanted
  | Failing
  | ChildUp
  | ChildDown
  | SomeDown
  | NamesDoubted;
