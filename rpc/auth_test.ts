import { deepStrictEqual as deepEqual, strictEqual as equal, throws } from "node:assert/strict";
import type { LkOwner } from "core/call.ts";
import { fromHex, toHex } from "core/lib/bytes.ts";
import {
  AUTH_GLUSTERFS,
  AUTH_GLUSTERFS_V2,
  AUTH_GLUSTERFS_V3,
  AUTH_NONE,
  CredentialMemo,
  type Credentials,
  NOBODY,
  writeCredentials,
} from "rpc/auth.ts";
import { XdrError, XdrWriter } from "rpc/xdr.ts";

function read(memo: CredentialMemo, flavor: number, hex: string): Credentials {
  const bytes = fromHex(hex);
  return memo.read(flavor, bytes, new DataView(bytes.buffer), 0, bytes.length);
}

const SOMEBODY: Credentials = {
  pid: -6,
  uid: 1000,
  gid: 100,
  groups: [4, 24],
  lkOwner: "0011223344556677" as LkOwner,
};

// First call of a real libgfapi 10.3 (DUMP), and its LOOKUP.
const V2 = "000000000000000000000000000000000000000400000000";
const V3 = "00004422000000000000000000000000000000000000000000000000000000000000000422440000";

Deno.test("rpc/auth: credentials of libgfapi 10.3 are understood", () => {
  const memo = new CredentialMemo();
  deepEqual(read(memo, AUTH_GLUSTERFS_V2, V2), {
    pid: 0,
    uid: 0,
    gid: 0,
    groups: [],
    lkOwner: "00000000",
  });
  deepEqual(read(memo, AUTH_GLUSTERFS_V3, V3), {
    pid: 0x4422,
    uid: 0,
    gid: 0,
    groups: [],
    lkOwner: "22440000",
  });
});

Deno.test("rpc/auth: the same bytes give the same object", () => {
  const memo = new CredentialMemo();
  equal(read(memo, AUTH_GLUSTERFS_V3, V3), read(memo, AUTH_GLUSTERFS_V3, V3));
});

Deno.test("rpc/auth: a client's time differs per call and nothing else is read again", () => {
  const memo = new CredentialMemo();
  const at = (sec: number) => {
    const to = new XdrWriter();
    writeCredentials(to, AUTH_GLUSTERFS_V3, { ...SOMEBODY, ctime: { sec, nsec: 7 } });
    return read(memo, AUTH_GLUSTERFS_V3, toHex(to.written.subarray(8)));
  };
  const first = at(2 ** 40), second = at(5);
  deepEqual(first, { ...SOMEBODY, ctime: { sec: 2 ** 40, nsec: 7 } });
  deepEqual(second.ctime, { sec: 5, nsec: 7 });
  equal(first.groups, second.groups);
});

Deno.test("rpc/auth: both versions carry all fields", () => {
  for (const flavor of [AUTH_GLUSTERFS_V2, AUTH_GLUSTERFS_V3]) {
    const to = new XdrWriter();
    writeCredentials(to, flavor, SOMEBODY);
    equal(to.view.getUint32(0), flavor);
    equal(to.view.getUint32(4), to.at - 8);
    deepEqual(read(new CredentialMemo(), flavor, toHex(to.written.subarray(8))), SOMEBODY);
  }
});

Deno.test("rpc/auth: groups that do not fit into 400 bytes are left out", () => {
  const to = new XdrWriter();
  const groups = Array.from({ length: 200 }, (_, i) => i + 1);
  writeCredentials(to, AUTH_GLUSTERFS_V3, { ...SOMEBODY, groups });
  equal(to.view.getUint32(4) <= 400, true);
  const { groups: kept } = read(
    new CredentialMemo(),
    AUTH_GLUSTERFS_V3,
    toHex(to.written.slice(8)),
  );
  equal(kept.length, 89);
});

Deno.test("rpc/auth: nobody asks with AUTH_NONE, and old or unknown flavors are refused", () => {
  const memo = new CredentialMemo();
  equal(read(memo, AUTH_NONE, ""), NOBODY);
  throws(() => read(memo, AUTH_GLUSTERFS, V2), XdrError);
  throws(() => read(memo, 1, V2), XdrError);
});

Deno.test("rpc/auth: counts beyond the credential are refused", () => {
  const memo = new CredentialMemo();
  throws(() => read(memo, AUTH_GLUSTERFS_V3, V3.slice(0, 40)), XdrError);
  const groups = fromHex(V3);
  new DataView(groups.buffer).setUint32(28, 0x40000000);
  throws(() => read(memo, AUTH_GLUSTERFS_V3, toHex(groups)), XdrError);
  const owner = fromHex(V3);
  new DataView(owner.buffer).setUint32(32, 5);
  throws(() => read(memo, AUTH_GLUSTERFS_V3, toHex(owner)), XdrError);
});
