import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { type Call, PID_SET_UTIME, ROOT } from "core/call.ts";
import { type Clock, realClock } from "core/env.ts";
import { ENOENT, EOPNOTSUPP } from "core/errno.ts";
import { FOP_NAMES, FOPS } from "core/fops.ts";
import { type Iatt, S_IFREG } from "core/iatt.ts";
import type { Gfid } from "core/inode.ts";
import { readOptions } from "core/options.ts";
import { ptr, Xdata } from "core/xdata.ts";
import { SET_CTIME_MDATA } from "core/xdata_keys.ts";
import { windTo } from "core/xlator.ts";
import { FakeChild, type Script } from "tests/fakes/fake_child.ts";
import { node, testEnv } from "tests/fakes/node.ts";
import { utime } from "xlators/features/utime/utime.ts";

const gfid = "aaaaaaaa-0000-4000-8000-000000000001" as Gfid;
const times = { atime: 1, atimeNsec: 2, mtime: 3, mtimeNsec: 4, ctime: 5, ctimeNsec: 6 };
const stat = { gfid, mode: S_IFREG, ...times } as Iatt;
const NOW = { sec: 1700000000, nsec: 250_000_000 };
const everything = Object.fromEntries(
  FOP_NAMES.map((fop) => [fop, () => Promise.resolve({ stat })]),
) as unknown as Script;

function bed(script: Script, option: Record<string, string> = {}) {
  const clock: Clock = { ...realClock, now: () => 1700000000250 };
  const child = new FakeChild({ ...everything, ...script });
  const at = node("utime", [child], { env: testEnv({ clock }) });
  const top = utime.create(at, readOptions(utime.options, new Map(Object.entries(option))));
  return { top, child, inode: at.inodes.of(gfid) };
}

Deno.test("features/utime: changes carry the client's time, what looks does not", async () => {
  const { top, child } = bed({});
  for (const fop of FOP_NAMES) await windTo(top, fop, ROOT, { changes: {} } as never);
  for (const { fop, call } of child.seen) {
    const marks = fop === "xattrop" || fop === "fxattrop";
    const own = call.pid === PID_SET_UTIME;
    const timed = FOPS[fop].kind === "modify" && !marks && !own;
    deepEqual(call.ctime, timed ? NOW : undefined, fop);
  }
});

Deno.test("features/utime: with noatime off, reading carries it too", async () => {
  const { top, child } = bed({}, { noatime: "off" });
  for (const fop of ["open", "opendir", "readv", "stat"] as const) {
    await windTo(top, fop, ROOT, {} as never);
  }
  deepEqual(child.seen.map(({ call }) => call.ctime), [NOW, NOW, NOW, undefined]);
});

Deno.test("features/utime: a stamp that is there stays", async () => {
  const { top, child } = bed({});
  const call: Call = { ...ROOT, ctime: { sec: 1, nsec: 0 } };
  await top.mkdir(call, {} as never);
  equal(child.seen[0]!.call, call);
});

Deno.test("features/utime: now is the client's now, other times stay", async () => {
  const { top, child, inode } = bed({});
  const mtime = { sec: 9, nsec: 9 };
  await top.setattr(ROOT, { inode, changes: { mode: 0o600, atime: "now", mtime } });
  deepEqual(child.last("setattr").changes, { mode: 0o600, atime: NOW, mtime });
});

Deno.test("features/utime: a file without stored times gets those that it shows", async () => {
  const { top, child, inode } = bed({});
  equal((await top.lookup({ ...ROOT, uid: 7 }, { inode, name: "" })).stat, stat);
  const { call, args } = child.seen[1]!;
  deepEqual([call.uid, call.pid], [0, PID_SET_UTIME]);
  deepEqual((args as { xattrs: Xdata }).xattrs.get(SET_CTIME_MDATA), {
    atime: { sec: 1, nsec: 2 },
    mtime: { sec: 3, nsec: 4 },
    ctime: { sec: 5, nsec: 6 },
  });
});

Deno.test("features/utime: a file with stored times, or a miss, stores nothing", async () => {
  const xdata = Xdata.of([["trusted.glusterfs.mdata", ptr(new Uint8Array(57))]]);
  const { top, child, inode } = bed({
    lookup: (_call, { name }) =>
      name ? Promise.reject(ENOENT) : Promise.resolve({ stat, postParent: undefined, xdata }),
  });
  await top.lookup(ROOT, { inode, name: "" });
  await rejects(top.lookup(ROOT, { parent: inode, name: "x" }), (error) => ENOENT.matches(error));
  deepEqual(child.fops, ["lookup", "lookup"]);
});

Deno.test("features/utime: a brick that does not store times is asked once per file, and lookup succeeds", async () => {
  const { top, child, inode } = bed({ setxattr: () => Promise.reject(EOPNOTSUPP) });
  await top.lookup(ROOT, { inode, name: "" });
  await top.lookup(ROOT, { inode, name: "" });
  deepEqual(child.fops, ["lookup", "setxattr", "lookup"]);
});
