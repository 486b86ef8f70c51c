import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { type Client, NO_OWNER, ROOT } from "core/call.ts";
import { EBADF, EBADFD, ENOENT, ENOTCONN } from "core/errno.ts";
import type { GraphEvent } from "core/events.ts";
import { LENT_FRONT, O_RDWR } from "core/fops.ts";
import { Fd, type Gfid } from "core/inode.ts";
import { str, withKey, Xdata } from "core/xdata.ts";
import { GFID_REQ } from "core/xdata_keys.ts";
import { procedures, type Program, serve } from "rpc/program.ts";
import { GFX_NAME, GFX_PROGRAM, GFX_VERSION } from "rpc/programs/gfx.ts";
import { HANDSHAKE_NAME, HANDSHAKE_PROGRAM, setvolume } from "rpc/programs/handshake.ts";
import { portByBrick, PORTMAP_NAME, PORTMAP_PROGRAM } from "rpc/programs/portmap.ts";
import { Listener } from "rpc/server.ts";
import type { Endpoint } from "rpc/transport.ts";
import {
  connect,
  create,
  inodesOf,
  is,
  memoryBrick,
  serveBrick,
} from "tests/fakes/client_brick.ts";
import { FakeChild } from "tests/fakes/fake_child.ts";
import { testEnv } from "tests/fakes/node.ts";

Deno.test("protocol/client: fops fail with ENOTCONN while there is no brick", async () => {
  const c = await connect(1);
  await rejects(c.top.stat(ROOT, { inode: c.inodes.root }), is(ENOTCONN));
  await c.top.release(ROOT, { fd: new Fd(c.inodes.root, 0) });
  ok(c.log.lines.some((line) => /^W brick is not connected .*Connection refused/.test(line)));
  await c.stop();
});

Deno.test("protocol/client: a brick that comes back gets its files opened again", async () => {
  const brick = memoryBrick();
  const first = await serveBrick(brick);
  const c = await connect(first.port);
  const { fd } = await create(c.top, c.inodes, "f");
  const { fd: lost } = await create(c.top, c.inodes, "gone");
  const { fd: dir } = await c.top.opendir(ROOT, { inode: c.inodes.root });
  await c.top.writev(ROOT, { fd, offset: 0, data: new Uint8Array([1, 2, 3]), flags: 0 });
  await first.stop();
  await c.heard("child-down");
  await rejects(c.top.fstat(ROOT, { fd }), is(ENOTCONN));
  await brick.unlink(ROOT, { parent: inodesOf(brick).root, name: "gone", flags: 0 });
  const second = await serveBrick(brick, first.port);
  await c.heard("child-up", 2);
  const { data, eof } = await c.top.readv(ROOT, { fd, offset: 1, size: 9, flags: 0 });
  deepEqual([...data, eof], [2, 3, true]);
  await rejects(c.top.fstat(ROOT, { fd: lost }), is(EBADFD));
  const { entries } = await c.top.readdir(ROOT, { fd: dir, offset: 0n, size: 4096 });
  ok(entries.some(({ name }) => name === "f"));
  await c.stop();
  await second.stop();
});

Deno.test("protocol/client: a file that cannot be opened again is EBADFD, one never opened EBADF", async () => {
  const child = new FakeChild({
    open: (_call, { inode, flags }) => Promise.resolve({ fd: new Fd(inode, flags) }),
  }, "brick");
  const gone = new FakeChild({ open: () => Promise.reject(ENOENT) }, "brick");
  const first = await serveBrick(child);
  const c = await connect(first.port);
  const { fd } = await c.top.open(ROOT, { inode: c.inodes.root, flags: O_RDWR });
  await first.stop();
  await c.heard("child-down");
  const second = await serveBrick(gone, first.port);
  await c.heard("child-up", 2);
  await rejects(c.top.fstat(ROOT, { fd }), is(EBADFD));
  await rejects(c.top.fstat(ROOT, { fd: new Fd(c.inodes.root, 0) }), is(EBADF));
  await c.top.release(ROOT, { fd });
  await rejects(c.top.fstat(ROOT, { fd }), is(EBADF));
  ok(
    c.log.lines.some((line) =>
      /files could not be opened again with their locks .*lost=1/.test(line)
    ),
  );
  await c.stop();
  await second.stop();
});

