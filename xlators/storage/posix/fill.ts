/** What a request's xdata asks for beside the answer itself (`posix_xattr_fill`). */

import { Derived } from "core/derived.ts";
import type { FopError } from "core/errno.ts";
import type { Iatt } from "core/iatt.ts";
import { isDirectory, isRegular, isSymlink } from "core/iatt.ts";
import type { Gfid } from "core/inode.ts";
import { type DictValue, ptr, str, Xdata } from "core/xdata.ts";
import {
  CONTENT,
  CONTENT_LIMIT,
  ENTRYLK_COUNT,
  GET_SIZE,
  GFID_REQ,
  IATT_IN_XDATA,
  INODELK_COUNT,
  INODELK_DOM_COUNT,
  INTERNAL_FOP,
  LINK_COUNT,
  LIST_XATTR,
  MODE_IN_XDATA,
  MULTI_DOM_LK_COUNT,
  OPEN_ACTIVE_FD_COUNT,
  OPEN_FD_COUNT,
  PARENT_ENTRYLK,
  POSIXLK_COUNT,
  PREOP_PARENT_KEY,
  UNLINKED_LOOKUP,
} from "core/xdata_keys.ts";
import type { Brick } from "xlators/storage/posix/brick.ts";
import { GFID_XATTR } from "xlators/storage/posix/handle.ts";
import { GFID2PATH } from "xlators/storage/posix/names.ts";
import { VOLUME_ID_XATTR } from "xlators/storage/posix/open_brick.ts";
import { isPattern, type NamePattern, namePattern } from "core/lib/name_pattern.ts";
import type { Target } from "xlators/storage/posix/xattr_space.ts";
import { pathOf } from "xlators/storage/posix/paths.ts";

/** Keys that other layers answer, or that only steer a fop. */
const NOT_OURS = new Set<string>([
  GFID_REQ.name,
  INTERNAL_FOP.name,
  ENTRYLK_COUNT.name,
  INODELK_COUNT.name,
  POSIXLK_COUNT.name,
  PARENT_ENTRYLK.name,
  INODELK_DOM_COUNT.name,
  MULTI_DOM_LK_COUNT.name,
  LINK_COUNT.name,
  UNLINKED_LOOKUP.name,
  PREOP_PARENT_KEY.name,
  "gfidless-lookup",
  "umask",
  "xattrs-only",
]);

const ANCESTRY = "glusterfs.ancestry.path";

/** Keys that are answered without a look at attributes. */
const COUNTS = new Set<string>([
  OPEN_FD_COUNT.name,
  OPEN_ACTIVE_FD_COUNT.name,
  GET_SIZE.name,
  MODE_IN_XDATA.name,
  IATT_IN_XDATA.name,
  ANCESTRY,
]);

/** Patterns of one request that are looked at, and their length: clients ask for two or three short ones. */
const PATTERNS_MAX = 64, PATTERN_MAX = 255;

/** Attributes of a brick's own that a list never shows: identity, and other daemons' marks. */
const UNLISTED = [
  GFID_XATTR,
  VOLUME_ID_XATTR,
  `${GFID2PATH}*`,
  "security.selinux",
  "trusted.glusterfs.quota.*",
  "trusted.glusterfs.*.xtime",
  "*.glusterfs.*.stime",
  "*.glusterfs.*.xtime",
  "*.glusterfs.lockinfo",
  "*.glusterfs.*.entry_stime",
  "*.glusterfs.volume-mark.*",
  "trusted.SGI_*",
  "trusted.glusterfs.test",
].map(namePattern);

function isUnlisted(name: string): boolean {
  return UNLISTED.some((pattern) => pattern.test(name));
}

/** A file that is asked about. */
export interface Subject {
  readonly gfid: Gfid;
  readonly target: Target;
  readonly stat: Iatt;
}

