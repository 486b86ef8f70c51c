/**
 * Remembers on disk which files may need heal, so that self-heal crawls these and not the volume.
 *
 * Replicate and disperse mark a file through xattrop: `trusted.afr.dirty` while a transaction is
 * under way, `trusted.afr.<volume>-client-<n>` (or `trusted.ec.dirty`) when a copy missed it. This
 * layer lists the file before a mark is stored and takes it off the list after the last one is gone;
 * a crash at any point leaves at most an entry too many, which heal finds clean and removes.
 * Xattrops of one inode run one after the other, else "gone" of one could take away the entry that
 * another had just relied on.
 *
 * The list is read through virtual directories: a gfid of this run's choosing, told by getxattr,
 * then lookup, opendir, readdir, unlink and rmdir as with any directory. Layout: `directory.ts`.
 */

import type { Call } from "core/call.ts";
import { EINVAL, EISDIR, ENOTDIR, EPERM, FopError } from "core/errno.ts";
import {
  type Args,
  type Dirent,
  DONE,
  type ParentReply,
  type ReaddirReply,
  type Reply,
  type WithXdata,
  type XattrReply,
} from "core/fops.ts";
import { S_IFMT } from "core/iatt.ts";
import {
  Fd,
  type Gfid,
  gfidFromBytes,
  gfidToBytes,
  type Inode,
  parseGfid,
  PerInode,
} from "core/inode.ts";
import { list, optionalText, type OptionTable, type Values } from "core/options.ts";
import { defineXlator } from "core/registry.ts";
import { intKey, ptr, textKey, valueBytes, withKey, Xdata } from "core/xdata.ts";
import {
  GET_GFID_TYPE,
  INDEX_IA_TYPE_REQ,
  INDEX_IA_TYPE_RSP,
  LINK_COUNT,
  LINK_COUNT_REQUEST,
} from "core/xdata_keys.ts";
import { type Json, type Node, PassThrough, settle, type Xlator } from "core/xlator.ts";
import {
  INDEX_KINDS,
  IndexDirectory,
  type IndexEntry,
  type IndexKind,
} from "xlators/features/index/directory.ts";

const options = {
  "index-base": optionalText({
    live: false,
    help: "Directory on the brick where the index is kept; its parent must exist.",
  }),
  "xattrop-dirty-watchlist": list({
    default: ["trusted.afr.dirty"],
    help: "Prefixes of xattrs that mark a transaction under way.",
  }),
  "xattrop-pending-watchlist": list({
    default: [],
    help: "Prefixes of xattrs that mark a copy as behind.",
  }),
  "xattrop64-watchlist": list({
    default: ["trusted.ec.dirty"],
    help: "More of the same, as disperse volumes name them.",
  }),
} satisfies OptionTable;

// Names asked of getxattr.
const VIRTUAL_NAMES: Readonly<Record<IndexKind, string>> = {
  xattrop: "glusterfs.xattrop_index_gfid",
  dirty: "glusterfs.xattrop_dirty_gfid",
  "entry-changes": "glusterfs.xattrop_entry_changes_gfid",
};
const INDEX_COUNT = "glusterfs.xattrop_index_count";
const DIRTY_COUNT = "glusterfs.xattrop_dirty_count";

/** Name in the directory whose copies are about to differ; sent by replicate with an xattrop. */
const ENTRY_CREATE = textKey("glusterfs.xattrop-entry-create");
/** Name whose copies agree again. */
const ENTRY_DELETE = textKey("glusterfs.xattrop-entry-delete");
/** Not 0: the whole directory was healed, forget its names. */
const PURGE_INDEX = intKey("glusterfs.xattrop-purge-index");

// Most virtual directories of entry-changes that are remembered; a crawl uses one after the other.
const SUBDIRECTORIES_MAX = 16384;

// Inode types as INDEX_IA_TYPE_RSP tells them (ia_type_t).
const IA_IFREG = 1, IA_IFDIR = 2;

type MarkKind = "xattrop" | "dirty";

/** What is known of an inode's entries; undefined: look on the disk. */
interface Marks {
  xattrop: boolean | undefined;
  dirty: boolean | undefined;
  names: boolean | undefined;
  /** Settles when the last xattrop that was taken on is done. */
  tail: Promise<void> | undefined;
}

