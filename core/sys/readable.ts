/**
 * Waiting, on Deno's own loop, for a file descriptor that Deno cannot wait for. A thread of the pool
 * that polls it would have to be woken before and after every request, and on a busy machine each
 * takes its turn in the scheduler's queue.
 *
 * Deno waits in an epoll, whose events it knows by a number that it gave to each of its sockets.
 * /proc tells that number. So one of Deno's sockets is taken out of the epoll, and the descriptor
 * (in an epoll of its own, which also tells when it breaks) is put there under the socket's number:
 * Deno then reads the socket whenever the descriptor has become readable. A byte always lies there,
 * and is put back after it was read.
 *
 * Deno's loop stays what it is: timers, threads and other sockets get their turns. Where any of this
 * is not as expected, `of` answers undefined, and other ways must do.
 */

import type { Clock, Taken } from "core/env.ts";
import { decodeName } from "core/lib/bytes.ts";
import { AT_FDCWD, cstring, O_CLOEXEC, sys } from "core/sys/calls.ts";
import {
  ADD,
  control,
  DEL,
  EPOLLET,
  EPOLLIN,
  EPOLLOUT,
  EPOLLRDHUP,
  newEpoll,
} from "core/sys/epoll.ts";

/** What Deno registers its sockets for. */
const DENOS = EPOLLIN + EPOLLOUT + EPOLLRDHUP + EPOLLET;
const AF_UNIX = 1, SOCK_STREAM = 1;
/** Deno makes its epoll before anything else, but tests run in one process with others. */
const EPOLLS_MAX = 4096, FDS_MAX = 16384;
const EPOLL_LINK = "anon_inode:[eventpoll]";
const INFO_MAX = 1 << 20;
/** Milliseconds after which a wait that should be over shows that this does not work here. */
const TRIAL_MS = 5000;

/** One of Deno's sockets, and how its epoll knows it. */
interface Known {
  readonly conn: Deno.Conn;
  readonly fd: number;
  readonly number: bigint;
}

/** See the head of this file. */
export class Readable {
  readonly #deno: number;
  readonly #epoll: number;
  readonly #near: Known;
  readonly #far: Known;
  readonly #byte = new Uint8Array([1]);
  // With room for more than there is: Deno then knows that it has read everything.
  readonly #room = new Uint8Array(2);

