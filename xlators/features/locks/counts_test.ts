import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { O_RDWR } from "core/fops.ts";
import { Fd } from "core/inode.ts";
import { str, Xdata } from "core/xdata.ts";
import * as keys from "core/xdata_keys.ts";
import { testClient } from "tests/fakes/node.ts";

import {
  by,
  CHANGED,
  DIR,
  entrylk,
  FILE,
  inodelk,
  isEmpty,
  lkArgs,
  setUp,
} from "tests/fakes/locks_layer.ts";

function asking(...names: readonly { readonly name: string }[]): Xdata {
  return Xdata.of(names.map(({ name }) => [name, { type: "uint", value: 0 }]));
}

Deno.test("features/locks: lookup counts granted and waiting locks, and keeps the question to itself", async () => {
  const { layer, child } = setUp();
  const a = by(testClient()), b = by(testClient()), fd = new Fd(FILE, O_RDWR);
  await layer.inodelk(a, inodelk("write"));
  const waits = layer.inodelk(b, inodelk("write"));
  await layer.inodelk(a, inodelk("write", 0, 0, { domain: "vol-replicate-0:self-heal" }));
  await layer.entrylk(a, entrylk("f"));
  await layer.entrylk(a, entrylk("z", "lock", { inode: FILE }));
  await layer.lk(a, lkArgs(fd, "set", "read", 0, 1));
  const heal = `${keys.INODELK_DOM_PREFIX}:vol-replicate-0:self-heal`;
  const main = `${keys.INODELK_DOM_PREFIX}:vol-replicate-0`;
  const asked = asking(
    keys.INODELK_COUNT,
    keys.ENTRYLK_COUNT,
    keys.PARENT_ENTRYLK,
    keys.POSIXLK_COUNT,
    keys.MULTI_DOM_LK_COUNT,
    { name: heal },
    { name: main },
    keys.LIST_XATTR,
  );
  const { xdata } = await layer.lookup(a, { parent: DIR, name: "f", xdata: asked });
  deepEqual(
    [...xdata ?? []].sort(),
    [
      [keys.ENTRYLK_COUNT.name, { type: "int", value: 1 }],
      [keys.INODELK_COUNT.name, { type: "int", value: 3 }],
      [main, { type: "int", value: 2 }],
      [heal, { type: "int", value: 1 }],
      [keys.PARENT_ENTRYLK.name, { type: "int", value: 1 }],
      [keys.POSIXLK_COUNT.name, { type: "int", value: 1 }],
    ].sort(),
  );
  deepEqual([...child.last("lookup").xdata!.names()], [keys.LIST_XATTR.name]);
  layer.clientGone(a.client);
  await waits;
  layer.clientGone(b.client);
  isEmpty(layer);
});

Deno.test("features/locks: a lock on all names is no lock on the parent's name", async () => {
  const { layer } = setUp();
  const a = by(testClient());
  await layer.entrylk(a, entrylk(""));
  const asked = { parent: DIR, name: "f", xdata: asking(keys.PARENT_ENTRYLK) };
  equal((await layer.lookup(a, asked)).xdata?.get(keys.PARENT_ENTRYLK), 0);
  const nameless = { inode: FILE, name: "", xdata: asking(keys.PARENT_ENTRYLK) };
  equal((await layer.lookup(a, nameless)).xdata, undefined);
});

Deno.test("features/locks: a write's count is taken after the write", async () => {
  const written = Promise.withResolvers<typeof CHANGED>();
  const { layer } = setUp({}, { writev: () => written.promise });
  const a = by(testClient()), b = by(testClient());
  await layer.inodelk(a, inodelk("write"));
  const xdata = Xdata.of([[keys.INODELK_DOM_COUNT.name, str("vol-replicate-0")]]);
  const write = layer.writev(a, {
    fd: new Fd(FILE, O_RDWR),
    offset: 0,
    data: new Uint8Array(1),
    flags: 0,
    xdata,
  });
  const waits = layer.inodelk(b, inodelk("write"));
  written.resolve(CHANGED);
  equal((await write).xdata?.get(keys.INODELK_COUNT), 2);
  layer.clientGone(a.client);
  await waits;
});

Deno.test("features/locks: reads and writes without extra data are forwarded as they are", () => {
  const answer = Promise.resolve(CHANGED);
  const { layer, child } = setUp({}, { writev: () => answer });
  const args = { fd: new Fd(FILE, O_RDWR), offset: 0, data: new Uint8Array(1), flags: 0 };
  equal(layer.writev(ROOT, args), answer);
  equal(child.last("writev"), args);
});
