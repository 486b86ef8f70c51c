/**
 * What each fop answers for an inode of a view. What changes something is refused before it comes
 * here; the compiler sees to it that no other fop is missing.
 */

import type { Call } from "core/call.ts";
import { changesAsked } from "core/changed_since.ts";
import {
  EACCES,
  EINVAL,
  EISDIR,
  ELOOP,
  ENOENT,
  ENXIO,
  EOPNOTSUPP,
  EROFS,
  ESTALE,
} from "core/errno.ts";
import {
  type Args,
  type DirentPlus,
  DONE,
  type FopName,
  FOPS,
  O_ACCMODE,
  O_TRUNC,
  type ReadvReply,
  type Reply,
} from "core/fops.ts";
import { type Iatt, isDirectory, isRegular, isSymlink } from "core/iatt.ts";
import type { Fd, Gfid, Inode } from "core/inode.ts";
import { blockSums } from "core/lib/block_sums.ts";
import { decodeName, encodeName } from "core/lib/bytes.ts";
import { withKey, type Xdata } from "core/xdata.ts";
import { CONTENT, CONTENT_LIMIT } from "core/xdata_keys.ts";
import type { InodeState } from "snapshot/engine/live.ts";
import { asDirectory, type Tree } from "xlators/features/snapshot/trees.ts";
import { answersTo, xattrsOf } from "xlators/features/snapshot/view_answers.ts";
import { type Found, page, ViewFd } from "xlators/features/snapshot/view_fd.ts";

/** Fops that have an inode and change nothing. */
export type ServedFop = Exclude<
  { [K in FopName]: typeof FOPS[K]["kind"] extends "modify" ? never : K }[FopName],
  "ipc"
>;

/** What the fops need of whoever serves them. */
export interface Server {
  /** The inode of a tree's gfid, known as that from now on. */
  inodeOf(gfid: Gfid, tree: Tree): Inode;
  /** The live volume's. */
  statfs(call: Call): Promise<Reply<"statfs">>;
}

type Serve<K extends FopName> = (
  server: Server,
  call: Call,
  args: Args<K>,
  tree: Tree,
) => Promise<Reply<K>>;

const R_OK = 4, W_OK = 2, X_OK = 1;
const READ_MAX = 256 << 20, CONTENT_MAX = 1 << 20, RCHECKSUM_MAX = 16 << 20;

const answered = () => Promise.resolve(DONE);
const locked = (_server: Server, _call: Call, { lock, cmd }: Args<"lk">) =>
  // Nobody can change what is locked: nobody is in the way.
  Promise.resolve({ lock: cmd === "get" ? { ...lock, type: "unlock" as const } : lock });

async function changesOf(tree: Tree, { gfid }: Inode, name: string): Promise<Xdata | undefined> {
  const asked = tree.active ? changesAsked(name) : undefined;
  return asked && await tree.changedSince?.(gfid, asked);
}

