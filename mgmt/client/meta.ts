/** placeholder */
import { type Json, type Node, Uniform } from "core/xlator.ts";
import type { Call } from "core/call.ts";
import type { Graph } from "core/graph.ts";
import type { Args, FopName, Reply } from "core/fops.ts";

export interface MetaParts {
  readonly graph: () => Graph;
  readonly mount: () => Json;
  readonly commandLine: readonly string[];
  readonly logLevel: string;
}
export class Meta extends Uniform {
  constructor(node: Node, readonly parts: MetaParts) {
    super(node);
  }
  protected around<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    return this.wind(fop, call, args);
  }
}
