/**
 * `.meta` at the root of a mount: what the client looks like inside, as files. It is found by its
 * name and not listed. What a layer tells of itself is in graphs/active/NAME/private.
 */

import type { Call } from "core/call.ts";
import { EACCES, EINVAL, EISDIR, ENODATA, ENOENT, ENOTDIR, EROFS } from "core/errno.ts";
import { type Args, DONE, type FopName, FOPS, O_ACCMODE, type Reply } from "core/fops.ts";
import { type Iatt, S_IFDIR, S_IFLNK, S_IFREG } from "core/iatt.ts";
import { Fd, type Gfid, type Inode, PerFd, PerInode } from "core/inode.ts";
import { decodeName, encodeName } from "core/lib/bytes.ts";
import { Xdata } from "core/xdata.ts";
import { DIRECT_IO_MODE } from "core/xdata_keys.ts";
import { type Node, Uniform } from "core/xlator.ts";
import { type MetaEntry, type MetaParts, metaTree } from "mgmt/client/meta_tree.ts";

const NAME = ".meta";
/** What an entry is: its type, what may be done with it, and its type in listings. */
const LOOKS = {
  directory: { mode: S_IFDIR | 0o555, nlink: 2, type: 4 },
  file: { mode: S_IFREG | 0o444, nlink: 1, type: 8 },
  link: { mode: S_IFLNK | 0o777, nlink: 1, type: 10 },
} as const;
const WRITABLE = 0o200;
/** Of what is read from the tree no page may be kept, nor a size be relied on. */
const FRESH = Xdata.of([[DIRECT_IO_MODE.name, DIRECT_IO_MODE.write(1)]]);

/** A place in the tree that somebody looked at. */
interface Place {
  readonly inode: Inode;
  entry: MetaEntry;
  readonly children: Map<string, Place>;
}

/** See the head of this file. A layer above the graph that it shows. */
export class Meta extends Uniform {
  readonly #places = new PerInode<Place>();
  readonly #contents = new PerFd<Uint8Array>();
  readonly #root: Place;
  /** Until somebody looked for it, no fop can be about it. */
  #found = false;

  constructor(node: Node, parts: MetaParts) {
    super(node);
    this.#root = this.#place(metaTree(parts));
  }

