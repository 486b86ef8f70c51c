import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { EAGAIN, EINVAL, ENOENT } from "core/errno.ts";
import { O_RDWR, type Reply } from "core/fops.ts";
import { Fd } from "core/inode.ts";
import { str, Xdata } from "core/xdata.ts";
import { INODELK_COUNT, INODELK_DOM_COUNT } from "core/xdata_keys.ts";
import { testClient } from "tests/fakes/node.ts";

import {
  by,
  DIR,
  entrylk,
  fails,
  FILE,
  inodelk,
  isEmpty,
  outcome,
  setUp,
} from "tests/fakes/locks_layer.ts";

Deno.test("features/locks: a lock that stands in the way for too long is revoked", async () => {
  const { layer, clock, log } = setUp({ "revocation-secs": "10" });
  const a = by(testClient()), b = by(testClient()), c = by(testClient());
  await layer.inodelk(a, inodelk("write"));
  const first = layer.inodelk(b, inodelk("write"));
  clock.advance(10_001);
  const second = layer.inodelk(c, inodelk("write"));
  equal(await outcome(first), "done");
  equal(await outcome(second), "waits");
  ok(log.lines.some((line) => line.startsWith("W inode locks revoked")), log.lines.join("\n"));
  await fails(layer.inodelk(a, inodelk("unlock")), EINVAL);
});

Deno.test("features/locks: a holder's own old lock is not revoked by its next request", async () => {
  const { layer, clock } = setUp({ "revocation-secs": "10" });
  const a = by(testClient());
  await layer.inodelk(a, inodelk("write"));
  clock.advance(60_000);
  await layer.inodelk(a, inodelk("write", 5, 1));
  await layer.inodelk(a, inodelk("unlock"));
});

Deno.test("features/locks: with too many waiters all are failed if asked for", async () => {
  const { layer } = setUp({
    "revocation-secs": "1000",
    "revocation-max-blocked": "2",
    "revocation-clear-all": "on",
  });
  const calls = [1, 2, 3, 4].map(() => by(testClient()));
  await layer.entrylk(calls[0]!, entrylk("x"));
  const waits = [1, 2].map((each) => layer.entrylk(calls[each]!, entrylk("x")));
  const last = layer.entrylk(calls[3]!, entrylk("x"));
  deepEqual(await Promise.all(waits.map(outcome)), ["EAGAIN", "EAGAIN"]);
  equal(await outcome(last), "done");
});

Deno.test("features/locks: an unlink waits for inode locks of other clients, who hear of it", async () => {
  const { layer, child, events } = setUp();
  const a = by(testClient()), b = by(testClient()), c = by(testClient());
  await layer.inodelk(a, inodelk("write"));
  const removal = layer.unlink(b, { parent: DIR, name: "f", flags: 0 });
  equal(await outcome(removal), "waits");
  equal(events.length, 1);
  // Nobody new gets in between, except who is in already.
  await fails(layer.inodelk(c, inodelk("read", 0, 0, { cmd: "set", domain: "d2" })), EAGAIN);
  await layer.inodelk(a, inodelk("read", 0, 0, { cmd: "set", domain: "d2" }));
  await layer.inodelk(a, inodelk("unlock"));
  equal(await outcome(removal), "waits");
  const late = layer.inodelk(c, inodelk("write"));
  await layer.inodelk(a, inodelk("unlock", 0, 0, { domain: "d2" }));
  equal(await outcome(removal), "done");
  equal(await outcome(late), "done");
  deepEqual(child.fops, ["lookup", "unlink"]);
  await layer.inodelk(c, inodelk("unlock"));
  isEmpty(layer);
});

Deno.test("features/locks: a removal does not wait for its own client, for daemons, or in vain", async () => {
  const { layer, child } = setUp({}, { lookup: () => Promise.reject(ENOENT) });
  const a = by(testClient()), b = by(testClient());
  await layer.inodelk(a, inodelk("write"));
  await layer.unlink(b, { parent: DIR, name: "gone", flags: 0 });
  const own = setUp();
  await own.layer.inodelk(a, inodelk("write"));
  await own.layer.inodelk(
    by(testClient(), "01", { pid: -6 }),
    inodelk("write", 0, 0, {
      domain: "heal",
    }),
  );
  await own.layer.unlink(a, { parent: DIR, name: "f", flags: 0 });
  const waits = own.layer.unlink(b, { parent: DIR, name: "f", flags: 0 });
  own.layer.clientGone(b.client);
  equal(await outcome(waits), "ENOTCONN");
  const next = own.layer.unlink(by(testClient()), { parent: DIR, name: "f", flags: 0 });
  equal(await outcome(next), "waits");
  own.layer.clientGone(a.client);
  equal(await outcome(next), "done");
  deepEqual(child.fops, ["lookup", "unlink"]);
});

Deno.test("features/locks: no application gets an inode lock while the inode is being removed", async () => {
  const removed = Promise.withResolvers<Reply<"unlink">>();
  const { layer } = setUp({}, { unlink: () => removed.promise });
  const a = by(testClient());
  await layer.inodelk(a, inodelk("write"));
  const removal = layer.unlink(a, { parent: DIR, name: "f", flags: 0 });
  equal(await outcome(removal), "waits");
  const late = layer.inodelk(a, inodelk("read", 0, 0, { domain: "d2" }));
  equal(await outcome(late), "waits");
  await layer.inodelk({ ...a, pid: -6 }, inodelk("read", 0, 0, { domain: "heal", cmd: "set" }));
  removed.resolve({ preParent: undefined, postParent: undefined });
  await removal;
  equal(await outcome(late), "done");
});

Deno.test("features/locks: who writes hears with each write that a removal waits for his lock", async () => {
  // GlusterFS's clients hear it no other way, and keep the lock as long as they write.
  const { layer } = setUp();
  const a = by(testClient()), b = by(testClient());
  await layer.inodelk(a, inodelk("write"));
  const xdata = Xdata.of([[INODELK_DOM_COUNT.name, str("vol-replicate-0")]]);
  const fd = new Fd(FILE, O_RDWR), data = new Uint8Array(1);
  const write = async () => {
    const reply = await layer.writev(a, { fd, offset: 0, data, flags: 0, xdata });
    return reply.xdata?.get(INODELK_COUNT);
  };
  equal(await write(), 1);
  const removal = layer.unlink(b, { parent: DIR, name: "f", flags: 0 });
  equal(await outcome(removal), "waits");
  equal(await write(), 2);
  await layer.inodelk(a, inodelk("unlock"));
  await removal;
  equal(await write(), 0);
});
