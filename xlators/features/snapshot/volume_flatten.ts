/**
 * Copies all that a brick of a cloned volume still reads from its origin, in the background. Begun
 * again after a kill: what was copied is not copied again.
 */

import { type Call, PID_SERVER_TRASH, ROOT } from "core/call.ts";
import type { Clock } from "core/env.ts";
import { ENOENT, ESTALE, fopError } from "core/errno.ts";
import type { Foreign } from "core/foreign.ts";
import type { Flattening } from "core/history_orders.ts";
import { AT_FDCWD, cstring, LOCAL_O_NOFOLLOW, O_CLOEXEC, sys } from "core/sys/calls.ts";
import { type CloneFile, flatten } from "snapshot/engine/clone_change.ts";
import type { History } from "snapshot/engine/history.ts";
import type { CloneFops } from "xlators/features/snapshot/clone_fops.ts";

const CALL: Call = { ...ROOT, pid: PID_SERVER_TRASH };
const O_RDWR = 2, PAUSE_MS = 1;

/** What is flattened. */
export interface VolumeFlattenParts {
  readonly history: History;
  readonly fops: CloneFops;
  readonly foreign: Foreign;
  readonly clock: Clock;
  /** Where files without a name are kept. */
  readonly kept: string;
}

/** See the head of this file. */
export class VolumeFlatten {
  readonly #parts: VolumeFlattenParts;
  #files = 0;
  #bytes = 0;
  #running: Promise<void> | undefined;
  #isDone = false;
  #stopped = false;
  #failed = "";

  constructor(parts: VolumeFlattenParts) {
    this.#parts = parts;
  }

  /** Begins, or goes on after what failed; how far it is. */
  begin(): Flattening {
    const told = {
      ...{ files: this.#files, bytes: this.#bytes },
      ...{ done: this.#isDone, failed: this.#failed },
    };
    if (!this.#running && !this.#isDone) {
      this.#failed = "";
      this.#running = this.#run().catch((error) => {
        this.#failed = error instanceof Error ? error.message : String(error);
      }).finally(() => this.#running = undefined);
    }
    return told;
  }

  /** Ends after the file that is under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    const { history: { clones }, foreign, fops } = this.#parts;
    for await (const gfid of foreign.files()) {
      if (this.#stopped) return;
      const clone = clones.get(gfid);
      if (!clone) continue;
      await orGone(fops.flatten(CALL, clone, this.#copied));
      this.#files++;
    }
    // What lost its last name meanwhile is among these.
    for (const clone of clones.keptForeign()) {
      if (this.#stopped) return;
      const path = `${this.#parts.kept}/${clone.gfid}.${clone.kept}`;
      await orGone(this.#flattenKept(path, (file) => flatten(clones, clone, file, this.#pause)));
      this.#files++;
    }
    this.#isDone = !this.#stopped;
  }

  #copied = (bytes: number) => void (this.#bytes += bytes);

  #pause = (bytes: number) => {
    this.#copied(bytes);
    return this.#parts.clock.delay(PAUSE_MS);
  };

  async #flattenKept(path: string, run: (file: CloneFile) => Promise<void>): Promise<void> {
    const flags = O_RDWR | O_CLOEXEC | LOCAL_O_NOFOLLOW;
    const fd = checked(sys.openat(AT_FDCWD, cstring(path), flags, 0));
    try {
      await run({
        write: async (offset, bytes) => {
          const data = bytes as Uint8Array<ArrayBuffer>;
          checked(await sys.pwriteAsync(fd, data, data.length, offset));
        },
        sync: async () => void checked(await sys.fsyncAsync(fd)),
      });
    } finally {
      sys.close(fd);
    }
  }
}

// A file may be removed at any time.
async function orGone(flattened: Promise<void>): Promise<void> {
  try {
    await flattened;
  } catch (error) {
    if (!ENOENT.matches(error) && !ESTALE.matches(error)) throw error;
  }
}

function checked(result: number): number {
  if (result < 0) throw fopError(result);
  return result;
}