/** For each kind of mark among some xattrs: true if one is not zero. Absent: no such xattr. */
type Found = { [K in MarkKind]?: boolean };

/** A virtual directory: an index, or one directory's names in entry-changes. */
interface Place {
  readonly kind: IndexKind;
  readonly names: readonly string[];
}

/** Where the index is kept: a directory of the brick, or what stands for one in a simulation. */
export type IndexStore = Pick<IndexDirectory, keyof IndexDirectory>;

/** See the head of this file. */
export class Index extends PassThrough {
  #dirty: readonly string[] = [];
  #pending: readonly string[] = [];
  readonly #directory: IndexStore;
  readonly #places = new Map<Gfid, Place>();
  readonly #virtual: Readonly<Record<IndexKind, Gfid>>;
  // Virtual gfid of a directory's names: its own gfid, this added. The same at every lookup.
  readonly #secret: Uint8Array;
  readonly #subdirectories = new Map<Gfid, Gfid>();
  readonly #marks = new PerInode<Marks>();
  readonly #open = new Map<Fd, number>();

  constructor(
    node: Node,
    values: Values<typeof options>,
    store: IndexStore = new IndexDirectory(values["index-base"]!, node.env),
  ) {
    super(node);
    this.#directory = store;
    const fresh = () => parseGfid(this.env.random.uuid())!;
    this.#virtual = { xattrop: fresh(), dirty: fresh(), "entry-changes": fresh() };
    for (const kind of INDEX_KINDS) this.#places.set(this.#virtual[kind], { kind, names: [] });
    this.#secret = this.env.random.bytes(16);
    this.reconfigure(values);
  }

  reconfigure(values: Values<typeof options>): void {
    this.#dirty = values["xattrop-dirty-watchlist"];
    this.#pending = [...values["xattrop-pending-watchlist"], ...values["xattrop64-watchlist"]];
  }

  start(): Promise<void> {
    return this.#directory.open(INDEX_KINDS, { watched: this.children.some(remembersMissed) });
  }

  stop(): Promise<void> {
    for (const fd of this.#open.keys()) this.#close(fd);
    return Promise.resolve();
  }

  state(): Json {
    return {
      "xattrop-pending-count": this.#directory.pendingCount,
      "open-directories": this.#open.size,
    };
  }

  override xattrop(call: Call, args: Args<"xattrop">): Promise<XattrReply> {
    const before = this.#watched(args);
    if (!before) return this.child.xattrop(call, args);
    return this.#inTurn(args.inode, args, before, () => this.child.xattrop(call, args));
  }

  override fxattrop(call: Call, args: Args<"fxattrop">): Promise<XattrReply> {
    const before = this.#watched(args);
    if (!before) return this.child.fxattrop(call, args);
    return this.#inTurn(args.fd.inode, args, before, () => this.child.fxattrop(call, args));
  }

  // What the request adds to marks; undefined if it cannot touch any. Other kinds of xattrop are
  // not used for marks (sizes and versions of disperse and shard).
  #watched({ op, xattrs }: Args<"xattrop"> | Args<"fxattrop">): Found | undefined {
    if (op === "add32") return this.#find(op, xattrs);
    if (op !== "add64") return undefined;
    const found = this.#find(op, xattrs);
    return found.xattrop === undefined ? undefined : found;
  }

  // 64-bit marks are disperse's: only the pending list is about them.
  #find(op: "add32" | "add64", xattrs: Xdata | undefined): Found {
    const found: Found = {};
    if (!xattrs) return found;
    for (const [name, value] of xattrs) {
      const kind = op === "add32" && hasPrefix(name, this.#dirty)
        ? "dirty"
        : hasPrefix(name, this.#pending)
        ? "xattrop"
        : undefined;
      if (!kind) continue;
      const set = valueBytes(value)?.some((byte) => byte !== 0) ?? false;
      found[kind] = found[kind] || set;
    }
    return found;
  }

  #inTurn(
    inode: Inode,
    args: Args<"xattrop"> | Args<"fxattrop">,
    before: Found,
    wind: () => Promise<XattrReply>,
  ): Promise<XattrReply> {
    const marks = this.#marksOf(inode);
    const run = () => this.#listed(inode.gfid, marks, args, before, wind);
    const answer = marks.tail ? marks.tail.then(run) : run();
    const done = () => {
      if (marks.tail === tail) marks.tail = undefined;
    };
    const tail = answer.then(done, done);
    marks.tail = tail;
    return answer;
  }

