/** Operations on open directories. */

import type { Call } from "core/call.ts";
import { FopError } from "core/errno.ts";
import type { Dirent } from "core/fops.ts";
import { isDirectory } from "core/iatt.ts";
import { encodeName } from "core/lib/bytes.ts";
import type { Bridge } from "xlators/mount/fuse/bridge.ts";
import type { Handle, Listed, ListedEntry } from "xlators/mount/fuse/handles.ts";
import type { Node } from "xlators/mount/fuse/nodes.ts";
import {
  DATA_MAX,
  DIRENT,
  ENTRY,
  FSYNC_DATA_ONLY,
  OUT_HEADER,
} from "xlators/mount/fuse/protocol.ts";
import { putEntry, ReplyBuffer } from "xlators/mount/fuse/reply.ts";
import type { Request } from "xlators/mount/fuse/request.ts";

/**
 * How much of a listing is asked for at once. The kernel takes a page at a time: what is left over
 * waits for its next request.
 */
const LISTING_BYTES = 128 << 10;
/** How long that stays true, in milliseconds. */
const LISTED_MS = 1000;

// Listings are put together and written at once.
const listing = new ReplyBuffer(DATA_MAX);

/** OPENDIR. */
export async function opendir(bridge: Bridge, request: Request): Promise<void> {
  const node = bridge.nodes.of(request.nodeid);
  const call = bridge.call(request);
  const { fd } = await bridge.top.opendir(call, { inode: node.inode });
  const handle = bridge.handles.addDirectory(fd, node);
  if (bridge.reply.opened(request.unique, handle.number, 0) >= 0) return;
  bridge.handles.remove(handle);
  await bridge.top.releasedir(call, { fd });
}

/** READDIR. */
export async function readdir(bridge: Bridge, request: Request): Promise<void> {
  const handle = bridge.handles.of(request.u64(0));
  const size = Math.min(request.u32(16), DATA_MAX);
  const listed = await listedFrom(bridge, request, handle, request.big(8), false);
  let used = 0;
  for (; listed.next < listed.entries.length; listed.next++) {
    const after = putDirent(bridge, used, size, listed.entries[listed.next]!, 0);
    if (after === undefined) break;
    used = after;
  }
  bridge.reply.filled(listing, request.unique, used);
}

/** READDIRPLUS. */
export async function readdirplus(bridge: Bridge, request: Request): Promise<void> {
  const handle = bridge.handles.of(request.u64(0));
  const size = Math.min(request.u32(16), DATA_MAX);
  const listed = await listedFrom(bridge, request, handle, request.big(8), true);
  const told: Node[] = [];
  let used = 0;
  for (; listed.next < listed.entries.length; listed.next++) {
    const entry = listed.entries[listed.next]!;
    const after = putDirent(bridge, used, size, entry, ENTRY);
    if (after === undefined) break;
    putAttributesOf(bridge, request.nodeid, used, current(bridge, listed, entry), told);
    used = after;
  }
  if (bridge.reply.filled(listing, request.unique, used) >= 0) return;
  for (const node of told) bridge.untold(node, -1);
}

// Entries after the cookie `offset`: left over from the last answer, read ahead, or asked for.
async function listedFrom(
  bridge: Bridge,
  request: Request,
  handle: Handle,
  offset: bigint,
  plus: boolean,
): Promise<Listed> {
  const { listed, ahead } = handle;
  if (listed && isGood(bridge, handle, listed, plus)) {
    const last = listed.next > 0 ? listed.entries[listed.next - 1] : undefined;
    const goesOn = last !== undefined && BigInt.asUintN(64, last.offset) === offset;
    if (goesOn && (listed.next < listed.entries.length || listed.eof)) return listed;
  }
  const call = bridge.call(request), from = BigInt.asIntN(64, offset);
  const came = ahead && await ahead.listed;
  handle.ahead = undefined;
  const isNext = came && ahead.offset === from && isGood(bridge, handle, came, plus);
  const next = isNext ? came : await list(bridge, call, handle, from, plus);
  const last = next.entries.at(-1);
  // Whoever reads so far most often reads on; but what he changes meanwhile is read again.
  if (last && !next.eof && (!came || isNext)) {
    // What fails is asked for again, and told then.
    const listed = list(bridge, call, handle, last.offset, plus).catch((error) => {
      if (!(error instanceof FopError)) throw error;
      return undefined;
    });
    handle.ahead = { offset: last.offset, plus, listed };
  }
  return handle.listed = next;
}

