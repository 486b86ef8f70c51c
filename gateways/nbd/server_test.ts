import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { EIO, ENOSPC } from "core/errno.ts";
import { NbdServer } from "gateways/nbd/server.ts";
import {
  CHUNK,
  COMMAND,
  COMMAND_FLAG,
  NBD_ERROR,
  OPTION,
  OPTION_MAGIC,
  OPTION_REPLY,
  REQUEST_MAGIC,
  viewOf,
} from "gateways/nbd/wire.ts";
import { MemoryDisk, MemoryExports } from "tests/fakes/memory_disk.ts";
import { bytes, NbdClient, query, text, u16, u32, u64 } from "tests/fakes/nbd_client.ts";
import { testEnv } from "tests/fakes/node.ts";
import { seeded } from "tests/fakes/seeded.ts";

const SIZE = 1 << 20;

/** A server of two disks, and clients of it that write what they like. */
class Place implements AsyncDisposable {
  readonly disk = new MemoryDisk(SIZE);
  readonly locked = new MemoryDisk(SIZE, true);
  readonly server: NbdServer;

  constructor() {
    const exports = new MemoryExports(new Map([["disk", this.disk], ["locked", this.locked]]));
    this.server = NbdServer.start({ host: "127.0.0.1", port: 0 }, { exports, env: testEnv() });
  }

  async client(flags = 3): Promise<NbdClient> {
    const client = new NbdClient(await Deno.connect({ port: this.server.port! }));
    await client.incoming.take(18);
    await client.send(u32(flags));
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.stop();
    equal(this.disk.open + this.locked.open, 0, "every disk was closed");
  }
}

Deno.test("gateways/nbd: exports are listed, and told of without being opened for use", async () => {
  await using place = new Place();
  using client = await place.client();
  const listed = await client.option(OPTION.list);
  deepEqual(listed.map(([type]) => type), [2, 2, OPTION_REPLY.ack]);
  ok(new TextDecoder().decode(listed[1]![1]).includes("locked"));
  const info = await client.option(OPTION.info, bytes(u32(6), text("locked"), u16(0)));
  const flags = viewOf(info[0]![1]).getUint16(10);
  deepEqual([flags & 1, flags & 2, flags & 32, flags & 256], [1, 2, 0, 256]);
  equal(viewOf(info[0]![1]).getBigUint64(2), BigInt(SIZE));
  equal((await client.option(OPTION.info, bytes(u32(1), text("x"), u16(0))))[0]![0], 0x8000_0006);
  equal((await client.option(OPTION.abort))[0]![0], OPTION_REPLY.ack);
  await client.closed();
});

Deno.test("gateways/nbd: a client of the old way reads and writes by simple replies", async () => {
  await using place = new Place();
  using client = await place.client(1);
  await client.send(u64(OPTION_MAGIC), u32(OPTION.exportName), u32(4), text("disk"));
  const head = viewOf((await client.incoming.take(10 + 124)).slice());
  equal(head.getBigUint64(0), BigInt(SIZE));
  await client.request(COMMAND.write, { cookie: 7n, offset: 4096n, data: text("hello") });
  deepEqual(await client.reply(), { error: 0, cookie: 7n });
  await client.request(COMMAND.read, { cookie: 8n, offset: 4097n, length: 4 });
  deepEqual(await client.reply(), { error: 0, cookie: 8n });
  equal(new TextDecoder().decode(await client.incoming.take(4)), "ello");
  await client.request(COMMAND.disconnect);
  await client.closed();
});

Deno.test("gateways/nbd: forced unit access and flushes put what was answered on stable storage", async () => {
  await using place = new Place();
  using client = await place.client();
  await client.go("disk");
  const { disk } = place;
  await client.request(COMMAND.write, { data: text("abc") });
  await client.reply();
  equal(disk.flushed[0], 0);
  await client.request(COMMAND.flush);
  await client.reply();
  equal(disk.flushed[0], 97);
  const fua = { flags: COMMAND_FLAG.fua };
  await client.request(COMMAND.write, { ...fua, offset: 10n, data: text("x") });
  await client.reply();
  equal(disk.flushed[10], 120);
  await client.request(COMMAND.writeZeroes, { ...fua, offset: 0n, length: 2 });
  await client.reply();
  deepEqual([...disk.flushed.subarray(0, 3)], [0, 0, 99]);
});

