import type { Call } from "core/call.ts";
import { fops } from "core/fop_options.ts";
import type { Args, FopName, Reply } from "core/fops.ts";
import { int, type OptionTable, percent, type Values } from "core/options.ts";
import { defineXlator } from "core/registry.ts";
import { type Node, Uniform } from "core/xlator.ts";

const options = {
  "delay-percentage": percent({
    default: 10,
    volumeKey: "delay-gen.delay-percentage",
    help: "How many of a hundred fops wait.",
  }),
  "delay-duration": int({
    default: 100_000,
    min: 0,
    max: 3_600_000_000,
    volumeKey: "delay-gen.delay-duration",
    help: "How long they wait, in microseconds.",
  }),
  enable: fops({
    volumeKey: "delay-gen.enable",
    help: "Which fops wait; empty: all.",
  }),
} satisfies OptionTable;

class DelayGen extends Uniform {
  #values: Values<typeof options>;

  constructor(node: Node, values: Values<typeof options>) {
    super(node);
    this.#values = values;
  }

  reconfigure(values: Values<typeof options>): void {
    this.#values = values;
  }

  protected around<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    if (!this.#isChosen(fop)) return this.wind(fop, call, args);
    return this.env.clock.delay(this.#values["delay-duration"] / 1000)
      .then(() => this.wind(fop, call, args));
  }

  #isChosen(fop: FopName): boolean {
    const { enable, "delay-percentage": share } = this.#values;
    if (enable.size && !enable.has(fop)) return false;
    return this.env.random.int(1e6) < share * 1e4;
  }
}

/** `debug/delay-gen`: makes some fops wait. */
export const delayGen = defineXlator({
  type: "debug/delay-gen",
  summary: "Make some fops wait, to see what slowness does",
  options,
  subvolumes: "one",
  create: (node, values) => new DelayGen(node, values),
});