function isGood(bridge: Bridge, { node }: Handle, listed: Listed, plus: boolean): boolean {
  return listed.plus === plus && bridge.env.clock.monotonic() - listed.at < LISTED_MS &&
    !bridge.changes.isChanged(node.id, listed.moment);
}

async function list(
  { top, env: { clock }, changes }: Bridge,
  call: Call,
  { fd }: Handle,
  offset: bigint,
  plus: boolean,
): Promise<Listed> {
  const args = { fd, offset, size: LISTING_BYTES }, at = clock.monotonic(), { moment } = changes;
  const { entries, eof } = await (plus ? top.readdirp(call, args) : top.readdir(call, args));
  return { entries, next: 0, eof, plus, at, moment };
}

// Puts an entry behind `before` bytes; answers where the next goes, or undefined if there is no room.
function putDirent(
  { validity }: Bridge,
  used: number,
  size: number,
  entry: Dirent,
  before: number,
): number | undefined {
  const name = encodeName(entry.name);
  const whole = before + DIRENT + name.length;
  const padded = (whole + 7) & ~7;
  if (used + padded > size) return undefined;
  const { bytes, view } = listing;
  const at = OUT_HEADER + used + before;
  const { ino } = entry;
  view.setBigUint64(at, validity.ino32 ? (ino ^ (ino >> 32n)) & 0xffff_ffffn : ino, true);
  view.setBigUint64(at + 8, BigInt.asUintN(64, entry.offset), true);
  view.setUint32(at + 16, name.length, true);
  view.setUint32(at + 20, entry.type, true);
  bytes.set(name, at + DIRENT);
  bytes.fill(0, at + DIRENT + name.length, OUT_HEADER + used + padded);
  return used + padded;
}

// The entry without attributes that may be older than what the kernel was told since.
function current({ changes, nodes, inodes }: Bridge, listed: Listed, entry: ListedEntry) {
  const { stat } = entry, { moment } = listed;
  if (!stat || changes.isQuiet(moment)) return entry;
  const node = nodes.known(inodes.of(stat.gfid));
  // Of a file with several names, any may have gone.
  const isOld = node !== undefined && changes.isChanged(node.id, moment) ||
    stat.nlink > 1 && !isDirectory(stat) && changes.areNamesChanged(moment);
  return isOld ? { ...entry, stat: undefined } : entry;
}

// A node of 0 tells nothing of an entry: the kernel looks it up when it needs to know. Whoever lists
// in order and faster than the kernel forgets has to wait for it that way.
function putAttributesOf(
  bridge: Bridge,
  parent: number,
  used: number,
  entry: ListedEntry,
  told: Node[],
): void {
  const at = OUT_HEADER + used;
  const { name, stat } = entry;
  if (!stat || name === "." || name === ".." || !bridge.mayTellMore) {
    listing.bytes.fill(0, at, at + ENTRY);
    return;
  }
  const node = bridge.tell(stat, parent, name);
  told.push(node);
  putEntry(listing.view, at, node.id, stat, bridge.validity);
}

/** RELEASEDIR. */
export async function releasedir(bridge: Bridge, request: Request): Promise<void> {
  const handle = bridge.handles.of(request.u64(0));
  bridge.handles.remove(handle);
  bridge.reply.ok(request.unique);
  const call = bridge.call(request);
  await handle.ahead?.listed;
  await bridge.top.releasedir(call, { fd: handle.fd });
}

/** FSYNCDIR. */
export async function fsyncdir(bridge: Bridge, request: Request): Promise<void> {
  const { fd } = bridge.handles.of(request.u64(0));
  const dataOnly = (request.u32(8) & FSYNC_DATA_ONLY) !== 0;
  await bridge.top.fsyncdir(bridge.call(request), { fd, dataOnly });
  bridge.reply.ok(request.unique);
}
