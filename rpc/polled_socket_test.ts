import { ok, strictEqual as equal } from "node:assert/strict";
import { EpollPoller } from "core/sys/poller.ts";
import { PolledSocket } from "rpc/polled_socket.ts";
import { connectTo, type Transport } from "rpc/transport.ts";

/** A connection by a poller to a listener of Deno's, on that address. */
async function connected(
  hostname: string,
  body: (transport: Transport, peer: Deno.Conn) => Promise<void>,
): Promise<void> {
  const poller = EpollPoller.start()!;
  const listener = Deno.listen({ hostname, port: 0 });
  const accepted = listener.accept();
  const transport = await connectTo(
    { kind: "tcp", host: hostname, port: listener.addr.port },
    { poller },
  );
  ok(transport instanceof PolledSocket);
  const peer = await accepted;
  try {
    await body(transport, peer);
  } finally {
    transport.close();
    try {
      peer.close();
    } catch (error) {
      ok(error instanceof Deno.errors.BadResource);
    }
    listener.close();
    poller.stop();
  }
}

async function readAll(
  read: (into: Uint8Array<ArrayBuffer>) => Promise<number | null>,
  size: number,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size;) {
    const count = await read(bytes.subarray(at));
    if (count === null) throw new Error(`ended after ${at}`);
    at += count;
  }
  return bytes;
}

async function writeAll(
  write: (from: Uint8Array<ArrayBuffer>) => Promise<number>,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await write(bytes.subarray(at));
}

for (const hostname of ["127.0.0.1", "::1"]) {
  Deno.test(`polled_socket: over ${hostname} more than buffers hold goes both ways at once`, async () => {
    const SIZE = 8 << 20;
    const bytes = Uint8Array.from({ length: SIZE }, (_, i) => i * 7 >> 3);
    await connected(hostname, async (transport, peer) => {
      const [there, back] = await Promise.all([
        readAll((into) => peer.read(into), SIZE),
        readAll((into) => transport.read(into), SIZE),
        writeAll((from) => transport.write(from), bytes),
        writeAll((from) => peer.write(from), bytes),
      ]);
      ok(there!.every((each, i) => each === bytes[i]));
      ok(back!.every((each, i) => each === bytes[i]));
    });
  });
}

Deno.test("polled_socket: the peer's end is the end of the stream, and then nothing is sent", async () => {
  await connected("127.0.0.1", async (transport, peer) => {
    peer.close();
    equal(await transport.read(new Uint8Array(10)), null);
    const sent = async () => {
      for (;;) await transport.write(new Uint8Array(1 << 16));
    };
    const error = await sent().catch((error) => error);
    ok(error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.ConnectionReset);
  });
});

Deno.test("polled_socket: closed while somebody reads, the read fails and so does all after it", async () => {
  await connected("127.0.0.1", async (transport, peer) => {
    const reading = transport.read(new Uint8Array(10)).catch((error) => error);
    transport.close();
    transport.close();
    ok(await reading instanceof Deno.errors.Interrupted);
    const late = await transport.write(new Uint8Array(1)).catch((error) => error);
    ok(late instanceof Deno.errors.Interrupted);
    equal(await peer.read(new Uint8Array(1)), null);
  });
});
