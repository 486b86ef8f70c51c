/** Attributes that are questions: their values are made when somebody asks. */

import { ENODATA, ENOTDIR, FopError, fopError } from "core/errno.ts";
import { type DictValue, intKey, str, Xdata } from "core/xdata.ts";
import { OPEN_FD_COUNT, WRITERS_XATTR } from "core/xdata_keys.ts";
import type { Brick, Place } from "xlators/storage/posix/brick.ts";
import { DirStream } from "xlators/storage/posix/dir_stream.ts";
import { handleName } from "xlators/storage/posix/handle.ts";
import { HIDDEN } from "xlators/storage/posix/names.ts";
import { filePaths, pathOf } from "xlators/storage/posix/paths.ts";
import { cstring, LOCAL_O_DIRECTORY, O_CLOEXEC, sys } from "core/sys/calls.ts";
import { decodeName } from "core/lib/bytes.ts";
import { type Fd, type Gfid, ROOT_GFID } from "core/inode.ts";

/** One path, and all of them. */
const PATH = "glusterfs.gfid2path", ALL_PATHS = "glusterfs.gfidtopath";
const ANCESTRY_PATH = "glusterfs.ancestry.path";
const NODE_UUID = "trusted.glusterfs.node-uuid";
const REAL_FILENAME = "glusterfs.get_real_filename:";
/** How many who write are told. */
const WRITERS_MAX = 64;
/** Entries looked at before others get their turn. */
const SLICE = 2000;

/** Where on which brick a file is. */
export function isPathinfo(name: string): boolean {
  return name === "trusted.glusterfs.pathinfo" || name === "glusterfs.pathinfo";
}

/** True for a name whose value is made, not kept. */
export function isVirtual(name: string): boolean {
  return isPathinfo(name) || name === PATH || name === ALL_PATHS || name === ANCESTRY_PATH ||
    name === NODE_UUID || name === OPEN_FD_COUNT.name || name === WRITERS_XATTR ||
    name.startsWith(REAL_FILENAME);
}

/** The value of a virtual name, asked of `fd` if it is one of an open file. Throws ENODATA if there is none. */
export async function virtualXattr(
  brick: Brick,
  place: Place,
  name: string,
  fd: Fd | undefined,
): Promise<Xdata> {
  if (name.startsWith(REAL_FILENAME)) {
    const found = await realFilename(brick, place, name.slice(REAL_FILENAME.length));
    return single(name, str(found));
  }
  if (name === OPEN_FD_COUNT.name) {
    return single(name, intKey(name, "uint").write(brick.files.count(place.gfid) > 0 ? 1 : 0));
  }
  if (name === WRITERS_XATTR) return single(name, str(writers(brick, place.gfid, fd)));
  return single(name, str(textOf(brick, place, name)));
}

function single(name: string, value: DictValue): Xdata {
  return new Xdata(new Map([[name, value]]));
}

function textOf(brick: Brick, place: Place, name: string): string {
  if (isPathinfo(name)) return pathinfo(brick, place);
  if (name === NODE_UUID) {
    const uuid = brick.options["glusterd-uuid"];
    if (!uuid) throw ENODATA;
    return uuid;
  }
  if (name === ALL_PATHS) {
    if (!brick.options.gfid2path) throw ENODATA;
    if (place.directory) return brick.handles.dirPath(place.gfid);
    const paths = filePaths(brick, place.gfid);
    if (paths.length === 0) throw ENODATA;
    return paths.join(brick.options["gfid2path-separator"]);
  }
  const path = pathOf(brick, place.gfid, place.directory !== undefined);
  if (path === undefined) throw ENODATA;
  return path;
}

// A line each. What a client called itself may hold anything.
function writers(brick: Brick, gfid: Gfid, besides: Fd | undefined): string {
  const lines = new Set<string>();
  for (const { client, pid } of brick.files.openersToWrite(gfid, besides)) {
    lines.add(`${Math.max(pid, 0)} ${client.id.replace(/\p{Cc}/gu, "?")}`);
    if (lines.size === WRITERS_MAX) break;
  }
  return [...lines].join("\n");
}

// The handle stands for a file whose names are not known.
function pathinfo(brick: Brick, place: Place): string {
  const { options } = brick;
  const uuid = options["node-uuid-pathinfo"] ? options["glusterd-uuid"] : undefined;
  let path: string | undefined;
  try {
    path = pathOf(brick, place.gfid, place.directory !== undefined);
  } catch (error) {
    if (!(error instanceof FopError)) throw error;
  }
  path ??= `/${HIDDEN}/${decodeName(handleName(place.gfid).subarray(0, -1))}`;
  return `<POSIX(${brick.path}):${uuid ?? brick.hostname}:${brick.path}${path}>`;
}

// As Samba asks for names without regard to case.
async function realFilename(brick: Brick, place: Place, wanted: string): Promise<string> {
  if (!place.directory) throw ENOTDIR;
  const fd = sys.openat(place.directory.fd, cstring("."), LOCAL_O_DIRECTORY | O_CLOEXEC, 0);
  if (fd < 0) throw fopError(fd);
  try {
    const lower = asciiLower(wanted);
    const stream = new DirStream(fd);
    let seen = 0;
    for (let entry = stream.next(); entry; entry = stream.next()) {
      if (asciiLower(entry.name) === lower && !isOwn(place, entry.name)) return entry.name;
      if (++seen % SLICE === 0) await brick.env.clock.delay(0);
    }
  } finally {
    sys.close(fd);
  }
  throw ENODATA;
}

function isOwn(place: Place, name: string): boolean {
  return name === HIDDEN && place.gfid === ROOT_GFID;
}

// As strcasecmp(3) in the C locale.
function asciiLower(text: string): string {
  return text.replace(/[A-Z]/g, (char) => char.toLowerCase());
}
