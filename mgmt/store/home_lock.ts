/** One daemon per home: a file that the daemon keeps locked; the kernel lets go when it ends, however. */

import { StoreError } from "mgmt/store/store.ts";

/** Name of the file below the home; it has the daemon's process id in it. */
export const LOCK_FILE = "mgmt.lock";

const PID_WIDTH = 10;

/** The home is ours until `release`. */
export interface HomeLock {
  release(): void;
}

/** Takes the lock of a home that is there. Throws StoreError naming the process that has it. */
export function lockHome(home: string): HomeLock {
  const path = `${home}/${LOCK_FILE}`;
  const file = Deno.openSync(path, { read: true, write: true, create: true, mode: 0o600 });
  try {
    // A lock of the open file, not of the process: children do not get the descriptor.
    if (!file.tryLockSync(true)) {
      const pid = /^\d{1,10}(?= *\n)/.exec(Deno.readTextFileSync(path))?.[0];
      throw new StoreError(
        `Cannot use "${home}": ${pid ? `process ${pid}` : "another process"} manages it already; ` +
          "stop that one, or choose another directory with --home",
      );
    }
    // Written over, so that it needs no room on a full disk.
    file.writeSync(new TextEncoder().encode(`${Deno.pid}`.padEnd(PID_WIDTH) + "\n"));
  } catch (error) {
    file.close();
    throw error;
  }
  // The file stays: removing it would let two others lock two files of that name.
  return { release: () => file.close() };
}
