import {
  deepStrictEqual as deepEqual,
  match,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { ENOTCONN, ETIMEDOUT } from "core/errno.ts";
import type { Env } from "core/env.ts";
import { Connection, type ConnectionOptions } from "rpc/connection.ts";
import { ACCEPT, RpcError } from "rpc/message.ts";
import { type Procedure, procedures, type Program, serve, type Signature } from "rpc/program.ts";
import { Request } from "rpc/request.ts";
import { fixed, opaque, struct, u32 } from "rpc/xdr.ts";
import { FakeClock } from "tests/fakes/clock.ts";
import { loopback, type LoopbackEnd } from "tests/fakes/loopback.ts";
import { LinesLog, testEnv } from "tests/fakes/node.ts";

const ID = { number: 4711, version: 3 } as const;
const echo: Signature<{ n: number }, { n: number }> = {
  ...ID,
  procedure: 1,
  args: struct({ n: u32 }),
  result: struct({ n: u32 }),
};
const blob: Signature<{ data: Uint8Array }, { size: number }> = {
  ...ID,
  procedure: 2,
  args: struct({ data: opaque(1 << 22) }),
  result: struct({ size: u32 }),
};
/** Answers `n` bytes as bulk data. */
const bulk: Signature<{ n: number }, { data: Uint8Array }> = {
  ...ID,
  procedure: 3,
  args: struct({ n: u32 }),
  result: {
    write() {},
    read: (from) => ({ data: from.bytes.slice(from.at, from.end) }),
  },
};
const shout: Signature<{ n: number }, undefined> = {
  ...ID,
  procedure: 4,
  args: struct({ n: u32 }),
  result: { write() {}, read: () => undefined },
};

interface Pair {
  readonly client: Connection;
  readonly server: Connection;
  readonly ends: [LoopbackEnd, LoopbackEnd];
  readonly clock: FakeClock;
  readonly lines: string[];
}

function pair(
  list: readonly (readonly [number, Procedure])[],
  options: ConnectionOptions = {},
  clientOptions: ConnectionOptions = {},
  size?: number,
): Pair {
  const ends = loopback(size), clock = new FakeClock(), log = new LinesLog();
  const env: Env = testEnv({ clock, log });
  const program: Program = { ...ID, name: "test", procedures: procedures(list) };
  const server = new Connection(ends[0], env, { programs: [program], ...options });
  const client = new Connection(ends[1], env, clientOptions);
  return { client, server, ends, clock, lines: log.lines };
}

const ECHO = [1, serve(echo, (args) => args)] as const;
const BLOB = [2, serve(blob, ({ data }) => ({ size: data.length }))] as const;

/** Lets everything that is ready happen. */
async function settle(turns = 50): Promise<void> {
  for (let i = 0; i < turns; i++) await Promise.resolve();
  await new Promise((resolve) => setImmediate(resolve));
}

Deno.test("rpc/connection: calls are answered, in parallel and over records cut anywhere", async () => {
  for (const chunkMax of [1, 3, 64, Infinity]) {
    const { client, server, ends } = pair([ECHO]);
    ends[0].chunkMax = ends[1].chunkMax = chunkMax;
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, n) => client.ask(echo, { n })),
    );
    deepEqual(answers.map(({ n }) => n), [...Array(40).keys()]);
    client.close("done");
    await server.closed;
  }
});

Deno.test("rpc/connection: a slow call does not hold up later ones", async () => {
  const waiting: (() => void)[] = [];
  const slow: Procedure = (request) => {
    const { n } = echo.args.read(request.args);
    waiting.push(() => (echo.result.write(request.begin(), { n }), request.end()));
  };
  const { client } = pair([[1, slow], BLOB]);
  const order: string[] = [];
  const first = client.ask(echo, { n: 1 }).then(() => order.push("first"));
  const second = client.ask(echo, { n: 2 }).then(() => order.push("second"));
  await client.ask(blob, { data: new Uint8Array(3) }).then(() => order.push("blob"));
  waiting[1]!();
  await second;
  waiting[0]!();
  await first;
  deepEqual(order, ["blob", "second", "first"]);
  client.close("done");
});

Deno.test("rpc/connection: answers of one turn leave in one write", async () => {
  const { client, server, ends } = pair([ECHO]);
  let writes = 0;
  const write = ends[0].write.bind(ends[0]);
  ends[0].write = (from) => (writes++, write(from));
  await Promise.all(Array.from({ length: 30 }, (_, n) => client.ask(echo, { n })));
  equal(writes, 1);
  equal(server.state().callsServed, 30);
  client.close("done");
});

