import { deepStrictEqual as deepEqual, rejects } from "node:assert/strict";
import { type Call, type LkOwner, NO_OWNER, ROOT } from "core/call.ts";
import { EAGAIN } from "core/errno.ts";
import type { Args, FopName, Reply } from "core/fops.ts";
import type { Fd, Inode } from "core/inode.ts";
import { readOptions } from "core/options.ts";
import { Uniform } from "core/xlator.ts";
import { connect, create, is, memoryBrick, over, serveBrick } from "tests/fakes/client_brick.ts";
import { node } from "tests/fakes/node.ts";
import { locks } from "xlators/features/locks/locks.ts";

const ONE: Call = { ...ROOT, pid: 11, lkOwner: "01" as LkOwner };
const TWO: Call = { ...ROOT, pid: 22, lkOwner: "02" as LkOwner };

/** Notes the flushes that arrive. */
class Flushes extends Uniform {
  readonly flushed: Inode[] = [];
  protected around<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    if (fop === "flush") this.flushed.push((args as Args<"flush">).fd.inode);
    return this.wind(fop, call, args);
  }
}

function all(fd: Fd): Args<"lk"> {
  const lock = { type: "write", whence: 0, start: 0n, size: 0n, pid: 5, owner: NO_OWNER } as const;
  return { fd, cmd: "set", lock };
}

Deno.test("protocol/client: a brick hears of a flush if it may have locks of the file, else not", async () => {
  const disk = memoryBrick();
  const values = readOptions(locks.options, new Map());
  const locked = over(disk, (inodes) => locks.create(node("locks", [disk], { inodes }), values));
  const brick = over(locked, (inodes) => new Flushes(node("brick", [locked], { inodes })));
  const served = await serveBrick(brick);
  const [c, other] = [await connect(served.port), await connect(served.port)];
  const { fd: plain } = await create(c.top, c.inodes, "plain");
  await c.top.flush(ONE, { fd: plain });
  const { fd } = await create(c.top, c.inodes, "locked");
  await c.top.lk(ONE, all(fd));
  await c.top.flush(ONE, { fd });
  // The lock is gone, and a lock that was refused counts as well: the brick may have granted another.
  const inode = other.inodes.of(fd.inode.gfid);
  const { fd: theirs } = await other.top.open(ROOT, { inode, flags: 2 });
  await other.top.lk(TWO, all(theirs));
  await rejects(c.top.lk(ONE, all(fd)), is(EAGAIN));
  await other.top.flush(TWO, { fd: theirs });
  deepEqual(brick.flushed.map(({ gfid }) => gfid), [fd.inode.gfid, fd.inode.gfid]);
  await Promise.all([c.stop(), other.stop()]);
  await served.stop();
});
