// Golden bytes: tests/interop/handshake.json. Calls "from glusterfsd 10.3" and "from glusterfs 10.3"
// came to a listener of ours that kept every record, from
//   glusterfsd -N -s 127.0.0.1 --volfile-server-port=24942 --volfile-id x.brick --brick-name /tmp/mt-brick
//     --process-name brick --brick-port 24941        (storage/posix, features/locks with
//     notify-contention, features/upcall with cache-invalidation, debug/io-stats, protocol/server)
//   glusterfs -N -s 127.0.0.1 --volfile-server-port=24942 --volfile-id=/v1 /mnt/x
// Replies and callbacks came from that brick to two connections of ours that joined it, wrote a file
// the other had looked up, and wanted one inodelk. Calls "from libgfapi 10.3" came from a glfs_init.

import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { fromHex, toHex } from "core/lib/bytes.ts";
import { intKey, textKey } from "core/xdata.ts";
import { AUTH_GLUSTERFS_V2, AUTH_GLUSTERFS_V3, CredentialMemo } from "rpc/auth.ts";
import { CallHead, readReplyHead } from "rpc/message.ts";
import type { Signature } from "rpc/program.ts";
import { cacheInvalidation, entrylkContention, inodelkContention } from "rpc/programs/callback.ts";
import { oldIatt } from "rpc/programs/callback.ts";
import { dump, ping } from "rpc/programs/dump.ts";
import { getspec, setvolume } from "rpc/programs/handshake.ts";
import { brickByPort, portByBrick, signIn, signOut } from "rpc/programs/portmap.ts";
import { type Codec, XdrReader, XdrWriter } from "rpc/xdr.ts";
import golden from "tests/interop/handshake.json" with { type: "json" };

function bytesOf(what: string, message: string, from: string): Uint8Array<ArrayBuffer> {
  const found = golden.find((each) =>
    each.what === what && each.message === message && each.from === from
  );
  if (!found) throw new Error(`no golden ${what} ${message} from ${from}`);
  return fromHex(found.hex);
}

/** The arguments of a captured call, which must encode to the same bytes again. */
function call<A, R>(what: string, from: string, signature: Signature<A, R>): A {
  const bytes = bytesOf(what, "call", from), reader = new XdrReader(bytes, 12);
  const head = new CallHead();
  head.read(reader, 1);
  deepEqual(
    [head.program, head.version, head.procedure],
    [signature.number, signature.version, signature.procedure],
  );
  return again(reader, signature.args);
}

function reply<A, R>(what: string, from: string, signature: Signature<A, R>): R {
  const reader = new XdrReader(bytesOf(what, "reply", from), 12);
  readReplyHead(reader);
  return again(reader, signature.result);
}

function again<T>(reader: XdrReader, codec: Codec<T>): T {
  const rest = toHex(reader.bytes.subarray(reader.at));
  const value = codec.read(reader), to = new XdrWriter();
  codec.write(to, value);
  equal(toHex(to.written), rest);
  return value;
}

Deno.test("rpc/programs: DUMP and PING are glusterfsd's and libgfapi's, byte for byte", () => {
  equal(call("dump", "libgfapi 10.3", dump).gfsId, 0xcaedn);
  call("ping", "libgfapi 10.3", ping);
  deepEqual(reply("dump", "glusterfsd 10.3", dump).programs.map((each) => each.name), [
    "GlusterFS 4.x v1",
    "GlusterFS 3.3",
    "GF-DUMP",
    "GlusterFS Handshake",
  ]);
  deepEqual(reply("ping", "glusterfsd 10.3", ping).xdata.length, 0);
});

Deno.test("rpc/programs: SETVOLUME of libgfapi and the brick's answer read back the same", () => {
  const { dict } = call("setvolume", "libgfapi 10.3", setvolume);
  equal(dict!.get(textKey("client-version")), "10.3");
  equal(dict!.get(intKey("fops-version")), 1298437);
  equal(dict!.get(textKey("remote-subvolume")), "/tmp/protoA/b1");
  const answer = reply("setvolume", "glusterfsd 10.3", setvolume);
  equal(answer.ret, 0);
  equal(answer.dict!.get(textKey("ERROR")), "Success");
  equal(answer.dict!.get(intKey("child_up")), 1);
});

