/**
 * Names of snapshots and bitmaps as names of files. QEMU allows any bytes in them; a file's name has
 * no slash, no NUL, is not empty, `.` or `..`, and has 255 bytes at most.
 *
 * The rule: `/`, `%` and control characters become `%` and two hexadecimal digits, so does the first
 * dot of `.` and `..`. A name that several have, that is empty or too long, gets `%#` and the
 * snapshot's id behind it, cut where it has to be; `%#` is in no other name. Where that is still not
 * the only one, `%#2`, `%#3`, … follow.
 */

import { encodeName } from "core/lib/bytes.ts";

const NAME_MAX = 255;
/** What is left of a name, or of an id, that is too long, in bytes. */
const CUT_NAME = 150, CUT_ID = 60;

/** What has a name: of several with the same one, the id tells them apart. */
export interface Named {
  readonly id: string;
  readonly name: string;
}

/** All of them by the names that they are shown under, in order. */
export function shownNames<T extends Named>(all: readonly T[]): ReadonlyMap<string, T> {
  const counts = new Map<string, number>();
  for (const { name } of all) counts.set(name, (counts.get(name) ?? 0) + 1);
  const shown = new Map<string, T>();
  for (const each of all) {
    const plain = escaped(each.name);
    const isGood = plain !== "" && counts.get(each.name) === 1 && bytes(plain) <= NAME_MAX;
    const base = isGood ? plain : `${cut(plain, CUT_NAME)}%#${cut(escaped(each.id), CUT_ID)}`;
    let name = base;
    for (let count = 2; shown.has(name); count++) name = `${base}%#${count}`;
    shown.set(name, each);
  }
  return shown;
}

function escaped(name: string): string {
  if (name === "." || name === "..") return `%2E${name.slice(1)}`;
  // deno-lint-ignore no-control-regex -- they are what is looked for
  return name.replace(/[\x00-\x1f\x7f%/]/g, (char) => {
    return `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`;
  });
}

function bytes(name: string): number {
  return encodeName(name).length;
}

// At most so many bytes from the start, not within a character or an escape.
function cut(name: string, most: number): string {
  let kept = "", size = 0;
  for (const part of name.match(/%[0-9A-F]{2}|./gsu) ?? []) {
    size += bytes(part);
    if (size > most) break;
    kept += part;
  }
  return kept;
}
