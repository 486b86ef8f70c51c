import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { ENOTCONN } from "core/errno.ts";
import { O_RDWR } from "core/fops.ts";
import { Fd } from "core/inode.ts";
import {
  create,
  eventually,
  is,
  makeClient,
  memoryBrick,
  serveBrick,
} from "tests/fakes/client_brick.ts";
import { FakeChild } from "tests/fakes/fake_child.ts";
import { Wires } from "tests/fakes/wires.ts";
import { Flow, weigh } from "xlators/protocol/client/flow.ts";

const MIB = 1 << 20;

Deno.test("protocol/client: a lane takes 8 MiB, then who comes waits in order of arrival", async () => {
  const flow = new Flow(), entered: number[] = [];
  for (let i = 0; i < 8; i++) ok(flow.tryEnter(MIB));
  ok(!flow.tryEnter(MIB));
  const first = flow.wait(2 * MIB).then(() => entered.push(1));
  const second = flow.wait(MIB).then(() => entered.push(2));
  flow.leave(MIB);
  await Promise.resolve();
  // The second would fit, but it is not its turn.
  deepEqual(entered, []);
  ok(!flow.tryEnter(100 << 10));
  flow.leave(MIB);
  await first;
  flow.leave(MIB);
  await second;
  deepEqual(entered, [1, 2]);
});

Deno.test("protocol/client: small fops have their own lane, locks need no room, one fop always goes", () => {
  const flow = new Flow();
  ok(flow.tryEnter(64 * MIB));
  ok(!flow.tryEnter(MIB));
  ok(flow.tryEnter(4096));
  ok(flow.tryEnter(0));
  for (let i = 1; i < 2048; i++) ok(flow.tryEnter(4096));
  ok(!flow.tryEnter(4096));
  ok(flow.tryEnter(0));
});

Deno.test("protocol/client: what data weighs is its size", () => {
  const fd = new Fd(makeClient(1).inodes.root, 0);
  const data = new Uint8Array(MIB);
  ok(weigh("writev", { fd, offset: 0, data, flags: 0 }) >= MIB);
  ok(weigh("readv", { fd, offset: 0, size: MIB, flags: 0 }) >= MIB);
  ok(weigh("fstat", { fd }) < 64 << 10);
  equal(weigh("release", { fd }), 0);
});

Deno.test("protocol/client: who waits for room is told ENOTCONN when the connection ends", async () => {
  const flow = new Flow();
  flow.tryEnter(8 * MIB);
  const waiting = [flow.wait(MIB), flow.wait(MIB)];
  flow.end();
  for (const each of waiting) await rejects(each, is(ENOTCONN));
});

Deno.test("protocol/client: a thousand writes of 1 MiB at once take no more memory than the window", async () => {
  const serving = await serveBrick(memoryBrick());
  const c = makeClient(serving.port);
  await c.top.start();
  const { fd } = await create(c.top, c.inodes, "f");
  const data = new Uint8Array(MIB);
  let most = 0;
  const watch = () => {
    const { connection } = c.top.state() as { connection: { outboundBytes: number } };
    most = Math.max(most, connection.outboundBytes);
  };
  await Promise.all(Array.from({ length: 1000 }, (_, i) => {
    const written = c.top.writev(ROOT, { fd, offset: i & 7, data, flags: 0 });
    watch();
    return written;
  }));
  ok(most <= 9 * MIB, `${most} bytes`);
  deepEqual(c.events.map(({ type }) => type), ["child-up"]);
  await c.stop();
  await serving.stop();
});

Deno.test("protocol/client: a stat behind a hundred reads of 1 MiB is answered before most of them", async () => {
  const serving = await serveBrick(memoryBrick());
  const c = makeClient(serving.port);
  await c.top.start();
  const { fd } = await create(c.top, c.inodes, "f");
  await c.top.writev(ROOT, { fd, offset: 0, data: new Uint8Array(MIB), flags: 0 });
  let done = 0;
  const reads = Array.from(
    { length: 100 },
    () => c.top.readv(ROOT, { fd, offset: 0, size: MIB, flags: 0 }).then(() => done++),
  );
  await c.top.fstat(ROOT, { fd });
  ok(done <= 10, `${done} reads came first`);
  await Promise.all(reads);
  await c.stop();
  await serving.stop();
});

Deno.test("protocol/client: closing thousands of files while the brick is away leaves nothing behind", async () => {
  const child = new FakeChild({
    open: (_call, { inode, flags }) => Promise.resolve({ fd: new Fd(inode, flags) }),
  }, "brick");
  const serving = await serveBrick(child);
  const wires = new Wires();
  const c = makeClient(serving.port, { connect: wires.connect });
  await c.top.start();
  const inode = c.inodes.root;
  const opened = await Promise.all(
    Array.from({ length: 3000 }, () => c.top.open(ROOT, { inode, flags: O_RDWR })),
  );
  wires.refusal = new Deno.errors.ConnectionRefused("away");
  wires.tear();
  await c.heard("child-down");
  await Promise.all(opened.map(({ fd }) => c.top.release(ROOT, { fd })));
  const before = child.seen.length;
  wires.refusal = undefined;
  await c.heard("child-up", 2);
  await eventually(() => (c.top.state() as { connected: boolean }).connected);
  equal((c.top.state() as { openFiles: number }).openFiles, 0);
  ok(child.fops.slice(before).every((fop) => fop !== "open"));
  await c.stop();
  await serving.stop();
});
