import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { type Call, type LkOwner, NO_OWNER, ROOT } from "core/call.ts";
import { EAGAIN, EBADF, EBADFD, ENOENT, ENOTCONN } from "core/errno.ts";
import { type Args, DONE, type Flock, type FopName, O_RDWR, type Reply } from "core/fops.ts";
import { Fd } from "core/inode.ts";
import { readOptions } from "core/options.ts";
import { Uniform } from "core/xlator.ts";
import {
  create,
  eventually,
  is,
  makeClient,
  memoryBrick,
  over,
  serveBrick,
} from "tests/fakes/client_brick.ts";
import { FakeChild } from "tests/fakes/fake_child.ts";
import { node } from "tests/fakes/node.ts";
import { Wires } from "tests/fakes/wires.ts";
import { locks } from "xlators/features/locks/locks.ts";

const ONE: Call = { ...ROOT, pid: 11, lkOwner: "01" as LkOwner };
const TWO: Call = { ...ROOT, pid: 22, lkOwner: "02" as LkOwner };

function lockArgs(
  fd: Fd,
  type: Flock["type"],
  start: number,
  size: number,
  cmd: "set" | "get" | "set-wait" = "set",
): Args<"lk"> {
  const lock = {
    type,
    whence: 0,
    start: BigInt(start),
    size: BigInt(size),
    pid: 5,
    owner: NO_OWNER,
  };
  return { fd, cmd, lock };
}

/** Storage, and the layers that a restarted brick puts over it: locks do not survive that. */
function restartable() {
  const disk = memoryBrick();
  const values = readOptions(locks.options, new Map());
  const layer = () =>
    over(disk, (inodes) => locks.create(node("brick", [disk], { inodes }), values));
  return { start: (port = 0) => serveBrick(layer(), port) };
}

/** A client with a file, cut off from its brick. */
async function started(options: Record<string, string> = {}) {
  const machine = restartable();
  let brick = await machine.start();
  const { port } = brick;
  const c = makeClient(port, { options });
  await c.top.start();
  const { fd } = await create(c.top, c.inodes, "f");
  const write = (call = ONE, to = fd) =>
    c.top.writev(call, { fd: to, offset: 0, data: new Uint8Array([1]), flags: 0 });
  let restarts = 0;
  const restart = async (whileAway?: () => Promise<void>) => {
    restarts++;
    await brick.stop();
    await c.heard("child-down", restarts);
    await whileAway?.();
    brick = await machine.start(port);
  };
  const up = () => c.heard("child-up", restarts + 1);
  const stop = async () => {
    await c.stop();
    await brick.stop();
  };
  return { c, fd, port, write, restart, up, stop };
}

/** Another client that opened the same file. */
async function rival(port: number, fd: Fd) {
  const other = makeClient(port);
  await other.top.start();
  const { fd: theirs } = await other.top.open(ROOT, {
    inode: other.inodes.of(fd.inode.gfid),
    flags: O_RDWR,
  });
  return { other, theirs, lk: (args: Args<"lk">) => other.top.lk(TWO, args) };
}

Deno.test("protocol/client: locks are held again when the brick is back", async () => {
  const { c, fd, port, write, restart, up, stop } = await started();
  await c.top.lk(ONE, lockArgs(fd, "write", 0, 100));
  await c.top.lk(ONE, lockArgs(fd, "unlock", 10, 10));
  await c.top.lk(TWO, lockArgs(fd, "read", 200, 0));
  await restart();
  await up();
  await write();
  const { other, theirs, lk } = await rival(port, fd);
  await rejects(lk(lockArgs(theirs, "read", 9, 1)), is(EAGAIN));
  await rejects(lk(lockArgs(theirs, "read", 20, 1)), is(EAGAIN));
  await rejects(lk(lockArgs(theirs, "write", 1000, 1)), is(EAGAIN));
  await lk(lockArgs(theirs, "write", 10, 10));
  await lk(lockArgs(theirs, "read", 1000, 1));
  await other.stop();
  await stop();
});

