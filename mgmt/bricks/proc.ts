/**
 * Processes as /proc shows them. Read by system calls: Deno's own functions want every permission
 * there is for files below /proc.
 */

import { fopError } from "core/errno.ts";
import { cstring, sys } from "core/sys/calls.ts";

const AT_FDCWD = -100, O_CLOEXEC = 0o2000000, O_DIRECTORY = 0o200000;
const CHUNK = 16384;
/** Longer command lines are none of ours, and no machine has as many mounts. */
const TEXT_MAX = 1 << 20;
// linux_dirent64: ino (8), off (8), reclen (2), type (1), name.
const RECLEN = 16, NAME = 19;

/**
 * When a process began, in clock ticks since boot: with its number this names it for good. Undefined
 * if there is none, or only its exit status is left (a zombie). Source: proc_pid_stat(5).
 */
export function startTime(pid: number): string | undefined {
  const text = readProc(`/proc/${pid}/stat`);
  if (text === undefined) return undefined;
  // The name, in brackets, may hold anything, brackets too.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const STATE = 0, THREADS = 17, START_TIME = 19;
  // Of one that is killed the first thread may be gone before the others, which hold files and ports.
  const isGone = /^[ZX]$/.test(fields[STATE]!) && Number(fields[THREADS]) <= 1;
  return isGone ? undefined : fields[START_TIME];
}

/** Command line of a process; empty if there is none of that number. */
export function argsOf(pid: number): string[] {
  const text = readProc(`/proc/${pid}/cmdline`) ?? "";
  return text.split("\0").slice(0, -1);
}

/** The user that a process acts as; undefined if there is none. Source: proc_pid_status(5). */
export function userOf(pid: number): number | undefined {
  const ids = /^Uid:\t\d+\t(\d+)/m.exec(readProc(`/proc/${pid}/status`) ?? "");
  return ids ? Number(ids[1]) : undefined;
}

/** Numbers of all processes. */
export function processes(): number[] {
  const found = numbersIn("/proc");
  if (typeof found === "number") throw fopError(found);
  return found;
}

/** Numbers of a process's descriptors; none if there is no such process, or it is somebody else's. */
export function descriptorsOf(pid: number): number[] {
  const found = numbersIn(`/proc/${pid}/fd`);
  return typeof found === "number" ? [] : found;
}

// What is called by a number in a directory; the kernel's answer if there is none.
function numbersIn(path: string): number[] | number {
  const fd = open(path, O_DIRECTORY);
  if (fd < 0) return fd;
  const buffer = new Uint8Array(CHUNK);
  const view = new DataView(buffer.buffer);
  const found: number[] = [];
  try {
    for (let size; (size = sys.getdents64(fd, buffer, CHUNK)) > 0;) {
      for (let at = 0; at < size; at += view.getUint16(at + RECLEN, true)) {
        const name = buffer.subarray(at + NAME, buffer.indexOf(0, at + NAME));
        const number = Number(new TextDecoder().decode(name));
        if (Number.isInteger(number)) found.push(number);
      }
    }
  } finally {
    sys.close(fd);
  }
  return found;
}

function open(path: string, flags = 0): number {
  return sys.openat(AT_FDCWD, cstring(path), flags | O_CLOEXEC, 0);
}

/** Text of a file below /proc; undefined if there is none, as a process may end at any moment. */
export function readProc(path: string): string | undefined {
  let text = "";
  for (const piece of pieces(path)) {
    if (piece === undefined || text.length > TEXT_MAX) return undefined;
    text += piece;
  }
  return text;
}

/** Lines of a file below /proc, however many; none if there is no such file. */
export function* procLines(path: string): Generator<string> {
  let rest = "";
  for (const piece of pieces(path)) {
    const lines = (rest + (piece ?? "")).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
  if (rest !== "") yield rest;
}

// Undefined: it cannot be read, or no further.
function* pieces(path: string): Generator<string | undefined> {
  const fd = open(path);
  if (fd < 0) return void (yield undefined);
  const decoder = new TextDecoder();
  const chunk = new Uint8Array(CHUNK);
  try {
    for (let size; (size = sys.read(fd, chunk, CHUNK)) !== 0;) {
      if (size < 0) return void (yield undefined);
      yield decoder.decode(chunk.subarray(0, size), { stream: true });
    }
  } finally {
    sys.close(fd);
  }
}
