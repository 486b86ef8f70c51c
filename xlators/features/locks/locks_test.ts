import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { EAGAIN, EINVAL, ENOTCONN, EOPNOTSUPP } from "core/errno.ts";
import { O_RDWR } from "core/fops.ts";
import { Fd, Inode } from "core/inode.ts";
import { readOptions } from "core/options.ts";
import { str, Xdata } from "core/xdata.ts";
import * as keys from "core/xdata_keys.ts";
import { testClient } from "tests/fakes/node.ts";
import { locks as locksType } from "xlators/features/locks/locks.ts";

import { flock } from "tests/fakes/flock.ts";
import {
  by,
  DIR,
  entrylk,
  fails,
  FILE,
  inodelk,
  isEmpty,
  LAST,
  lkArgs,
  OTHER,
  outcome,
  setUp,
} from "tests/fakes/locks_layer.ts";

Deno.test("features/locks: writers exclude each other on a range, readers do not", async () => {
  const { layer } = setUp();
  const a = by(testClient()), b = by(testClient());
  await layer.inodelk(a, inodelk("write", 0, 10));
  await fails(layer.inodelk(b, inodelk("read", 9, 1, { cmd: "set" })), EAGAIN);
  await layer.inodelk(b, inodelk("write", 10, 10, { cmd: "set" }));
  await layer.inodelk(a, inodelk("read", 100, 0));
  await layer.inodelk(b, inodelk("read", 200, 1, { cmd: "set" }));
  for (const [call, start, size] of [[a, 0, 10], [b, 10, 10], [a, 100, 0], [b, 200, 1]] as const) {
    await layer.inodelk(call, inodelk("unlock", start, size));
  }
  isEmpty(layer);
});

Deno.test("features/locks: an owner never conflicts with itself, another owner of its client does", async () => {
  const { layer } = setUp();
  const client = testClient();
  await layer.inodelk(by(client, "01"), inodelk("write"));
  await layer.inodelk(by(client, "01"), inodelk("write", 0, 5, { cmd: "set" }));
  await fails(layer.inodelk(by(client, "02"), inodelk("write", 0, 0, { cmd: "set" })), EAGAIN);
  await fails(
    layer.inodelk(by(testClient(), "01"), inodelk("write", 0, 0, { cmd: "set" })),
    EAGAIN,
  );
});

Deno.test("features/locks: an unlock must name the very range, and its owner", async () => {
  const { layer } = setUp();
  const a = by(testClient()), b = by(testClient());
  await layer.inodelk(a, inodelk("write", 0, 10));
  await fails(layer.inodelk(a, inodelk("unlock", 0, 9)), EINVAL);
  await fails(layer.inodelk(b, inodelk("unlock", 0, 10)), EINVAL);
  await fails(layer.inodelk(a, inodelk("unlock", 0, 10, { domain: "else" })), EINVAL);
  await fails(layer.inodelk(a, inodelk("unlock", 0, 10, { inode: OTHER })), EINVAL);
  await layer.inodelk(a, inodelk("unlock", 0, 10));
  await fails(layer.inodelk(a, inodelk("unlock", 0, 10)), EINVAL);
  isEmpty(layer);
});

Deno.test("features/locks: of two locks on a range an unlock drops the younger", async () => {
  const { layer } = setUp();
  const a = by(testClient()), b = by(testClient());
  await layer.inodelk(a, inodelk("write"));
  await layer.inodelk(a, inodelk("read"));
  await layer.inodelk(a, inodelk("unlock"));
  await fails(layer.inodelk(b, inodelk("read", 0, 0, { cmd: "set" })), EAGAIN);
  await layer.inodelk(a, inodelk("unlock"));
  await layer.inodelk(b, inodelk("read", 0, 0, { cmd: "set" }));
});