Deno.test("rpc/connection: reserved places are filled in any order and leave together", async () => {
  const requests: Request[] = [], places: Uint8Array[] = [];
  const reserving: Procedure = (request) => {
    const { n } = bulk.args.read(request.args);
    requests.push(request);
    places.push(request.reserve(0, n));
  };
  const { client, ends } = pair([[3, reserving]], {}, {}, 4 << 20);
  let writes = 0;
  const write = ends[0].write.bind(ends[0]);
  ends[0].write = (from) => (writes++, write(from));
  const sizes = [4096, 100, 65536, 4096, 1 << 20];
  const answers = sizes.map((n) => client.ask(bulk, { n }));
  await settle();
  equal(requests.length, sizes.length);
  for (const i of [1, 0, 2, 4, 3]) {
    places[i]!.fill(i + 1);
    requests[i]!.head();
    requests[i]!.endReserved(i === 3 ? 50 : sizes[i]!);
  }
  const got = await Promise.all(answers);
  deepEqual(got.map(({ data }) => data.length), [4096, 100, 65536, 50, 1 << 20]);
  for (const [i, { data }] of got.entries()) ok(data.every((byte) => byte === i + 1));
  ok(writes <= 4, `${writes} writes`);
  client.close("done");
});

Deno.test("rpc/connection: bulk data of any size follows its head", async () => {
  const sending: Procedure = (request) => {
    const { n } = bulk.args.read(request.args);
    request.begin();
    request.end(new Uint8Array(n).fill(n & 0xff));
  };
  const { client } = pair([[3, sending]]);
  const sizes = [0, 1, 7, 4096, 65535, 65536, 65537, 120000, 1 << 20];
  const answers = await Promise.all(sizes.map((n) => client.ask(bulk, { n })));
  for (const [i, { data }] of answers.entries()) {
    equal(data.length, sizes[i]);
    ok(data.every((byte) => byte === (sizes[i]! & 0xff)));
  }
  client.close("done");
});

Deno.test("rpc/connection: what is not served is refused as RFC 5531 says", async () => {
  const { client } = pair([ECHO]);
  const refused = (stat: number) => (error: unknown) =>
    error instanceof RpcError && error.stat === stat;
  await rejects(client.ask({ ...echo, number: 1 }, { n: 1 }), refused(ACCEPT.PROG_UNAVAIL));
  await rejects(client.ask({ ...echo, version: 1 }, { n: 1 }), refused(ACCEPT.PROG_MISMATCH));
  await rejects(client.ask({ ...echo, procedure: 9 }, { n: 1 }), refused(ACCEPT.PROC_UNAVAIL));
  client.close("done");
});

Deno.test("rpc/connection: a procedure that fails is logged and answered SYSTEM_ERR", async () => {
  const { client, lines } = pair([
    [1, () => {
      throw new Error("oops");
    }],
    [2, () => Promise.reject(new Error("later"))],
  ]);
  const system = (error: unknown) => error instanceof RpcError && error.stat === ACCEPT.SYSTEM_ERR;
  await rejects(client.ask(echo, { n: 1 }), system);
  await rejects(client.ask(blob, { data: new Uint8Array(1) }), system);
  equal(lines.filter((line) => line.includes("call failed unexpectedly")).length, 2);
  client.close("done");
});

Deno.test("rpc/connection: garbage closes the connection with one line that names the peer", async () => {
  const whole = (...words: number[]) => {
    const bytes = new Uint8Array(words.length * 4 + 4), view = new DataView(bytes.buffer);
    view.setUint32(0, 0x80000000 + words.length * 4);
    words.forEach((word, i) => view.setUint32(4 + i * 4, word));
    return bytes;
  };
  for (
    const bytes of [
      Uint8Array.of(0xff, 0xff, 0xff, 0xff),
      whole(1, 7),
      whole(1, 0, 3, 4711, 3, 1, 0, 0, 0, 0),
      whole(1, 0, 2, 4711, 3, 1, 0, 0xffffffff),
      whole(1, 0, 2, 4711, 3, 1, 5, 0, 0, 0),
      whole(1, 0, 2, 4711, 3, 1, 0, 0, 0, 0),
      whole(1),
    ]
  ) {
    const [a, b] = loopback(), log = new LinesLog();
    const program: Program = { ...ID, name: "test", procedures: procedures([ECHO]) };
    const server = new Connection(a, testEnv({ log }), { programs: [program] });
    await b.write(bytes);
    await server.closed;
    equal(log.lines.length, 1);
    match(log.lines[0]!, /^W connection closed: peer broke the protocol peer=127\.0\.0\.1:1002 /);
  }
});

