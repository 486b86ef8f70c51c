import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { type Call, PID_SELF_HEAL, ROOT } from "core/call.ts";
import { type Clock, realClock } from "core/env.ts";
import { EEXIST, EIO, ENOTEMPTY, EROFS } from "core/errno.ts";
import {
  type AttrChanges,
  DONE,
  FOP_NAMES,
  FOPS,
  O_APPEND,
  O_CREAT,
  O_EXCL,
  O_RDWR,
  O_TRUNC,
} from "core/fops.ts";
import { type Fd, type Gfid, type Inode, InodeTable } from "core/inode.ts";
import { readOptions } from "core/options.ts";
import { ptr, valueText, Xdata } from "core/xdata.ts";
import { GFID_REQ } from "core/xdata_keys.ts";
import { windTo, type Xlator } from "core/xlator.ts";
import { FakeChild, type Script } from "tests/fakes/fake_child.ts";
import { MemoryBrick } from "tests/fakes/memory_brick.ts";
import { node, testEnv } from "tests/fakes/node.ts";
import { parseRetention, printRetention } from "xlators/features/worm/retention.ts";
import { worm } from "xlators/features/worm/worm.ts";

const user: Call = { ...ROOT, uid: 0, pid: 77 };
const everything = Object.fromEntries(
  FOP_NAMES.map((fop) => [fop, () => Promise.resolve(DONE)]),
) as unknown as Script;

/** A file-level WORM over a brick in memory, with a clock that a test moves. */
class Bed {
  now = 1_000_000;
  readonly inodes = new InodeTable();
  readonly brick: MemoryBrick;
  readonly top: Xlator;

  constructor(option: Record<string, string> = {}) {
    const clock: Clock = { ...realClock, now: () => this.now * 1000 };
    const over = { inodes: this.inodes, env: testEnv({ clock }) };
    this.brick = new MemoryBrick(node("memory", [], over));
    const given = new Map(Object.entries({ "worm-file-level": "on", ...option }));
    this.top = worm.create(node("worm", [this.brick], over), readOptions(worm.options, given));
  }

  async create(name: string): Promise<{ inode: Inode; fd: Fd }> {
    const gfid = crypto.randomUUID() as Gfid;
    const xdata = Xdata.of([[GFID_REQ.name, GFID_REQ.write(gfid)]]);
    const place = { parent: this.inodes.root, name, mode: 0o644, umask: 0 };
    const { fd } = await this.top.create(user, { ...place, flags: O_RDWR, xdata });
    return { inode: this.inodes.of(gfid), fd };
  }

  write(fd: Fd, call = user) {
    return this.top.writev(call, { fd, offset: 0, data: Uint8Array.of(1), flags: 0 });
  }

  /** A file that was written and closed. */
  async closed(name: string): Promise<Inode> {
    const { inode, fd } = await this.create(name);
    await this.write(fd);
    await this.top.release(user, { fd });
    return inode;
  }

  set(inode: Inode, changes: AttrChanges) {
    return this.top.setattr(user, { inode, changes });
  }

  unlink(name: string, call = user) {
    return this.top.unlink(call, { parent: this.inodes.root, name, flags: 0 });
  }

  async state(inode: Inode): Promise<string | undefined> {
    const name = "trusted.reten_state";
    const { xattrs } = await this.brick.getxattr(ROOT, { inode, name });
    return valueText(xattrs!.raw(name)!);
  }
}

const refused = (answer: Promise<unknown>) => rejects(answer, (error) => EROFS.matches(error));

Deno.test("features/worm: on a WORM volume what is there stays, and new files can be made", async () => {
  const child = new FakeChild(everything);
  const top = worm.create(node("w", [child]), readOptions(worm.options, new Map([["worm", "on"]])));
  const passed: string[] = [];
  for (const fop of FOP_NAMES.filter((fop) => FOPS[fop].kind === "modify")) {
    await windTo(top, fop, user, {} as never).then(() => passed.push(fop), (error) => {
      equal(error, EROFS);
    });
  }
  deepEqual(passed, child.fops);
  deepEqual(FOP_NAMES.filter((fop) => FOPS[fop].kind === "modify" && !passed.includes(fop)), [
    "unlink",
    "rmdir",
    "rename",
    "link",
    "truncate",
    "removexattr",
    "ftruncate",
    "fremovexattr",
    "discard",
  ]);
  await refused(top.open(user, { flags: O_APPEND } as never));
  await top.open(user, { flags: 0 } as never);
  await top.unlink({ ...user, pid: PID_SELF_HEAL }, {} as never);
});

