/** What each fop answers for an inode of the tree. What would change something but a disk that may be written is refused. */

import type { Call } from "core/call.ts";
import {
  EACCES,
  EFBIG,
  EINVAL,
  EISDIR,
  ENODATA,
  ENOENT,
  ENOTDIR,
  EOPNOTSUPP,
  EROFS,
} from "core/errno.ts";
import {
  type Args,
  type DirentPlus,
  DONE,
  type FopName,
  FOPS,
  O_ACCMODE,
  O_TRUNC,
  type Reply,
} from "core/fops.ts";
import { type Iatt, isDirectory } from "core/iatt.ts";
import { Fd, type Inode, type InodeTable } from "core/inode.ts";
import { allDone } from "core/lib/all_done.ts";
import type { Xlator } from "core/xlator.ts";
import { inoOf, kindGfid } from "xlators/features/qcow2/gfids.ts";
import { isDisk, isFolder, type Place } from "xlators/features/qcow2/places.ts";
import type { Entry, Tree } from "xlators/features/qcow2/tree.ts";
import type { Writer, Writers } from "xlators/features/qcow2/writers.ts";

const R_OK = 4, W_OK = 2;
const READ_MAX = 256 << 20;
const DT_DIR = 4, DT_REG = 8;

/** What is open in the tree. */
class TreeFd extends Fd {
  constructor(
    inode: Inode,
    flags: number,
    readonly content: {
      /** Of a disk that was opened for writing. */
      readonly writer?: Writer;
      /** Of a file that is no disk, as it was when it was opened. */
      readonly text?: Uint8Array<ArrayBuffer>;
      /** Of a directory that stands for one of the volume: that one. */
      readonly real?: Fd;
      /** Of other directories: what they held when they were opened. */
      readonly entries?: readonly Entry[];
    },
  ) {
    super(inode, flags);
  }
}

/** What the fops work with. */
export interface FopParts {
  readonly child: Xlator;
  readonly inodes: InodeTable;
  readonly tree: Tree;
  /** The inode of a place, known as that from now on. */
  readonly inodeOf: (place: Place) => Inode;
  /** Name of the tree's top in the root, where it is not to be found once more. */
  readonly topName: () => string;
  readonly writers: Writers;
  /** Whether disks may be written. */
  readonly mayWrite: () => boolean;
}

/** See the head of this file. */
export class TreeFops {
  readonly #parts: FopParts;
  readonly #tree: Tree;

  constructor(parts: FopParts) {
    this.#parts = parts;
    this.#tree = parts.tree;
  }

