/** Locks on a file of a volume, as QEMU's programs take them there: its bricks keep them, and know whose they are. */

import { FopError } from "core/errno.ts";
import type { ActiveLock } from "core/fops.ts";
import type { VolumeFile } from "core/volume_file.ts";
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
}

function covers({ start, size }: ActiveLock["lock"], at: bigint): boolean {
  return start <= at && (size === 0n || start + size > at);
}

// "CTX_ID:…-GRAPH_ID:0-PID:4711-HOST:node2-PC_NAME:v1-client-0-RECON_NO:-0"
function clientText(id: string, pid: number): string {
  const host = /-HOST:(.+)-PC_NAME:/.exec(id)?.[1], client = /-PID:(\d+)-/.exec(id)?.[1];
  if (host === undefined) return `client ${id}`;
  return pid > 0 ? `process ${pid} on ${host}` : `the client that is process ${client} on ${host}`;
}
