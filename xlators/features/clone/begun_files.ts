/**
 * Which files of a clone's brick began as the origin's, as their attribute says, and what the origin
 * has of them.
 */

import { ENODATA, ENOENT, fopError } from "core/errno.ts";
import type { Begun, Foreign, ForeignWindow } from "core/foreign.ts";
import { S_IFDIR, S_IFREG } from "core/iatt.ts";
import { type Gfid, ROOT_GFID } from "core/inode.ts";
import { decodeName } from "core/lib/bytes.ts";
import { AT_FDCWD, cstring, LOCAL_O_NOFOLLOW, O_CLOEXEC, sys } from "core/sys/calls.ts";
import { BEGUN_XATTR } from "core/xdata_keys.ts";
import type { LookedAt } from "snapshot/engine/looked_at.ts";
import type { Arrivals } from "xlators/features/clone/arrivals.ts";

const KEY = cstring(BEGUN_XATTR), VALUE_MAX = 64;
const ALL_OWN: Begun = { size: 0, blocks: 0, now: 0 };
/** Of a file that has not come here: as much as the origin has. */
const ALL_FOREIGN: Begun = { size: Infinity, blocks: 0, now: Infinity };

/** See the head of this file. Methods throw FopError. */
export class BegunFiles implements Foreign {
  readonly #hidden: string;
  readonly #origin: LookedAt;
  readonly #lookOnly: boolean;
  readonly #arrivals: Arrivals | undefined;

  /** `lookOnly`: files of the origin need not have come here. */
  constructor(directory: string, origin: LookedAt, lookOnly: boolean, arrivals?: Arrivals) {
    this.#arrivals = arrivals;
    this.#hidden = `${directory}/.glusterfs`;
    this.#origin = origin;
    this.#lookOnly = lookOnly;
  }

  begun(gfid: Gfid, kept: string | undefined): Begun | undefined {
    if (kept === undefined && this.#arrivals?.arriving === gfid) return undefined;
    const path = this.#path(gfid, kept), value = new Uint8Array(VALUE_MAX);
    const length = sys.lgetxattr(cstring(path), KEY, value, value.length);
    if (length === -ENOENT.errno) {
      return this.#lookOnly && kept === undefined ? ALL_FOREIGN : undefined;
    }
    if (length === -ENODATA.errno) return ALL_OWN;
    if (length < 0) throw fopError(length);
    const [size = 0, blocks = 0] = decodeName(value.subarray(0, length)).split(" ").map(Number);
    return { size, blocks, now: this.#lookOnly ? Infinity : Deno.lstatSync(path).size };
  }

  read(gfid: Gfid, offset: number, into: Uint8Array<ArrayBuffer>): void | Promise<void> {
    return this.#origin.read(gfid, offset, into);
  }

  locate(gfid: Gfid, number: number, window: ForeignWindow): Promise<void> {
    return this.#origin.locate(gfid, number, window);
  }

  nextData(gfid: Gfid, offset: number, until: number): number | undefined {
    return this.#origin.nextData(gfid, offset, until);
  }

  nextHole(gfid: Gfid, offset: number, until: number): number | undefined {
    const data = this.nextData(gfid, offset, until);
    return data === offset ? undefined : offset;
  }

  async *files(): AsyncIterable<Gfid> {
    for (const directories: Gfid[] = [ROOT_GFID]; directories.length;) {
      const directory = directories.pop()!;
      await this.#arrivals?.whole(directory);
      for (const { gfid, type } of await this.#origin.view.entries(directory)) {
        if (type === S_IFDIR) directories.push(gfid);
        else if (type === S_IFREG) yield gfid;
      }
    }
    this.#arrivals?.end();
  }

  async end(gfid: Gfid, kept: string | undefined): Promise<void> {
    const path = cstring(this.#path(gfid, kept));
    const removed = sys.lremovexattr(path, KEY);
    if (removed === -ENOENT.errno || removed === -ENODATA.errno) return;
    if (removed < 0) throw fopError(removed);
    const fd = sys.openat(AT_FDCWD, path, O_CLOEXEC | LOCAL_O_NOFOLLOW, 0);
    if (fd < 0) throw fopError(fd);
    try {
      const result = await sys.fsyncAsync(fd);
      if (result < 0) throw fopError(result);
    } finally {
      sys.close(fd);
    }
  }

  #path(gfid: Gfid, kept: string | undefined): string {
    return kept === undefined
      ? `${this.#hidden}/${gfid.slice(0, 2)}/${gfid.slice(2, 4)}/${gfid}`
      : `${this.#hidden}/history/kept/${kept}`;
  }
}
