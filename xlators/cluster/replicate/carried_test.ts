/** Locks that travel with marks: what they save, and that they mean the same. */

import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { EBADF, EIO } from "core/errno.ts";
import { fails } from "tests/conformance/place.ts";
import { testEnv } from "tests/fakes/node.ts";
import { type FakeLink, over } from "tests/fakes/replica.ts";
import { Scene } from "tests/fakes/replica_scene.ts";

function fopsOf({ seen }: FakeLink): string {
  return seen.splice(0).map(({ fop }) => fop).join(" ");
}

async function scene(): Promise<Scene> {
  return await Scene.of({ copies: 2, carries: true });
}

function second({ links, on, clock }: Scene) {
  const other = over(links, {}, on.inodes, testEnv({ clock }));
  for (const link of links) link.turn(true);
  return other;
}

Deno.test("cluster/replicate: a burst of writes to bricks that take locks along costs two requests more", async () => {
  const on = await scene();
  const { fd, inode } = await on.create("f");
  for (const link of on.links) fopsOf(link);
  for (let at = 0; at < 3; at++) await on.write(fd, "abcd", at * 4);
  deepEqual(await on.allMarks(inode), ["dirty:1/0/0", "dirty:1/0/0"]);
  await on.calm();
  deepEqual(await on.allMarks(inode), ["", ""]);
  for (const link of on.links) equal(fopsOf(link), "fxattrop writev writev writev fxattrop");
});

Deno.test("cluster/replicate: two clients write one file in turns, whoever has the lock that came along", async () => {
  const on = await scene(), other = second(on);
  const { fd, inode } = await on.create("f");
  const theirs = await other.open(ROOT, { inode, flags: 2 });
  await on.write(fd, "aaaa");
  // Who is in the way hears of it, and gives the lock up with its mark.
  await on.write(theirs.fd, "bbbb", 0, other);
  deepEqual(await on.content(0, inode), "bbbb");
  await other.stop();
  await on.calm();
  deepEqual(await on.allMarks(inode), ["", ""]);
  // Nobody has a lock of it.
  await on.write(fd, "cccc");
  for (const link of on.links) ok(!fopsOf(link).endsWith("finodelk writev"));
  await on.calm();
});

Deno.test("cluster/replicate: one brick that takes no locks along is locked as ever, and so are the others", async () => {
  const on = await scene();
  const { fd } = await on.create("f");
  on.links[1]!.carries = false;
  on.links[1]!.turn(false);
  on.links[1]!.turn(true);
  for (const link of on.links) fopsOf(link);
  await on.write(fd, "abcd");
  await on.calm();
  for (const link of on.links) equal(fopsOf(link), "finodelk fxattrop writev fxattrop finodelk");
});

Deno.test("cluster/replicate: a copy that cannot be marked has no lock either, and is blamed", async () => {
  const on = await scene();
  const { fd, inode } = await on.create("f");
  on.links[1]!.fate = (fop) => fop === "fxattrop" ? EIO : "pass";
  await on.write(fd, "abcd");
  equal(await on.marks(0, inode), "1:1/0/0 dirty:1/0/0");
  on.links[1]!.fate = undefined;
  await on.calm();
  deepEqual(await on.allMarks(inode), ["1:2/0/0", ""]);
});

Deno.test("cluster/replicate: a mark that cannot be taken off still lets others in", async () => {
  const on = await scene();
  const { fd, inode } = await on.create("f");
  await on.write(fd, "abcd");
  on.links[1]!.fate = (fop) => fop === "fxattrop" ? EIO : "pass";
  await on.calm();
  on.links[1]!.fate = undefined;
  equal(await on.marks(1, inode), "dirty:1/0/0");
  const other = second(on);
  const theirs = await other.open(ROOT, { inode, flags: 2 });
  await on.write(theirs.fd, "bbbb", 0, other);
  await other.stop();
});

Deno.test("cluster/replicate: no copy that can be marked fails the write with the failure", async () => {
  const on = await scene();
  const { fd } = await on.create("f");
  for (const link of on.links) link.fate = (fop) => fop === "fxattrop" ? EIO : "pass";
  await fails(on.write(fd, "abcd"), EIO);
});

Deno.test("cluster/replicate: closing a new file takes its mark and its lock off in the same request", async () => {
  const on = await scene();
  const { fd, inode } = await on.create("f");
  for (const link of on.links) fopsOf(link);
  await on.write(fd, "abcd");
  await on.top.flush(ROOT, { fd });
  await on.top.release(ROOT, { fd });
  deepEqual(await on.allMarks(inode), ["", ""]);
  for (const link of on.links) equal(fopsOf(link), "fxattrop writev flush release");
  // Neither it nor its lock is left.
  await fails(on.write(fd, "efgh"), EBADF);
  const other = second(on);
  const theirs = await other.open(ROOT, { inode, flags: 2 });
  for (const link of on.links) fopsOf(link);
  await on.write(theirs.fd, "bbbb", 0, other);
  for (const link of on.links) equal(fopsOf(link), "fxattrop writev");
  await other.stop();
});