  /** The answer to a fop on `inode`, which is at `place`. */
  async answer(
    fop: FopName,
    call: Call,
    args: unknown,
    inode: Inode,
    place: Place,
  ): Promise<unknown> {
    const { fd } = args as { fd?: Fd };
    const writer = fd instanceof TreeFd ? fd.content.writer : undefined;
    const written = writer && await this.#write(fop, args, writer);
    if (written) return written;
    switch (fop) {
      case "lookup":
        return await this.#lookup(call, args as Args<"lookup">, inode, place);
      case "stat":
      case "fstat":
        return { stat: await this.#tree.stat(call, place, inode.gfid) };
      case "open":
        return await this.#open(call, (args as Args<"open">).flags, inode, place);
      case "opendir":
        return await this.#opendir(call, inode, place);
      case "readdir":
      case "readdirp":
        return await this.#list(call, args as Args<"readdirp">, place);
      case "readv":
        return await this.#read(call, args as Args<"readv">, place);
      case "seek": {
        const { offset, what } = args as Args<"seek">;
        if (!isDisk(place)) throw EOPNOTSUPP;
        if (!(Number.isSafeInteger(offset) && offset >= 0)) throw EINVAL;
        return { offset: await this.#tree.seek(call, place, offset, what) };
      }
      case "releasedir": {
        const { fd } = args as Args<"releasedir">;
        const real = fd instanceof TreeFd ? fd.content.real : undefined;
        return real ? await this.#parts.child.releasedir(call, { fd: real }) : DONE;
      }
      case "access":
        return await this.#access(call, (args as Args<"access">).mask, place);
      case "getxattr":
      case "fgetxattr":
        if ((args as Args<"getxattr">).name !== "") throw ENODATA;
        return { xattrs: undefined };
      case "statfs":
        return await this.#parts.child.statfs(call, { inode: this.#parts.inodes.root });
      case "fsync":
        return { pre: undefined, post: undefined };
      case "lk": {
        // Nobody can change what is locked: nobody is in the way.
        const { lock, cmd } = args as Args<"lk">;
        return { lock: cmd === "get" ? { ...lock, type: "unlock" } : lock };
      }
      default:
        if (FOPS[fop].kind === "handle" || FOPS[fop].kind === "lock") return DONE;
        throw FOPS[fop].kind === "modify" ? EROFS : EOPNOTSUPP;
    }
  }

  // Undefined: it is no fop that writes.
  async #write(fop: FopName, args: unknown, writer: Writer): Promise<unknown> {
    const { editor } = writer;
    const nothing = { pre: undefined, post: undefined };
    switch (fop) {
      case "writev": {
        const { offset, data } = args as Args<"writev">;
        if (!(Number.isSafeInteger(offset) && offset >= 0)) throw EINVAL;
        if (offset + data.length > editor.image.disk.size) throw EFBIG;
        // A view into what was received, whatever it lies in.
        await editor.write(offset, data as Uint8Array<ArrayBuffer>);
        return nothing;
      }
      case "discard":
      case "zerofill": {
        const { offset, size } = args as Args<"discard">;
        if (!(Number.isSafeInteger(offset) && offset >= 0 && size > 0)) throw EINVAL;
        const length = Math.min(size, editor.image.disk.size - offset);
        if (length <= 0) throw EFBIG;
        await (fop === "discard" ? editor.discard(offset, length) : editor.zero(offset, length));
        return nothing;
      }
      case "fsync":
      case "flush":
        await editor.flush();
        return fop === "fsync" ? nothing : DONE;
      case "release":
        await this.#parts.writers.close(writer);
        return DONE;
      default:
        return undefined;
    }
  }

  async #lookup(
    call: Call,
    { parent, name }: Args<"lookup">,
    inode: Inode,
    place: Place,
  ): Promise<Reply<"lookup">> {
    if (!parent || name === "" || name === ".") {
      return { stat: await this.#tree.stat(call, place, inode.gfid), postParent: undefined };
    }
    if (this.#hides(place, name)) throw ENOENT;
    const { place: found, stat } = await this.#tree.lookup(call, place, name);
    this.#parts.inodeOf(found);
    return { stat, postParent: undefined };
  }

  // A directory of the volume with the name of the tree cannot be reached, so it is not shown either.
  #hides({ kind, source }: Place, name: string): boolean {
    const { inodes, topName } = this.#parts;
    return kind === "folder" && source.inode === inodes.root && name === topName();
  }

  async #open(call: Call, flags: number, inode: Inode, place: Place): Promise<Reply<"open">> {
    if (isFolder(place)) throw EISDIR;
    const { writers, mayWrite, child } = this.#parts, { source } = place;
    if (flags & O_TRUNC) throw EROFS;
    if (flags & O_ACCMODE) {
      if (place.kind !== "disk" || !mayWrite()) throw EROFS;
      await child.access(call, { inode: source.inode, mask: W_OK });
    }
    await this.#tree.allow(call, place);
    if (flags & O_ACCMODE) {
      return { fd: new TreeFd(inode, flags, { writer: await writers.open(call, source) }) };
    }
    if (isDisk(place)) return { fd: new TreeFd(inode, flags, {}) };
    return { fd: new TreeFd(inode, flags, { text: await this.#tree.text(call, place) }) };
  }

  async #opendir(call: Call, inode: Inode, place: Place): Promise<Reply<"opendir">> {
    if (!isFolder(place)) throw ENOTDIR;
    if (place.kind !== "folder") {
      const entries = await this.#tree.list(call, place);
      return { fd: new TreeFd(inode, 0, { entries }) };
    }
    const { fd: real } = await this.#parts.child.opendir(call, { inode: place.source.inode });
    return { fd: new TreeFd(inode, 0, { real }) };
  }

  async #read(
    call: Call,
    { fd, offset, size }: Args<"readv">,
    place: Place,
  ): Promise<Reply<"readv">> {
    if (isFolder(place)) throw EISDIR;
    if (!(size >= 0 && size <= READ_MAX && Number.isSafeInteger(offset) && offset >= 0)) {
      throw EINVAL;
    }
    const own = fd instanceof TreeFd ? fd : undefined;
    // Nothing was opened: nobody asked whether the caller may.
    if (!own) await this.#tree.allow(call, place);
    if (isDisk(place)) {
      const { data, size: all } = await this.#tree.read(call, place, offset, size);
      return { data, stat: undefined, eof: offset + data.length >= all };
    }
    const text = own?.content.text ?? await this.#tree.text(call, place);
    const data = text.slice(offset, offset + size);
    return { data, stat: undefined, eof: offset + data.length >= text.length };
  }

  async #access(call: Call, mask: number, place: Place): Promise<Reply<"access">> {
    const { inode } = place.source;
    if (mask & W_OK && !(place.kind === "disk" && this.#parts.mayWrite())) throw EROFS;
    if (place.kind === "top" || place.kind === "folder") {
      return await this.#parts.child.access(call, { inode, mask });
    }
    if (mask & 1 && !isFolder(place)) throw EACCES;
    return await this.#parts.child.access(call, { inode, mask: mask && (R_OK | mask & W_OK) });
  }

  #list(call: Call, args: Args<"readdirp">, place: Place): Promise<Reply<"readdirp">> {
    if (!isFolder(place)) throw ENOTDIR;
    if (args.size <= 0) throw EINVAL;
    const real = args.fd instanceof TreeFd ? args.fd.content.real : undefined;
    return real
      ? this.#listFolder(call, { ...args, fd: real }, place)
      : this.#listEntries(call, args, place);
  }

  // The cookies are those of the volume's directory.
  async #listFolder(
    call: Call,
    args: Args<"readdirp">,
    place: Place,
  ): Promise<Reply<"readdirp">> {
    for (let offset = args.offset;;) {
      const { entries, eof } = await this.#parts.child.readdirp(call, { ...args, offset });
      const shown = await Promise.all(entries.map((each) => this.#shown(call, each, place)));
      const found = shown.filter((each) => each !== undefined);
      // None at all would be taken for the end.
      if (found.length || eof || !entries.length) return { entries: found, eof };
      offset = entries.at(-1)!.offset;
    }
  }

  async #shown(call: Call, entry: DirentPlus, folder: Place): Promise<DirentPlus | undefined> {
    const { name, offset } = entry, { source } = folder;
    if (name === "." || name === "..") {
      const gfid = kindGfid(source.inode.gfid, "folder");
      return { name, offset, type: DT_DIR, ino: inoOf(gfid), stat: undefined };
    }
    if (this.#hides(folder, name)) return undefined;
    const stat = entry.stat ?? await this.#statOf(call, source.inode, name);
    const found = stat && await this.#tree.real(call, source, name, stat);
    return found && this.#entry(name, offset, found.place, found.stat);
  }

  async #statOf(call: Call, parent: Inode, name: string): Promise<Iatt | undefined> {
    try {
      return (await this.#parts.child.lookup(call, { parent, name })).stat;
    } catch (error) {
      if (ENOENT.matches(error)) return undefined;
      throw error;
    }
  }

  #entry(name: string, offset: bigint, place: Place, stat: Iatt): DirentPlus {
    const { gfid } = this.#parts.inodeOf(place);
    const type = isDirectory(stat) ? DT_DIR : DT_REG;
    return { name, offset, type, ino: inoOf(gfid), stat };
  }

  async #listEntries(
    call: Call,
    { fd, offset, size }: Args<"readdirp">,
    place: Place,
  ): Promise<Reply<"readdirp">> {
    const own = fd instanceof TreeFd ? fd.content.entries : undefined;
    const all = own ?? await this.#tree.list(call, place);
    const from = Number(offset), ROOM = 256;
    const part = all.slice(from, from + Math.max(1, Math.floor(size / ROOM)));
    const stats = part.map(({ place }) => this.#tree.stat(call, place));
    await allDone(stats.map((each) => each.catch(() => {})));
    const entries = await Promise.all(part.map(async ({ name, place }, index) => {
      const stat = await stats[index]!.catch(() => undefined);
      const at = BigInt(from + index + 1);
      if (stat) return this.#entry(name, at, place, stat);
      // Gone, or not to be had: who wants to know more asks for it.
      const type = isFolder(place) ? DT_DIR : DT_REG;
      return { name, offset: at, type, ino: inoOf(this.#tree.gfidOf(place)), stat: undefined };
    }));
    return { entries, eof: from + part.length >= all.length };
  }
}
