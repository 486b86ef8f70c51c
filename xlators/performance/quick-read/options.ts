/** Options of quick-read, as GlusterFS spells them. */

import { bool, int, type OptionTable, size, text, type Values } from "core/options.ts";

export const options = {
  "quick-read": bool({ default: false, help: "Kept for old volumes; does nothing." }),
  "max-file-size": size({
    default: 64 << 10,
    max: 1000 << 10,
    help: "Largest file that is read when it is opened; 0: none is.",
  }),
  "cache-timeout": int({
    default: 1,
    min: 0,
    volumeKey: "performance.quick-read-cache-timeout",
    help:
      "Seconds for which what was read at the opening may be answered. More than a second is safe only " +
      "with features.cache-invalidation.",
  }),
  "cache-size": size({
    default: 128 << 20,
    volumeKey: "performance.quick-read-cache-size",
    help: "Most memory for what files hold.",
  }),
  "quick-read-cache-invalidation": bool({
    default: false,
    volumeKey: "performance.quick-read-cache-invalidation",
    help: "Files that are opened again are answered from memory: bricks tell of changes if " +
      "features.cache-invalidation is on. What they tell is heeded in any case.",
  }),
  "ctime-invalidation": bool({
    default: false,
    volumeKey: "performance.ctime-invalidation",
    help: "Accepted and without effect: both times and the size tell whether a file changed.",
  }),
  "priority": text({
    default: "",
    help: "Accepted and without effect: the oldest goes first.",
  }),
  "pass-through": bool({ default: false, help: "Files are opened and read as they are." }),
} satisfies OptionTable;

/** What the options are set to. */
export type QuickReadValues = Values<typeof options>;
