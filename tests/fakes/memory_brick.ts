/**
 * A brick that keeps everything in memory and obeys the rules of one that keeps it on disk: what
 * the conformance tests run on first, and what graphs are tested over without a file system.
 * Whether a caller may do what it asks is, as on a real brick, a question for other layers.
 */

import { createHash } from "node:crypto";
import type { Call } from "core/call.ts";
import {
  EBADF,
  EEXIST,
  EFBIG,
  EINVAL,
  EIO,
  EISDIR,
  ELOOP,
  ENAMETOOLONG,
  ENODATA,
  ENOENT,
  ENOTDIR,
  ENOTEMPTY,
  EOPNOTSUPP,
  EPERM,
  ESTALE,
} from "core/errno.ts";
import {
  type Args,
  type AttrChanges,
  DONE,
  O_ACCMODE,
  O_APPEND,
  O_DIRECTORY,
  O_EXCL,
  O_TRUNC,
  O_WRONLY,
  type PrePost,
  type Reply,
} from "core/fops.ts";
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG, type Timespec } from "core/iatt.ts";
import { Fd, type Gfid, type Inode, NULL_GFID, PerFd, ROOT_GFID } from "core/inode.ts";
import { encodeName, equalBytes } from "core/lib/bytes.ts";
import { type DictValue, str, valueBytes, withKey, Xdata } from "core/xdata.ts";
import * as keys from "core/xdata_keys.ts";
import { type Node, Refuse } from "core/xlator.ts";
import { answersOf, listOf } from "tests/fakes/memory_answers.ts";
import { checkName, checkRange, NAME_BYTES_MAX } from "tests/fakes/memory_checks.ts";
import { type MemoryEntry, MemoryNode } from "tests/fakes/memory_node.ts";
import {
  getXattrs,
  isXattrName,
  removeXattrs,
  setXattrs,
  xattrop,
} from "tests/fakes/memory_xattrs.ts";
import { node as testNode } from "tests/fakes/node.ts";
import { FILE_BYTES_MAX } from "tests/fakes/pages.ts";

/** Attribute that answers one of a file's paths. */
const PATH = "glusterfs.gfid2path";
const S_ISGID = 0o2000;
const KEEP_SIZE = 1, PUNCH_HOLE = 2, ZERO_RANGE = 16;

/** What a memory brick's process leaves behind when it ends: its inodes. */
export type MemoryDisk = Map<Gfid, MemoryNode>;

/** A bottom layer for tests: a graph's storage without a disk. */
export class MemoryBrick extends Refuse {
  #nodes: MemoryDisk;
  #fds = new PerFd<MemoryNode>();
  /** Open files, so that a test can tell that none leaks. */
  openFiles = 0;

  /** On an empty disk, or on one that an earlier brick left. */
  constructor(place: Node = testNode("memory"), disk: MemoryDisk = new Map()) {
    super(place);
    this.#nodes = disk;
    if (disk.has(ROOT_GFID)) return;
    disk.set(ROOT_GFID, new MemoryNode(ROOT_GFID, S_IFDIR | 0o755, 0, 0, 0, this.#now()));
  }

  /** How many inodes there are, unlinked open ones included. */
  get inodeCount(): number {
    return this.#nodes.size;
  }

  #now(): Timespec {
    const ms = this.env.clock.now();
    return { sec: Math.floor(ms / 1000), nsec: Math.floor((ms % 1000) * 1e6) };
  }

  #node(inode: Inode): MemoryNode {
    const node = this.#nodes.get(inode.gfid);
    if (!node || node.nlink === 0) throw ESTALE;
    return node;
  }

