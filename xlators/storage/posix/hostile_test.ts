/** Arguments of every fop that no client would send, from a seed: each is answered or refused as a fop is. */

import { ok } from "node:assert/strict";
import { type Call, ROOT } from "core/call.ts";
import { FopError } from "core/errno.ts";
import { FOP_NAMES, XATTROPS } from "core/fops.ts";
import { Fd, type Gfid, NULL_GFID, ROOT_GFID } from "core/inode.ts";
import { type DictValue, ptr, str, Xdata } from "core/xdata.ts";
import { GFID_REQ } from "core/xdata_keys.ts";
import { IS_ROOT, TestBrick } from "tests/fakes/posix_brick.ts";

/** Numbers from a seed (mulberry32). */
function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

const NAMES = ["a", "b", "d", "", ".", "..", "/", "x/y", "n\0ul", ".glusterfs", "\udc80\udcff", "é"]
  .concat("n".repeat(255), "n".repeat(256), "../../etc/passwd", "*[!");
// What the codecs let through: 32 bits where the wire has 32, whole numbers below 2^53 where it has 64.
const WORDS = [0, 1, 7, 0o1777, 0o100644, 4096, 2 ** 24, 2 ** 31, 2 ** 32 - 1];
const NUMBERS = [0, 1, 4095, 4096, 2 ** 24, 2 ** 31, 2 ** 32, 2 ** 53 - 1];
const KEYS = ["trusted.gfid", "trusted.gfid2path.0", "user.x", "trusted.y", "user.", "system.z"]
  .concat("*", "[", "glusterfs.content", "list-xattr", "get-size", "set-ctime-mdata", "user.n\0ul")
  .concat("trusted.glusterfs.mdata", "glusterfs.preop.parent.key", "user." + "k".repeat(300))
  .concat("system.posix_acl_access", "glusterfs.gfid2path", "trusted.glusterfs.pathinfo", "");

async function attack(brick: TestBrick, seed: number, calls: number): Promise<void> {
  const int = generator(seed);
  const pick = <T>(from: readonly T[]): T => from[int(from.length)]!;
  const dir = await brick.mkdir("d"), file = await brick.file("a", "content");
  const open = await brick.reopen(file);
  const { fd: listing } = await brick.top.opendir(ROOT, { inode: brick.root });
  const stranger = "deadbeef-0000-4000-8000-000000000000" as Gfid;
  const inodes = [brick.root, dir, file, ...[NULL_GFID, stranger].map((g) => brick.inodes.of(g))];
  const fds = [open, listing, ...inodes.map((inode) => new Fd(inode, pick(WORDS), true))];
  fds.push(new Fd(file, 0));
  const value = (): DictValue =>
    pick([
      ptr(new Uint8Array(pick([0, 1, 12, 57, 70_000]))),
      str(pick(NAMES)),
      { type: "int", value: pick(NUMBERS) },
      { type: "uint", value: 2n ** 64n - 1n },
      { type: "gfuuid", value: pick([NULL_GFID, ROOT_GFID, stranger, file.gfid]) },
      {
        type: "mdata",
        value: {
          atime: { sec: pick(NUMBERS), nsec: pick(NUMBERS) },
          mtime: { sec: -1, nsec: 0 },
          ctime: { sec: 0, nsec: 4e9 },
        },
      },
    ]);
  const dictionary = (): Xdata => {
    const entries = Array.from({ length: int(4) }, () => [pick(KEYS), value()] as const);
    const xdata = Xdata.of(entries);
    return int(2) ? xdata.with(GFID_REQ, crypto.randomUUID() as Gfid) : xdata;
  };
  const call = (): Call => ({
    ...ROOT,
    uid: pick([0, 1000, 4294967295]),
    gid: pick([0, 4294967294]),
    pid: pick([1, -6, -1]),
    ctime: int(2) ? { sec: int(2 ** 31), nsec: int(1e9) } : undefined,
  });
  for (let i = 0; i < calls; i++) {
    const fop = pick(FOP_NAMES);
    // Freeing these would end the attack early.
    if (fop === "release" || fop === "releasedir") continue;
    const directories = fop === "readdir" || fop === "readdirp";
    const args = {
      inode: pick(inodes),
      parent: pick(inodes),
      oldParent: pick(inodes),
      newParent: pick(inodes),
      name: fop.includes("xattr") ? pick(KEYS) : pick(NAMES),
      oldName: pick(NAMES),
      newName: pick(NAMES),
      target: pick(NAMES),
      fd: pick(fds),
      source: pick(fds),
      offset: directories ? pick([0n, -1n, 2n ** 63n, 2n ** 64n - 1n, 77n]) : pick(NUMBERS),
      sourceOffset: pick(NUMBERS),
      size: pick(NUMBERS),
      mode: pick(WORDS),
      umask: 0,
      rdev: pick(WORDS),
      mask: pick(WORDS),
      flags: pick(WORDS),
      op: fop === "ipc" ? pick(WORDS) : pick(XATTROPS),
      what: pick(["data", "hole"]),
      data: new Uint8Array(pick([0, 1, 4096])),
      dataOnly: int(2) === 1,
      changes: { mode: pick(WORDS), uid: pick(WORDS), atime: { sec: pick(NUMBERS), nsec: 5 } },
      xattrs: int(4) ? dictionary() : undefined,
      xdata: int(4) ? dictionary() : undefined,
    };
    const method = brick.top[fop] as (call: Call, args: unknown) => Promise<unknown>;
    try {
      const reply = await method.call(brick.top, call(), args) as { fd?: Fd };
      if (reply.fd && fop === "opendir") await brick.top.releasedir(ROOT, { fd: reply.fd });
      else if (reply.fd) await brick.top.release(ROOT, { fd: reply.fd });
    } catch (error) {
      ok(error instanceof FopError, `${fop} threw ${error}\n${(error as Error).stack}`);
    }
  }
  await brick.top.release(ROOT, { fd: open });
  await brick.top.releasedir(ROOT, { fd: listing });
}

Deno.test({
  name: "storage/posix: whatever is asked is answered or refused, and nothing outside is touched",
  ignore: !IS_ROOT,
  async fn() {
    const seed = Number(Deno.env.get("SEED") ?? 7);
    await using brick = await TestBrick.start({ reserve: "0" });
    try {
      await attack(brick, seed, 3000);
    } catch (error) {
      throw new Error(`seed ${seed}: ${error}`, { cause: error });
    }
    // The brick is in order afterwards: what was there can be found.
    await brick.restart();
    await brick.file("after", "fine");
    ok((await brick.lookup("after")).gfid);
  },
});
