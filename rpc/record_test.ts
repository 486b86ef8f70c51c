import { deepStrictEqual as deepEqual, ok, strictEqual as equal, throws } from "node:assert/strict";
import { LAST_FRAGMENT, RecordStream } from "rpc/record.ts";
import { XdrError } from "rpc/xdr.ts";

/** `body` as a record of fragments of the given sizes; the last one has the rest. */
function record(body: Uint8Array, sizes: readonly number[] = []): Uint8Array {
  const parts: Uint8Array[] = [];
  let at = 0;
  for (const size of [...sizes, body.length - sizes.reduce((sum, each) => sum + each, 0)]) {
    const marker = new Uint8Array(4);
    const last = parts.length === sizes.length * 2;
    new DataView(marker.buffer).setUint32(0, (last ? LAST_FRAGMENT : 0) + size);
    parts.push(marker, body.subarray(at, at += size));
  }
  return concat(parts);
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function pattern(size: number, seed = 0): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => (i * 7 + seed) & 0xff);
}

/** Feeds `bytes` in pieces that `sizes` say, over and over; answers the records found. */
function feed(stream: RecordStream, bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const found: Uint8Array[] = [];
  let turn = 0;
  for (let at = 0; at < bytes.length;) {
    const space = stream.space();
    const count = Math.min(sizes[turn++ % sizes.length]!, space.length, bytes.length - at);
    space.set(bytes.subarray(at, at + count));
    stream.filled(count);
    at += count;
    while (stream.next()) found.push(stream.block.bytes.slice(stream.at, stream.to));
  }
  return found;
}

Deno.test("rpc/record: records are found wherever the stream is cut", () => {
  const bodies = [pattern(0), pattern(1, 1), pattern(120, 2), pattern(7, 3), pattern(4096, 4)];
  const bytes = concat(bodies.map((body) => record(body)));
  for (const sizes of [[1], [2], [3], [5, 1], [4, 4], [124], [1000], [8000]]) {
    deepEqual(feed(new RecordStream(), bytes, sizes), bodies);
  }
});

Deno.test("rpc/record: a record in two fragments, split at every byte, is closed up", () => {
  const body = pattern(90), next = pattern(20, 9);
  for (let split = 0; split <= body.length; split++) {
    const bytes = concat([record(body, [split]), record(next)]);
    for (const sizes of [[1], [7], [1000]]) {
      deepEqual(feed(new RecordStream(), bytes, sizes), [body, next]);
    }
  }
});

Deno.test("rpc/record: fragments of one byte and of none are closed up", () => {
  const body = pattern(40);
  const bytes = concat([record(body, Array(40).fill(1)), record(body, [0, 0, 20, 0])]);
  deepEqual(feed(new RecordStream(), bytes, [3]), [body, body]);
});

Deno.test("rpc/record: large records arrive whole, and small ones behind them", () => {
  const bodies = [pattern(1 << 20, 1), pattern(100, 2), pattern((1 << 20) + 13, 3), pattern(5, 4)];
  const bytes = concat(bodies.map((body) => record(body)));
  for (const sizes of [[65536], [300000, 17], [1 << 22]]) {
    const found = feed(new RecordStream(), bytes, sizes);
    equal(found.length, bodies.length);
    for (const [i, body] of bodies.entries()) ok(sameBytes(found[i]!, body));
  }
});

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

Deno.test("rpc/record: a record that is still in use is not overwritten", () => {
  const stream = new RecordStream();
  const body = pattern(50000, 5);
  feed(stream, record(body).subarray(0, 30000), [30000]);
  const rest = record(body).subarray(30000);
  const space = stream.space();
  space.set(rest);
  stream.filled(rest.length);
  ok(stream.next());
  const { block, at, to } = stream;
  block.hold();
  for (let i = 0; i < 20; i++) feed(stream, record(pattern(40000, 100 + i)), [9000]);
  deepEqual(block.bytes.slice(at, to), body);
  block.release();
});

Deno.test("rpc/record: a record over the limit is refused before anything is kept for it", () => {
  const marker = (value: number) => {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value);
    return bytes;
  };
  const stream = new RecordStream(1000);
  throws(() => feed(stream, marker(LAST_FRAGMENT + 1001), [4]), XdrError);
  const split = new RecordStream(1000);
  const bytes = concat([marker(600), pattern(600), marker(LAST_FRAGMENT + 401)]);
  throws(() => feed(split, bytes, [100]), XdrError);
});

Deno.test("rpc/record: endless empty fragments are refused", () => {
  throws(() => feed(new RecordStream(), new Uint8Array(8192), [8192]), XdrError);
});
