import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { type Call, PID_SELF_HEAL, ROOT } from "core/call.ts";
import { EACCES, ENOENT, EPERM, ESTALE, type FopError } from "core/errno.ts";
import { type AttrChanges, O_RDWR, O_WRONLY } from "core/fops.ts";
import { S_IFDIR, S_IFREG } from "core/iatt.ts";
import { type Gfid, type Inode, InodeTable } from "core/inode.ts";
import { fromHex } from "core/lib/bytes.ts";
import { readOptions } from "core/options.ts";
import { xlatorTypes } from "core/registry.ts";
import { ptr, valueBytes, Xdata } from "core/xdata.ts";
import { GFID_REQ, UMASK, UNMASKED_MODE } from "core/xdata_keys.ts";
import type { Xlator } from "core/xlator.ts";
import { MemoryBrick } from "tests/fakes/memory_brick.ts";
import { node } from "tests/fakes/node.ts";
import { accessControl } from "xlators/features/access-control/access_control.ts";
import { parseAcl } from "xlators/features/access-control/acl.ts";

const ACCESS = "system.posix_acl_access", DEFAULT = "system.posix_acl_default";
const alice: Call = { ...ROOT, uid: 1001, gid: 100, groups: [200], pid: 5 };
const bob: Call = { ...ROOT, uid: 1002, gid: 100, groups: [], pid: 5 };

// setfacl -m u:1002:rwx,m::rwx, over mode 0750.
const BOB_MAY = "02000000" + "01000700ffffffff" + "02000700ea030000" + "04000500ffffffff" +
  "10000700ffffffff" + "20000000ffffffff";

class Bed {
  readonly inodes = new InodeTable();
  readonly brick = new MemoryBrick(node("memory", [], { inodes: this.inodes }));
  /** Lookups that reached storage. */
  lookups = 0;
  readonly top: Xlator;

  constructor() {
    const lookup = this.brick.lookup.bind(this.brick);
    this.brick.lookup = (call, args) => {
      this.lookups++;
      return lookup(call, args);
    };
    const place = node("ac", [this.brick], { inodes: this.inodes });
    this.top = accessControl.create(place, readOptions(accessControl.options, new Map()));
  }

  get root(): Inode {
    return this.inodes.root;
  }

  async make(
    kind: "mkdir" | "mknod",
    name: string,
    mode: number,
    owner: Call = alice,
    parent = this.root,
  ): Promise<Inode> {
    const gfid = crypto.randomUUID() as Gfid;
    const xdata = Xdata.of([[GFID_REQ.name, GFID_REQ.write(gfid)]]);
    const type = kind === "mkdir" ? S_IFDIR : S_IFREG;
    const args = { parent, name, mode: type | mode, umask: 0, xdata, rdev: 0 };
    await this.brick[kind](owner, args);
    return this.inodes.of(gfid);
  }

  set(call: Call, inode: Inode, changes: AttrChanges) {
    return this.top.setattr(call, { inode, changes });
  }

  setList(call: Call, inode: Inode, name: string, hex: string) {
    const xattrs = Xdata.of([[name, ptr(fromHex(hex))]]);
    return this.top.setxattr(call, { inode, xattrs, flags: 0 });
  }
}

const refused = (answer: Promise<unknown>, failure: FopError = EACCES) =>
  rejects(answer, (error) => failure.matches(error));

Deno.test("features/access-control: a lookup that asks for nothing is answered with extra data", async () => {
  const bed = new Bed();
  const inode = await bed.make("mknod", "file", 0o644);
  const args = { inode, parent: undefined, name: "" };
  for (const call of [{ ...ROOT, pid: PID_SELF_HEAL }, ROOT, alice]) {
    equal((await bed.top.lookup(call, args)).xdata?.size, 0);
  }
});

Deno.test("features/access-control: opening follows the mode bits; root and daemons are not asked", async () => {
  const bed = new Bed();
  const inode = await bed.make("mknod", "f", 0o640);
  await bed.top.open(alice, { inode, flags: O_RDWR });
  await bed.top.open(bob, { inode, flags: 0 });
  await refused(bed.top.open(bob, { inode, flags: O_WRONLY }));
  await refused(bed.top.open({ ...bob, gid: 5 }, { inode, flags: 0 }));
  await bed.top.open({ ...bob, pid: PID_SELF_HEAL }, { inode, flags: O_RDWR });
  await bed.top.open(ROOT, { inode, flags: O_RDWR });
  equal(bed.lookups, 1, "asked once, then known");
});

