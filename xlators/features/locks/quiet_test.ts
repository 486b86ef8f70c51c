import { deepStrictEqual as deepEqual, strictEqual as equal, throws } from "node:assert/strict";
import { LOCK_ALONG } from "core/carried_locks.ts";
import { EAGAIN, EEXIST, ENOTCONN, ETIMEDOUT } from "core/errno.ts";
import { O_RDWR } from "core/fops.ts";
import { Fd } from "core/inode.ts";
import { str, withKey, Xdata } from "core/xdata.ts";
import * as keys from "core/xdata_keys.ts";
import { testClient } from "tests/fakes/node.ts";
import {
  by,
  DIR,
  entrylk,
  fails,
  FILE,
  inodelk,
  isEmpty,
  LAST,
  OTHER,
  outcome,
  setUp,
} from "tests/fakes/locks_layer.ts";

const DOMAIN = "vol-replicate-0", OF_OTHERS = { domain: "vol-replicate-0:self-heal" };

Deno.test("features/locks: in a quiet time new locks wait, tried ones too, and come in order after it", async () => {
  const { layer } = setUp();
  const a = by(testClient()), b = by(testClient());
  layer.quiet.quiesce("q", [DOMAIN], 1000);
  const first = layer.inodelk(a, inodelk("write", 0, 0, { cmd: "set" }));
  const second = layer.inodelk(b, inodelk("write", 0, 0, { cmd: "set" }));
  const name = layer.entrylk(a, entrylk("x"));
  const metadata = layer.inodelk(b, inodelk("write", LAST - 1n, 0, { inode: OTHER }));
  for (const waiting of [first, second, name, metadata]) equal(await outcome(waiting), "waits");
  deepEqual(layer.quiet.held("q"), []);
  layer.quiet.resume("q");
  await first;
  await fails(second, EAGAIN);
  await name;
  await metadata;
});

Deno.test("features/locks: a quiet time is of its domains only, and unlocking goes on", async () => {
  const { layer } = setUp();
  const a = by(testClient());
  await layer.inodelk(a, inodelk("write", 0, 10));
  layer.quiet.quiesce("q", [DOMAIN], 1000);
  await layer.inodelk(by(testClient()), inodelk("write", 0, 0, OF_OTHERS));
  equal(layer.quiet.held("q").length, 1);
  await layer.inodelk(a, inodelk("unlock", 0, 10));
  deepEqual(layer.quiet.held("q"), []);
});

Deno.test("features/locks: in a quiet time who makes a file is not kept waiting for the lock that comes along", async () => {
  const { layer } = setUp();
  layer.quiet.quiesce("q", [DOMAIN], 1000);
  const along = { xdata: withKey(undefined, LOCK_ALONG, DOMAIN) };
  await fails(layer.inodelk(by(testClient()), inodelk("write", 0, 0, along)), EAGAIN);
});

Deno.test("features/locks: who holds a lock may take more, to come to an end", async () => {
  const { layer } = setUp();
  const client = testClient();
  const renaming = by(client, "01"), other = by(client, "02");
  await layer.entrylk(renaming, entrylk("a"));
  layer.quiet.quiesce("q", [DOMAIN], 1000);
  await layer.entrylk(renaming, entrylk("b"));
  await layer.inodelk(renaming, inodelk("write", 0, 0, { inode: OTHER }));
  const waiting = layer.entrylk(other, entrylk("c"));
  await layer.entrylk(renaming, entrylk("a", "unlock"));
  await layer.entrylk(renaming, entrylk("b", "unlock"));
  await layer.inodelk(renaming, inodelk("unlock", 0, 0, { inode: OTHER }));
  const next = layer.entrylk(renaming, entrylk("d"));
  equal(await outcome(waiting), "waits");
  equal(await outcome(next), "waits");
  layer.quiet.resume("q");
  await waiting;
  await next;
});

Deno.test("features/locks: what is held in a quiet time is told alike by two bricks", async () => {
  const one = setUp().layer, two = setUp().layer;
  for (const layer of [one, two]) {
    const client = testClient();
    await layer.inodelk(by(client, "0a"), inodelk("write", 0, 10));
    await layer.inodelk(by(client, "0a"), inodelk("write", LAST - 1n, 0));
    await layer.entrylk(by(client, "0b"), entrylk("x"));
    layer.quiet.quiesce("q", [DOMAIN], 1000);
  }
  const held = one.quiet.held("q");
  deepEqual(held, two.quiet.held("q"));
  equal(new Set(held.map(({ lock }) => lock)).size, 3);
});

