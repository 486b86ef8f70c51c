/** Locks of applications, and copies that were away when they were taken. */

import { strictEqual as equal } from "node:assert/strict";
import { type Call, type LkOwner, ROOT } from "core/call.ts";
import { EAGAIN, EINTR } from "core/errno.ts";
import type { LockType } from "core/fops.ts";
import type { Fd } from "core/inode.ts";
import { fails, gfidReq } from "tests/conformance/place.ts";
import { testEnv } from "tests/fakes/node.ts";
import { type Fate, over } from "tests/fakes/replica.ts";
import { Scene } from "tests/fakes/replica_scene.ts";

const OURS: Call = { ...ROOT, lkOwner: "0a" as LkOwner };
const THEIRS: Call = { ...ROOT, lkOwner: "0b" as LkOwner };

function request(call: Call, fd: Fd, type: LockType, cmd: "set" | "get" = "set", size = 0n) {
  const lock = { type, whence: 0, start: 0n, size, pid: call.pid, owner: call.lkOwner };
  return { fd, cmd, lock };
}

/** The lock that is in somebody else's way on a copy. */
async function seen(scene: Scene, index: number, { inode }: Fd): Promise<LockType> {
  const link = scene.links[index]!;
  const { fd } = await link.open(ROOT, { inode, flags: 2 });
  const { lock } = await link.lk(THEIRS, request(THEIRS, fd, "write", "get"));
  await link.release(ROOT, { fd });
  return lock.type;
}

// Behind the event nothing is waited for.
async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((done) => setImmediate(done));
}

Deno.test("cluster/replicate locks: a lock that was taken while a copy was away is on it when it is back", async () => {
  const scene = await Scene.of();
  const { fd } = await scene.create("f");
  scene.links[2]!.turn(false);
  await scene.top.lk(OURS, request(OURS, fd, "write"));
  scene.links[2]!.turn(true);
  await settled();
  equal(await seen(scene, 2, fd), "write");
  await scene.top.lk(OURS, request(OURS, fd, "unlock"));
  equal(await seen(scene, 2, fd), "unlock");
});

Deno.test("cluster/replicate locks: so it is in a file that was opened while the copy was away", async () => {
  const scene = await Scene.of();
  const { inode } = await scene.create("f");
  scene.links[2]!.turn(false);
  const { fd } = await scene.top.open(ROOT, { inode, flags: 2 });
  await scene.top.lk(OURS, request(OURS, fd, "read"));
  scene.links[2]!.turn(true);
  await settled();
  equal(await seen(scene, 2, fd), "read");
});

Deno.test("cluster/replicate locks: a file that the copy misses is locked there once it is healed", async () => {
  const scene = await Scene.of();
  scene.links[2]!.turn(false);
  const { fd, inode } = await scene.create("f");
  await scene.top.lk(OURS, request(OURS, fd, "write"));
  scene.links[2]!.turn(true);
  await settled();
  const args = { parent: scene.root, name: "f", mode: 0o100644, rdev: 0, umask: 0 };
  await scene.on.bricks[2]!.mknod(ROOT, { ...args, xdata: gfidReq(inode.gfid) });
  scene.clock.advance(1000);
  await settled();
  equal(await seen(scene, 2, fd), "write");
});

Deno.test("cluster/replicate locks: what was given up, or closed, meanwhile is not taken again", async () => {
  const scene = await Scene.of();
  const { fd } = await scene.create("f");
  for (const end of ["unlock", "flush"] as const) {
    scene.links[2]!.turn(false);
    await scene.top.lk(OURS, request(OURS, fd, "write"));
    if (end === "unlock") await scene.top.lk(OURS, request(OURS, fd, "unlock"));
    else await scene.top.flush(OURS, { fd });
    scene.links[2]!.turn(true);
    await settled();
    equal(await seen(scene, 2, fd), "unlock");
  }
});

Deno.test("cluster/replicate locks: a lock that was refused is not kept, nor one that somebody has there by now", async () => {
  const scene = await Scene.of({ copies: 2 });
  const { fd } = await scene.create("f");
  const second = over(scene.links, {}, scene.on.inodes, testEnv({ clock: scene.clock }));
  const { fd: theirs } = await second.open(ROOT, { inode: fd.inode, flags: 2 });
  await second.lk(THEIRS, request(THEIRS, theirs, "write"));
  scene.links[1]!.turn(false);
  await fails(scene.top.lk(OURS, request(OURS, fd, "write")), EAGAIN);
  scene.links[1]!.turn(true);
  await settled();
  await second.lk(THEIRS, request(THEIRS, theirs, "unlock"));
  equal(await seen(scene, 1, fd), "unlock");
  await second.stop();
});

Deno.test("cluster/replicate locks: a copy that comes back while a lock is taken on others has it, too", async () => {
  const scene = await Scene.of();
  const { fd } = await scene.create("f");
  const answer = Promise.withResolvers<Fate>();
  scene.links[0]!.turn(false);
  scene.links[1]!.fate = (fop) => fop === "lk" ? answer.promise : "pass";
  const taking = scene.top.lk(OURS, request(OURS, fd, "write"));
  await settled();
  scene.links[0]!.turn(true);
  await settled();
  answer.resolve("pass");
  await taking;
  await settled();
  equal(await seen(scene, 0, fd), "write");
});

Deno.test("cluster/replicate locks: who is refused a stronger lock keeps the one that he has on all copies", async () => {
  for (const cmd of ["set", "set-wait"] as const) {
    const scene = await Scene.of();
    const { fd } = await scene.create("f");
    await scene.top.lk(OURS, request(OURS, fd, "read"));
    const second = scene.links[1]!;
    const { fd: theirs } = await second.open(ROOT, { inode: fd.inode, flags: 2 });
    await second.lk(THEIRS, request(THEIRS, theirs, "read"));
    const given = new AbortController();
    const stronger = { ...request(OURS, fd, "write"), cmd, signal: given.signal };
    const refused = fails(scene.top.lk(OURS, stronger), cmd === "set" ? EAGAIN : EINTR);
    await settled();
    given.abort();
    await refused;
    for (const [index] of scene.links.entries()) equal(await seen(scene, index, fd), "read", cmd);
  }
});

Deno.test("cluster/replicate locks: a lock that somebody had on the copy for a moment is on it after that", async () => {
  const scene = await Scene.of();
  const { fd } = await scene.create("f");
  const back = scene.links[2]!, brick = back.children[0]!;
  const { fd: theirs } = await back.open(ROOT, { inode: fd.inode, flags: 2 });
  back.turn(false);
  await scene.top.lk(OURS, request(OURS, fd, "write"));
  // Of another client, which does not get it on the others.
  await brick.lk(THEIRS, request(THEIRS, theirs, "write"));
  back.turn(true);
  await settled();
  await brick.lk(THEIRS, request(THEIRS, theirs, "unlock"));
  scene.clock.advance(1000);
  await settled();
  equal(await seen(scene, 2, fd), "write");
  await scene.top.stop();
});
