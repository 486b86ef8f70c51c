import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { type Clock, realClock } from "core/env.ts";
import { ENOSPC } from "core/errno.ts";
import { type CacheInvalidation, UP } from "core/events.ts";
import { type Fops, O_RDWR } from "core/fops.ts";
import { type Iatt, S_IFREG } from "core/iatt.ts";
import { Fd, type Gfid, Inode } from "core/inode.ts";
import { readOptions } from "core/options.ts";
import { ptr, str, Xdata } from "core/xdata.ts";
import { XATTR_POSTSTAT } from "core/xdata_keys.ts";
import type { Xlator } from "core/xlator.ts";
import { FakeChild, type Script } from "tests/fakes/fake_child.ts";
import { callFrom, node, testClient, testEnv } from "tests/fakes/node.ts";
import { matchesPattern, upcall } from "xlators/features/upcall/upcall.ts";
import { Watchers } from "xlators/features/upcall/watchers.ts";

const FILE = "aaaaaaaa-0000-4000-8000-000000000001" as Gfid;
const DIR = "dddddddd-0000-4000-8000-000000000002" as Gfid;
const stat = { gfid: FILE, mode: S_IFREG | 0o644, size: 5 } as Iatt;
const dirStat = { gfid: DIR, mode: 0o40755 } as Iatt;
const wrote = { pre: stat, post: stat };

function bed(script: Script, option: Record<string, string> = {}) {
  let now = 0;
  const clock: Clock = { ...realClock, monotonic: () => now };
  const at = node("up", [new FakeChild(script)], { env: testEnv({ clock }) });
  const given = new Map(Object.entries({ "cache-invalidation": "on", ...option }));
  const top: Xlator = upcall.create(at, readOptions(upcall.options, given));
  const heard: CacheInvalidation[] = [];
  top.listen((event) => void (event.type === "cache-invalidation" && heard.push(event)));
  return {
    top,
    heard,
    wait: (ms: number) => void (now += ms),
    file: at.inodes.of(FILE),
    dir: at.inodes.of(DIR),
    one: callFrom(testClient("one")),
    two: callFrom(testClient("two")),
  };
}

const answering = <K extends keyof Fops>(fop: K, reply: unknown): Script => ({
  [fop]: () => Promise.resolve(reply),
});
const STAT = answering("stat", { stat });
const flags = (heard: readonly CacheInvalidation[]) =>
  heard.map((event) => [event.gfid, event.flags]);

Deno.test("features/upcall: a write is told to the other client, with the new attributes", async () => {
  const { top, heard, file, one, two } = bed({ ...STAT, ...answering("writev", wrote) });
  await top.stat(one, { inode: file });
  const fd = new Fd(file, O_RDWR);
  await top.writev(two, { fd, offset: 0, data: new Uint8Array(5), flags: 0 });
  deepEqual(flags(heard), [[FILE, UP.SIZE | UP.TIMES]]);
  deepEqual(heard[0]!.clients, [one.client]);
  deepEqual(heard[0]!.stat, stat);
  equal(heard[0]!.expireSec, 60);
});

Deno.test("features/upcall: nobody is told of own changes, of reads, of failures, or after the timeout", async () => {
  const fail = { setattr: () => Promise.reject(new Error("no")) };
  const { top, heard, wait, file, one, two } = bed({
    ...STAT,
    ...fail,
    ...answering("fsetattr", wrote),
  });
  await top.stat(one, { inode: file });
  await top.stat(two, { inode: file });
  await top.setattr(two, { inode: file, changes: {} }).catch(() => {});
  wait(61_000);
  await top.fsetattr(two, { fd: new Fd(file, 0), changes: {} });
  await top.fsetattr(two, { fd: new Fd(file, 0), changes: {} });
  deepEqual(heard, []);
});

Deno.test("features/upcall: off, nothing is watched and the child's promise is the answer", () => {
  const reply = Promise.resolve({ stat });
  const { top, heard, file, one } = bed({ stat: () => reply }, { "cache-invalidation": "off" });
  equal(top.stat(one, { inode: file }), reply);
  deepEqual(top.state?.(), { "files-watched": 0, "xattrs-registered": [] });
  deepEqual(heard, []);
});