Deno.test("protocol/client: what is read lies where the caller wants it, and is the caller's own", async () => {
  const brick = await serveBrick(memoryBrick());
  const c = await connect(brick.port);
  const { fd } = await create(c.top, c.inodes, "f");
  const data = new Uint8Array(200_000).map((_, i) => i * 7);
  await c.top.writev(ROOT, { fd, offset: 0, data, flags: 0 });
  const into = new Uint8Array(data.length);
  const read = { fd, offset: 0, size: data.length, flags: 0 };
  const placed = await c.top.readv(ROOT, { ...read, into });
  equal(placed.data.buffer, into.buffer);
  const own = await c.top.readv(ROOT, read);
  await c.top.writev(ROOT, { fd, offset: 0, data: new Uint8Array(data.length), flags: 0 });
  deepEqual(into, data);
  deepEqual(own.data, data);
  await c.stop();
  await brick.stop();
});

Deno.test("protocol/client: what was lent stays until it is given back, with room in front of it", async () => {
  const brick = await serveBrick(memoryBrick());
  const c = await connect(brick.port);
  const { fd } = await create(c.top, c.inodes, "f");
  const data = new Uint8Array(1 << 20).map((_, i) => i * 7 >> 3);
  await c.top.writev(ROOT, { fd, offset: 0, data, flags: 0 });
  const lend = (offset: number, size: number) =>
    c.top.readv(ROOT, { fd, offset, size, flags: 0, lend: true });
  const sizes = [1, 4096, 100_000, 1 << 20];
  const kept = await Promise.all(
    sizes.flatMap((size) => [lend(0, size), lend(data.length - size, size)]),
  );
  for (let i = 0; i < 40; i++) (await lend(i * 1000, 200_000)).lent!.release();
  for (const [i, { data: found, lent }] of kept.entries()) {
    const size = sizes[i >> 1]!, from = i % 2 ? data.length - size : 0;
    deepEqual(found, data.subarray(from, from + size));
    new Uint8Array(found.buffer, found.byteOffset - LENT_FRONT, LENT_FRONT).fill(255);
    lent!.release();
  }
  deepEqual((await lend(0, 5)).data, data.subarray(0, 5));
  equal((await c.top.readv(ROOT, { fd, offset: 0, size: 5, flags: 0 })).lent, undefined);
  await c.stop();
  await brick.stop();
});

Deno.test("protocol/client: extended attributes stay when more records have come in", async () => {
  const brick = await serveBrick(memoryBrick());
  const c = await connect(brick.port);
  const { fd } = await create(c.top, c.inodes, "f");
  const value = new Uint8Array(1000).fill(9);
  const xattrs = Xdata.of([["user.a", { type: "ptr", value }]]);
  await c.top.setxattr(ROOT, { inode: fd.inode, xattrs, flags: 0 });
  const kept = await c.top.getxattr(ROOT, { inode: fd.inode, name: "user.a" });
  await c.top.writev(ROOT, { fd, offset: 0, data: new Uint8Array(1 << 20), flags: 0 });
  for (let i = 0; i < 8; i++) await c.top.readv(ROOT, { fd, offset: 0, size: 1 << 20, flags: 0 });
  deepEqual(kept.xattrs?.raw("user.a"), { type: "ptr", value });
  await c.stop();
  await brick.stop();
});

