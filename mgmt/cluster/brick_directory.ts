/**
 * A brick's directory as the management daemon sees it: whether it may become a brick, and whose it
 * is. It belongs to the volume whose id is in its attribute `trusted.glusterfs.volume-id`.
 */

import { fopError } from "core/errno.ts";
import { type Gfid, gfidFromBytes, gfidToBytes, parseGfid } from "core/inode.ts";
import { cstring, sys } from "core/sys/calls.ts";
import { fitsVolfile } from "core/volfile.ts";
import { Refusal } from "mgmt/cli/managed.ts";
import { mountOf } from "mgmt/cluster/mounts.ts";

/** PATH_MAX and NAME_MAX of Linux, without room for what a brick keeps below its directory. */
const PATH_MAX = 1024, NAME_MAX = 255;
const ENODATA = -61, EOPNOTSUPP = -95;
const VOLUME_ID = "trusted.glusterfs.volume-id";

/** "HOST:/PATH" as a person wrote it, its path without double or last slashes. Throws Refusal. */
export function parseBrick(text: string): { readonly host: string; readonly path: string } {
  const match = /^(\[[0-9a-fA-F:.]+\]|[^:/\s]+):(\/.*)$/s.exec(text);
  if (!match) {
    throw new Refusal(`Wrong brick type: ${text}, use <HOSTNAME>:<export-dir-abs-path>`);
  }
  const host = match[1]!.replace(/^\[|\]$/g, "");
  const parts = match[2]!.split("/").filter((part) => part !== "");
  const path = `/${parts.join("/")}`;
  const wrong = (why: string) => new Refusal(`Cannot use brick ${host}:${path}: ${why}`);
  if (!parts.length) throw wrong("it is the root directory; name a directory below it");
  if (parts.some((part) => part === "." || part === "..")) {
    throw wrong('"." and ".." are not allowed in its path; write the path out');
  }
  // deno-lint-ignore no-control-regex -- that is what must not be in a volfile or a log
  if (/[\0-\x1f\x7f]/.test(path)) throw wrong("its path has control characters");
  // Volfiles separate words by blanks, and a mount asks for the brick by this very text.
  if (/\s/.test(path)) throw wrong("its path has blanks; choose one without");
  if (!fitsVolfile(path)) throw wrong("its path has a backtick, which GlusterFS's programs run");
  const bytes = (part: string) => new TextEncoder().encode(part).length;
  if (bytes(path) > PATH_MAX) throw wrong(`its path is longer than ${PATH_MAX} bytes`);
  if (parts.some((part) => bytes(part) > NAME_MAX)) {
    throw wrong(`a name in its path is longer than ${NAME_MAX} bytes`);
  }
  return { host, path };
}

/** Text form of a brick whose host may be an IPv6 address. */
export interface BrickPlace {
  readonly host: string;
  readonly path: string;
}

/** What must not be overlooked about a directory. */
export interface DirectoryRules {
  /** The daemon's own directory: no brick may be in it. */
  readonly home: string;
  /** Also on the root file system, on a mount point itself, and where a volume's leavings are. */
  readonly force: boolean;
  /** The volume of an id that is on a directory; undefined: it is gone. */
  readonly volumeOf: (id: string) => string | undefined;
}

/**
 * Whether `brick` may become a brick of a new volume; answers whether its directory must be made.
 * Changes nothing. Throws Refusal.
 */
export function checkNewBrick({ host, path }: BrickPlace, rules: DirectoryRules): boolean {
  const text = `${host}:${path}`;
  const found = lstat(path);
  const real = realPath(path);
  if (
    [path, real].some((each) => isWithin(each, rules.home) || isWithin(each, realPath(rules.home)))
  ) {
    throw new Refusal(
      `Brick isn't allowed to be created inside the management daemon's directory: ${text} is in ${rules.home}; ` +
        "choose a directory elsewhere",
    );
  }
  if (found && !found.isDirectory) {
    throw new Refusal(
      `The provided path ${path} which is already present, is not a directory; choose another one`,
    );
  }
  const parent = path.slice(0, path.lastIndexOf("/")) || "/";
  if (!found && !lstat(parent)) {
    throw new Refusal(
      `Failed to create brick directory for brick ${text}. Reason : No such file or directory; make ${parent} first`,
    );
  }
  if (!rules.force) checkFileSystem(text, found ? path : parent, found ? path : undefined);
  checkUnused(real, rules);
  checkAttributes(text, found ? path : parent);
  return !found;
}

/** `path` without links on the way, as far as it is there. Throws what the file system throws. */
export function realPath(path: string): string {
  try {
    return Deno.realPathSync(path);
  } catch (error) {
    const at = path.lastIndexOf("/");
    if (!(error instanceof Deno.errors.NotFound) || at <= 0) throw error;
    return `${realPath(path.slice(0, at))}${path.slice(at)}`;
  }
}

/** Whether `path` is `directory` or below it. */
export function isWithin(path: string, directory: string): boolean {
  return `${path}/`.startsWith(`${directory}/`);
}

function lstat(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.lstatSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    if (error instanceof Deno.errors.NotADirectory) {
      throw new Refusal(
        `Failed to create brick directory ${path}. Reason : Not a directory; a part of its path is a file`,
      );
    }
    throw new Refusal(`Cannot look at ${path}: ${(error as Error).message}`);
  }
}