/** One line a fop. */
export const VIEW_FOPS: { readonly [K in ServedFop]: Serve<K> } = {
  lookup,
  stat: async (_server, _call, { inode, xdata }, tree) => told(await stateOf(tree, inode), xdata),
  fstat: async (_server, _call, { fd, xdata }, tree) => told(await openState(tree, fd), xdata),
  getxattr: async (_server, call, { inode, name, xdata }, tree) => {
    const changes = await changesOf(tree, inode, name);
    if (changes) return { xattrs: changes };
    const state = await stateOf(tree, inode);
    return { xattrs: xattrsOf(call, name, state), xdata: answersTo(xdata, state) };
  },
  fgetxattr: async (_server, call, { fd, name, xdata }, tree) => {
    const changes = await changesOf(tree, fd.inode, name);
    if (changes) return { xattrs: changes };
    const state = await openState(tree, fd);
    return { xattrs: xattrsOf(call, name, state), xdata: answersTo(xdata, state) };
  },
  readlink: async (_server, _call, { inode, size }, tree) => {
    const { target, iatt } = await stateOf(tree, inode);
    if (target === undefined) throw EINVAL;
    return { target: decodeName(encodeName(target).subarray(0, size)), stat: iatt };
  },
  access: async (_server, call, { inode, mask }, tree) => {
    const { iatt } = await stateOf(tree, inode);
    if (mask & W_OK) throw EROFS;
    if (!mayAccess(call, iatt, mask)) throw EACCES;
    return DONE;
  },
  open: async (_server, _call, { inode, flags }, tree) => {
    const state = await stateOf(tree, inode), { iatt } = state;
    if (isDirectory(iatt)) throw EISDIR;
    if (isSymlink(iatt)) throw ELOOP;
    if (!isRegular(iatt)) throw ENXIO;
    if (flags & (O_ACCMODE | O_TRUNC)) throw EROFS;
    return { fd: new ViewFd(inode, flags, tree, state) };
  },
  opendir: async (_server, _call, { inode }, tree) => {
    const state = asDirectory(await stateOf(tree, inode));
    return { fd: new ViewFd(inode, 0, tree, state) };
  },
  readv,
  seek: async (_server, _call, { fd, offset, what }, tree) => {
    const { iatt } = await openState(tree, fd);
    if (!isRegular(iatt)) throw EISDIR;
    const found = await tree.seek(fd.inode.gfid, checkedOffset(offset), what);
    if (found === undefined) throw ENXIO;
    return { offset: found };
  },
  readdir: async (_server, _call, args, tree) => {
    const { found, eof } = page(...await listingOf(args.fd, tree), args, false);
    return { entries: found.map(({ of: _, ...entry }) => entry), eof };
  },
  readdirp,
  statfs: (server, call) => server.statfs(call),
  rchecksum: async (server, call, args, tree) => {
    if (args.size > RCHECKSUM_MAX) throw EINVAL;
    const { data } = await readv(server, call, args, tree);
    return blockSums(data, args.xdata);
  },
  flush: answered,
  fsync: (_server, _call, { fd }, tree) =>
    openState(tree, fd).then(({ iatt }) => ({ pre: iatt, post: iatt })),
  fsyncdir: answered,
  release: closed,
  releasedir: closed,
  lk: locked,
  inodelk: answered,
  finodelk: answered,
  entrylk: answered,
  fentrylk: answered,
  lease: () => Promise.reject(EOPNOTSUPP),
  getactivelk: () => Promise.resolve({ locks: [] }),
  setactivelk: answered,
};

/** The state of an inode. ESTALE: the tree has none, or may not be looked at. */
async function stateOf(tree: Tree, { gfid }: Inode): Promise<InodeState> {
  const state = tree.active ? await tree.state(gfid) : undefined;
  if (!state || !tree.active) throw ESTALE;
  return state;
}

// What is open was found before, and does not change.
async function openState(tree: Tree, fd: Fd): Promise<InodeState> {
  if (!(fd instanceof ViewFd)) return await stateOf(tree, fd.inode);
  fd.check();
  if (!tree.active) throw ESTALE;
  return fd.state;
}

function told(state: InodeState, xdata: Args<"stat">["xdata"]): Reply<"stat"> {
  return { stat: state.iatt, xdata: answersTo(xdata, state) };
}

function closed(_server: Server, _call: Call, { fd }: { readonly fd: Fd }) {
  if (fd instanceof ViewFd) {
    fd.check();
    fd.closed = true;
  }
  return answered();
}

function mayAccess({ uid, gid, groups }: Call, iatt: Iatt, mask: number): boolean {
  const isOwn = uid === iatt.uid, isGroup = gid === iatt.gid || groups.includes(iatt.gid);
  const bits = uid === 0
    ? R_OK | W_OK | (isDirectory(iatt) || iatt.mode & 0o111 ? X_OK : 0)
    : iatt.mode >> (isOwn ? 6 : isGroup ? 3 : 0);
  return (mask & ~bits & 7) === 0;
}

