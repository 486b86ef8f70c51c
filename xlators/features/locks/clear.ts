/**
 * `glusterfs.clrlk` and `glusterfs.intrlk`: clearing locks by getting an attribute of that name.
 * The first is what `gluster volume clear-locks` uses, the second what a mount sends when a process
 * that waits for a lock is interrupted.
 */

import { EINVAL } from "core/errno.ts";
import type { Flock } from "core/fops.ts";
import type { Which } from "xlators/features/locks/domain.ts";

const CLEAR = "glusterfs.clrlk";
const INTERRUPT = "glusterfs.intrlk";
const KINDS = ["inode", "entry", "posix"] as const;
const WHICH = ["blocked", "granted", "all"] as const;

/** What to clear. */
export interface ClearCommand {
  readonly kind: typeof KINDS[number];
  readonly which: Which;
  /** Only what the caller's own process waits for. */
  readonly own: boolean;
  /** Exactly this range, as the client spelt it; undefined: any. */
  readonly range?: { readonly whence: number; readonly start: bigint; readonly size: bigint };
  /** Exactly this name; undefined: any. */
  readonly name?: string;
}

/** True if an attribute's name is a command. */
export function isClearCommand(name: string): boolean {
  return name.startsWith(CLEAR) || name.startsWith(INTERRUPT);
}

/**
 * Reads `glusterfs.clrlk.t⟨inode|entry|posix⟩.k⟨blocked|granted|all⟩[.⟨whence,start-size⟩|.⟨name⟩]`.
 * Throws EINVAL.
 */
export function parseClearCommand(text: string): ClearCommand {
  const match = /^glusterfs\.(clrlk|intrlk)\.t([a-z]+)\.k([a-z]+)(?:\.([^/]+))?/.exec(text);
  const kind = KINDS.find((each) => each === match?.[2]);
  const which = WHICH.find((each) => each === match?.[3]);
  if (!match || !kind || !which) throw EINVAL;
  const own = match[1] === "intrlk";
  if (own && kind !== "posix") throw EINVAL;
  const rest = match[4];
  if (rest === undefined) return { kind, which, own };
  return kind === "entry"
    ? { kind, which, own, name: rest }
    : { kind, which, own, range: parseRange(rest) };
}

function parseRange(text: string): NonNullable<ClearCommand["range"]> {
  const match = /^\s*(-?\d{1,5}),\s*(-?\d{1,19})-(-?\d{1,19})/.exec(text);
  if (!match) throw EINVAL;
  return { whence: Number(match[1]), start: BigInt(match[2]!), size: BigInt(match[3]!) };
}

/** True if a lock that a client spelt as `asked` is in the command's range. */
export function inClearRange({ range }: ClearCommand, asked: Flock): boolean {
  return range === undefined ||
    (asked.whence === range.whence && asked.start === range.start && asked.size === range.size);
}

/** The answer for people: how many were cleared at which brick. */
export function clearSummary(
  brick: string,
  kind: string,
  { blocked, granted }: { readonly blocked: number; readonly granted: number },
): string {
  return blocked || granted
    ? `${brick}: ${kind} blocked locks=${blocked} granted locks=${granted}`
    : "No locks cleared.";
}

/** `host:path` of a brick's file out of storage's `<POSIX(brick):host:path>`; undefined if it is none. */
export function placeInPathinfo(pathinfo: string): string | undefined {
  const match = /^<POSIX\(.*?\):([^:]+):(.+?)>?$/.exec(pathinfo);
  return match ? `${match[1]}:${match[2]}` : undefined;
}
