import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { PID_SELF_HEAL, ROOT } from "core/call.ts";
import { EACCES } from "core/errno.ts";
import { DONE, O_APPEND, O_RDWR, O_SYNC } from "core/fops.ts";
import { Fd, type Gfid, Inode } from "core/inode.ts";
import { LateOpens } from "core/late_opens.ts";
import { FakeChild, type Script } from "tests/fakes/fake_child.ts";
import { flock } from "tests/fakes/flock.ts";

const inode = new Inode("aaaaaaaa-0000-4000-8000-000000000001" as Gfid);
const other = new Inode("aaaaaaaa-0000-4000-8000-000000000002" as Gfid);

function bed(script: Script = {}) {
  const child = new FakeChild({
    open: (_call, { inode, flags }) => Promise.resolve({ fd: new Fd(inode, flags) }),
    release: () => Promise.resolve(DONE),
    ...script,
  });
  const late = new LateOpens(child);
  const hand = (of = inode) => late.hand(ROOT, { inode: of, flags: 0 });
  return { child, late, hand };
}

Deno.test("late opens: what writes, appends or heals is opened at once, and while a name goes all is", async () => {
  const { late } = bed();
  const may = (flags: number, pid = ROOT.pid) => late.mayWait({ ...ROOT, pid }, { inode, flags });
  deepEqual([0, O_RDWR, O_APPEND, O_SYNC].map((flags) => may(flags)), [true, false, false, false]);
  equal(may(0, PID_SELF_HEAL), false);
  const going = Promise.withResolvers<void>();
  const taken = late.guard("unlink", {}, () => going.promise);
  deepEqual([may(0), late.takes], [false, 1]);
  going.resolve();
  await taken;
  equal(may(0), true);
});

Deno.test("late opens: before a name goes all is opened, before rights change what they are of", async () => {
  const { child, late, hand } = bed();
  hand();
  hand(other);
  const seen = () => Promise.resolve(child.fops.length);
  equal(await late.guard("setattr", { inode: other }, seen), 1);
  equal(await late.guard("fsetxattr", { fd: new Fd(other, 0) }, seen), 1);
  equal(await late.guard("rename", {}, seen), 2);
  deepEqual([late.waiting, late.answered, late.sent], [0, 2, 2]);
});

Deno.test("late opens: what could not be opened is tried again by who uses it next", async () => {
  let refused = true;
  const { late, hand } = bed({
    open: (_call, { inode, flags }) =>
      refused ? Promise.reject(EACCES) : Promise.resolve({ fd: new Fd(inode, flags) }),
  });
  const { fd, opened } = hand();
  equal(await late.guard("unlink", {}, () => Promise.resolve("gone")), "gone");
  await rejects(late.through({ fd }), (error) => EACCES.matches(error));
  refused = false;
  deepEqual(await late.through({ fd, size: 1 }), { fd: opened.real, size: 1 });
});

Deno.test("late opens: where somebody asked for a lock, closing is heard below", () => {
  const { late, hand } = bed();
  const { fd, opened } = hand();
  late.locks({ fd, cmd: "get", lock: flock("write") });
  late.locks({ fd, cmd: "set", lock: flock("unlock") });
  equal(late.mayFlush(opened), true);
  late.locks({ fd: new Fd(inode, O_RDWR), cmd: "set", lock: flock("write") });
  equal(late.mayFlush(opened), false);
  equal(late.mayFlush(hand(other).opened), true);
});
