import { rejects, strictEqual } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { ENOENT } from "core/errno.ts";
import type { Iatt } from "core/iatt.ts";
import { Fd, Inode, InodeTable, NULL_GFID } from "core/inode.ts";
import { buildGraph } from "core/graph.ts";
import { defineXlator, xlatorTypes } from "core/registry.ts";
import { parseVolfile } from "core/volfile.ts";
import { Checked, checkedTypes } from "tests/fakes/checked.ts";
import { FakeChild } from "tests/fakes/fake_child.ts";
import { MemoryBrick } from "tests/fakes/memory_brick.ts";
import { testEnv } from "tests/fakes/node.ts";
import { Place } from "tests/conformance/place.ts";

const inode = new InodeTable().root;
const fd = new Fd(inode, 0);

Deno.test("tests/fakes: Checked stops arguments that no layer may hand down", async () => {
  const top = new Checked(new FakeChild());
  const wrong = [
    () => top.readv(ROOT, { fd, offset: -1, size: 1, flags: 0 }),
    () => top.readv(ROOT, { fd, offset: 2 ** 53, size: 1, flags: 0 }),
    () => top.readv(ROOT, { fd, offset: 0, size: 0.5, flags: 0 }),
    () => top.unlink(ROOT, { parent: inode, name: "a/b", flags: 0 }),
    () => top.unlink(ROOT, { parent: inode, name: "", flags: 0 }),
    () => top.unlink(ROOT, { parent: inode, name: "n".repeat(256), flags: 0 }),
    () => top.stat(ROOT, { inode: new Inode(NULL_GFID) }),
    () => top.stat(ROOT, { inode: {} as Inode }),
  ];
  for (const run of wrong) await rejects(run(), { name: "AssertionError" });
});

Deno.test("tests/fakes: Checked stops replies that no layer may answer", async () => {
  const data = new Uint8Array(10);
  const child = new FakeChild({
    readv: () => Promise.resolve({ data, stat: undefined, eof: true }),
    stat: () => Promise.resolve({ stat: { gfid: NULL_GFID } as Iatt }),
    readdir: () => Promise.resolve({ entries: [], eof: false }),
    flush: () => Promise.reject(new TypeError("a bug")),
  });
  const top = new Checked(child);
  const args = { fd, offset: 0, size: 9, flags: 0 };
  await rejects(top.readv(ROOT, args), { name: "AssertionError" });
  await rejects(top.stat(ROOT, { inode }), { name: "AssertionError" });
  await rejects(top.readdir(ROOT, { fd, offset: 0n, size: 9 }), { name: "AssertionError" });
  await rejects(top.flush(ROOT, { fd }), { name: "AssertionError" });
  strictEqual((await top.readv(ROOT, { ...args, size: 10 })).data, data);
});

Deno.test("tests/fakes: a graph of checked types works as one of the types themselves", async () => {
  const brick = defineXlator({
    type: "test/brick",
    summary: "",
    options: {},
    subvolumes: "none",
    create: (place) => new MemoryBrick(place),
  });
  const types = checkedTypes(xlatorTypes([brick]));
  const blocks = parseVolfile("volume b\ntype test/brick\nend-volume\n");
  const { top, inodes } = buildGraph(blocks, types, testEnv());
  const place = await Place.of({ top, inodes, call: ROOT, stop: () => Promise.resolve() });
  await place.file("f", "x");
  strictEqual((await place.list()).length, 1);
  await rejects(place.lookup("none"), (error) => ENOENT.matches(error));
  strictEqual(top.reconfigure, undefined);
  await rejects(place.mkdir("a/b"), { name: "AssertionError" });
});
