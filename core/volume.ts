/**
 * A volume by paths, over any graph: what gateways, commands and tests use in the place of
 * libgfapi. Every method is one or a few fops; caching, if any, is a layer's in the graph.
 *
 * ```ts
 * import { ROOT } from "core/call.ts";
 * import { InodeTable } from "core/inode.ts";
 * import { Volume } from "core/volume.ts";
 * import { MemoryBrick } from "tests/fakes/memory_brick.ts";
 * import { node, testEnv } from "tests/fakes/node.ts";
 *
 * const inodes = new InodeTable();
 * const top = new MemoryBrick(node("brick", [], { inodes }));
 * const volume = new Volume({ top, inodes, env: testEnv(), call: ROOT });
 * await volume.mkdir("/images/base", { parents: true });
 * {
 *   await using file = await volume.open("/images/base/disk", { write: true, create: true });
 *   await file.write(0, new TextEncoder().encode("hello"));
 * }
 * for await (const { name, stat } of volume.readDir("/images/base")) {
 *   if (name !== "disk" || stat.size !== 5) throw new Error("never");
 * }
 * ```
 */

import type { Call, LkOwner } from "core/call.ts";
import type { Env } from "core/env.ts";
import {
  EBUSY,
  EEXIST,
  EFBIG,
  EINVAL,
  EISDIR,
  ENAMETOOLONG,
  ENOENT,
  ENOTDIR,
  ESTALE,
} from "core/errno.ts";
import {
  type AttrChanges,
  O_APPEND,
  O_CREAT,
  O_DIRECT,
  O_EXCL,
  O_RDWR,
  O_SYNC,
  O_TRUNC,
  O_WRONLY,
  type Statfs,
  type XattrReply,
} from "core/fops.ts";
import { type Iatt, isDirectory, isSymlink, type Timespec } from "core/iatt.ts";
import type { Gfid, Inode, InodeTable } from "core/inode.ts";
import { encodeName, toHex } from "core/lib/bytes.ts";
import { type ChunkOptions, VolumeFile, xattrValue } from "core/volume_file.ts";
import { namesOf, TARGET_BYTES_MAX, walk, type Walked } from "core/volume_path.ts";
import { ptr, Xdata } from "core/xdata.ts";
import { GFID_REQ } from "core/xdata_keys.ts";
import type { Xlator } from "core/xlator.ts";

/** What a volume needs to work. */
export interface VolumeParts {
  /** Top of a started graph. */
  readonly top: Xlator;
  /** The graph's inodes. */
  readonly inodes: InodeTable;
  readonly env: Env;
  /** For whom all is done: layers below decide what that one may do. */
  readonly call: Call;
}

/** How a file is opened; to read if nothing is said. */
export interface OpenOptions {
  readonly read?: boolean;
  readonly write?: boolean;
  /** Every write goes to the end. Implies `write`. */
  readonly append?: boolean;
  /** Empties the file. Implies `write`. */
  readonly truncate?: boolean;
  /** Makes the file if it is not there. */
  readonly create?: boolean;
  /** Makes the file; EEXIST if it is there. */
  readonly exclusive?: boolean;
  /** Permission bits of a new file; 0o644 by default. */
  readonly mode?: number;
  /** Past the brick's page cache. */
  readonly direct?: boolean;
  /** A write is answered when it is on stable storage. */
  readonly sync?: boolean;
}

/** An entry of a directory. */
export interface VolumeEntry {
  readonly name: string;
  readonly stat: Iatt;
}

/** Reply size that a listing asks for, in bytes. */
const LISTING_BYTES = 131_072;
/** What `readFile` reads at most if nobody says more. */
const READ_FILE_BYTES_MAX = 256 << 20;
const XATTR_CREATE = 1, XATTR_REPLACE = 2;

/** Paths begin at the volume's root, with or without a slash. Failures are `FopError`s. */
export class Volume {
  readonly #parts: VolumeParts;
  readonly #top: Xlator;
  readonly #call: Call;

  constructor(parts: VolumeParts) {
    this.#parts = parts;
    this.#top = parts.top;
    this.#call = parts.call;
  }