  #marksOf(inode: Inode): Marks {
    let marks = this.#marks.get(inode);
    if (!marks) {
      marks = { xattrop: undefined, dirty: undefined, names: undefined, tail: undefined };
      this.#marks.set(inode, marks);
    }
    return marks;
  }

  async #listed(
    gfid: Gfid,
    marks: Marks,
    args: Args<"xattrop"> | Args<"fxattrop">,
    before: Found,
    wind: () => Promise<XattrReply>,
  ): Promise<XattrReply> {
    // A mark that could not be listed would never be healed: refuse it.
    if (before.xattrop) this.#list(gfid, marks, "xattrop");
    if (before.dirty) this.#list(gfid, marks, "dirty");
    const created = args.xdata?.get(ENTRY_CREATE);
    if (created !== undefined) {
      this.#directory.addName(gfid, plainName(created));
      marks.names = true;
    }
    const reply = await wind();
    try {
      this.#settle(gfid, marks, args, this.#find(args.op as "add32" | "add64", reply.xattrs));
    } catch (error) {
      if (!(error instanceof FopError)) throw error;
      // The marks are stored; an entry too many or too few of those that were zero does no harm.
      this.env.log.warn("index could not be brought up to date", { gfid, error: error.message });
    }
    return reply;
  }

  #settle(
    gfid: Gfid,
    marks: Marks,
    { xdata }: WithXdata,
    after: Found,
  ): void {
    for (const kind of ["xattrop", "dirty"] as const) {
      if (after[kind] === true) this.#list(gfid, marks, kind);
      else if (after[kind] === false && marks[kind] !== false) {
        this.#directory.remove(kind, gfid);
        marks[kind] = false;
      }
    }
    const deleted = xdata?.get(ENTRY_DELETE);
    if (deleted !== undefined) this.#directory.removeName(gfid, plainName(deleted));
    if (after.xattrop === false && marks.names !== false && xdata?.get(PURGE_INDEX)) {
      this.#directory.removeNames(gfid);
      marks.names = false;
    }
  }

  #list(gfid: Gfid, marks: Marks, kind: MarkKind): void {
    if (marks[kind]) return;
    this.#directory.add(kind, gfid);
    marks[kind] = true;
  }

  #placeOf(inode: Inode | undefined): Place | undefined {
    if (!inode) return undefined;
    const place = this.#places.get(inode.gfid);
    if (place) return place;
    const directory = this.#subdirectories.get(inode.gfid);
    return directory && { kind: "entry-changes", names: [directory] };
  }

  override lookup(call: Call, args: Args<"lookup">): Promise<Reply<"lookup">> {
    const parent = this.#placeOf(args.parent);
    if (parent && args.name !== "" && args.name !== ".") {
      return answer(() => this.#lookupName(parent, plainName(args.name)));
    }
    const place = this.#placeOf(args.inode ?? args.parent);
    if (place) return answer(() => this.#lookupPlace(place, args));
    const reply = this.child.lookup(call, args);
    return wantsCount(args.xdata) ? this.#counted(reply) : reply;
  }

  #lookupPlace(place: Place, { inode, parent, xdata }: Args<"lookup">): Reply<"lookup"> {
    const stat = this.#directory.stat((inode ?? parent)!.gfid, place.kind, ...place.names);
    const type = place.kind === "entry-changes" ? IA_IFDIR : IA_IFREG;
    return {
      stat,
      postParent: undefined,
      xdata: xdata?.has(INDEX_IA_TYPE_REQ)
        ? withKey(undefined, INDEX_IA_TYPE_RSP, type)
        : undefined,
    };
  }

  #lookupName({ kind, names }: Place, name: string): Reply<"lookup"> {
    const directory = kind === "entry-changes" && !names.length ? parseGfid(name) : undefined;
    const gfid = directory ? this.#virtualOf(directory) : parseGfid(this.env.random.uuid())!;
    const stat = this.#directory.stat(gfid, kind, ...names, name);
    if (directory) this.#remember(gfid, directory);
    return { stat, postParent: undefined };
  }

  #virtualOf(directory: Gfid): Gfid {
    const bytes = gfidToBytes(directory);
    for (let i = 0; i < 16; i++) bytes[i]! ^= this.#secret[i]!;
    return gfidFromBytes(bytes);
  }

  #remember(virtual: Gfid, directory: Gfid): void {
    this.#subdirectories.set(virtual, directory);
    if (this.#subdirectories.size <= SUBDIRECTORIES_MAX) return;
    for (const oldest of this.#subdirectories.keys()) {
      this.#subdirectories.delete(oldest);
      return;
    }
  }

  override fstat(call: Call, args: Args<"fstat">): Promise<Reply<"fstat">> {
    const reply = this.child.fstat(call, args);
    return wantsCount(args.xdata) ? this.#counted(reply) : reply;
  }

  // Adds whether anything is listed, to failures too: a name may be missing on this copy only.
  #counted<R extends WithXdata>(reply: Promise<R>): Promise<R> {
    const add = (xdata: Xdata | undefined) =>
      withKey(xdata, LINK_COUNT, this.#directory.pendingCount > 0 ? 1 : 0);
    return reply.then(
      (value) => ({ ...value, xdata: add(value.xdata) }),
      (error) => {
        if (!(error instanceof FopError)) throw error;
        throw error.carrying({ xdata: add(error.xdata) });
      },
    );
  }

  override getxattr(call: Call, args: Args<"getxattr">): Promise<XattrReply> {
    const { name } = args;
    if (!name.startsWith("glusterfs.xattrop_")) return this.child.getxattr(call, args);
    for (const kind of INDEX_KINDS) {
      if (name === VIRTUAL_NAMES[kind]) {
        const value = ptr(gfidToBytes(this.#virtual[kind]));
        return Promise.resolve({ xattrs: Xdata.of([[name, value]]) });
      }
    }
    if (name === INDEX_COUNT) return this.#count(name, "xattrop");
    if (name === DIRTY_COUNT) return this.#count(name, "dirty");
    return this.child.getxattr(call, args);
  }

  async #count(name: string, kind: MarkKind): Promise<XattrReply> {
    const value = await this.#directory.count(kind);
    return { xattrs: Xdata.of([[name, { type: "uint", value }]]) };
  }

  override opendir(call: Call, args: Args<"opendir">): Promise<Reply<"opendir">> {
    const place = this.#placeOf(args.inode);
    if (!place) return this.child.opendir(call, args);
    return answer(() => {
      const opened = this.#directory.openDirectory(place.kind, ...place.names);
      const fd = new Fd(args.inode, 0);
      this.#open.set(fd, opened);
      return { fd };
    });
  }

  override releasedir(call: Call, args: Args<"releasedir">): Promise<Reply<"releasedir">> {
    if (!this.#open.has(args.fd)) return this.child.releasedir(call, args);
    this.#close(args.fd);
    return Promise.resolve(DONE);
  }

  #close(fd: Fd): void {
    this.#directory.closeDirectory(this.#open.get(fd)!);
    this.#open.delete(fd);
  }

  override readdir(call: Call, args: Args<"readdir">): Promise<ReaddirReply> {
    const place = this.#placeOf(args.fd.inode);
    if (place) return this.#readdir(call, place, args);
    const reply = this.child.readdir(call, args);
    return wantsCount(args.xdata) ? this.#counted(reply) : reply;
  }

  async #readdir(
    call: Call,
    { kind, names }: Place,
    { fd, offset, size, xdata }: Args<"readdir">,
  ): Promise<ReaddirReply> {
    const kept = this.#open.get(fd);
    const from = kept ?? this.#directory.openDirectory(kind, ...names);
    let listed;
    try {
      listed = this.#directory.list(from, offset, size, names.length ? undefined : kind);
    } finally {
      if (kept === undefined) this.#directory.closeDirectory(from);
    }
    const wantsTypes = !names.length && xdata?.has(GET_GFID_TYPE);
    const types = wantsTypes ? await this.#typesOf(call, listed.entries) : [];
    const entries = listed.entries.map((entry, i): Dirent => ({
      ...entry,
      type: types[i] ?? 0,
      ino: inoOf(entry.name),
    }));
    return { entries, eof: listed.eof };
  }

  async #typesOf(call: Call, entries: readonly IndexEntry[]): Promise<number[]> {
    const asRoot = { ...call, uid: 0, gid: 0, groups: [] };
    const answers = await settle(entries.map(({ name }) => {
      const gfid = parseGfid(name);
      if (!gfid) return Promise.reject(EINVAL);
      return this.child.lookup(asRoot, { inode: this.inodes.of(gfid), name: "" });
    }));
    return answers.map((each) => each.ok ? (each.value.stat.mode & S_IFMT) >> 12 : 0);
  }

  override unlink(call: Call, args: Args<"unlink">): Promise<ParentReply> {
    const place = this.#placeOf(args.parent);
    if (!place) return this.child.unlink(call, args);
    return this.#changing(args.parent, place, () => this.#unlink(place, plainName(args.name)));
  }

  #unlink({ kind, names }: Place, name: string): void {
    const gfid = parseGfid(name);
    if (names.length) this.#directory.removeName(names[0] as Gfid, name);
    else if (name.startsWith(`${kind}-`)) throw EPERM;
    else if (!gfid) this.#directory.removeStray(kind, name);
    else if (kind === "entry-changes") throw EISDIR;
    else {
      this.#directory.remove(kind, gfid);
      const marks = this.#marks.get(this.inodes.of(gfid));
      if (marks) marks[kind] = undefined;
    }
  }

  override rmdir(call: Call, args: Args<"rmdir">): Promise<ParentReply> {
    const place = this.#placeOf(args.parent);
    if (!place) return this.child.rmdir(call, args);
    return this.#changing(args.parent, place, async () => {
      if (place.kind !== "entry-changes" || place.names.length) throw ENOTDIR;
      const gfid = parseGfid(args.name);
      if (!gfid) throw EINVAL;
      const marks = this.#marks.get(this.inodes.of(gfid));
      if (marks) marks.names = undefined;
      if (args.flags & 1) await this.#directory.wipeNames(gfid);
      else this.#directory.removeNames(gfid);
    });
  }

  async #changing(
    parent: Inode,
    { kind, names }: Place,
    change: () => void | Promise<void>,
  ): Promise<ParentReply> {
    const stat = () => this.#directory.stat(parent.gfid, kind, ...names);
    const preParent = stat();
    await change();
    return { preParent, postParent: stat() };
  }
}

