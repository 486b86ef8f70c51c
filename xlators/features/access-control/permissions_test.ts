/** The same users and files as GlusterFS 10.3 was asked about: the same answers. */

import { strictEqual as equal } from "node:assert/strict";
import { type Call, ROOT } from "core/call.ts";
import { FopError } from "core/errno.ts";
import { O_RDWR, O_TRUNC, O_WRONLY } from "core/fops.ts";
import { S_IFREG } from "core/iatt.ts";
import { type Gfid, type Inode, InodeTable } from "core/inode.ts";
import { fromHex } from "core/lib/bytes.ts";
import { readOptions } from "core/options.ts";
import { ptr, Xdata } from "core/xdata.ts";
import { GFID_REQ } from "core/xdata_keys.ts";
import type { Xlator } from "core/xlator.ts";
import { MemoryBrick } from "tests/fakes/memory_brick.ts";
import { node } from "tests/fakes/node.ts";
import { accessControl } from "xlators/features/access-control/access_control.ts";
import captured from "xlators/features/access-control/permissions_10_3.json" with { type: "json" };

const ACL = "02000000" + "01000600ffffffff" + "02000700ea030000" + "04000400ffffffff" +
  "0800060008000000" + "10000600ffffffff" + "20000000ffffffff";
const value = Xdata.of([["user.t", ptr(Uint8Array.of(0x31))]]);
const long = { sec: 1000, nsec: 0 };

type Operation = (top: Xlator, call: Call, inode: Inode) => Promise<unknown>;
/** In the order of the capture. */
const OPERATIONS: readonly Operation[] = [
  (top, call, inode) => top.open(call, { inode, flags: 0 }),
  (top, call, inode) => top.open(call, { inode, flags: O_WRONLY }),
  (top, call, inode) => top.open(call, { inode, flags: O_RDWR | O_TRUNC }),
  (top, call, inode) => top.access(call, { inode, mask: 4 }),
  (top, call, inode) => top.access(call, { inode, mask: 2 }),
  (top, call, inode) => top.access(call, { inode, mask: 1 }),
  (top, call, inode) => top.truncate(call, { inode, offset: 3 }),
  (top, call, inode) => top.setxattr(call, { inode, xattrs: value, flags: 0 }),
  (top, call, inode) => top.getxattr(call, { inode, name: "user.t" }),
  (top, call, inode) => top.setattr(call, { inode, changes: { atime: long, mtime: long } }),
];

async function makeFile(top: Xlator, parent: Inode, inodes: InodeTable, name: string) {
  const gfid = crypto.randomUUID() as Gfid;
  const xdata = Xdata.of([[GFID_REQ.name, GFID_REQ.write(gfid)]]);
  const mode = name === "acl" ? 0o640 : parseInt(name.slice(1), 8);
  await top.mknod(ROOT, { parent, name, mode: S_IFREG | 0o600, umask: 0, rdev: 0, xdata });
  const inode = inodes.of(gfid);
  await top.setattr(ROOT, { inode, changes: { uid: 1001, gid: 100 } });
  await top.setattr(ROOT, { inode, changes: { mode } });
  await top.setxattr(ROOT, { inode, xattrs: value, flags: 0 });
  if (name !== "acl") return inode;
  const xattrs = Xdata.of([["system.posix_acl_access", ptr(fromHex(ACL))]]);
  await top.setxattr(ROOT, { inode, xattrs, flags: 0 });
  return inode;
}

for (const { uid, gid, groups, files } of captured.users) {
  Deno.test(`features/access-control: user ${uid} in ${gid} ${groups} may do what GlusterFS lets it`, async () => {
    const inodes = new InodeTable();
    const brick = new MemoryBrick(node("memory", [], { inodes }));
    const place = node("ac", [brick], { inodes });
    const top = accessControl.create(place, readOptions(accessControl.options, new Map()));
    const call: Call = { ...ROOT, uid, gid, groups, pid: 99 };
    for (const [name, expected] of Object.entries(files)) {
      const inode = await makeFile(top, inodes.root, inodes, name);
      for (const [i, operation] of OPERATIONS.entries()) {
        const answer = await operation(top, call, inode).then(
          () => "ok",
          (error) => error instanceof FopError ? error.code : String(error),
        );
        equal(answer, expected[i], `${name}: ${captured.operations[i]}`);
      }
    }
  });
}
