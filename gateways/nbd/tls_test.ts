import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { NbdServer } from "gateways/nbd/server.ts";
import { TlsFailure, TlsServer } from "gateways/nbd/tls.ts";
import { COMMAND, OPTION, OPTION_MAGIC, OPTION_REPLY, viewOf } from "gateways/nbd/wire.ts";
import { CAN_CERTIFY, certify } from "tests/fakes/certificates.ts";
import { MemoryDisk, MemoryExports } from "tests/fakes/memory_disk.ts";
import { bytes, NbdClient, text, u32, u64 } from "tests/fakes/nbd_client.ts";
import { testEnv } from "tests/fakes/node.ts";

/** A server that wants TLS, and what its clients need. */
class Place implements AsyncDisposable {
  readonly folder = Deno.makeTempDirSync({ prefix: "nbd-tls-" });
  readonly disk = new MemoryDisk(1 << 20);
  readonly server: NbdServer;

  constructor({ anyClient = false, handshakeMs = 30_000 } = {}) {
    certify(this.folder);
    const tls = new TlsServer({
      certificate: this.text("server-cert.pem"),
      key: this.text("server-key.pem"),
      clientAuthorities: anyClient ? undefined : this.text("ca-cert.pem"),
    });
    const exports = new MemoryExports(new Map([["disk", this.disk]]));
    const options = { exports, env: testEnv(), tls: () => tls, handshakeMs };
    this.server = NbdServer.start({ host: "127.0.0.1", port: 0 }, options);
  }

  text(name: string): string {
    return Deno.readTextFileSync(`${this.folder}/${name}`);
  }

  /** Connected, with nothing agreed on. */
  async connect(): Promise<Deno.TcpConn> {
    const connection = await Deno.connect({ port: this.server.port! });
    const client = new NbdClient(connection);
    await client.incoming.take(18);
    await client.send(u32(3));
    return connection;
  }

  /** A client that was told to begin TLS, and began it. */
  async encrypted(): Promise<NbdClient<Deno.TlsConn>> {
    const connection = await this.connect();
    equal((await new NbdClient(connection).option(OPTION.startTls))[0]![0], OPTION_REPLY.ack);
    const caCerts = [this.text("ca-cert.pem")];
    return new NbdClient(await Deno.startTls(connection, { hostname: "localhost", caCerts }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.stop();
    equal(this.disk.open, 0, "every disk was closed");
    Deno.removeSync(this.folder, { recursive: true });
  }
}

function test(name: string, fn: () => Promise<void>): void {
  Deno.test({ name: `gateways/nbd: ${name}`, ignore: !CAN_CERTIFY, fn });
}

test("a disk is served over TLS", async () => {
  await using place = new Place({ anyClient: true });
  using client = await place.encrypted();
  await client.go("disk");
  const data = new Uint8Array(200_000).map((_, index) => index % 251);
  await client.request(COMMAND.write, { offset: 5n, data });
  equal((await client.reply()).error, 0);
  await client.request(COMMAND.read, { offset: 5n, length: data.length });
  equal((await client.reply()).error, 0);
  const read = new Uint8Array(data.length);
  await client.incoming.fill(read);
  deepEqual(read, data);
  deepEqual(place.disk.bytes.slice(5, 5 + data.length), data);
});

test("a client without a certificate is turned away", async () => {
  await using place = new Place();
  // TLS 1.3 lets the client believe that it is in until the server has looked.
  const client = await place.encrypted().catch(() => undefined);
  await client?.go("disk").then(() => ok(false, "it was served"), (error) => ok(error));
  client?.[Symbol.dispose]();
  equal(place.disk.open, 0);
});

test("a server that wants TLS tells nothing in the clear", async () => {
  await using place = new Place();
  using client = new NbdClient(await place.connect());
  for (const option of [OPTION.list, OPTION.structuredReply]) {
    deepEqual((await client.option(option)).map(([type]) => type), [OPTION_REPLY.tlsRequired]);
  }
  equal((await client.go("disk"))[0]![0], OPTION_REPLY.tlsRequired);
  await client.send(u64(OPTION_MAGIC), u32(OPTION.exportName), u32(4), text("disk"));
  await client.closed();
});

test("what was sent in the clear behind STARTTLS is not taken for encrypted", async () => {
  await using place = new Place();
  using client = new NbdClient(await place.connect());
  const start = bytes(u64(OPTION_MAGIC), u32(OPTION.startTls), u32(0));
  await client.send(bytes(start, u64(OPTION_MAGIC), u32(OPTION.list), u32(0)));
  await client.closed();
});

test("a client that never ends its handshake is closed", async () => {
  await using place = new Place({ handshakeMs: 200 });
  using client = new NbdClient(await place.connect());
  const start = bytes(u64(OPTION_MAGIC), u32(OPTION.startTls), u32(0));
  await client.send(start);
  equal(viewOf(await client.incoming.take(20)).getUint32(12), OPTION_REPLY.ack);
  await client.send(new Uint8Array([0x16, 3, 1]));
  await client.closed();
});

test("what is no certificate is named when the server is made", () => {
  const wrong = { certificate: "x", key: "y", clientAuthorities: undefined };
  try {
    new TlsServer(wrong);
    ok(false, "it was taken");
  } catch (error) {
    ok(error instanceof TlsFailure, String(error));
  }
  return Promise.resolve();
});