// A synchronous answer as a promise, its failure as a rejection.
async function answer<R>(make: () => R): Promise<R> {
  return await make();
}

function remembersMissed(layer: Xlator): boolean {
  return layer.forgetMissed !== undefined || layer.children.some(remembersMissed);
}

function hasPrefix(name: string, prefixes: readonly string[]): boolean {
  for (const prefix of prefixes) if (name.startsWith(prefix)) return true;
  return false;
}

// Names come from peers and become paths.
function plainName(name: string): string {
  if (name === "" || name === "." || name === ".." || /[/\0]/.test(name)) throw EINVAL;
  return name;
}

function wantsCount(xdata: Xdata | undefined): boolean {
  return xdata?.get(LINK_COUNT_REQUEST) === INDEX_COUNT;
}

// The inode number a client would show for the gfid that is the name.
function inoOf(name: string): bigint {
  const gfid = parseGfid(name);
  return gfid ? BigInt(`0x${gfid.slice(19, 23)}${gfid.slice(24)}`) : 0n;
}

/** `features/index`: which files may need heal. */
export const index = defineXlator({
  type: "features/index",
  summary: "Keep a list of the files that may need heal",
  options,
  subvolumes: "one",
  check: (values) =>
    values["index-base"] ? undefined : 'option "index-base" is missing: where is the index kept?',
  create: (node, values) => new Index(node, values),
});