async function lookup(
  server: Server,
  _call: Call,
  { inode, parent, name, xdata }: Args<"lookup">,
  tree: Tree,
): Promise<Reply<"lookup">> {
  if (!parent || name === "" || name === ".") {
    const state = await stateOf(tree, (inode ?? parent)!);
    return { ...await withContent(tree, state, xdata), postParent: undefined };
  }
  const { iatt: postParent } = asDirectory(await stateOf(tree, parent));
  const found = await tree.entry(parent.gfid, name);
  if (!found) throw ENOENT.carrying({ postParent });
  const state = await stateOf(found.tree, server.inodeOf(found.gfid, found.tree));
  return { ...await withContent(found.tree, state, xdata), postParent };
}

async function withContent(tree: Tree, state: InodeState, xdata: Args<"lookup">["xdata"]) {
  const reply = told(state, xdata), { size } = state.iatt;
  const limit = xdata?.get(CONTENT_LIMIT) ?? 0;
  if (!isRegular(state.iatt) || limit === 0 || size > Math.min(limit, CONTENT_MAX)) return reply;
  const content = new Uint8Array(size);
  await tree.read(state.iatt.gfid, 0, content);
  return { ...reply, xdata: withKey(reply.xdata, CONTENT, content) };
}

function checkedOffset(offset: number): number {
  if (!Number.isSafeInteger(offset) || offset < 0) throw EINVAL;
  return offset;
}

function readv(
  _server: Server,
  _call: Call,
  args: Omit<Args<"readv">, "flags">,
  tree: Tree,
): Promise<ReadvReply> {
  const { fd } = args;
  if (!(fd instanceof ViewFd) || fd.closed || !tree.active) {
    return openState(tree, fd).then((state) => readFrom(state, args, tree));
  }
  return readFrom(fd.state, args, tree);
}

// Without a wait where there is nothing to wait for.
function readFrom(
  { iatt }: InodeState,
  { fd, offset, size, into }: Omit<Args<"readv">, "flags">,
  tree: Tree,
): Promise<ReadvReply> {
  if (isDirectory(iatt)) return Promise.reject(EISDIR);
  if (!(size > 0 && size <= READ_MAX && Number.isSafeInteger(offset) && offset >= 0)) {
    return Promise.reject(EINVAL);
  }
  const there = Math.max(0, Math.min(size, iatt.size - offset));
  // A peer does not choose our memory: no more than there is to read.
  const data = into && into.length >= there ? into.subarray(0, there) : new Uint8Array(there);
  const reply = (count: number): ReadvReply => ({
    data: count === there ? data : data.subarray(0, count),
    stat: iatt,
    eof: offset + count >= iatt.size,
  });
  try {
    const count = tree.read(fd.inode.gfid, offset, data);
    if (typeof count === "number") return Promise.resolve(reply(count));
    return count.then((count) => {
      // What it read may have been given back meanwhile.
      if (!tree.active) throw ESTALE;
      return reply(count);
    });
  } catch (error) {
    return Promise.reject(error);
  }
}

async function listingOf(fd: Fd, tree: Tree) {
  asDirectory(await openState(tree, fd));
  const { gfid } = fd.inode;
  const listing = fd instanceof ViewFd ? await fd.listing() : await tree.entries(gfid);
  if (!tree.active) throw ESTALE;
  return [{ gfid, tree }, listing] as const;
}

async function readdirp(
  server: Server,
  _call: Call,
  args: Args<"readdirp">,
  tree: Tree,
): Promise<Reply<"readdirp">> {
  const { found, eof } = page(...await listingOf(args.fd, tree), args, true);
  return { entries: await describe(server, found, args.xdata), eof };
}

/** Entries with attributes, and what a request asks for each. */
export async function describe(
  server: Server,
  found: readonly Found[],
  xdata: Xdata | undefined,
): Promise<DirentPlus[]> {
  const entries: DirentPlus[] = [], request = xdata?.without(CONTENT.name);
  for (const { of, ...entry } of found) {
    const state = of && await of.tree.state(of.gfid);
    if (state) server.inodeOf(of.gfid, of.tree);
    const answers = state && answersTo(request, state);
    entries.push({ ...entry, stat: state?.iatt, xdata: answers });
  }
  return entries;
}
