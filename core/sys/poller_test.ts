import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import type { Watch } from "core/env.ts";
import { sys } from "core/sys/calls.ts";
import { EpollPoller } from "core/sys/poller.ts";

const AF_UNIX = 1, SOCK_STREAM = 1, SOCK_NONBLOCK = 0o4000;

/** A poller, and a pair of sockets; all closed at the end. */
async function withPair(
  body: (poller: EpollPoller, one: number, other: number) => Promise<void>,
): Promise<void> {
  const fds = new Int32Array(2);
  const made = sys.socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, new Uint8Array(fds.buffer));
  equal(made, 0);
  const poller = EpollPoller.start()!;
  try {
    await body(poller, fds[0]!, fds[1]!);
  } finally {
    poller.stop();
    for (const fd of fds) sys.close(fd);
  }
}

function readable(poller: EpollPoller, fd: number): { watch: Watch; told: Promise<boolean> } {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const watch = poller.watch(fd, (writable) => {
    watch.want(false, false);
    resolve(writable);
  });
  return { watch, told: promise };
}

Deno.test("poller: a descriptor that can be read is told, and only to who wants it", async () => {
  await withPair(async (poller, one, other) => {
    const { watch, told } = readable(poller, one);
    sys.write(other, new Uint8Array(1), 1);
    const first = await Promise.race([told, poller.clock.delay(50).then(() => "nothing")]);
    equal(first, "nothing");
    watch.want(true, false);
    equal(await told, false);
    watch.end();
  });
});

Deno.test("poller: one that can be written is told as such, and one that is broken to the reader", async () => {
  await withPair(async (poller, one, other) => {
    const { watch, told } = readable(poller, one);
    watch.want(false, true);
    equal(await told, true);
    const again = Promise.withResolvers<boolean>();
    watch.end();
    const broken = poller.watch(one, (writable) => {
      broken.want(false, false);
      again.resolve(writable);
    });
    broken.want(true, false);
    const MANY = 4096;
    const filler = new Uint8Array(MANY);
    sys.sendto(other, filler, 1, 0, null, 0);
    equal(await again.promise, false);
    broken.end();
  });
});

Deno.test("poller: what Deno waits for comes while nothing else does", async () => {
  await withPair(async (poller) => {
    const file = await Deno.makeTempFile();
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const accepted = listener.accept();
    const conn = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
    (await accepted).close();
    equal(await conn.read(new Uint8Array(1)), null);
    conn.close();
    listener.close();
    const child = new Deno.Command("true").spawn();
    ok((await child.status).success);
    equal(await Deno.readTextFile(file), "");
    await Deno.remove(file);
    // On a thread of the pool.
    const waits = new Uint8Array(8);
    new DataView(waits.buffer).setInt32(0, -1, true);
    const time = new BigInt64Array([0n, 20_000_000n]);
    equal(await sys.ppollAsync(waits, 1, Deno.UnsafePointer.of(time), null, 8), 0);
    await poller.clock.delay(1);
  });
});

Deno.test("poller: its clock's timers come in order, and not when they are cancelled", async () => {
  await withPair(async ({ clock }) => {
    const order: string[] = [];
    let ticks = 0;
    const every = clock.every(2, () => void (++ticks === 3 && every.cancel()));
    clock.after(5, () => order.push("never")).cancel();
    clock.after(20, () => order.push("second"));
    clock.after(10, () => order.push("first"));
    const aborted = new AbortController();
    const failed = clock.delay(60_000, aborted.signal).catch((error) => error);
    clock.after(25, () => aborted.abort("enough"));
    const begin = clock.monotonic();
    equal(await failed, "enough");
    await clock.delay(50);
    ok(clock.monotonic() - begin >= 50);
    deepEqual(order, ["first", "second"]);
    equal(ticks, 3);
  });
});
