import {
  deepStrictEqual as deepEqual,
  notStrictEqual as differ,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { type Call, ROOT } from "core/call.ts";
import { realRandom } from "core/env.ts";
import { EINVAL, ENOENT, EOPNOTSUPP, EPERM, type FopError } from "core/errno.ts";
import { S_IFDIR, S_IFLNK, S_IFREG } from "core/iatt.ts";
import { type Gfid, type Inode, InodeTable } from "core/inode.ts";
import { ptr, Xdata } from "core/xdata.ts";
import { GFID_REQ } from "core/xdata_keys.ts";
import { MemoryBrick } from "tests/fakes/memory_brick.ts";
import { node } from "tests/fakes/node.ts";
import { gfidAccess } from "xlators/features/gfid-access/gfid_access.ts";
import { readNewEntry } from "xlators/features/gfid-access/new_entry.ts";

const CHOSEN = "0f0e0d0c-0b0a-4908-8706-050403020100" as Gfid;

function bed() {
  const inodes = new InodeTable(), { root } = inodes;
  const brick = new MemoryBrick(node("brick", [], { inodes }));
  const top = gfidAccess.create(node("gfid-access", [brick], { inodes }), {});
  const look = async (parent: Inode, name: string) => {
    const { stat } = await top.lookup(ROOT, { parent, name });
    return { stat, inode: inodes.of(stat.gfid) };
  };
  const byGfid = async (gfid: Gfid) => look((await look(root, ".gfid")).inode, gfid);
  const make = () => {
    const gfid = GFID_REQ.write(realRandom.uuid() as Gfid);
    return { mode: 0o755, umask: 0, xdata: Xdata.of([[GFID_REQ.name, gfid]]) };
  };
  return { top, root, inodes, look, byGfid, make };
}

const fails = (act: Promise<unknown>, error: FopError) => rejects(act, (it) => error.matches(it));

/** The value that makes an entry; numbers are 32 bits, texts end in a zero. */
function blob(...words: (number | string)[]): Uint8Array {
  return Uint8Array.from(
    words.flatMap((word) =>
      typeof word === "string"
        ? [...new TextEncoder().encode(word), 0]
        : [word >>> 24, word >>> 16, word >>> 8, word].map((each) => each & 255)
    ),
  );
}

Deno.test("features/gfid-access: a file found by its gfid is that file, and a directory a way to it", async () => {
  const { top, root, look, byGfid, make } = bed();
  await top.mkdir(ROOT, { parent: root, name: "d", ...make() });
  const d = await look(root, "d");
  await top.mknod(ROOT, { parent: d.inode, name: "f", rdev: 0, ...make() });
  const f = await look(d.inode, "f");
  equal((await byGfid(f.stat.gfid)).inode, f.inode);
  const standIn = await byGfid(d.stat.gfid);
  differ(standIn.inode, d.inode);
  equal((await byGfid(d.stat.gfid)).inode, standIn.inode, "the same each time");
  equal((await look(standIn.inode, "f")).inode, f.inode);
  const changed = await top.setattr(ROOT, { inode: standIn.inode, changes: { mode: 0o700 } });
  equal(changed.post!.gfid, standIn.stat.gfid, "who asks of one is not told of another");
  equal((await look(root, "d")).stat.mode & 0o7777, 0o700);
  equal((await top.stat(ROOT, { inode: standIn.inode })).stat.gfid, standIn.stat.gfid);
  await top.rename(ROOT, {
    oldParent: standIn.inode,
    oldName: "f",
    newParent: root,
    newName: "g",
  });
  equal((await look(root, "g")).inode, f.inode);
  await fails(top.opendir(ROOT, { inode: standIn.inode }), EOPNOTSUPP);
});

Deno.test("features/gfid-access: .gfid is there, and neither holds nor makes room for anything else", async () => {
  const { top, root, look, byGfid, make } = bed();
  const { stat, inode } = await look(root, ".gfid");
  equal(stat.mode & S_IFDIR, S_IFDIR);
  equal((await top.stat(ROOT, { inode })).stat.gfid, stat.gfid);
  await fails(byGfid("nonsense" as Gfid), ENOENT);
  await fails(byGfid(CHOSEN), ENOENT);
  for (const name of [".gfid", "d"]) {
    const parent = name === ".gfid" ? root : inode;
    const error = name === ".gfid" ? EOPNOTSUPP : EPERM;
    await fails(top.mkdir(ROOT, { parent, name, ...make() }), error);
    await fails(top.rmdir(ROOT, { parent, name, flags: 0 }), error);
    const names = { oldParent: root, oldName: "x", newParent: parent, newName: name };
    await fails(top.rename(ROOT, names), error);
  }
  await fails(top.opendir(ROOT, { inode }), EOPNOTSUPP);
  await fails(top.setattr(ROOT, { inode, changes: { mode: 0 } }), EOPNOTSUPP);
  equal((await top.statfs(ROOT, { inode })).statfs.namemax > 0, true);
});

Deno.test("features/gfid-access: an entry is made with the gfid and the owner that were asked for", async () => {
  const { top, look, byGfid, root } = bed();
  const { inode } = await byGfid(root.gfid);
  const set = (value: Uint8Array, call: Call = ROOT, name = "glusterfs.gfid.newfile") =>
    top.setxattr(call, { inode, xattrs: Xdata.of([[name, ptr(value)]]), flags: 0 });
  await set(blob(7, 8, CHOSEN, S_IFREG | 0o666, "f", 0o666, 0, 0o22));
  const { stat } = await look(root, "f");
  deepEqual([stat.gfid, stat.uid, stat.gid, stat.mode], [CHOSEN, 7, 8, S_IFREG | 0o644]);
  const others = ["1", "2"].map((digit) => CHOSEN.slice(0, -1) + digit) as [Gfid, Gfid];
  await set(blob(7, 8, others[0], S_IFDIR | 0o777, "d", 0o777, 0o77));
  equal((await look(root, "d")).stat.mode, S_IFDIR | 0o700);
  await set(blob(7, 8, others[1], S_IFLNK | 0o777, "l", "to/there"));
  const link = await look(root, "l");
  equal(link.stat.gfid, others[1]);
  equal((await top.readlink(ROOT, { inode: link.inode, size: 99 })).target, "to/there");
  await set(blob(CHOSEN, "f"), ROOT, "glusterfs.gfid.heal");
  await fails(set(blob(CHOSEN, "none"), ROOT, "glusterfs.gfid.heal"), ENOENT);
});

Deno.test("features/gfid-access: nobody but root chooses gfids and owners", async () => {
  const { top, look, root } = bed();
  const user: Call = { ...ROOT, uid: 7, gid: 8 };
  const values = {
    "glusterfs.gfid.newfile": blob(0, 0, CHOSEN, S_IFREG | 0o4777, "f", 0o4777, 0, 0),
    "glusterfs.gfid.heal": blob(CHOSEN, "f"),
  };
  for (const [name, value] of Object.entries(values)) {
    const xattrs = Xdata.of([[name, ptr(value)]]);
    await fails(top.setxattr(user, { inode: root, xattrs, flags: 0 }), EPERM);
  }
  await fails(look(root, "f"), ENOENT);
});

Deno.test("features/gfid-access: what is no description of an entry is refused, wherever it is cut", () => {
  const whole = blob(7, 8, CHOSEN, S_IFREG | 0o666, "f", 0o666, 0, 0o22);
  equal(readNewEntry(whole).name, "f");
  for (let size = 0; size < whole.length; size++) {
    let error: unknown;
    try {
      readNewEntry(whole.subarray(0, size));
    } catch (thrown) {
      error = thrown;
    }
    equal(error, EINVAL, `${size} bytes`);
  }
  const wrong = [
    blob(7, 8, CHOSEN, S_IFREG, "f", 0, 0, 0, 0),
    blob(7, 8, "no gfid", S_IFREG, "f", 0, 0, 0),
    blob(7, 8, CHOSEN, S_IFDIR, "", 0, 0),
  ];
  for (const value of wrong) {
    let error: unknown;
    try {
      readNewEntry(value);
    } catch (thrown) {
      error = thrown;
    }
    equal(error, EINVAL);
  }
});
