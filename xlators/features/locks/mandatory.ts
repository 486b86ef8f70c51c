/**
 * Mandatory locks: reads and writes that a lock of another holder is in the way of wait for it, or
 * fail with EAGAIN if the file is open with O_NONBLOCK or the fop has no open file. Daemons pass.
 */

import { S_IFREG } from "core/iatt.ts";
import type { Holder } from "xlators/features/locks/holder.ts";
import { sameHolder } from "xlators/features/locks/holder.ts";
import type { PosixLock } from "xlators/features/locks/posix_lk.ts";
import { overlaps, type Range } from "core/lib/ranges.ts";

/**
 * `file`: on files whose mode has set-group-ID but no group execute (Linux mandatory locks);
 * `forced`: every lock counts on every file; `optimal`: only locks asked for as mandatory count.
 */
export const MANDATORY_MODES = ["off", "file", "forced", "optimal"] as const;
export type MandatoryMode = typeof MANDATORY_MODES[number];

export const O_NONBLOCK = 0o4000;
const S_ISGID = 0o2000;
const S_IXGRP = 0o10;

/** A read or write about to happen. */
export interface Access extends Pick<Holder, "client" | "owner" | "pid"> {
  readonly range: Range;
  readonly kind: "read" | "write";
}

/** True if a granted lock forbids `access` (as far as the mode of the file allows it to). */
export function forbids(
  granted: readonly PosixLock[],
  access: Access,
  mode: MandatoryMode,
): boolean {
  return granted.some((lock) =>
    overlaps(lock.range, access.range) && !sameHolder(lock, access) &&
    !(access.kind === "read" && lock.type === "read") &&
    !(mode === "optimal" && !lock.mandatory)
  );
}

/** True if locks, granted or waited for, forbid to empty the file by opening it. */
export function forbidsTruncatingOpen(locks: readonly PosixLock[], mode: MandatoryMode): boolean {
  return mode === "optimal" ? locks.some((lock) => lock.mandatory) : locks.length > 0;
}

/** True if a file's mode asks for mandatory locks in mode `file`. */
export function isMarkedMandatory(mode: number): boolean {
  return (mode & S_IFREG) === S_IFREG && (mode & S_ISGID) !== 0 && (mode & S_IXGRP) === 0;
}