  #open(fd: Fd): MemoryNode {
    if (fd.anonymous) return this.#node(fd.inode);
    const node = this.#fds.get(fd);
    if (!node) throw EBADF;
    return node;
  }

  #writable(fd: Fd): MemoryNode {
    if (!fd.anonymous && (fd.flags & O_ACCMODE) === 0) throw EBADF;
    return this.#open(fd);
  }

  #parent(inode: Inode): MemoryNode {
    const parent = this.#node(inode);
    if (!parent.isDirectory) throw ENOTDIR;
    return parent;
  }

  #entry(args: { parent: Inode; name: string }): { parent: MemoryNode; entry: MemoryEntry } {
    checkName(args.name, args.parent);
    const parent = this.#parent(args.parent);
    const entry = parent.entries.get(args.name);
    if (!entry) throw ENOENT;
    return { parent, entry };
  }

  #makeFd(inode: Inode, node: MemoryNode, flags: number): Fd {
    const fd = new Fd(inode, flags);
    this.#fds.set(fd, node);
    this.openFiles++;
    node.opens++;
    if (flags & O_ACCMODE) node.writers++;
    return fd;
  }

  #close(fd: Fd): Promise<typeof DONE> {
    return Promise.try(() => {
      const node = this.#open(fd);
      this.#fds.delete(fd);
      this.openFiles--;
      node.opens--;
      if (fd.flags & O_ACCMODE) node.writers--;
      this.#dropIfGone(node);
      return DONE;
    });
  }

  #dropIfGone(node: MemoryNode): void {
    if (node.nlink === 0 && node.opens === 0) this.#nodes.delete(node.gfid);
    if (node.nlink === 0) this.inodes.forget(node.gfid);
  }

  // A new inode under a name; everything is checked before anything changes.
  #make(
    call: Call,
    args: { parent: Inode; name: string; xdata?: Xdata | undefined },
    mode: number,
    rdev = 0,
  ): { node: MemoryNode; reply: Reply<"mkdir"> } {
    checkName(args.name, args.parent);
    const parent = this.#parent(args.parent);
    if (parent.entries.has(args.name)) throw EEXIST;
    const gfid = args.xdata?.get(keys.GFID_REQ);
    if (!gfid || gfid === NULL_GFID || gfid === ROOT_GFID) throw EPERM;
    if (this.#nodes.has(gfid)) throw EEXIST;
    checkPreop(parent, args.xdata);
    const preParent = parent.stat();
    const inherits = (parent.mode & S_ISGID) !== 0;
    const type = mode & S_IFMT;
    const node = new MemoryNode(
      gfid,
      type === S_IFDIR && inherits ? mode | S_ISGID : mode,
      call.uid,
      inherits ? parent.gid : call.gid,
      rdev,
      this.#now(),
    );
    setXattrs(node.xattrs, xattrsToSet(args.xdata), 0);
    this.#nodes.set(gfid, node);
    parent.enter(args.name, node, this.#now());
    return { node, reply: { stat: node.stat(), preParent, postParent: parent.stat() } };
  }

  #change(node: MemoryNode, change: () => void): PrePost {
    const pre = node.stat();
    change();
    node.mtime = node.ctime = this.#now();
    return { pre, post: node.stat() };
  }

  override lookup(_call: Call, args: Args<"lookup">): Promise<Reply<"lookup">> {
    return Promise.try(() => {
      if (args.parent && args.name !== "" && args.name !== ".") {
        checkName(args.name, args.parent);
        const parent = this.#parent(args.parent);
        const entry = parent.entries.get(args.name);
        if (!entry) throw ENOENT.carrying({ postParent: parent.stat() });
        return {
          stat: entry.node.stat(),
          postParent: parent.stat(),
          ...answersOf(entry.node, args.xdata),
        };
      }
      const inode = args.name === "." ? args.parent : args.inode;
      if (!inode || inode.gfid === NULL_GFID) throw EINVAL;
      const node = this.#node(inode);
      return { stat: node.stat(), postParent: undefined, ...answersOf(node, args.xdata) };
    });
  }

  override stat(_call: Call, args: Args<"stat">): Promise<Reply<"stat">> {
    return Promise.try(() => {
      const node = this.#node(args.inode);
      return { stat: node.stat(), ...answersOf(node, args.xdata) };
    });
  }

  override fstat(_call: Call, args: Args<"fstat">): Promise<Reply<"fstat">> {
    return Promise.try(() => {
      const node = this.#open(args.fd);
      return { stat: node.stat(), ...answersOf(node, args.xdata) };
    });
  }

  override access(_call: Call, args: Args<"access">): Promise<Reply<"access">> {
    return Promise.try(() => (this.#node(args.inode), DONE));
  }

  override statfs(_call: Call, args: Args<"statfs">): Promise<Reply<"statfs">> {
    return Promise.try(() => {
      this.#node(args.inode);
      const blocks = FILE_BYTES_MAX / 4096, files = 2 ** 32, free = files - this.#nodes.size;
      return {
        statfs: {
          bsize: 4096,
          frsize: 4096,
          blocks,
          bfree: blocks,
          bavail: blocks,
          files,
          ffree: free,
          favail: free,
          fsid: 0n,
          flag: 0,
          namemax: NAME_BYTES_MAX,
        },
      };
    });
  }

  override mkdir(call: Call, args: Args<"mkdir">): Promise<Reply<"mkdir">> {
    return Promise.try(() => this.#make(call, args, S_IFDIR | (args.mode & 0o7777)).reply);
  }

  override mknod(call: Call, args: Args<"mknod">): Promise<Reply<"mknod">> {
    return Promise.try(() => {
      const type = args.mode & S_IFMT || S_IFREG;
      if (type === S_IFDIR || type === S_IFLNK) throw EINVAL;
      const { rdev } = args;
      const major = (rdev >>> 8) & 0xfff, minor = (rdev & 0xff) | ((rdev >>> 12) & 0xfff00);
      return this.#make(call, args, type | (args.mode & 0o7777), major * 2 ** 32 + minor).reply;
    });
  }

  override symlink(call: Call, args: Args<"symlink">): Promise<Reply<"symlink">> {
    return Promise.try(() => {
      if (args.target === "") throw ENOENT;
      if (encodeName(args.target).length > 4095) throw ENAMETOOLONG;
      const { node, reply } = this.#make(call, args, S_IFLNK | 0o777);
      node.target = args.target;
      return { ...reply, stat: node.stat() };
    });
  }

  override readlink(_call: Call, args: Args<"readlink">): Promise<Reply<"readlink">> {
    return Promise.try(() => {
      const node = this.#node(args.inode);
      if (node.type !== S_IFLNK) throw EINVAL;
      return { target: node.target.slice(0, args.size), stat: node.stat() };
    });
  }

  override create(call: Call, args: Args<"create">): Promise<Reply<"create">> {
    return Promise.try(() => {
      checkName(args.name, args.parent);
      const parent = this.#parent(args.parent);
      const there = parent.entries.get(args.name)?.node;
      if (!there) {
        const { node, reply } = this.#make(call, args, S_IFREG | (args.mode & 0o7777));
        return { ...reply, fd: this.#makeFd(this.inodes.of(node.gfid), node, args.flags) };
      }
      if (args.flags & O_EXCL) throw EEXIST;
      const inode = this.inodes.of(there.gfid);
      const fd = this.#openFile(inode, there, args.flags);
      const stat = parent.stat();
      return { fd, stat: there.stat(), preParent: stat, postParent: stat };
    });
  }

  override put(call: Call, args: Args<"put">): Promise<Reply<"put">> {
    return Promise.try(() => {
      const { node, reply } = this.#make(call, args, S_IFREG | (args.mode & 0o7777));
      node.data.write(args.offset, args.data);
      setXattrs(node.xattrs, args.xattrs, 0);
      return { ...reply, stat: node.stat() };
    });
  }

  override link(_call: Call, args: Args<"link">): Promise<Reply<"link">> {
    return Promise.try(() => {
      checkName(args.name, args.parent);
      const node = this.#node(args.inode);
      if (node.isDirectory) throw EPERM;
      const parent = this.#parent(args.parent);
      if (parent.entries.has(args.name)) throw EEXIST;
      const preParent = parent.stat();
      parent.enter(args.name, node, this.#now());
      return { stat: node.stat(), preParent, postParent: parent.stat() };
    });
  }

  override unlink(_call: Call, args: Args<"unlink">): Promise<Reply<"unlink">> {
    return Promise.try(() => {
      const { parent, entry: { node } } = this.#entry(args);
      if (node.isDirectory) throw EISDIR;
      const preParent = parent.stat();
      parent.leave(args.name, this.#now());
      this.#dropIfGone(node);
      const answers = new Map<string, DictValue>();
      const before = node.nlink + 1;
      if (args.xdata?.has(keys.GET_LINK_COUNT)) {
        answers.set(keys.GET_LINK_COUNT.name, keys.GET_LINK_COUNT.write(node.nlink));
      }
      if (args.xdata?.has(keys.REQUEST_LINK_COUNT)) {
        answers.set(keys.RESPONSE_LINK_COUNT.name, keys.RESPONSE_LINK_COUNT.write(before));
      }
      const xdata = answers.size ? { xdata: new Xdata(answers) } : {};
      return { preParent, postParent: parent.stat(), ...xdata };
    });
  }

  override rmdir(_call: Call, args: Args<"rmdir">): Promise<Reply<"rmdir">> {
    return Promise.try(() => {
      const { parent, entry: { node } } = this.#entry(args);
      if (!node.isDirectory) throw ENOTDIR;
      if (node.entries.size && !(args.flags & 1)) throw ENOTEMPTY;
      const preParent = parent.stat();
      this.#purge(node);
      parent.leave(args.name, this.#now());
      this.#dropIfGone(node);
      return { preParent, postParent: parent.stat() };
    });
  }

  #purge(directory: MemoryNode): void {
    for (const [name, { node }] of directory.entries) {
      this.#purge(node);
      directory.leave(name, this.#now());
      this.#dropIfGone(node);
    }
  }

  override rename(_call: Call, args: Args<"rename">): Promise<Reply<"rename">> {
    return Promise.try(() => {
      checkName(args.newName, args.newParent);
      const { parent: from, entry: { node } } = this.#entry({
        parent: args.oldParent,
        name: args.oldName,
      });
      const to = this.#parent(args.newParent);
      const there = to.entries.get(args.newName)?.node;
      if (node.isDirectory && node.holds(to)) throw EINVAL;
      if (there && there !== node) {
        if (there.isDirectory && !node.isDirectory) throw EISDIR;
        if (!there.isDirectory && node.isDirectory) throw ENOTDIR;
        if (there.entries.size) throw ENOTEMPTY;
      }
      const preOldParent = from.stat(), preNewParent = to.stat();
      if (there !== node) {
        const now = this.#now();
        if (there) {
          to.leave(args.newName, now);
          this.#dropIfGone(there);
        }
        from.leave(args.oldName, now);
        if (node.isDirectory) node.nlink = 2 + subdirectories(node);
        to.enter(args.newName, node, now);
      }
      return {
        stat: node.stat(),
        preOldParent,
        postOldParent: from.stat(),
        preNewParent,
        postNewParent: to.stat(),
      };
    });
  }

  override open(_call: Call, args: Args<"open">): Promise<Reply<"open">> {
    return Promise.try(() => ({
      fd: this.#openFile(args.inode, this.#node(args.inode), args.flags),
    }));
  }

  #openFile(inode: Inode, node: MemoryNode, flags: number): Fd {
    if (node.isDirectory && flags & O_ACCMODE) throw EISDIR;
    if (!node.isDirectory && flags & O_DIRECTORY) throw ENOTDIR;
    if (node.type === S_IFLNK) throw ELOOP;
    if (flags & O_TRUNC) this.#change(node, () => node.data.resize(0));
    return this.#makeFd(inode, node, flags);
  }

  override opendir(_call: Call, args: Args<"opendir">): Promise<Reply<"opendir">> {
    return Promise.try(() => {
      const node = this.#parent(args.inode);
      return { fd: this.#makeFd(args.inode, node, O_DIRECTORY) };
    });
  }

  override release(_call: Call, args: Args<"release">): Promise<Reply<"release">> {
    return this.#close(args.fd);
  }

  override releasedir(_call: Call, args: Args<"releasedir">): Promise<Reply<"releasedir">> {
    return this.#close(args.fd);
  }

  override flush(_call: Call, args: Args<"flush">): Promise<Reply<"flush">> {
    return Promise.try(() => (this.#open(args.fd), DONE));
  }

  override fsync(_call: Call, args: Args<"fsync">): Promise<Reply<"fsync">> {
    return Promise.try(() => {
      const stat = this.#open(args.fd).stat();
      return { pre: stat, post: stat };
    });
  }

  override fsyncdir(_call: Call, args: Args<"fsyncdir">): Promise<Reply<"fsyncdir">> {
    return Promise.try(() => (this.#open(args.fd), DONE));
  }

  override readv(_call: Call, args: Args<"readv">): Promise<Reply<"readv">> {
    return Promise.try(() => {
      checkRange(args.offset, args.size);
      const node = this.#open(args.fd);
      if (node.isDirectory) throw EISDIR;
      if (!args.fd.anonymous && (args.fd.flags & O_ACCMODE) === O_WRONLY) throw EBADF;
      const data = node.data.read(args.offset, args.size);
      return { data, stat: node.stat(), eof: args.offset + data.length >= node.size };
    });
  }

  override writev(_call: Call, args: Args<"writev">): Promise<Reply<"writev">> {
    return Promise.try(() => {
      checkRange(args.offset, args.data.length);
      const node = this.#writable(args.fd);
      const offset = args.fd.flags & O_APPEND ? node.size : args.offset;
      const appends = offset === node.size;
      const reply = this.#change(node, () => node.data.write(offset, args.data));
      const answers = answersOf(node, args.xdata);
      return args.xdata?.has(keys.WRITE_IS_APPEND)
        ? {
          ...reply,
          xdata: (answers.xdata ?? new Xdata(new Map())).with(
            keys.WRITE_IS_APPEND,
            appends ? 1 : 0,
          ),
        }
        : { ...reply, ...answers };
    });
  }

  override truncate(_call: Call, args: Args<"truncate">): Promise<Reply<"truncate">> {
    return Promise.try(() => this.#resize(this.#node(args.inode), args.offset));
  }

  override ftruncate(_call: Call, args: Args<"ftruncate">): Promise<Reply<"ftruncate">> {
    return Promise.try(() => this.#resize(this.#writable(args.fd), args.offset));
  }

  #resize(node: MemoryNode, size: number): PrePost {
    checkRange(size, 0);
    if (node.isDirectory) throw EISDIR;
    if (node.type !== S_IFREG) throw EINVAL;
    return this.#change(node, () => node.data.resize(size));
  }

  override fallocate(_call: Call, args: Args<"fallocate">): Promise<Reply<"fallocate">> {
    return Promise.try(() => {
      const { mode, offset, size } = args;
      if (mode & ~(KEEP_SIZE | PUNCH_HOLE | ZERO_RANGE)) throw EOPNOTSUPP;
      if (mode & PUNCH_HOLE && !(mode & KEEP_SIZE)) throw EOPNOTSUPP;
      return this.#range(args, (node) => {
        if (mode & (PUNCH_HOLE | ZERO_RANGE)) node.data.clear(offset, size);
        if (mode & PUNCH_HOLE) return;
        if (!(mode & KEEP_SIZE) && node.size < offset + size) node.data.resize(offset + size);
        node.data.allocate(offset, size);
      });
    });
  }

  override discard(_call: Call, args: Args<"discard">): Promise<Reply<"discard">> {
    return Promise.try(() => this.#range(args, (node) => node.data.clear(args.offset, args.size)));
  }

  override zerofill(_call: Call, args: Args<"zerofill">): Promise<Reply<"zerofill">> {
    return Promise.try(() =>
      this.#range(args, (node) => {
        node.data.clear(args.offset, args.size);
        const end = args.offset + args.size;
        if (node.size < end) node.data.resize(end);
      })
    );
  }

  #range(args: Args<"discard">, change: (node: MemoryNode) => void): PrePost {
    checkRange(args.offset, args.size);
    if (args.size === 0) throw EINVAL;
    if (args.offset + args.size > FILE_BYTES_MAX) throw EFBIG;
    const node = this.#writable(args.fd);
    return this.#change(node, () => change(node));
  }

  override seek(_call: Call, args: Args<"seek">): Promise<Reply<"seek">> {
    return Promise.try(() => {
      checkRange(args.offset, 0);
      return { offset: this.#open(args.fd).data.seek(args.offset, args.what) };
    });
  }

  override copyFileRange(
    _call: Call,
    args: Args<"copyFileRange">,
  ): Promise<Reply<"copyFileRange">> {
    return Promise.try(() => {
      checkRange(args.sourceOffset, args.size);
      checkRange(args.offset, args.size);
      const source = this.#open(args.source), node = this.#writable(args.fd);
      const data = source.data.read(args.sourceOffset, args.size);
      const reply = this.#change(node, () => node.data.write(args.offset, data));
      return { ...reply, size: data.length, stat: source.stat() };
    });
  }

  override rchecksum(_call: Call, args: Args<"rchecksum">): Promise<Reply<"rchecksum">> {
    return Promise.try(() => {
      checkRange(args.offset, args.size);
      const data = this.#open(args.fd).data.read(args.offset, args.size);
      let low = 0, high = 0;
      for (const byte of data) high += low += byte;
      const strong = new Uint8Array(createHash("sha256").update(data).digest());
      return { weak: ((low & 0xffff) | (high << 16)) >>> 0, strong };
    });
  }

  override setattr(_call: Call, args: Args<"setattr">): Promise<Reply<"setattr">> {
    return Promise.try(() => this.#setattr(this.#node(args.inode), args.changes));
  }

  override fsetattr(_call: Call, args: Args<"fsetattr">): Promise<Reply<"fsetattr">> {
    return Promise.try(() => this.#setattr(this.#open(args.fd), args.changes));
  }

  #setattr(node: MemoryNode, changes: AttrChanges): PrePost {
    const pre = node.stat(), now = this.#now();
    if (changes.mode !== undefined) node.mode = node.type | (changes.mode & 0o7777);
    if (changes.uid !== undefined) node.uid = changes.uid;
    if (changes.gid !== undefined) node.gid = changes.gid;
    if (changes.atime) node.atime = changes.atime === "now" ? now : changes.atime;
    if (changes.mtime) node.mtime = changes.mtime === "now" ? now : changes.mtime;
    node.ctime = now;
    return { pre, post: node.stat() };
  }

  override setxattr(_call: Call, args: Args<"setxattr">): Promise<Reply<"setxattr">> {
    return Promise.try(() => {
      setXattrs(this.#node(args.inode).xattrs, args.xattrs, args.flags);
      return DONE;
    });
  }

  override fsetxattr(_call: Call, args: Args<"fsetxattr">): Promise<Reply<"fsetxattr">> {
    return Promise.try(() => {
      setXattrs(this.#open(args.fd).xattrs, args.xattrs, args.flags);
      return DONE;
    });
  }

  override getxattr(_call: Call, args: Args<"getxattr">): Promise<Reply<"getxattr">> {
    return Promise.try(() => {
      const node = this.#node(args.inode);
      if (args.name !== PATH) return { xattrs: getXattrs(node.xattrs, args.name) };
      const path = this.#nodes.get(ROOT_GFID)!.pathOf(node);
      if (path === undefined) throw ENODATA;
      return { xattrs: Xdata.of([[PATH, str(path)]]) };
    });
  }

  override fgetxattr(_call: Call, args: Args<"fgetxattr">): Promise<Reply<"fgetxattr">> {
    return Promise.try(() => ({ xattrs: getXattrs(this.#open(args.fd).xattrs, args.name) }));
  }

  override removexattr(_call: Call, args: Args<"removexattr">): Promise<Reply<"removexattr">> {
    return Promise.try(() => {
      removeXattrs(this.#node(args.inode).xattrs, args.name, args.xdata);
      return DONE;
    });
  }

  override fremovexattr(_call: Call, args: Args<"fremovexattr">): Promise<Reply<"fremovexattr">> {
    return Promise.try(() => {
      removeXattrs(this.#open(args.fd).xattrs, args.name, args.xdata);
      return DONE;
    });
  }

  override xattrop(_call: Call, args: Args<"xattrop">): Promise<Reply<"xattrop">> {
    return Promise.try(() => ({
      xattrs: xattrop(this.#node(args.inode).xattrs, args.op, args.xattrs),
    }));
  }

  override fxattrop(_call: Call, args: Args<"fxattrop">): Promise<Reply<"fxattrop">> {
    return Promise.try(() => ({
      xattrs: xattrop(this.#open(args.fd).xattrs, args.op, args.xattrs),
    }));
  }

  override ipc(_call: Call, _args: Args<"ipc">): Promise<Reply<"ipc">> {
    return Promise.resolve(DONE);
  }

  override readdir(_call: Call, args: Args<"readdir">): Promise<Reply<"readdir">> {
    return Promise.try(() => listOf(this.#open(args.fd), args, 0, () => ({})));
  }

  override readdirp(_call: Call, args: Args<"readdirp">): Promise<Reply<"readdirp">> {
    return Promise.try(() =>
      listOf(this.#open(args.fd), args, 148, (node) => ({
        stat: node.stat(),
        ...answersOf(node, args.xdata),
      }))
    );
  }
}

function subdirectories(directory: MemoryNode): number {
  let count = 0;
  for (const { node } of directory.entries.values()) if (node.isDirectory) count++;
  return count;
}

// Distribute's layout of the parent must still be what the client chose this brick by.
function checkPreop(parent: MemoryNode, xdata: Xdata | undefined): void {
  const key = xdata?.get(keys.PREOP_PARENT_KEY);
  const expected = key === undefined ? undefined : xdata?.raw(key);
  if (key === undefined || expected === undefined) return;
  const found = parent.xattrs.get(key), wanted = valueBytes(expected);
  if (found && wanted && equalBytes(found, wanted)) return;
  throw EIO.carrying({ xdata: withKey(undefined, keys.PREOP_CHECK_FAILED, 1) });
}

// What a create's xdata asks to be set on the new inode.
function xattrsToSet(xdata: Xdata | undefined): Xdata | undefined {
  const checked = xdata?.get(keys.PREOP_PARENT_KEY);
  const set = [...xdata ?? []].filter(([name]) => isXattrName(name) && name !== checked);
  return set.length ? Xdata.of(set) : undefined;
}
