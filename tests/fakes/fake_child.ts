/** A layer that answers only what a test scripted, and records what it was asked. */

import type { Call } from "core/call.ts";
import type { Args, FopName, Fops, Reply } from "core/fops.ts";
import { FOP_NAMES } from "core/fops.ts";
import { Refuse } from "core/xlator.ts";
import { node } from "tests/fakes/node.ts";

/** One fop that arrived. */
export interface Seen {
  readonly fop: FopName;
  readonly call: Call;
  readonly args: unknown;
}

/** Answers of a script: any subset of the fops. */
export type Script = Partial<Fops>;

/** Unscripted fops fail with EOPNOTSUPP, so a test that did not expect them fails by itself. */
export class FakeChild extends Refuse {
  readonly seen: Seen[] = [];

  constructor(script: Script = {}, name = "fake") {
    super(node(name));
    for (const fop of FOP_NAMES) {
      const answer = (script[fop] ?? this[fop]) as (
        call: Call,
        args: Args<typeof fop>,
      ) => Promise<Reply<typeof fop>>;
      Object.defineProperty(this, fop, {
        value: (call: Call, args: Args<typeof fop>) => {
          this.seen.push({ fop, call, args });
          return answer.call(this, call, args);
        },
      });
    }
  }

  /** Names of the fops seen, in order. */
  get fops(): FopName[] {
    return this.seen.map((each) => each.fop);
  }

  /** The args of the last `fop` seen. */
  last<K extends FopName>(fop: K): Args<K> {
    const found = this.seen.findLast((each) => each.fop === fop);
    if (!found) throw new Error(`${fop} was never seen; seen: ${this.fops.join(" ")}`);
    return found.args as Args<K>;
  }
}