Deno.test("gateways/nbd: structured replies carry offset, reasons, and what contexts say", async () => {
  await using place = new Place();
  place.disk.bytes.fill(1, 8192, 12288);
  using client = await place.client();
  equal(
    (await client.option(OPTION.setMetaContext, query("disk", "base:allocation")))[0]![0],
    0x8000_0003,
  );
  await client.option(OPTION.structuredReply);
  const all = await client.option(OPTION.listMetaContext, query("disk"));
  equal(all.length, 3);
  const chosen = query("disk", "base:allocation", "no:such", "test:all");
  equal((await client.option(OPTION.setMetaContext, chosen)).length, 3);
  await client.go("disk");
  await client.request(COMMAND.read, { offset: 8190n, length: 4 });
  const read = await client.chunk();
  deepEqual([read.type, read.last], [CHUNK.offsetData, true]);
  deepEqual([...read.payload], [0, 0, 0, 0, 0, 0, 31, 254, 0, 0, 1, 1]);
  await client.request(COMMAND.blockStatus, { offset: 0n, length: 16384 });
  const first = await client.chunk(), second = await client.chunk();
  deepEqual([first.last, second.last], [false, true]);
  const told = viewOf(first.payload);
  deepEqual([4, 8, 12, 16, 20, 24].map((at) => told.getUint32(at)), [8192, 3, 4096, 0, 4096, 3]);
  deepEqual([viewOf(second.payload).getUint32(0), viewOf(second.payload).getUint32(8)], [1, 7]);
  await client.request(COMMAND.read, { offset: BigInt(SIZE), length: 1 });
  const failed = await client.chunk();
  equal(failed.type, CHUNK.error);
  equal(viewOf(failed.payload).getUint32(0), NBD_ERROR.invalid);
  ok(new TextDecoder().decode(failed.payload).includes("past the end"));
});

Deno.test("gateways/nbd: contexts chosen for one export are not those of another", async () => {
  await using place = new Place();
  using client = await place.client();
  await client.option(OPTION.structuredReply);
  await client.option(OPTION.setMetaContext, query("locked", "base:allocation"));
  await client.go("disk");
  await client.request(COMMAND.blockStatus, { length: 4096 });
  equal((await client.chunk()).type, CHUNK.error);
});

Deno.test("gateways/nbd: a disk that is asked about and then used is opened once", async () => {
  await using place = new Place();
  {
    using client = await place.client();
    await client.option(OPTION.structuredReply);
    await client.option(OPTION.info, bytes(u32(4), text("disk"), u16(0)));
    await client.option(OPTION.listMetaContext, query("disk"));
    await client.option(OPTION.setMetaContext, query("disk", "base:allocation"));
    await client.go("disk");
    await client.request(COMMAND.blockStatus, { length: 4096 });
    equal((await client.chunk()).type, CHUNK.blockStatus);
    equal(place.disk.opened, 1);
  }
  using other = await place.client();
  await other.option(OPTION.info, bytes(u32(4), text("disk"), u16(0)));
  await other.go("locked");
  deepEqual([place.disk.opened, place.disk.open, place.locked.open], [2, 0, 1]);
});

Deno.test("gateways/nbd: a client that asked about an export which goes meanwhile is closed", async () => {
  await using place = new Place();
  using asking = await place.client();
  using other = await place.client();
  await asking.option(OPTION.info, bytes(u32(4), text("disk"), u16(0)));
  await other.option(OPTION.info, bytes(u32(6), text("locked"), u16(0)));
  place.server.closeClientsOf((name) => name === "disk");
  await asking.closed();
  equal((await other.go("locked")).at(-1)![0], OPTION_REPLY.ack);
});

Deno.test("gateways/nbd: what cannot be is refused with its error, and the client goes on", async () => {
  await using place = new Place();
  using client = await place.client();
  await client.go("locked");
  const end = BigInt(SIZE);
  const tries: [number, Parameters<NbdClient["request"]>[1], number][] = [
    [COMMAND.write, { data: text("x") }, NBD_ERROR.permission],
    [COMMAND.trim, { length: 1 }, NBD_ERROR.permission],
    [COMMAND.read, { offset: end - 1n, length: 2 }, NBD_ERROR.invalid],
    [COMMAND.read, { offset: (1n << 64n) - 1n, length: 1 }, NBD_ERROR.invalid],
    [99, {}, NBD_ERROR.invalid],
    [COMMAND.read, { flags: 0x8000, length: 1 }, NBD_ERROR.invalid],
    [COMMAND.blockStatus, { length: 1 }, NBD_ERROR.invalid],
  ];
  for (const [command, what, error] of tries) {
    await client.request(command, what);
    equal((await client.reply()).error, error);
  }
  using writer = await place.client();
  await writer.go("disk");
  await writer.request(COMMAND.write, { offset: end, data: text("x") });
  equal((await writer.reply()).error, NBD_ERROR.noSpace);
  for (const [failure, error] of [[ENOSPC, NBD_ERROR.noSpace], [EIO, NBD_ERROR.io]] as const) {
    place.disk.failure = failure;
    await writer.request(COMMAND.write, { data: text("x") });
    equal((await writer.reply()).error, error);
  }
  await writer.request(COMMAND.write, { data: text("x") });
  equal((await writer.reply()).error, 0);
});