Deno.test("protocol/client: without a port the portmapper is asked, and asked again", async () => {
  let port = 0;
  const asked: string[] = [];
  const portmap: Program = {
    ...PORTMAP_PROGRAM,
    name: PORTMAP_NAME,
    procedures: procedures([[
      portByBrick.procedure,
      serve(portByBrick, ({ brick }) => {
        asked.push(brick);
        return port
          ? { ret: 0, errno: 0, status: 0, port }
          : { ret: -1, errno: 2, status: 0, port };
      }),
    ]]),
  };
  const mapper = new Listener({ kind: "tcp", host: "127.0.0.1", port: 0 }, testEnv(), {
    programs: () => [portmap],
  });
  const where = mapper.endpoint as Endpoint & { kind: "tcp" };
  const c = await connect(where.port);
  ok(c.log.lines.some((line) => line.includes('the portmapper knows no brick "brick"')));
  const brick = await serveBrick(memoryBrick());
  port = brick.port;
  await c.heard("child-up");
  await c.top.stat(ROOT, { inode: c.inodes.root });
  ok(asked.length >= 2 && asked.every((name) => name === "brick"));
  await c.stop();
  await brick.stop();
  await mapper.stop();
});

Deno.test("protocol/client: a refusal is logged with the brick's reason, and a login opens the door", async () => {
  const options = {
    "auth.addr.brick.allow": "192.0.2.1",
    "auth.login.brick.allow": "user",
    "auth.login.user.password": "secret",
  };
  const brick = await serveBrick(memoryBrick(), 0, options);
  const stranger = await connect(brick.port, { username: "user", password: "guess" });
  ok(stranger.log.lines.some((line) => /the brick refused: .*13/.test(line)));
  await stranger.stop();
  const friend = await connect(brick.port, { username: "user", password: "secret" });
  await friend.top.stat(ROOT, { inode: friend.inodes.root });
  await friend.stop();
  await brick.stop();
});

Deno.test("protocol/client: what the brick tells of caches and locks arrives as events", async () => {
  const child = new FakeChild({
    getxattr: (call) => {
      joined = call.client;
      return Promise.resolve({ xattrs: undefined });
    },
  }, "brick") as FakeChild & { emit(event: GraphEvent): void };
  let joined: Client | undefined;
  const brick = await serveBrick(child);
  const c = await connect(brick.port);
  await c.top.getxattr(ROOT, { inode: c.inodes.root, name: "" });
  const gfid = crypto.randomUUID() as Gfid;
  const lock = {
    type: "write",
    whence: 0,
    start: 1n,
    size: 2n,
    pid: 3,
    owner: NO_OWNER,
  } as const;
  child.emit({
    type: "cache-invalidation",
    clients: [joined!],
    gfid,
    flags: 4,
    expireSec: 60,
    stat: undefined,
    parent: undefined,
    oldParent: undefined,
  });
  child.emit({ type: "inodelk-contention", client: joined!, gfid, domain: "d", lock });
  const entry = { domain: "d", name: "n", lockType: "write", pid: 5 } as const;
  child.emit({ type: "entrylk-contention", client: joined!, gfid, ...entry });
  const seen = await c.heard("cache-invalidation");
  deepEqual([seen.gfid, seen.flags, seen.expireSec], [gfid, 4, 60]);
  const ranges = await c.heard("inodelk-contention");
  deepEqual([ranges.gfid, ranges.domain, ranges.lock], [gfid, "d", lock]);
  const names = await c.heard("entrylk-contention");
  deepEqual([names.gfid, names.name, names.lockType, names.pid], [gfid, "n", "write", 5]);
  await c.stop();
  await brick.stop();
});

Deno.test("protocol/client: a brick that stands still is given up after the ping timeout", async () => {
  const mute: Program[] = [
    { number: GFX_PROGRAM, version: GFX_VERSION, name: GFX_NAME, procedures: [] },
    {
      ...HANDSHAKE_PROGRAM,
      name: HANDSHAKE_NAME,
      procedures: procedures([[
        setvolume.procedure,
        serve(setvolume, () => ({
          ret: 0,
          errno: 0,
          dict: Xdata.of([["ERROR", str("Success")]]),
        })),
      ]]),
    },
  ];
  const listener = new Listener({ kind: "tcp", host: "127.0.0.1", port: 0 }, testEnv(), {
    programs: () => mute,
  });
  const c = await connect((listener.endpoint as Endpoint & { kind: "tcp" }).port, {
    "ping-timeout": "100ms",
  });
  await c.heard("child-up");
  for (const connection of listener.connections) {
    // It was asked what it serves; from now on it answers nothing.
    const [dump] = connection.programs.slice(-1);
    connection.programs = [...mute, { ...dump!, procedures: [undefined, undefined, () => {}] }];
  }
  await c.heard("child-down");
  ok(c.log.lines.some((line) => /connection to brick lost .*no answer to a ping/.test(line)));
  await c.stop();
  await listener.stop();
});

