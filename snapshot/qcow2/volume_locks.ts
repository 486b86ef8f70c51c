/**
 * Locks on a file of a volume, as QEMU's programs take them there: its bricks keep them, and know whose
 * they are, and who has the file open. GlusterFS's bricks only know how many have.
 */

import { ENODATA, EOPNOTSUPP, FopError } from "core/errno.ts";
import type { ActiveLock } from "core/fops.ts";
import { decodeName } from "core/lib/bytes.ts";
import type { VolumeFile } from "core/volume_file.ts";
import { WRITERS_XATTR } from "core/xdata_keys.ts";
import type { ByteLocks } from "snapshot/qcow2/qemu_locks.ts";

/** Locks through the open file. */
export class VolumeLocks implements ByteLocks {
  readonly #file: VolumeFile;

  constructor(file: VolumeFile) {
    this.#file = file;
  }

  share(at: number): Promise<void> {
    return this.#file.lock("read", { start: BigInt(at), size: 1n });
  }

  async holder(at: number): Promise<string | undefined> {
    const start = BigInt(at);
    const blocker = await this.#file.blocker("write", { start, size: 1n });
    if (!blocker) return undefined;
    const locks = await this.#file.locks().catch((error) => {
      // Not every brick tells: that somebody is there is known all the same.
      if (error instanceof FopError) return [];
      throw error;
    });
    const held = locks.find(({ lock }) => lock.owner === blocker.owner && covers(lock, start));
    return held ? clientText(held.clientId, blocker.pid) : "another client";
  }

  async writer(): Promise<string | undefined> {
    const told = await this.#writers();
    if (told !== undefined) return firstWriter(told);
    // Who only reads is counted, too: better that he is in the way than that a guest is not.
    return await this.#file.openCount() > 1 ? "another client" : undefined;
  }

  // Undefined: not every brick tells.
  async #writers(): Promise<Uint8Array | undefined> {
    try {
      return await this.#file.getXattr(WRITERS_XATTR);
    } catch (error) {
      if (ENODATA.matches(error) || EOPNOTSUPP.matches(error)) return undefined;
      throw error;
    }
  }
}

/**
 * The first in a value of `WRITERS_XATTR`, in words for people, but for those of process `pid` on
 * `host`; undefined: nobody else.
 */
export function firstWriter(
  value: Uint8Array,
  but?: { readonly pid: number; readonly host: string },
): string | undefined {
  for (const line of decodeName(value).split(/[\n\0]/)) {
    const [, pid, id] = /^(\d+) (.+)$/.exec(line) ?? [];
    if (pid === undefined || id === undefined) continue;
    if (but && Number(pid) === but.pid && hostOf(id) === but.host) continue;
    return clientText(id, Number(pid));
  }
  return undefined;
}

function covers({ start, size }: ActiveLock["lock"], at: bigint): boolean {
  return start <= at && (size === 0n || start + size > at);
}

function hostOf(id: string): string | undefined {
  return /-HOST:(.+)-PC_NAME:/.exec(id)?.[1];
}

// "CTX_ID:…-GRAPH_ID:0-PID:4711-HOST:node2-PC_NAME:v1-client-0-RECON_NO:-0"
function clientText(id: string, pid: number): string {
  const host = hostOf(id), client = /-PID:(\d+)-/.exec(id)?.[1];
  if (host === undefined) return `client ${id}`;
  return pid > 0 ? `process ${pid} on ${host}` : `the client that is process ${client} on ${host}`;
}
