/** Options of cluster/distribute, as GlusterFS spells them. */

import { bool, oneOf, optionalText, percent, shareOrSize, type Values } from "core/options.ts";
import { RSYNC_PATTERN } from "xlators/cluster/distribute/hash.ts";

export const options = {
  "lookup-unhashed": oneOf(["on", "off", "auto", "yes", "no", "enable", "disable", "1", "0"], {
    default: "on",
    volumeKey: "cluster.lookup-unhashed",
    help: "Look for a name on all subvolumes if the one where it belongs does not have it.",
  }),
  "min-free-disk": shareOrSize({
    default: { percent: 10 },
    volumeKey: "cluster.min-free-disk",
    help: "New files go elsewhere when a subvolume has less free space than that.",
  }),
  "min-free-inodes": percent({
    default: 5,
    volumeKey: "cluster.min-free-inodes",
    help: "The same for inodes.",
  }),
  "weighted-rebalance": bool({
    default: true,
    volumeKey: "cluster.weighted-rebalance",
    help: "Give larger subvolumes more of the names of a new directory.",
  }),
  "randomize-hash-range-by-gfid": bool({
    default: false,
    volumeKey: "cluster.randomize-hash-range-by-gfid",
    help: "Let a new directory's gfid, not its path, say which subvolume gets the first range.",
  }),
  "rsync-hash-regex": optionalText({
    volumeKey: "cluster.rsync-hash-regex",
    help: `What of a name is hashed: group 1 of this expression. ${RSYNC_PATTERN} if not given; ` +
      '"none" for all of every name.',
  }),
  "extra-hash-regex": optionalText({
    volumeKey: "cluster.extra-hash-regex",
    help: 'The same for names of other programs, looked at first; "none" for no such expression.',
  }),
} as const;

/** Parsed values of the table above. */
export type DistributeValues = Values<typeof options>;

/** The expressions that names are reduced by, in order. Throws SyntaxError. */
export function patternsOf(values: DistributeValues): RegExp[] {
  return [values["extra-hash-regex"] ?? "none", values["rsync-hash-regex"] ?? RSYNC_PATTERN]
    .filter((source) => source !== "none" && source !== "")
    .map((source) => new RegExp(source));
}

/** What is wrong with the options, or undefined. */
export function checkOptions(values: DistributeValues): string | undefined {
  try {
    patternsOf(values);
    return undefined;
  } catch (error) {
    return `a regular expression cannot be read: ${(error as Error).message}`;
  }
}