Deno.test("rpc/connection: a lost connection fails what waits, and later calls", async () => {
  const { client, server } = pair([[1, () => {}]]);
  const waiting = client.ask(echo, { n: 1 });
  await settle();
  server.close("gone");
  await rejects(waiting, (error) => ENOTCONN.matches(error));
  await rejects(client.ask(echo, { n: 2 }), (error) => ENOTCONN.matches(error));
  equal(await client.closed, "peer closed the connection");
});

Deno.test("rpc/connection: a deadline gives up one call, and its late answer is ignored", async () => {
  let request: Request | undefined;
  const late: Procedure = (each) => {
    request = each;
  };
  const { client, clock } = pair([[1, late], BLOB]);
  const waiting = client.ask(echo, { n: 1 }, { deadline: clock.monotonic() + 5000 });
  await settle();
  clock.advance(4000);
  await client.ask(blob, { data: new Uint8Array(1) });
  clock.advance(2000);
  await rejects(waiting, (error) => ETIMEDOUT.matches(error));
  echo.result.write(request!.begin(), { n: 1 });
  request!.end();
  equal((await client.ask(blob, { data: new Uint8Array(9) })).size, 9);
  client.close("done");
});

Deno.test("rpc/connection: calls over the window wait for a slot", async () => {
  const requests: Request[] = [];
  const keep: Procedure = (request) => void requests.push(request);
  const { client } = pair([[1, keep]], {}, { windowMax: 2 });
  const answers = [1, 2, 3, 4].map((n) => client.ask(echo, { n }));
  await settle();
  equal(requests.length, 2);
  while (requests.length) {
    echo.result.write(requests[0]!.begin(), { n: 0 });
    requests.shift()!.end();
    await settle();
  }
  await Promise.all(answers);
  client.close("done");
});

Deno.test("rpc/connection: calls under way are bounded in number and bytes", async () => {
  for (const [limits, most] of [[{ callsMax: 3 }, 3], [{ callBytesMax: 200_000 }, 2]] as const) {
    const requests: Request[] = [];
    const keep: Procedure = (request) => void requests.push(request);
    const { client, server } = pair([[2, keep]], limits, {}, 1 << 20);
    const answers = Array.from(
      { length: 8 },
      () => client.ask(blob, { data: new Uint8Array(100_000) }),
    );
    for (let served = 0; served < 8; served++) {
      await settle();
      ok(server.state().callsUnderWay <= most);
      blob.result.write(requests[0]!.begin(), { size: 1 });
      requests.shift()!.end();
    }
    await Promise.all(answers);
    client.close("done");
  }
});

Deno.test("rpc/connection: large replies are made a few at a time, not all that are asked for", async () => {
  let underWay = 0, most = 0;
  const reading: Procedure = (request) => {
    const { n } = bulk.args.read(request.args);
    request.reserve(0, n);
    most = Math.max(most, ++underWay);
    return Promise.resolve().then(() => {
      underWay--;
      request.head();
      request.endReserved(n);
    });
  };
  const { client } = pair([[3, reading]], {}, {}, 64 << 20);
  const answers = await Promise.all(
    Array.from({ length: 24 }, () => client.ask(bulk, { n: 1 << 20 })),
  );
  ok(answers.every(({ data }) => data.length === 1 << 20));
  equal(most, 1);
  client.close("done");
});

Deno.test("rpc/connection: parked calls do not count, and others are served past them", async () => {
  const parked: Request[] = [];
  const park: Procedure = (request) => {
    request.detach();
    request.park();
    parked.push(request);
  };
  const { client, server } = pair([[1, park], BLOB], { callsMax: 2 });
  const waiting = Array.from({ length: 10 }, (_, n) => client.ask(echo, { n }));
  equal((await client.ask(blob, { data: new Uint8Array(5) })).size, 5);
  equal(server.state().parked, 10);
  for (const request of parked) {
    const { n } = echo.args.read(request.args);
    echo.result.write(request.begin(), { n });
    request.end();
  }
  deepEqual((await Promise.all(waiting)).map(({ n }) => n), [...Array(10).keys()]);
  equal(server.state().parked, 0);
  client.close("done");
});

Deno.test("rpc/connection: parked calls are bounded in number and in bytes", async () => {
  const parked: Request[] = [];
  const park: Procedure = (request) => {
    request.detach();
    request.park();
    parked.push(request);
  };
  for (const [bounds, fit] of [[{ parkedMax: 3 }, 3], [{ parkedBytesMax: 3500 }, 3]] as const) {
    const { client, server } = pair([[2, park]], bounds);
    const asked: Promise<unknown>[] = [];
    const call = () => void asked.push(client.ask(blob, { data: new Uint8Array(1000) }));
    for (let i = 0; i < fit; i++) call();
    await settle();
    equal(server.state().parked, fit);
    // What was answered makes room.
    const first = parked.shift()!;
    blob.result.write(first.begin(), { size: 0 });
    first.end();
    call();
    await settle();
    ok(server.open);
    call();
    await server.closed;
    const answers = await Promise.allSettled(asked);
    equal(answers.filter(({ status }) => status === "fulfilled").length, 1);
    parked.length = 0;
  }
});

