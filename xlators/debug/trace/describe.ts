/** Args and replies as fields of a log line. */

import { FopError } from "core/errno.ts";
import type { LogFields } from "core/env.ts";
import { Fd, Inode } from "core/inode.ts";
import { Xdata } from "core/xdata.ts";

// Longest text of one field: names may be long, targets and lists longer.
const TEXT_MAX = 200;

type Value = LogFields[string];

/** What a person wants to see of args, a reply or a failure: gfids, names, numbers, sizes. */
export function describe(what: object): LogFields {
  if (what instanceof FopError) return { error: what.code };
  const fields: Record<string, Value> = {};
  for (const [key, value] of Object.entries(what)) {
    const text = one(value);
    if (text !== undefined) fields[key] = text;
  }
  return fields;
}

function one(value: unknown): Value {
  switch (typeof value) {
    case "string":
      return cut(value);
    case "number":
    case "bigint":
    case "boolean":
      return value;
    case "object":
      return value === null ? undefined : cut(whole(value));
    default:
      return undefined;
  }
}

function whole(value: object): string {
  if (value instanceof Inode) return value.gfid;
  if (value instanceof Fd) return value.inode.gfid;
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (value instanceof Xdata) return [...value.names()].join(",");
  if (Array.isArray(value)) return `${value.length} entries`;
  // Attributes, a lock, changes: their own fields on one level.
  const parts = Object.entries(value).flatMap(([key, each]) => {
    const text = typeof each === "object" ? undefined : one(each);
    return text === undefined ? [] : [`${key}:${text}`];
  });
  return parts.join(" ");
}

function cut(text: string): string {
  return text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX)}…` : text;
}
