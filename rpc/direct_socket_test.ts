import { ok, rejects, strictEqual as equal } from "node:assert/strict";
import { realClock } from "core/env.ts";
import { DescriptorLoop } from "core/sys/descriptor_loop.ts";
import { DirectSocket } from "rpc/direct_socket.ts";
import { connectTo, listenOn, type Transport } from "rpc/transport.ts";
import { LinesLog } from "tests/fakes/node.ts";

/** Two ends of a TCP connection, both read and written directly. */
async function connected(body: (near: Transport, far: Transport) => Promise<void>): Promise<void> {
  const descriptors = new DescriptorLoop({ clock: realClock, log: new LinesLog() });
  const acceptor = listenOn({ kind: "tcp", host: "127.0.0.1", port: 0 }, { descriptors });
  const [far, near] = await Promise.all([
    acceptor.accept(),
    connectTo(acceptor.endpoint, { descriptors }),
  ]);
  ok(near instanceof DirectSocket && far instanceof DirectSocket);
  try {
    await body(near, far);
  } finally {
    near.close();
    far.close();
    acceptor.close();
    await descriptors.close();
  }
}

function pattern(size: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: size }, (_, i) => i * 7 + (i >> 8));
}

async function writeAll(to: Transport, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await to.write(bytes.subarray(at));
}

async function readAll(from: Transport, into: Uint8Array<ArrayBuffer>): Promise<void> {
  for (let at = 0; at < into.length;) {
    const count = await from.read(into.subarray(at));
    ok(count !== null);
    at += count;
  }
}

Deno.test("rpc/direct_socket: small and large messages go both ways", () =>
  connected(async (near, far) => {
    for (const size of [1, 100, 4096, 100_000, 5 << 20]) {
      const sent = pattern(size);
      for (const [from, to] of [[near, far], [far, near]] as const) {
        const got = new Uint8Array(size);
        await Promise.all([writeAll(from, sent), readAll(to, got)]);
        equal(got.findIndex((byte, i) => byte !== sent[i]), -1);
      }
    }
  }));

Deno.test("rpc/direct_socket: who reads nothing is waited for, and gets the rest when it does", () =>
  connected(async (near, far) => {
    const sent = pattern(1 << 20);
    let written = 0, more = true;
    const writing = (async () => {
      while (more) written += await near.write(sent.subarray(written % sent.length));
    })();
    for (let before = -1; before !== written;) {
      before = written;
      await realClock.delay(50);
    }
    const stuck = written;
    ok(stuck > 0);
    more = false;
    const got = new Uint8Array(stuck);
    await readAll(far, got);
    equal(got.findIndex((byte, i) => byte !== sent[i % sent.length]), -1);
    await writing;
    ok(written > stuck);
  }));

Deno.test("rpc/direct_socket: the other end's close ends the stream, and later writes fail", () =>
  connected(async (near, far) => {
    const end = near.read(new Uint8Array(10));
    far.close();
    equal(await end, null);
    await rejects(async () => {
      for (;;) await near.write(pattern(1000));
    }, Deno.errors.ConnectionReset);
  }));

Deno.test("rpc/direct_socket: closing fails what is under way, and Deno has its socket back", () =>
  connected(async (near, far) => {
    const reading = rejects(near.read(new Uint8Array(10)), Deno.errors.BadResource);
    near.close();
    near.close();
    await reading;
    await rejects(near.write(pattern(10)), Deno.errors.BadResource);
    await rejects(near.read(new Uint8Array(10)), Deno.errors.BadResource);
    equal(await far.read(new Uint8Array(10)), null);
  }));

Deno.test("rpc/direct_socket: what comes while nobody reads waits, and is there when somebody does", () =>
  connected(async (near, far) => {
    await writeAll(near, pattern(100));
    await realClock.delay(10);
    const got = new Uint8Array(200);
    await readAll(far, got.subarray(0, 100));
    await writeAll(near, pattern(100));
    await readAll(far, got.subarray(100));
    equal(got[100], got[0]);
  }));
