import {
  deepStrictEqual as deepEqual,
  rejects,
  strictEqual as equal,
  throws,
} from "node:assert/strict";
import { CommandError } from "mgmt/cli/command_error.ts";
import { operationOf } from "mgmt/snapshots/arrived.ts";
import { parseToken, tokenText } from "mgmt/snapshots/received.ts";
import { StreamReader, type StreamRecord, StreamWriter } from "mgmt/snapshots/stream.ts";

const HEAD = {
  ...{ stream: "0123456789abcdef", name: "one", snapshot: "01234567-89ab-cdef-0123-456789abcdef" },
  ...{ base: null, description: "two\nlines", done: 3, offset: 4096 },
};
const OPERATION = { do: "file", path: "a/ü\udc80", size: 7 } as const;

function written(): Uint8Array<ArrayBuffer> {
  const writer = new StreamWriter(), parts = [...writer.head(HEAD)];
  parts.push(writer.operation(OPERATION), writer.data(2, new Uint8Array([1, 2, 3])));
  parts.push(writer.hole(5, 2), writer.end());
  return new Uint8Array(parts.flatMap((part) => [...part]));
}

function readerOf(bytes: Uint8Array): StreamReader {
  let at = 0;
  // In small pieces, as a pipe may give them.
  return new StreamReader((into) => {
    if (at >= bytes.length) return Promise.resolve(null);
    const part = bytes.subarray(at, at + Math.min(7, into.length));
    into.set(part);
    at += part.length;
    return Promise.resolve(part.length);
  });
}

async function readAll(bytes: Uint8Array): Promise<StreamRecord[]> {
  const reader = readerOf(bytes), records: StreamRecord[] = [];
  await reader.head();
  do records.push(await reader.next()); while (records.at(-1)!.is !== "end");
  return records;
}

Deno.test("mgmt/snapshots/stream: what was written is read", async () => {
  const bytes = written();
  deepEqual(await readerOf(bytes).head(), HEAD);
  deepEqual(await readAll(bytes), [
    { is: "operation", operation: OPERATION },
    { is: "data", offset: 2, data: new Uint8Array([1, 2, 3]) },
    { is: "hole", offset: 5, size: 2 },
    { is: "end" },
  ]);
});

Deno.test("mgmt/snapshots/stream: cut anywhere, or with any bit changed, it is refused", async () => {
  const bytes = written();
  for (let at = 0; at < bytes.length; at++) {
    await rejects(readAll(bytes.subarray(0, at)), CommandError, `cut at ${at}`);
    const flipped = bytes.slice();
    flipped[at]! ^= 1 << at % 8;
    await rejects(readAll(flipped), CommandError, `bit of byte ${at}`);
  }
});

Deno.test("mgmt/snapshots/stream: records that were left out or put in are noticed", async () => {
  const writer = new StreamWriter(), head = [...writer.head(HEAD)];
  const one = writer.operation(OPERATION), other = writer.hole(0, 1), end = writer.end();
  const joined = (...parts: Uint8Array[]) => new Uint8Array(parts.flatMap((part) => [...part]));
  equal((await readAll(joined(...head, one, other, end))).length, 3);
  for (const parts of [[one, end], [other, one, end], [one, one, other, end], [end]]) {
    await rejects(readAll(joined(...head, ...parts)), /records are missing/);
  }
});

Deno.test("mgmt/snapshots/arrived: nothing leads out of the volume, and no number is absurd", () => {
  const attributes = (set: object) => ({
    ...{ do: "attributes", path: "a" },
    set: {
      ...{ mode: 0o644, uid: 0, gid: 0, mtime: [0, 0], atime: [0, 0], xattrs: [] },
      ...set,
    },
  });
  operationOf(attributes({ xattrs: [["user.x", "AA=="], ["system.posix_acl_access", ""]] }));
  const wrong: unknown[] = [
    ...[null, 7, [], {}, { do: "explode" }, { do: "file", path: "a", size: 1e300 }],
    ...[
      "../a",
      "/a",
      "a/../b",
      "a//b",
      "",
      ".",
      "a/",
      "a\0b",
      "x".repeat(256),
      "a/".repeat(2000),
      7,
    ]
      .map((path) => ({ do: "file", path, size: 1 })),
    ...[-1, 1.5, "1", undefined].map((size) => ({ do: "file", path: "a", size })),
    ...["", "a\0b", "x".repeat(5000)].map((target) => ({ do: "symlink", path: "a", target })),
    { do: "link", path: "a", to: "../b" },
    { do: "aside", path: "a", key: -1 },
    ...["trusted.gfid", "trusted.afr.x", "trusted.glusterfs.mdata", "glusterfs.x", "x", ""]
      .map((name) => attributes({ xattrs: [[name, ""]] })),
    attributes({ xattrs: [["user.x", "?"]] }),
    attributes({ mtime: [0, 1e9] }),
    attributes({ atime: ["0", 0] }),
    attributes({ uid: -1 }),
  ];
  for (const value of wrong) throws(() => operationOf(value), CommandError, JSON.stringify(value));
});

Deno.test("mgmt/snapshots/received: a token is read as it was written", () => {
  const token = { stream: "0123456789abcdef", done: 12, offset: 4096 };
  deepEqual(parseToken(tokenText(token)), token);
  for (const word of ["", "x.1.2", "0123456789abcdef.1", "0123456789abcdef.-1.0"]) {
    throws(() => parseToken(word), RangeError);
  }
});
