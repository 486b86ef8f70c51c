import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { EBUSY, EEXIST, EMLINK, EPERM } from "core/errno.ts";
import { O_CREAT, O_RDWR, O_TRUNC } from "core/fops.ts";
import type { Gfid } from "core/inode.ts";
import { readOptions } from "core/options.ts";
import { ptr, requestKey, str, Xdata } from "core/xdata.ts";
import { INTERNAL_FOP } from "core/xdata_keys.ts";
import { gfidReq, IS_ROOT, run, TestBrick } from "tests/fakes/posix_brick.ts";
import { options } from "xlators/storage/posix/options.ts";

const ignore = !IS_ROOT;
const LINKTO = "trusted.glusterfs.dht.linkto";
const utf8 = (text: string) => new TextEncoder().encode(text);

Deno.test({
  name:
    "storage/posix: owners, modes and the group of a setgid directory are the file's from its start",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    const dir = await brick.mkdir("shared", brick.root, 0o2775);
    await brick.top.setattr(ROOT, { inode: dir, changes: { gid: 77, mode: 0o2775 } });
    const call = { ...ROOT, uid: 1000, gid: 1000 };
    const { gfid } = await brick.create("f", { parent: dir, mode: 0o104751, call });
    const file = Deno.lstatSync(`${brick.path}/shared/f`);
    deepEqual([file.uid, file.gid, file.mode! & 0o7777], [1000, 77, 0o4751]);
    const make = { parent: dir, name: "d", mode: 0o755, umask: 0, xdata: gfidReq() };
    const { stat } = await brick.top.mkdir(call, make);
    deepEqual([stat.uid, stat.gid, stat.mode & 0o7777], [1000, 77, 0o2755]);
    equal((await brick.lookup("f", dir)).gfid, gfid);
  },
});

Deno.test({
  name: "storage/posix: owners beyond 2^31 are kept",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    const nobody = 4294967294;
    const { inode } = await brick.create("f", { call: { ...ROOT, uid: nobody, gid: nobody } });
    const { stat } = await brick.top.stat(ROOT, { inode });
    deepEqual([stat.uid, stat.gid], [nobody, nobody]);
    const changes = { uid: nobody - 1 };
    equal((await brick.top.setattr(ROOT, { inode, changes })).post?.uid, nobody - 1);
  },
});

Deno.test({
  name: "storage/posix: masks and forced modes apply to what is made",
  ignore,
  async fn() {
    await using brick = await TestBrick.start({
      "create-mask": "0750",
      "force-create-mode": "0004",
      "create-directory-mask": "0700",
    });
    await brick.create("f", { mode: 0o666 });
    equal(Deno.lstatSync(`${brick.path}/f`).mode! & 0o777, 0o644);
    await brick.mkdir("d", brick.root, 0o777);
    equal(Deno.lstatSync(`${brick.path}/d`).mode! & 0o777, 0o700);
  },
});

Deno.test({
  name: "storage/posix: distribute's link file of a file that is here is one more name of it",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    const file = await brick.file("f", "x");
    const xdata = gfidReq(file.gfid).with(INTERNAL_FOP, true);
    const make = { parent: brick.root, mode: 0o100000 | 0o1000, umask: 0, rdev: 0 };
    const { stat } = await brick.top.mknod(ROOT, { ...make, name: "g", xdata });
    deepEqual([stat.gfid, stat.nlink, stat.size], [file.gfid, 2, 1]);
  },
});

Deno.test({
  name: "storage/posix: only distribute's link files give way to force-replace and its unlink",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    await brick.file("plain", "x");
    const linkto = (gfid?: Gfid) => gfidReq(gfid).merged(Xdata.of([[LINKTO, str("v-client-1")]]));
    const make = { parent: brick.root, mode: 0o100000 | 0o1000, umask: 0, rdev: 0 };
    await brick.top.mknod(ROOT, { ...make, name: "link", xdata: linkto() });
    const force = linkto().with(requestKey("force-replace"), true);
    await rejects(
      brick.top.mknod(ROOT, { ...make, name: "plain", xdata: force }),
      (error) => EEXIST.matches(error),
    );
    await brick.top.mknod(ROOT, { ...make, name: "link", xdata: force });
    const only = Xdata.of([["unlink-only-if-dht-linkto-file", { type: "int", value: 1 }]]);
    const unlink = { parent: brick.root, flags: 0, xdata: only };
    await rejects(
      brick.top.unlink(ROOT, { ...unlink, name: "plain" }),
      (error) => EBUSY.matches(error),
    );
    await brick.top.unlink(ROOT, { ...unlink, name: "link" });
    deepEqual([...Deno.readDirSync(brick.path)].map(({ name }) => name).sort(), [
      ".glusterfs",
      "plain",
    ]);
  },
});

