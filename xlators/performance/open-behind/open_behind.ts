/**
 * Files opened to read are answered at once; bricks hear of it when the file is first used, and not
 * at all if it is not. What an open file keeps is kept: see core/late_opens.ts.
 */

import type { Call } from "core/call.ts";
import { type Args, DONE, type FopName, type Reply } from "core/fops.ts";
import type { Fd } from "core/inode.ts";
import { type LateOpen, LateOpens } from "core/late_opens.ts";
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

class OpenBehind extends Uniform {
  readonly #late = new LateOpens(this.child);
  #values: Values<typeof options>;

  constructor(node: Node, values: Values<typeof options>) {
    super(node);
    this.#values = values;
  }

  reconfigure(values: Values<typeof options>): void {
    this.#values = values;
  }

  state(): Json {
    const { waiting, answered, sent } = this.#late;
    return { waiting, answered, sent };
  }

  protected around<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    if (fop === "open") return this.#open(call, args as Args<"open">) as Promise<Reply<K>>;
    if (!this.#late.concerns(fop)) return this.#use(fop, call, args);
    return this.#late.guard(fop, args, () => this.#use(fop, call, args));
  }

  #open(call: Call, args: Args<"open">): Promise<Reply<"open">> {
    const { "pass-through": off, "lazy-open": lazy } = this.#values;
    if (off || !this.#late.mayWait(call, args)) return this.child.open(call, args);
    const { fd, opened } = this.#late.hand(call, args);
    if (!lazy) this.#late.behind(opened);
    return Promise.resolve({ fd });
  }

  #use<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    if (fop === "lk") this.#late.locks(args as Args<"lk">);
    const { fd, source } = args as { fd?: Fd; source?: Fd };
    const opened = this.#late.of(fd), from = this.#late.of(source);
    if (!opened && !from) return this.wind(fop, call, args);
    if (opened && fop === "release") {
      return this.#late.release(call, args as Args<"release">, opened) as Promise<Reply<K>>;
    }
    const answer = opened && !opened.opening && this.#unopened(fop, call, args as never, opened);
    if (answer) return answer as Promise<Reply<K>>;
    // The common case once it is open: nothing to wait for.
    if (opened?.real && !from) return this.wind(fop, call, { ...args, fd: opened.real });
    return this.#late.through(args).then((own) => this.wind(fop, call, own));
  }

  // What can be done without an open file.
  #unopened(fop: FopName, call: Call, args: never, opened: LateOpen): Promise<unknown> | undefined {
    switch (fop) {
      case "readv":
        return this.#read(call, args, opened);
      case "fstat":
        return this.child.fstat(call, { ...args as Args<"fstat">, fd: opened.unopened });
      case "flush":
        return this.#late.mayFlush(opened) ? Promise.resolve(DONE) : undefined;
    }
    return undefined;
  }

  async #read(call: Call, args: Args<"readv">, opened: LateOpen): Promise<Reply<"readv">> {
    const reading = this.child.readv(call, { ...args, fd: opened.unopened });
    if (this.#values["read-after-open"] && !this.#values["use-anonymous-fd"]) {
      const reads = settle([reading]);
      const fd = await this.#late.really(opened).finally(() => reads);
      const [read] = await reads;
      // What could be opened can be read, whoever took its name meanwhile.
      return read!.ok ? read!.value : await this.child.readv(call, { ...args, fd });
    }
    const reply = await reading;
    if (!reply.eof) this.#late.behind(opened);
    return reply;
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
