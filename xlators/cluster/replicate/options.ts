/**
 * Options of cluster/replicate, as GlusterFS spells them. Their names in `volume set` are rows of the
 * management daemon: what it shows of them is also for GlusterFS's own clients.
 */

import {
  bool,
  duration,
  int,
  list,
  oneOf,
  type OptionTable,
  text,
  type Values,
} from "core/options.ts";

import {
  type AnonymousDirectory,
  anonymousDirectory,
} from "xlators/cluster/replicate/private_names.ts";

const ON_OFF = ["on", "off", "yes", "no", "true", "false", "enable", "disable", "1", "0"] as const;

export const options = {
  "afr-pending-xattr": list({
    default: [],
    live: false,
    help:
      "Names of the copies in marks, in the order of the subvolumes; their own names if absent.",
  }),
  "afr-dirty-xattr": text({
    default: "trusted.afr.dirty",
    live: false,
    help: "Attribute that marks changes under way.",
  }),
  "volume-id": text({ default: "", help: "Id of the volume." }),
  "arbiter-count": int({
    default: 0,
    min: 0,
    max: 1,
    live: false,
    help: "1: the last subvolume is an arbiter, which keeps names and attributes but no data.",
  }),
  "thin-arbiter": text({
    default: "",
    live: false,
    help: "An arbiter outside of the copies. Not supported: only empty is accepted.",
  }),
  "quorum-type": oneOf(["default", "none", "auto", "fixed"], {
    default: "default",
    help: "How many copies must take part in every change: any (none), more than half, or half " +
      "with the first one among them (auto), or quorum-count (fixed). default: auto from three copies on.",
  }),
  "quorum-count": int({
    default: 0,
    min: 0,
    help: "Copies that must take part if quorum-type is fixed.",
  }),
  "quorum-reads": bool({
    default: false,
    help: "Kept for old volumes: reads keep to the quorum anyway.",
  }),
  "eager-lock": oneOf(ON_OFF, {
    default: "on",
    help:
      "Keep the lock of a file for the writes that follow, and that of a directory for changes " +
      "of its names.",
  }),
  "post-op-delay-secs": duration({
    default: 1,
    help: "How long after a change its lock is kept, and a write's mark stays.",
  }),
  "ensure-durability": bool({
    default: true,
    help: "Sync what was written before the mark of the write is taken off.",
  }),
  "optimistic-change-log": bool({
    default: true,
    help: "Do not mark changes of names and attributes while all copies are up.",
  }),
  "pre-op-compat": bool({
    default: true,
    help: "Only on is supported: marks are set in fops of their own.",
  }),
  "use-compound-fops": bool({
    default: false,
    help: "Kept for old volumes; does nothing.",
  }),
  "full-lock": bool({ default: true, help: "Only on is supported: writes lock all of a file." }),
  "choose-local": bool({
    default: true,
    help: "Read from the copy on this host, if there is one.",
  }),
  "read-subvolume": text({
    default: "",
    help: "Name of the subvolume that is read.",
  }),
  "read-subvolume-index": int({
    default: -1,
    min: -1,
    help: "Number of the subvolume that is read, from 0; -1: none is preferred.",
  }),
  "read-hash-mode": int({
    default: 1,
    min: 0,
    max: 5,
    help: "How the copy to read is chosen: 0 the first, 1 by the file, 2 by file and client, " +
      "3 the one with the fewest reads under way, 4 the one that answers soonest, 5 both together.",
  }),
  "favorite-child-policy": oneOf(["none", "size", "ctime", "mtime", "majority"], {
    default: "none",
    help:
      "Which copy is right if each is blamed: the largest, the last changed, the last written, or " +
      "what more than half have. Decided when the file is used, or healed.",
  }),
  "granular-entry-heal": bool({
    default: false,
    help: "Remember which names in a directory differ, not only that some do.",
  }),
  "consistent-metadata": bool({
    default: false,
    help: "Do not answer attributes of changes, whose times may differ between copies.",
  }),
  "consistent-io": bool({ default: false, help: "Kept for old volumes; does nothing." }),
  "use-anonymous-inode": bool({
    default: false,
    help: "Healers move files with wrong names to a hidden directory, instead of removing what " +
      "another directory's heal may want.",
  }),
  "locking-scheme": oneOf(["full", "granular"], {
    default: "full",
    help: "How healers lock directories.",
  }),
  "iam-self-heal-daemon": bool({ default: false, live: false, help: "The graph is a healer's." }),
  "self-heal-daemon": bool({ default: true, help: "The healer heals this volume." }),
  "node-uuid": text({ default: "", help: "Id of the healer's host." }),
  "data-self-heal": oneOf([...ON_OFF, "open"], {
    default: "off",
    help: "Heal the data of files that are found in need when they are used, behind the answers.",
  }),
  "metadata-self-heal": bool({
    default: false,
    help: "The same for attributes.",
  }),
  "entry-self-heal": bool({
    default: false,
    help: "The same for names in directories.",
  }),
  "background-self-heal-count": int({
    default: 8,
    min: 0,
    help: "Files that are healed at once because of the three options above; 0: none.",
  }),
  "heal-wait-queue-length": int({
    default: 128,
    min: 0,
    help: "Files that may wait for that; what comes when it is full is left to the healer.",
  }),
  "data-self-heal-*": text({ default: "", help: "For healers." }),
  "data-change-log": bool({
    default: true,
    help: "Only on is supported: changes of data are marked.",
  }),
  "metadata-change-log": bool({ default: true, help: "The same for attributes." }),
  "entry-change-log": bool({ default: true, help: "The same for names." }),
  "heal-*": text({ default: "", help: "For healers." }),
  "self-heal-readdir-size": text({ default: "1KB", help: "For healers." }),
  "shd-*": text({ default: "", help: "For healers." }),
  "halo-enabled": bool({
    default: false,
    help: "Only off is supported: copies are used however far they are.",
  }),
  "halo-*": text({ default: "", help: "Of no use without halo-enabled." }),
  "metadata-splitbrain-forced-heal": bool({ default: false, help: "For healers." }),
  "inodelk-trace": bool({ default: false, help: "Kept for old volumes; does nothing." }),
  "entrylk-trace": bool({ default: false, help: "Kept for old volumes; does nothing." }),
  "iam-nfs-daemon": bool({ default: false, help: "Kept for old volumes; does nothing." }),
} satisfies OptionTable;