/** What a request asks for, by how it is answered. */
interface Wanted {
  /** For `answerCount`. */
  readonly counts: readonly string[];
  readonly names: ReadonlySet<string>;
  readonly patterns: readonly NamePattern[];
  readonly list: boolean;
}

// All clients of a kind ask for the same.
const wanted = new Derived((request): Wanted => {
  const counts: string[] = [], names = new Set<string>(), patterns: string[] = [];
  for (const name of request?.names() ?? []) {
    if (NOT_OURS.has(name) || name === CONTENT.name || name === LIST_XATTR.name) continue;
    if (COUNTS.has(name)) counts.push(name);
    else if (!isPattern(name)) names.add(name);
    else if (name.length <= PATTERN_MAX) patterns.push(name);
  }
  return {
    counts,
    names,
    patterns: patterns.slice(0, PATTERNS_MAX).map(namePattern),
    list: request?.has(LIST_XATTR) ?? false,
  };
});

/** Gathers answers; undefined if nothing was asked or nothing found. */
export function fill(
  brick: Brick,
  request: Xdata | undefined,
  subject: Subject,
): Xdata | undefined {
  if (!request || request.size === 0) return undefined;
  const asked = wanted.of(request), { counts, names, patterns, list } = asked;
  const answers = new Map<string, DictValue>();
  for (const key of counts) answerCount(brick, key, subject, answers);
  if (names.size || patterns.length || list) {
    for (const name of listNames(brick, subject.target)) {
      if (isWanted(asked, name)) addXattr(brick, name, subject, answers);
    }
  }
  return answers.size ? new Xdata(answers) : undefined;
}

function isWanted({ names, patterns, list }: Wanted, name: string): boolean {
  if (names.has(name)) return true;
  for (const pattern of patterns) if (pattern.test(name)) return true;
  return list && !isUnlisted(name);
}

function answerCount(
  brick: Brick,
  key: string,
  { gfid, stat }: Subject,
  answers: Map<string, DictValue>,
): void {
  switch (key) {
    case OPEN_FD_COUNT.name:
      answers.set(key, OPEN_FD_COUNT.write(brick.files.count(gfid)));
      return;
    case OPEN_ACTIVE_FD_COUNT.name:
      answers.set(key, OPEN_ACTIVE_FD_COUNT.write(brick.files.writers(gfid)));
      return;
    case GET_SIZE.name:
      if (isRegular(stat)) answers.set(key, GET_SIZE.write(stat.size));
      return;
    case MODE_IN_XDATA.name:
      answers.set(key, MODE_IN_XDATA.write(stat.mode));
      return;
    case IATT_IN_XDATA.name:
      answers.set(key, IATT_IN_XDATA.write(stat));
      return;
    case ANCESTRY: {
      const path = pathOf(brick, gfid, isDirectory(stat));
      if (path !== undefined) answers.set(key, str(path));
      return;
    }
  }
}

// A file without permission to list, or gone in between, has no names to tell.
function listNames(brick: Brick, target: Target): string[] {
  try {
    return brick.xattrs.list(target);
  } catch (error) {
    brick.env.log.debug("cannot list attributes", { error: (error as FopError).code });
    return [];
  }
}

function addXattr(
  brick: Brick,
  name: string,
  subject: Subject,
  answers: Map<string, DictValue>,
): void {
  if (answers.has(name)) return;
  const value = brick.xattrs.get(subject.target, name);
  if (typeof value !== "number") answers.set(name, ptr(value));
}

/** How much of a file's content a lookup wants: its size if that is within the limit; undefined: none. */
export function wantedContent(request: Xdata | undefined, stat: Iatt): number | undefined {
  if (!request?.has(CONTENT.name) || !isRegular(stat) || isSymlink(stat)) return undefined;
  const limit = request.get(CONTENT_LIMIT);
  return limit !== undefined && limit > 0 && stat.size <= Math.min(limit, CONTENT_MAX)
    ? stat.size
    : undefined;
}
// A peer does not choose our memory.
const CONTENT_MAX = 1 << 20;
