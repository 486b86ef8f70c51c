/** One daemon per home: a file that the daemon keeps locked; the kernel lets go when it ends, however. */

import { StoreError } from "mgmt/store/store.ts";

/** Name of the file below the home; it has the daemon's process id in it. */
export const LOCK_FILE = "mgmt.lock";

const PID_WIDTH = 10;

/** The home is ours until `release`. */
export interface HomeLock {
  release(): void;
}

/**
 * Takes the lock of a home that is there. Throws StoreError naming the process that has it, or who
 * else could put his own store, hooks and volfiles there.
 */
export function lockHome(home: string): HomeLock {
  checkOwner(home);
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

function checkOwner(home: string): void {
  const OTHERS_WRITE = 0o002, STICKY = 0o1000;
  const { uid, mode } = Deno.statSync(home);
  const open = ((mode ?? 0) & OTHERS_WRITE) !== 0;
  // Where everybody may write but nobody may replace what is another's, it is a matter of who came first.
  const sticky = ((mode ?? 0) & STICKY) !== 0;
  const wrong = !isTrusted(uid)
    ? `it belongs to user ${uid}; give it to the daemon's with chown`
    : open && !(sticky && holdsOwnOnly(home))
    ? "everybody may write to it; forbid that with chmod o-w"
    : undefined;
  if (wrong === undefined) return;
  throw new StoreError(`Cannot use "${home}": ${wrong}, or choose another directory with --home`);
}

function holdsOwnOnly(home: string): boolean {
  return [...Deno.readDirSync(home)].every(({ name }) =>
    isTrusted(Deno.lstatSync(`${home}/${name}`).uid)
  );
}

function isTrusted(uid: number | null): boolean {
  return uid === 0 || uid === Deno.uid();
}
