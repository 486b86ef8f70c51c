/** The token that REST asks for: a file that only the daemon's owner can read. */

import type { Random } from "core/env.ts";
import { toHex } from "core/lib/bytes.ts";
import { CommandError } from "mgmt/cli/command_error.ts";
import { plain } from "mgmt/plain.ts";

const TOKEN_BYTES = 32;

/** The token in `path`, made if there is none. Throws CommandError. */
export function readToken(path: string, random: Random): string {
  const cannot = (why: string) => new CommandError(`Cannot use the token in ${path}: ${why}`);
  try {
    const made = toHex(random.bytes(TOKEN_BYTES));
    Deno.writeTextFileSync(path, `${made}\n`, { createNew: true, mode: 0o600 });
    return made;
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw cannot(plain(error));
  }
  const { mode } = Deno.statSync(path);
  if ((mode ?? 0) & 0o077) throw cannot("others may read it; make a new one, with mode 0600");
  const token = Deno.readTextFileSync(path).trim();
  if (!/^[\x21-\x7e]{16,256}$/.test(token)) {
    throw cannot("it is no line of 16 to 256 printable characters; remove it for a new one");
  }
  return token;
}

/** Whether `given` is `token`, in a time that does not tell how much of it is right. */
export function sameToken(token: string, given: string): boolean {
  const wanted = new TextEncoder().encode(token), have = new TextEncoder().encode(given);
  let differ = wanted.length ^ have.length;
  for (let at = 0; at < wanted.length; at++) differ |= wanted[at]! ^ (have[at] ?? 0);
  return differ === 0;
}
