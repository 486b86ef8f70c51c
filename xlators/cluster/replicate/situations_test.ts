/** What clients do to copies, and copies to clients, when some fail or come back. */

import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { EIO, ENOSPC, ENOTCONN, type FopError } from "core/errno.ts";
import { type Args, O_RDWR, O_TRUNC } from "core/fops.ts";
import type { Inode } from "core/inode.ts";
import { str, valueBytes, Xdata } from "core/xdata.ts";
import { fails, gfidReq, text } from "tests/conformance/place.ts";
import { outcome } from "tests/fakes/locks_layer.ts";
import { testEnv } from "tests/fakes/node.ts";
import { type FakeLink, type Fate, over } from "tests/fakes/replica.ts";
import { Scene } from "tests/fakes/replica_scene.ts";
import { marksToAdd, parseCounts } from "xlators/cluster/replicate/blame.ts";

/** Lets everything that waits for no time run. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 400; turn++) await Promise.resolve();
}

function fopsOf(link: FakeLink): string {
  return link.seen.map(({ fop }) => fop).join(" ");
}

Deno.test("cluster/replicate: a burst of writes takes one lock and one mark, taken off a second later", async () => {
  const scene = await Scene.of();
  const { fd, inode } = await scene.create("f");
  for (const link of scene.links) link.seen.length = 0;
  for (let at = 0; at < 4; at++) await scene.write(fd, "abcd", at * 4);
  deepEqual(await scene.allMarks(inode), ["dirty:1/0/0", "dirty:1/0/0", "dirty:1/0/0"]);
  scene.clock.advance(999);
  deepEqual(await scene.marks(0, inode), "dirty:1/0/0");
  scene.clock.advance(1);
  await scene.calm();
  deepEqual(await scene.allMarks(inode), ["", "", ""]);
  for (const link of scene.links) {
    equal(fopsOf(link), "finodelk fxattrop writev writev writev writev fxattrop finodelk");
  }
});

Deno.test("cluster/replicate: what is overwritten is synced before its mark is taken off, an append is not", async () => {
  const scene = await Scene.of();
  const { fd } = await scene.create("f");
  await scene.write(fd, "abcd");
  await scene.write(fd, "xy");
  await scene.calm();
  ok(fopsOf(scene.links[1]!).endsWith("writev writev fsync fxattrop finodelk"));
});

Deno.test("cluster/replicate: flush waits until what was written through the fd has no mark", async () => {
  const scene = await Scene.of();
  const { fd, inode } = await scene.create("f");
  await scene.write(fd, "abcd");
  await scene.top.flush(ROOT, { fd });
  deepEqual(await scene.allMarks(inode), ["", "", ""]);
});

Deno.test("cluster/replicate: a copy that is away is blamed before the write is answered", async () => {
  const scene = await Scene.of();
  const { fd, inode } = await scene.create("f");
  scene.links[2]!.turn(false);
  await scene.write(fd, "abcd");
  deepEqual(await scene.marks(0, inode), "2:1/0/0 dirty:1/0/0");
  deepEqual(await scene.marks(1, inode), "2:1/0/0 dirty:1/0/0");
  await scene.write(fd, "ABCD");
  await scene.calm();
  deepEqual(await scene.allMarks(inode), ["2:2/0/0", "2:2/0/0", ""]);
});

Deno.test("cluster/replicate: who missed the first write of a burst is blamed after the last one, too", async () => {
  // Bricks record for heals what changed until a copy is blamed, not what changes after that.
  const scene = await Scene.of();
  const { fd } = await scene.create("f");
  scene.links[2]!.turn(false);
  await scene.write(fd, "abcd");
  for (const link of scene.links) link.seen.length = 0;
  await scene.write(fd, "ABCD", 8192);
  await scene.calm();
  const last = scene.links[0]!.seen.findLast(({ fop }) => fop === "fxattrop")!;
  const { xattrs } = last.args as Args<"fxattrop">;
  const counts = (name: string) => parseCounts(valueBytes(xattrs!.raw(name)!));
  equal(counts("trusted.afr.v-client-2").data, 1);
  equal(counts("trusted.afr.dirty").data, -1);
});

Deno.test("cluster/replicate: nothing is read from a copy that came back without a write", async () => {
  const values = { "read-subvolume-index": "2" };
  const scene = await Scene.of({ values });
  const { fd } = await scene.create("f");
  await scene.write(fd, "old!");
  await scene.calm();
  scene.links[2]!.turn(false);
  await scene.write(fd, "new!");
  scene.links[2]!.turn(true);
  equal(await scene.read(fd), "new!");
  const { fd: other } = await scene.top.open(ROOT, { inode: fd.inode, flags: 0 });
  equal(await scene.read(other), "new!");
  const second = over(scene.links, values, scene.on.inodes, testEnv({ clock: scene.clock }));
  const { fd: theirs } = await second.open(ROOT, { inode: fd.inode, flags: 0 });
  equal(await scene.read(theirs, second), "new!");
  await scene.calm();
});

Deno.test("cluster/replicate: a copy that fails a write is blamed before the write is answered", async () => {
  for (const fate of ["fail", "lost", ENOSPC] as const) {
    const scene = await Scene.of();
    const { fd, inode } = await scene.create("f");
    await scene.write(fd, "old!");
    scene.links[1]!.fate = (fop) => fop === "writev" ? fate : "pass";
    await scene.write(fd, "new!");
    const marks = await scene.allMarks(inode);
    deepEqual([marks[0], marks[2]], ["1:1/0/0", "1:1/0/0"]);
    equal(marks[1], "dirty:1/0/0");
    scene.links[1]!.fate = undefined;
    equal(await scene.read(fd), "new!");
  }
});

Deno.test("cluster/replicate: a write that most copies miss fails and blames nobody", async () => {
  const scene = await Scene.of();
  const { fd, inode } = await scene.create("f");
  await scene.write(fd, "old!");
  await scene.top.flush(ROOT, { fd });
  for (const link of scene.links.slice(1)) {
    link.fate = (fop) => fop === "writev" ? "fail" : "pass";
  }
  await fails(scene.write(fd, "new!"), ENOTCONN);
  await scene.calm();
  deepEqual(await scene.allMarks(inode), ["dirty:1/0/0", "dirty:1/0/0", "dirty:1/0/0"]);
});

Deno.test("cluster/replicate: without a quorum nothing is changed, read or opened", async () => {
  const scene = await Scene.of();
  const { fd, inode } = await scene.create("f");
  await scene.write(fd, "old!");
  await scene.calm();
  scene.links[0]!.turn(false);
  scene.links[2]!.turn(false);
  await fails(scene.write(fd, "new!"), ENOTCONN);
  await fails(scene.read(fd), ENOTCONN);
  await fails(scene.top.open(ROOT, { inode, flags: 0 }), ENOTCONN);
  await fails(scene.top.setattr(ROOT, { inode, changes: { mode: 0o600 } }), ENOTCONN);
  await fails(scene.create("g"), ENOTCONN);
  // One copy's word on a name is not believed: it may have missed that it was made, or removed.
  for (const name of ["f", "g"]) {
    await fails(scene.top.lookup(ROOT, { parent: scene.root, name }), ENOTCONN);
  }
  equal(await scene.content(1, inode), "old!");
  deepEqual(await scene.marks(1, inode), "");
});

Deno.test("cluster/replicate: two copies without quorum go on with one, auto keeps to the first", async () => {
  const scene = await Scene.of({ copies: 2 });
  const { fd, inode } = await scene.create("f");
  scene.links[0]!.turn(false);
  await scene.write(fd, "abcd");
  deepEqual(await scene.marks(1, inode), "0:1/0/0 dirty:1/0/0");
  await scene.calm();
  const auto = await Scene.of({ copies: 2, values: { "quorum-type": "auto" } });
  const file = await auto.create("f");
  auto.links[1]!.turn(false);
  await auto.write(file.fd, "abcd");
  auto.links[1]!.turn(true);
  auto.links[0]!.turn(false);
  await fails(auto.write(file.fd, "efgh"), ENOTCONN);
  await auto.calm();
});

Deno.test("cluster/replicate: two writes that fail on different copies leave one that nobody blames", async () => {
  const scene = await Scene.of({ copies: 2 });
  const { fd, inode } = await scene.create("f");
  await scene.write(fd, "0000000000");
  const failing = (at: number) => (fop: string, args: unknown) =>
    fop === "writev" && (args as { offset: number }).offset === at ? "fail" : "pass";
  scene.links[0]!.fate = failing(0);
  scene.links[1]!.fate = failing(4);
  const outcomes = await Promise.all([
    outcomeOf(scene.write(fd, "abcd", 0)),
    outcomeOf(scene.write(fd, "efgh", 4)),
  ]);
  deepEqual(outcomes.filter((each) => each === "done").length, 1);
  scene.links[0]!.fate = scene.links[1]!.fate = undefined;
  await scene.calm();
  const [first, second] = await scene.allMarks(inode);
  ok(!(/1:1/.test(first!) && /0:1/.test(second!)), `${first} | ${second}`);
  ok(outcomes[0] === "done" ? (await scene.read(fd)).startsWith("abcd") : true);
});

function outcomeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(() => "done", (error: FopError) => error.code);
}

Deno.test("cluster/replicate: a write that would leave only blamed copies right fails with EIO", async () => {
  const scene = await Scene.of();
  const { fd, inode } = await scene.create("f");
  scene.links[1]!.turn(false);
  await scene.write(fd, "a");
  await scene.calm();
  scene.links[1]!.turn(true);
  scene.links[2]!.turn(false);
  await scene.write(fd, "b");
  await scene.calm();
  // 0 blames 1 and 2. It fails, and the others would have the write.
  scene.links[2]!.turn(true);
  scene.links[0]!.fate = (fop) => fop === "writev" ? EIO : "pass";
  await fails(scene.write(fd, "c"), EIO);
  await scene.calm();
  const marks = await scene.allMarks(inode);
  ok(marks.slice(1).every((each) => !each.includes("0:1")), marks.join(" | "));
});

Deno.test("cluster/replicate: all copies failing alike blame nobody", async () => {
  const scene = await Scene.of();
  const { fd, inode } = await scene.create("f");
  for (const link of scene.links) link.fate = (fop) => fop === "writev" ? ENOSPC : "pass";
  await fails(scene.write(fd, "abcd"), ENOSPC);
  await scene.calm();
  // Each may have had room for another part of it.
  deepEqual(await scene.allMarks(inode), Array(3).fill("dirty:1/0/0"));
});

Deno.test("cluster/replicate: another client that wants the lock gets it", async () => {
  const scene = await Scene.of();
  const { fd, inode } = await scene.create("f");
  await scene.write(fd, "mine");
  const second = over(scene.links, {}, scene.on.inodes, testEnv({ clock: scene.clock }));
  const theirs = (await second.open(ROOT, { inode, flags: O_RDWR })).fd;
  await scene.write(theirs, "they", 4, second);
  await scene.write(fd, "I", 8);
  equal(await scene.read(theirs, second), "minetheyI");
  await scene.calm();
  await second.stop();
  deepEqual(await scene.allMarks(inode), ["", "", ""]);
});

Deno.test("cluster/replicate: writes that overlap reach all copies in the same order", async () => {
  const scene = await Scene.of();
  const { fd, inode } = await scene.create("f");
  await scene.write(fd, "....");
  let let1Go!: () => void;
  const gate = new Promise<void>((resolve) => let1Go = resolve);
  scene.links[1]!.fate = async (fop, args) => {
    const { data } = args as { data?: Uint8Array };
    if (fop === "writev" && text(data!) === "1111") await gate;
    return "pass" as const;
  };
  const one = scene.write(fd, "1111"), two = scene.write(fd, "2222");
  equal(await outcome(two), "waits");
  let1Go();
  await Promise.all([one, two]);
  for (const index of [0, 1, 2]) equal(await scene.content(index, inode), "2222");
  await scene.calm();
});

Deno.test("cluster/replicate: an arbiter takes part, is never read, and never left alone", async () => {
  const scene = await Scene.of({ arbiter: true });
  const { fd, inode } = await scene.create("f");
  await scene.write(fd, "abcd");
  await scene.calm();
  equal(await scene.content(2, inode), "");
  equal((await scene.top.fstat(ROOT, { fd })).stat.size, 4);
  scene.links[0]!.turn(false);
  await scene.write(fd, "efgh");
  await scene.calm();
  deepEqual(await scene.marks(2, inode), "0:2/0/0");
  scene.links[0]!.turn(true);
  scene.links[1]!.turn(false);
  await fails(scene.write(fd, "ijkl"), ENOTCONN);
  await fails(scene.read(fd), EIO);
  equal(await scene.content(0, inode), "abcd");
  deepEqual(await scene.marks(2, inode), "0:2/0/0");
});

Deno.test("cluster/replicate: a file that was opened while a copy was away is opened there before it is written", async () => {
  const scene = await Scene.of();
  const { inode } = await scene.create("f");
  scene.links[1]!.turn(false);
  const { fd } = await scene.top.open(ROOT, { inode, flags: O_RDWR });
  scene.links[1]!.turn(true);
  await scene.write(fd, "abcd");
  await scene.calm();
  equal(await scene.content(1, inode), "abcd");
  deepEqual(await scene.allMarks(inode), ["", "", ""]);
});

Deno.test("cluster/replicate: an open file without a name is written and read on", async () => {
  const scene = await Scene.of();
  const { fd } = await scene.create("f");
  await scene.write(fd, "abcd");
  await scene.top.unlink(ROOT, { parent: scene.root, name: "f", flags: 0 });
  scene.links[0]!.turn(false);
  scene.links[0]!.turn(true);
  await scene.write(fd, "ABCD");
  equal(await scene.read(fd), "ABCD");
  await scene.top.flush(ROOT, { fd });
  await scene.top.release(ROOT, { fd });
  equal(scene.on.bricks[0]!.inodeCount, 1);
});

Deno.test("cluster/replicate: what is made while a copy is away is marked, as is its directory", async () => {
  const scene = await Scene.of();
  scene.links[1]!.turn(false);
  const { inode } = await scene.create("f");
  const made = await scene.top.mkdir(ROOT, {
    parent: scene.root,
    name: "d",
    mode: 0o755,
    umask: 0,
    xdata: gfidReq(),
  });
  const directory = scene.on.inodes.of(made.stat.gfid);
  equal(await scene.marks(0, scene.root), "1:0/0/2");
  equal(await scene.marks(2, inode), "1:1/1/0");
  equal(await scene.marks(2, directory), "1:0/1/1");
  scene.links[1]!.turn(true);
  equal((await scene.top.lookup(ROOT, { parent: scene.root, name: "f" })).stat.gfid, inode.gfid);
  const { fd } = await scene.top.opendir(ROOT, { inode: scene.root });
  const { entries } = await scene.top.readdirp(ROOT, { fd, offset: 0n, size: 4096 });
  deepEqual(entries.map(({ name }) => name).sort(), [".", "..", "d", "f"]);
});

Deno.test("cluster/replicate: attributes that change while a copy is away are marked and not read there", async () => {
  const scene = await Scene.of({ values: { "read-subvolume-index": "1" } });
  const { inode } = await scene.create("f");
  scene.links[1]!.turn(false);
  await scene.top.setattr(ROOT, { inode, changes: { mode: 0o600 } });
  equal(await scene.marks(0, inode), "1:0/1/0");
  scene.links[1]!.turn(true);
  equal((await scene.top.stat(ROOT, { inode })).stat.mode & 0o777, 0o600);
  equal((await scene.top.lookup(ROOT, { parent: scene.root, name: "f" })).stat.mode & 0o777, 0o600);
});

Deno.test("cluster/replicate: of a new file nobody is asked which copy may be read, if all have it", async () => {
  const scene = await Scene.of();
  const { fd } = await scene.create("f");
  for (const link of scene.links) link.seen.length = 0;
  await scene.read(fd);
  deepEqual(scene.links.map(fopsOf).sort(), ["", "", "readv"]);
  scene.links[1]!.fate = (fop) => fop === "create" ? ENOSPC : "pass";
  const { fd: other } = await scene.create("g");
  for (const link of scene.links) link.seen.length = 0;
  await scene.read(other);
  deepEqual(scene.links.map(fopsOf).filter((fops) => fops.startsWith("fstat")).length, 2);
});

Deno.test("cluster/replicate: a name that was removed while a copy was away is gone", async () => {
  const scene = await Scene.of();
  await scene.create("f");
  scene.links[0]!.turn(false);
  await scene.top.unlink(ROOT, { parent: scene.root, name: "f", flags: 0 });
  scene.links[0]!.turn(true);
  const { code } = await scene.top.lookup(ROOT, { parent: scene.root, name: "f" }).then(
    () => ({ code: "found" }),
    (error: FopError) => error,
  );
  equal(code, "ENOENT");
});

Deno.test("cluster/replicate: one name with different files on copies that nobody blames is EIO", async () => {
  const scene = await Scene.of();
  for (const brick of scene.on.bricks) {
    const args = { parent: scene.root, name: "f", mode: 0o644, umask: 0, flags: O_RDWR };
    await brick.create(ROOT, { ...args, xdata: gfidReq() });
  }
  await fails(scene.top.lookup(ROOT, { parent: scene.root, name: "f" }), EIO);
});

Deno.test("cluster/replicate: a split file is not read, until somebody says which copy is right", async () => {
  const scene = await Scene.of({ copies: 2 });
  const { fd, inode } = await scene.create("f");
  await scene.write(fd, "same");
  await scene.calm();
  const second = over(scene.links, {}, scene.on.inodes, testEnv({ clock: scene.clock }));
  const theirs = (await second.open(ROOT, { inode, flags: O_RDWR })).fd;
  scene.links[1]!.turn(false);
  await scene.write(fd, "left");
  await scene.calm();
  scene.links[1]!.turn(true);
  scene.links[0]!.turn(false);
  const brick = scene.links[1]!;
  await brick.xattrop(ROOT, {
    inode,
    op: "add32",
    xattrs: marksToAdd(
      { pending: ["trusted.afr.v-client-0"], dirty: "trusted.afr.dirty" },
      [{ data: 1 }],
    ),
  });
  scene.links[0]!.turn(true);
  await fails(scene.read(fd), EIO);
  await fails(scene.write(theirs, "more", 0, second), EIO);
  const { xattrs } = await scene.top.getxattr(ROOT, { inode, name: "replica.split-brain-status" });
  ok(
    text(valueBytes(xattrs!.raw("replica.split-brain-status")!)!).startsWith(
      "data-split-brain:yes",
    ),
  );
  const choice = (name: string) => Xdata.of([["replica.split-brain-choice", str(name)]]);
  await scene.top.setxattr(ROOT, { inode, xattrs: choice("v-client-1"), flags: 0 });
  equal(await scene.read(fd), "same");
  equal((await scene.top.lookup(ROOT, { parent: scene.root, name: "f" })).stat.size, 4);
  await scene.top.setxattr(ROOT, { inode, xattrs: choice("none"), flags: 0 });
  await fails(scene.read(fd), EIO);
  await second.stop();
});

Deno.test("cluster/replicate: a failing read goes on with another copy", async () => {
  const scene = await Scene.of({ values: { "read-subvolume-index": "1" } });
  const { fd } = await scene.create("f");
  await scene.write(fd, "abcd");
  scene.links[1]!.fate = (fop) => fop === "readv" ? EIO : "pass";
  equal(await scene.read(fd), "abcd");
  await scene.calm();
});

Deno.test("cluster/replicate: the only right copy is not blamed when it cannot sync", async () => {
  const scene = await Scene.of({ copies: 2 });
  const { fd, inode } = await scene.create("f");
  scene.links[1]!.turn(false);
  await scene.write(fd, "right");
  await scene.calm();
  scene.links[1]!.turn(true);
  scene.links[0]!.fate = (fop) => fop === "fsync" ? EIO : "pass";
  await scene.write(fd, "R");
  await scene.calm();
  deepEqual(await scene.allMarks(inode), ["1:2/0/0 dirty:1/0/0", "dirty:1/0/0"]);
});

Deno.test("cluster/replicate: a copy that went and came back before what it wrote was synced is blamed", async () => {
  const scene = await Scene.of();
  const { fd, inode } = await scene.create("f");
  await scene.write(fd, "old!");
  await scene.write(fd, "new!");
  scene.links[2]!.turn(false);
  scene.links[2]!.turn(true);
  await scene.calm();
  deepEqual(await scene.allMarks(inode), ["2:1/0/0", "2:1/0/0", "dirty:1/0/0"]);
});

Deno.test("cluster/replicate: a copy that goes away in a burst of writes is blamed at once", async () => {
  const scene = await Scene.of();
  const { fd, inode } = await scene.create("f");
  await scene.write(fd, "old!");
  await scene.write(fd, "new!");
  const marked = Promise.withResolvers<void>();
  scene.links[0]!.fate = (fop) => {
    if (fop === "fxattrop") marked.resolve();
    return "pass";
  };
  scene.links[2]!.turn(false);
  // The clock stands still.
  await marked.promise;
  await scene.calm();
  deepEqual(await scene.allMarks(inode), ["2:1/0/0", "2:1/0/0", "dirty:1/0/0"]);
});

Deno.test("cluster/replicate: a blame that too few copies could take is taken back", async () => {
  const scene = await Scene.of();
  const { fd, inode } = await scene.create("f");
  scene.links[2]!.turn(false);
  let marks = 0;
  scene.links[1]!.fate = (fop) => fop === "fxattrop" && ++marks === 2 ? EIO : "pass";
  await fails(scene.write(fd, "abcd"), EIO);
  await scene.calm();
  deepEqual(await scene.allMarks(inode), ["dirty:1/0/0", "dirty:1/0/0", ""]);
});

Deno.test("cluster/replicate: what too few copies could make is not there, and can be made again", async () => {
  const scene = await Scene.of();
  for (const link of scene.links.slice(1)) {
    link.fate = (fop) => fop === "create" ? "fail" : "pass";
  }
  await fails(scene.create("f"), ENOTCONN);
  for (const link of scene.links) link.fate = undefined;
  equal(scene.on.bricks[0]!.inodeCount, 1);
  await scene.create("f");
  const brick = scene.on.bricks[0]!;
  const first = (await brick.lookup(ROOT, { parent: scene.root, name: "f" })).stat.gfid;
  for (const each of scene.on.bricks) {
    equal((await each.lookup(ROOT, { parent: scene.root, name: "f" })).stat.gfid, first);
  }
});

function setxattr(scene: Scene, inode: Inode): Promise<unknown> {
  const xattrs = Xdata.of([["user.one", str("1")]]);
  return scene.top.setxattr(ROOT, { inode, xattrs, flags: 0 });
}

Deno.test("cluster/replicate: an attribute that too few copies could be marked for is left in doubt", async () => {
  const scene = await Scene.of();
  const { inode } = await scene.create("f");
  scene.links[1]!.fate = (fop) => fop === "setxattr" ? EIO : "pass";
  scene.links[2]!.fate = (fop) => fop === "xattrop" ? "fail" : "pass";
  await fails(setxattr(scene, inode), ENOTCONN);
  const marks = await scene.allMarks(inode);
  // 0 and 2 have it, and blame nobody; whoever heals sees that 0 may not be alike.
  equal(marks[0], "dirty:0/1/0");
  equal(marks[2], "");
});

Deno.test("cluster/replicate: a name that may have been made where nobody answers is marked on who does", async () => {
  const scene = await Scene.of({ copies: 2, values: { "quorum-type": "auto" } });
  scene.links[0]!.fate = (fop) => {
    if (fop !== "create") return "pass";
    scene.links[0]!.fate = () => "fail";
    return "lost";
  };
  scene.links[1]!.fate = (fop) => fop === "create" ? ENOSPC : "pass";
  await fails(scene.create("f"), ENOSPC);
  deepEqual([await scene.marks(0, scene.root), await scene.marks(1, scene.root)], [
    "",
    "dirty:0/0/1",
  ]);
});

Deno.test("cluster/replicate: a change that nobody could be told of is told when a copy is back", async () => {
  const scene = await Scene.of();
  const { inode } = await scene.create("f");
  for (const link of scene.links) {
    link.fate = (fop) => {
      if (fop !== "setxattr") return "pass";
      for (const each of scene.links) each.turn(false);
      return link === scene.links[1] ? "lost" : "fail";
    };
  }
  await fails(setxattr(scene, inode), ENOTCONN);
  deepEqual(await scene.allMarks(inode), ["", "", ""]);
  const told = Promise.withResolvers<void>();
  for (const link of scene.links) link.fate = undefined;
  scene.links[2]!.turn(true);
  scene.links[2]!.fate = (fop) => {
    if (fop === "xattrop") told.resolve();
    return "pass";
  };
  scene.clock.advance(2000);
  await told.promise;
  await scene.top.stop();
  deepEqual(await scene.allMarks(inode), ["", "", "dirty:0/1/0"]);
  equal(scene.clock.timers, 0);
});

Deno.test("cluster/replicate: an attribute that only copies that are behind took is left in doubt", async () => {
  const scene = await Scene.of();
  const { inode } = await scene.create("f");
  scene.links[1]!.turn(false);
  await setxattr(scene, inode);
  scene.links[1]!.turn(true);
  scene.links[2]!.turn(false);
  await setxattr(scene, inode);
  scene.links[2]!.turn(true);
  // 0 blames both others, and fails.
  scene.links[0]!.fate = (fop) => fop === "setxattr" ? EIO : "pass";
  await fails(setxattr(scene, inode), EIO);
  for (const marks of await scene.allMarks(inode)) ok(marks.includes("dirty:0/1/0"), marks);
});

Deno.test("cluster/replicate: who asks for a file's lock while it is being taken gets it after the first change", async () => {
  const scene = await Scene.of();
  const { fd, inode } = await scene.create("f");
  const second = over(scene.links, {}, scene.on.inodes, testEnv({ clock: scene.clock }));
  const { fd: theirs } = await second.open(ROOT, { inode, flags: O_RDWR });
  const marked = Promise.withResolvers<Fate>(), waits = Promise.withResolvers<Fate>();
  const [first, middle] = scene.links as [FakeLink, FakeLink];
  middle.fate = (fop) => fop === "fxattrop" ? marked.promise : "pass";
  // Only the second one comes to that; late, or the first write would tell of it.
  first.fate = (fop, args) =>
    fop === "finodelk" && (args as Args<"finodelk">).cmd === "set-wait" ? waits.promise : "pass";
  const mine = scene.write(fd, "mine");
  await settled();
  const others = scene.write(theirs, "them", 0, second);
  await settled();
  marked.resolve("pass");
  await mine;
  waits.resolve("pass");
  await settled();
  equal(await outcome(others), "done");
  await second.stop();
  await scene.calm();
});

Deno.test("cluster/replicate: a file that could not be emptied when it was opened is not locked for ever", async () => {
  const scene = await Scene.of();
  const { fd, inode } = await scene.create("f");
  await scene.write(fd, "abcd");
  await scene.top.release(ROOT, { fd });
  await scene.calm();
  scene.links[0]!.turn(false);
  let marks = 0;
  scene.links[2]!.fate = (fop) => fop === "fxattrop" && ++marks === 2 ? "fail" : "pass";
  const [, slow] = scene.links, { promise, resolve } = Promise.withResolvers<Fate>();
  slow!.fate = (fop) => fop === "fsync" ? promise : "pass";
  slow!.seen.length = 0;
  const later = (async () => {
    for (let turn = 0; turn < 500; turn++) await Promise.resolve();
    resolve("pass");
  })();
  await fails(scene.top.open(ROOT, { inode, flags: O_RDWR | O_TRUNC }), ENOTCONN);
  await later;
  await scene.calm();
  const fops = fopsOf(slow!);
  ok(fops.endsWith("finodelk release"), fops);
});