Deno.test("features/locks: nobody, bad ranges and questions are refused as inode locks", async () => {
  const { layer } = setUp();
  const a = by(testClient());
  await fails(layer.inodelk(by(testClient(), ""), inodelk("write")), EINVAL);
  await fails(layer.inodelk(by(testClient(), "00000000"), inodelk("write")), EINVAL);
  await fails(layer.inodelk(a, inodelk("write", -1n, 1)), EINVAL);
  await fails(layer.inodelk(a, inodelk("write", LAST, 1)), EINVAL);
  await fails(layer.inodelk(a, inodelk("write", 0, 0, { cmd: "get" })), EOPNOTSUPP);
  isEmpty(layer);
});

Deno.test("features/locks: domains do not see each other, nor does metadata see data", async () => {
  const { layer } = setUp();
  const a = by(testClient()), b = by(testClient());
  await layer.inodelk(a, inodelk("write"));
  await layer.inodelk(b, inodelk("write", 0, 0, { domain: "vol-replicate-0:self-heal" }));
  await layer.inodelk(b, inodelk("write", LAST - 1n, 0, { cmd: "set" }));
  const asked = Xdata.of([[keys.INODELK_DOM_COUNT.name, str("vol-replicate-0")]]);
  const { xdata } = await layer.stat(a, { inode: FILE, xdata: asked });
  equal(xdata?.get(keys.INODELK_COUNT), 1);
  await fails(layer.inodelk(a, inodelk("write", LAST - 1n, 0, { cmd: "set" })), EAGAIN);
  await layer.inodelk(b, inodelk("unlock", LAST - 1n, 0));
  await layer.inodelk(b, inodelk("unlock", 0, 0, { domain: "vol-replicate-0:self-heal" }));
  await layer.inodelk(a, inodelk("unlock"));
  isEmpty(layer);
});

Deno.test("features/locks: waiters are granted in order of arrival, readers together", async () => {
  const { layer } = setUp();
  const [a, b, c, d] = [1, 2, 3, 4].map(() => by(testClient()));
  await layer.inodelk(a!, inodelk("write"));
  const second = layer.inodelk(b!, inodelk("write"));
  const third = layer.inodelk(c!, inodelk("read"));
  const fourth = layer.inodelk(d!, inodelk("read"));
  await layer.inodelk(a!, inodelk("unlock"));
  equal(await outcome(second), "done");
  equal(await outcome(third), "waits");
  await layer.inodelk(b!, inodelk("unlock"));
  equal(await outcome(third), "done");
  equal(await outcome(fourth), "done");
  await layer.inodelk(c!, inodelk("unlock"));
  await layer.inodelk(d!, inodelk("unlock"));
  isEmpty(layer);
});

Deno.test("features/locks: a reader does not pass a waiting writer, unless it has a lock already", async () => {
  const { layer } = setUp();
  const a = by(testClient()), b = by(testClient()), c = by(testClient());
  await layer.inodelk(a, inodelk("read"));
  const writer = layer.inodelk(b, inodelk("write"));
  await fails(layer.inodelk(c, inodelk("read", 0, 0, { cmd: "set" })), EAGAIN);
  await layer.inodelk(a, inodelk("read", 5, 1, { cmd: "set" }));
  await layer.inodelk(a, inodelk("unlock", 5, 1));
  await layer.inodelk(a, inodelk("unlock"));
  equal(await outcome(writer), "done");
  await layer.inodelk(b, inodelk("unlock"));
  isEmpty(layer);
});

Deno.test("features/locks: a client that goes away loses its locks and its place in every queue", async () => {
  const { layer } = setUp();
  const gone = testClient(), stays = by(testClient());
  const a = by(gone);
  await layer.inodelk(a, inodelk("write"));
  await layer.entrylk(a, entrylk("x"));
  await layer.lk(a, { fd: new Fd(FILE, O_RDWR), cmd: "set", lock: flock("write") });
  await layer.inodelk(stays, inodelk("write", 0, 0, { inode: OTHER }));
  const waits = [
    layer.inodelk(a, inodelk("write", 0, 0, { inode: OTHER })),
    layer.inodelk(stays, inodelk("write")),
    layer.entrylk(stays, entrylk("x")),
    layer.lk(stays, { fd: new Fd(FILE, O_RDWR), cmd: "set-wait", lock: flock("write") }),
  ];
  layer.clientGone(gone);
  deepEqual(await Promise.all(waits.map(outcome)), ["ENOTCONN", "done", "done", "done"]);
  await fails(layer.inodelk(a, inodelk("write", 0, 0, { domain: "late" })), ENOTCONN);
  await fails(layer.entrylk(a, entrylk("late", "try-lock")), ENOTCONN);
  const late = { fd: new Fd(OTHER, O_RDWR), cmd: "set", lock: flock("read") } as const;
  await fails(layer.lk(a, late), ENOTCONN);
  layer.clientGone(stays.client);
  isEmpty(layer);
});

