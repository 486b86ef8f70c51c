import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { PID_SELF_HEAL, ROOT } from "core/call.ts";
import { EROFS } from "core/errno.ts";
import { DONE, FOP_NAMES, FOPS, O_RDWR, O_TRUNC } from "core/fops.ts";
import { Fd } from "core/inode.ts";
import { readOptions } from "core/options.ts";
import { ptr, Xdata } from "core/xdata.ts";
import { windTo } from "core/xlator.ts";
import { FakeChild, type Script } from "tests/fakes/fake_child.ts";
import { node } from "tests/fakes/node.ts";
import { readOnly } from "xlators/features/read-only/read_only.ts";

const everything = Object.fromEntries(
  FOP_NAMES.map((fop) => [fop, () => Promise.resolve(DONE)]),
) as unknown as Script;

function make(option: "on" | "off") {
  const child = new FakeChild(everything);
  const at = node("ro", [child]);
  const top = readOnly.create(at, readOptions(readOnly.options, new Map([["read-only", option]])));
  return { child, top, inode: at.inodes.root };
}

const isEROFS = (error: unknown) => EROFS.matches(error);

Deno.test("features/read-only: every fop that modifies is refused and never reaches the child", async () => {
  const { child, top } = make("on");
  const args = { xattrs: Xdata.of([["trusted.afr.v-client-0", ptr(Uint8Array.of(0, 1))]]) };
  const modifying = FOP_NAMES.filter((fop) => FOPS[fop].kind === "modify");
  for (const fop of modifying) await rejects(windTo(top, fop, ROOT, args as never), isEROFS, fop);
  deepEqual(child.seen, []);
});

Deno.test("features/read-only: what only looks, locks or closes passes", async () => {
  const { child, top } = make("on");
  const passing = FOP_NAMES.filter((fop) => FOPS[fop].kind !== "modify");
  for (const fop of passing) await windTo(top, fop, ROOT, { flags: 0 } as never);
  deepEqual(child.fops, passing);
});

Deno.test("features/read-only: open for writing or with truncation is refused", async () => {
  const { child, top, inode } = make("on");
  await rejects(top.open(ROOT, { inode, flags: O_RDWR }), isEROFS);
  await rejects(top.open(ROOT, { inode, flags: O_TRUNC }), isEROFS);
  deepEqual(child.seen, []);
});

Deno.test("features/read-only: an xattrop of zeros passes, for it only reads", async () => {
  const { child, top, inode } = make("on");
  const xattrs = Xdata.of([["trusted.afr.v-client-0", ptr(new Uint8Array(12))]]);
  await top.xattrop(ROOT, { inode, op: "add32", xattrs });
  await top.fxattrop(ROOT, { fd: new Fd(inode, O_RDWR), op: "add32", xattrs });
  deepEqual(child.fops, ["xattrop", "fxattrop"]);
});

Deno.test("features/read-only: an xattrop that stores zeros does not pass", async () => {
  const { child, top, inode } = make("on");
  const xattrs = Xdata.of([["trusted.glusterfs.shard.file-size", ptr(new Uint8Array(32))]]);
  await rejects(top.xattrop(ROOT, { inode, op: "get-and-set", xattrs }), isEROFS);
  deepEqual(child.fops, []);
});

Deno.test("features/read-only: self-heal still writes", async () => {
  const { child, top } = make("on");
  await top.writev({ ...ROOT, pid: PID_SELF_HEAL }, {} as never);
  deepEqual(child.fops, ["writev"]);
});

Deno.test("features/read-only: off passes everything, and turning it on refuses at once", async () => {
  const { child, top } = make("off");
  await top.writev(ROOT, {} as never);
  top.reconfigure?.({ "read-only": true } as never);
  await rejects(top.writev(ROOT, {} as never), isEROFS);
  equal(child.seen.length, 1);
});
