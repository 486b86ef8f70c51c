/** What a stream asks for, checked: nothing in it is believed. */

import { encodeName } from "core/lib/bytes.ts";
import { CommandError } from "mgmt/cli/command_error.ts";
import type { Operation, SentAttributes } from "mgmt/snapshots/stream.ts";

/** Attributes, extended ones as bytes. */
export type ArrivedAttributes = Omit<SentAttributes, "xattrs"> & {
  readonly xattrs: ReadonlyMap<string, Uint8Array>;
};

/** An operation that can be done. */
export type Arrived =
  | Exclude<Operation, { readonly do: "attributes" }>
  | { readonly do: "attributes"; readonly path: string; readonly set: ArrivedAttributes };

const NAME_MAX = 255, DEPTH_MAX = 1024, TARGET_MAX = 4095, XATTRS_MAX = 10_000;
const XATTR_NAME = /^(user|trusted|security|system\.posix_acl_(access|default))(\.[^\0]{1,255})?$/;
/** Of the bricks, of replication and the like: not for a stream to set. */
const OWN = /^trusted\.(afr|glusterfs|gfid|gfid2path|pgfid|ec|bit-rot|mortar)\b/;

type Fields = Readonly<Record<string, unknown>>;

/** The operation that a record holds. Throws CommandError. */
export function operationOf(value: unknown): Arrived {
  const at = fields(value), { path } = at;
  switch (at["do"]) {
    case "aside":
    case "place":
      return { do: at["do"], path: checkedPath(path), key: count(at["key"]) };
    case "remove":
    case "directory":
      return { do: at["do"], path: checkedPath(path) };
    case "symlink":
      return { do: "symlink", path: checkedPath(path), target: targetOf(at["target"]) };
    case "node":
      return {
        do: "node",
        path: checkedPath(path),
        mode: count(at["mode"]),
        rdev: count(at["rdev"]),
      };
    case "link":
      return { do: "link", path: checkedPath(path), to: checkedPath(at["to"]) };
    case "names done":
      return { do: "names done" };
    case "file":
      return { do: "file", path: checkedPath(path), size: count(at["size"]) };
    case "attributes": {
      const of = path === "" ? "" : checkedPath(path);
      return { do: "attributes", path: of, set: attributesOf(at["set"]) };
    }
    default:
      throw wrong("an operation that there is not");
  }
}

function wrong(what: string): CommandError {
  return new CommandError(`Cannot receive: the stream has ${what}; nothing was made a snapshot`);
}

function fields(value: unknown): Fields {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Fields;
  throw wrong("a record that is none");
}

function count(value: unknown): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw wrong("a number that cannot be");
}

function checkedPath(path: unknown): string {
  const names = typeof path === "string" ? path.split("/") : [];
  const isName = (name: string) =>
    name !== "" && name !== "." && name !== ".." && !name.includes("\0") &&
    encodeName(name).length <= NAME_MAX;
  if (names.length && names.length <= DEPTH_MAX && names.every(isName)) return path as string;
  throw wrong(`a path that leads nowhere in a volume (${JSON.stringify(path)?.slice(0, 100)})`);
}

function targetOf(target: unknown): string {
  const right = typeof target === "string" && target !== "" && !target.includes("\0") &&
    encodeName(target).length <= TARGET_MAX;
  if (right) return target;
  throw wrong("a symbolic link to what can be no name");
}

function attributesOf(value: unknown): ArrivedAttributes {
  const at = fields(value), xattrs = new Map<string, Uint8Array>();
  if (!Array.isArray(at["xattrs"]) || at["xattrs"].length > XATTRS_MAX) {
    throw wrong("extended attributes that are none");
  }
  for (const [name, text] of at["xattrs"] as [unknown, unknown][]) {
    if (typeof name !== "string" || !XATTR_NAME.test(name) || OWN.test(name)) {
      throw wrong("an extended attribute that is not to be set");
    }
    xattrs.set(name, bytesOf(text));
  }
  const mode = count(at["mode"]), uid = count(at["uid"]), gid = count(at["gid"]);
  return { mode, uid, gid, mtime: timeOf(at["mtime"]), atime: timeOf(at["atime"]), xattrs };
}

function bytesOf(text: unknown): Uint8Array {
  try {
    return Uint8Array.fromBase64(String(text));
  } catch {
    throw wrong("an extended attribute whose value is not readable");
  }
}

function timeOf(value: unknown): readonly [number, number] {
  const [sec, nsec] = Array.isArray(value) ? value : [];
  if (Number.isSafeInteger(sec) && Number.isSafeInteger(nsec) && nsec >= 0 && nsec < 1e9) {
    return [sec, nsec];
  }
  throw wrong("a time that is none");
}