Deno.test("protocol/client: a file whose lock somebody else took meanwhile is EBADFD until it is closed", async () => {
  const machine = restartable();
  const brick = await machine.start();
  const wires = new Wires();
  const c = makeClient(brick.port, { connect: wires.connect });
  await c.top.start();
  const { fd } = await create(c.top, c.inodes, "f");
  const { fd: free } = await c.top.open(ROOT, { inode: fd.inode, flags: O_RDWR });
  await c.top.lk(ONE, lockArgs(fd, "write", 0, 100));
  const { other, theirs, lk } = await rival(brick.port, fd);
  wires.refusal = new Deno.errors.ConnectionRefused("cut off");
  wires.tear();
  await c.heard("child-down");
  await lk(lockArgs(theirs, "write", 50, 1, "set-wait"));
  wires.refusal = undefined;
  await c.heard("child-up", 2);
  const write = (to: Fd) =>
    c.top.writev(ONE, { fd: to, offset: 0, data: new Uint8Array([1]), flags: 0 });
  await rejects(write(fd), is(EBADFD));
  await write(free);
  // Nothing of it is left at the brick: neither the file nor a part of the lock.
  await lk(lockArgs(theirs, "write", 0, 0));
  await lk(lockArgs(theirs, "unlock", 0, 0));
  wires.tear();
  await c.heard("child-up", 3);
  await rejects(write(fd), is(EBADFD));
  await c.top.release(ROOT, { fd });
  await rejects(write(fd), is(EBADF));
  await other.stop();
  await c.stop();
  await brick.stop();
});

Deno.test("protocol/client: with strict-locks a file with locks is lost, one without is not", async () => {
  const { c, fd, write, restart, up, stop } = await started({ "strict-locks": "on" });
  const { fd: free } = await c.top.open(ROOT, { inode: fd.inode, flags: O_RDWR });
  await c.top.lk(ONE, lockArgs(fd, "write", 0, 100));
  await restart();
  await up();
  await rejects(write(), is(EBADFD));
  await write(ONE, free);
  await restart();
  await up();
  await rejects(write(), is(EBADFD));
  await c.top.release(ROOT, { fd });
  await rejects(write(), is(EBADF));
  equal(c.log.lines.filter((line) => line.includes("could not be opened again")).length, 1);
  await stop();
});

Deno.test("protocol/client: a lock that was given up while the brick was away is not taken again", async () => {
  const { c, fd, port, restart, up, stop } = await started();
  await c.top.lk(ONE, lockArgs(fd, "write", 0, 100));
  await c.top.lk(TWO, lockArgs(fd, "write", 200, 10));
  await restart(async () => {
    await rejects(c.top.lk(ONE, lockArgs(fd, "unlock", 0, 0)), is(ENOTCONN));
    await rejects(c.top.flush(TWO, { fd }), is(ENOTCONN));
  });
  await up();
  const { other, theirs, lk } = await rival(port, fd);
  await lk(lockArgs(theirs, "write", 0, 0));
  await other.stop();
  await stop();
});

Deno.test("protocol/client: a file closed while the brick is away is not opened again", async () => {
  const seen: Fd[] = [];
  const child = new FakeChild({
    open: (_call, { inode, flags }) => {
      const fd = new Fd(inode, flags);
      seen.push(fd);
      return Promise.resolve({ fd });
    },
    release: () => Promise.resolve(DONE),
    flush: () => Promise.resolve(DONE),
  }, "brick");
  const first = await serveBrick(child);
  const c = makeClient(first.port);
  await c.top.start();
  const open = () => c.top.open(ROOT, { inode: c.inodes.root, flags: O_RDWR });
  const [{ fd: kept }, { fd: closed }] = [await open(), await open()];
  await first.stop();
  await c.heard("child-down");
  await c.top.release(ROOT, { fd: closed });
  const second = await serveBrick(child, first.port);
  await c.heard("child-up", 2);
  equal(seen.length, 3);
  await c.top.release(ROOT, { fd: kept });
  equal((c.top.state() as { openFiles: number }).openFiles, 0);
  await c.stop();
  await second.stop();
});