Deno.test("features/locks: changes are counted with the locks of their client, from the grant on", async () => {
  const { layer } = setUp({}, { mkdir: () => Promise.reject(EAGAIN) });
  const writer = by(testClient()), other = by(testClient());
  const write = { fd: new Fd(FILE, O_RDWR), offset: 0, data: new Uint8Array(1), flags: 0 };
  await layer.writev(writer, write);
  await layer.inodelk(writer, inodelk("write", 0, 10));
  await layer.inodelk(writer, inodelk("write", 0, 0, OF_OTHERS));
  await layer.entrylk(writer, entrylk("x"));
  layer.quiet.quiesce("q", [DOMAIN], 1000);
  const counts = () => layer.quiet.held("q").map(({ changes }) => changes);
  deepEqual(counts(), [0, 0]);
  await layer.writev(writer, write);
  await layer.writev(other, write);
  await layer.truncate(writer, { inode: FILE, offset: 0 });
  deepEqual(counts(), [2, 0]);
  await fails(layer.mkdir(writer, { parent: DIR, name: "x", mode: 0, umask: 0 }), EAGAIN);
  deepEqual(counts(), [2, 1]);
});

Deno.test("features/locks: in a quiet time who asks hears that others want its lock", async () => {
  const { layer } = setUp();
  const writer = by(testClient());
  await layer.inodelk(writer, inodelk("write"));
  const xdata = Xdata.of([["glusterfs.inodelk-dom-count", str(DOMAIN)]]);
  const write = { fd: new Fd(FILE, O_RDWR), offset: 0, data: new Uint8Array(1), flags: 0, xdata };
  const count = async () => (await layer.writev(writer, write)).xdata?.get(keys.INODELK_COUNT);
  equal(await count(), 1);
  layer.quiet.quiesce("q", [DOMAIN], 1000);
  equal(await count(), 2);
});

Deno.test("features/locks: holders hear at once that a quiet time began, however lately they were told", async () => {
  const { layer, events } = setUp();
  const holder = by(testClient());
  await layer.inodelk(holder, inodelk("write", 0, 10));
  const waiting = layer.inodelk(by(testClient()), inodelk("write", 0, 10));
  equal(events.length, 1);
  layer.quiet.quiesce("q", [DOMAIN], 1000);
  equal(events.length, 2);
  const event = events[1]!;
  equal(event.type, "inodelk-contention");
  if (event.type === "inodelk-contention") equal(event.gfid, FILE.gfid);
  layer.quiet.resume("q");
  await layer.inodelk(holder, inodelk("unlock", 0, 10));
  await waiting;
  const silent = setUp({ "notify-contention": "off" });
  await silent.layer.inodelk(holder, inodelk("write"));
  silent.layer.quiet.quiesce("q", [DOMAIN], 1000);
  equal(silent.events.length, 0);
});

Deno.test("features/locks: a quiet time ends by itself, and says so", async () => {
  const { layer, clock } = setUp();
  layer.quiet.quiesce("q", [DOMAIN], 1000);
  throws(() => layer.quiet.quiesce("q", [DOMAIN], 1000), (error) => EEXIST.matches(error));
  const waiting = layer.inodelk(by(testClient()), inodelk("write"));
  await clock.advance(1000);
  await waiting;
  throws(() => layer.quiet.held("q"), (error) => ETIMEDOUT.matches(error));
  throws(() => layer.quiet.resume("q"), (error) => ETIMEDOUT.matches(error));
});

Deno.test("features/locks: who went away in a quiet time gets no lock after it", async () => {
  const { layer } = setUp();
  const client = testClient();
  layer.quiet.quiesce("q", [DOMAIN], 1000);
  const waiting = layer.inodelk(by(client), inodelk("write"));
  layer.clientGone(client);
  layer.quiet.resume("q");
  await fails(waiting, ENOTCONN);
  isEmpty(layer);
});
