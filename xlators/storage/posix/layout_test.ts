import {
  deepStrictEqual as deepEqual,
  match,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { PID_SELF_HEAL, ROOT } from "core/call.ts";
import { realClock } from "core/env.ts";
import { ENOENT, ENOTDIR, ENOTEMPTY, ESTALE } from "core/errno.ts";
import { isDirectory } from "core/iatt.ts";
import { type Gfid, ROOT_GFID } from "core/inode.ts";
import { gfidReq, IS_ROOT, run, TestBrick } from "tests/fakes/posix_brick.ts";

const ignore = !IS_ROOT;
const FIXED = "a1b2c3d4-0000-4000-8000-00000000beef" as Gfid;

async function exists(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}

async function xattr(path: string, name: string): Promise<string> {
  const text = await run("getfattr", "-h", "-n", name, "-e", "hex", "--absolute-names", path);
  return /=0x(.*)/.exec(text)?.[1] ?? "";
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!await holds()) await realClock.delay(5);
}

Deno.test({
  name: "storage/posix: a file lies on disk as GlusterFS lays it",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    const { fd } = await brick.create("z", { xdata: gfidReq(FIXED) });
    await brick.top.release(ROOT, { fd });
    equal(await xattr(`${brick.path}/z`, "trusted.gfid"), FIXED.replaceAll("-", ""));
    const named = await xattr(`${brick.path}/z`, "trusted.gfid2path.3a89212981c65827");
    equal(
      named,
      [...new TextEncoder().encode(`${ROOT_GFID}/z`)].map((b) => b.toString(16)).join(""),
    );
    const [file, handle] = [Deno.lstatSync(`${brick.path}/z`), Deno.lstatSync(brick.handle(FIXED))];
    equal(handle.ino, file.ino);
    equal(file.nlink, 2);
    equal(Deno.readLinkSync(brick.handle(ROOT_GFID)), "../../..");
    equal(await xattr(brick.path, "trusted.gfid"), ROOT_GFID.replaceAll("-", ""));
  },
});

Deno.test({
  name: "storage/posix: a directory's handle is a link to its parent's, and follows a rename",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    const a = await brick.mkdir("a"), b = await brick.mkdir("b");
    const inner = await brick.mkdir("inner", a);
    const link = (gfid: Gfid, name: string) =>
      `../../${gfid.slice(0, 2)}/${gfid.slice(2, 4)}/${gfid}/${name}`;
    equal(Deno.readLinkSync(brick.handle(inner.gfid)), link(a.gfid, "inner"));
    await brick.top.rename(ROOT, {
      oldParent: a,
      oldName: "inner",
      newParent: b,
      newName: "moved",
    });
    equal(Deno.readLinkSync(brick.handle(inner.gfid)), link(b.gfid, "moved"));
    await brick.restart();
    await brick.file("f", "x", inner);
    equal(Deno.readTextFileSync(`${brick.path}/b/moved/f`), "x");
    await rejects(
      brick.top.rmdir(ROOT, { parent: b, name: "moved", flags: 0 }),
      (error) => ENOTEMPTY.matches(error),
    );
    await brick.top.unlink(ROOT, { parent: inner, name: "f", flags: 0 });
    await brick.top.rmdir(ROOT, { parent: b, name: "moved", flags: 0 });
    equal(await exists(brick.handle(inner.gfid)), false);
    await rejects(brick.top.stat(ROOT, { inode: inner }), (error) => ESTALE.matches(error));
  },
});

Deno.test({
  name: "storage/posix: directories deeper than 40 and paths beyond PATH_MAX are reached",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    const name = "d".repeat(200);
    let at = brick.root;
    for (let depth = 0; depth < 60; depth++) at = await brick.mkdir(name, at);
    const file = await brick.file("deep", "down here", at);
    await brick.restart();
    equal((await brick.lookup("deep", at)).gfid, file.gfid);
    ok(isDirectory((await brick.top.stat(ROOT, { inode: at })).stat));
    const fd = await brick.reopen(file);
    equal(await brick.read(fd), "down here");
    await brick.top.release(ROOT, { fd });
    const { xattrs } = await brick.top.getxattr(ROOT, { inode: file, name: "glusterfs.gfid2path" });
    equal(xattrs?.raw("glusterfs.gfid2path")?.value, `/${name}`.repeat(60) + "/deep");
    await run("rm", "-rf", brick.path);
    await Deno.mkdir(brick.path);
  },
});

