/** Locks of applications over connections that take them again: what is given up while one is lost. */

import { strictEqual as equal } from "node:assert/strict";
import { type Call, type LkOwner, ROOT } from "core/call.ts";
import { type LockType, O_RDWR } from "core/fops.ts";
import { type Fd, InodeTable } from "core/inode.ts";
import { readOptions } from "core/options.ts";
import {
  create,
  inodesOf,
  makeClient,
  memoryBrick,
  over,
  serveBrick,
} from "tests/fakes/client_brick.ts";
import { node } from "tests/fakes/node.ts";
import { Wires } from "tests/fakes/wires.ts";
import { options } from "xlators/cluster/replicate/options.ts";
import { Replicate } from "xlators/cluster/replicate/replicate.ts";
import { locks } from "xlators/features/locks/locks.ts";

const OURS: Call = { ...ROOT, lkOwner: "0a" as LkOwner };
const THEIRS: Call = { ...ROOT, lkOwner: "0b" as LkOwner };

function request(call: Call, fd: Fd, type: LockType, cmd: "set" | "get" = "set") {
  const lock = { type, whence: 0, start: 0n, size: 0n, pid: call.pid, owner: call.lkOwner };
  return { fd, cmd, lock };
}

/** A replica of two bricks, each behind a connection that can be cut. */
async function scene() {
  const inodes = new InodeTable();
  const values = readOptions(locks.options, new Map());
  const copies = await Promise.all(["a", "b"].map(async () => {
    const disk = memoryBrick();
    const layer = locks.create(node("brick", [disk], { inodes: inodesOf(disk) }), values);
    const brick = await serveBrick(over(disk, () => layer)), wires = new Wires();
    return { brick, wires, ...makeClient(brick.port, { connect: wires.connect, inodes }) };
  }));
  const given = readOptions(options, new Map([["afr-pending-xattr", "a,b"]]));
  const top = new Replicate(node("r", copies.map((copy) => copy.top), { inodes }), given);
  for (const copy of copies) await copy.top.start();
  await top.start();
  const { fd } = await create(top, inodes, "f");
  return { top, copies, fd };
}

Deno.test("cluster/replicate locks: what is given up while a connection is lost does not come back with it", async () => {
  const { top, copies, fd } = await scene();
  const [, second] = copies;
  for (const [round, end] of (["unlock", "flush"] as const).entries()) {
    await top.lk(OURS, request(OURS, fd, "write"));
    second!.wires.refusal = new Deno.errors.ConnectionRefused("cut off");
    second!.wires.tear();
    await second!.heard("child-down", round + 1);
    if (end === "unlock") await top.lk(OURS, request(OURS, fd, "unlock"));
    else await top.flush(OURS, { fd });
    second!.wires.refusal = undefined;
    await second!.heard("child-up", round + 2);
    const { fd: theirs } = await second!.top.open(ROOT, { inode: fd.inode, flags: O_RDWR });
    const { lock } = await second!.top.lk(THEIRS, request(THEIRS, theirs, "write", "get"));
    equal(lock.type, "unlock", end);
    await second!.top.release(ROOT, { fd: theirs });
  }
  await top.release(ROOT, { fd });
  await top.stop();
  for (const { stop, brick } of copies) {
    await stop();
    await brick.stop();
  }
});
