import { type Call, isInternal } from "core/call.ts";
import { EROFS } from "core/errno.ts";
import { type Args, type FopName, FOPS, O_ACCMODE, O_TRUNC, type Reply } from "core/fops.ts";
import { bool, type OptionTable, type Values } from "core/options.ts";
import { defineXlator } from "core/registry.ts";
import { valueBytes, type Xdata } from "core/xdata.ts";
import { type Node, Uniform } from "core/xlator.ts";

const options = {
  "read-only": bool({
    default: false,
    volumeKey: "features.read-only",
    help: "Refuse every fop that would change the volume, except from daemons such as self-heal.",
  }),
} satisfies OptionTable;

/** Refuses what modifies, except from daemons: heal must still work. */
class ReadOnly extends Uniform {
  #on: boolean;

  constructor(node: Node, values: Values<typeof options>) {
    super(node);
    this.#on = values["read-only"];
  }

  reconfigure(values: Values<typeof options>): void {
    this.#on = values["read-only"];
  }

  protected around<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    if (this.#on && !isInternal(call) && changes(fop, args)) return Promise.reject(EROFS);
    return this.wind(fop, call, args);
  }
}

function changes<K extends FopName>(fop: K, args: Args<K>): boolean {
  if (fop === "open") {
    const { flags } = args as Args<"open">;
    return (flags & O_ACCMODE) !== 0 || (flags & O_TRUNC) !== 0;
  }
  if (fop === "xattrop" || fop === "fxattrop") {
    const { op, xattrs } = args as Args<"xattrop">;
    return op === "get-and-set" || !allZero(xattrs);
  }
  return FOPS[fop].kind === "modify";
}

// An xattrop that adds nothing only reads: replicate asks for pending marks that way.
function allZero(xattrs: Xdata | undefined): boolean {
  if (!xattrs) return true;
  for (const [, value] of xattrs) {
    if (!valueBytes(value)?.every((byte) => byte === 0)) return false;
  }
  return true;
}

/** `features/read-only`: a volume that applications can only read. */
export const readOnly = defineXlator({
  type: "features/read-only",
  summary: "Make a volume read-only",
  options,
  subvolumes: "one",
  create: (node, values) => new ReadOnly(node, values),
});