Deno.test({
  name: "storage/posix: more directories than are held open are served",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    const dirs = [];
    for (let i = 0; i < 1200; i++) dirs.push(await brick.mkdir(`d${i}`));
    for (const dir of dirs) {
      await brick.top.mkdir(ROOT, {
        parent: dir,
        name: "x",
        mode: 0o755,
        umask: 0,
        xdata: gfidReq(),
      });
    }
    const state = brick.top.state() as { openDirectories: number };
    ok(state.openDirectories <= 1024, `${state.openDirectories} directories open`);
  },
});

Deno.test({
  name: "storage/posix: a file removed while open lives on until its last close",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    const { fd, gfid, inode } = await brick.create("f");
    const other = await brick.reopen(inode);
    await brick.write(fd, "still here");
    await brick.top.unlink(ROOT, { parent: brick.root, name: "f", flags: 0 });
    const kept = `${brick.path}/.glusterfs/unlink/${gfid}`;
    equal(await exists(kept), true);
    equal(await exists(brick.handle(gfid)), false);
    await brick.top.release(ROOT, { fd });
    equal(await brick.read(other), "still here");
    equal((await brick.top.fstat(ROOT, { fd: other })).stat.nlink, 0);
    await brick.top.release(ROOT, { fd: other });
    await until(async () => !await exists(kept));
    await rejects(brick.top.stat(ROOT, { inode }), (error) => ESTALE.matches(error));
  },
});

Deno.test({
  name: "storage/posix: rename over an open file keeps that file for who has it open",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    const { fd, gfid } = await brick.create("old");
    await brick.write(fd, "old");
    const file = await brick.file("new", "new");
    const root = brick.root;
    await brick.top.rename(ROOT, {
      oldParent: root,
      oldName: "new",
      newParent: root,
      newName: "old",
    });
    equal(await brick.read(fd), "old");
    equal((await brick.lookup("old")).gfid, file.gfid);
    equal(await exists(`${brick.path}/.glusterfs/unlink/${gfid}`), true);
    await brick.top.release(ROOT, { fd });
  },
});

Deno.test({
  name:
    "storage/posix: a tree removed as a whole is gone at once, its handles and blocks a little later",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    const top = await brick.mkdir("top"), inner = await brick.mkdir("inner", top);
    const file = await brick.file("f", "x", inner);
    await brick.top.link(ROOT, { inode: file, parent: brick.root, name: "kept" });
    const gone = await brick.file("g", "x", inner);
    await brick.top.rmdir(ROOT, { parent: brick.root, name: "top", flags: 1 });
    await rejects(brick.lookup("top"), (error) => ENOENT.matches(error));
    await until(async () => !await exists(brick.handle(gone.gfid)));
    await until(async () => !await exists(brick.handle(inner.gfid)));
    equal(Deno.readTextFileSync(`${brick.path}/kept`), "x");
    equal(await exists(brick.handle(file.gfid)), true);
  },
});

Deno.test({
  name: "storage/posix: a directory that a symbolic link took the place of leads nowhere",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    const outside = await Deno.makeTempDir();
    try {
      await Deno.writeTextFile(`${outside}/secret`, "secret");
      const a = await brick.mkdir("a"), b = await brick.mkdir("b", a);
      await brick.restart();
      await Deno.remove(`${brick.path}/a/b`);
      await Deno.symlink(outside, `${brick.path}/a/b`);
      await rejects(brick.lookup("secret", b), (error) => ESTALE.matches(error));
      await rejects(brick.create("new", { parent: b }), (error) => ESTALE.matches(error));
      deepEqual([...Deno.readDirSync(outside)].map((each) => each.name), ["secret"]);
    } finally {
      await Deno.remove(outside, { recursive: true });
    }
  },
});

Deno.test({
  name: "storage/posix: a client's symbolic link that looks like a directory's handle is none",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    const victim = await brick.mkdir("victim");
    const target = `../../00/00/${ROOT_GFID}/victim`;
    const args = { parent: brick.root, name: "link", target, umask: 0, xdata: gfidReq() };
    const { stat } = await brick.top.symlink(ROOT, args);
    const inode = brick.inodes.of(stat.gfid);
    await brick.restart();
    await rejects(
      brick.create("f", { parent: inode }),
      (error) => ENOTDIR.matches(error) || ESTALE.matches(error),
    );
    equal((await brick.top.readlink(ROOT, { inode, size: 4096 })).target, target);
    equal((await brick.top.stat(ROOT, { inode: victim })).stat.nlink, 2);
  },
});

// What a kill between any two calls leaves, made by hand.

Deno.test({
  name: "storage/posix: a file that lost its handle gets it back by a lookup",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    const file = await brick.file("f", "x"), dir = await brick.mkdir("d");
    await brick.restart();
    await Deno.remove(brick.handle(file.gfid));
    await Deno.remove(brick.handle(dir.gfid));
    equal((await brick.lookup("f")).gfid, file.gfid);
    equal((await brick.lookup("d")).gfid, dir.gfid);
    equal(Deno.lstatSync(brick.handle(file.gfid)).nlink, 2);
    await brick.file("g", "y", dir);
  },
});

