/**
 * How far the kernel reads ahead in files that are read in order. It begins with 128 KiB for every
 * file system, too little where each read is a round trip: a reader of 1 MiB asked for it in four
 * parts, and waited for each. What it does is a file below /sys that only root may write.
 */

import { decodeName, encodeName } from "core/lib/bytes.ts";
import { AT_FDCWD, cstring, O_CLOEXEC, sys } from "core/sys/calls.ts";

const O_WRONLY = 1;
const PART = 64 << 10;

/** Of a line of /proc/self/mountinfo. */
export interface MountLine {
  /** Device number, "MAJOR:MINOR". */
  readonly device: string;
  readonly directory: string;
  /** File system, such as "fuse.mortar". */
  readonly type: string;
}

/**
 * Makes the kernel read ahead up to `bytes` on the mount of type `type` on `directory`, a real path. Answers
 * false where it cannot be told: files are read right all the same.
 */
export function setReadAhead(directory: string, type: string, bytes: number): boolean {
  // What was mounted last covers the others.
  const mount = mountLines(readWhole("/proc/self/mountinfo"))
    .findLast((each) => each.directory === directory && each.type === type);
  if (!mount) return false;
  const file = cstring(`/sys/class/bdi/${mount.device}/read_ahead_kb`);
  const fd = sys.openat(AT_FDCWD, file, O_WRONLY | O_CLOEXEC, 0);
  if (fd < 0) return false;
  const text = encodeName(String(bytes >> 10));
  const written = sys.write(fd, text, text.length);
  sys.close(fd);
  return written === text.length;
}

/** What a text of /proc/self/mountinfo lists (proc(5)). */
export function mountLines(text: string): MountLine[] {
  const lines: MountLine[] = [];
  for (const line of text.split("\n")) {
    const [, , device, , directory, ...rest] = line.split(" ");
    const type = rest[rest.indexOf("-") + 1];
    if (device === undefined || directory === undefined || type === undefined) continue;
    lines.push({ device, directory: plain(directory), type });
  }
  return lines;
}

// Spaces, tabs, newlines and backslashes stand there as three octal digits.
function plain(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, digits) => String.fromCharCode(parseInt(digits, 8)));
}

// By system calls: Deno's own functions want every permission there is for files below /proc.
function readWhole(path: string): string {
  const fd = sys.openat(AT_FDCWD, cstring(path), O_CLOEXEC, 0);
  if (fd < 0) return "";
  // Each read answers whole lines.
  let text = "";
  const part = new Uint8Array(PART);
  for (;;) {
    const size = sys.read(fd, part, PART);
    if (size <= 0) break;
    text += decodeName(part.subarray(0, size));
  }
  sys.close(fd);
  return text;
}