Deno.test("features/worm: off, the child's promise is the answer", () => {
  for (const fop of FOP_NAMES) {
    const answer = new Promise<never>(() => {});
    const child = new FakeChild({ [fop]: () => answer } as Script);
    const top = worm.create(node("w", [child]), readOptions(worm.options, new Map()));
    equal(windTo(top, fop, user, {} as never), answer, fop);
  }
});

Deno.test("features/worm: a file can be written while its creator has it open, however long", async () => {
  const bed = new Bed();
  const { fd } = await bed.create("f");
  bed.now += 10_000;
  await bed.write(fd);
});

Deno.test("features/worm: a file that rested is committed by the next attempt to change it", async () => {
  const bed = new Bed();
  const inode = await bed.closed("f");
  const { fd } = await bed.top.open(user, { inode, flags: O_RDWR });
  bed.now += 179;
  await bed.write(fd);
  bed.now += 180;
  await refused(bed.write(fd));
  equal(await bed.state(inode), "3/120/180");
  equal((await bed.top.stat(user, { inode })).stat.atime, bed.now + 120);
  await refused(bed.top.truncate(user, { inode, offset: 0 }));
  await refused(bed.top.ftruncate(user, { fd, offset: 0 }));
  await refused(bed.top.fallocate(user, { fd, mode: 0, offset: 0, size: 10 }));
  const root = bed.inodes.root;
  await refused(bed.top.link(user, { inode, parent: root, name: "g" }));
  await refused(
    bed.top.rename(user, { oldParent: root, oldName: "f", newParent: root, newName: "g" }),
  );
  await bed.closed("h");
  await refused(
    bed.top.rename(user, { oldParent: root, oldName: "h", newParent: root, newName: "f" }),
  );
  await refused(bed.unlink("f"));
  await bed.write(fd, { ...user, pid: PID_SELF_HEAL });
});

Deno.test("features/worm: when retention is over a file can go but not change, unless deletion is off", async () => {
  for (const deletable of ["on", "off"]) {
    const bed = new Bed({ "worm-files-deletable": deletable });
    const inode = await bed.closed("f");
    await bed.set(inode, { mode: 0o444 });
    equal(await bed.state(inode), "3/120/180");
    bed.now += 119;
    await refused(bed.unlink("f"));
    bed.now += 1;
    await refused(bed.top.truncate(user, { inode, offset: 0 }));
    equal(await bed.state(inode), "1/0/0");
    if (deletable === "on") await bed.unlink("f");
    else await refused(bed.unlink("f"));
  }
});

Deno.test("features/worm: relaxed retention can be shortened to the last change, enterprise only lengthened", async () => {
  for (const mode of ["relax", "enterprise"]) {
    const bed = new Bed({ "retention-mode": mode });
    const inode = await bed.closed("f");
    const { mtime } = (await bed.top.stat(user, { inode })).stat;
    await bed.set(inode, { mode: 0o444 });
    const end = bed.now + 120;
    await bed.set(inode, { atime: { sec: end + 30, nsec: 0 }, mtime: { sec: 5, nsec: 0 } });
    equal(parseRetention((await bed.state(inode))!)!.periodSec, 150);
    equal((await bed.top.stat(user, { inode })).stat.mtime, mtime, "kept");
    const shorter = bed.set(inode, { atime: { sec: end, nsec: 0 } });
    if (mode === "enterprise") await refused(shorter);
    else await shorter;
    await refused(bed.set(inode, { atime: { sec: mtime - 1, nsec: 0 } }));
  }
});