function checkFileSystem(text: string, existing: string, path: string | undefined): void {
  const instead = "Or use 'force' at the end of the command if you want to override this behavior.";
  if (path !== undefined && mountOf(path)?.point === path) {
    throw new Refusal(
      `The brick ${text} is a mount point. Please create a sub-directory under the mount point and use that as the brick directory. ${instead}`,
    );
  }
  if (Deno.lstatSync(existing).dev === Deno.lstatSync("/").dev) {
    throw new Refusal(
      `The brick ${text} is being created in the root partition. It is recommended that you don't use the system's root partition for storage backend. ${instead}`,
    );
  }
}

// A brick within a brick would show one volume's files in another. `force` takes over what a volume
// that is gone left behind, never what is above, nor what a volume has, by whatever links.
function checkUnused(path: string, { force, volumeOf }: DirectoryRules): void {
  for (let at = path; at !== ""; at = at.slice(0, at.lastIndexOf("/"))) {
    const own = readVolumeId(at);
    if (own === undefined) continue;
    const volume = volumeOf(own);
    if (at === path && volume !== undefined) throw new Refusal(notAvailable(path, volume));
    if (at === path && force) continue;
    throw new Refusal(
      at === path
        ? `${path} is already part of a volume (id ${own}); choose another directory, use 'force' if that volume is gone, ` +
          "or take the volume over with --adopt"
        : `parent directory ${at} is already part of a volume; choose a directory outside of it`,
    );
  }
}

/** What to say of a brick that `volume` has: the first sentence is GlusterFS's. */
export function notAvailable(brick: string, volume: string): string {
  return `Brick: ${brick} not available. Brick may be containing or be contained by an existing brick: ` +
    `volume ${volume} uses it; choose another directory`;
}

function checkAttributes(text: string, existing: string): void {
  const name = cstring(attributeName("trusted.glusterfs.test"));
  const result = sys.lsetxattr(cstring(existing), name, cstring("working"), 8, 0);
  if (result === EOPNOTSUPP) {
    throw new Refusal(
      `Glusterfs is not supported on brick: ${text}. Setting extended attributes failed, reason: Operation not supported; ` +
        "use a file system that has them (XFS, ext4, btrfs)",
    );
  }
  if (result < 0) {
    throw new Refusal(`Cannot use brick ${text}: ${errorText(result)} on ${existing}`);
  }
  sys.lremovexattr(cstring(existing), name);
}

/** Makes the directory, if `make`, and marks it as a brick of volume `id`. Throws Refusal. */
export function takeBrick({ host, path }: BrickPlace, id: string, make: boolean): void {
  const failed = (why: string) =>
    new Refusal(`Failed to create brick directory for brick ${host}:${path}. Reason : ${why}`);
  if (make) {
    const AT_FDCWD = -100, EEXIST = -17;
    const result = sys.mkdirat(AT_FDCWD, cstring(path), 0o755);
    if (result < 0 && result !== EEXIST) throw failed(errorText(result));
  }
  const value = new Uint8Array(16);
  gfidToBytes(parseGfid(id)!, value);
  const result = sys.lsetxattr(
    cstring(path),
    cstring(attributeName(VOLUME_ID)),
    value,
    value.length,
    0,
  );
  if (result < 0) throw failed(errorText(result));
}

/** Undoes `takeBrick`: a brick of another volume is left alone, a directory with something in it, too. */
export function leaveBrick(path: string, id: string, made: boolean): void {
  if (readVolumeId(path) === id) {
    sys.lremovexattr(cstring(path), cstring(attributeName(VOLUME_ID)));
  }
  if (!made) return;
  const AT_FDCWD = -100, AT_REMOVEDIR = 0x200;
  sys.unlinkat(AT_FDCWD, cstring(path), AT_REMOVEDIR);
}

/** Id of the volume that the directory belongs to; undefined: of none, or there is no such directory. */
export function readVolumeId(path: string): string | undefined {
  return readId(path || "/", VOLUME_ID);
}

/** Whether there is a directory that belongs to no volume. */
export function isNobodys(path: string): boolean {
  return lstat(path)?.isDirectory === true && readVolumeId(path) === undefined;
}

/** The gfid of what is at that path, below a brick's directory; undefined: it has none, or is not there. */
export function readGfid(path: string): Gfid | undefined {
  return readId(path, "trusted.gfid");
}

function readId(path: string, name: string): Gfid | undefined {
  const value = new Uint8Array(16);
  const size = sys.lgetxattr(cstring(path), cstring(attributeName(name)), value, value.length);
  return size === 16 ? gfidFromBytes(value) : undefined;
}

/** Whether a brick can be started: it is there, and its volume's. Throws Refusal. */
export function checkOwnBrick({ host, path }: BrickPlace, volume: string, id: string): void {
  const found = lstat(path);
  if (!found?.isDirectory) {
    throw new Refusal(
      `Failed to find brick directory ${path} for volume ${volume}. Reason : No such file or directory; ` +
        `is the disk of ${host}:${path} mounted?`,
    );
  }
  const own = readVolumeId(path);
  if (own === id) return;
  throw new Refusal(
    own === undefined
      ? `Failed to get extended attribute trusted.glusterfs.volume-id for brick dir ${path}. Reason : No data available; ` +
        "is its disk mounted? An empty directory in its place must not be filled"
      : `Volume id mismatch for brick ${host}:${path}. Expected volume id ${id}, volume id ${own} found`,
  );
}

/** Without root `trusted.*` is closed to us; bricks then keep such names under `user.*`. */
export function keepsUserAttributes(): boolean {
  return Deno.uid() !== 0;
}

function attributeName(name: string): string {
  return keepsUserAttributes() ? `user.${name}` : name;
}

function errorText(result: number): string {
  return result === ENODATA ? "No data available" : fopError(result).message.replace(/^E\w+: /, "");
}
