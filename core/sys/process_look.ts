/**
 * What the process is called by those who look at process lists: its name (`comm`, which pgrep and
 * pkill compare) and its command line, which the kernel shows from where it once put it into the
 * process's memory. Scripts find daemons by both; a runtime's own would tell them nothing.
 */

import { decodeName, encodeName } from "core/lib/bytes.ts";
import { cstring, sys } from "core/sys/calls.ts";

const PR_SET_NAME = 15, PR_SET_MM = 35, PR_SET_MM_ARG_END = 9;
/** Longer than any command line that is sensible: a number read wrongly is not believed. */
const AREA_MAX = 16 << 20;

/** Names the process; 15 bytes are kept. */
export function setProcessName(name: string): void {
  sys.prctlName(PR_SET_NAME, cstring(name.slice(0, 15)));
}

/**
 * Shows `words` as the command line from now on. What does not fit into the room that the first one
 * had is cut off. Answers false, and changes nothing, where the room cannot be found.
 */
export function setCommandLine(words: readonly string[]): boolean {
  const area = argumentArea();
  if (!area) return false;
  const { start, size } = area;
  const pointer = Deno.UnsafePointer.create(start);
  if (!pointer) return false;
  const bytes = encodeName(words.map((word) => `${word.replaceAll("\0", "")}\0`).join(""));
  const shown = Math.min(bytes.length, size);
  const room = new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(pointer, size));
  room.set(bytes.subarray(0, shown));
  // The last byte must stay NUL: the kernel takes another one for a title that goes on behind.
  room.fill(0, Math.min(shown, size - 1));
  // Who may (CAP_SYS_RESOURCE) shortens the room; for others empty words follow.
  sys.prctlMemory(PR_SET_MM, PR_SET_MM_ARG_END, start + BigInt(shown), 0, 0);
  return true;
}

/** Where the kernel reads the command line of this process from: fields 48 and 49 of proc(5) stat. */
function argumentArea(): { start: bigint; size: number } | undefined {
  const stat = readStat();
  // The second field is the name in parentheses, and may hold anything, spaces and ")" too.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [from, to] = [fields[48 - 3], fields[49 - 3]];
  if (!from || !to || !/^\d{1,20}$/.test(from) || !/^\d{1,20}$/.test(to)) return undefined;
  const start = BigInt(from), size = Number(BigInt(to) - start);
  return start > 0n && size > 1 && size <= AREA_MAX ? { start, size } : undefined;
}

// By system calls: Deno's own functions want every permission there is for files below /proc.
function readStat(): string {
  const AT_FDCWD = -100, O_CLOEXEC = 0o2000000, STAT_MAX = 4096;
  const fd = sys.openat(AT_FDCWD, cstring("/proc/self/stat"), O_CLOEXEC, 0);
  if (fd < 0) return "";
  const buffer = new Uint8Array(STAT_MAX);
  const size = sys.read(fd, buffer, STAT_MAX);
  sys.close(fd);
  return decodeName(buffer.subarray(0, Math.max(0, size)));
}
