import {
  deepStrictEqual as deepEqual,
  match,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import type { Call, Client } from "core/call.ts";
import {
  EACCES,
  EAGAIN,
  EBADF,
  EINVAL,
  EIO,
  EMFILE,
  ENAMETOOLONG,
  ENOENT,
  EROFS,
  ESTALE,
  type FopError,
} from "core/errno.ts";
import type { GraphEvent } from "core/events.ts";
import {
  DONE,
  type EntryReply,
  type LookupReply,
  type OpenReply,
  type ReadvArgs,
} from "core/fops.ts";
import { type Clock, realClock } from "core/env.ts";
import { buildGraph, type Graph } from "core/graph.ts";
import type { Iatt } from "core/iatt.ts";
import { Fd, type Gfid, Inode, ROOT_GFID } from "core/inode.ts";
import { defineXlator, type XlatorType, xlatorTypes } from "core/registry.ts";
import { viewRoot } from "core/view_gfid.ts";
import { parseVolfile } from "core/volfile.ts";
import { intKey, str, textKey, withKey, Xdata } from "core/xdata.ts";
import { type Node, PassThrough } from "core/xlator.ts";
import { onCallback } from "rpc/programs/callback.ts";
import { cacheInvalidation, callbackProgram, inodelkContention } from "rpc/programs/callback.ts";
import { listPrograms } from "rpc/programs/dump.ts";
import { setvolume } from "rpc/programs/handshake.ts";
import type { Procedure } from "rpc/program.ts";
import { Connection } from "rpc/connection.ts";
import { connectTo, type Endpoint } from "rpc/transport.ts";
import { FakeClock } from "tests/fakes/clock.ts";
import { FakeChild, type Script } from "tests/fakes/fake_child.ts";
import { FopClient, joinDict } from "tests/fakes/fop_client.ts";
import { LinesLog, testEnv } from "tests/fakes/node.ts";
import { type Server, server } from "xlators/protocol/server/server.ts";

const BRICK = "/brick";
const GFID = "11111111-2222-3333-4444-555555555555" as Gfid;
const ALLOW = `option auth.addr.${BRICK}.allow *`;

function iatt(gfid: Gfid, mode = 0o100644): Iatt {
  const zeros = { nlink: 1, uid: 0, gid: 0, rdev: 0, dev: 1, size: 0, blksize: 4096, blocks: 0 };
  const times = { atime: 0, atimeNsec: 0, mtime: 0, mtimeNsec: 0, ctime: 0, ctimeNsec: 0 };
  return { gfid, mode, ...zeros, ...times };
}

/** A layer that notes which clients went away, and can say something. */
class Watcher extends PassThrough {
  readonly gone: string[] = [];
  clientGone(client: Client): void {
    this.gone.push(client.id);
  }
  say(event: GraphEvent): void {
    this.emit(event);
  }
}

interface Rig extends AsyncDisposable {
  readonly graph: Graph;
  readonly endpoint: Endpoint;
  readonly child: FakeChild;
  readonly watcher: Watcher;
  readonly lines: string[];
}

/** A brick whose storage answers what `script` says. */
async function rig(
  script: Script = {},
  options = ALLOW,
  clock: Clock = realClock,
): Promise<Rig> {
  const child = new FakeChild(script), log = new LinesLog();
  let watcher!: Watcher;
  const leaf = (type: string, create: (node: Node) => FakeChild): XlatorType => {
    const options = {};
    return defineXlator({ type, summary: "", options, subvolumes: "none", create });
  };
  const types = xlatorTypes([
    leaf("test/fake", () => child),
    defineXlator({
      type: "test/watcher",
      summary: "",
      options: {},
      subvolumes: "one",
      create: (node) => watcher = new Watcher({ ...node, name: BRICK }),
    }),
    server,
  ]);
  const graph = buildGraph(
    parseVolfile(`
      volume fake
        type test/fake
      end-volume
      volume ${BRICK}
        type test/watcher
        subvolumes fake
      end-volume
      volume server
        type protocol/server
        option transport.socket.listen-port 0
        ${options}
        subvolumes ${BRICK}
      end-volume`),
    types,
    testEnv({ log, clock }),
  );
  await graph.start();
  const { endpoint } = graph.top as Server;
  return {
    graph,
    endpoint: endpoint!,
    child,
    watcher,
    lines: log.lines,
    [Symbol.asyncDispose]: () => graph.stop(),
  };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

function is(failure: FopError) {
  return (error: unknown) => failure.matches(error);
}

const opens: Script = {
  open: (_call, { inode, flags }) => Promise.resolve<OpenReply>({ fd: new Fd(inode, flags) }),
  release: () => Promise.resolve(DONE),
  releasedir: () => Promise.resolve(DONE),
};

async function joinedAs(rig: Rig, more: Record<string, string | undefined> = {}) {
  const client = await FopClient.connect(rig.endpoint);
  const answer = await client.connection.ask(setvolume, { dict: joinDict(BRICK, more) });
  client.leave();
  return { ...answer, error: answer.dict?.get(textKey("ERROR")) };
}

Deno.test("protocol/server: a client that joins learns what GlusterFS's clients look for", async () => {
  await using brick = await rig({}, `${ALLOW}\noption volume-id ${GFID}`);
  const { ret, dict } = await joinedAs(brick);
  equal(ret, 0);
  equal(dict!.get(textKey("ERROR")), "Success");
  equal(dict!.get(intKey("child_up")), 1);
  equal(dict!.get(intKey("clnt-lk-version")), 0);
  equal(dict!.get(textKey("volume-id")), GFID);
  match(dict!.get(textKey("process-uuid"))!, /^[0-9a-f-]{36}$/);
});

Deno.test("protocol/server: DUMP lists no portmapper, so clients join here", async () => {
  await using brick = await rig();
  const client = await FopClient.connect(brick.endpoint);
  const programs = await listPrograms(client.connection);
  deepEqual(programs.map(({ name }) => name), [
    "GlusterFS 4.x v1",
    "GlusterFS Handshake",
    "GF-DUMP",
  ]);
  client.leave();
});

Deno.test("protocol/server: who may not join is told GlusterFS's error number", async () => {
  for (
    const [options, more, errno, error] of [
      [ALLOW, { "remote-subvolume": "/other" }, 2, /not found/],
      [ALLOW, { "remote-subvolume": undefined }, 22, /remote-subvolume/],
      [ALLOW, { "process-uuid": undefined }, 22, /UUID/],
      [ALLOW, { "fops-version": "7" }, 22, /version mismatch/],
      [`${ALLOW}\noption volume-id ${GFID}`, { "volume-id": ROOT_GFID }, 22, /Volume-ID different/],
      ["", {}, 13, /Authentication failed/],
      [`option auth.addr.${BRICK}.allow 10.*`, {}, 13, /Authentication failed/],
      [`${ALLOW}\noption auth.addr.${BRICK}.reject 127.0.0.1`, {}, 13, /Authentication failed/],
      [`${ALLOW}\noption strict-auth-accept on`, {}, 13, /Authentication failed/],
    ] as const
  ) {
    await using brick = await rig({}, options);
    const answer = await joinedAs(brick, more);
    deepEqual([answer.ret, answer.errno], [-1, errno], options);
    match(answer.error!, error);
    ok(brick.lines.some((line) => line.startsWith("W client refused")));
  }
});

Deno.test("protocol/server: login lets in whom addresses do not name", async () => {
  const options = `option auth.login.${BRICK}.allow alice\noption auth.login.alice.password pw`;
  await using brick = await rig({}, options);
  equal((await joinedAs(brick, { username: "alice", password: "pw" })).ret, 0);
  equal((await joinedAs(brick, { username: "alice", password: "no" })).errno, 13);
  equal((await joinedAs(brick)).errno, 13);
});

Deno.test("protocol/server: a brick that is down says try again", async () => {
  await using brick = await rig();
  brick.watcher.say({ type: "child-down" });
  equal((await joinedAs(brick)).errno, EAGAIN.errno);
  brick.watcher.say({ type: "child-up" });
  equal((await joinedAs(brick)).ret, 0);
});

Deno.test("protocol/server: no fop passes before its client joined", async () => {
  await using brick = await rig({ statfs: () => Promise.reject(EIO) });
  const client = await FopClient.connect(brick.endpoint);
  const fd = new Fd(client.root, 0);
  await rejects(client.ask("statfs", { inode: client.root }), is(EACCES));
  await rejects(client.ask("readv", { fd, offset: 0, size: 1, flags: 0 }), is(EACCES));
  await rejects(client.ask("release", { fd }), is(EACCES));
  await rejects(
    client.ask("lk", {
      fd,
      cmd: "set",
      lock: { type: "read", whence: 0, start: 0n, size: 0n, pid: 1, owner: "" as never },
    }),
    is(EACCES),
  );
  deepEqual(brick.child.fops.filter((fop) => fop !== "getxattr"), []);
  client.leave();
});

Deno.test("protocol/server: credentials become the call, and all calls of a client share it", async () => {
  await using brick = await rig({
    stat: (_call, { inode }) => Promise.resolve({ stat: iatt(inode.gfid) }),
  });
  const client = await FopClient.join(brick.endpoint, joinDict(BRICK, { "process-uuid": "me" }));
  const inode = new Inode(GFID);
  const who = { uid: 7, gid: 8, groups: [9, 10], pid: -6, lkOwner: "0102" as Call["lkOwner"] };
  await client.ask("stat", { inode }, who);
  await client.ask("stat", { inode });
  const [first, second] = brick.child.seen.slice(-2).map(({ call }) => call);
  const { uid, gid, groups, pid, lkOwner } = first!;
  deepEqual({ uid, gid, groups, pid, lkOwner }, who);
  equal(first!.client.id, "me");
  equal(first!.client.address, "127.0.0.1");
  equal(first!.client, second!.client);
  ok(first!.deadline > 0 && Number.isFinite(first!.deadline));
  client.leave();
});

Deno.test("protocol/server: an fd is its connection's own", async () => {
  await using brick = await rig({
    ...opens,
    fstat: (_call, { fd }) => Promise.resolve({ stat: iatt(fd.inode.gfid) }),
  });
  const [a, b] = [
    await FopClient.join(brick.endpoint, joinDict(BRICK)),
    await FopClient.join(brick.endpoint, joinDict(BRICK)),
  ];
  const { fd } = await a.ask("open", { inode: new Inode(GFID), flags: 2 });
  equal((await a.ask("fstat", { fd })).stat.gfid, GFID);
  const stolen = b.adopt(a.numberOf(fd), fd.inode, 2);
  await rejects(b.ask("fstat", { fd: stolen }), is(EBADF));
  await rejects(b.ask("readv", { fd: stolen, offset: 0, size: 1, flags: 0 }), is(EBADF));
  await rejects(b.ask("release", { fd: stolen }), is(EBADF));
  await a.ask("release", { fd });
  await rejects(a.ask("fstat", { fd }), is(EBADF));
  equal(brick.child.last("release").fd.inode.gfid, GFID);
  a.leave();
  b.leave();
});

Deno.test("protocol/server: a directory given back as a file, or the other way, is closed as what it is", async () => {
  await using brick = await rig({
    ...opens,
    opendir: (_call, { inode }) => Promise.resolve<OpenReply>({ fd: new Fd(inode, 0) }),
  });
  const client = await FopClient.join(brick.endpoint, joinDict(BRICK));
  const { fd: directory } = await client.ask("opendir", { inode: client.root });
  await client.ask("release", { fd: directory });
  equal(brick.child.last("releasedir").fd.inode.gfid, ROOT_GFID);
  const { fd: file } = await client.ask("open", { inode: new Inode(GFID), flags: 0 });
  await client.ask("releasedir", { fd: file });
  equal(brick.child.last("release").fd.inode.gfid, GFID);
  client.leave();
});

Deno.test("protocol/server: open files are bounded", async () => {
  await using brick = await rig(opens, `${ALLOW}\noption fd-limit 16`);
  const client = await FopClient.join(brick.endpoint, joinDict(BRICK));
  const inode = new Inode(GFID);
  const fds = [];
  for (let i = 0; i < 16; i++) fds.push((await client.ask("open", { inode, flags: 0 })).fd);
  await rejects(client.ask("open", { inode, flags: 0 }), is(EMFILE));
  await client.ask("release", { fd: fds[3]! });
  equal(client.numberOf((await client.ask("open", { inode, flags: 0 })).fd), 3);
  client.leave();
});

Deno.test("protocol/server: a client that leaves takes its files and locks along, in every layer", async () => {
  let answerLate!: (reply: OpenReply) => void;
  await using brick = await rig({
    ...opens,
    opendir: (_call, { inode }) => Promise.resolve<OpenReply>({ fd: new Fd(inode, 0) }),
    create: () => new Promise((resolve) => answerLate = resolve as never),
  });
  const client = await FopClient.join(brick.endpoint, joinDict(BRICK, { "process-uuid": "bye" }));
  await client.ask("open", { inode: new Inode(GFID), flags: 0 });
  await client.ask("opendir", { inode: client.root });
  const late = client.create("late", GFID).catch(() => {});
  await until(() => answerLate !== undefined);
  client.leave();
  await until(() => brick.watcher.gone.length > 0);
  deepEqual(brick.watcher.gone, ["bye"]);
  deepEqual(brick.child.fops.filter((fop) => fop.startsWith("release")), ["release", "releasedir"]);
  // What was opened after the client left is closed, too.
  answerLate({ fd: new Fd(new Inode(GFID), 2), stat: iatt(GFID) } as never);
  await until(() => brick.child.fops.filter((fop) => fop === "release").length === 2);
  await late;
});

Deno.test("protocol/server: half a write is none, and ends the connection alone", async () => {
  await using brick = await rig({ writev: () => Promise.reject(EIO) });
  const transport = await connectTo(brick.endpoint);
  await transport.write(Uint8Array.of(0x80, 0x01, 0, 0, 1, 2, 3));
  transport.close();
  const client = await FopClient.join(brick.endpoint, joinDict(BRICK));
  equal(brick.child.fops.includes("writev"), false);
  client.leave();
});

Deno.test("protocol/server: a blocked lock holds nothing up and is answered when granted", async () => {
  const granted: (() => void)[] = [];
  await using brick = await rig({
    inodelk: () => new Promise((resolve) => granted.push(() => resolve(DONE))),
    stat: (_call, { inode }) => Promise.resolve({ stat: iatt(inode.gfid) }),
  }, `${ALLOW}\noption rpc.outstanding-rpc-limit 4`);
  const client = await FopClient.join(brick.endpoint, joinDict(BRICK));
  const inode = new Inode(GFID);
  const lock = { type: "write", whence: 0, start: 0n, size: 0n, pid: 1, owner: "" } as never;
  const waiting = Array.from(
    { length: 20 },
    () => client.ask("inodelk", { inode, domain: "d", cmd: "set-wait", lock }),
  );
  for (let i = 0; i < 30; i++) await client.ask("stat", { inode });
  equal(granted.length, 20);
  for (const grant of granted) grant();
  await Promise.all(waiting);
  client.leave();
});

/** A storage that answers reads with `size` bytes of 7, put where `place` says. */
function reads(size: number, place: "into" | "own" | "xdata"): Script {
  return {
    ...opens,
    readv: (_call: Call, { into, size: most }: ReadvArgs) => {
      const count = Math.min(size, most);
      const data = place === "own" ? new Uint8Array(count) : into!.subarray(0, count);
      data.fill(7);
      const xdata = place === "xdata" ? Xdata.of([["k", str("v")]]) : undefined;
      return Promise.resolve({ data, stat: iatt(GFID), eof: count < most, xdata });
    },
  };
}

Deno.test("protocol/server: READ answers data wherever the storage put it", async () => {
  for (const place of ["into", "own", "xdata"] as const) {
    for (const size of [0, 1, 4096, 65536, 65537, 1 << 20]) {
      await using brick = await rig(reads(size, place));
      const client = await FopClient.join(brick.endpoint, joinDict(BRICK));
      const { fd } = await client.ask("open", { inode: new Inode(GFID), flags: 0 });
      const asked = [size, size + 1].map((size) =>
        client.ask("readv", { fd, offset: 2 ** 40, size, flags: 0 })
      );
      const [whole, short] = await Promise.all(asked);
      deepEqual([whole!.data.length, whole!.eof], [size, false], `${place} ${size}`);
      deepEqual([short!.data.length, short!.eof], [size, true], `${place} ${size}`);
      ok([whole, short].every((each) => each!.data.every((byte) => byte === 7)));
      equal(whole!.stat!.gfid, GFID);
      equal(whole!.xdata?.get(textKey("k")), place === "xdata" ? "v" : undefined);
      equal(brick.child.last("readv").offset, 2 ** 40);
      client.leave();
    }
  }
});

Deno.test("protocol/server: reads with extra data keep their bytes until they are sent", async () => {
  const script: Script = {
    readv: (_call, { into, offset, size }) => {
      const data = into!.subarray(0, size).fill(offset);
      const xdata = Xdata.of([["k", str("v")]]);
      return Promise.resolve({ data, stat: iatt(GFID), eof: false, xdata });
    },
    ...opens,
  };
  await using brick = await rig(script);
  const read = async (client: FopClient, offset: number, size: number) => {
    const { fd } = await client.ask("open", { inode: new Inode(GFID), flags: 0 });
    const { data } = await client.ask("readv", { fd, offset, size, flags: 0 });
    ok(data.length === size && data.every((byte) => byte === offset), `read at ${offset}`);
  };
  const clients = await Promise.all(
    [1, 2, 3].map(() => FopClient.join(brick.endpoint, joinDict(BRICK))),
  );
  for (const size of [10_000, 50_000, 65_000, 200_000]) {
    await Promise.all(
      Array.from({ length: 90 }, (_, i) => read(clients[i % 3]!, i + 1, size)),
    );
  }
  for (const client of clients) client.leave();
});

Deno.test("protocol/server: READ with extra data, of an anonymous fd, and too large", async () => {
  await using brick = await rig(reads(10, "own"), `${ALLOW}\noption record-size-limit 1MB`);
  const client = await FopClient.join(brick.endpoint, joinDict(BRICK));
  const anonymous = new Fd(new Inode(GFID), 0);
  const read = { fd: anonymous, offset: 0, size: 10, flags: 0 };
  equal((await client.ask("readv", read)).data.length, 10);
  equal(brick.child.last("readv").fd.anonymous, true);
  equal(brick.child.last("readv").fd.inode.gfid, GFID);
  const xdata = withKey(undefined, textKey("key"), "value");
  await client.ask("readv", { ...read, xdata });
  equal(brick.child.last("readv").xdata?.get(textKey("key")), "value");
  await rejects(client.ask("readv", { ...read, size: (1 << 20) + 1 }), is(EINVAL));
  await rejects(client.ask("readv", { ...read, size: (1 << 20) + 1, xdata }), is(EINVAL));
  client.leave();
});

Deno.test("protocol/server: names over 255 bytes are ENAMETOOLONG and reach nobody", async () => {
  await using brick = await rig();
  const client = await FopClient.join(brick.endpoint, joinDict(BRICK));
  const parent = client.root, mode = 0o755, umask = 0;
  for (const name of ["x".repeat(256), "ä".repeat(128), "x".repeat(4000)]) {
    await rejects(client.ask("lookup", { parent, name }), is(ENAMETOOLONG));
    await rejects(client.ask("mkdir", { parent, name, mode, umask }), is(ENAMETOOLONG));
    const names = { oldParent: parent, oldName: "a", newParent: parent, newName: name };
    await rejects(client.ask("rename", names), is(ENAMETOOLONG));
  }
  deepEqual(brick.child.fops.filter((fop) => fop !== "getxattr"), []);
  client.leave();
});

Deno.test("protocol/server: when rules change, clients that may no longer be here are dropped", async () => {
  await using brick = await rig();
  const client = await FopClient.join(brick.endpoint, joinDict(BRICK));
  const changed = (rule: string) =>
    brick.graph.blocks.map((block) => {
      const options = new Map(block.options);
      if (block.type === "protocol/server") options.set(`auth.addr.${BRICK}.reject`, rule);
      return { ...block, options };
    });
  ok(brick.graph.reconfigure(changed("10.*")));
  await client.ask("statfs", { inode: client.root }).catch(() => {});
  ok(client.connection.open);
  ok(brick.graph.reconfigure(changed("127.0.0.1")));
  await client.connection.closed;
  deepEqual((await joinedAs(brick)).errno, EACCES.errno);
});

Deno.test("protocol/server: a connection on which nobody joins is closed", async () => {
  const clock = new FakeClock();
  await using brick = await rig({}, ALLOW, clock);
  const idle = await FopClient.connect(brick.endpoint);
  const joined = await FopClient.join(brick.endpoint, joinDict(BRICK));
  await listPrograms(idle.connection);
  clock.advance(50_000);
  ok(idle.connection.open);
  clock.advance(12_000);
  await idle.connection.closed;
  await listPrograms(joined.connection);
  joined.leave();
});

Deno.test("protocol/server: a lock request that is large ends the connection", async () => {
  await using brick = await rig();
  const client = await FopClient.join(brick.endpoint, joinDict(BRICK));
  const xdata = withKey(undefined, textKey("large"), "x".repeat(70_000));
  const lock = { type: "read", whence: 0, start: 0n, size: 0n, pid: 1, owner: "" } as never;
  const inode = client.root;
  await rejects(client.ask("inodelk", { inode, domain: "d", cmd: "set", lock, xdata }));
  await client.connection.closed;
});

Deno.test("protocol/server: a volfile that asks for TLS does not build", async () => {
  await rejects(rig({}, `${ALLOW}\noption transport.socket.ssl-enabled on`), /TLS/);
});

Deno.test("protocol/server: what layers say goes to the clients concerned", async () => {
  await using brick = await rig({
    stat: (_call, { inode }) => Promise.resolve({ stat: iatt(inode.gfid) }),
  });
  const heard: string[] = [];
  const ear = (who: string) =>
    callbackProgram([
      onCallback(
        cacheInvalidation,
        ({ gfid, flags, xdata }) =>
          heard.push(`${who} ${gfid} ${flags} ${[...xdata?.names() ?? []]}`),
      ),
      onCallback(inodelkContention, ({ domain }) => heard.push(`${who} ${domain}`)),
    ] as (readonly [number, Procedure])[]);
  const a = await FopClient.join(brick.endpoint, joinDict(BRICK), [ear("a")]);
  const b = await FopClient.join(brick.endpoint, joinDict(BRICK), [ear("b")]);
  for (const client of [a, b]) await client.ask("stat", { inode: new Inode(GFID) });
  const clients = brick.child.seen.slice(-2).map(({ call }) => call.client);
  const none = { stat: iatt(GFID), parent: undefined, oldParent: undefined };
  brick.watcher.say({
    type: "cache-invalidation",
    clients: [clients[1]!],
    gfid: GFID,
    flags: 8,
    expireSec: 60,
    ...none,
    xdata: Xdata.of([["user.k", { type: "str", value: "" }]]),
  });
  const lock = { type: "write", whence: 0, start: 0n, size: 0n, pid: -6, owner: "aa" } as never;
  brick.watcher.say({
    type: "inodelk-contention",
    client: clients[0]!,
    gfid: GFID,
    domain: "d",
    lock,
  });
  await until(() => heard.length === 2);
  deepEqual(heard.sort(), ["a d", `b ${GFID} 8 user.k`]);
  a.leave();
  b.leave();
});

const directory = (gfid: Gfid): EntryReply => ({
  stat: iatt(gfid, 0o040755),
  preParent: undefined,
  postParent: iatt(ROOT_GFID, 0o040755),
});

Deno.test("protocol/server: a sub-directory mount sees its directory as the root", async () => {
  await using brick = await rig({
    lookup: (_call, { name, inode }) =>
      name === "sub"
        ? Promise.resolve({ ...directory(GFID), postParent: undefined })
        : inode
        ? Promise.resolve({ ...directory(inode.gfid), postParent: undefined })
        : Promise.reject(ENOENT.carrying({ postParent: iatt(GFID, 0o040755) })),
    mkdir: (_call, { parent }) =>
      Promise.resolve({ ...directory(ROOT_GFID), postParent: iatt(parent.gfid, 0o040755) }),
  }, `option auth.addr.${BRICK}.allow /sub(*)`);
  equal((await joinedAs(brick, {})).errno, EACCES.errno);
  equal((await joinedAs(brick, { "subdir-mount": "/other" })).errno, EACCES.errno);
  const client = await FopClient.join(
    brick.endpoint,
    joinDict(BRICK, { "subdir-mount": "/sub" }),
  );
  const { stat } = await client.ask("lookup", { inode: client.root, name: "" });
  equal(stat.gfid, ROOT_GFID);
  equal(brick.child.last("lookup").inode!.gfid, GFID);
  const made = { parent: client.root, name: "x", mode: 0o755, umask: 0 };
  equal((await client.ask("mkdir", made)).postParent!.gfid, ROOT_GFID);
  equal(brick.child.last("mkdir").parent.gfid, GFID);
  await rejects(
    client.ask("lookup", { parent: client.root, name: "missing" }),
    (error) => ENOENT.matches(error) && error.postParent?.gfid === ROOT_GFID,
  );
  client.leave();
});

Deno.test("protocol/server: a client of a snapshot sees its view as the root, and changes nothing", async () => {
  const id = "5a5cb0b5-7a52-4f0a-9e0e-3b6b66a3d1c9", view = viewRoot(id);
  await using brick = await rig({
    ...opens,
    lookup: (_call, { inode }) =>
      inode!.gfid === view
        ? Promise.resolve({ ...directory(view), postParent: undefined })
        : Promise.reject(ESTALE),
  }, `option auth.addr.${BRICK}.allow *\noption volume-id ${GFID}`);
  const subvolume = `/snaps/${id}${BRICK}`;
  const asked = { "volume-id": id };
  const client = await FopClient.join(brick.endpoint, joinDict(subvolume, asked));
  const { stat } = await client.ask("lookup", { inode: client.root, name: "" });
  equal(stat.gfid, ROOT_GFID);
  equal(brick.child.last("lookup").inode!.gfid, view);
  // Also not by a gfid that is not of the view.
  const inode = new Inode(GFID);
  await rejects(client.ask("setattr", { inode, changes: { mode: 0 } }), is(EROFS));
  await rejects(client.ask("open", { inode, flags: 2 }), is(EROFS));
  await client.ask("open", { inode, flags: 0 });
  client.leave();
  for (const other of [`/snaps/other${BRICK}`, `/snaps/${id}/other`, `/snaps/${id}`]) {
    equal((await joinedAs(brick, { "remote-subvolume": other })).errno, ENOENT.errno, other);
  }
});

Deno.test("protocol/server: a client that goes while it joins leaves nothing behind", async () => {
  let answer!: (reply: LookupReply) => void;
  await using brick = await rig({
    lookup: () => new Promise((resolve) => answer = resolve),
  }, `option auth.addr.${BRICK}.allow *`);
  const client = await FopClient.connect(brick.endpoint);
  const dict = joinDict(BRICK, { "subdir-mount": "/sub" });
  const asked = client.connection.ask(setvolume, { dict }).catch(() => {});
  await until(() => answer !== undefined);
  client.leave();
  await asked;
  const state = () =>
    (brick.graph.top as Server).state() as { clientsJoined: number; connections: unknown[] };
  await until(() => state().connections.length === 0);
  answer({ ...directory(GFID), postParent: undefined });
  await until(() => brick.lines.some((line) => line.includes("client refused")));
  equal(state().clientsJoined, 0);
});

Deno.test("protocol/server: a sub-directory that is not there is ENOENT", async () => {
  await using brick = await rig({ lookup: () => Promise.reject(ENOENT) });
  const answer = await joinedAs(brick, { "subdir-mount": "/gone" });
  equal(answer.errno, ENOENT.errno);
  match(answer.error!, /subdirectory for mount "\/gone" is not found/);
});

Deno.test("protocol/server: root is squashed unless a trusted daemon asks", async () => {
  const options = `${ALLOW}\noption root-squash on\noption anonuid 99\noption anongid 98
    option auth.login.${BRICK}.allow pool\noption auth.login.pool.password pw`;
  await using brick = await rig({
    stat: (_call, { inode }) => Promise.resolve({ stat: iatt(inode.gfid) }),
  }, options);
  const ids = async (client: FopClient, call: Partial<Call>) => {
    await client.ask("stat", { inode: new Inode(GFID) }, call);
    const { uid, gid, groups } = brick.child.seen.at(-1)!.call;
    return [uid, gid, ...groups];
  };
  const anyone = await FopClient.join(brick.endpoint, joinDict(BRICK));
  deepEqual(await ids(anyone, { groups: [0, 5] }), [99, 98, 98, 5]);
  deepEqual(await ids(anyone, { pid: -6 }), [99, 98]);
  deepEqual(await ids(anyone, { uid: 1, gid: 2 }), [1, 2]);
  const pool = await FopClient.join(
    brick.endpoint,
    joinDict(BRICK, { username: "pool", password: "pw" }),
  );
  deepEqual(await ids(pool, { pid: -6 }), [0, 0]);
  deepEqual(await ids(pool, { pid: 6 }), [99, 98]);
  anyone.leave();
  pool.leave();
});

Deno.test("protocol/server: a failure that is a bug is logged and answered EIO", async () => {
  await using brick = await rig({
    stat: () => Promise.reject(new Error("oops")),
    statfs: () => {
      throw new Error("at once");
    },
  });
  const client = await FopClient.join(brick.endpoint, joinDict(BRICK));
  await rejects(client.ask("stat", { inode: client.root }), is(EIO));
  await rejects(client.ask("statfs", { inode: client.root }), is(EIO));
  equal(brick.lines.filter((line) => line.includes("fop failed unexpectedly")).length, 2);
  client.leave();
});

Deno.test("protocol/server: its state names clients and what they have open", async () => {
  await using brick = await rig(opens);
  const client = await FopClient.join(brick.endpoint, joinDict(BRICK, { "process-uuid": "me" }));
  await client.ask("open", { inode: new Inode(GFID), flags: 0 });
  const state = (brick.graph.top as Server).state() as {
    clientsJoined: number;
    connections: { client: string; openFiles: number }[];
  };
  equal(state.clientsJoined, 1);
  deepEqual(state.connections.map(({ client, openFiles }) => [client, openFiles]), [["me", 1]]);
  client.leave();
});

Deno.test("protocol/server: inode-lru-limit bounds the inodes that are remembered", async () => {
  const script: Script = {
    stat: (_call, { inode }) => Promise.resolve({ stat: iatt(inode.gfid) }),
  };
  await using brick = await rig(script, `${ALLOW}\noption inode-lru-limit 16`);
  const client = await FopClient.join(brick.endpoint, joinDict(BRICK));
  for (let i = 0; i < 100; i++) {
    await client.ask("stat", { inode: new Inode(crypto.randomUUID() as Gfid) });
  }
  const { inodesHeld } = (brick.graph.top as Server).state() as { inodesHeld: number };
  ok(inodesHeld > 0 && inodesHeld <= 16, `${inodesHeld} held`);
  client.leave();
});

Deno.test("protocol/server: a client that does not read costs no more than its window", async () => {
  await using brick = await rig(reads(65536, "into"));
  const dict = joinDict(BRICK);
  const transport = await connectTo(brick.endpoint);
  // Its side of the connection is never read after the answer to SETVOLUME.
  let reading = true;
  const greedy = new FopClient(
    new Connection({
      peer: transport.peer,
      read: (into) => reading ? transport.read(into) : new Promise(() => {}),
      write: (from) => transport.write(from),
      close: () => transport.close(),
    }, testEnv()),
  );
  await greedy.connection.ask(setvolume, { dict });
  const { fd } = await greedy.ask("open", { inode: new Inode(GFID), flags: 0 });
  reading = false;
  for (let i = 0; i < 3000; i++) {
    greedy.ask("readv", { fd, offset: 0, size: 65536, flags: 0 }).catch(() => {});
  }
  const state = () =>
    ((brick.graph.top as Server).state() as {
      connections: { outboundBytes: number; callBytes: number; callsServed: number }[];
    }).connections[0]!;
  await until(() => state().outboundBytes > (8 << 20));
  const other = await FopClient.join(brick.endpoint, joinDict(BRICK));
  const { fd: own } = await other.ask("open", { inode: new Inode(GFID), flags: 0 });
  for (let i = 0; i < 50; i++) {
    await other.ask("readv", { fd: own, offset: 0, size: 4096, flags: 0 });
  }
  const { outboundBytes, callBytes, callsServed } = state();
  ok(outboundBytes + callBytes < (26 << 20), `${outboundBytes} + ${callBytes} bytes`);
  ok(callsServed < 1000, `${callsServed} served`);
  greedy.leave();
  other.leave();
});

Deno.test("protocol/server: serves a unix socket, one that a killed process left, too", async () => {
  const dir = await Deno.makeTempDir();
  try {
    new Deno.Command("python3", {
      args: [
        "-c",
        "import socket,sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])",
        `${dir}/s`,
      ],
    }).outputSync();
    await using brick = await rig(
      {},
      `${ALLOW}\noption transport-type unix\noption transport.socket.listen-path ${dir}/s`,
    );
    equal((await joinedAs(brick)).ret, 0);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