Deno.test("features/access-control: what is asked of an inode that is gone fails as stale", async () => {
  const bed = new Bed();
  const gone = bed.inodes.of(crypto.randomUUID() as Gfid);
  // storage/posix says so of a gfid alone, as the real brick does.
  bed.brick.lookup = () => Promise.reject(ENOENT);
  await refused(bed.top.open(alice, { inode: gone, flags: 0 }), ESTALE);
  const args = { parent: gone, name: "f", flags: O_RDWR, mode: S_IFREG | 0o600, umask: 0 };
  await refused(bed.top.create(alice, args), ESTALE);
  await refused(bed.top.create(ROOT, args), ESTALE);
});

Deno.test("features/access-control: a change of mode, owner or list counts at once", async () => {
  const bed = new Bed();
  const inode = await bed.make("mknod", "f", 0o600);
  await refused(bed.top.open(bob, { inode, flags: 0 }));
  await bed.set(alice, inode, { mode: 0o644 });
  await bed.top.open(bob, { inode, flags: 0 });
  await bed.set(ROOT, inode, { mode: 0o600, uid: bob.uid });
  await bed.top.open(bob, { inode, flags: O_RDWR });
  await bed.set(ROOT, inode, { uid: alice.uid });
  await refused(bed.top.open(bob, { inode, flags: 0 }));
  await bed.setList(alice, inode, ACCESS, BOB_MAY);
  await bed.top.open(bob, { inode, flags: O_RDWR });
});

Deno.test("features/access-control: an answer older than a change is not kept", async () => {
  const bed = new Bed();
  const inode = await bed.make("mknod", "f", 0o644);
  const lookup = bed.brick.lookup;
  let go = () => {};
  bed.brick.lookup = async (call, args) => {
    const reply = await lookup(call, args);
    await new Promise<void>((resolve) => go = resolve);
    return reply;
  };
  const slow = bed.top.open(bob, { inode, flags: 0 });
  while (bed.lookups === 0) await Promise.resolve();
  await bed.set(ROOT, inode, { mode: 0o600 });
  go();
  await slow;
  bed.brick.lookup = lookup;
  await refused(bed.top.open(bob, { inode, flags: 0 }));
});

Deno.test("features/access-control: names need a parent that may be written and searched", async () => {
  const bed = new Bed();
  const parent = await bed.make("mkdir", "d", 0o750);
  const file = await bed.make("mknod", "f", 0o644, alice, parent);
  const gfid = Xdata.of([[GFID_REQ.name, GFID_REQ.write(crypto.randomUUID() as Gfid)]]);
  const made = { parent, name: "n", mode: 0o644, umask: 0, xdata: gfid };
  await bed.top.lookup(bob, { parent, name: "f" });
  await refused(bed.top.mkdir(bob, made));
  await refused(bed.top.mknod(bob, { ...made, rdev: 0 }));
  await refused(bed.top.create(bob, { ...made, flags: O_RDWR }));
  await refused(bed.top.symlink(bob, { ...made, target: "x" }));
  await refused(bed.top.link(bob, { inode: file, parent, name: "n" }));
  await refused(bed.top.unlink(bob, { parent, name: "f", flags: 0 }));
  await refused(bed.top.rmdir(bob, { parent, name: "f", flags: 0 }));
  const away = { oldParent: parent, oldName: "f", newParent: bed.root, newName: "f" };
  await refused(bed.top.rename(bob, away));
  const stranger = { ...bob, gid: 5 };
  await refused(bed.top.lookup(stranger, { parent, name: "f" }));
  await refused(bed.top.opendir(stranger, { inode: parent }));
  await bed.top.unlink(alice, { parent, name: "f", flags: 0 });
  deepEqual((await bed.top.lookup(alice, { inode: parent, name: "" })).stat.nlink, 2);
});

Deno.test("features/access-control: in a sticky directory only owners take names away", async () => {
  const bed = new Bed();
  const parent = await bed.make("mkdir", "tmp", 0o1777, ROOT);
  await bed.make("mknod", "a", 0o666, alice, parent);
  await refused(bed.top.unlink(bob, { parent, name: "a", flags: 0 }));
  await bed.make("mknod", "b", 0o666, bob, parent);
  const over = { oldParent: parent, oldName: "b", newParent: parent, newName: "a" };
  await refused(bed.top.rename(bob, over));
  await refused(
    bed.top.unlink(bob, { parent, name: "none", flags: 0 }),
    ENOENT,
  );
  await bed.top.unlink(alice, { parent, name: "a", flags: 0 });
  await bed.top.rename(bob, over);
});

Deno.test("features/access-control: chmod, chown and times are the owner's, as chown(2) says", async () => {
  const bed = new Bed();
  const inode = await bed.make("mknod", "f", 0o644);
  await refused(bed.set(bob, inode, { mode: 0o666 }), EPERM);
  await refused(bed.set(alice, inode, { uid: bob.uid }), EPERM);
  await bed.set(alice, inode, { uid: alice.uid, gid: 200 });
  await refused(bed.set(alice, inode, { gid: 300 }), EPERM);
  await refused(bed.set(bob, inode, { mtime: "now" }));
  await bed.set(alice, inode, { mode: 0o666 });
  await bed.set(bob, inode, { mtime: "now" });
  await bed.set(ROOT, inode, { gid: 300 });
  const { post } = await bed.set(alice, inode, { mode: 0o2755 });
  equal(post!.mode & 0o7777, 0o755, "no set-group-id for a group one is not in");
});

