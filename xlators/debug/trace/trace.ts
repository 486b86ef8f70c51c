import type { Call } from "core/call.ts";
import type { LogFields } from "core/env.ts";
import { fops } from "core/fop_options.ts";
import { type Args, type FopName, FOPS, type Reply } from "core/fops.ts";
import { bool, int, oneOf, type OptionTable, type Values } from "core/options.ts";
import { defineXlator } from "core/registry.ts";
import { type Json, type Node, Uniform } from "core/xlator.ts";
import { describe } from "xlators/debug/trace/describe.ts";

const options = {
  "include-ops": fops({
    volumeKey: "debug.include-ops",
    help: "Which fops are traced; empty: all but those of exclude-ops.",
  }),
  "exclude-ops": fops({
    volumeKey: "debug.exclude-ops",
    help: "Which fops are not traced.",
  }),
  "log-file": bool({
    default: false,
    volumeKey: "debug.log-file",
    help: "Write the trace to the log.",
  }),
  "log-history": bool({
    default: false,
    volumeKey: "debug.log-history",
    help: "Keep the last lines of the trace for statedumps.",
  }),
  "history-size": int({
    default: 1024,
    min: 1,
    max: 65536,
    help: "How many lines are kept.",
  }),
  "force-log-level": oneOf(["INFO", "DEBUG", "WARNING", "ERROR"], {
    default: "INFO",
    help: "At which level lines are logged.",
  }),
} satisfies OptionTable;

const LEVELS = { INFO: "info", DEBUG: "debug", WARNING: "warn", ERROR: "error" } as const;

class Trace extends Uniform {
  #values: Values<typeof options>;
  #traced = 0;
  // A ring: `#traced` counts on, lines lie at their number modulo the size.
  #history: string[] = [];
  #lines = 0;

  constructor(node: Node, values: Values<typeof options>) {
    super(node);
    this.#values = values;
  }

  reconfigure(values: Values<typeof options>): void {
    if (values["history-size"] !== this.#values["history-size"]) {
      this.#history = [];
      this.#lines = 0;
    }
    this.#values = values;
  }

  state(): Json {
    const size = this.#values["history-size"];
    const from = this.#lines > size ? this.#lines % size : 0;
    return {
      traced: this.#traced,
      history: [...this.#history.slice(from), ...this.#history.slice(0, from)],
    };
  }

  protected around<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    if (!this.#isTraced(fop)) return this.wind(fop, call, args);
    const number = ++this.#traced, { label } = FOPS[fop];
    const { uid, gid, pid, lkOwner, client } = call;
    const who = { uid, gid, pid, owner: lkOwner || undefined, client: client.id };
    this.#line("fop", { fop: label, number, ...who, ...describe(args) });
    const began = this.env.clock.monotonic();
    const answered = (what: object) => {
      const us = Math.round((this.env.clock.monotonic() - began) * 1000);
      this.#line("answer", { fop: label, number, us, ...describe(what) });
    };
    return this.wind(fop, call, args).then((reply) => {
      answered(reply);
      return reply;
    }, (error) => {
      answered(error);
      throw error;
    });
  }

  #isTraced(fop: FopName): boolean {
    const { "include-ops": include, "exclude-ops": exclude } = this.#values;
    if (!this.#values["log-file"] && !this.#values["log-history"]) return false;
    return include.size ? include.has(fop) : !exclude.has(fop);
  }

  #line(message: string, fields: LogFields): void {
    if (this.#values["log-file"]) {
      this.env.log[LEVELS[this.#values["force-log-level"]]](message, fields);
    }
    if (!this.#values["log-history"]) return;
    const parts = Object.entries(fields).filter(([, value]) => value !== undefined);
    const text = [message, ...parts.map(([key, value]) => `${key}=${value}`)].join(" ");
    this.#history[this.#lines++ % this.#values["history-size"]] = text;
  }
}

/** `debug/trace`: a line for every fop and every answer. */
export const trace = defineXlator({
  type: "debug/trace",
  summary: "Log every fop and every answer",
  options,
  subvolumes: "one",
  check: (values) =>
    values["include-ops"].size && values["exclude-ops"].size
      ? "only one of include-ops and exclude-ops can be given"
      : undefined,
  create: (node, values) => new Trace(node, values),
});