/** Parsed values of the table above. */
export type ReplicateValues = Values<typeof options>;

/** Where healers keep files with wrong names, if they do. */
export function anonymousOf(values: ReplicateValues): AnonymousDirectory | undefined {
  return values["use-anonymous-inode"] ? anonymousDirectory(values["volume-id"]) : undefined;
}

const ONLY_ON = [
  "pre-op-compat",
  "full-lock",
  "data-change-log",
  "metadata-change-log",
  "entry-change-log",
] as const;

/** What is wrong with the options, or undefined. */
export function checkOptions(values: ReplicateValues): string | undefined {
  if (values["thin-arbiter"] !== "") return "a thin arbiter is not supported";
  if (values["halo-enabled"]) return 'option "halo-enabled" on is not supported';
  const off = ONLY_ON.find((name) => !values[name]);
  return off === undefined ? undefined : `option "${off}" off is not supported`;
}

/** True if no change counts that less than half of `count` copies have. */
export function needsMajority(
  { "quorum-type": type, "quorum-count": least }: ReplicateValues,
  count: number,
): boolean {
  if (count < 3) return false;
  return type === "auto" || type === "default" || type === "fixed" && least * 2 > count;
}

/** True for the words that say so. */
export function isOnWord(word: string): boolean {
  return ["on", "yes", "true", "enable", "1", "open"].includes(word);
}