Deno.test("rpc/connection: a peer that does not read is read no more, then dropped", async () => {
  const sending: Procedure = (request) => {
    const { n } = bulk.args.read(request.args);
    request.begin();
    request.end(new Uint8Array(n));
  };
  const [a, b] = loopback(4096), clock = new FakeClock(), log = new LinesLog();
  const program: Program = { ...ID, name: "test", procedures: procedures([[3, sending]]) };
  const server = new Connection(a, testEnv({ clock, log }), {
    programs: [program],
    outboundBytesMax: 300_000,
    stallMs: 42_000,
  });
  // A client that only writes: it asks for 100,000 bytes again and again.
  const ask = Uint8Array.from([
    ...[
      0x80,
      0,
      0,
      44,
      0,
      0,
      0,
      1,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
      2,
      0,
      0,
      0x12,
      0x67,
      0,
      0,
      0,
      3,
      0,
      0,
      0,
      3,
    ],
    ...[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x86, 0xa0],
  ]);
  let stuck = false;
  (async () => {
    for (let i = 0; i < 1000; i++) await b.write(ask);
  })().catch(() => stuck = true);
  await settle(2000);
  const { outboundBytes, callsServed } = server.state();
  ok(outboundBytes < 500_000, `${outboundBytes} bytes wait`);
  ok(callsServed < 10, `${callsServed} calls served`);
  for (let i = 0; i < 41; i++) clock.advance(1000);
  ok(server.open);
  for (let i = 0; i < 3; i++) clock.advance(1000);
  equal(await server.closed, "peer does not read");
  equal(log.lines.filter((line) => line.includes("peer does not read")).length, 1);
  await settle();
  ok(stuck);
});

Deno.test("rpc/connection: callbacks arrive and are not answered", async () => {
  const heard: number[] = [];
  const hear: Procedure = (request) => {
    heard.push(shout.args.read(request.args).n);
    request.drop();
  };
  const { client, server } = pair([[4, hear]]);
  client.notify(shout, { n: 1 });
  client.notify(shout, { n: 2 });
  await settle();
  deepEqual(heard, [1, 2]);
  equal(server.state().bytesSent, 0);
  client.close("done");
});

Deno.test("rpc/connection: both ends call each other on one connection", async () => {
  const { client, server } = pair([ECHO]);
  client.programs = [{ ...ID, name: "test", procedures: procedures([BLOB]) }];
  const [a, b] = await Promise.all([
    client.ask(echo, { n: 5 }),
    server.ask(blob, { data: new Uint8Array(6) }),
  ]);
  deepEqual([a.n, b.size], [5, 6]);
  client.close("done");
});

Deno.test("rpc/connection: drain waits for calls under way and reads no new ones", async () => {
  const requests: Request[] = [];
  const keep: Procedure = (request) => void requests.push(request);
  const { client, server } = pair([[1, keep]]);
  const first = client.ask(echo, { n: 1 });
  await settle();
  let drained = false;
  const draining = server.drain().then(() => drained = true);
  client.ask(echo, { n: 2 }).catch(() => {});
  await settle();
  deepEqual([requests.length, drained], [1, false]);
  echo.result.write(requests[0]!.begin(), { n: 1 });
  requests[0]!.end();
  await draining;
  await first;
  equal(requests.length, 1);
  server.close("done");
});

Deno.test("rpc/connection: arguments of a call under way survive later records", async () => {
  const data = fixed(3000);
  const sign = { ...ID, procedure: 5, args: struct({ data }), result: struct({ n: u32 }) };
  const kept: { request: Request; view: Uint8Array }[] = [];
  const keep: Procedure = (request) =>
    void kept.push({ request, view: sign.args.read(request.args).data });
  const { client } = pair([[5, keep]]);
  const answers = Array.from(
    { length: 200 },
    (_, i) => client.ask(sign, { data: new Uint8Array(3000).fill(i) }),
  );
  await settle(5000);
  equal(kept.length, 200);
  for (const [i, { request, view }] of kept.entries()) {
    ok(view.every((byte) => byte === (i & 0xff)), `record ${i}`);
    sign.result.write(request.begin(), { n: i });
    request.end();
  }
  await Promise.all(answers);
  client.close("done");
});
