import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { type Call, ROOT } from "core/call.ts";
import { ENODATA, ENOENT, EPERM, type FopError } from "core/errno.ts";
import type { Args, FopName, Reply } from "core/fops.ts";
import { InodeTable } from "core/inode.ts";
import { readOptions } from "core/options.ts";
import { ptr, valueBytes, Xdata } from "core/xdata.ts";
import { Uniform } from "core/xlator.ts";
import { gfidReq } from "tests/conformance/place.ts";
import { MemoryBrick } from "tests/fakes/memory_brick.ts";
import { node } from "tests/fakes/node.ts";
import { distribute } from "xlators/cluster/distribute/distribute.ts";
import { options } from "xlators/cluster/distribute/options.ts";

const SHARE = "trusted.glusterfs.dht";

/** Notes what passes, and can fail. */
class Seen extends Uniform {
  fops: FopName[] = [];
  failure: FopError | undefined;
  protected around<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    this.fops.push(fop);
    if (this.failure) return Promise.reject(this.failure);
    return this.wind(fop, call, args);
  }
}

function single() {
  const inodes = new InodeTable();
  const brick = new MemoryBrick(node("b", [], { inodes }));
  const seen = new Seen(node("seen", [brick], { inodes }));
  const values = readOptions(options, new Map());
  const top = distribute.create(node("dht", [seen], { inodes }), values);
  return { top, brick, seen, inodes, parent: inodes.root };
}

Deno.test("cluster/distribute over one subvolume: a change of a name, or a miss, is one fop below", async () => {
  const { top, seen, parent } = single();
  const made = { parent, mode: 0o755, umask: 0, xdata: gfidReq() };
  await top.mkdir(ROOT, { ...made, name: "d" });
  const { fd } = await top.create(ROOT, { ...made, name: "f", flags: 1, xdata: gfidReq() });
  await top.release(ROOT, { fd });
  await rejects(top.lookup(ROOT, { parent, name: "none" }), (error) => ENOENT.matches(error));
  const move = { oldParent: parent, oldName: "f", newParent: parent, newName: "g" };
  await top.rename(ROOT, move);
  await top.unlink(ROOT, { parent, name: "g", flags: 0 });
  await top.rmdir(ROOT, { parent, name: "d", flags: 0 });
  deepEqual(seen.fops, ["mkdir", "create", "release", "lookup", "rename", "unlink", "rmdir"]);
});

Deno.test("cluster/distribute over one subvolume: a new directory has all hashes, and nobody sees it", async () => {
  const { top, brick, inodes, parent } = single();
  const made = { parent, name: "d", mode: 0o755, umask: 0, xdata: gfidReq() };
  const inode = inodes.of((await top.mkdir(ROOT, made)).stat.gfid);
  const { xattrs } = await brick.getxattr(ROOT, { inode, name: SHARE });
  const bytes = valueBytes(xattrs!.raw(SHARE)!)!;
  equal(bytes.toHex(), "0000000000000000" + "00000000ffffffff");
  await rejects(top.getxattr(ROOT, { inode, name: SHARE }), (error) => ENODATA.matches(error));
  const all = await top.getxattr(ROOT, { inode, name: "" });
  equal(all.xattrs?.has(SHARE) ?? false, false);
  const own = { inode, xattrs: Xdata.of([[SHARE, ptr(bytes)]]), flags: 0 };
  await rejects(top.setxattr(ROOT, own), (error) => EPERM.matches(error));
});

Deno.test("cluster/distribute over one subvolume: what another client is making is not there yet", async () => {
  const { seen, top, parent } = single();
  seen.failure = ENODATA;
  await rejects(top.lookup(ROOT, { parent, name: "d" }), (error) => ENOENT.matches(error));
});