Deno.test("gateways/nbd: a slow request does not hold up others of its client", async () => {
  await using place = new Place();
  using client = await place.client();
  await client.go("disk");
  const gate = Promise.withResolvers<void>();
  place.disk.held = gate.promise;
  await client.request(COMMAND.read, { cookie: 1n, length: 8 });
  await client.request(COMMAND.write, { cookie: 2n, offset: 100n, data: text("y") });
  equal((await client.reply()).cookie, 2n);
  gate.resolve();
  equal((await client.reply()).cookie, 1n);
});

Deno.test("gateways/nbd: a client that leaves with requests under way leaves nothing", async () => {
  await using place = new Place();
  const gate = Promise.withResolvers<void>();
  place.disk.held = gate.promise;
  {
    using client = await place.client();
    await client.go("disk");
    for (let count = 0; count < 10; count++) await client.request(COMMAND.read, { length: 4096 });
  }
  gate.resolve();
});

/** What a client may send, with something wrong in it. */
function nonsense(random: (below: number) => number): Uint8Array {
  const raw = Uint8Array.from({ length: random(64) }, () => random(256));
  const lengths = [0, 1, raw.length, 4096, 0x7fff_ffff, 0xffff_ffff];
  const length = lengths[random(lengths.length)]!;
  switch (random(4)) {
    case 0:
      return raw;
    case 1:
      return bytes(u64(OPTION_MAGIC), u32(random(14)), u32(length), raw);
    case 2:
      return bytes(
        ...[u64(OPTION_MAGIC), u32(random(14)), u32(raw.length), raw],
        ...[u64(OPTION_MAGIC), u32(OPTION.go), u32(10), query("disk")],
      );
    default: {
      const go = bytes(u32(4), text("disk"), u16(0));
      const offset = random(2) ? BigInt(random(SIZE)) : 0xffff_ffff_ffff_ff00n;
      return bytes(
        ...[u64(OPTION_MAGIC), u32(OPTION.go), u32(go.length), go],
        ...[u32(random(8) ? REQUEST_MAGIC : 1), u16(random(20)), u16(random(12))],
        ...[u64(1n), u64(offset), u32(length), raw],
      );
    }
  }
}

/**
 * What a run may have taken in the end, in bytes. Garbage that waits for its collection is less; 100,000
 * sessions that left a buffer of 64 KiB each behind would be 6 GiB.
 */
const GROWTH_MAX = 512 << 20;
const SESSIONS = Number(Deno.env.get("MORTAR_NBD_SESSIONS") ?? 300);

Deno.test(`gateways/nbd: ${SESSIONS} malformed sessions end, and others are served meanwhile`, async () => {
  await using place = new Place();
  using good = await place.client();
  await good.go("disk");
  let warm = Infinity;
  for (let seed = 1; seed <= SESSIONS; seed++) {
    if (seed > SESSIONS / 10) warm = Math.min(warm, Deno.memoryUsage().rss);
    const random = seeded(seed);
    {
      using bad = await place.client(random(8) ? 3 : random(1 << 30));
      try {
        await bad.send(nonsense(random));
        await bad.connection.closeWrite();
        await bad.closed();
      } catch (error) {
        const lost = error instanceof Deno.errors.BrokenPipe ||
          error instanceof Deno.errors.ConnectionReset || error instanceof Deno.errors.NotConnected;
        if (!lost) throw new Error(`seed ${seed}`, { cause: error });
      }
    }
    await good.request(COMMAND.read, { cookie: BigInt(seed), length: 16 });
    deepEqual(await good.reply(), { error: 0, cookie: BigInt(seed) });
    await good.incoming.take(16);
  }
  equal(place.server.clients, 1);
  const grown = Deno.memoryUsage().rss - warm;
  ok(grown < GROWTH_MAX, `${grown} bytes more after ${SESSIONS} sessions`);
});
