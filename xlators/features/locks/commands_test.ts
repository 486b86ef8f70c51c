import { strictEqual as equal } from "node:assert/strict";
import { type Call } from "core/call.ts";
import { EINVAL } from "core/errno.ts";
import { O_RDWR } from "core/fops.ts";
import { Fd, Inode } from "core/inode.ts";
import { bytesKey, str, textKey, Xdata } from "core/xdata.ts";
import { testClient } from "tests/fakes/node.ts";
import { encodeLockinfo } from "xlators/features/locks/lockinfo.ts";
import { Locks } from "xlators/features/locks/locks.ts";

import {
  by,
  DIR,
  entrylk,
  fails,
  FILE,
  inodelk,
  isEmpty,
  lkArgs,
  outcome,
  setUp,
} from "tests/fakes/locks_layer.ts";

const summaryOf = async (layer: Locks, call: Call, inode: Inode, name: string) =>
  (await layer.getxattr(call, { inode, name })).xattrs?.get(textKey(name));

Deno.test("features/locks: clear-locks drops what it names and tells how many", async () => {
  const pathinfo = "<POSIX(/bricks/a):host1:/bricks/a/dir/f>";
  const { layer } = setUp({}, {
    getxattr: (_call, { name }) => Promise.resolve({ xattrs: Xdata.of([[name, str(pathinfo)]]) }),
  });
  const a = by(testClient()), b = by(testClient()), fd = new Fd(FILE, O_RDWR);
  await layer.inodelk(a, inodelk("write", 0, 10));
  await layer.inodelk(a, inodelk("write", 20, 10));
  const waits = layer.inodelk(b, inodelk("write"));
  const clear = (name: string, inode = FILE) =>
    summaryOf(layer, a, inode, `glusterfs.clrlk.${name}`);
  equal(await clear("tinode.kgranted.0,0-11"), "No locks cleared.");
  equal(
    await clear("tinode.kgranted.0,0-10"),
    "host1:/bricks/a/dir/f: inode blocked locks=0 granted locks=1",
  );
  equal(
    await clear("tinode.kblocked"),
    "host1:/bricks/a/dir/f: inode blocked locks=1 granted locks=0",
  );
  equal(await outcome(waits), "EAGAIN");
  await layer.entrylk(a, entrylk("x.y"));
  await layer.entrylk(a, entrylk("z"));
  equal(
    await clear("tentry.kall.x.y", DIR),
    "host1:/bricks/a/dir/f: entry blocked locks=0 granted locks=1",
  );
  await layer.lk(a, lkArgs(fd, "set", "write"));
  const posix = layer.lk(b, lkArgs(fd, "set-wait", "write"));
  equal(
    await clear("tposix.kall"),
    "host1:/bricks/a/dir/f: posix blocked locks=1 granted locks=1",
  );
  equal(await outcome(posix), "EINTR");
  await layer.entrylk(a, entrylk("z", "unlock"));
  await layer.inodelk(a, inodelk("unlock", 20, 10));
  isEmpty(layer);
});

Deno.test("features/locks: clear-locks that makes no sense clears nothing", async () => {
  const { layer } = setUp();
  const a = by(testClient());
  await layer.inodelk(a, inodelk("write"));
  for (
    const name of [
      "",
      ".tinode",
      ".tinode.kwrong",
      ".twrong.kall",
      ".tinode.kall.x",
      ".kall.tinode",
    ]
  ) {
    await fails(layer.getxattr(a, { inode: FILE, name: `glusterfs.clrlk${name}` }), EINVAL);
  }
  await fails(layer.getxattr(a, { inode: FILE, name: "glusterfs.intrlk.tinode.kall" }), EINVAL);
  await layer.inodelk(a, inodelk("unlock"));
});

Deno.test("features/locks: an interrupt ends the wait of the caller's own process only", async () => {
  const { layer } = setUp();
  const fd = new Fd(FILE, O_RDWR), a = by(testClient()), client = testClient();
  const mine = by(client, "01", { pid: 5 }), neighbour = by(client, "02", { pid: 6 });
  await layer.lk(a, lkArgs(fd, "set", "write"));
  const interrupted = layer.lk(mine, lkArgs(fd, "set-wait", "write"));
  const stays = layer.lk(neighbour, lkArgs(fd, "set-wait", "write"));
  const name = "glusterfs.intrlk.tposix.kblocked.0,0-0";
  const { xattrs } = await layer.fgetxattr(mine, { fd, name });
  equal(xattrs?.get(textKey(name)), "vol-locks: posix blocked locks=1 granted locks=0");
  equal(await outcome(interrupted), "EINTR");
  equal(await outcome(stays), "waits");
  layer.clientGone(a.client);
  equal(await outcome(stays), "done");
});

Deno.test("features/locks: a client takes its POSIX locks along to a new connection", async () => {
  const { layer } = setUp({}, {
    getxattr: (_call, { name }) =>
      Promise.resolve({ xattrs: Xdata.of([[name, str("<POSIX(/bricks/a):host1:/bricks/a/f>")]]) }),
  });
  const old = by(testClient()), fresh = by(testClient()), thief = by(testClient(), "05");
  const from = new Fd(FILE, O_RDWR), to = new Fd(FILE, O_RDWR);
  const name = "trusted.glusterfs.lockinfo";
  equal((await layer.fgetxattr(old, { fd: from, name })).xattrs, undefined);
  await layer.lk(old, lkArgs(from, "set", "write", 0, 10));
  const { xattrs } = await layer.fgetxattr(old, { fd: from, name });
  const forged = new Xdata(new Map()).with(
    bytesKey(name),
    encodeLockinfo("<POSIX(/bricks/a):host1", "1"),
  );
  await layer.fsetxattr(thief, { fd: new Fd(FILE, O_RDWR), xattrs: forged, flags: 0 });
  for (const broken of [[], [0, 0, 0, 1], [0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 9, 1, 2]]) {
    const bad = new Xdata(new Map()).with(bytesKey(name), Uint8Array.from(broken));
    await fails(layer.fsetxattr(fresh, { fd: to, xattrs: bad, flags: 0 }), EINVAL);
  }
  await layer.fsetxattr(fresh, { fd: to, xattrs, flags: 0 });
  layer.clientGone(old.client);
  equal((await layer.lk(thief, lkArgs(to, "get", "write"))).lock.owner, "01");
  await layer.release(fresh, { fd: to });
  isEmpty(layer);
});
