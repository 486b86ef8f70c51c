import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { type LkOwner, ROOT } from "core/call.ts";
import {
  LOCK_ALONG,
  undoCarried,
  undoCreated,
  UNLOCK_ALONG,
  windCarrying,
} from "core/carried_locks.ts";
import { EAGAIN, EIO } from "core/errno.ts";
import { type Args, type CreateReply, DONE, type XattrReply } from "core/fops.ts";
import { Fd, type Gfid, InodeTable } from "core/inode.ts";
import { ptr, withKey, Xdata, type XKey } from "core/xdata.ts";
import { GFID_REQ } from "core/xdata_keys.ts";
import { FakeChild } from "tests/fakes/fake_child.ts";
import { fails, newGfid } from "tests/conformance/place.ts";

const call = { ...ROOT, pid: 7, lkOwner: "0a" as LkOwner };
const NO_XATTRS: XattrReply = { xattrs: undefined };

const INODE = new InodeTable().root;

function asked(key?: XKey<string>): Args<"xattrop"> {
  const xdata = key && withKey(undefined, key, "domain");
  return { inode: INODE, op: "add32", xattrs: undefined, xdata } as Args<"xattrop">;
}

/** Fops that reached the brick; locks by what they do. */
function seen(child: FakeChild): string {
  return child.seen.map(({ fop, args }) => {
    if (fop !== "inodelk") return fop;
    const { domain, cmd, lock } = args as Args<"inodelk">;
    return `${cmd} ${lock.type} ${domain} ${lock.start}+${lock.size} ${lock.owner}`;
  }).join(", ");
}

const LOCK = "set write domain 0+0 0a", UNLOCK = "set unlock domain 0+0 0a";

Deno.test("core/carried_locks: the lock is taken first, and what follows does not hear of it", async () => {
  const child = new FakeChild({
    inodelk: () => Promise.resolve(DONE),
    xattrop: () => Promise.resolve(NO_XATTRS),
  });
  await windCarrying(child, "xattrop", call, asked(LOCK_ALONG));
  equal(seen(child), `${LOCK}, xattrop`);
  deepEqual((child.seen[1]!.args as Args<"xattrop">).xdata, undefined);
});

Deno.test("core/carried_locks: nothing is done where somebody else has the lock", async () => {
  const child = new FakeChild({ inodelk: () => Promise.reject(EAGAIN) });
  await fails(windCarrying(child, "xattrop", call, asked(LOCK_ALONG)), EAGAIN);
  equal(seen(child), LOCK);
});

Deno.test("core/carried_locks: who is told of a failure has no lock", async () => {
  for (const key of [LOCK_ALONG, UNLOCK_ALONG]) {
    const child = new FakeChild({
      inodelk: () => Promise.resolve(DONE),
      xattrop: () => Promise.reject(EIO),
    });
    await fails(windCarrying(child, "xattrop", call, asked(key)), EIO);
    equal(seen(child), key === LOCK_ALONG ? `${LOCK}, xattrop, ${UNLOCK}` : `xattrop, ${UNLOCK}`);
  }
});

Deno.test("core/carried_locks: the lock is given up when the rest is done, and not before", async () => {
  const child: FakeChild = new FakeChild({
    inodelk: () => Promise.resolve(DONE),
    xattrop: async () => {
      await Promise.resolve();
      equal(child.seen.length, 1);
      return NO_XATTRS;
    },
  });
  await windCarrying(child, "xattrop", call, asked(UNLOCK_ALONG));
  equal(seen(child), `xattrop, ${UNLOCK}`);
});

Deno.test("core/carried_locks: an answer that came too late is undone if it brought a lock", async () => {
  const child = new FakeChild({ inodelk: () => Promise.resolve(DONE) });
  await undoCarried(child, call, asked(LOCK_ALONG))!();
  equal(seen(child), UNLOCK);
  equal(undoCarried(child, call, asked(UNLOCK_ALONG)), undefined);
  equal(undoCarried(child, call, asked()), undefined);
});

Deno.test("core/carried_locks: a file is closed when its mark and its lock are off, whatever fails", async () => {
  const fd = new Fd(INODE, 2), mark = ptr(Uint8Array.of(0, 0, 0, 1));
  const xdata = Xdata.of([["trusted.mark", mark], ["other", mark]]).with(UNLOCK_ALONG, "domain");
  for (const fxattrop of [() => Promise.resolve(NO_XATTRS), () => Promise.reject(EIO)]) {
    const done = () => Promise.resolve(DONE);
    const child = new FakeChild({ fxattrop, finodelk: done, release: done });
    const answer = windCarrying(child, "release", call, { fd, xdata });
    await answer.catch((error) => equal(error, EIO));
    deepEqual(child.fops, ["fxattrop", "finodelk", "release"]);
    const { xattrs } = child.seen[0]!.args as Args<"fxattrop">;
    deepEqual([...xattrs!], [["trusted.mark", mark]]);
  }
});

Deno.test("core/carried_locks: a file that is made is locked and marked, one that was there is not", async () => {
  const gfid = newGfid(), other = newGfid(), mark = ptr(Uint8Array.of(0, 0, 0, 1));
  const asking = Xdata.of([["trusted.mark", mark]]).with(GFID_REQ, gfid).with(LOCK_ALONG, "domain");
  const make = async (
    { made = gfid, ...more }: { made?: Gfid; finodelk?: Error; fxattrop?: Error } = {},
  ) => {
    const done = () => Promise.resolve(DONE);
    const reply = { fd: new Fd(INODE, 2), stat: { gfid: made } } as unknown as CreateReply;
    const child = new FakeChild({
      create: () => Promise.resolve(reply),
      finodelk: (_, { lock }) =>
        more.finodelk && lock.type === "write" ? Promise.reject(more.finodelk) : done(),
      fxattrop: () => more.fxattrop ? Promise.reject(more.fxattrop) : Promise.resolve(NO_XATTRS),
    });
    const args = { parent: INODE, name: "f", flags: 2, mode: 0o644, umask: 0, xdata: asking };
    const { xdata } = await windCarrying(child, "create", call, args);
    // Storage would set what it is given as the file's.
    deepEqual([...(child.seen[0]!.args as Args<"create">).xdata!.names()], [GFID_REQ.name]);
    return `${child.fops.join(" ")}, ${xdata?.has(LOCK_ALONG) ?? false}`;
  };
  equal(await make(), "create finodelk fxattrop, true");
  equal(await make({ made: other }), "create, false");
  equal(await make({ finodelk: EAGAIN }), "create finodelk, false");
  equal(await make({ fxattrop: EIO }), "create finodelk fxattrop finodelk, false");
});

Deno.test("core/carried_locks: a file that was made too late for its caller is unlocked and closed", async () => {
  const done = () => Promise.resolve(DONE);
  const child = new FakeChild({ finodelk: done, release: done });
  const reply = { fd: new Fd(INODE, 2), stat: {} } as unknown as CreateReply;
  await undoCreated(child, call, reply);
  await undoCreated(child, call, { ...reply, xdata: withKey(undefined, LOCK_ALONG, "domain") });
  deepEqual(child.fops, ["release", "finodelk", "release"]);
});