  #place(entry: MetaEntry): Place {
    const inode = this.inodes.of(this.env.random.uuid() as Gfid);
    const place: Place = { inode, entry, children: new Map() };
    this.#places.set(inode, place);
    return place;
  }

  protected around<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    const { inode, fd, parent, name } = args as Partial<Args<"lookup"> & { fd: Fd }>;
    if (fop === "lookup" && name === NAME && parent === this.inodes.root) {
      this.#found = true;
      return this.#looked(this.#root) as Promise<Reply<K>>;
    }
    const on = this.#found ? parent ?? inode ?? fd?.inode : undefined;
    const place = on && this.#places.get(on);
    if (!place) return this.wind(fop, call, args);
    try {
      return this.#answer(fop, call, args, place) as Promise<Reply<K>>;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #answer(fop: FopName, call: Call, args: unknown, place: Place): Promise<unknown> {
    switch (fop) {
      case "lookup":
        return this.#lookup(place, (args as Args<"lookup">).name);
      case "stat":
        return Promise.resolve({ stat: this.#stat(place) });
      case "fstat":
        return Promise.resolve({ stat: this.#fstat(place, (args as Args<"fstat">).fd) });
      case "opendir":
        if (place.entry.kind !== "directory") throw ENOTDIR;
        return Promise.resolve({ fd: new Fd(place.inode, 0) });
      case "open":
        return Promise.resolve({
          fd: this.#open(place, (args as Args<"open">).flags),
          xdata: FRESH,
        });
      case "readlink":
        if (place.entry.kind !== "link") throw EINVAL;
        return Promise.resolve({ target: place.entry.target(), stat: this.#stat(place) });
      case "writev":
      case "truncate":
      case "ftruncate":
        return Promise.resolve(this.#write(place, args as Partial<Args<"writev">>));
      case "readdir":
      case "readdirp":
        return Promise.resolve(this.#list(place, (args as Args<"readdir">).offset));
      case "readv":
        return Promise.resolve(this.#read(args as Args<"readv">));
      case "access":
        if ((args as Args<"access">).mask & 2 && !takes(place)) throw EACCES;
        return Promise.resolve(DONE);
      case "getxattr":
      case "fgetxattr":
        if ((args as Args<"getxattr">).name !== "") throw ENODATA;
        return Promise.resolve({ xattrs: undefined });
      case "statfs":
        return this.child.statfs(call, { inode: this.inodes.root });
      default:
        if (FOPS[fop].kind === "handle") return Promise.resolve(DONE);
        throw EROFS;
    }
  }

  #lookup(place: Place, name: string): Promise<Reply<"lookup">> {
    if (name === "") return this.#looked(place);
    const found = this.#children(place).get(name);
    if (!found) throw ENOENT;
    return this.#looked(found);
  }

  #looked(place: Place): Promise<Reply<"lookup">> {
    return Promise.resolve({ stat: this.#stat(place), postParent: undefined });
  }

  // Places stay as long as the tree has them, so that inodes do not change under who looks.
  #children({ entry, children }: Place): ReadonlyMap<string, Place> {
    if (entry.kind !== "directory") throw ENOTDIR;
    const now = entry.list();
    for (const name of children.keys()) if (!now.has(name)) children.delete(name);
    for (const [name, each] of now) {
      const known = children.get(name);
      if (known) known.entry = each;
      else children.set(name, this.#place(each));
    }
    return children;
  }

  // Nobody can know how long a text will be when it is read.
  #stat(place: Place): Iatt {
    const { inode, entry } = place;
    const now = Math.floor(this.env.clock.now() / 1000);
    const { mode, nlink } = LOOKS[entry.kind];
    return {
      gfid: inode.gfid,
      mode: takes(place) ? mode | WRITABLE : mode,
      nlink,
      uid: 0,
      gid: 0,
      rdev: 0,
      dev: 0,
      size: 0,
      blksize: 4096,
      blocks: 0,
      atime: now,
      atimeNsec: 0,
      mtime: now,
      mtimeNsec: 0,
      ctime: now,
      ctimeNsec: 0,
    };
  }

  #fstat(place: Place, fd: Fd): Iatt {
    const { length = 0 } = this.#contents.get(fd) ?? {};
    return { ...this.#stat(place), size: length };
  }

  #open(place: Place, flags: number): Fd {
    const { inode, entry } = place;
    if (entry.kind === "directory") throw EISDIR;
    if (entry.kind === "link") throw EINVAL;
    if (flags & O_ACCMODE && !takes(place)) throw EROFS;
    const fd = new Fd(inode, flags);
    this.#contents.set(fd, encodeName(entry.text()));
    return fd;
  }

  // What a shell does before it writes changes nothing by itself.
  #write(place: Place, { data }: Partial<Args<"writev">>): Reply<"writev"> {
    const { entry } = place;
    if (entry.kind !== "file" || !entry.take) throw EROFS;
    if (data) entry.take(decodeName(data));
    const stat = this.#stat(place);
    return { pre: stat, post: stat };
  }

  #read({ fd, offset, size }: Args<"readv">): Reply<"readv"> {
    const data = (this.#contents.get(fd) ?? new Uint8Array()).subarray(offset, offset + size);
    return { data, stat: undefined, eof: data.length < size };
  }

  #list(place: Place, offset: bigint): Reply<"readdirp"> {
    const entries = [...this.#children(place)].map(([name, child], index) => {
      const stat = this.#stat(child);
      const ino = BigInt(`0x${child.inode.gfid.replaceAll("-", "").slice(16)}`);
      return {
        name,
        offset: BigInt(index + 1),
        type: LOOKS[child.entry.kind].type,
        ino,
        stat,
      };
    });
    return { entries: entries.slice(Number(offset)), eof: true };
  }
}

function takes({ entry }: Place): boolean {
  return entry.kind === "file" && entry.take !== undefined;
}