Deno.test("features/upcall: unlink is told to who knew the file and to who knew the directory", async () => {
  const postParent = dirStat;
  const { top, heard, file, dir, one, two } = bed({
    ...STAT,
    ...answering("lookup", { stat, postParent }),
    ...answering("readdir", { entries: [], eof: true }),
    ...answering("unlink", { preParent: dirStat, postParent }),
  });
  await top.stat(one, { inode: file });
  await top.readdir(one, { fd: new Fd(dir, 0), offset: 0n, size: 100 });
  await top.unlink(two, { parent: dir, name: "f", flags: 0 });
  deepEqual(flags(heard), [
    [FILE, UP.NLINK | UP.TIMES | UP.PARENT_TIMES],
    [DIR, UP.TIMES],
  ]);
  deepEqual(heard[0]!.parent, dirStat);
});

Deno.test("features/upcall: rename carries both parents, and what it replaced is told too", async () => {
  const target = { ...stat, gfid: "eeeeeeee-0000-4000-8000-000000000005" as Gfid };
  const { top, heard, file, dir, one, two } = bed({
    ...STAT,
    ...answering("fstat", { stat: target }),
    ...answering("lookup", { stat: target }),
    ...answering("rename", { stat, postOldParent: dirStat, postNewParent: dirStat }),
  });
  await top.stat(one, { inode: file });
  await top.fstat(one, { fd: new Fd(new Inode(target.gfid), 0) });
  const args = { oldParent: dir, oldName: "a", newParent: dir, newName: "b" };
  await top.rename(two, args);
  deepEqual(flags(heard), [
    [target.gfid, UP.NLINK | UP.TIMES | UP.PARENT_TIMES],
    [FILE, UP.RENAME | UP.PARENT_TIMES],
  ]);
  deepEqual([heard[1]!.parent, heard[1]!.oldParent], [dirStat, dirStat]);
});

Deno.test("features/upcall: a new name is news for those who know the directory", async () => {
  const { top, heard, dir, one, two } = bed({
    ...answering("opendir", { fd: undefined }),
    ...answering("mkdir", { stat, postParent: dirStat }),
  });
  await top.opendir(one, { inode: dir });
  await top.mkdir(two, { parent: dir, name: "d", mode: 0o755, umask: 0 });
  deepEqual(flags(heard), [[DIR, UP.TIMES]]);
  deepEqual(heard[0]!.stat, dirStat);
});

Deno.test("features/upcall: a changed mode may change ACLs, changed times do not", async () => {
  let pre = stat;
  const setattr = () => Promise.resolve({ pre, post: stat });
  const { top, heard, file, one, two } = bed({ ...STAT, setattr });
  await top.stat(one, { inode: file });
  await top.setattr(two, { inode: file, changes: { mtime: "now" } });
  pre = { ...stat, mode: S_IFREG | 0o600 };
  await top.setattr(two, { inode: file, changes: { mode: 0o644 } });
  const all = UP.SIZE | UP.TIMES | UP.OWN | UP.MODE | UP.PERM;
  deepEqual(flags(heard), [[FILE, all], [FILE, all | UP.XATTR]]);
});

Deno.test("features/upcall: xattrs are told if a client asked for such, and only those", async () => {
  const xdata = Xdata.of([[XATTR_POSTSTAT.name, XATTR_POSTSTAT.write(stat)]]);
  const { top, heard, file, one, two } = bed({ ...STAT, ...answering("setxattr", { xdata }) });
  await top.stat(one, { inode: file });
  const value = ptr(Uint8Array.of(1));
  const xattrs = Xdata.of([["user.a", value], ["trusted.b", value]]);
  await top.setxattr(two, { inode: file, xattrs, flags: 0 });
  equal(heard.length, 0);
  await top.ipc(one, { op: 2, xdata: Xdata.of([["user.*", value]]) });
  await top.setxattr(two, { inode: file, xattrs, flags: 0 });
  deepEqual(flags(heard), [[FILE, UP.XATTR | UP.TIMES]]);
  deepEqual([...heard[0]!.xdata!.names()], ["user.a"]);
});

