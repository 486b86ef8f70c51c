import { bool, duration, int, oneOf, type OptionTable, type Values } from "core/options.ts";
import type { DomainOptions } from "xlators/features/locks/domain_table.ts";
import { MANDATORY_MODES } from "xlators/features/locks/mandatory.ts";

/** Options of features/locks. */
export const options = {
  "mandatory-locking": oneOf(MANDATORY_MODES, {
    default: "off",
    volumeKey: "locks.mandatory-locking",
    help: "Which POSIX locks keep others from reading and writing: none (off), those on files " +
      "with set-group-ID but no group execute (file), all (forced), or those asked for as " +
      "mandatory (optimal).",
  }),
  "notify-contention": bool({
    default: true,
    volumeKey: "features.locks-notify-contention",
    help: "Tell the holder of an inode or entry lock that another client waits for it.",
  }),
  "notify-contention-delay": duration({
    default: 5,
    max: 60,
    volumeKey: "features.locks-notify-contention-delay",
    help: "Least time between two notices about the same lock; 0 sends one for every request.",
  }),
  "revocation-secs": int({
    default: 0,
    min: 0,
    volumeKey: "features.locks-revocation-secs",
    help: "Seconds an inode or entry lock may stand in the way of others before it is taken " +
      "away; 0 never takes any.",
  }),
  "revocation-clear-all": bool({
    default: false,
    volumeKey: "features.locks-revocation-clear-all",
    help: "When locks are taken away, also fail all requests that wait.",
  }),
  "revocation-max-blocked": int({
    default: 0,
    min: 0,
    volumeKey: "features.locks-revocation-max-blocked",
    help: "Waiting requests at which locks are taken away whatever their age; 0: no limit. " +
      "Only if revocation-secs is not 0.",
  }),
  "enforce-mandatory-lock": bool({
    default: false,
    volumeKey: "features.enforce-mandatory-lock",
    help: "Fencing by lock owner. Not supported: only off is accepted.",
  }),
} satisfies OptionTable;

export type LocksOptions = Values<typeof options>;

/** What the tables of inode and entry locks need of them. */
export function domainOptions(values: LocksOptions): DomainOptions {
  return {
    notify: values["notify-contention"],
    notifyDelaySec: values["notify-contention-delay"],
    revokeAfterSec: values["revocation-secs"],
    revokeMaxBlocked: values["revocation-max-blocked"],
    revokeAll: values["revocation-clear-all"],
  };
}
