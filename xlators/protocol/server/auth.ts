/**
 * Who may join a brick. Two judges look at each client, by address and by user name; one "reject"
 * keeps it out, and without any "accept" it stays out, too. Rules as in GlusterFS's auth/addr and
 * auth/login.
 */

/** What one judge says; "none" if it has no rule that fits. */
export type Verdict = "accept" | "reject" | "none";

/** What is known of a client that wants to join. */
export interface Applicant {
  /** Peer address; "" for a unix socket. */
  readonly address: string;
  /** 0 for a unix socket. */
  readonly port: number;
  /** The directory to be mounted; "/" for all. */
  readonly subdir: string;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
}

/** Values of the options `auth.addr.NAME.…` for the subvolume in question. */
export interface AddressRules {
  readonly allow: string | undefined;
  readonly reject: string | undefined;
  readonly allowInsecure: boolean;
}

/** Values of the options `auth.login.…`. */
export interface LoginRules {
  readonly users: readonly string[] | undefined;
  readonly passwords: ReadonlyMap<string, string>;
  readonly strict: boolean;
}

/** Addresses of a host name. */
export type Resolve = (host: string) => Promise<readonly string[]>;

const PRIVILEGED_PORTS = 1024;

/** What several judges say together. */
export function judged(verdicts: readonly Verdict[]): boolean {
  return !verdicts.includes("reject") && verdicts.includes("accept");
}

/** The judgement by address. */
export async function judgeAddress(
  who: Applicant,
  rules: AddressRules,
  resolve: Resolve,
): Promise<Verdict> {
  if (rules.allow === undefined && rules.reject === undefined) return "none";
  if (who.address !== "" && who.port >= PRIVILEGED_PORTS && !rules.allowInsecure) return "reject";
  if (rules.reject !== undefined && await isListed(who, rules.reject, resolve)) return "reject";
  if (rules.allow !== undefined && await isListed(who, rules.allow, resolve)) return "accept";
  return "none";
}

async function isListed(who: Applicant, rules: string, resolve: Resolve): Promise<boolean> {
  if (!rules.startsWith("/") && !rules.includes("(")) {
    // Rules without directories are about the whole volume and all its directories.
    return await matchesAny(who.address, rules.split(","), resolve);
  }
  for (const entry of rules.split(/,(?=\s*\/)/)) {
    const match = /^\s*(\/[^(]*)\(([^)]*)\)\s*$/.exec(entry);
    if (!match || match[1]!.trimEnd() !== who.subdir) continue;
    if (await matchesAny(who.address, match[2]!.split("|"), resolve)) return true;
  }
  return false;
}

async function matchesAny(
  address: string,
  patterns: readonly string[],
  resolve: Resolve,
): Promise<boolean> {
  for (const each of patterns) {
    const pattern = each.trim();
    if (pattern === "") continue;
    const negated = pattern.startsWith("!");
    const plain = negated ? pattern.slice(1) : pattern;
    if (await matches(address, plain, resolve) !== negated) return true;
  }
  return false;
}

