import {
  deepStrictEqual as deepEqual,
  notStrictEqual as notEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { type Call, ROOT } from "core/call.ts";
import { EINVAL, EIO, ENOENT, FopError } from "core/errno.ts";
import type { Args, XattropKind } from "core/fops.ts";
import { type Iatt, S_IFDIR, S_IFREG } from "core/iatt.ts";
import { Fd, type Gfid, gfidFromBytes, type Inode, ROOT_GFID } from "core/inode.ts";
import { readOptions } from "core/options.ts";
import { AT_FDCWD, cstring, sys } from "core/sys/calls.ts";
import { ptr, str, valueBytes, Xdata } from "core/xdata.ts";
import {
  GET_GFID_TYPE,
  INDEX_IA_TYPE_REQ,
  INDEX_IA_TYPE_RSP,
  LINK_COUNT,
  LINK_COUNT_REQUEST,
} from "core/xdata_keys.ts";
import { PassThrough, type Xlator } from "core/xlator.ts";
import { FakeChild, type Script } from "tests/fakes/fake_child.ts";
import { node } from "tests/fakes/node.ts";
import { index } from "xlators/features/index/index.ts";

const A = "aaaaaaaa-0000-4000-8000-000000000001" as Gfid;
const B = "bbbbbbbb-0000-4000-8000-000000000002" as Gfid;
const PENDING = "trusted.afr.v-client-1", DIRTY = "trusted.afr.dirty";

interface Bed {
  base: string;
  top: Xlator;
  child: FakeChild;
  inode(gfid: Gfid): Inode;
  names(kind: string): string[];
}

const stat = (gfid: Gfid, mode: number) => ({ gfid, mode }) as Iatt;

/** An index over a child that answers `script`, in a directory of its own. */
async function bed(script: Script, run: (bed: Bed) => Promise<void>): Promise<void> {
  const brick = await Deno.makeTempDir();
  const base = `${brick}/indices`;
  const child = new FakeChild(script);
  const at = node("idx", [child]);
  const given = new Map([["index-base", base], ["xattrop-pending-watchlist", "trusted.afr.v-"]]);
  const top = index.create(at, readOptions(index.options, given));
  try {
    await top.start?.();
    await run({
      base,
      top,
      child,
      inode: (gfid) => at.inodes.of(gfid),
      names: (kind) => [...Deno.readDirSync(`${base}/${kind}`)].map(({ name }) => name).sort(),
    });
  } finally {
    await top.stop?.();
    await Deno.remove(brick, { recursive: true });
  }
}

Deno.test("features/index: records of what copies missed go where nobody keeps them up to date", async () => {
  class Records extends PassThrough {
    forgetMissed() {}
  }
  class Other extends PassThrough {}
  for (const Layer of [Records, Other]) {
    const brick = await Deno.makeTempDir(), base = `${brick}/indices`;
    try {
      await Deno.mkdir(`${brick}/changed-ranges`);
      await Deno.writeTextFile(`${brick}/changed-ranges/${A}`, "{}");
      const between = new Other(node("between", [new Layer(node("layer", [new FakeChild()]))]));
      const values = readOptions(index.options, new Map([["index-base", base]]));
      await index.create(node("idx", [between]), values).start?.();
      const found = [...Deno.readDirSync(brick)].map(({ name }) => name).sort();
      deepEqual(found, Layer === Records ? ["changed-ranges", "indices"] : ["indices"]);
    } finally {
      await Deno.remove(brick, { recursive: true });
    }
  }
});

const answers = (name: string, ...bytes: number[]) =>
  Promise.resolve({ xattrs: Xdata.of([[name, ptr(Uint8Array.from(bytes))]]) });

function marking(
  bed: Bed,
  gfid: Gfid,
  name: string,
  bytes: number[],
  xdata?: Xdata,
  op: XattropKind = "add32",
) {
  const xattrs = Xdata.of([[name, ptr(Uint8Array.from(bytes))]]);
  return bed.top.xattrop(ROOT, { inode: bed.inode(gfid), op, xattrs, xdata });
}

async function virtualGfid(top: Xlator, inode: Inode, name: string): Promise<Gfid> {
  const { xattrs } = await top.getxattr(ROOT, { inode, name });
  return gfidFromBytes(valueBytes(xattrs!.raw(name)!)!);
}

async function listing(bed: Bed, gfid: Gfid, size = 4096): Promise<string[]> {
  const { fd } = await bed.top.opendir(ROOT, { inode: bed.inode(gfid) });
  const names: string[] = [];
  let offset = 0n;
  for (let eof = false; !eof;) {
    const reply = await bed.top.readdir(ROOT, { fd, offset, size });
    names.push(...reply.entries.map((entry) => entry.name));
    offset = reply.entries.at(-1)?.offset ?? offset;
    eof = reply.eof;
  }
  await bed.top.releasedir(ROOT, { fd });
  return names.sort();
}

Deno.test("features/index: its directories can be entered by a brick that is not root", async () => {
  await bed({ xattrop: () => answers(PENDING, 0, 0, 0, 1) }, async (bed) => {
    await marking(bed, A, PENDING, [0, 0, 0, 1]);
    for (const kind of ["xattrop", "dirty", "entry-changes"]) {
      equal(Deno.statSync(`${bed.base}/${kind}`).mode! & 0o777, 0o700, kind);
    }
  });
});

Deno.test("features/index: a pending mark is listed before it reaches storage", async () => {
  let listed: string[] = [];
  let names: (kind: string) => string[] = () => [];
  const xattrop = () => {
    listed = names("xattrop");
    return answers(PENDING, 0, 0, 0, 1);
  };
  await bed({ xattrop }, async (bed) => {
    names = bed.names;
    await marking(bed, A, PENDING, [0, 0, 0, 1]);
    equal(listed.length, 2, "base file and gfid");
    equal(listed[0], A);
    ok(listed[1]!.startsWith("xattrop-"));
    deepEqual(bed.names("dirty"), []);
  });
});

Deno.test("features/index: a mark whose xattrop failed stays listed", async () => {
  await bed({ xattrop: () => Promise.reject(EIO) }, async (bed) => {
    await rejects(marking(bed, A, PENDING, [0, 0, 0, 1]), (error) => EIO.matches(error));
    ok(bed.names("xattrop").includes(A));
  });
});

Deno.test("features/index: the entry goes when storage answers zeros, not before", async () => {
  let value = 2;
  await bed({ xattrop: () => answers(PENDING, 0, 0, 0, --value) }, async (bed) => {
    await marking(bed, A, PENDING, [255, 255, 255, 255]);
    ok(bed.names("xattrop").includes(A));
    await marking(bed, A, PENDING, [255, 255, 255, 255]);
    ok(!bed.names("xattrop").includes(A));
  });
});

Deno.test("features/index: transactions under way are listed under dirty", async () => {
  let value = 0;
  const fxattrop = () => answers(DIRTY, 0, 0, 0, value ^= 1);
  await bed({ fxattrop }, async (bed) => {
    const fd = new Fd(bed.inode(A), 2);
    const xattrs = Xdata.of([[DIRTY, ptr(Uint8Array.of(0, 0, 0, 1))]]);
    await bed.top.fxattrop(ROOT, { fd, op: "add32", xattrs });
    ok(bed.names("dirty").includes(A));
    await bed.top.fxattrop(ROOT, { fd, op: "add32", xattrs });
    ok(!bed.names("dirty").includes(A));
  });
});

Deno.test("features/index: an entry of an earlier run goes too", async () => {
  await bed({ xattrop: () => answers(PENDING, 0, 0, 0, 0) }, async (bed) => {
    await Deno.writeTextFile(`${bed.base}/xattrop/${A}`, "");
    await marking(bed, A, PENDING, [0, 0, 0, 0]);
    deepEqual(bed.names("xattrop"), []);
  });
});

Deno.test("features/index: disperse marks with 64 bit additions, sizes are not marks", async () => {
  const xattrop = (_call: Call, { xattrs }: Args<"xattrop">) => Promise.resolve({ xattrs });
  await bed({ xattrop }, async (bed) => {
    await marking(bed, A, "trusted.ec.size", [0, 0, 0, 0, 0, 0, 0, 1], undefined, "add64");
    deepEqual(bed.names("xattrop"), []);
    await marking(bed, A, "trusted.ec.dirty", [0, 0, 0, 0, 0, 0, 0, 1], undefined, "add64");
    ok(bed.names("xattrop").includes(A));
  });
});

Deno.test("features/index: xattrops of one inode run in turn, of two side by side", async () => {
  const finish: (() => void)[] = [];
  const xattrop = () =>
    new Promise<{ xattrs: Xdata }>((resolve) =>
      finish.push(() => resolve({ xattrs: Xdata.of([[PENDING, ptr(new Uint8Array(4))]]) }))
    );
  await bed({ xattrop }, async (bed) => {
    const first = marking(bed, A, PENDING, [1]);
    const second = marking(bed, A, PENDING, [1]);
    const other = marking(bed, B, PENDING, [1]);
    deepEqual(bed.child.seen.map(({ args }) => (args as Args<"xattrop">).inode.gfid), [A, B]);
    finish[0]!();
    await first;
    while (finish.length < 3) await Promise.resolve();
    ok(bed.names("xattrop").includes(A), "listed anew for the second");
    finish.forEach((each) => each());
    await Promise.all([second, other]);
    ok(!bed.names("xattrop").includes(A));
  });
});

Deno.test("features/index: the list reads as a virtual directory, entries can be removed", async () => {
  await bed({ xattrop: () => answers(PENDING, 1) }, async (bed) => {
    for (const gfid of [A, B]) await marking(bed, gfid, PENDING, [1]);
    const gfid = await virtualGfid(bed.top, bed.inode(ROOT_GFID), "glusterfs.xattrop_index_gfid");
    const xdata = Xdata.of([[INDEX_IA_TYPE_REQ.name, { type: "int", value: 1 }]]);
    const found = await bed.top.lookup(ROOT, { inode: bed.inode(gfid), name: "", xdata });
    equal(found.stat.gfid, gfid);
    equal(found.stat.mode & S_IFDIR, S_IFDIR);
    equal(found.xdata?.get(INDEX_IA_TYPE_RSP), 1);
    deepEqual(await listing(bed, gfid), [A, B]);
    deepEqual(await listing(bed, gfid, 1), [A, B], "one entry a reply");
    await bed.top.unlink(ROOT, { parent: bed.inode(gfid), name: A, flags: 0 });
    deepEqual(await listing(bed, gfid), [B]);
    await marking(bed, A, PENDING, [1]);
    deepEqual(await listing(bed, gfid), [A, B], "listed again after the purge");
    deepEqual(bed.child.fops, ["xattrop", "xattrop", "xattrop"]);
  });
});

Deno.test("features/index: a listing tells types on request, and drops stale base files", async () => {
  const lookup = (_call: Call, { inode }: Args<"lookup">) =>
    inode!.gfid === A
      ? Promise.resolve({ stat: stat(A, S_IFREG | 0o644), postParent: undefined })
      : Promise.reject(ENOENT);
  await bed({ lookup, xattrop: () => answers(DIRTY, 1) }, async (bed) => {
    for (const gfid of [A, B]) await marking(bed, gfid, DIRTY, [1]);
    await Deno.writeTextFile(`${bed.base}/dirty/dirty-${B}`, "");
    const gfid = await virtualGfid(bed.top, bed.inode(ROOT_GFID), "glusterfs.xattrop_dirty_gfid");
    const xdata = Xdata.of([[GET_GFID_TYPE.name, { type: "int", value: 1 }]]);
    const { fd } = await bed.top.opendir(ROOT, { inode: bed.inode(gfid) });
    const { entries, eof } = await bed.top.readdir(ROOT, { fd, offset: 0n, size: 4096, xdata });
    deepEqual(new Map(entries.map(({ name, type }) => [name, type])), new Map([[A, 8], [B, 0]]));
    ok(eof);
    ok(!bed.names("dirty").includes(`dirty-${B}`));
    equal(bed.names("dirty").length, 3);
  });
});

Deno.test("features/index: names that differ are kept by directory until they are healed", async () => {
  const xattrop = () => answers(PENDING, 0, 0, 0, 1);
  await bed({ xattrop }, async (bed) => {
    const create = (name: string) => Xdata.of([["glusterfs.xattrop-entry-create", str(name)]]);
    for (const name of ["one", "two", "three"]) await marking(bed, A, PENDING, [1], create(name));
    await marking(bed, A, PENDING, [0], Xdata.of([["glusterfs.xattrop-entry-delete", str("two")]]));

    const root = bed.inode(ROOT_GFID);
    const all = await virtualGfid(bed.top, root, "glusterfs.xattrop_entry_changes_gfid");
    deepEqual(await listing(bed, all), [A]);
    const found = await bed.top.lookup(ROOT, { parent: bed.inode(all), name: A });
    const names = bed.inode(found.stat.gfid);
    notEqual(names.gfid, A, "the real directory must stay reachable");
    deepEqual(await listing(bed, names.gfid), ["one", "three"]);
    await bed.top.unlink(ROOT, { parent: names, name: "one", flags: 0 });
    deepEqual(await listing(bed, names.gfid), ["three"]);
    await bed.top.rmdir(ROOT, { parent: bed.inode(all), name: A, flags: 1 });
    deepEqual(await listing(bed, all), []);
  });
});

Deno.test("features/index: a directory healed as a whole forgets its names", async () => {
  let value = 1;
  await bed({ xattrop: () => answers(PENDING, value) }, async (bed) => {
    await marking(bed, A, PENDING, [1], Xdata.of([["glusterfs.xattrop-entry-create", str("one")]]));
    value = 0;
    const xdata = Xdata.of([["glusterfs.xattrop-purge-index", { type: "int", value: 1 }]]);
    await marking(bed, A, PENDING, [255], xdata);
    ok(!bed.names("entry-changes").includes(A));
    ok(!bed.names("xattrop").includes(A));
  });
});

Deno.test("features/index: names with slashes change nothing outside of the index", async () => {
  await bed({ xattrop: () => answers(PENDING, 1) }, async (bed) => {
    const xdata = Xdata.of([["glusterfs.xattrop-entry-create", str("../../../x")]]);
    const refused = (error: unknown) => EINVAL.matches(error);
    await rejects(marking(bed, A, PENDING, [1], xdata), refused);
    const gfid = await virtualGfid(bed.top, bed.inode(ROOT_GFID), "glusterfs.xattrop_index_gfid");
    const parent = bed.inode(gfid);
    for (const name of ["../dirty", "..", ""]) {
      await rejects(bed.top.unlink(ROOT, { parent, name, flags: 0 }), refused);
    }
    deepEqual(bed.child.seen, []);
  });
});

Deno.test("features/index: lookup and fstat tell whether anything is listed, misses too", async () => {
  const script: Script = {
    xattrop: () => answers(PENDING, 1),
    lookup: () => Promise.reject(ENOENT),
    fstat: () => Promise.resolve({ stat: stat(A, S_IFREG) }),
  };
  await bed(script, async (bed) => {
    const xdata = Xdata.of([[
      LINK_COUNT_REQUEST.name,
      LINK_COUNT_REQUEST.write("glusterfs.xattrop_index_count"),
    ]]);
    const fstat = async () =>
      (await bed.top.fstat(ROOT, { fd: new Fd(bed.inode(A), 0), xdata })).xdata?.get(LINK_COUNT);
    equal(await fstat(), 0);
    await marking(bed, A, PENDING, [1]);
    equal(await fstat(), 1);
    await rejects(
      bed.top.lookup(ROOT, { parent: bed.inode(ROOT_GFID), name: "x", xdata }),
      (error) =>
        ENOENT.matches(error) && error instanceof FopError && error.xdata?.get(LINK_COUNT) === 1,
    );
    const name = "glusterfs.xattrop_index_count";
    const { xattrs } = await bed.top.getxattr(ROOT, { inode: bed.inode(ROOT_GFID), name });
    deepEqual(xattrs?.raw(name), { type: "uint", value: 1 });
  });
});

// ext4: at most 65,000 links; other file systems have bounds that a test cannot reach.
const EXT4_LINK_MAX = 65000;
function isExt4(): boolean {
  const buffer = new Uint8Array(120);
  const path = Deno.makeTempDirSync();
  sys.statfs(cstring(path), buffer);
  Deno.removeSync(path);
  return new DataView(buffer.buffer).getUint32(0, true) === 0xef53;
}

Deno.test({
  name: "features/index: a base file with no links left is followed by another",
  ignore: Deno.build.os !== "linux" || !isExt4(),
  fn: () =>
    bed({ xattrop: () => answers(PENDING, 1) }, async (bed) => {
      await marking(bed, A, PENDING, [1]);
      const from = cstring(`${bed.base}/xattrop/${A}`);
      Deno.mkdirSync(`${bed.base}/full`);
      for (let i = 2; i < EXT4_LINK_MAX; i++) {
        const linked = sys.linkat(AT_FDCWD, from, AT_FDCWD, cstring(`${bed.base}/full/${i}`), 0);
        equal(linked, 0);
      }
      await marking(bed, B, PENDING, [1]);
      ok(bed.names("xattrop").includes(B));
      equal(bed.names("xattrop").filter((name) => name.startsWith("xattrop-")).length, 2);
    }),
});

Deno.test("features/index: start fails where the parent of the index is missing", async () => {
  const given = new Map([["index-base", "/nonexistent/.glusterfs/indices"]]);
  const top = index.create(node("idx", [new FakeChild()]), readOptions(index.options, given));
  await rejects(top.start!(), (error) => ENOENT.matches(error));
});
