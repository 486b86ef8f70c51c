/**
 * System calls as functions. Each answers what the kernel answered: a negative number is `-errno`
 * (`fopError(result)` makes the failure of it). Names with `Async` run on a thread of Deno's pool
 * (15 to 120 µs of hand-over, 32 threads): only for what may wait for a disk, and then the buffers
 * belong to the call until its promise settles.
 *
 * Paths are bytes with a NUL at the end: `cstring`.
 */

import { encodeName } from "core/lib/bytes.ts";
import { openLibc } from "core/sys/libc.ts";
import { buildStubs, STUB_PREFIX } from "core/sys/stubs.ts";
import type { Machine, Syscall } from "core/sys/numbers.ts";

type Parameter = "i32" | "u32" | "i64" | "usize" | "buffer" | "pointer";

function call<const P extends readonly Parameter[]>(name: Syscall, parameters: P) {
  return { name: STUB_PREFIX + name, parameters, result: "i32" } as const;
}

// A result that needs 64 bits: always a bigint.
function wide<const P extends readonly Parameter[]>(name: Syscall, parameters: P) {
  return { name: STUB_PREFIX + name, parameters, result: "i64" } as const;
}

function pooled<const P extends readonly Parameter[]>(name: Syscall, parameters: P) {
  return { name: STUB_PREFIX + name, parameters, result: "i32", nonblocking: true } as const;
}

const PATH = ["i32", "buffer"] as const;
const IO = ["i32", "buffer", "u32", "i64"] as const;
const XATTR = ["buffer", "buffer", "buffer", "u32"] as const;

