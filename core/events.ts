/** What layers tell the layers above them, outside of any fop. */

import type { Client } from "core/call.ts";
import type { Flock } from "core/fops.ts";
import type { Iatt } from "core/iatt.ts";
import type { Gfid } from "core/inode.ts";
import type { Xdata } from "core/xdata.ts";

/** Something changed that `clients` may have cached (callback CACHE_INVALIDATION). */
export interface CacheInvalidation {
  readonly type: "cache-invalidation";
  readonly clients: readonly Client[];
  readonly gfid: Gfid;
  /** UP_* bits of GlusterFS: which parts changed. */
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
export interface EntrylkContention {
  readonly type: "entrylk-contention";
  readonly client: Client;
  readonly gfid: Gfid;
  readonly domain: string;
  readonly name: string;
  readonly lockType: "read" | "write";
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
}
export interface ChildDown {
  readonly type: "child-down";
}

export type GraphEvent =
  | CacheInvalidation
  | InodelkContention
  | EntrylkContention
  | Failing
  | ChildUp
  | ChildDown;
