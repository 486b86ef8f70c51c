/**
 * The names of an inode, from its handle on the brick: of a directory that is a symbolic link to
 * `../../aa/bb/PARENT/NAME`; of others each name is an attribute (`trusted.gfid2path.*`).
 */

import type { NameIn } from "core/history_orders.ts";
import { parseGfid } from "core/inode.ts";
import { decodeName } from "core/lib/bytes.ts";
import { AT_FDCWD, cstring, sys } from "core/sys/calls.ts";

const PREFIX = "trusted.gfid2path.", LIST_MAX = 65_536, VALUE_MAX = 4096, TARGET_MAX = 4096;
const TARGET = /^\.\.\/\.\.\/..\/..\/(.{36}\/[^/]+)$/;

/** None: there is no such handle, or nothing is known. */
export function namesOfHandle(path: string): NameIn[] {
  const handle = cstring(path);
  const list = new Uint8Array(LIST_MAX);
  const size = sys.llistxattr(handle, list, list.length);
  if (size < 0) return [];
  const keys = decodeName(list.subarray(0, size)).split("\0").filter((key) =>
    key.startsWith(PREFIX)
  );
  const names = keys.flatMap((key) => {
    const value = new Uint8Array(VALUE_MAX);
    const length = sys.lgetxattr(handle, cstring(key), value, value.length);
    return length < 0 ? [] : nameOf(decodeName(value.subarray(0, length)));
  });
  return names.length ? names : ofDirectory(handle);
}

// "PARENT/NAME".
function nameOf(text: string): NameIn[] {
  const parent = parseGfid(text.slice(0, 36)), name = text.slice(37);
  return parent && text[36] === "/" && name !== "" ? [{ parent, name }] : [];
}

function ofDirectory(handle: Uint8Array<ArrayBuffer>): NameIn[] {
  const target = new Uint8Array(TARGET_MAX);
  // That of a file is no link.
  const length = sys.readlinkat(AT_FDCWD, handle, target, target.length);
  if (length < 0) return [];
  const found = TARGET.exec(decodeName(target.subarray(0, length)));
  return found ? nameOf(found[1]!) : [];
}