/** Every call we make, with its signature. Offsets are `i64` fed with numbers; results fit 32 bits. */
const SYMBOLS = {
  openat: call("openat", [...PATH, "i32", "u32"]),
  openat2: call("openat2", [...PATH, "buffer", "u32"]),
  openatAsync: pooled("openat", [...PATH, "i32", "u32"]),
  close: call("close", ["i32"]),
  closeAsync: pooled("close", ["i32"]),
  read: call("read", ["i32", "buffer", "u32"]),
  write: call("write", ["i32", "buffer", "u32"]),
  writeAsync: pooled("write", ["i32", "buffer", "u32"]),
  pread: call("pread64", IO),
  preadAsync: pooled("pread64", IO),
  pwrite: call("pwrite64", IO),
  pwriteAsync: pooled("pwrite64", IO),
  /** iov, count, offset low, offset high (0 on 64 bits), RWF_ flags. */
  preadv2: call("preadv2", ["i32", "buffer", "u32", "i64", "i64", "i32"]),
  /** The same with addresses of memory outside of JavaScript. */
  preadAt: call("pread64", ["i32", "usize", "u32", "i64"]),
  preadAtAsync: pooled("pread64", ["i32", "usize", "u32", "i64"]),
  pwriteAt: call("pwrite64", ["i32", "usize", "u32", "i64"]),
  pwriteAtAsync: pooled("pwrite64", ["i32", "usize", "u32", "i64"]),
  /** Answers a bigint. */
  lseek: wide("lseek", ["i32", "i64", "i32"]),
  fsync: call("fsync", ["i32"]),
  fsyncAsync: pooled("fsync", ["i32"]),
  fdatasyncAsync: pooled("fdatasync", ["i32"]),
  syncfsAsync: pooled("syncfs", ["i32"]),
  fadviseAsync: pooled("fadvise64", ["i32", "i64", "i64", "i32"]),
  ftruncate: call("ftruncate", ["i32", "i64"]),
  ftruncateAsync: pooled("ftruncate", ["i32", "i64"]),
  fallocate: call("fallocate", ["i32", "i32", "i64", "i64"]),
  fallocateAsync: pooled("fallocate", ["i32", "i32", "i64", "i64"]),
  copyFileRangeAsync: pooled("copy_file_range", ["i32", "buffer", "i32", "buffer", "u32", "u32"]),
  statx: call("statx", [...PATH, "i32", "u32", "buffer"]),
  statfs: call("statfs", ["buffer", "buffer"]),
  statfsAsync: pooled("statfs", ["buffer", "buffer"]),
  fstatfs: call("fstatfs", ["i32", "buffer"]),
  mkdirat: call("mkdirat", [...PATH, "u32"]),
  mknodat: call("mknodat", [...PATH, "u32", "u32"]),
  unlinkat: call("unlinkat", [...PATH, "i32"]),
  unlinkatAsync: pooled("unlinkat", [...PATH, "i32"]),
  linkat: call("linkat", [...PATH, ...PATH, "i32"]),
  symlinkat: call("symlinkat", ["buffer", "i32", "buffer"]),
  readlinkat: call("readlinkat", [...PATH, "buffer", "u32"]),
  renameat2: call("renameat2", [...PATH, ...PATH, "u32"]),
  fchmodat: call("fchmodat", [...PATH, "u32"]),
  fchmod: call("fchmod", ["i32", "u32"]),
  fchownat: call("fchownat", [...PATH, "i32", "i32", "i32"]),
  fchown: call("fchown", ["i32", "i32", "i32"]),
  faccessat: call("faccessat", [...PATH, "i32"]),
  /** times: two timespecs of 16 bytes each. */
  utimensat: call("utimensat", [...PATH, "buffer", "i32"]),
  /** A null path works on the fd itself. */
  futimens: call("utimensat", ["i32", "pointer", "buffer", "i32"]),
  getdents64: call("getdents64", ["i32", "buffer", "u32"]),
  lgetxattr: call("lgetxattr", XATTR),
  /** Linux 6.13. fd, path, AT_ flags, name, `struct xattr_args` (address, size, 0), its size (16). */
  getxattrat: call("getxattrat", [...PATH, "u32", "buffer", "buffer", "u32"]),
  fgetxattr: call("fgetxattr", ["i32", "buffer", "buffer", "u32"]),
  lsetxattr: call("lsetxattr", [...XATTR, "i32"]),
  fsetxattr: call("fsetxattr", ["i32", "buffer", "buffer", "u32", "i32"]),
  llistxattr: call("llistxattr", ["buffer", "buffer", "u32"]),
  /** Linux 6.13. fd, path, AT_ flags, where names go, its size. */
  listxattrat: call("listxattrat", [...PATH, "u32", "buffer", "u32"]),
  flistxattr: call("flistxattr", ["i32", "buffer", "u32"]),
  lremovexattr: call("lremovexattr", ["buffer", "buffer"]),
  fremovexattr: call("fremovexattr", ["i32", "buffer"]),
  umask: call("umask", ["u32"]),
  flock: call("flock", ["i32", "i32"]),
  ioctl: call("ioctl", ["i32", "u32", "buffer"]),
  ioctlInt: call("ioctl", ["i32", "u32", "i32"]),
  /** fd, where the address goes, and its room (in) and size (out) as 32 bits. */
  getsockname: call("getsockname", ["i32", "buffer", "buffer"]),
  getpeername: call("getpeername", ["i32", "buffer", "buffer"]),
  /** fd, level, option, value, its size. */
  setsockopt: call("setsockopt", ["i32", "i32", "i32", "buffer", "u32"]),
  prctlName: call("prctl", ["i32", "buffer"]),
  /** PR_SET_MM, what, address, 0, 0. */
  prctlMemory: call("prctl", ["i32", "u32", "usize", "usize", "usize"]),
  getpid: call("getpid", []),
  /** Whose (1: this thread's), and where it goes, 144 bytes. */
  getrusage: call("getrusage", ["i32", "buffer"]),
  getgid: call("getgid", []),
  /** How many there is room for, and where they go, 32 bits each. */
  getgroups: call("getgroups", ["i32", "buffer"]),
  /** Answers a bigint. */
  mmap: wide("mmap", ["usize", "usize", "i32", "i32", "i32", "i64"]),
  munmap: call("munmap", ["usize", "usize"]),
  mprotect: call("mprotect", ["usize", "usize", "i32"]),
  /** signal, new action, old action (null), size of the mask (8). */
  sigaction: call("rt_sigaction", ["i32", "buffer", "pointer", "u32"]),
  socket: call("socket", ["i32", "i32", "i32"]),
  /** fd, data, size, flags, address, its size. */
  sendto: call("sendto", ["i32", "buffer", "u32", "i32", "buffer", "u32"]),
  /** fd, where data goes, its room, flags, null, null. */
  recvfrom: call("recvfrom", ["i32", "buffer", "u32", "i32", "pointer", "pointer"]),
  epollCreate: call("epoll_create1", ["i32"]),
  /** epoll, where events go, how many at most, milliseconds or -1, signal mask (null), its size. */
  epollWait: call("epoll_pwait", ["i32", "buffer", "i32", "i32", "pointer", "u32"]),
  /** clock, flags. */
  timerCreate: call("timerfd_create", ["i32", "i32"]),
  /** timer, flags, interval and time until it ends (two timespecs), null. */
  timerSet: call("timerfd_settime", ["i32", "i32", "buffer", "pointer"]),
  /** epoll, EPOLL_CTL_, fd, event. */
  epollCtl: call("epoll_ctl", ["i32", "i32", "i32", "buffer"]),
  /** domain, type, protocol, where the two fds go. */
  socketpair: call("socketpair", ["i32", "i32", "i32", "buffer"]),
  /** fd, msghdr, flags. */
  recvmsgAsync: pooled("recvmsg", ["i32", "buffer", "i32"]),
  fcntl: call("fcntl", ["i32", "i32", "i32"]),
  /** fd, a command for locks, struct flock. */
  fcntlLock: call("fcntl", ["i32", "i32", "buffer"]),
  /** pollfds, how many, time limit (null: none), signal mask (null), its size. */
  ppollAsync: pooled("ppoll", ["buffer", "u32", "pointer", "pointer", "u32"]),
  /** source, target, type, flags, data. */
  mountAsync: pooled("mount", ["buffer", "buffer", "buffer", "u32", "buffer"]),
  /** target, flags. */
  umountAsync: pooled("umount2", ["buffer", "i32"]),
} as const satisfies Deno.ForeignLibraryInterface;

