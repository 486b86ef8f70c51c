/** What the memory brick answers beside a fop's own reply: extra data, and entries of directories. */

import { ENOTDIR } from "core/errno.ts";
import type { Args, Dirent } from "core/fops.ts";
import { S_IFREG } from "core/iatt.ts";
import { encodeName } from "core/lib/bytes.ts";
import { type DictValue, ptr, Xdata } from "core/xdata.ts";
import * as keys from "core/xdata_keys.ts";
import type { MemoryEntry, MemoryNode } from "tests/fakes/memory_node.ts";
import { fits, isReserved, isXattrName } from "tests/fakes/memory_xattrs.ts";

/** Answers to what extra data asks of an inode. Values on the disk are replaced, never changed: answers share them. */
export function answersOf(node: MemoryNode, asked: Xdata | undefined): { xdata?: Xdata } {
  if (!asked) return {};
  const all = new Map<string, DictValue>();
  for (const [name, value] of asked) {
    if (isXattrName(name)) {
      for (const [key, bytes] of node.xattrs) {
        if (fits(name, key) && !isReserved(key)) all.set(key, ptr(bytes));
      }
    } else if (name === keys.LIST_XATTR.name) {
      for (const [key, bytes] of node.xattrs) all.set(key, ptr(bytes));
    } else if (name === keys.OPEN_FD_COUNT.name) {
      all.set(name, keys.OPEN_FD_COUNT.write(node.opens));
    } else if (name === keys.OPEN_ACTIVE_FD_COUNT.name) {
      all.set(name, keys.OPEN_ACTIVE_FD_COUNT.write(node.writers));
    } else if (name === keys.GET_SIZE.name) {
      all.set(name, keys.GET_SIZE.write(node.size));
    } else if (name === keys.CONTENT.name) {
      const limit = keys.CONTENT_LIMIT.read(value) ?? 0;
      if (node.type === S_IFREG && node.size <= limit) {
        all.set(name, ptr(node.data.read(0, node.size)));
      }
    }
  }
  return all.size ? { xdata: new Xdata(all) } : {};
}

/** Entries after a cookie, as many as there is room for; `extra` bytes each beside the name. */
export function listOf<T extends object>(
  directory: MemoryNode,
  args: Args<"readdir">,
  extra: number,
  about: (node: MemoryNode) => T,
): { entries: (Dirent & T)[]; eof: boolean } {
  if (!directory.isDirectory) throw ENOTDIR;
  const entries: (Dirent & T)[] = [];
  let room = args.size;
  for (const [name, { node, cookie }] of listing(directory)) {
    if (cookie <= args.offset) continue;
    room -= 24 + extra + encodeName(name).length;
    if (room < 0 && entries.length) return { entries, eof: false };
    const ino = BigInt("0x" + node.gfid.slice(19).replace("-", ""));
    entries.push({ name, offset: cookie, type: node.type >> 12, ino, ...about(node) });
  }
  return { entries, eof: true };
}

function* listing(directory: MemoryNode): Iterable<[string, MemoryEntry]> {
  yield [".", { node: directory, cookie: 1n }];
  yield ["..", { node: directory.parent ?? directory, cookie: 2n }];
  yield* directory.entries;
}
