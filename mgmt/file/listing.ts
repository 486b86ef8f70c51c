/** What `ls` and `stat` tell, for people and as JSON. */

import { type Iatt, S_IFMT } from "core/iatt.ts";
import type { Json } from "core/xlator.ts";

const TYPES: Readonly<Record<number, readonly [letter: string, name: string]>> = {
  0o140000: ["s", "socket"],
  0o120000: ["l", "link"],
  0o100000: ["-", "file"],
  0o060000: ["b", "block device"],
  0o040000: ["d", "directory"],
  0o020000: ["c", "character device"],
  0o010000: ["p", "fifo"],
};

/** What kind of thing it is, in a word or two. */
export function typeName({ mode }: Pick<Iatt, "mode">): string {
  return TYPES[mode & S_IFMT]?.[1] ?? "unknown";
}

/** Type and permissions as `ls -l` shows them. */
export function modeText({ mode }: Iatt): string {
  const letters = [...(mode & 0o777).toString(8).padStart(3, "0")].map((digit) => {
    const bits = Number(digit);
    return (bits & 4 ? "r" : "-") + (bits & 2 ? "w" : "-") + (bits & 1 ? "x" : "-");
  });
  const special = ["s", "s", "t"].map((letter, at) => {
    if (!(mode & 0o4000 >> at)) return letters[at]!;
    return letters[at]!.slice(0, 2) + (letters[at]![2] === "x" ? letter : letter.toUpperCase());
  });
  return (TYPES[mode & S_IFMT]?.[0] ?? "?") + special.join("");
}

/** A time of an inode, UTC. */
export function timeOf(sec: number, nsec: number): string {
  return new Date(sec * 1000 + Math.floor(nsec / 1e6)).toISOString();
}

/** Everything about an inode as JSON; `mode` is octal text. */
export function statJson(name: string, stat: Iatt): { readonly [key: string]: Json } {
  return {
    name,
    type: typeName(stat),
    size: stat.size,
    mode: (stat.mode & 0o7777).toString(8).padStart(4, "0"),
    uid: stat.uid,
    gid: stat.gid,
    links: stat.nlink,
    blocks: stat.blocks,
    atime: timeOf(stat.atime, stat.atimeNsec),
    mtime: timeOf(stat.mtime, stat.mtimeNsec),
    ctime: timeOf(stat.ctime, stat.ctimeNsec),
    gfid: stat.gfid,
  };
}

/** A name as it can be shown: control characters and what is no text are escaped. */
export function shownName(name: string): string {
  return name.replace(/[\p{Cc}\p{Cs}\\]/gu, (char) => {
    if (char === "\\") return "\\\\";
    return `\\x${(char.charCodeAt(0) & 0xff).toString(16).padStart(2, "0")}`;
  });
}

/** Rows of cells as lines with columns that are aligned; columns in `right` to the right. */
export function table(rows: readonly (readonly string[])[], right: readonly number[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, at) => widths[at] = Math.max(widths[at] ?? 0, cell.length));
  }
  return rows.map((row) => {
    const cells = row.map((cell, at) => {
      const width = widths[at]!;
      if (right.includes(at)) return cell.padStart(width);
      return at === row.length - 1 ? cell : cell.padEnd(width);
    });
    return cells.join("  ") + "\n";
  }).join("");
}