Deno.test("features/access-control: lists belong to the owner, other xattrs to who may write", async () => {
  const bed = new Bed();
  const inode = await bed.make("mknod", "f", 0o666);
  const user = Xdata.of([["user.a", ptr(Uint8Array.of(1))]]);
  await bed.top.setxattr(bob, { inode, xattrs: user, flags: 0 });
  await refused(bed.setList(bob, inode, ACCESS, BOB_MAY), EPERM);
  await bed.set(alice, inode, { mode: 0o600 });
  await refused(bed.top.setxattr(bob, { inode, xattrs: user, flags: 0 }));
  await refused(bed.top.getxattr(bob, { inode, name: "user.a" }));
  await refused(bed.top.removexattr(bob, { inode, name: "user.a" }));
  await bed.setList(alice, inode, ACCESS, BOB_MAY);
  await bed.top.getxattr({ ...bob, uid: 9 }, { inode, name: ACCESS });
  await refused(bed.top.removexattr(bob, { inode, name: ACCESS }), EPERM);
  await bed.top.removexattr(alice, { inode, name: ACCESS });
  await refused(bed.top.open(bob, { inode, flags: 0 }));
});

Deno.test("features/access-control: new names inherit the default list, and the umask does not count", async () => {
  const bed = new Bed();
  const parent = await bed.make("mkdir", "d", 0o777);
  await bed.setList(alice, parent, DEFAULT, BOB_MAY);
  const listOf = async (inode: Inode, name: string) => {
    const { xattrs } = await bed.top.getxattr(ROOT, { inode, name });
    return parseAcl(valueBytes(xattrs!.raw(name)!)!);
  };
  const make = async (kind: "mkdir" | "mknod", name: string) => {
    const gfid = crypto.randomUUID() as Gfid;
    // As FUSE sends: the mode masked, the one before it and the umask beside, 16 bits with a sign.
    const xdata = Xdata.of([
      [GFID_REQ.name, GFID_REQ.write(gfid)],
      [UMASK.name, UMASK.write(0o077)],
      [UNMASKED_MODE.name, UNMASKED_MODE.write((0o100666 << 16) >> 16)],
    ]);
    const args = { parent, name, mode: 0o100600, umask: 0, xdata, rdev: 0 };
    const { stat } = await bed.top[kind](alice, args);
    return { inode: bed.inodes.of(gfid), mode: stat.mode & 0o7777 };
  };
  const file = await make("mknod", "f");
  equal(file.mode, 0o660);
  deepEqual(await listOf(file.inode, ACCESS), { ...parseAcl(fromHex(BOB_MAY)), owner: 6, mask: 6 });
  await rejects(bed.top.getxattr(ROOT, { inode: file.inode, name: DEFAULT }));
  const directory = await make("mkdir", "s");
  deepEqual(await listOf(directory.inode, DEFAULT), parseAcl(fromHex(BOB_MAY)));
  await bed.top.open(bob, { inode: file.inode, flags: O_RDWR });
});

Deno.test("features/access-control: without a default list the umask counts", async () => {
  const bed = new Bed();
  const gfid = crypto.randomUUID() as Gfid;
  const xdata = Xdata.of([[GFID_REQ.name, GFID_REQ.write(gfid)]]);
  const args = { parent: bed.root, name: "f", mode: 0o666, umask: 0o027, xdata, rdev: 0 };
  const { stat } = await bed.top.mknod(ROOT, args);
  equal(stat.mode & 0o7777, 0o640);
});

Deno.test("features/access-control: access(2) answers for the caller", async () => {
  const bed = new Bed();
  const inode = await bed.make("mknod", "f", 0o640);
  await bed.top.access(bob, { inode, mask: 4 });
  await refused(bed.top.access(bob, { inode, mask: 6 }));
  await bed.top.access(bob, { inode, mask: 0 });
});

Deno.test("features/access-control: volfiles may call it system/posix-acl", () => {
  equal(xlatorTypes([accessControl]).get("system/posix-acl"), accessControl);
});

Deno.test("features/access-control: truncate needs write permission, except the owner's over NFS", async () => {
  const bed = new Bed();
  const inode = await bed.make("mknod", "f", 0o444);
  await refused(bed.top.truncate(alice, { inode, offset: 0 }));
  await bed.top.truncate({ ...alice, pid: 1 }, { inode, offset: 0 });
});