Deno.test("features/locks: a queued request of a client that goes away holds nobody up", async () => {
  const { layer } = setUp();
  const a = by(testClient()), b = by(testClient()), c = by(testClient());
  await layer.inodelk(a, inodelk("read"));
  const writer = layer.inodelk(b, inodelk("write"));
  const reader = layer.inodelk(c, inodelk("read"));
  equal(await outcome(reader), "waits");
  layer.clientGone(b.client);
  equal(await outcome(writer), "ENOTCONN");
  equal(await outcome(reader), "done");
});

Deno.test("features/locks: a request that its client no longer waits for is not granted", async () => {
  const { layer, clock } = setUp();
  const a = by(testClient()), b = by(testClient(), "01", { deadline: 5000 });
  const fd = new Fd(FILE, O_RDWR);
  await layer.inodelk(a, inodelk("write"));
  await layer.entrylk(a, entrylk("x"));
  await layer.lk(a, lkArgs(fd, "set", "write"));
  const waits = [
    layer.inodelk(b, inodelk("write")),
    layer.entrylk(b, entrylk("x")),
    layer.lk(b, lkArgs(fd, "set-wait", "write")),
  ];
  clock.advance(4999);
  deepEqual(await Promise.all(waits.map(outcome)), ["waits", "waits", "waits"]);
  clock.advance(1);
  deepEqual(await Promise.all(waits.map(outcome)), ["ETIMEDOUT", "ETIMEDOUT", "ETIMEDOUT"]);
  layer.clientGone(a.client);
  isEmpty(layer);
  await layer.inodelk({ ...b, deadline: 6000 }, inodelk("write"));
  equal(clock.timers, 0);
});

Deno.test("features/locks: names exclude each other, all names exclude every name", async () => {
  const { layer } = setUp();
  const a = by(testClient()), b = by(testClient());
  await layer.entrylk(a, entrylk("x"));
  await layer.entrylk(b, entrylk("y", "try-lock"));
  await fails(layer.entrylk(b, entrylk("x", "try-lock")), EAGAIN);
  await fails(layer.entrylk(b, entrylk("x", "try-lock", { type: "read" })), EAGAIN);
  await fails(layer.entrylk(b, entrylk("", "try-lock")), EAGAIN);
  await layer.entrylk(b, entrylk("x", "try-lock", { domain: "else" }));
  const whole = layer.entrylk(b, entrylk(""));
  equal(await outcome(whole), "waits");
  await fails(layer.entrylk(a, entrylk("x", "unlock", { type: "read" })), EINVAL);
  await fails(layer.entrylk(b, entrylk("x", "unlock")), EINVAL);
  await layer.entrylk(a, entrylk("x", "unlock"));
  equal(await outcome(whole), "done");
  await fails(layer.entrylk(a, entrylk("z", "try-lock")), EAGAIN);
  for (const name of ["", "y"]) await layer.entrylk(b, entrylk(name, "unlock"));
  await layer.entrylk(b, entrylk("x", "unlock", { domain: "else" }));
  isEmpty(layer);
});

Deno.test("features/locks: locks through a file and through its inode are the same", async () => {
  const { layer } = setUp();
  const a = by(testClient()), b = by(testClient());
  const { inode: _, ...range } = inodelk("write");
  await layer.finodelk(a, { ...range, fd: new Fd(FILE, O_RDWR) });
  // Another object for the same file: state goes by gfid.
  await fails(
    layer.inodelk(b, inodelk("write", 0, 0, { cmd: "set", inode: new Inode(FILE.gfid) })),
    EAGAIN,
  );
  const { inode: _dir, ...name } = entrylk("x");
  await layer.fentrylk(a, { ...name, fd: new Fd(DIR, 0) });
  await fails(layer.entrylk(b, entrylk("x", "try-lock")), EAGAIN);
  layer.clientGone(a.client);
  isEmpty(layer);
});

