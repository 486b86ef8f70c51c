/**
 * Locks that come along with other requests, between our own clients and our own bricks. Whoever
 * changes a file's data on several bricks locks it, marks it, changes it, takes the mark off and gives
 * the lock up. With its lock in the request that marks, and the unlocking in the one that takes the
 * mark off, that is three requests for a brick in the place of five.
 *
 * A brick that serves such requests says so when a client joins it (`CARRIES_LOCKS`); one that does not
 * would overlook the keys, and must never be sent them.
 */

import type { Call } from "core/call.ts";
import {
  type Args,
  type CreateReply,
  DONE,
  type Empty,
  type FopName,
  type Fops,
  type Reply,
} from "core/fops.ts";
import { intKey, textKey, withKey, Xdata } from "core/xdata.ts";
import { GFID_REQ } from "core/xdata_keys.ts";
import { settle, windTo } from "core/xlator.ts";

/** In the answer of a brick to who joins it, 1: it serves what this file describes. */
export const CARRIES_LOCKS = intKey("mortar.carries-locks");
/**
 * Asked with xattrop and fxattrop, a domain: the inode is locked there as a whole, for writing, before
 * anything else is done. If somebody has it the request fails with EAGAIN; if the request fails, nobody
 * has the lock.
 *
 * Asked with create: a file that is made, with the gfid that was asked for, is locked and the attributes
 * that came along (`trusted.`) are added to its own, as by fxattrop. If that was done the answer has the
 * key, too; if not, the file is made all the same, and nobody has the lock.
 */
export const LOCK_ALONG = textKey("mortar.lock-along");
/**
 * The same the other way: the lock is given up when the rest is done, whether it failed or not. Asked
 * with release, too: the attributes that came along (`trusted.`) are added to the file's first, as by
 * fxattrop; it is closed whatever fails.
 */
export const UNLOCK_ALONG = textKey("mortar.unlock-along");

/** Fops that may carry locks. */
export const CARRYING: ReadonlySet<FopName> = new Set<FopName>([
  "xattrop",
  "fxattrop",
  "create",
  "release",
]);

/** Winds a fop of a client to a brick's graph, with the locks that came along. */
export function windCarrying<K extends FopName>(
  top: Fops,
  fop: K,
  call: Call,
  args: Args<K>,
): Promise<Reply<K>> {
  const { xdata } = args as { readonly xdata?: Xdata | undefined };
  const lock = xdata?.get(LOCK_ALONG), unlock = xdata?.get(UNLOCK_ALONG);
  if (!CARRYING.has(fop) || lock === undefined && unlock === undefined) {
    return windTo(top, fop, call, args);
  }
  if (fop === "create") {
    return created(top, call, args as Args<"create">, lock) as Promise<Reply<K>>;
  }
  const rest = xdata!.without(LOCK_ALONG, UNLOCK_ALONG);
  return carried(top, fop, call, { ...args, xdata: rest } as Args<K>, lock, unlock);
}

async function carried<K extends FopName>(
  top: Fops,
  fop: K,
  call: Call,
  args: Args<K>,
  lock: string | undefined,
  unlock: string | undefined,
): Promise<Reply<K>> {
  if (lock !== undefined) await lockWhole(top, call, args, lock, "write");
  const [answer] = await settle([
    fop === "release"
      ? marked(top, call, args as Args<"release">) as Promise<Reply<K>>
      : windTo(top, fop, call, args),
  ]);
  const over = answer!.ok ? unlock : unlock ?? lock;
  // What cannot be given up goes with the connection.
  if (over !== undefined) await settle([lockWhole(top, call, args, over, "unlock")]);
  if (fop === "release") await top.release(call, { fd: (args as Args<"release">).fd });
  if (!answer!.ok) throw answer!.error;
  return answer!.value;
}

// The marks that came along with the closing or making of a file.
async function marked(top: Fops, call: Call, { fd, xdata }: Args<"release">): Promise<Empty> {
  const marks = [...xdata ?? []].filter(([name]) => isMark(name));
  await top.fxattrop(call, { fd, op: "add32", xattrs: Xdata.of(marks) });
  return DONE;
}

function isMark(name: string): boolean {
  return name.startsWith("trusted.");
}

async function created(
  top: Fops,
  call: Call,
  args: Args<"create">,
  domain: string | undefined,
): Promise<CreateReply> {
  const { xdata } = args, marks = [...xdata!.names()].filter(isMark);
  const rest = xdata!.without(LOCK_ALONG, UNLOCK_ALONG, ...marks);
  const reply = await top.create(call, { ...args, xdata: rest }), { fd, stat } = reply;
  // What was there somebody may write, or have written.
  if (domain === undefined || stat.gfid !== xdata!.get(GFID_REQ)) return reply;
  const along = withKey(undefined, LOCK_ALONG, domain);
  const [locked] = await settle([lockWhole(top, call, { fd }, domain, "write", along)]);
  if (!locked!.ok) return reply;
  const [done] = await settle([marked(top, call, { fd, xdata })]);
  if (done!.ok) return { ...reply, xdata: withKey(reply.xdata, LOCK_ALONG, domain) };
  await settle([lockWhole(top, call, { fd }, domain, "unlock")]);
  return reply;
}

/** Takes, if nobody has it, or gives up the lock of a whole inode. */
function lockWhole(
  top: Fops,
  call: Call,
  args: object,
  domain: string,
  type: "write" | "unlock",
  xdata?: Xdata,
): Promise<unknown> {
  const { fd, inode } = args as Partial<Args<"finodelk"> & Args<"inodelk">>;
  const lock = { type, whence: 0, start: 0n, size: 0n, pid: call.pid, owner: call.lkOwner };
  return fd
    ? top.finodelk(call, { fd, domain, cmd: "set", lock, xdata })
    : top.inodelk(call, { inode: inode!, domain, cmd: "set", lock, xdata });
}

/**
 * What a client does about an answer that nobody waits for any more: the lock that it tells of stands
 * in everybody's way. Undefined if the request took none.
 */
export function undoCarried(
  layer: Fops,
  call: Call,
  args: Args<FopName>,
): (() => Promise<unknown>) | undefined {
  const domain = (args as { readonly xdata?: Xdata | undefined }).xdata?.get(LOCK_ALONG);
  return domain === undefined ? undefined : () => lockWhole(layer, call, args, domain, "unlock");
}

/** The same for a file that was made, and is to be closed. */
export async function undoCreated(
  layer: Fops,
  call: Call,
  { fd, xdata }: CreateReply,
): Promise<Empty> {
  const domain = xdata?.get(LOCK_ALONG);
  if (domain !== undefined) await settle([lockWhole(layer, call, { fd }, domain, "unlock")]);
  return await layer.release(call, { fd });
}
