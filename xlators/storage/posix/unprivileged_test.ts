/** Without root: the same brick, run by another user in a process of its own. */

import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { ptr, withKey, Xdata } from "core/xdata.ts";
import { LIST_XATTR } from "core/xdata_keys.ts";
import { gfidReq, IS_ROOT, run, TestBrick } from "tests/fakes/posix_brick.ts";

const SELF = new URL(import.meta.url).pathname;

/** What the other user does; any failure ends the process with a trace. */
async function unprivileged(path: string): Promise<void> {
  const brick = await TestBrick.start({}, path);
  equal((brick.top.state() as { namespace: string }).namespace, "user");
  const dir = await brick.mkdir("dir");
  const file = await brick.file("file", "content", dir);
  const make = { parent: dir, umask: 0 };
  const link = (await brick.top.symlink(ROOT, {
    ...make,
    name: "link",
    target: "file",
    xdata: gfidReq(),
  })).stat;
  const fifo = (await brick.top.mknod(ROOT, {
    ...make,
    name: "fifo",
    mode: 0o010600,
    rdev: 0,
    xdata: gfidReq(),
  })).stat;
  const xattrs = Xdata.of([["trusted.afr.x", ptr(Uint8Array.of(1))], [
    "user.y",
    ptr(Uint8Array.of(2)),
  ]]);
  await brick.top.setxattr(ROOT, { inode: file, xattrs, flags: 0 });
  await brick.restart();
  equal((await brick.lookup("file", dir)).gfid, file.gfid);
  equal((await brick.lookup("link", dir)).gfid, link.gfid);
  equal((await brick.lookup("fifo", dir)).gfid, fifo.gfid);
  const { xattrs: all } = await brick.top.getxattr(ROOT, { inode: file, name: "" });
  deepEqual([...all!.names()].sort(), ["trusted.afr.x", "user.y"]);
  const list = withKey(undefined, LIST_XATTR, true);
  const found = await brick.top.lookup(ROOT, { parent: dir, name: "file", xdata: list });
  deepEqual([...found.xdata!.names()].sort(), ["trusted.afr.x", "user.y"]);
  await brick.top.unlink(ROOT, { parent: dir, name: "link", flags: 0 });
  equal([...Deno.readDirSync(`${path}/.glusterfs/shadow`)].length, 1);
  await brick.top.unlink(ROOT, { parent: dir, name: "fifo", flags: 0 });
  equal([...Deno.readDirSync(`${path}/.glusterfs/shadow`)].length, 0);
  await brick.top.stop();
}

if (import.meta.main && Deno.args[0] === "unprivileged") {
  await unprivileged(Deno.args[1]!);
  Deno.exit(0);
}

Deno.test({
  name: "storage/posix: without root attributes go under user.*, and clients do not notice",
  ignore: !IS_ROOT,
  async fn() {
    const path = await Deno.makeTempDir();
    await Deno.chown(path, 65534, 65534);
    // The other user may not reach the program where it is.
    const home = await Deno.makeTempDir();
    await Deno.chmod(home, 0o755);
    try {
      await Deno.link(Deno.execPath(), `${home}/deno`).catch(() =>
        Deno.copyFile(Deno.execPath(), `${home}/deno`)
      );
      const project = new URL("../../../", import.meta.url).pathname;
      const output = await run(
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "env",
        `DENO_DIR=${path}/cache`,
        `${home}/deno`,
        "run",
        "-A",
        "--no-lock",
        "--no-check",
        "-c",
        `${project}deno.json`,
        SELF,
        "unprivileged",
        path,
      );
      equal(output, "");
      const shown = await run("getfattr", "-d", "-m", ".", "--absolute-names", `${path}/dir/file`);
      match(shown, /user\.trusted\.gfid=/);
    } finally {
      await Deno.remove(path, { recursive: true });
      await Deno.remove(home, { recursive: true });
    }
  },
});