Deno.test("protocol/client: a brick is reached over a unix socket", async () => {
  const dir = await Deno.makeTempDir();
  const path = `${dir}/brick.sock`;
  const brick = await serveBrick(memoryBrick(), 0, {
    "transport-type": "unix",
    "transport.socket.listen-path": path,
    "auth.addr.brick.allow": "*",
  });
  const c = await connect(1, {
    "transport-type": "unix",
    "transport.socket.connect-path": path,
  });
  equal((await c.top.stat(ROOT, { inode: c.inodes.root })).stat.gfid, c.inodes.root.gfid);
  await c.stop();
  await brick.stop();
  await Deno.remove(dir, { recursive: true });
});

Deno.test("protocol/client: a sub-directory of the volume is the root of who mounts only that", async () => {
  const child = memoryBrick();
  const brick = await serveBrick(child, 0, { "auth.addr.brick.allow": "/(*),/sub(*)" });
  const whole = await connect(brick.port);
  await whole.top.mkdir(ROOT, {
    parent: whole.inodes.root,
    name: "sub",
    mode: 0o755,
    umask: 0,
    xdata: withKey(undefined, GFID_REQ, crypto.randomUUID() as Gfid),
  });
  const part = await connect(brick.port, { "subdir-mount": "/sub" });
  const made = await create(part.top, part.inodes, "inside");
  await rejects(
    part.top.lookup(ROOT, { parent: part.inodes.root, name: "sub" }),
    is(ENOENT),
  );
  const { stat: sub } = await whole.top.lookup(ROOT, { parent: whole.inodes.root, name: "sub" });
  const parent = whole.inodes.of(sub.gfid);
  const { stat } = await whole.top.lookup(ROOT, { parent, name: "inside" });
  equal(stat.gfid, made.stat.gfid);
  await part.stop();
  await whole.stop();
  await brick.stop();
});

Deno.test("protocol/client: groups stay at home when send-gids is off", async () => {
  const groups: (readonly number[])[] = [];
  const child = new FakeChild({
    statfs: (call) => {
      groups.push(call.groups);
      return Promise.reject(ENOENT);
    },
  }, "brick");
  const brick = await serveBrick(child);
  const call = { ...ROOT, groups: [7, 8] };
  for (const setting of ["on", "off"]) {
    const c = await connect(brick.port, { "send-gids": setting });
    await rejects(c.top.statfs(call, { inode: c.inodes.root }), is(ENOENT));
    await c.stop();
  }
  deepEqual(groups, [[7, 8], []]);
  await brick.stop();
});

Deno.test("protocol/client: small answers stay what they were when many more have come", async () => {
  const brick = await serveBrick(memoryBrick());
  const c = await connect(brick.port);
  const { fd } = await create(c.top, c.inodes, "f");
  const data = new Uint8Array(8 << 10).map((_, i) => i * 11);
  await c.top.writev(ROOT, { fd, offset: 0, data, flags: 0 });
  const read = (size: number) => c.top.readv(ROOT, { fd, offset: 0, size, flags: 0 });
  const sizes = [1, 100, 4096, 8191, 8192];
  const kept = await Promise.all(sizes.map(read));
  for (let i = 0; i < 100; i++) await read(8000);
  for (const [i, { data: got }] of kept.entries()) deepEqual(got, data.subarray(0, sizes[i]));
  kept[2]!.data.fill(0);
  deepEqual((await read(4096)).data, data.subarray(0, 4096));
  deepEqual(kept[3]!.data, data.subarray(0, 8191));
  await c.stop();
  await brick.stop();
});
