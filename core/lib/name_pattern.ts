/**
 * Patterns of names as `fnmatch(3)` without flags reads them: `*`, `?` and `[…]`. Peers send them, so
 * the time to match is bounded: at most the product of both lengths, where a regular expression of
 * many stars would take for ever.
 */

/** A pattern that was read. */
export interface NamePattern {
  /** True if the whole of `name` is of this form. */
  test(name: string): boolean;
}

type Token = "*" | "?" | { readonly char: string } | {
  readonly set: string;
  readonly not: boolean;
};

/** True if `name` has signs that `namePattern` gives a meaning. */
export function isPattern(name: string): boolean {
  return /[*?[]/.test(name);
}

/** Reads a pattern. A bracket that is not closed stands for itself. */
export function namePattern(pattern: string): NamePattern {
  const tokens = parse(pattern);
  return { test: (name) => matches(tokens, name) };
}

function parse(pattern: string): Token[] {
  const tokens: Token[] = [];
  for (let i = 0; i < pattern.length; i++) {
    const char = pattern[i]!;
    const not = pattern[i + 1] === "!" || pattern[i + 1] === "^";
    const start = i + (not ? 2 : 1);
    const end = char === "[" ? pattern.indexOf("]", start + 1) : -1;
    if (end > 0) {
      tokens.push({ set: pattern.slice(start, end), not });
      i = end;
    } else if (char === "*" || char === "?") {
      if (char === "?" || tokens.at(-1) !== "*") tokens.push(char);
    } else tokens.push({ char });
  }
  return tokens;
}

// Only the last star is ever tried again: what an earlier one took cannot help a later token.
function matches(tokens: readonly Token[], name: string): boolean {
  let at = 0, token = 0, star = -1, from = 0;
  while (at < name.length) {
    const wanted = tokens[token];
    if (wanted === "*") {
      star = token++;
      from = at;
    } else if (wanted !== undefined && one(wanted, name[at]!)) {
      token++;
      at++;
    } else if (star >= 0) {
      token = star + 1;
      at = ++from;
    } else return false;
  }
  if (tokens[token] === "*") token++;
  return token === tokens.length;
}

function one(token: Exclude<Token, "*">, char: string): boolean {
  if (token === "?") return true;
  if ("char" in token) return token.char === char;
  return inSet(token.set, char) !== token.not;
}

function inSet(set: string, char: string): boolean {
  for (let i = 0; i < set.length; i++) {
    if (set[i + 1] === "-" && i + 2 < set.length) {
      if (char >= set[i]! && char <= set[i + 2]!) return true;
      i += 2;
    } else if (set[i] === char) return true;
  }
  return false;
}