Deno.test("cluster/replicate: what has to be synced is synced before its file is closed", async () => {
  const on = await scene();
  const { fd, inode } = await on.create("f");
  await on.write(fd, "abcd");
  for (const link of on.links) fopsOf(link);
  await on.write(fd, "xy");
  await on.top.release(ROOT, { fd });
  deepEqual(await on.allMarks(inode), ["", ""]);
  for (const link of on.links) equal(fopsOf(link), "writev fsync fxattrop release");
});

Deno.test("cluster/replicate: a file that somebody else writes through, too, is closed by itself", async () => {
  const on = await scene();
  const { fd, inode } = await on.create("f");
  const { fd: again } = await on.top.open(ROOT, { inode, flags: 2 });
  await on.write(fd, "abcd");
  await on.write(again, "efgh", 4);
  for (const link of on.links) fopsOf(link);
  await on.top.release(ROOT, { fd });
  for (const link of on.links) equal(fopsOf(link), "fxattrop release");
  await on.write(again, "ijkl", 8);
  equal(await on.content(1, inode), "abcdefghijkl");
});

Deno.test("cluster/replicate: a write that a copy missed is blamed before its file is closed", async () => {
  const on = await scene();
  const { fd, inode } = await on.create("f");
  await on.write(fd, "abcd");
  on.links[1]!.turn(false);
  await on.write(fd, "efgh", 4);
  await on.top.release(ROOT, { fd });
  await on.calm();
  equal(await on.marks(0, inode), "1:2/0/0");
});

/** A scene where a new file was written: the next ones come locked. */
async function writing(): Promise<Scene> {
  const on = await scene();
  await on.write((await on.create("first")).fd, "abcd");
  await on.calm();
  for (const link of on.links) fopsOf(link);
  return on;
}

Deno.test("cluster/replicate: new files come locked and marked while those before were written", async () => {
  const on = await writing();
  const { fd, inode } = await on.create("f");
  deepEqual(await on.allMarks(inode), ["dirty:1/0/0", "dirty:1/0/0"]);
  await on.write(fd, "abcd");
  await on.top.release(ROOT, { fd });
  deepEqual(await on.allMarks(inode), ["", ""]);
  for (const link of on.links) {
    equal(fopsOf(link).replace(/entrylk ?/g, ""), "create writev release");
  }
  equal(await on.content(1, inode), "abcd");
  // One that is not written costs nothing more, and tells how the next ones are made.
  const unwritten = await on.create("g");
  await on.top.release(ROOT, { fd: unwritten.fd });
  deepEqual(await on.allMarks(unwritten.inode), ["", ""]);
  deepEqual(await on.allMarks((await on.create("h")).inode), ["", ""]);
});

Deno.test("cluster/replicate: a new file that was written past its create by another client has one order of writes", async () => {
  const on = await writing(), other = second(on);
  const { fd, inode } = await on.create("f");
  const theirs = await other.open(ROOT, { inode, flags: 2 });
  await other.writev(ROOT, { fd: theirs.fd, offset: 0, data: new Uint8Array(4), flags: 0 });
  await on.write(fd, "abcd");
  await other.stop();
  await on.calm();
  for (const index of [0, 1]) equal(await on.content(index, inode), "abcd");
  deepEqual(await on.allMarks(inode), ["", ""]);
});

Deno.test("cluster/replicate: a new file that only one copy could lock is unlocked again", async () => {
  const on = await writing();
  // As if the brick had not come so far.
  on.links[1]!.carries = false;
  const { fd, inode } = await on.create("f");
  deepEqual(await on.allMarks(inode), ["", "dirty:1/0/0"]);
  await on.write(fd, "abcd");
  equal(await on.content(0, inode), "abcd");
});

Deno.test("cluster/replicate: of a file that cannot be made no lock stays behind", async () => {
  const on = await Scene.of({ copies: 3, carries: true });
  await on.write((await on.create("first")).fd, "abcd");
  await on.calm();
  for (const link of on.links.slice(1)) link.fate = (fop) => fop === "create" ? EIO : "pass";
  await fails(on.create("f"), EIO);
  for (const link of on.links) link.fate = undefined;
  ok(/create .*fxattrop .*release/.test(fopsOf(on.links[0]!)));
});