Deno.test("protocol/client: a file closed while it is opened again is closed at the brick, too", async () => {
  let answer: (() => void) | undefined;
  const closed: Fd[] = [];
  let opens = 0;
  const child = new FakeChild({
    open: (_call, { inode, flags }) => {
      if (++opens === 1) return Promise.resolve({ fd: new Fd(inode, flags) });
      return new Promise((resolve) => answer = () => resolve({ fd: new Fd(inode, flags) }));
    },
    release: (_call, { fd }) => {
      closed.push(fd);
      return Promise.resolve(DONE);
    },
    flush: () => Promise.resolve(DONE),
  }, "brick");
  const serving = await serveBrick(child);
  const wires = new Wires();
  const c = makeClient(serving.port, { connect: wires.connect });
  await c.top.start();
  const { fd } = await c.top.open(ROOT, { inode: c.inodes.root, flags: O_RDWR });
  wires.tear();
  await eventually(() => answer !== undefined);
  // Not up before its files are open.
  await rejects(c.top.fstat(ROOT, { fd }), is(ENOTCONN));
  deepEqual(c.events.map(({ type }) => type), ["child-up", "child-down"]);
  await c.top.release(ROOT, { fd });
  const before = closed.length;
  answer!();
  await c.heard("child-up", 2);
  equal(closed.length, before + 1);
  await c.stop();
  await serving.stop();
});

/** What is `held` waits until the door opens. */
class Door extends Uniform {
  held: ((fop: FopName, args: Args<FopName>) => boolean) | undefined;
  knocks = 0;
  #open = Promise.withResolvers<void>();
  protected async around<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    if (this.held?.(fop, args)) {
      this.knocks++;
      await this.#open.promise;
    }
    return await this.wind(fop, call, args);
  }
  letIn(): void {
    this.#open.resolve();
  }
}

/** A brick behind a door, a client of it, and who wants its locks. */
async function behindDoor() {
  const disk = memoryBrick(), values = readOptions(locks.options, new Map());
  const locked = over(disk, (inodes) => locks.create(node("locks", [disk], { inodes }), values));
  const door = over(locked, (inodes) => new Door(node("brick", [locked], { inodes })));
  const brick = await serveBrick(door), wires = new Wires();
  const c = makeClient(brick.port, { connect: wires.connect });
  await c.top.start();
  const open = async (name: string) => (await create(c.top, c.inodes, name)).fd;
  const lockedFiles = () => (locked.state!() as { inodes: unknown[] }).inodes.length;
  const stop = async () => {
    await c.stop();
    await brick.stop();
  };
  return { c, door, wires, open, lockedFiles, port: brick.port, stop };
}

Deno.test("protocol/client: what is unlocked or closed while other files are opened again is given back", async () => {
  const { c, door, wires, open, lockedFiles, port, stop } = await behindDoor();
  const fds = [await open("unlocked"), await open("flushed"), await open("closed")] as const;
  for (const fd of fds) await c.top.lk(ONE, lockArgs(fd, "write", 0, 0));
  const { inode: late } = await open("late");
  door.held = (fop, args) => fop === "open" && (args as Args<"open">).inode.gfid === late.gfid;
  wires.tear();
  // All are open again but the last, and locked.
  await eventually(() => door.knocks === 1 && lockedFiles() === fds.length);
  for (let turn = 0; turn < 20; turn++) await new Promise((done) => setTimeout(done, 0));
  // Whether they are told that the brick is away does not matter.
  await Promise.allSettled([
    c.top.lk(ONE, lockArgs(fds[0], "unlock", 0, 0)),
    c.top.flush(ONE, { fd: fds[1] }),
    c.top.release(ROOT, { fd: fds[2] }),
  ]);
  door.letIn();
  await c.heard("child-up", 2);
  for (const fd of fds) {
    const { other, theirs, lk } = await rival(port, fd);
    await lk(lockArgs(theirs, "write", 0, 0));
    await other.stop();
  }
  await stop();
});