  /** The same volume for somebody else. */
  as(call: Call): Volume {
    return new Volume({ ...this.#parts, call });
  }

  /** The inode and attributes at `path`; a symbolic link in the last place is followed. */
  async lookup(
    path: string,
    { follow = true } = {},
  ): Promise<{ inode: Inode; stat: Iatt }> {
    const { found } = await walk(this.#parts, path, follow);
    if (!found) throw ENOENT;
    return found;
  }

  // Where a name was given to another inode after it was looked up (somebody renamed over it), both
  // are done once more, as libgfapi does.
  async #again<T>(act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (error) {
      if (!ESTALE.matches(error)) throw error;
      return await act();
    }
  }

  // What `act` answers for the inode at `path`.
  #on<T>(path: string, act: (inode: Inode) => Promise<T>, follow = true): Promise<T> {
    return this.#again(async () => await act((await this.lookup(path, { follow })).inode));
  }

  /** Attributes of what `path` leads to. */
  async stat(path: string): Promise<Iatt> {
    return (await this.lookup(path)).stat;
  }

  /** Attributes of `path` itself, be it a symbolic link. */
  async lstat(path: string): Promise<Iatt> {
    return (await this.lookup(path, { follow: false })).stat;
  }

  /** True if `path` leads to something. */
  async exists(path: string): Promise<boolean> {
    try {
      await this.stat(path);
      return true;
    } catch (error) {
      if (ENOENT.matches(error) || ENOTDIR.matches(error)) return false;
      throw error;
    }
  }

  /** Opens a file, or makes one. Close it, or hold it in `await using`. */
  open(path: string, options: OpenOptions = {}): Promise<VolumeFile> {
    return this.#again(() => this.#openOnce(path, options));
  }

  async #openOnce(path: string, options: OpenOptions): Promise<VolumeFile> {
    const exclusive = options.exclusive ?? false;
    const flags = openFlags(options);
    const { parent, name, found } = await walk(this.#parts, path, !exclusive);
    if (found && exclusive) throw EEXIST;
    if (found) {
      if (isDirectory(found.stat)) throw EISDIR;
      const { fd } = await this.#top.open(this.#call, { inode: found.inode, flags });
      return this.#file(fd);
    }
    if (!(flags & O_CREAT)) throw ENOENT;
    const mode = options.mode ?? 0o644;
    const args = { parent, name, flags, mode, umask: 0, xdata: this.#gfidReq() };
    const { fd } = await this.#top.create(this.#call, args);
    return this.#file(fd);
  }

  #file(fd: ConstructorParameters<typeof VolumeFile>[1]): VolumeFile {
    const owner = this.#call.lkOwner || toHex(this.#parts.env.random.bytes(8)) as LkOwner;
    return new VolumeFile(this.#top, fd, this.#call, owner);
  }

  #gfidReq(): Xdata {
    const gfid = this.#parts.env.random.uuid() as Gfid;
    return new Xdata(new Map([[GFID_REQ.name, GFID_REQ.write(gfid)]]));
  }

  // The place for a new name. Throws EEXIST if something is there.
  async #vacant(path: string): Promise<Walked> {
    const walked = await walk(this.#parts, path, false);
    if (walked.found) throw EEXIST;
    return walked;
  }

  // A name that is there, and its directory. The root, "." and ".." are no names.
  async #named(path: string): Promise<Required<Walked> & { found: NonNullable<Walked["found"]> }> {
    const { parent, name, found } = await walk(this.#parts, path, false);
    if (!found) throw ENOENT;
    if (name === "") throw found.inode === this.#parts.inodes.root ? EBUSY : EINVAL;
    return { parent, name, found };
  }

