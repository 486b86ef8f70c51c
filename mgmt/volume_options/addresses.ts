/** Lists of hosts, as `auth.allow` has them. */

import { type OptionSpec, text } from "core/options.ts";

const LABEL = /^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?$/;

/**
 * Whether a word names hosts: a host name, an IPv4 or IPv6 address, either with `*` for any part, or a network
 * such as 10.0.0.0/8.
 */
export function isHostPattern(word: string): boolean {
  const slash = word.indexOf("/");
  if (slash >= 0) return isNetwork(word.slice(0, slash), word.slice(slash + 1));
  if (word === "*") return true;
  if (word.includes(":")) return isIpv6(word);
  if (word.length > 255) return false;
  const parts = word.replace(/\.$/, "").split(".");
  if (/^[0-9.*]+$/.test(word)) {
    return parts.length <= 4 && (parts.length === 4 || word.includes("*")) &&
      parts.every((part) => part === "*" || (/^\d{1,3}\*?$/.test(part) && parseInt(part) < 256));
  }
  return parts.every((part) => part.length <= 63 && LABEL.test(part.replaceAll("*", "a")));
}

function isNetwork(address: string, bits: string): boolean {
  if (!/^\d{1,3}$/.test(bits)) return false;
  if (address.includes(":")) return isIpv6(address) && Number(bits) <= 128;
  return Number(bits) <= 32 && !address.includes("*") && /^\d+(\.\d+){3}$/.test(address) &&
    isHostPattern(address);
}

function isIpv6(word: string): boolean {
  const bare = word.replace(/%[\w.-]+$/, "").replaceAll("*", "0");
  return URL.canParse(`http://[${bare}]/`);
}

/** Hosts separated by commas. */
export function addressList(
  common: { readonly default: string; readonly help: string },
): OptionSpec<string> {
  return {
    ...text(common),
    kind: "addresses",
    values: "host names, addresses (* for any part) and networks, separated by commas",
    parse(value) {
      const wrong = value.split(",").find((word) => !isHostPattern(word.trim()));
      if (wrong === undefined) return value;
      throw new RangeError(`expected hosts separated by commas, got "${wrong}"`);
    },
  };
}
