/**
 * Revocation: takes granted locks of a domain away when one of them has been held for too long in
 * the way of a request, or too many wait. For clients that hang with a lock held.
 */

import { type Domain, type DomainLock, type DomainRules } from "xlators/features/locks/domain.ts";
import { sameHolder } from "xlators/features/locks/holder.ts";

/** Why the domain's locks must go before `request` is tried, or undefined. */
export function revocationReason<L extends DomainLock>(
  domain: Domain<L>,
  request: L,
  { conflict, now }: Pick<DomainRules<L>, "conflict" | "now">,
  { revokeAfterSec, revokeMaxBlocked }: { revokeAfterSec: number; revokeMaxBlocked: number },
): "age" | "max blocked" | undefined {
  if (revokeAfterSec === 0 || domain.granted.length === 0) return undefined;
  const latest = now() - revokeAfterSec * 1000;
  const old = domain.granted.some((held) =>
    (held.grantedAt ?? latest) < latest && conflict(held, request) && !sameHolder(held, request)
  );
  if (old) return "age";
  return revokeMaxBlocked > 0 && domain.waiting.length >= revokeMaxBlocked
    ? "max blocked"
    : undefined;
}