  /** Makes a directory; with `parents`, also those above, and none is no failure if it is there. */
  async mkdir(path: string, { mode = 0o755, parents = false } = {}): Promise<void> {
    if (!parents) {
      const { parent, name } = await this.#vacant(path);
      return await this.#mkdirIn(parent, name, mode);
    }
    const names = namesOf(path);
    for (let count = 1; count <= names.length; count++) {
      const part = names.slice(0, count).join("/");
      const { parent, name, found } = await walk(this.#parts, part, true);
      if (found && !isDirectory(found.stat)) throw count === names.length ? EEXIST : ENOTDIR;
      if (found) continue;
      await this.#mkdirIn(parent, name, mode).catch(async (error) => {
        // Somebody else may have been quicker.
        if (!EEXIST.matches(error) || !isDirectory(await this.stat(part))) throw error;
      });
    }
  }

  async #mkdirIn(parent: Inode, name: string, mode: number): Promise<void> {
    const args = { parent, name, mode, umask: 0, xdata: this.#gfidReq() };
    await this.#top.mkdir(this.#call, args);
  }

  /** Removes an empty directory. */
  async rmdir(path: string): Promise<void> {
    const { parent, name } = await this.#named(path);
    await this.#top.rmdir(this.#call, { parent, name, flags: 0 });
  }

  /** Removes a name of a file or symbolic link. */
  async unlink(path: string): Promise<void> {
    const { parent, name, found } = await this.#named(path);
    if (isDirectory(found.stat)) throw EISDIR;
    await this.#top.unlink(this.#call, { parent, name, flags: 0 });
  }

  /** Renames; a file, or an empty directory, in the way is replaced. */
  async rename(from: string, to: string): Promise<void> {
    const { parent: oldParent, name: oldName } = await this.#named(from);
    const { parent: newParent, name: newName } = await walk(this.#parts, to, false);
    if (newName === "") throw EBUSY;
    await this.#top.rename(this.#call, { oldParent, oldName, newParent, newName });
  }

  /** Gives a file one more name; a symbolic link is linked itself. */
  async link(path: string, name: string): Promise<void> {
    const { found: { inode } } = await this.#named(path);
    const { parent, name: newName } = await this.#vacant(name);
    await this.#top.link(this.#call, { inode, parent, name: newName });
  }

  /** Makes a symbolic link that holds `target`, which is not looked at. */
  async symlink(target: string, path: string): Promise<void> {
    if (target.includes("\0")) throw EINVAL;
    if (encodeName(target).length >= TARGET_BYTES_MAX) throw ENAMETOOLONG;
    const { parent, name } = await this.#vacant(path);
    const args = { parent, name, target, umask: 0, xdata: this.#gfidReq() };
    await this.#top.symlink(this.#call, args);
  }

  /** Makes a fifo, socket or device; `rdev` as the kernel encodes it. The mode is the mode's, type included. */
  async mknod(path: string, mode: number, rdev: number): Promise<void> {
    const { parent, name } = await this.#vacant(path);
    const args = { parent, name, mode, rdev, umask: 0, xdata: this.#gfidReq() };
    await this.#top.mknod(this.#call, args);
  }

  /** Changes several attributes at once; a symbolic link is not followed. */
  async change(path: string, changes: AttrChanges): Promise<void> {
    await this.#setattr(path, changes, false);
  }

  /** What a symbolic link holds. Throws EINVAL if it is none. */
  async readlink(path: string): Promise<string> {
    return await this.#again(async () => {
      const { inode, stat } = await this.lookup(path, { follow: false });
      if (!isSymlink(stat)) throw EINVAL;
      return (await this.#top.readlink(this.#call, { inode, size: TARGET_BYTES_MAX })).target;
    });
  }

  /** The entries of a directory but `.` and `..`, in the order of the bricks. */
  async *readDir(path: string): AsyncGenerator<VolumeEntry> {
    const { fd } = await this.#on(path, (inode) => this.#top.opendir(this.#call, { inode }));
    const { inode } = fd;
    try {
      let offset = 0n;
      for (let eof = false; !eof;) {
        const args = { fd, offset, size: LISTING_BYTES };
        const reply = await this.#top.readdirp(this.#call, args);
        for (const { name, stat } of reply.entries) {
          if (name === "." || name === "..") continue;
          const known = stat ?? await this.#statIn(inode, name);
          if (known) yield { name, stat: known };
        }
        offset = reply.entries.at(-1)?.offset ?? offset;
        eof = reply.eof || !reply.entries.length;
      }
    } finally {
      await this.#top.releasedir(this.#call, { fd });
    }
  }

  // Attributes that the listing did not have; undefined if the name has gone since.
  async #statIn(parent: Inode, name: string): Promise<Iatt | undefined> {
    try {
      return (await this.#top.lookup(this.#call, { parent, name })).stat;
    } catch (error) {
      if (ENOENT.matches(error)) return undefined;
      throw error;
    }
  }

  /** Changes permission bits. */
  async chmod(path: string, mode: number): Promise<void> {
    await this.#setattr(path, { mode });
  }

  /** Changes owner and group; undefined leaves one as it is. A symbolic link is not followed. */
  async chown(path: string, uid: number | undefined, gid: number | undefined): Promise<void> {
    await this.#setattr(path, { uid, gid }, false);
  }

  /** Changes the times of last access and change. */
  async utimes(path: string, atime: Timespec | "now", mtime: Timespec | "now"): Promise<void> {
    await this.#setattr(path, { atime, mtime });
  }

  async #setattr(path: string, changes: AttrChanges, follow = true): Promise<void> {
    await this.#on(path, (inode) => this.#top.setattr(this.#call, { inode, changes }), follow);
  }

  /** Fails with EACCES unless the caller may do `mask`: R_OK 4, W_OK 2, X_OK 1. */
  async access(path: string, mask: number): Promise<void> {
    await this.#on(path, (inode) => this.#top.access(this.#call, { inode, mask }));
  }

  /** Cuts a file, or grows it with zeros. */
  async truncate(path: string, size: number): Promise<void> {
    await this.#on(path, (inode) => this.#top.truncate(this.#call, { inode, offset: size }));
  }

  /** An extended attribute. Throws ENODATA if there is none of that name. */
  async getXattr(path: string, name: string): Promise<Uint8Array> {
    if (name === "") throw EINVAL;
    const { xattrs } = await this.#getxattr(path, name);
    return xattrValue(xattrs, name);
  }

  /** Names of all extended attributes, sorted. */
  async listXattrs(path: string): Promise<string[]> {
    const { xattrs } = await this.#getxattr(path, "");
    return [...xattrs?.names() ?? []].sort();
  }

  #getxattr(path: string, name: string): Promise<XattrReply> {
    return this.#on(path, (inode) => this.#top.getxattr(this.#call, { inode, name }));
  }

  /** Sets an extended attribute; `create` fails if it is there, `replace` if it is not. */
  async setXattr(
    path: string,
    name: string,
    value: Uint8Array,
    { create = false, replace = false } = {},
  ): Promise<void> {
    if (name === "" || name.includes("\0")) throw EINVAL;
    const flags = (create ? XATTR_CREATE : 0) | (replace ? XATTR_REPLACE : 0);
    const xattrs = Xdata.of([[name, ptr(value)]]);
    await this.#on(path, (inode) => this.#top.setxattr(this.#call, { inode, xattrs, flags }));
  }

  /** Removes an extended attribute. Throws ENODATA if there is none of that name. */
  async removeXattr(path: string, name: string): Promise<void> {
    if (name === "") throw EINVAL;
    await this.#on(path, (inode) => this.#top.removexattr(this.#call, { inode, name }));
  }

  /** Space and inodes, as the directory's bricks tell. */
  async statfs(path = "/"): Promise<Statfs> {
    return (await this.#on(path, (inode) => this.#top.statfs(this.#call, { inode }))).statfs;
  }

  /**
   * What `act` answers with an open file, which is closed then. If both fail, what `act` threw is
   * thrown: `await using` would wrap the two in a SuppressedError.
   */
  async using<T>(
    path: string,
    options: OpenOptions,
    act: (file: VolumeFile) => Promise<T>,
  ): Promise<T> {
    const file = await this.open(path, options);
    let answer: T;
    try {
      answer = await act(file);
    } catch (error) {
      await file.abandon();
      throw error;
    }
    await file.close();
    return answer;
  }

  /** A whole file. Throws EFBIG if it has more than `max` bytes. */
  async readFile(path: string, { max = READ_FILE_BYTES_MAX } = {}): Promise<Uint8Array> {
    return await this.using(path, {}, async (file) => {
      const { size } = await file.stat();
      if (size > max) throw EFBIG;
      return await file.read(0, size);
    });
  }

  /** Makes or replaces a file's content, and answers how many bytes it has. */
  async writeFile(
    path: string,
    data: Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
    options: Pick<OpenOptions, "mode" | "exclusive"> & Omit<ChunkOptions, "size" | "offset"> = {},
  ): Promise<number> {
    const how = { ...options, write: true, create: true, truncate: true };
    const chunks = data instanceof Uint8Array ? [data] : data;
    return await this.using(path, how, (file) => file.writeFrom(chunks, options));
  }

  /** A file's content, or a part, as a stream that reads ahead a few chunks. */
  readStream(path: string, options: ChunkOptions = {}): ReadableStream<Uint8Array> {
    return ReadableStream.from(this.#chunks(path, options));
  }

  async *#chunks(path: string, options: ChunkOptions): AsyncGenerator<Uint8Array> {
    const file = await this.open(path);
    try {
      yield* file.chunks(options);
    } catch (error) {
      await file.abandon();
      throw error;
    } finally {
      await file.close();
    }
  }
}

function openFlags(options: OpenOptions): number {
  const { append = false, truncate = false, create = false, exclusive = false } = options;
  const write = options.write || append || truncate;
  const access = !write ? 0 : options.read ? O_RDWR : O_WRONLY;
  return access |
    (append ? O_APPEND : 0) |
    (truncate ? O_TRUNC : 0) |
    (create || exclusive ? O_CREAT : 0) |
    (exclusive ? O_EXCL : 0) |
    (options.direct ? O_DIRECT : 0) |
    (options.sync ? O_SYNC : 0);
}
