/**
 * Files opened to read are answered at once; bricks hear of it when the file is first used, and not
 * at all if it is not. What an open file keeps that a name or another mode would lose is kept:
 * before a name goes, or a file's rights change, what waits is opened.
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
  type Reply,
} from "core/fops.ts";
import { Fd, type Inode, PerFd } from "core/inode.ts";
import { bool, type OptionTable, type Values } from "core/options.ts";
import { defineXlator } from "core/registry.ts";
import { type Json, type Node, settle, Uniform } from "core/xlator.ts";

const options = {
  "open-behind": bool({ default: false, help: "Kept for old volumes; does nothing." }),
  "lazy-open": bool({
    default: true,
    volumeKey: "performance.lazy-open",
    help: "A file is opened on bricks when it is first used; off: at once, behind the answer.",
  }),
  "read-after-open": bool({
    default: true,
    volumeKey: "performance.read-after-open",
    help: "What is read is answered only if the file could be opened; off: a file that one read " +
      "reaches the end of is not opened on bricks at all.",
  }),
  "use-anonymous-fd": bool({ default: false, help: "The same as read-after-open off." }),
  "pass-through": bool({
    default: false,
    volumeKey: "performance.open-behind-pass-through",
    help: "Files are opened before they are answered.",
  }),
} satisfies OptionTable;

/** Opened so, a file is opened before it is answered. */
const AT_ONCE = O_ACCMODE | O_TRUNC | O_APPEND | O_DIRECT | O_SYNC;
/** After these, a file that was not opened might not be there, or not be read any more. */
const BEFORE_ALL: ReadonlySet<FopName> = new Set<FopName>(["unlink", "rename"]);
const BEFORE_OWN: ReadonlySet<FopName> = new Set<FopName>([
  "setattr",
  "fsetattr",
  "setxattr",
  "fsetxattr",
  "removexattr",
  "fremovexattr",
]);

/** A file that was answered as open. */
interface Opened {
  readonly call: Call;
  readonly args: Args<"open">;
  /** For reads that need no open file. */
  readonly unopened: Fd;
  opening: Promise<Fd> | undefined;
  real: Fd | undefined;
}

class OpenBehind extends Uniform {
  readonly #opened = new PerFd<Opened>();
  /** Those that bricks have not heard of. */
  readonly #waiting = new Set<Opened>();
  #values: Values<typeof options>;
  /** Fops under way that take names: a file that is opened now may be gone when it is used. */
  #taking = 0;
  #answered = 0;
  #sent = 0;

  constructor(node: Node, values: Values<typeof options>) {
    super(node);
    this.#values = values;
  }

  reconfigure(values: Values<typeof options>): void {
    this.#values = values;
  }