async function matches(address: string, pattern: string, resolve: Resolve): Promise<boolean> {
  if (pattern.includes("/")) return isInNetwork(address, pattern);
  if (/[*?[]/.test(pattern)) return matchesWildcard(address, pattern);
  if (pattern === address) return true;
  const wanted = parseAddress(pattern);
  if (wanted) return sameAddress(wanted, parseAddress(address));
  if (address === "") return false;
  const found = await resolve(pattern).catch((): readonly string[] => []);
  const own = parseAddress(address);
  return found.some((each) => sameAddress(parseAddress(each), own));
}

/**
 * True if `text` has the form of `pattern`: `*` any text, `?` any character, `[…]` one of some,
 * `[!…]` any other. Takes time in proportion to both sizes at most: `text` may be the peer's.
 */
export function matchesWildcard(text: string, pattern: string): boolean {
  let t = 0, p = 0, starAt = -1, starText = 0;
  while (t < text.length) {
    if (pattern[p] === "*") {
      starAt = p++;
      starText = t;
      continue;
    }
    const size = p < pattern.length ? matchOne(text[t]!, pattern, p) : 0;
    if (size > 0) {
      p += size;
      t++;
    } else if (starAt >= 0) {
      // The last star takes one character more; earlier ones need not be tried again.
      p = starAt + 1;
      t = ++starText;
    } else return false;
  }
  while (pattern[p] === "*") p++;
  return p === pattern.length;
}

// How many characters of `pattern` at `at` stand for `char`; 0 if they do not.
function matchOne(char: string, pattern: string, at: number): number {
  const first = pattern[at]!;
  if (first === "?") return 1;
  const negated = pattern[at + 1] === "!" || pattern[at + 1] === "^";
  const from = at + (negated ? 2 : 1);
  const close = first === "[" ? pattern.indexOf("]", from + 1) : -1;
  if (close < 0) return first === char ? 1 : 0;
  let found = false;
  for (let i = from; i < close; i++) {
    if (pattern[i + 1] === "-" && i + 2 < close) {
      if (pattern[i]! <= char && char <= pattern[i + 2]!) found = true;
      i += 2;
    } else if (pattern[i] === char) found = true;
  }
  return found !== negated ? close + 1 - at : 0;
}

/** An address as bits: 32 or 128 of them. */
interface Address {
  readonly bits: 32 | 128;
  readonly value: bigint;
}

function sameAddress(a: Address | undefined, b: Address | undefined): boolean {
  return a !== undefined && b !== undefined && a.bits === b.bits && a.value === b.value;
}

/** True if `address` is in `network`, such as "10.0.0.0/8" or "fd00::/8". */
export function isInNetwork(address: string, network: string): boolean {
  const [base, prefix, ...more] = network.split("/");
  const own = parseAddress(address), other = parseAddress(base!);
  if (!own || !other || more.length || own.bits !== other.bits) return false;
  if (!/^\d{1,3}$/.test(prefix!) || Number(prefix) > own.bits) return false;
  const shift = BigInt(own.bits - Number(prefix));
  return own.value >> shift === other.value >> shift;
}

function parseAddress(text: string): Address | undefined {
  const four = parseIpv4(text);
  if (four !== undefined) return { bits: 32, value: four };
  const six = parseIpv6(text);
  return six === undefined ? undefined : { bits: 128, value: six };
}

function parseIpv4(text: string): bigint | undefined {
  if (!/^\d{1,3}(\.\d{1,3}){3}$/.test(text)) return undefined;
  let value = 0n;
  for (const part of text.split(".")) {
    if (Number(part) > 255) return undefined;
    value = (value << 8n) | BigInt(part);
  }
  return value;
}

function parseIpv6(text: string): bigint | undefined {
  const plain = text.replace(/%.*$/, "");
  if (!/^[0-9a-fA-F:]+$/.test(plain) || !plain.includes(":")) return undefined;
  const halves = plain.split("::");
  if (halves.length > 2) return undefined;
  const parts = (half: string) => half === "" ? [] : half.split(":");
  const head = parts(halves[0]!), tail = halves.length === 2 ? parts(halves[1]!) : [];
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const all = [...head, ...Array(missing).fill("0"), ...tail];
  if (all.some((part) => !/^[0-9a-fA-F]{1,4}$/.test(part))) return undefined;
  return all.reduce((value, part) => (value << 16n) | BigInt(parseInt(part, 16)), 0n);
}

/** The judgement by user name and password. */
export function judgeLogin(who: Applicant, rules: LoginRules): Verdict {
  const missing = rules.strict ? "reject" : "none";
  if (who.username === undefined || who.password === undefined) return missing;
  const { username } = who;
  if (!rules.users?.some((pattern) => matchesWildcard(username, pattern))) return missing;
  const password = rules.passwords.get(username);
  return password !== undefined && sameText(password, who.password) ? "accept" : "reject";
}

// Takes as long for a wrong password as for the right one.
function sameText(a: string, b: string): boolean {
  let different = a.length ^ b.length;
  for (let i = 0; i < b.length; i++) different |= b.charCodeAt(i) ^ (a.charCodeAt(i) || 0);
  return different === 0;
}
