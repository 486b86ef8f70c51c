/** protocol/client and core/volume.ts against bricks in processes of their own: GlusterFS's and ours. */

import {
  deepStrictEqual as deepEqual,
  match,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { type LkOwner, NO_OWNER, ROOT } from "core/call.ts";
import { EAGAIN, EBADFD, EINTR, ENOENT, ENOTCONN } from "core/errno.ts";
import type { GraphEvent } from "core/events.ts";
import { type Args, O_APPEND, O_CREAT, O_EXCL, O_RDWR } from "core/fops.ts";
import type { Fd, Gfid, InodeTable } from "core/inode.ts";
import { buildGraph } from "core/graph.ts";
import { parseVolfile } from "core/volfile.ts";
import { Volume } from "core/volume.ts";
import { withKey } from "core/xdata.ts";
import { GFID_REQ } from "core/xdata_keys.ts";
import type { Xlator } from "core/xlator.ts";
import { LinesLog, testEnv } from "tests/fakes/node.ts";
import { DaemonProcess } from "tests/e2e/daemon.ts";
import { cannotRun } from "tests/e2e/harness.ts";
import { Process, until } from "tests/e2e/process.ts";
import { TYPES } from "xlators/mod.ts";
import { MORTAR } from "tests/e2e/program.ts";

function brickVolfile(directory: string, port: number): string {
  return `volume posix
    type storage/posix
    option directory ${directory}
end-volume
volume locks
    type features/locks
    subvolumes posix
end-volume
volume upcall
    type features/upcall
    option cache-invalidation on
    subvolumes locks
end-volume
volume b1
    type debug/io-stats
    subvolumes upcall
end-volume
volume server
    type protocol/server
    option transport-type tcp
    option transport.address-family inet
    option transport.socket.bind-address 127.0.0.1
    option transport.socket.listen-port ${port}
    option auth.addr.b1.allow *
    subvolumes b1
end-volume
`;
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** A client's volume over the brick at `port`; `more` are lines of its volfile. */
async function mount(port: number, more = "", brick = "b1") {
  const log = new LinesLog();
  const env = testEnv({ log });
  const graph = buildGraph(
    parseVolfile(`volume c
      type protocol/client
      option remote-host 127.0.0.1
      option remote-port ${port}
      option remote-subvolume ${brick}
      ${more}
    end-volume`),
    TYPES,
    env,
  );
  const events: GraphEvent[] = [];
  graph.top.listen((event) => events.push(event));
  const count = (type: GraphEvent["type"]) => events.filter((each) => each.type === type).length;
  await graph.start();
  const volume = new Volume({ top: graph.top, inodes: graph.inodes, env, call: ROOT });
  return { graph, volume, top: graph.top, inodes: graph.inodes, log, events, count };
}

async function isUp(port: number): Promise<boolean> {
  const { graph, volume } = await mount(port);
  try {
    await volume.stat("/");
    return true;
  } catch (error) {
    if (ENOTCONN.matches(error)) return false;
    throw error;
  } finally {
    await graph.stop();
  }
}

/** What a volume is for, in short. */
async function exercise(port: number, directory: string): Promise<void> {
  const { graph, volume } = await mount(port);
  const other = await mount(port);
  try {
    const data = new Uint8Array(3_000_001).map((_, i) => i * 13 + (i >> 9));
    await volume.mkdir("/a/b/c", { parents: true });
    await volume.writeFile("/a/b/c/data", data);
    deepEqual(Deno.readFileSync(`${directory}/a/b/c/data`).length, data.length);
    deepEqual(hash(await volume.readFile("/a/b/c/data")), hash(data));
    await volume.rename("/a/b/c/data", "/a/größe");
    await volume.setXattr("/a/größe", "user.k", new Uint8Array([1, 0, 2]));
    deepEqual(await other.volume.getXattr("/a/größe", "user.k"), new Uint8Array([1, 0, 2]));
    await volume.symlink("größe", "/a/link");
    equal((await volume.stat("/a/link")).size, data.length);
    await volume.link("/a/größe", "/a/b/hard");
    equal((await volume.stat("/a/b/hard")).nlink, 2);
    const names: string[] = [];
    for await (const { name } of volume.readDir("/a")) names.push(name);
    deepEqual(names.sort(), ["b", "größe", "link"]);
    await lockApart(volume, other.volume);
    await volume.unlink("/a/größe");
    await rejects(volume.stat("/a/link"), (error) => ENOENT.matches(error));
    await rejects(volume.readFile("/nope"), (error) => ENOENT.matches(error));
    deepEqual(hash(await volume.readFile("/a/b/hard")), hash(data));
  } finally {
    await other.graph.stop();
    await graph.stop();
  }
}

async function lockApart(one: Volume, other: Volume): Promise<void> {
  await using mine = await one.open("/a/größe", { write: true });
  await using theirs = await other.open("/a/größe", { write: true });
  await mine.lock("write", { size: 10n });
  await rejects(theirs.lock("write", { start: 5n, size: 1n }), (error) => EAGAIN.matches(error));
  await theirs.lock("write", { start: 10n, size: 1n });
  await mine.unlock();
  await theirs.lock("write", { start: 5n, size: 1n });
}

function hash(data: Uint8Array): number {
  let sum = data.length;
  for (const byte of data) sum = (Math.imul(sum, 31) + byte) | 0;
  return sum;
}

/** A brick as a process, on a port that stays the same when it is started again. */
interface BrickProcess extends AsyncDisposable {
  readonly port: number;
  readonly directory: string;
  start(): Promise<void>;
  /** Stops it, as SIGSTOP does; `goOn` ends that. */
  stand(): Promise<void>;
  goOn(): void;
  /** Ends it, by SIGKILL unless told otherwise. */
  kill(): Promise<void>;
}

async function makeBrick(kind: "ours" | "glusterfsd"): Promise<BrickProcess> {
  const dir = await Deno.makeTempDir({ prefix: "mt-client-" });
  const port = freePort(), directory = `${dir}/b1`;
  await Deno.mkdir(`${directory}/.glusterfs`, { recursive: true });
  await Deno.writeTextFile(`${dir}/b1.vol`, brickVolfile(directory, port));
  const argv = kind === "ours"
    ? [MORTAR, "brick", "-f", `${dir}/b1.vol`]
    : ["glusterfsd", "-N", "-f", `${dir}/b1.vol`, "-l", `${dir}/log`];
  let process: Process | undefined;
  const kill = async () => {
    if (process?.running) Deno.kill(process.pid, "SIGCONT");
    await process?.end("SIGKILL");
  };
  return {
    port,
    directory,
    async start() {
      process = new Process(argv, `${dir}/out`, { DENO: Deno.execPath() });
      await until(`${kind} serves`, () => isUp(port));
    },
    async stand() {
      const { pid } = process!;
      Deno.kill(pid, "SIGSTOP");
      const states = () =>
        [...Deno.readDirSync(`/proc/${pid}/task`)].map(({ name }) =>
          Deno.readTextFileSync(`/proc/${pid}/task/${name}/stat`).replace(/^.*\) /, "")[0]
        );
      await until("all threads stand", () => states().every((state) => state === "T"));
    },
    goOn: () => Deno.kill(process!.pid, "SIGCONT"),
    kill,
    async [Symbol.asyncDispose]() {
      await kill();
      await Deno.remove(dir, { recursive: true });
    },
  };
}

Deno.test("protocol/client: files, names, attributes and locks through a brick of ours", async () => {
  const dir = await Deno.makeTempDir({ prefix: "mt-client-" });
  await Deno.mkdir(`${dir}/b1`);
  await Deno.writeTextFile(`${dir}/b1.vol`, brickVolfile(`${dir}/b1`, 0));
  {
    await using brick = new DaemonProcess(["brick", "-f", `${dir}/b1.vol`]);
    await exercise(Number((await brick.address()).split(":")[1]), `${dir}/b1`);
    equal(await brick.end(), 0);
  }
  await Deno.remove(dir, { recursive: true });
});

Deno.test({
  name: "protocol/client: files, names, attributes and locks through glusterfsd",
  ignore: cannotRun("glusterfsd") !== "",
  async fn() {
    const dir = await Deno.makeTempDir({ prefix: "mt-client-" });
    const port = freePort();
    await Deno.mkdir(`${dir}/b1/.glusterfs`, { recursive: true });
    await Deno.writeTextFile(`${dir}/b1.vol`, brickVolfile(`${dir}/b1`, port));
    const brick = new Process(
      ["glusterfsd", "-N", "-f", `${dir}/b1.vol`, "-l", `${dir}/log`],
      `${dir}/out`,
    );
    try {
      await until("glusterfsd serves", () => isUp(port));
      await exercise(port, `${dir}/b1`);
    } finally {
      await brick.end();
      await Deno.remove(dir, { recursive: true });
    }
  },
});

const ONE = { ...ROOT, pid: 11, lkOwner: "0000000000000001" as LkOwner };
const TWO = { ...ROOT, pid: 22, lkOwner: "0000000000000002" as LkOwner };

function writeLock(fd: Fd, start: bigint, size: bigint): Args<"lk"> {
  const lock = { type: "write", whence: 0, start, size, pid: 11, owner: NO_OWNER } as const;
  return { fd, cmd: "set", lock };
}

/** A new file of that name, opened. */
function create(m: { top: Xlator; inodes: InodeTable }, name: string) {
  return m.top.create(ROOT, {
    parent: m.inodes.root,
    name,
    flags: O_RDWR | O_CREAT | O_EXCL,
    mode: 0o100644,
    umask: 0,
    xdata: withKey(undefined, GFID_REQ, crypto.randomUUID() as Gfid),
  });
}

function open(m: { top: Xlator; inodes: InodeTable }, gfid: Gfid) {
  return m.top.open(ROOT, { inode: m.inodes.of(gfid), flags: O_RDWR });
}

type Mounted = Awaited<ReturnType<typeof mount>>;

async function contendForName(mine: Mounted, theirs: Mounted): Promise<void> {
  const held = { domain: "d", name: "n", type: "write" } as const;
  await mine.top.entrylk(ONE, { inode: mine.inodes.root, cmd: "lock", ...held });
  const entry = theirs.top.entrylk(TWO, { inode: theirs.inodes.root, cmd: "lock", ...held });
  await until(
    "contention of names is told",
    () => mine.events.some((event) => event.type === "entrylk-contention" && event.name === "n"),
  );
  await mine.top.entrylk(ONE, { inode: mine.inodes.root, cmd: "unlock", ...held });
  await entry;
}

/** Appends and creates until `done`, through whatever happens; what was acknowledged, and what not. */
async function toil(m: Mounted, log: Gfid, id: number, done: () => boolean) {
  const appended = new Map<string, boolean>(), made = new Map<string, boolean>();
  const { fd } = await m.top.open(ROOT, {
    inode: m.inodes.of(log),
    flags: O_RDWR | O_APPEND,
  });
  let failures = 0;
  for (let round = 0; !done(); round++) {
    const token = `${id}`.padStart(2, "0") + `${round}`.padStart(6, "0");
    const known = round % 2 ? appended : made;
    known.set(token, false);
    try {
      if (known === made) {
        const created = await create(m, token);
        await m.top.release(ROOT, { fd: created.fd });
      } else {
        const data = new TextEncoder().encode(token);
        await m.top.writev(ROOT, { fd, offset: 0, data, flags: O_APPEND });
      }
      known.set(token, true);
    } catch (error) {
      if (!ENOTCONN.matches(error)) throw error;
      failures++;
      await until("it is up", () => m.count("child-up") > m.count("child-down"));
    }
  }
  return { appended, made, failures };
}

/** Every acknowledged thing is there, and nothing twice. */
function checkToil(directory: string, toils: readonly Awaited<ReturnType<typeof toil>>[]): void {
  const tokens: readonly string[] = Deno.readTextFileSync(`${directory}/log`).match(/.{8}/g) ?? [];
  equal(new Set(tokens).size, tokens.length, "an append was done twice");
  const names = new Set([...Deno.readDirSync(directory)].map(({ name }) => name));
  const known = new Set(toils.flatMap(({ appended }) => [...appended.keys()]));
  ok(tokens.every((token) => known.has(token)));
  const there = new Set(tokens);
  for (const { appended, made } of toils) {
    for (const [token, sure] of appended) ok(!sure || there.has(token), `append ${token} is lost`);
    for (const [name, sure] of made) ok(!sure || names.has(name), `file ${name} is lost`);
  }
}

for (const kind of ["ours", "glusterfsd"] as const) {
  const ignore = kind === "glusterfsd" && cannotRun("glusterfsd") !== "";
  const over = kind === "ours" ? "a brick of ours" : "glusterfsd";

  Deno.test(
    `protocol/client: ${over} is killed: files and locks come back with it`,
    { ignore },
    async () => {
      await using brick = await makeBrick(kind);
      await brick.start();
      const mine = await mount(brick.port), theirs = await mount(brick.port);
      const { fd, stat: { gfid } } = await create(mine, "f");
      const { fd: gone } = await create(mine, "gone");
      await mine.top.lk(ONE, writeLock(fd, 0n, 100n));
      await mine.top.writev(ONE, { fd, offset: 0, data: new Uint8Array([1, 2, 3]), flags: 0 });
      await brick.kill();
      await until("the loss is told", () => mine.count("child-down") === 1);
      await rejects(mine.top.fstat(ROOT, { fd }), (error) => ENOTCONN.matches(error));
      await Deno.remove(`${brick.directory}/gone`);
      const hidden = `${gone.inode.gfid.slice(0, 2)}/${gone.inode.gfid.slice(2, 4)}`;
      await Deno.remove(`${brick.directory}/.glusterfs/${hidden}/${gone.inode.gfid}`);
      await brick.start();
      await until("it is up", () => mine.count("child-up") === 2 && theirs.count("child-up") === 2);
      await mine.top.writev(ONE, { fd, offset: 3, data: new Uint8Array([4]), flags: 0 });
      deepEqual([...Deno.readFileSync(`${brick.directory}/f`)], [1, 2, 3, 4]);
      await rejects(mine.top.fstat(ROOT, { fd: gone }), (error) => EBADFD.matches(error));
      const { fd: other } = await open(theirs, gfid);
      await rejects(theirs.top.lk(TWO, writeLock(other, 50n, 1n)), (e) => EAGAIN.matches(e));
      await theirs.top.lk(TWO, writeLock(other, 100n, 1n));
      deepEqual(mine.events.map(({ type }) => type), ["child-up", "child-down", "child-up"]);
      await theirs.graph.stop();
      await mine.graph.stop();
    },
  );

  Deno.test(`protocol/client: ${over} is stopped: fops fail after the ping time-out, and once`, {
    ignore,
  }, async () => {
    await using brick = await makeBrick(kind);
    await brick.start();
    const m = await mount(brick.port, "option ping-timeout 1");
    const { fd } = await create(m, "f");
    const append = (value: number) =>
      m.top.writev(ROOT, { fd, offset: value, data: new Uint8Array([value]), flags: 0 });
    await append(0);
    await brick.stand();
    const since = performance.now();
    const asked = await Promise.allSettled([1, 2, 3].map(append));
    const took = performance.now() - since;
    ok(asked.every((each) => each.status === "rejected" && ENOTCONN.matches(each.reason)));
    // Far from the 42 seconds of the default, and from a frame's half hour.
    ok(took < 30_000, `took ${took} ms`);
    await until("the loss is told", () => m.count("child-down") === 1);
    await rejects(append(4), (error) => ENOTCONN.matches(error));
    brick.goOn();
    await until("it is up", () => m.count("child-up") === 2);
    await append(5);
    equal(Deno.readFileSync(`${brick.directory}/f`)[5], 5);
    await m.graph.stop();
  });

  Deno.test(
    `protocol/client: ${over} tells of changes and of locks that are wanted`,
    { ignore },
    async () => {
      await using brick = await makeBrick(kind);
      await brick.start();
      const mine = await mount(brick.port), theirs = await mount(brick.port);
      const { fd, stat: { gfid } } = await create(mine, "f");
      await mine.top.lookup(ROOT, { parent: mine.inodes.root, name: "f" });
      const { fd: other } = await open(theirs, gfid);
      await theirs.top.writev(TWO, { fd: other, offset: 0, data: new Uint8Array(5), flags: 0 });
      await until(
        "a stale cache is told",
        () =>
          mine.events.some((event) =>
            event.type === "cache-invalidation" && event.gfid === gfid && event.stat?.size === 5
          ),
      );
      const lock = { ...writeLock(fd, 0n, 0n).lock, owner: NO_OWNER };
      await mine.top.inodelk(ONE, { inode: fd.inode, domain: "d", cmd: "set", lock });
      const waits = { inode: other.inode, domain: "d", cmd: "set-wait", lock } as const;
      const waiting = theirs.top.inodelk(TWO, waits);
      await until(
        "contention is told",
        () =>
          mine.events.some((event) =>
            event.type === "inodelk-contention" && event.gfid === gfid && event.domain === "d"
          ),
      );
      const unlock = { ...lock, type: "unlock" } as const;
      await mine.top.inodelk(ONE, { inode: fd.inode, domain: "d", cmd: "set", lock: unlock });
      await waiting;
      // GlusterFS 10.3's brick sent none for names.
      if (kind === "ours") await contendForName(mine, theirs);
      await theirs.graph.stop();
      await mine.graph.stop();
    },
  );

  Deno.test(
    `protocol/client: a wait for a lock at ${over} can be given up`,
    { ignore },
    async () => {
      await using brick = await makeBrick(kind);
      await brick.start();
      const mine = await mount(brick.port), theirs = await mount(brick.port);
      const { fd, stat: { gfid } } = await create(mine, "f");
      await mine.top.lk(ONE, writeLock(fd, 0n, 0n));
      const { fd: other } = await open(theirs, gfid);
      const given = new AbortController();
      const { lock } = writeLock(other, 10n, 5n);
      const waiting = theirs.top.lk(TWO, {
        fd: other,
        cmd: "set-wait",
        lock: { ...lock, pid: TWO.pid },
        signal: given.signal,
      });
      // It is in the queue when what was asked behind it is answered.
      await theirs.top.fstat(TWO, { fd: other });
      given.abort();
      await rejects(waiting, (error) => EINTR.matches(error));
      await theirs.graph.stop();
      await mine.graph.stop();
    },
  );

  Deno.test(`protocol/client: ${over} refuses who asks for a brick it has not, and is left alone`, {
    ignore,
  }, async () => {
    await using brick = await makeBrick(kind);
    await brick.start();
    const m = await mount(brick.port, "", "nothing");
    await rejects(m.volume.stat("/"), (error) => ENOTCONN.matches(error));
    const why = m.log.lines.filter((line) => line.includes("brick is not connected"));
    equal(why.length, 1);
    match(why[0]!, /the brick refused: /);
    deepEqual(m.events.map(({ type }) => type), ["child-down"]);
    await m.graph.stop();
  });

  Deno.test(
    `protocol/client: ${over} is killed and stopped under work: nothing is lost, nothing twice`,
    { ignore },
    async () => {
      await using brick = await makeBrick(kind);
      await brick.start();
      const m = await mount(brick.port, "option ping-timeout 1");
      const { stat: { gfid } } = await create(m, "log");
      let done = false;
      const toiling = Promise.all([1, 2, 3, 4].map((id) => toil(m, gfid, id, () => done)));
      const works = () => until("it works", () => m.count("child-up") > m.count("child-down"));
      for (let fault = 1; fault <= 4; fault++) {
        await works();
        await new Promise((resolve) => setTimeout(resolve, 100));
        // On a busy machine it may have been given up once more.
        const before = m.count("child-down");
        const missed = () => until("it is missed", () => m.count("child-down") > before);
        if (fault % 2) {
          await brick.kill();
          await missed();
          await brick.start();
        } else {
          await brick.stand();
          await missed();
          brick.goOn();
        }
      }
      await works();
      done = true;
      const toils = await toiling;
      ok(toils.every(({ failures }) => failures >= 2), "nothing failed");
      await m.graph.stop();
      checkToil(brick.directory, toils);
    },
  );
}
