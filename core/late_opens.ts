/**
 * Files that a layer answered as open, and that are opened below it when that is needed. What an open
 * file keeps that a name, another mode or a lock would lose is kept: before a name goes, or a file's
 * rights change, what waits is opened; and who closes a file of an inode with locks is heard below.
 */

import { type Call, isInternal } from "core/call.ts";
import {
  type Args,
  DONE,
  type Empty,
  type FopName,
  O_ACCMODE,
  O_APPEND,
  O_DIRECT,
  O_SYNC,
  O_TRUNC,
} from "core/fops.ts";
import { Fd, type Inode, PerFd, PerInode } from "core/inode.ts";
import { settle, type Xlator } from "core/xlator.ts";

/** Opened so, a file is opened before it is answered. */
const AT_ONCE = O_ACCMODE | O_TRUNC | O_APPEND | O_DIRECT | O_SYNC;
/** After these, a file that was not opened might not be there. */
const TAKES: ReadonlySet<FopName> = new Set<FopName>(["unlink", "rename"]);
/** After these, it might not be opened any more. */
const FORBIDS: ReadonlySet<FopName> = new Set<FopName>([
  "setattr",
  "fsetattr",
  "setxattr",
  "fsetxattr",
  "removexattr",
  "fremovexattr",
]);

/** A file that was answered as open. */
export interface LateOpen {
  readonly call: Call;
  readonly args: Args<"open">;
  /** For what needs no open file. */
  readonly unopened: Fd;
  opening: Promise<Fd> | undefined;
  /** The file below, once it is open. */
  real: Fd | undefined;
}

/** See the head of this file. */
export class LateOpens {
  readonly #child: Xlator;
  readonly #opened = new PerFd<LateOpen>();
  /** Those that were not opened below. */
  readonly #waiting = new Set<LateOpen>();
  /** Inodes that locks were asked for on: who closes any file of it lets go of his. */
  readonly #withLocks = new PerInode<true>();
  /** Fops under way that take names: a file that is opened now may be gone when it is used. */
  #taking = 0;
  #takes = 0;
  #answered = 0;
  #sent = 0;

  /** `child`: where files are opened. */
  constructor(child: Xlator) {
    this.#child = child;
  }

  /** Files that are not opened below. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** How many files were answered as open. */
  get answered(): number {
    return this.#answered;
  }

  /** How many of them were opened below. */
  get sent(): number {
    return this.#sent;
  }

  /** How many fops began that take names. */
  get takes(): number {
    return this.#takes;
  }

  /** True if such a file may be opened later. */
  mayWait(call: Call, { flags, xdata }: Args<"open">): boolean {
    return !(flags & AT_ONCE) && !xdata && !isInternal(call) && !this.#taking;
  }

  /** Answers a file as open. */
  hand(call: Call, args: Args<"open">): { readonly fd: Fd; readonly opened: LateOpen } {
    const { inode, flags } = args;
    const fd = new Fd(inode, flags), unopened = new Fd(inode, flags, true);
    const opened: LateOpen = { call, args, unopened, opening: undefined, real: undefined };
    this.#opened.set(fd, opened);
    this.#waiting.add(opened);
    this.#answered++;
    return { fd, opened };
  }

  /** The file behind an fd, if it is one of these. */
  of(fd: Fd | undefined): LateOpen | undefined {
    return fd && this.#opened.get(fd);
  }

  /** What `wind` answers to a fop, before which that is opened which the fop would take away. */
  guard<R>(fop: FopName, args: object, wind: () => Promise<R>): Promise<R> {
    if (TAKES.has(fop)) return this.#take(wind);
    const inode = this.#waiting.size && FORBIDS.has(fop) ? inodeOf(args) : undefined;
    const first = inode ? [...this.#waiting].filter((each) => each.args.inode === inode) : [];
    return first.length ? this.#openAll(first).then(wind) : wind();
  }

  /** True if `guard` may have something to do for the fop. */
  concerns(fop: FopName): boolean {
    return TAKES.has(fop) || FORBIDS.has(fop);
  }

  async #take<R>(wind: () => Promise<R>): Promise<R> {
    this.#taking++;
    this.#takes++;
    try {
      if (this.#waiting.size) await this.#openAll([...this.#waiting]);
      return await wind();
    } finally {
      this.#taking--;
    }
  }

  // What cannot be opened stays so: whoever uses it hears of it.
  async #openAll(all: readonly LateOpen[]): Promise<void> {
    await settle(all.map((each) => this.really(each)));
  }

  /** Opens it without waiting: who uses the file hears of a failure. */
  behind(opened: LateOpen): void {
    void this.#openAll([opened]);
  }

  /** The file below, opened now if it was not. */
  really(opened: LateOpen): Promise<Fd> {
    return opened.opening ??= this.#send(opened);
  }

  async #send(opened: LateOpen): Promise<Fd> {
    this.#sent++;
    try {
      const { fd } = await this.#child.open(opened.call, opened.args);
      this.#waiting.delete(opened);
      return opened.real = fd;
    } catch (error) {
      // Whoever uses it next tries again.
      opened.opening = undefined;
      throw error;
    }
  }

  /** `args` with the files below in place of those that were answered. */
  async through<A extends object>(args: A): Promise<A> {
    const { fd, source } = args as { fd?: Fd; source?: Fd };
    const opened = this.of(fd), from = this.of(source);
    const own = opened ? { fd: await this.really(opened) } : {};
    return { ...args, ...own, ...from ? { source: await this.really(from) } : {} };
  }

  /** A lock is asked for. */
  locks({ fd, cmd, lock }: Args<"lk">): void {
    if (cmd !== "get" && lock.type !== "unlock") this.#withLocks.set(fd.inode, true);
  }

  /** True if closing a file that was not opened below tells nobody anything. */
  mayFlush({ args }: LateOpen): boolean {
    return !this.#withLocks.get(args.inode);
  }

  /** Closes it below if it was opened there. */
  async release(call: Call, args: Args<"release">, opened: LateOpen): Promise<Empty> {
    this.#opened.delete(args.fd);
    if (opened.opening) await settle([opened.opening]);
    this.#waiting.delete(opened);
    const fd = opened.real;
    return fd ? await this.#child.release(call, { ...args, fd }) : DONE;
  }
}

/** The inode that a fop is about, if its arguments name one or an open file. */
export function inodeOf(args: object): Inode | undefined {
  const { inode, fd } = args as { inode?: Inode; fd?: Fd };
  return inode ?? fd?.inode;
}