Deno.test("protocol/client: what is unlocked while another lock of the file is taken again is given back", async () => {
  const { c, door, wires, open, port, stop } = await behindDoor();
  const fd = await open("f");
  await c.top.lk(ONE, lockArgs(fd, "write", 0, 10));
  await c.top.lk(ONE, lockArgs(fd, "write", 200, 10));
  door.held = (fop, args) => fop === "lk" && (args as Args<"lk">).lock.start === 200n;
  wires.tear();
  await eventually(() => door.knocks === 1);
  await rejects(c.top.lk(ONE, lockArgs(fd, "unlock", 0, 10)), is(ENOTCONN));
  door.letIn();
  await c.heard("child-up", 2);
  const { other, theirs, lk } = await rival(port, fd);
  await lk(lockArgs(theirs, "write", 0, 200));
  await rejects(lk(lockArgs(theirs, "write", 200, 1)), is(EAGAIN));
  await other.stop();
  await stop();
});

Deno.test("protocol/client: flags that make or empty a file are not used a second time", async () => {
  const { c, fd, write, restart, up, stop } = await started();
  // `started` created it with O_CREAT | O_EXCL.
  await write();
  const opened = await c.top.open(ROOT, { inode: fd.inode, flags: O_RDWR | 0o1000 });
  await write(ONE, opened.fd);
  await restart();
  await up();
  equal((await c.top.fstat(ROOT, { fd })).stat.size, 1);
  await write(ONE, opened.fd);
  await stop();
});

Deno.test("protocol/client: our own lock of the lost connection is waited for, not taken for another's", async () => {
  // GlusterFS's bricks know the former connection for a while when the next one comes.
  for (const owner of [ONE.lkOwner, TWO.lkOwner]) {
    let refusals = 0, sets = 0;
    const child = new FakeChild({
      open: (_call, { inode, flags }) => Promise.resolve({ fd: new Fd(inode, flags) }),
      fstat: () => Promise.reject(ENOENT),
      release: () => Promise.resolve(DONE),
      lk(_call, { cmd, lock }) {
        if (cmd === "get") return Promise.resolve({ lock: { ...lock, owner } });
        sets++;
        return refusals-- > 0 ? Promise.reject(EAGAIN) : Promise.resolve({ lock });
      },
    }, "brick");
    const serving = await serveBrick(child);
    const wires = new Wires();
    const c = makeClient(serving.port, { connect: wires.connect });
    await c.top.start();
    const { fd } = await c.top.open(ROOT, { inode: c.inodes.root, flags: O_RDWR });
    await c.top.lk(ONE, lockArgs(fd, "write", 0, 100));
    refusals = 2;
    wires.tear();
    await c.heard("child-up", 2);
    const own = owner === ONE.lkOwner;
    equal(sets, own ? 4 : 2);
    await rejects(c.top.fstat(ROOT, { fd }), is(own ? ENOENT : EBADFD));
    await c.stop();
    await serving.stop();
  }
});

Deno.test("protocol/client: transaction locks are never taken again", async () => {
  const { c, fd, restart, up, stop } = await started();
  const inode = fd.inode;
  const lock = { type: "write", whence: 0, start: 0n, size: 0n, pid: 0, owner: NO_OWNER } as const;
  await c.top.inodelk(ONE, { inode, domain: "d", cmd: "set", lock });
  await c.top.entrylk(ONE, {
    inode: c.inodes.root,
    domain: "d",
    name: "f",
    cmd: "lock",
    type: "write",
  });
  await restart();
  await up();
  await c.top.inodelk(TWO, { inode, domain: "d", cmd: "set", lock });
  await c.top.entrylk(TWO, {
    inode: c.inodes.root,
    domain: "d",
    name: "f",
    cmd: "try-lock",
    type: "write",
  });
  await stop();
});
