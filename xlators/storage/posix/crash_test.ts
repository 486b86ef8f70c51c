/**
 * Kills at every single change to the disk: `strace` ends the process when it enters the n-th such
 * system call of a fixed run of fops. Then a new process looks every name up, as clients do, and the
 * brick has to be whole. `CRASH_ALL=1` takes every n, about 100; else every 16th.
 */

import { ok, strictEqual as equal } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { FopError } from "core/errno.ts";
import { isDirectory } from "core/iatt.ts";
import { type Gfid, type Inode, ROOT_GFID } from "core/inode.ts";
import { gfidReq, IS_ROOT, TestBrick } from "tests/fakes/posix_brick.ts";

const SELF = new URL(import.meta.url).pathname;
const CHANGES = "linkat,unlinkat,renameat2,symlinkat,mkdirat,mknodat,fsetxattr,lsetxattr," +
  "fremovexattr,lremovexattr,fchownat";
const hasStrace = await new Deno.Command("strace", { args: ["-V"], stdout: "null" }).output()
  .then(({ success }) => success, () => false);

/** The fops that are killed in. Every data file says its own name at its start. */
async function scenario(path: string): Promise<void> {
  const brick = await TestBrick.start({}, path);
  const { top, root } = brick;
  Deno.stdout.writeSync(new TextEncoder().encode("GO\n"));
  const owner = { ...ROOT, uid: 1000, gid: 1000 };
  const dir = await brick.mkdir("dir");
  const a = await brick.create("a", { call: owner });
  await brick.write(a.fd, "a");
  await top.link(ROOT, { inode: a.inode, parent: dir, name: "a2" });
  const args = { parent: dir, umask: 0 };
  await top.symlink(ROOT, { ...args, name: "l", target: "a", xdata: gfidReq() });
  await top.mknod(ROOT, { ...args, name: "p", mode: 0o010644, rdev: 0, xdata: gfidReq() });
  await brick.file("b", "b", dir);
  const rename = (oldParent: Inode, oldName: string, newParent: Inode, newName: string) =>
    top.rename(ROOT, { oldParent, oldName, newParent, newName });
  await rename(root, "a", dir, "a3");
  await rename(dir, "a3", dir, "b");
  const inner = await brick.mkdir("inner", dir);
  await brick.file("deep", "deep", inner);
  await rename(dir, "inner", root, "moved");
  await top.unlink(ROOT, { parent: dir, name: "b", flags: 0 });
  await top.unlink(ROOT, { parent: dir, name: "a2", flags: 0 });
  await top.release(ROOT, { fd: a.fd });
  await top.rmdir(ROOT, { parent: root, name: "moved", flags: 1 });
  await top.unlink(ROOT, { parent: dir, name: "l", flags: 0 });
}

if (import.meta.main && Deno.args[0] === "scenario") {
  await scenario(Deno.args[1]!);
  Deno.exit(0);
}

async function traced(path: string, ...options: string[]): Promise<void> {
  const program = [Deno.execPath(), "run", "-A", "--no-check", SELF, "scenario", path];
  await new Deno.Command("strace", {
    args: ["-f", "-qq", ...options, ...program],
    stdout: "null",
    stderr: "null",
  }).output();
}

/** How many changes there are before the scenario begins, and in all. */
async function countChanges(): Promise<{ first: number; last: number }> {
  const path = await Deno.makeTempDir(), log = await Deno.makeTempFile();
  try {
    await traced(path, "-o", log, "-e", `trace=write,${CHANGES}`);
    // Only the thread that runs the fops: the others' calls are counted apart.
    const lines = (await Deno.readTextFile(log)).split("\n");
    const go = lines.findIndex((line) => line.includes('"GO'));
    const thread = lines[go]!.split(" ")[0]!;
    const changes = lines.map((line, index) => ({ line, index })).filter(({ line }) =>
      line.startsWith(thread) && !line.includes(" write(") && /\w\(/.test(line)
    );
    const first = changes.filter(({ index }) => index < go).length + 1;
    return { first, last: changes.length };
  } finally {
    await Deno.remove(path, { recursive: true });
    await Deno.remove(log);
  }
}

/** Looks up all that is there, as a client that crawls does. */
async function crawl(brick: TestBrick, inode: Inode): Promise<void> {
  const { fd } = await brick.top.opendir(ROOT, { inode });
  const { entries } = await brick.top.readdir(ROOT, { fd, offset: 0n, size: 65536 });
  await brick.top.releasedir(ROOT, { fd });
  for (const { name } of entries) {
    if (name === "." || name === "..") continue;
    const args = { parent: inode, name, xdata: gfidReq() };
    const { stat } = await brick.top.lookup(ROOT, args);
    const child = brick.inodes.of(stat.gfid);
    equal((await brick.top.stat(ROOT, { inode: child })).stat.gfid, stat.gfid);
    if (isDirectory(stat)) await crawl(brick, child);
  }
}

/** Every name has its handle, every handle its names. */
function checkWhole(brick: TestBrick): void {
  const links = new Map<number, number>();
  const walk = (path: string) => {
    for (const entry of Deno.readDirSync(path)) {
      if (entry.name === ".glusterfs") continue;
      const at = `${path}/${entry.name}`;
      if (entry.isDirectory) walk(at);
      else {
        const { ino } = Deno.lstatSync(at);
        links.set(ino!, (links.get(ino!) ?? 0) + 1);
      }
    }
  };
  walk(brick.path);
  for (const aa of Deno.readDirSync(`${brick.path}/.glusterfs`)) {
    if (!/^[0-9a-f]{2}$/.test(aa.name)) continue;
    for (const bb of Deno.readDirSync(`${brick.path}/.glusterfs/${aa.name}`)) {
      for (const { name } of Deno.readDirSync(`${brick.path}/.glusterfs/${aa.name}/${bb.name}`)) {
        if (name === ROOT_GFID) continue;
        const handle = brick.handle(name as Gfid);
        const { ino, nlink, isSymlink } = Deno.lstatSync(handle);
        if (isSymlink && nlink === 1) continue;
        equal(nlink, (links.get(ino!) ?? 0) + 1, `links of ${handle}`);
        ok(links.delete(ino!), `${handle} has no name`);
      }
    }
  }
  equal(links.size, 0, "files without a handle");
}

async function killedAt(change: number): Promise<void> {
  const path = await Deno.makeTempDir({ prefix: "crash-" });
  try {
    await traced(
      path,
      "-e",
      `trace=${CHANGES}`,
      "-e",
      `inject=${CHANGES}:signal=KILL:when=${change}`,
    );
    const brick = await TestBrick.start({}, path);
    try {
      await crawl(brick, brick.root);
      await brick.restart();
      await crawl(brick, brick.root);
      checkWhole(brick);
    } catch (error) {
      const cause = error instanceof FopError ? error.code : error;
      throw new Error(`killed at change ${change}: ${cause}`, { cause: error });
    } finally {
      await brick.top.stop();
    }
  } finally {
    await Deno.remove(path, { recursive: true });
  }
}

Deno.test({
  name: "storage/posix: killed at any change to the disk, a brick is whole after lookups",
  ignore: !IS_ROOT || !hasStrace,
  async fn() {
    const { first, last } = await countChanges();
    ok(last - first > 50, `only ${last - first} changes seen`);
    const step = Deno.env.get("CRASH_ALL") ? 1 : 16;
    for (let change = first; change <= last; change += step) await killedAt(change);
  },
});