Deno.test("features/worm: applications cannot touch the xattrs that protect a file", async () => {
  const bed = new Bed();
  const inode = await bed.closed("f");
  for (const name of ["trusted.worm_file", "trusted.reten_state", "trusted.start_time"]) {
    const xattrs = Xdata.of([[name, ptr(Uint8Array.of(48))]]);
    await refused(bed.top.setxattr(user, { inode, xattrs, flags: 0 }));
    await refused(bed.top.removexattr(user, { inode, name }));
    await refused(bed.top.removexattr(user, { inode, name: "", xdata: xattrs }));
  }
  const xattrs = Xdata.of([["user.a", ptr(Uint8Array.of(1))]]);
  await bed.top.setxattr(user, { inode, xattrs, flags: 0 });
});

Deno.test("features/worm: a file whose state cannot be read is protected", async () => {
  const bed = new Bed();
  const inode = await bed.closed("f");
  const xattrs = Xdata.of([["trusted.reten_state", ptr(new TextEncoder().encode("nonsense"))]]);
  await bed.brick.setxattr(ROOT, { inode, xattrs, flags: 0 });
  await rejects(bed.unlink("f"), (error) => EIO.matches(error));
});

Deno.test("features/worm: states read as they print", () => {
  const state = parseRetention("11/3600/180")!;
  deepEqual([state.worm, state.retained, state.legalHold, state.enterprise], [
    true,
    true,
    false,
    true,
  ]);
  equal(printRetention(state), "11/3600/180");
  equal(parseRetention("x/1/2"), undefined);
  equal(parseRetention("1/2"), undefined);
});

Deno.test("features/worm: a committed file is not emptied, or its state changed, by another way", async () => {
  const bed = new Bed({ "auto-commit-period": "0" });
  const inode = await bed.closed("f");
  bed.now += 10;
  await refused(bed.top.truncate(user, { inode, offset: 0 }));
  const size = async () => (await bed.brick.stat(ROOT, { inode })).stat.size;
  equal(await size(), 1);
  await refused(bed.top.open(user, { inode, flags: O_RDWR | O_TRUNC }));
  const place = { parent: bed.inodes.root, name: "f", mode: 0o644, umask: 0 };
  const xdata = Xdata.of([[GFID_REQ.name, GFID_REQ.write(crypto.randomUUID() as Gfid)]]);
  const flags = O_RDWR | O_CREAT | O_TRUNC;
  await refused(bed.top.create(user, { ...place, flags, xdata }));
  equal(await size(), 1);
  const state = await bed.state(inode);
  const xattrs = Xdata.of([["trusted.reten_state", ptr(new Uint8Array(64))]]);
  await refused(bed.top.xattrop(user, { inode, op: "get-and-set", xattrs }));
  equal(await bed.state(inode), state);
  const tree = { parent: bed.inodes.root, name: "d" };
  const { stat } = await bed.top.mkdir(user, { ...place, ...tree, mode: 0o755, xdata });
  const moved = { oldParent: bed.inodes.root, oldName: "f", newName: "f" };
  await bed.brick.rename(ROOT, { ...moved, newParent: bed.inodes.of(stat.gfid) });
  const whole = bed.top.rmdir(user, { ...tree, flags: 1 });
  await rejects(whole, (error) => ENOTEMPTY.matches(error));
  equal(await size(), 1);
});

Deno.test("features/worm: who creates what another created meanwhile opens it", async () => {
  const bed = new Bed();
  await bed.closed("f");
  const place = { parent: bed.inodes.root, name: "f", mode: 0o644, umask: 0 };
  const xdata = Xdata.of([[GFID_REQ.name, GFID_REQ.write(crypto.randomUUID() as Gfid)]]);
  const create = (flags: number) => bed.top.create(user, { ...place, flags, xdata });
  const { fd } = await create(O_RDWR | O_CREAT);
  await bed.write(fd);
  await rejects(create(O_RDWR | O_CREAT | O_EXCL), (error) => EEXIST.matches(error));
});

Deno.test("features/worm: on a WORM volume create does not open what is there", async () => {
  const flags: number[] = [];
  const child = new FakeChild({
    create: (_call, args) => {
      flags.push(args.flags);
      return Promise.reject(EEXIST);
    },
  });
  const top = worm.create(node("w", [child]), readOptions(worm.options, new Map([["worm", "on"]])));
  const args = { flags: O_RDWR | O_CREAT } as never;
  await refused(top.create(user, args));
  deepEqual(flags, [O_RDWR | O_CREAT | O_EXCL]);
});