  state(): Json {
    return { waiting: this.#waiting.size, answered: this.#answered, sent: this.#sent };
  }

  protected around<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    if (fop === "open") return this.#open(call, args as Args<"open">) as Promise<Reply<K>>;
    if (BEFORE_ALL.has(fop)) return this.#take(fop, call, args);
    if (!this.#waiting.size || !BEFORE_OWN.has(fop)) return this.#use(fop, call, args);
    const { inode, fd } = args as { inode?: Inode; fd?: Fd };
    const of = inode ?? fd?.inode;
    const first = [...this.#waiting].filter((each) => each.args.inode === of);
    return first.length
      ? this.#openAll(first).then(() => this.#use(fop, call, args))
      : this.#use(fop, call, args);
  }

  async #take<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    this.#taking++;
    try {
      if (this.#waiting.size) await this.#openAll([...this.#waiting]);
      return await this.wind(fop, call, args);
    } finally {
      this.#taking--;
    }
  }

  // What cannot be opened stays so: whoever uses it hears of it.
  async #openAll(all: readonly Opened[]): Promise<void> {
    await settle(all.map((each) => this.#really(each)));
  }

  #open(call: Call, args: Args<"open">): Promise<Reply<"open">> {
    const { inode, flags, xdata } = args;
    const mayWait = !(flags & AT_ONCE) && !xdata && !isInternal(call) && !this.#taking;
    if (!mayWait || this.#values["pass-through"]) return this.child.open(call, args);
    const fd = new Fd(inode, flags);
    const unopened = new Fd(inode, flags, true);
    const opened: Opened = { call, args, unopened, opening: undefined, real: undefined };
    this.#opened.set(fd, opened);
    this.#waiting.add(opened);
    this.#answered++;
    if (!this.#values["lazy-open"]) this.#behind(opened);
    return Promise.resolve({ fd });
  }

  #really(opened: Opened): Promise<Fd> {
    return opened.opening ??= this.#sendOpen(opened);
  }

  async #sendOpen(opened: Opened): Promise<Fd> {
    this.#sent++;
    try {
      const { fd } = await this.child.open(opened.call, opened.args);
      this.#waiting.delete(opened);
      return opened.real = fd;
    } catch (error) {
      // Whoever uses it next tries again.
      opened.opening = undefined;
      throw error;
    }
  }

  // Who uses the file hears of a failure.
  #behind(opened: Opened): void {
    void this.#openAll([opened]);
  }

  #use<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    const { fd, source } = args as { fd?: Fd; source?: Fd };
    const opened = fd && this.#opened.get(fd), from = source && this.#opened.get(source);
    if (!opened && !from) return this.wind(fop, call, args);
    if (opened && !opened.opening) {
      const answer = this.#unopened(fop, call, args as never, opened);
      if (answer) return answer as Promise<Reply<K>>;
    }
    if (opened && fop === "release") {
      return this.#release(call, args as Args<"release">, opened) as Promise<Reply<K>>;
    }
    // The common case once it is open: nothing to wait for.
    if (opened?.real && !from) return this.wind(fop, call, { ...args, fd: opened.real });
    return this.#through(fop, call, args, opened, from);
  }

  async #through<K extends FopName>(
    fop: K,
    call: Call,
    args: Args<K>,
    opened: Opened | undefined,
    from: Opened | undefined,
  ): Promise<Reply<K>> {
    const own = opened ? { fd: await this.#really(opened) } : {};
    const source = from ? { source: await this.#really(from) } : {};
    return await this.wind(fop, call, { ...args, ...own, ...source });
  }

  // What can be done without an open file.
  #unopened(
    fop: FopName,
    call: Call,
    args: never,
    opened: Opened,
  ): Promise<unknown> | undefined {
    switch (fop) {
      case "readv":
        return this.#read(call, args, opened);
      case "fstat":
        return this.child.fstat(call, { ...args as Args<"fstat">, fd: opened.unopened });
      case "flush":
        return Promise.resolve(DONE);
      case "release":
        this.#opened.delete((args as Args<"release">).fd);
        this.#waiting.delete(opened);
        return Promise.resolve(DONE);
    }
    return undefined;
  }

  async #read(call: Call, args: Args<"readv">, opened: Opened): Promise<Reply<"readv">> {
    const reading = this.child.readv(call, { ...args, fd: opened.unopened });
    if (this.#values["read-after-open"] && !this.#values["use-anonymous-fd"]) {
      const reads = settle([reading]);
      const fd = await this.#really(opened).finally(() => reads);
      const [read] = await reads;
      // What could be opened can be read, whoever took its name meanwhile.
      return read!.ok ? read!.value : await this.child.readv(call, { ...args, fd });
    }
    const reply = await reading;
    if (!reply.eof) this.#behind(opened);
    return reply;
  }

  async #release(call: Call, args: Args<"release">, opened: Opened): Promise<Empty> {
    this.#opened.delete(args.fd);
    await settle([opened.opening!]);
    this.#waiting.delete(opened);
    const fd = opened.real;
    return fd ? await this.child.release(call, { ...args, fd }) : DONE;
  }
}

/** `performance/open-behind`: files are opened on bricks when they are first used. */
export const openBehind = defineXlator({
  type: "performance/open-behind",
  summary: "Files are opened on bricks when they are first used",
  options,
  subvolumes: "one",
  create: (node, values) => new OpenBehind(node, values),
});