Deno.test({
  name:
    "storage/posix: a directory whose handle still says its old name is pointed right by a lookup",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    const dir = await brick.mkdir("old");
    await brick.restart();
    await Deno.rename(`${brick.path}/old`, `${brick.path}/new`);
    await rejects(brick.file("g", "y", dir), (error) => ESTALE.matches(error));
    equal((await brick.lookup("new")).gfid, dir.gfid);
    await brick.file("g", "y", dir);
    match(Deno.readLinkSync(brick.handle(dir.gfid)), /\/new$/);
  },
});

Deno.test({
  name: "storage/posix: a name without gfid gets the one that a client proposes",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    await Deno.writeTextFile(`${brick.path}/put`, "by hand");
    await rejects(brick.lookup("put"), (error) => (error as { code: string }).code === "ENODATA");
    const inode = await brick.lookup("put", brick.root, gfidReq(FIXED));
    equal(inode.gfid, FIXED);
    const fd = await brick.reopen(inode);
    equal(await brick.read(fd), "by hand");
    await brick.top.release(ROOT, { fd });
  },
});

Deno.test({
  name: "storage/posix: what a crash left in unlink and landfill goes at start",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    const { gfid } = await brick.file("f", "x");
    const hidden = `${brick.path}/.glusterfs`;
    await Deno.rename(brick.handle(gfid), `${hidden}/unlink/${gfid}`);
    await Deno.mkdir(`${hidden}/landfill/tree/inner`, { recursive: true });
    await brick.restart();
    await until(async () => !await exists(`${hidden}/unlink/${gfid}`));
    await until(async () => !await exists(`${hidden}/landfill/tree`));
    equal((await brick.lookup("f")).gfid, gfid);
  },
});

Deno.test({
  name: "storage/posix: a directory that is not its volume's is refused in one line",
  ignore,
  async fn() {
    const refuses = (values: Record<string, string>, path: string, reason: RegExp) =>
      rejects(TestBrick.start(values, path), (error) => {
        match(String(error), reason);
        ok(!String(error).includes("\n"));
        return true;
      });
    const path = await Deno.makeTempDir();
    try {
      await refuses({}, `${path}/missing`, /No such file or directory; make the directory first/);
      const id = "11111111-2222-4333-8444-555555555555";
      await refuses({ "volume-id": id }, path, /no volume id/);
      await run(
        "setfattr",
        "-n",
        "trusted.glusterfs.volume-id",
        "-v",
        `0x${"ab".repeat(16)}`,
        path,
      );
      await refuses({ "volume-id": id }, path, /belongs to volume abababab-/);
      await run(
        "setfattr",
        "-n",
        "trusted.glusterfs.volume-id",
        "-v",
        `0x${id.replaceAll("-", "")}`,
        path,
      );
      const brick = await TestBrick.start({ "volume-id": id }, path);
      await brick.mkdir("inner");
      await brick.top.stop();
      await refuses({}, `${path}/inner`, /inside of another brick/);
      await refuses(
        {},
        "/proc",
        /cannot|Operation not permitted|Permission denied|not supported|No such/i,
      );
    } finally {
      await Deno.remove(path, { recursive: true });
    }
  },
});

Deno.test({
  name: "storage/posix: what replaces a removed tree's directory keeps its handle",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    // As healers move a directory: made at its new place, then the old one goes with all that is in it.
    const old = await brick.mkdir("old"), next = await brick.mkdir("next");
    for (const [parent, name] of [[brick.root, "moved"], [old, "inner"]] as const) {
      const { gfid } = await brick.mkdir(name, parent);
      const args = { parent: next, name, mode: 0o755, umask: 0, xdata: gfidReq(gfid) };
      await brick.top.mkdir({ ...ROOT, pid: PID_SELF_HEAL }, args);
      const removed = name === "inner" ? "old" : name;
      await brick.top.rmdir(ROOT, { parent: brick.root, name: removed, flags: 1 });
      const landfill = `${brick.path}/.glusterfs/landfill`;
      await until(async () => !(await Array.fromAsync(Deno.readDir(landfill))).length);
      ok(Deno.readLinkSync(brick.handle(gfid)).endsWith(`${next.gfid}/${name}`));
      await brick.top.opendir(ROOT, { inode: brick.inodes.of(gfid) }).then(({ fd }) =>
        brick.top.releasedir(ROOT, { fd })
      );
    }
  },
});