Deno.test("features/upcall: a pending mark is told when first set, not while it counts on", async () => {
  let stored = 1;
  const name = "trusted.afr.v-client-0";
  const xattrs = Xdata.of([[name, ptr(Uint8Array.of(0, 0, 0, 1))]]);
  const xattrop = () =>
    Promise.resolve({ xattrs: Xdata.of([[name, ptr(Uint8Array.of(0, 0, 0, stored++))]]) });
  const { top, heard, file, one, two } = bed({ ...STAT, xattrop });
  await top.ipc(one, { op: 2, xdata: Xdata.of([["trusted.afr.*", ptr(new Uint8Array(1))]]) });
  await top.stat(one, { inode: file });
  await top.xattrop(two, { inode: file, op: "add32", xattrs });
  await top.xattrop(two, { inode: file, op: "add32", xattrs });
  deepEqual(flags(heard), [[FILE, UP.XATTR]]);
});

Deno.test("features/upcall: other ipc operations pass", async () => {
  const { top } = bed(answering("ipc", { xdata: undefined }));
  deepEqual(await top.ipc(ROOT, { op: 5 }), { xdata: undefined });
});

Deno.test("features/upcall: a client that went away hears nothing", async () => {
  const { top, heard, file, one, two } = bed({ ...STAT, ...answering("truncate", wrote) });
  await top.stat(one, { inode: file });
  top.clientGone?.(one.client);
  await top.truncate(two, { inode: file, offset: 0 });
  deepEqual(heard, []);
});

Deno.test("features/upcall: beyond the bound, the file watched longest is given up with a notice", () => {
  const heard: CacheInvalidation[] = [];
  const watchers = new Watchers(realClock, 60, (event) => heard.push(event), 2);
  const client = testClient();
  for (const gfid of [FILE, DIR, "cccccccc-0000-4000-8000-000000000003" as Gfid]) {
    watchers.seen(client, gfid);
  }
  equal(watchers.size, 2);
  deepEqual(heard.map((event) => [event.gfid, event.flags, event.clients]), [
    [FILE, UP.FORGET, [client]],
  ]);
});

Deno.test("features/upcall: sweeping forgets who has not come back", () => {
  let now = 0;
  const clock: Clock = { ...realClock, monotonic: () => now };
  const watchers = new Watchers(clock, 60, () => {});
  watchers.seen(testClient(), FILE);
  now = 59_000;
  watchers.seen(testClient(), DIR);
  watchers.sweep();
  equal(watchers.size, 2);
  now = 61_000;
  watchers.sweep();
  equal(watchers.size, 1);
});

Deno.test("features/upcall: few patterns are kept, and of many names all are told without a look", async () => {
  const ipc = answering("ipc", {}), set = answering("removexattr", {});
  const { top, heard, file, one, two } = bed({ ...STAT, ...ipc, ...set });
  const names = (count: number, of: (i: number) => string) =>
    Xdata.of(Array.from({ length: count }, (_, i) => [of(i), str("")]));
  const register = (xdata: Xdata) => top.ipc(one, { op: 2, xdata });
  const full = (error: unknown) => ENOSPC.matches(error);
  await register(names(500, (i) => `user.exact${i}`));
  await register(names(32, (i) => `user.${i}*`));
  await rejects(register(names(1, () => "user.one-more*")), full);
  await register(names(1, () => "user.exact500"));
  await rejects(register(names(1000, (i) => `user.other${i}`)), full);
  await top.stat(one, { inode: file });
  const removed = async (xdata: Xdata) => {
    await top.removexattr(two, { inode: file, name: "", xdata });
    return heard.splice(0).map((event) => event.xdata?.size);
  };
  deepEqual(await removed(names(64, (i) => `trusted.${i}`)), []);
  deepEqual(await removed(names(65, (i) => `trusted.${i}`)), [65]);
  deepEqual(await removed(names(2, (i) => `user.${i}x`)), [2]);
});

Deno.test("features/upcall: patterns are shell patterns, and hostile ones do not take long", () => {
  ok(matchesPattern("user.a.b", "user.*"));
  ok(matchesPattern("user.ab", "user.?b"));
  ok(matchesPattern("security.capability", "security.capability"));
  ok(!matchesPattern("trusted.a", "user.*"));
  ok(!matchesPattern("user", "user.*"));
  // With a step for each way to match, this would not end.
  ok(!matchesPattern("a".repeat(255), "*a".repeat(120) + "b"));
});
