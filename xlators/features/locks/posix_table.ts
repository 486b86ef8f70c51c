/** POSIX locks of all inodes, and the fops on them. Kept in a `Map`: locks outlive inode objects. */

import type { Call, Client } from "core/call.ts";
import type { Clock } from "core/env.ts";
import { EAGAIN, EOPNOTSUPP, ETIMEDOUT } from "core/errno.ts";
import type { ActiveLock, Args, Flock, LkReply } from "core/fops.ts";
import type { Fd, Gfid } from "core/inode.ts";
import { LOCK_MODE } from "core/xdata_keys.ts";
import { untilDeadline } from "xlators/features/locks/deadline.ts";
import type { Cleared, Which } from "xlators/features/locks/domain.ts";
import { type Holder, holderOf } from "xlators/features/locks/holder.ts";
import { forbids, type MandatoryMode, O_NONBLOCK } from "xlators/features/locks/mandatory.ts";
import type { Access } from "xlators/features/locks/mandatory.ts";
import { flockOf, type PosixLock, PosixLocks } from "xlators/features/locks/posix_lk.ts";
import { signedRangeOf, sizeOf } from "core/lib/ranges.ts";

const NONE: Cleared = Object.freeze({ blocked: 0, granted: 0 });

/** See the head of this file. */
export class PosixTable {
  readonly #clock: Clock;
  #inodes = new Map<Gfid, PosixLocks>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** By inode. */
  get inodes(): ReadonlyMap<Gfid, PosixLocks> {
    return this.#inodes;
  }

  /** Granted and waiting locks of an inode. */
  count(gfid: Gfid): number {
    return this.#inodes.get(gfid)?.count ?? 0;
  }

  /** Granted locks of an inode with their clients. */
  active(gfid: Gfid): ActiveLock[] {
    return (this.#inodes.get(gfid)?.granted ?? []).map((lock) => ({
      lock: flockOf(lock),
      clientId: lock.client.id,
      flags: lock.mandatory ? 1 : 0,
    }));
  }

  /** The fop. Throws EINVAL on a bad range or owner, EOPNOTSUPP on reservations. */
  lk(call: Call, { fd, cmd, lock, signal, xdata }: Args<"lk">): Promise<LkReply> {
    const range = signedRangeOf(lock.start, lock.size);
    const { client, owner, pid } = holderOf(call);
    const asked: Flock = { ...lock, start: range.start, size: sizeOf(range), owner };
    const request: PosixLock = {
      client,
      owner,
      pid,
      fd,
      range,
      type: lock.type,
      mandatory: xdata?.get(LOCK_MODE) === 1,
      flockPid: lock.pid,
      since: this.#clock.now(),
    };
    const gfid = fd.inode.gfid;
    const locks = this.#inodes.get(gfid);
    switch (cmd) {
      case "get": {
        const held = locks?.conflict(request);
        // GlusterFS's replicate opens files again on bricks that came back only if it gets its own
        // extra data in the reply: its protocol/client adds there what it wants to know.
        return Promise.resolve({
          lock: held ? flockOf(held) : { ...asked, type: "unlock" },
          xdata,
        });
      }
      case "set":
        return this.#set(gfid, request, asked);
      case "set-wait":
        if (lock.type === "unlock") return this.#set(gfid, request, asked);
        return this.#wait(call.deadline, request, asked, signal);
      default:
        throw EOPNOTSUPP;
    }
  }

  /** Drops what `holder` has on an inode: it closed one of its descriptors. */
  dropHolder(gfid: Gfid, holder: Holder): void {
    this.#inodes.get(gfid)?.dropHolder(holder);
    this.#tidy(gfid);
  }

  /** Drops what was locked through `fd`. */
  dropFd(fd: Fd): void {
    this.#inodes.get(fd.inode.gfid)?.dropFd(fd);
    this.#tidy(fd.inode.gfid);
  }

  /** Drops all of `client`. */
  dropClient(client: Client): void {
    for (const [gfid, locks] of this.#inodes) {
      locks.dropClient(client);
      this.#tidy(gfid);
    }
  }

  /** Hands the locks taken through one of an inode's fds to `to` and its client. */
  move(isFrom: (fd: Fd) => boolean, to: Fd, client: Client): void {
    const locks = this.#inodes.get(to.inode.gfid);
    const from = locks?.granted.find((lock) => isFrom(lock.fd))?.fd;
    if (locks && from) locks.move(from, to, client);
  }

  /** Clears locks of an inode. */
  clear(gfid: Gfid, which: Which, matches: (asked: Flock, holder: Holder) => boolean): Cleared {
    const locks = this.#inodes.get(gfid);
    return locks ? this.#changed(gfid, locks.clear(which, matches)) : NONE;
  }

  /** True if mandatory locks keep `access` from an inode's data now. */
  forbids(gfid: Gfid, access: Access, mode: MandatoryMode): boolean {
    const locks = this.#inodes.get(gfid);
    return locks !== undefined && forbids(locks.granted, access, mode);
  }

  /**
   * Calls `go` when mandatory locks allow `access`. Fails with EAGAIN instead of waiting without an
   * open file, or with one that is not to block.
   */
  whenAllowed<R>(
    gfid: Gfid,
    fd: Fd | undefined,
    access: Access,
    mode: () => MandatoryMode,
    go: () => Promise<R>,
  ): Promise<R> {
    if (!fd || fd.flags & O_NONBLOCK) return Promise.reject(EAGAIN);
    const locks = this.#of(gfid);
    return new Promise<void>((proceed, fail) => {
      locks.holdUp({
        client: access.client,
        allowed: () => mode() === "off" || !forbids(locks.granted, access, mode()),
        proceed,
        fail,
      });
    }).then(go);
  }

  /** Looks again at all that waits: what allows or forbids has changed. */
  wakeAll(): void {
    for (const [gfid, locks] of this.#inodes) {
      locks.wake();
      this.#tidy(gfid);
    }
  }

  #wait(
    deadline: number,
    request: PosixLock,
    asked: Flock,
    signal: AbortSignal | undefined,
  ): Promise<LkReply> {
    const locks = this.#of(request.fd.inode.gfid);
    const answer = locks.wait(request, asked, signal);
    return untilDeadline(this.#clock, deadline, answer, () => locks.giveUp(asked, ETIMEDOUT));
  }

  #set(gfid: Gfid, request: PosixLock, asked: Flock): Promise<LkReply> {
    if (request.type === "unlock") {
      const locks = this.#inodes.get(gfid);
      locks?.set(request);
      // An unlock tells by the type whether the fd has other locks: NFS's lock manager wants to know.
      const type = locks?.has(request.fd) ? "read" : "unlock";
      this.#tidy(gfid);
      return Promise.resolve({ lock: { ...asked, type } });
    }
    const locks = this.#of(gfid);
    if (locks.conflict(request)) return Promise.reject(EAGAIN);
    locks.set(request);
    return Promise.resolve({ lock: asked });
  }

  #of(gfid: Gfid): PosixLocks {
    let locks = this.#inodes.get(gfid);
    if (!locks) this.#inodes.set(gfid, locks = new PosixLocks(() => this.#clock.now()));
    return locks;
  }

  #changed<T>(gfid: Gfid, answer: T): T {
    this.#tidy(gfid);
    return answer;
  }

  #tidy(gfid: Gfid): void {
    if (this.#inodes.get(gfid)?.empty) this.#inodes.delete(gfid);
  }
}
