import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { type LkOwner, NO_OWNER, ROOT } from "core/call.ts";
import { EINTR, ENOENT, ENOTCONN } from "core/errno.ts";
import { DONE, O_RDWR } from "core/fops.ts";
import { Fd } from "core/inode.ts";
import { eventually, is, makeClient, serveBrick } from "tests/fakes/client_brick.ts";
import { FakeClock } from "tests/fakes/clock.ts";
import { FakeChild, type Script } from "tests/fakes/fake_child.ts";

const ONE = { ...ROOT, pid: 11, lkOwner: "01" as LkOwner };
const LOCK = { type: "write", whence: 0, start: 0n, size: 10n, pid: 5, owner: NO_OWNER } as const;

/** A client with a clock of its own and a frame time-out of 10 s, of a brick that does as `script` says. */
async function slow(script: Script, options: Record<string, string> = {}) {
  const child = new FakeChild({
    flush: () => Promise.resolve(DONE),
    release: () => Promise.resolve(DONE),
    ...script,
  }, "brick");
  const serving = await serveBrick(child);
  const clock = new FakeClock();
  const c = makeClient(serving.port, {
    env: { clock },
    options: { "frame-timeout": "10", "ping-timeout": "0", ...options },
  });
  await c.top.start();
  const stop = async () => {
    await c.stop();
    await serving.stop();
  };
  return { c, child, clock, stop };
}

/**
 * A wait for a lock that was given up once the brick waited for it. It ends when `end` is called, which
 * each request to interrupt may do.
 */
async function givenUp(interrupted: (end: () => void, text: string) => void) {
  let end: (() => void) | undefined;
  const { c, clock, stop } = await slow({
    open: (_call, { inode, flags }) => Promise.resolve({ fd: new Fd(inode, flags) }),
    lk: () => new Promise((_, reject) => end = () => reject(EINTR)),
    fgetxattr: (call, { name }) => {
      interrupted(end!, `${call.pid} ${name}`);
      return Promise.resolve({ xattrs: undefined });
    },
  });
  const { fd } = await c.top.open(ROOT, { inode: c.inodes.root, flags: O_RDWR });
  const given = new AbortController();
  const lk = c.top.lk(ONE, { fd, cmd: "set-wait", lock: LOCK, signal: given.signal });
  await eventually(() => end !== undefined);
  given.abort();
  return { lk, clock, stop };
}

Deno.test("protocol/client: a fop without an answer fails with ENOTCONN after the frame time-out, alone", async () => {
  let answer: (() => void) | undefined;
  const { c, clock, stop } = await slow({
    readlink: () => new Promise((_, reject) => answer = () => reject(ENOENT)),
    access: () => Promise.resolve(DONE),
  });
  const inode = c.inodes.root;
  const asked = c.top.readlink(ROOT, { inode, size: 100 });
  await eventually(() => answer !== undefined);
  clock.advance(9000);
  await c.top.access(ROOT, { inode, mask: 4 });
  clock.advance(2000);
  await rejects(asked, is(ENOTCONN));
  // The late answer is nobody's, and the connection lives on.
  answer!();
  await c.top.access(ROOT, { inode, mask: 4 });
  deepEqual(c.events.map(({ type }) => type), ["child-up"]);
  await stop();
});

Deno.test("protocol/client: a file that is opened after the time-out is closed again", async () => {
  let answer: (() => void) | undefined;
  const { c, child, clock, stop } = await slow({
    open: (_call, { inode, flags }) =>
      new Promise((resolve) => answer = () => resolve({ fd: new Fd(inode, flags) })),
  });
  const asked = c.top.open(ROOT, { inode: c.inodes.root, flags: O_RDWR });
  await eventually(() => answer !== undefined);
  clock.advance(11_000);
  await rejects(asked, is(ENOTCONN));
  answer!();
  await eventually(() => child.fops.includes("release"));
  equal((c.top.state() as { openFiles: number }).openFiles, 0);
  await stop();
});

Deno.test("protocol/client: a lock that is granted after the time-out is given up again", async () => {
  let answer: (() => void) | undefined;
  const { c, child, clock, stop } = await slow({
    inodelk: (_call, { lock }) =>
      lock.type === "unlock"
        ? Promise.resolve(DONE)
        : new Promise((resolve) => answer = () => resolve(DONE)),
  });
  const args = { inode: c.inodes.root, domain: "d", cmd: "set", lock: LOCK } as const;
  const asked = c.top.inodelk(ONE, args);
  await eventually(() => answer !== undefined);
  clock.advance(11_000);
  await rejects(asked, is(ENOTCONN));
  answer!();
  await eventually(() => child.fops.filter((fop) => fop === "inodelk").length === 2);
  const { lock, domain } = child.last("inodelk");
  deepEqual([lock.type, lock.size, domain], ["unlock", 10n, "d"]);
  equal(child.seen.at(-1)!.call.lkOwner, "01");
  await stop();
});

Deno.test("protocol/client: who waits for a lock waits past the time-out", async () => {
  let answer: (() => void) | undefined;
  const { c, clock, stop } = await slow({
    inodelk: () => new Promise((resolve) => answer = () => resolve(DONE)),
  });
  const args = { inode: c.inodes.root, domain: "d", cmd: "set-wait", lock: LOCK } as const;
  let done = false;
  const asked = c.top.inodelk(ONE, args).then(() => done = true);
  await eventually(() => answer !== undefined);
  clock.advance(3_600_000);
  ok(!done);
  answer!();
  await asked;
  await stop();
});

Deno.test("protocol/client: a wait for a lock that is given up ends with EINTR at the brick, too", async () => {
  let interrupted = "";
  const { lk, stop } = await givenUp((end, text) => {
    interrupted = text;
    end();
  });
  await rejects(lk, is(EINTR));
  equal(interrupted, "11 glusterfs.intrlk.tposix.kblocked.0,0-10");
  await stop();
});

Deno.test("protocol/client: a wait for a lock is given up again where the brick had not begun it", async () => {
  let interrupted = 0;
  const { lk, clock, stop } = await givenUp((end) => {
    if (++interrupted === 2) end();
  });
  await eventually(() => interrupted === 1);
  clock.advance(600);
  await rejects(lk, is(EINTR));
  clock.advance(10_000);
  equal(interrupted, 2);
  await stop();
});

Deno.test("protocol/client: options that may change while connected do", async () => {
  const flags: number[] = [];
  const { c, stop } = await slow({
    open: (_call, { inode, flags: asked }) => {
      flags.push(asked);
      return Promise.resolve({ fd: new Fd(inode, asked) });
    },
  });
  const open = () => c.top.open(ROOT, { inode: c.inodes.root, flags: 0o40002 });
  await open();
  c.top.reconfigure({ ...c.values, "filter-O_DIRECT": true });
  await open();
  c.top.reconfigure({ ...c.values, "filter-O_DIRECT": false });
  await open();
  deepEqual(flags, [0o40002, 2, 0o40002]);
  await stop();
});