Deno.test({
  name: "storage/posix: put makes a whole file or none",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    const put = {
      parent: brick.root,
      name: "p",
      mode: 0o644,
      umask: 0,
      flags: 0,
      offset: 0,
      data: utf8("all of it"),
      xattrs: Xdata.of([["user.a", ptr(utf8("b"))]]),
    };
    const { stat } = await brick.top.put(ROOT, { ...put, xdata: gfidReq() });
    equal(stat.size, 9);
    equal(Deno.readTextFileSync(`${brick.path}/p`), "all of it");
    const gfid = crypto.randomUUID() as Gfid;
    const bad = Xdata.of([["user.a", ptr(new Uint8Array(65000))], [
      "user.b",
      ptr(new Uint8Array(65000)),
    ]]);
    const again = { ...put, name: "q", xattrs: bad, xdata: gfidReq(gfid) };
    await rejects(brick.top.put(ROOT, again));
    await rejects(Deno.lstat(`${brick.path}/q`));
    await rejects(Deno.lstat(brick.handle(gfid)));
    equal((brick.top.state() as { openFiles: number }).openFiles, 0);
  },
});

Deno.test({
  name: "storage/posix: a file made without a name is whole when it gets one",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    const gfid = crypto.randomUUID() as Gfid;
    const inode = brick.inodes.of(gfid);
    await brick.top.icreate(ROOT, { inode, mode: 0o600, xdata: gfidReq(gfid) });
    const fd = await brick.reopen(inode);
    await brick.write(fd, "early");
    await brick.top.release(ROOT, { fd });
    await brick.top.namelink(ROOT, { parent: brick.root, name: "n", xdata: gfidReq(gfid) });
    equal((await brick.lookup("n")).gfid, gfid);
    equal(Deno.readTextFileSync(`${brick.path}/n`), "early");
  },
});

Deno.test({
  name: "storage/posix: a file has no more names than max-hardlinks",
  ignore,
  async fn() {
    await using brick = await TestBrick.start({ "max-hardlinks": "2" });
    const inode = await brick.file("f");
    await brick.top.link(ROOT, { inode, parent: brick.root, name: "g" });
    await rejects(
      brick.top.link(ROOT, { inode, parent: brick.root, name: "h" }),
      (error) => EMLINK.matches(error),
    );
    await rejects(brick.top.link(ROOT, { inode: brick.root, parent: brick.root, name: "r" }), (
      error,
    ) => EPERM.matches(error));
  },
});

Deno.test({
  name:
    "storage/posix: a creation that meets a file put there directly adopts it, never removes it",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    await Deno.writeTextFile(`${brick.path}/mine`, "precious");
    const other = await brick.file("other");
    const flags = O_RDWR | O_CREAT;
    // The gfid proposed is taken: the creation fails, the file stays.
    await rejects(brick.create("mine", { flags, xdata: gfidReq(other.gfid) }));
    equal(Deno.readTextFileSync(`${brick.path}/mine`), "precious");
    const { fd } = await brick.create("mine", { flags });
    equal(await brick.read(fd), "precious");
    await brick.top.release(ROOT, { fd });
    const cut = await brick.create("mine", { flags: flags | O_TRUNC });
    equal(await brick.read(cut.fd), "");
    await brick.top.release(ROOT, { fd: cut.fd });
  },
});

Deno.test({
  name: "storage/posix: with update-link-count-parent a file counts its names in each directory",
  ignore,
  async fn() {
    await using brick = await TestBrick.start({ "update-link-count-parent": "on" });
    const dir = await brick.mkdir("d"), file = await brick.file("f", "", dir);
    await brick.top.link(ROOT, { inode: file, parent: dir, name: "g" });
    const count = async () =>
      /=0x(.*)/.exec(
        await run(
          "getfattr",
          "-n",
          `trusted.pgfid.${dir.gfid}`,
          "-e",
          "hex",
          brick.handle(file.gfid),
        ),
      )?.[1];
    equal(await count(), "00000002");
    await brick.top.unlink(ROOT, { parent: dir, name: "f", flags: 0 });
    equal(await count(), "00000001");
  },
});

Deno.test({
  name: "storage/posix: the root's owner follows its options while the brick serves",
  ignore,
  async fn() {
    await using brick = await TestBrick.start({ "brick-uid": "77" });
    equal(Deno.statSync(brick.path).uid, 77);
    const given = { directory: brick.path, "brick-uid": "78", "brick-gid": "79" };
    brick.top.reconfigure(readOptions(options, new Map(Object.entries(given))));
    const { uid, gid } = Deno.statSync(brick.path);
    deepEqual([uid, gid], [78, 79]);
  },
});
