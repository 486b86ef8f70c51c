/** raw_roles.ts ROLE HOST PORT BRICK [SECONDS]: one client that behaves in a certain way. */

// deno-lint-ignore-file no-console -- a command's output

import { gfid, PROC, put, RawClient, ROOT } from "tests/e2e/raw_client.ts";

const [role, host, port, brick, seconds] = Deno.args as [string, string, string, string, string?];
const connect = () => RawClient.connect(host, Number(port), brick);
const FILE = gfid(200);
const FILE_SIZE = 8 << 20, READ_SIZE = 128 << 10;
const READS = 8192, CONNECTIONS = 50, OPENS = 1000;

/** A file of 8 MiB, made at the first call on a brick, and an fd of it. */
async function openFile(client: RawClient): Promise<bigint> {
  await client.fop(PROC.mknod, put.mknod(ROOT, "probed", FILE));
  const { errno, body } = await client.fop(PROC.open, put.open(FILE, 2));
  if (errno) throw new Error(`Cannot open: errno ${errno}`);
  const dictSize = body.u32();
  body.skip(8 + dictSize);
  const fd = body.i64();
  const chunk = new Uint8Array(1 << 20).fill(7);
  for (let at = 0; at < FILE_SIZE; at += chunk.length) {
    await client.fop(PROC.write, put.write(FILE, fd, BigInt(at), chunk));
  }
  return fd;
}

function forever(): Promise<never> {
  return new Promise(() => setInterval(() => {}, 1000));
}

async function deaf(): Promise<void> {
  const client = await connect();
  const fd = await openFile(client);
  client.stopReading();
  console.log("at it");
  for (let i = 0; i < READS; i++) {
    const at = BigInt((i * READ_SIZE) % FILE_SIZE);
    await client.send(PROC.read, put.read(FILE, fd, at, READ_SIZE));
  }
}

async function boaster(): Promise<void> {
  for (let i = 0; i < 8; i++) {
    const client = await connect();
    const header = new Uint8Array(64);
    new DataView(header.buffer).setUint32(0, 0x80000000 + (1 << 30) - 1);
    client.raw(header).catch(() => {});
  }
  console.log("at it");
}

async function hoarder(): Promise<void> {
  const clients = await Promise.all(Array.from({ length: CONNECTIONS }, connect));
  await openFile(clients[0]!);
  console.log("at it");
  await Promise.all(clients.map(async (client) => {
    for (let i = 0; i < OPENS && !client.closed; i++) {
      await client.fop(PROC.open, put.open(FILE, 0));
    }
  }));
}

async function probe(): Promise<void> {
  const client = await connect();
  const fd = await openFile(client);
  const times: number[] = [];
  const end = performance.now() + Number(seconds) * 1000;
  for (let now = performance.now(); now < end;) {
    const at = BigInt(4096 * Math.floor(Math.random() * (FILE_SIZE / 4096)));
    const { errno } = await client.fop(PROC.read, put.read(FILE, fd, at, 4096));
    if (errno) throw new Error(`Cannot read: errno ${errno}`);
    const then = performance.now();
    times.push(then - now);
    now = then;
  }
  times.sort((a, b) => a - b);
  const rank = (part: number) =>
    times[Math.min(times.length - 1, Math.floor(times.length * part))]!;
  console.log(
    JSON.stringify({ count: times.length, p50: rank(0.5), p99: rank(0.99), max: rank(1) }),
  );
  client.close();
}

const roles: Readonly<Record<string, () => Promise<void>>> = { deaf, boaster, hoarder, probe };
await roles[role]!();
if (role !== "probe") await forever();