Deno.test("features/locks: holders hear of contention once in five seconds", async () => {
  const { layer, clock, events } = setUp();
  const a = by(testClient(), "01", { pid: 9 }), b = by(testClient());
  await layer.inodelk(a, inodelk("write", 5, 10));
  await fails(layer.inodelk(b, inodelk("write", 0, 0, { cmd: "set" })), EAGAIN);
  deepEqual(events, [{
    type: "inodelk-contention",
    client: a.client,
    gfid: FILE.gfid,
    domain: "vol-replicate-0",
    lock: { ...flock("write", 5, 10), pid: 9 },
  }]);
  clock.advance(4999);
  const waits = layer.inodelk(b, inodelk("write"));
  equal(events.length, 1);
  clock.advance(1);
  await fails(layer.inodelk(b, inodelk("read", 7, 1, { cmd: "set" })), EAGAIN);
  equal(events.length, 2);
  await layer.inodelk(a, inodelk("unlock", 5, 10));
  await waits;
  equal(events.length, 2);
});

Deno.test("features/locks: holders of names hear of contention, unless that is turned off", async () => {
  const { layer, events } = setUp();
  const a = by(testClient(), "01", { pid: 9 }), b = by(testClient());
  await layer.entrylk(a, entrylk("x"));
  await fails(layer.entrylk(b, entrylk("", "try-lock")), EAGAIN);
  deepEqual(events, [{
    type: "entrylk-contention",
    client: a.client,
    gfid: DIR.gfid,
    domain: "vol-replicate-0",
    name: "x",
    lockType: "write",
    pid: 9,
  }]);
  layer.reconfigure(readOptions(
    locksType.options,
    new Map([["notify-contention", "off"], ["notify-contention-delay", "0"]]),
  ));
  await fails(layer.entrylk(b, entrylk("", "try-lock")), EAGAIN);
  equal(events.length, 1);
});

Deno.test("features/locks: a statedump tells who holds and who waits, and since when", async () => {
  const { layer, clock } = setUp();
  const a = by(testClient("alpha"), "0a"), b = by(testClient("beta"), "0b");
  await layer.inodelk(a, inodelk("write", 1, 2));
  clock.advance(1000);
  const waits = layer.inodelk(b, inodelk("read"));
  await layer.entrylk(a, entrylk("x"));
  await layer.lk(b, lkArgs(new Fd(FILE, O_RDWR), "set", "read", 0, 1));
  deepEqual(layer.state(), {
    inodes: [
      {
        gfid: FILE.gfid,
        inodelks: [
          {
            domain: "vol-replicate-0",
            state: "granted",
            grantedAt: "2030-01-01T00:00:00.000Z",
            type: "write",
            start: "1",
            size: "2",
            client: "alpha",
            owner: "0a",
            pid: 100,
          },
          {
            domain: "vol-replicate-0",
            state: "blocked",
            blockedAt: "2030-01-01T00:00:01.000Z",
            type: "read",
            start: "0",
            size: "0",
            client: "beta",
            owner: "0b",
            pid: 100,
          },
        ],
        posixlks: [{
          state: "granted",
          since: "2030-01-01T00:00:01.000Z",
          type: "read",
          start: "0",
          size: "1",
          client: "beta",
          owner: "0b",
          pid: 100,
        }],
      },
      {
        gfid: DIR.gfid,
        entrylks: [{
          domain: "vol-replicate-0",
          state: "granted",
          grantedAt: "2030-01-01T00:00:01.000Z",
          type: "write",
          name: "x",
          client: "alpha",
          owner: "0a",
          pid: 100,
        }],
      },
    ],
  });
  layer.clientGone(a.client);
  await waits;
  layer.clientGone(b.client);
  isEmpty(layer);
});
