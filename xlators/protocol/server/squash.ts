/** Users that are not trusted as who they say they are: root-squash and all-squash. */

import { PID_GSYNCD, PID_NO_ROOT_SQUASH, PID_REBALANCE, PID_SELF_HEAL } from "core/call.ts";
import type { Credentials } from "rpc/auth.ts";

/** Values of the options root-squash, all-squash, anonuid and anongid. */
export interface Squash {
  readonly root: boolean;
  readonly all: boolean;
  readonly anonuid: number;
  readonly anongid: number;
}

/** A daemon's mount for quota; kept for clients of older versions. */
const PID_QUOTA_MOUNT = -5;
const EXEMPT: ReadonlySet<number> = new Set([
  PID_NO_ROOT_SQUASH,
  PID_GSYNCD,
  PID_REBALANCE,
  PID_SELF_HEAL,
  PID_QUOTA_MOUNT,
]);

/**
 * Who the brick believes to ask. Daemons are exempt if their client gave a user name and password:
 * anybody can send a negative pid.
 */
export function squash(
  who: Credentials,
  rules: Squash,
  member: { readonly trusted: boolean },
): Credentials {
  if (member.trusted && EXEMPT.has(who.pid)) return who;
  const anonymous = { uid: rules.anonuid, gid: rules.anongid };
  if (rules.all) return { ...who, ...anonymous, groups: withoutRoot(who.groups, rules.anongid) };
  if (who.uid !== 0 && who.gid !== 0 && !who.groups.includes(0)) return who;
  return {
    ...who,
    uid: who.uid === 0 ? rules.anonuid : who.uid,
    gid: who.gid === 0 ? rules.anongid : who.gid,
    groups: withoutRoot(who.groups, rules.anongid),
  };
}

function withoutRoot(groups: readonly number[], anongid: number): readonly number[] {
  return groups.map((group) => group === 0 ? anongid : group);
}