// Deno's own types want bigint for 64 bits; it takes numbers too, and those cost no garbage.
interface Given {
  i32: number;
  u32: number;
  i64: number | bigint;
  usize: number | bigint;
  buffer: BufferSource | null;
  pointer: Deno.PointerValue;
}
interface Answered {
  i32: number;
  i64: bigint;
}
type Call<S> = S extends
  { parameters: infer P extends readonly Parameter[]; result: infer R extends keyof Answered } ? (
    ...args: { -readonly [I in keyof P]: Given[P[I]] }
  ) => S extends { nonblocking: true } ? Promise<Answered[R]>
    : Answered[R]
  : never;

/** The calls, typed by their signatures. */
export type Sys = { readonly [K in keyof typeof SYMBOLS]: Call<typeof SYMBOLS[K]> };

/** The calls by stubs in memory. Throws where the process may not map code from there. */
export function stubCalls(): Sys {
  const libc = Deno.dlopen("libc.so.6", {
    memfd_create: { parameters: ["buffer", "u32"], result: "i32" },
    write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
    close: { parameters: ["i32"], result: "i32" },
  });
  const MFD_CLOEXEC = 1;
  const file = buildStubs(Deno.build.arch as Machine);
  const fd = libc.symbols.memfd_create(new TextEncoder().encode("syscalls\0"), MFD_CLOEXEC);
  try {
    if (fd < 0 || Number(libc.symbols.write(fd, file, BigInt(file.length))) !== file.length) {
      throw new Error("Cannot make system call stubs: no memory file");
    }
    return Deno.dlopen(`/proc/self/fd/${fd}`, SYMBOLS).symbols as Sys;
  } finally {
    if (fd >= 0) libc.symbols.close(fd);
  }
}

/** The calls by libc: slower, and a failure in the pool costs a second call. Works everywhere. */
export function libcCalls(): Sys {
  return openLibc(SYMBOLS) as unknown as Sys;
}

/** `first`, or `second` where the first cannot be had. */
export function eitherCalls(first: () => Sys, second: () => Sys): Sys {
  try {
    return first();
  } catch {
    return second();
  }
}

/** Calls given to the pool. Deno learns that one is done only if its loop went on since it was given. */
export const pool = { calls: 0 };

/** The system calls of this process. */
export const sys: Sys = countPooled(eitherCalls(stubCalls, libcCalls));

function countPooled(calls: Sys): Sys {
  const counted: Record<string, unknown> = { ...calls };
  for (const [name, call] of Object.entries<(...args: never[]) => unknown>(calls)) {
    if (!("nonblocking" in SYMBOLS[name as keyof Sys])) continue;
    counted[name] = (...args: never[]) => {
      pool.calls++;
      return call(...args);
    };
  }
  return counted as Sys;
}

/** A path or name for a call: its bytes and a NUL. */
export function cstring(text: string): Uint8Array<ArrayBuffer> {
  return encodeName(text + "\0");
}

// Constants of the calls above, where they are the same on both machines.
export const AT_FDCWD = -100;
export const AT_SYMLINK_NOFOLLOW = 0x100;
export const AT_REMOVEDIR = 0x200;
export const AT_SYMLINK_FOLLOW = 0x400;
export const AT_EMPTY_PATH = 0x1000;
export const STATX_BASIC_STATS = 0x7ff;
export const RWF_NOWAIT = 8;
export const O_NOATIME = 0o1000000;
export const O_CLOEXEC = 0o2000000;
export const O_PATH = 0o10000000;
export const UTIME_NOW = 0x3fffffff;
export const UTIME_OMIT = 0x3ffffffe;
export const RENAME_NOREPLACE = 1;

const arm = Deno.build.arch === "aarch64";
/** Flags that the two machines spell differently. On the wire they have the x86 values (`core/fops.ts`). */
export const LOCAL_O_DIRECTORY = arm ? 0o40000 : 0o200000;
export const LOCAL_O_NOFOLLOW = arm ? 0o100000 : 0o400000;
export const LOCAL_O_DIRECT = arm ? 0o200000 : 0o40000;
export const LOCAL_O_LARGEFILE = arm ? 0o400000 : 0o100000;
