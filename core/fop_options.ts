/** Options whose values are fops. */

import { FOP_NAMES, type FopName, FOPS } from "core/fops.ts";
import type { OptionSpec } from "core/options.ts";

const BY_NAME: ReadonlyMap<string, FopName> = new Map(
  FOP_NAMES.flatMap((fop) => [
    [fop.toLowerCase(), fop] as const,
    [FOPS[fop].label.toLowerCase(), fop] as const,
  ]),
);

/** The fop of that name, spelled as in `FOPS` or as GlusterFS prints it, in any case. */
export function fopNamed(text: string): FopName | undefined {
  return BY_NAME.get(text.toLowerCase());
}

/** Some fops, separated by commas or blanks; none stands for whatever `help` says. */
export function fops(
  { help, volumeKey }: { readonly help: string; readonly volumeKey?: string },
): OptionSpec<ReadonlySet<FopName>> {
  return {
    kind: "fops",
    default: new Set(),
    help,
    volumeKey,
    live: true,
    values: "fops such as LOOKUP, separated by commas",
    parse(text) {
      const words = text.split(/[\s,]+/).filter((word) => word !== "");
      return new Set(words.map((word) => {
        const fop = fopNamed(word);
        if (!fop) throw new RangeError(`expected fops such as LOOKUP, got "${word}"`);
        return fop;
      }));
    },
    print: (value) => [...value].map((fop) => FOPS[fop].label).join(","),
  };
}