Deno.test("rpc/programs: brick and mount ask for volfiles with their op-versions", () => {
  const brick = call("getspec", "glusterfsd 10.3", getspec);
  equal(brick.key, "x.brick");
  equal(brick.xdata!.get(intKey("max-op-version")), 100000);
  equal(call("getspec", "glusterfs 10.3", getspec).key, "/v1");
});

Deno.test("rpc/programs: a brick signs in with port and pid, and out", () => {
  const { brick, port, pid } = call("signIn", "glusterfsd 10.3", signIn);
  deepEqual([brick, port, pid > 1], ["/tmp/mt-brick", 24941, true]);
  deepEqual(call("signOut", "glusterfsd 10.3", signOut), {
    brick: "/tmp/mt-brick",
    port: 24941,
    rdmaPort: 0,
  });
});

Deno.test("rpc/programs: cache invalidation carries old attributes of 100 bytes", () => {
  const args = call("cacheInvalidation", "glusterfsd 10.3", cacheInvalidation);
  equal(args.gfid, "d4af2330-9f41-4731-8457-4c92d72781fb");
  equal(args.type, 1);
  equal(args.stat!.gfid, args.gfid);
  equal(args.stat!.size, 5);
  equal(args.stat!.nlink, 1);
  deepEqual([args.parent, args.oldParent], [undefined, undefined]);
});

Deno.test("rpc/programs: lock contention names range, domain and gfid", () => {
  const args = call("inodelkContention", "glusterfsd 10.3", inodelkContention);
  equal(args.gfid, "d4af2330-9f41-4731-8457-4c92d72781fb");
  equal(args.domain, "x-replicate-0");
  deepEqual([args.lock.type, args.lock.start, args.lock.size], ["write", 5n, 10n]);
});

// Layouts from the interface files: portmap-xdr.x, glusterfs4-xdr.x.
Deno.test("rpc/programs: the rest has the layout of its interface file", () => {
  const written = <T>(codec: Codec<T>, value: T) => {
    const to = new XdrWriter();
    codec.write(to, value);
    const hex = toHex(to.written);
    deepEqual(codec.read(new XdrReader(fromHex(hex))), value);
    return hex;
  };
  equal(written(portByBrick.args, { brick: "/b" }), "00000002" + "2f620000");
  equal(
    written(portByBrick.result, { ret: -1, errno: 2, status: 0, port: 0 }),
    "ffffffff" + "00000002" + "00000000" + "00000000",
  );
  equal(
    written(brickByPort.result, { ret: 0, errno: 0, status: 1, brick: "/b" }),
    "00000000" + "00000000" + "00000001" + "00000002" + "2f620000",
  );
  equal(
    written(entrylkContention.args, {
      gfid: "00000000-0000-0000-0000-000000000001" as never,
      type: "write",
      pid: 7,
      name: "n",
      domain: "d",
      xdata: undefined,
    }),
    "0".repeat(31) + "1" + "00000001" + "00000007" + "000000016e000000" + "0000000164000000" +
      "00000000",
  );
  equal(written(oldIatt, undefined), "00".repeat(100));
});

Deno.test("rpc/programs: who asked is known in captured calls", () => {
  const memo = new CredentialMemo();
  for (
    const [what, from, flavor] of [
      ["dump", "libgfapi 10.3", AUTH_GLUSTERFS_V2],
      ["setvolume", "libgfapi 10.3", AUTH_GLUSTERFS_V3],
      ["signIn", "glusterfsd 10.3", AUTH_GLUSTERFS_V2],
    ] as const
  ) {
    const bytes = bytesOf(what, "call", from), reader = new XdrReader(bytes, 12);
    const head = new CallHead();
    head.read(reader, 1);
    equal(head.flavor, flavor);
    equal(memo.read(flavor, bytes, reader.view, head.bodyAt, head.bodySize).uid, 0);
  }
});