  private constructor(deno: number, epoll: number, near: Known, far: Known) {
    this.#deno = deno;
    this.#epoll = epoll;
    this.#near = near;
    this.#far = far;
    for (const { fd } of [near, far]) control(deno, DEL, fd);
    this.resume();
    sys.write(far.fd, this.#byte, 1);
  }

  /** For `fd`, which stays its owner's and does not block. Close it before `fd` is closed. */
  static async of(fd: number, clock: Clock): Promise<Readable | undefined> {
    // Whatever Deno has against it: no folder for a socket, no permission.
    const readable = await Readable.#make().catch(() => undefined);
    if (!readable) return undefined;
    if (await readable.#works(clock) && control(readable.#epoll, ADD, fd, EPOLLIN)) return readable;
    readable.close();
    return undefined;
  }

  static async #make(): Promise<Readable | undefined> {
    const { near, far, path } = await connected();
    const found = denosEpoll([socketTo(path, sys.getpeername), socketTo(path, sys.getsockname)]);
    const epoll = found ? newEpoll() : -1;
    if (found && epoll >= 0) {
      const [one, other] = found.sockets;
      return new Readable(
        found.epoll,
        epoll,
        { conn: near, ...one! },
        { conn: far, ...other! },
      );
    }
    near.close();
    far.close();
    return undefined;
  }

  /**
   * Resolves when the descriptor has become readable, or broken, since the last one resolved; perhaps
   * more often. One at a time. Fails if it was closed meanwhile.
   */
  async wait(): Promise<void> {
    const count = await this.#near.conn.read(this.#room);
    if (count !== 1) throw new Error("Cannot wait for a descriptor: its socket was touched");
    sys.write(this.#far.fd, this.#byte, 1);
  }

  /** Deno's epoll: it can be read itself while Deno has something to do. */
  get deno(): number {
    return this.#deno;
  }

  /** No wait is over until `resume`: somebody waits for the descriptor in another way. */
  pause(): void {
    control(this.#deno, DEL, this.#epoll);
  }

  /** What came since `pause` counts. */
  resume(): void {
    control(this.#deno, ADD, this.#epoll, EPOLLIN + EPOLLET, this.#near.number);
  }

  /** Takes a socket away from Deno; undefined if Deno has it not. Nothing of Deno's may wait for it. */
  take(fd: number): Taken | undefined {
    const number = numberOf(fd, readInfo(this.#deno));
    if (number === undefined || !control(this.#deno, DEL, fd)) return undefined;
    return { giveBack: () => void control(this.#deno, ADD, fd, DENOS, number) };
  }

  /** Ends it; a wait fails. */
  close(): void {
    // Deno's number must lead nowhere before the socket is gone.
    control(this.#deno, DEL, this.#epoll);
    sys.close(this.#epoll);
    for (const { conn, fd, number } of [this.#near, this.#far]) {
      control(this.#deno, ADD, fd, DENOS, number);
      conn.close();
    }
  }

  // Whether a wait is over when a descriptor has become readable, and not before.
  async #works(clock: Clock): Promise<boolean> {
    const fds = new Int32Array(2);
    if (sys.socketpair(AF_UNIX, SOCK_STREAM | O_CLOEXEC, 0, fds) < 0) return false;
    const [one, other] = [fds[0]!, fds[1]!];
    const late = new AbortController();
    let early = true;
    const waited = this.wait().then(() => !early, () => false);
    try {
      if (!control(this.#epoll, ADD, one, EPOLLIN)) return false;
      // Deno looks at its epoll meanwhile.
      await clock.delay(1);
      early = false;
      sys.write(other, this.#byte, 1);
      const given = clock.delay(TRIAL_MS, late.signal).then(() => false, () => false);
      return await Promise.race([waited, given]);
    } finally {
      late.abort();
      control(this.#epoll, DEL, one);
      for (const fd of [one, other]) sys.close(fd);
    }
  }
}

// Two ends of a connection, which can be told by `path`.
async function connected(): Promise<{ near: Deno.Conn; far: Deno.Conn; path: string }> {
  const folder = await Deno.makeTempDir({ prefix: "mortar-" });
  const path = `${folder}/s`;
  try {
    using listener = Deno.listen({ transport: "unix", path });
    const [near, far] = await Promise.all([
      Deno.connect({ transport: "unix", path }),
      listener.accept(),
    ]);
    return { near, far, path };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

// The socket that has `path` as its own address, or its peer's.
function socketTo(path: string, ask: typeof sys.getpeername): number {
  const name = new Uint8Array(128), size = new Uint32Array(1);
  const bytes = new Uint8Array(size.buffer), wanted = cstring(path);
  for (let fd = 3; fd < FDS_MAX; fd++) {
    size[0] = name.length;
    if (ask(fd, name, bytes) < 0 || name[0] !== AF_UNIX || size[0]! < wanted.length + 2) continue;
    if (wanted.every((byte, i) => name[i + 2] === byte)) return fd;
  }
  return -1;
}

// The epoll that has all these sockets, and its numbers for them.
function denosEpoll(fds: readonly number[]) {
  const link = new Uint8Array(64);
  for (let epoll = 3; epoll < EPOLLS_MAX; epoll++) {
    const path = cstring(`/proc/self/fd/${epoll}`);
    const size = sys.readlinkat(AT_FDCWD, path, link, link.length);
    if (size < 0 || decodeName(link.subarray(0, size)) !== EPOLL_LINK) continue;
    const info = readInfo(epoll);
    const sockets = fds.flatMap((fd) => {
      const number = numberOf(fd, info);
      return number === undefined ? [] : [{ fd, number }];
    });
    if (sockets.length === fds.length) return { epoll, sockets };
  }
  return undefined;
}

// What an epoll, of which the kernel tells `info`, calls a descriptor.
function numberOf(fd: number, info: string): bigint | undefined {
  const line = new RegExp(`^tfd:\\s*${fd} events:.* data:\\s*([0-9a-f]+)`, "m").exec(info);
  return line ? BigInt(`0x${line[1]}`) : undefined;
}

function readInfo(epoll: number): string {
  const fd = sys.openat(AT_FDCWD, cstring(`/proc/self/fdinfo/${epoll}`), O_CLOEXEC, 0);
  if (fd < 0) return "";
  let text = "";
  const part = new Uint8Array(64 << 10);
  while (text.length < INFO_MAX) {
    const size = sys.read(fd, part, part.length);
    if (size <= 0) break;
    text += decodeName(part.subarray(0, size));
  }
  sys.close(fd);
  return text;
}
