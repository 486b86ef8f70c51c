import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { type Call, type LkOwner, ROOT } from "core/call.ts";
import { EIO, ENODATA, ENOENT, ENOTCONN, ENOTEMPTY, FopError } from "core/errno.ts";
import type { Args, FopName, Reply } from "core/fops.ts";
import { type Gfid, type Inode, InodeTable } from "core/inode.ts";
import { readOptions } from "core/options.ts";
import { Volume } from "core/volume.ts";
import { ptr, valueBytes, Xdata } from "core/xdata.ts";
import { GFID_REQ } from "core/xdata_keys.ts";
import { settle, Uniform, type Xlator } from "core/xlator.ts";
import { gfidReq } from "tests/conformance/place.ts";
import { Checked } from "tests/fakes/checked.ts";
import { MemoryBrick } from "tests/fakes/memory_brick.ts";
import { node, testEnv } from "tests/fakes/node.ts";
import { seeded } from "tests/fakes/seeded.ts";
import { Cookies } from "xlators/cluster/distribute/cookies.ts";
import { distribute } from "xlators/cluster/distribute/distribute.ts";
import { options } from "xlators/cluster/distribute/options.ts";
import { locks } from "xlators/features/locks/locks.ts";

const SHARE = "trusted.glusterfs.dht", MDS = `${SHARE}.mds`, LINKTO = `${SHARE}.linkto`;
const MODES = 0o7777, LINK_MODE = 0o1000;
const NAMES = [...Array(24).keys()].map((i) => `n${i}`);
const utf8 = new TextEncoder();

/** A brick that can be away, or full, or have names that are not finished. */
class Flaky extends Uniform {
  away = false;
  full = false;
  /** Names that are there without a gfid, as between a mkdir's two system calls or after a crash. */
  readonly gfidless = new Set<string>();
  /** What removing a directory fails with. */
  rmdirFails: FopError | undefined;
  /** Called with each fop. */
  saw: (fop: FopName) => unknown = () => {};
  set up(up: boolean) {
    this.away = !up;
    this.emit({ type: up ? "child-up" : "child-down" });
  }
  protected async around<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    this.saw(fop);
    if (this.away) throw ENOTCONN;
    if (fop === "rmdir" && this.rmdirFails) throw this.rmdirFails;
    if (fop === "lookup") this.#finished(args as Args<"lookup">);
    const reply = await this.wind(fop, call, args);
    if (fop !== "statfs" || !this.full) return reply;
    const { statfs } = reply as Reply<"statfs">;
    return { statfs: { ...statfs, bavail: 0 } } as Reply<K>;
  }
  #finished({ name, xdata }: Args<"lookup">): void {
    if (!this.gfidless.has(name)) return;
    if (!xdata?.has(GFID_REQ)) throw ENODATA;
    this.gfidless.delete(name);
  }
}

function spread(count: number, given: Record<string, string> = {}) {
  const inodes = new InodeTable();
  const flaky = Array.from({ length: count }, (_, index) => {
    const memory = new MemoryBrick(node(`memory-${index}`, [], { inodes }));
    const place = node(`locks-${index}`, [memory], { inodes });
    const brick = locks.create(place, readOptions(locks.options, new Map()));
    return new Flaky(node(`v-client-${index}`, [brick], { inodes }));
  });
  const children: Xlator[] = flaky.map((each) =>
    new Checked(each, node(each.name, [], { inodes }))
  );
  const env = testEnv();
  const values = readOptions(options, new Map(Object.entries(given)));
  const top = distribute.create(node("v-dht", children, { inodes, env }), values);
  const volume = new Volume({ top, inodes, env, call: ROOT });
  return { bricks: flaky, top, inodes, volume };
}

type Spread = ReturnType<typeof spread>;

/** What is under `name` in `parent` on each brick. */
async function where({ bricks, inodes }: Spread, name: string, parent: Inode = inodes.root) {
  return await Promise.all(bricks.map(async (brick) => {
    try {
      const { stat } = await brick.lookup(ROOT, { parent, name });
      return (stat.mode & MODES) === LINK_MODE ? "link" : "data";
    } catch (error) {
      if (ENOENT.matches(error)) return "-";
      throw error;
    }
  }));
}

async function raw(brick: Xlator, inode: Inode, name: string): Promise<Uint8Array | undefined> {
  const value = (await brick.getxattr(ROOT, { inode, name })).xattrs?.raw(name);
  return value && valueBytes(value);
}

async function setRaw(brick: Xlator, inode: Inode, name: string, value: Uint8Array) {
  await brick.setxattr(ROOT, { inode, xattrs: Xdata.of([[name, ptr(value)]]), flags: 0 });
}

Deno.test("cluster/distribute: cookies come back with their subvolume, large ones but for low bits", () => {
  for (const count of [1, 2, 3, 5]) {
    const cookies = new Cookies(count);
    for (let index = 0; index < count; index++) {
      for (const cookie of [0n, 1n, 7n, 1n << 40n]) {
        deepEqual(cookies.split(cookies.join(index, cookie)), { index, cookie });
      }
      const large = (1n << 62n) | 0x123456789abcd0n;
      const got = cookies.split(cookies.join(index, large));
      equal(got.index, index);
      ok(got.cookie <= large && large - got.cookie < 64n);
    }
  }
  // libglusterfs gf-dirent.c, gf_itransform: times the count plus the number, or the top bit set.
  equal(new Cookies(2).join(1, 10n), 21n);
  equal(new Cookies(2).join(1, 1n << 61n), 1n << 62n | 1n << 60n | 1n);
});

Deno.test("cluster/distribute: new files avoid a full subvolume, and are found by their link files", async () => {
  const all = spread(3);
  all.bricks[1]!.full = true;
  for (const name of NAMES) await all.volume.writeFile(name, utf8.encode(name));
  const places = await Promise.all(NAMES.map((name) => where(all, name)));
  ok(places.every((each) => each[1] !== "data"), "nothing new is there");
  ok(places.some((each) => each[1] === "link" && each.includes("data")));
  for (const name of NAMES) {
    equal(new TextDecoder().decode(await all.volume.readFile(name)), name);
    await all.volume.unlink(name);
    deepEqual(await where(all, name), ["-", "-", "-"]);
  }
});

Deno.test("cluster/distribute: opening with O_CREAT what is elsewhere opens the data", async () => {
  const all = spread(3);
  all.bricks.forEach((brick, index) => brick.full = index !== 0);
  for (const name of NAMES) await all.volume.writeFile(name, utf8.encode("data"));
  const name = NAMES[
    (await Promise.all(NAMES.map((each) => where(all, each))))
      .findIndex((each) => each.includes("link"))
  ]!;
  const args = { parent: all.inodes.root, name, flags: 2, mode: 0o644, umask: 0 };
  const { fd, stat } = await all.top.create(ROOT, { ...args, xdata: gfidReq() });
  equal(stat.size, 4);
  const { data } = await all.top.readv(ROOT, { fd, offset: 0, size: 10, flags: 0 });
  equal(new TextDecoder().decode(data), "data");
  await all.top.release(ROOT, { fd });
});

Deno.test("cluster/distribute: a file without its link file is found, and gets one", async () => {
  const all = spread(3);
  await all.volume.stat("/");
  for (const name of NAMES) {
    const args = { parent: all.inodes.root, name, mode: 0o100644, rdev: 0, umask: 0 };
    await all.bricks[0]!.mknod(ROOT, { ...args, xdata: gfidReq() });
    await all.volume.stat(name);
    const places = await where(all, name);
    equal(places[0], "data");
    ok(places.filter((each) => each === "link").length <= 1);
  }
  const places = await Promise.all(NAMES.map((name) => where(all, name)));
  ok(places.some((each) => each.includes("link")));
  const hidden = spread(3, { "lookup-unhashed": "off" });
  await hidden.volume.stat("/");
  let missed = 0;
  for (const name of NAMES) {
    const args = { parent: hidden.inodes.root, name, mode: 0o100644, rdev: 0, umask: 0 };
    await hidden.bricks[0]!.mknod(ROOT, { ...args, xdata: gfidReq() });
    if (!await hidden.volume.exists(name)) missed++;
  }
  ok(missed > 0, "without looking everywhere some are not found");
});

Deno.test("cluster/distribute: a link file that leads nowhere is a miss, and goes", async () => {
  const all = spread(2);
  await all.volume.stat("/");
  for (const name of NAMES) {
    const xdata = gfidReq().merged(Xdata.of([[LINKTO, ptr(utf8.encode("v-client-0\0"))]]));
    const args = { parent: all.inodes.root, name, mode: 0o101000, rdev: 0, umask: 0, xdata };
    await all.bricks[1]!.mknod(ROOT, args);
  }
  deepEqual(await Array.fromAsync(all.volume.readDir("/")), []);
  for (const name of NAMES) equal(await all.volume.exists(name), false);
  const left = await Promise.all(NAMES.map((name) => where(all, name)));
  ok(left.some(([, second]) => second === "-"), "those where they belong are gone");
});

Deno.test("cluster/distribute: a directory missing on one subvolume is made when looked up", async () => {
  const all = spread(3);
  await all.volume.mkdir("/d", { mode: 0o750 });
  await all.volume.chown("/d", 7, 8);
  const { inode, stat } = await all.volume.lookup("/d");
  const at = (await Promise.all(all.bricks.map((each) => raw(each, inode, MDS).catch(() => {}))))
    .findIndex((value) => value === undefined);
  const gone = all.bricks[at]!;
  await gone.rmdir(ROOT, { parent: all.inodes.root, name: "d", flags: 0 });
  deepEqual((await all.volume.stat("/d")).mode, stat.mode);
  const made = (await gone.lookup(ROOT, { parent: all.inodes.root, name: "d" })).stat;
  deepEqual([made.gfid, made.mode, made.uid, made.gid], [stat.gfid, stat.mode, 7, 8]);
  for (const name of NAMES) await all.volume.writeFile(`/d/${name}`, utf8.encode("x"));
  equal((await Array.fromAsync(all.volume.readDir("/d"))).length, NAMES.length);
});

Deno.test("cluster/distribute: a broken layout is dealt out anew, a whole one kept", async () => {
  const all = spread(2);
  await all.volume.mkdir("/d");
  const { inode } = await all.volume.lookup("/d");
  const shares = () => Promise.all(all.bricks.map((each) => raw(each, inode, SHARE)));
  const before = await shares();
  await all.volume.stat("/d");
  deepEqual(await shares(), before);
  const overlapping = new Uint8Array(16).fill(0xff, 12);
  for (const brick of all.bricks) await setRaw(brick, inode, SHARE, overlapping);
  await all.volume.stat("/d");
  // The same ranges, and a commit hash that says names may be anywhere.
  const repaired = before.map((share) => share!.with(3, 1));
  deepEqual(await shares(), repaired);
});

Deno.test("cluster/distribute: owner and mode follow the copy that decides", async () => {
  const all = spread(2);
  await all.volume.mkdir("/d");
  const { inode, stat } = await all.volume.lookup("/d");
  const decides =
    (await Promise.all(all.bricks.map((each) => raw(each, inode, MDS).catch(() => {}))))
      .findIndex((value) => value !== undefined);
  const other = all.bricks[1 - decides]!;
  await other.setattr(ROOT, { inode, changes: { mode: 0o700, uid: 5 } });
  equal((await all.volume.stat("/d")).mode, stat.mode);
  const healed = (await other.stat(ROOT, { inode })).stat;
  deepEqual([healed.mode, healed.uid], [stat.mode, 0]);
});

Deno.test("cluster/distribute: while a subvolume is away its names fail and the others work", async () => {
  const all = spread(2);
  for (const name of NAMES) await all.volume.writeFile(name, utf8.encode("x"));
  await all.volume.mkdir("/dir");
  const places = new Map<string, string[]>();
  for (const name of NAMES) places.set(name, await where(all, name));
  const there = NAMES.filter((name) => places.get(name)![0] === "data");
  all.bricks[1]!.up = false;
  for (const name of NAMES) {
    if (there.includes(name)) await all.volume.stat(name);
    else await rejects(all.volume.stat(name), (error) => ENOTCONN.matches(error));
  }
  const listed = (await Array.fromAsync(all.volume.readDir("/"))).map(({ name }) => name).sort();
  deepEqual(listed, [...there, "dir"].sort());
  await rejects(all.volume.rename("/dir", "/moved"), (error) => ENOTCONN.matches(error));
  await rejects(all.volume.rmdir("/dir"), (error) => ENOTCONN.matches(error));
  all.bricks[1]!.up = true;
  equal((await Array.fromAsync(all.volume.readDir("/"))).length, NAMES.length + 1);
  await all.volume.rename("/dir", "/moved");
});

Deno.test("cluster/distribute: a name with different things on two subvolumes is EIO", async () => {
  const all = spread(2);
  await all.volume.stat("/");
  for (const [at, brick] of all.bricks.entries()) {
    const xdata = gfidReq(`00000000-0000-0000-0000-0000000000a${at}` as Gfid);
    await brick.mkdir(ROOT, { parent: all.inodes.root, name: "d", mode: 0o755, umask: 0, xdata });
  }
  await rejects(all.volume.stat("/d"), (error) => EIO.matches(error));
});

Deno.test("cluster/distribute: a directory that another client is making is waited for", async () => {
  const all = spread(2);
  const { parent, hashed, unlock } = await madeElsewhere(all, "d");
  const waits = new Promise<void>((resolve) => {
    all.bricks[hashed]!.saw = (fop) => fop === "entrylk" && resolve();
  });
  const found = all.volume.stat("/d");
  await waits;
  for (const brick of all.bricks) {
    const args = { parent, name: "d", mode: 0o750, umask: 0 };
    await brick.mkdir(ROOT, { ...args, xdata: gfidReq(GFID) });
    brick.gfidless.clear();
  }
  await unlock();
  deepEqual([(await found).gfid, (await found).mode & MODES], [GFID, 0o750]);
});

Deno.test("cluster/distribute: a file that another client is making is not there yet", async () => {
  const all = spread(2);
  await all.volume.stat("/");
  for (const brick of all.bricks) for (const name of NAMES) brick.gfidless.add(name);
  for (const name of NAMES) equal(await all.volume.exists(name), false);
});

Deno.test("cluster/distribute: link files stay while the file is being made", async () => {
  const all = spread(2);
  await all.volume.stat("/");
  for (const name of NAMES) {
    const xdata = gfidReq().merged(Xdata.of([[LINKTO, ptr(utf8.encode("v-client-0\0"))]]));
    const args = { parent: all.inodes.root, name, mode: 0o101000, rdev: 0, umask: 0, xdata };
    await all.bricks[1]!.mknod(ROOT, args);
    all.bricks[0]!.gfidless.add(name);
  }
  for (const name of NAMES) equal(await all.volume.exists(name), false);
  all.bricks[0]!.gfidless.clear();
  for (const name of NAMES) deepEqual(await where(all, name), ["-", "link"]);
});

Deno.test("cluster/distribute: a copy that a crash left without a gfid gets that of the others", async () => {
  const all = spread(3);
  await all.volume.stat("/");
  for (const [at, name] of NAMES.entries()) {
    await all.volume.mkdir(name);
    const { gfid } = await all.volume.stat(name);
    const brick = all.bricks[at % 3]!;
    brick.gfidless.add(name);
    equal((await all.volume.stat(name)).gfid, gfid);
    deepEqual([...brick.gfidless], [], "the gfid was proposed");
    await all.volume.writeFile(`${name}/f`, utf8.encode("x"));
  }
});

Deno.test("cluster/distribute: a directory that cannot be removed everywhere comes back", async () => {
  const all = spread(3);
  for (const name of NAMES) {
    await all.volume.mkdir(name);
    for (const [at, brick] of all.bricks.entries()) {
      brick.rmdirFails = at === 1 ? ENOTEMPTY : undefined;
    }
    await rejects(all.volume.rmdir(name), (error) => ENOTEMPTY.matches(error));
    deepEqual(await where(all, name), ["data", "data", "data"]);
  }
});

Deno.test("cluster/distribute: a directory that one subvolume lacks is renamed", async () => {
  const all = spread(3);
  for (const [at, name] of NAMES.entries()) {
    await all.volume.mkdir(name);
    const args = { parent: all.inodes.root, name, flags: 0 };
    await all.bricks[at % 3]!.rmdir(ROOT, args);
    const { root } = all.inodes;
    const rename = { oldParent: root, oldName: name, newParent: root, newName: `new-${name}` };
    const [renamed] = await settle([all.top.rename(ROOT, rename)]);
    // Where the new name belongs, the directory has to be.
    if (!renamed!.ok) ok(ENOENT.matches(renamed!.error));
    await all.volume.stat(renamed!.ok ? `new-${name}` : name);
  }
});

Deno.test("cluster/distribute: a rename locks the file before the names, as GlusterFS's clients do", async () => {
  const all = spread(2);
  const { root } = all.inodes;
  const other = { ...ROOT, client: { id: "other", address: "" }, lkOwner: "0b" as LkOwner };
  for (const name of NAMES) {
    await all.volume.writeFile(name, utf8.encode("x"));
    const { inode } = await all.volume.lookup(name);
    const brick = all.bricks[(await where(all, name)).indexOf("data")]!;
    const file = { inode, domain: "dht.file.migrate" };
    const range = { whence: 0, start: 0n, size: 0n, pid: 0, owner: other.lkOwner };
    await brick.inodelk(other, { ...file, cmd: "set-wait", lock: { ...range, type: "write" } });
    const locks = Promise.withResolvers<FopName>();
    for (const each of all.bricks) {
      each.saw = (fop) => /lk$/.test(fop) && locks.resolve(fop);
    }
    const renamed = all.volume.rename(name, `new-${name}`);
    equal(await locks.promise, "inodelk");
    // Its names are free for who has the file.
    const entry = { inode: root, domain: "dht.entry.sync", name, type: "write" } as const;
    await brick.entrylk(other, { ...entry, cmd: "lock" });
    await brick.entrylk(other, { ...entry, cmd: "unlock" });
    await brick.inodelk(other, { ...file, cmd: "set", lock: { ...range, type: "unlock" } });
    await renamed;
    equal((await all.volume.stat(`new-${name}`)).size, 1);
  }
});

Deno.test("cluster/distribute: a file that is replaced before a rename has locked it is moved all the same", async () => {
  const all = spread(2);
  for (const name of NAMES) {
    await all.volume.writeFile(name, utf8.encode("old"));
    await all.volume.writeFile(`tmp-${name}`, utf8.encode("newer"));
    let replaced: Promise<void> | undefined;
    for (const each of all.bricks) {
      each.saw = (fop) => {
        if (fop !== "inodelk" || replaced) return;
        replaced = Promise.resolve();
        replaced = all.volume.rename(`tmp-${name}`, name);
      };
    }
    await all.volume.rename(name, `new-${name}`);
    await replaced;
    const left = await all.volume.exists(name) ? [name] : [];
    const moved = (await all.volume.stat(`new-${name}`)).size;
    // One after the other, in either order.
    deepEqual([moved, left.length], moved === 3 ? [3, 1] : [5, 0]);
  }
});

Deno.test("cluster/distribute: locks are taken in the order of the subvolumes' names", async () => {
  const all = spread(11);
  const seen: number[] = [];
  for (const [at, each] of all.bricks.entries()) {
    each.saw = (fop) => fop === "inodelk" && seen.push(at);
  }
  await all.volume.mkdir("/d");
  deepEqual(seen.slice(0, 11), [0, 1, 10, 2, 3, 4, 5, 6, 7, 8, 9]);
});

const GFID = "00000000-0000-0000-0000-0000000000d1" as Gfid;

/** Another client is about to make `name`: it holds the name's lock, and no brick has a gfid for it. */
async function madeElsewhere(all: Spread, name: string) {
  const { root: parent } = all.inodes;
  await all.volume.mkdir(name);
  const decides = await Promise.all(all.bricks.map(async (brick) => {
    const { stat } = await brick.lookup(ROOT, { parent, name });
    return raw(brick, all.inodes.of(stat.gfid), MDS).then(() => true, () => false);
  }));
  await all.volume.rmdir(name);
  const hashed = decides.indexOf(true);
  const args = { inode: parent, domain: "dht.entry.sync", name, type: "write" } as const;
  const other = { ...ROOT, lkOwner: "0a" as LkOwner };
  await all.bricks[hashed]!.entrylk(other, { ...args, cmd: "lock" });
  for (const brick of all.bricks) brick.gfidless.add(name);
  const unlock = () => all.bricks[hashed]!.entrylk(other, { ...args, cmd: "unlock" });
  return { parent, hashed, unlock };
}

// The same random changes to one brick and to three must end the same, failures included.
for (const seed of [1, 2, 3]) {
  Deno.test(`cluster/distribute: 600 random changes do what one brick does, seed ${seed}`, async () => {
    const random = seeded(seed);
    const one = spread(1), three = spread(3);
    const pick = <T>(from: readonly T[]): T => from[random(from.length)]!;
    const path = () =>
      (random(3) ? "" : `/${pick(["p", "q", "r"])}`) + `/${pick(["p", "q", "r", "s", "t", "u"])}`;
    const steps: ((volume: Volume, a: string, b: string) => Promise<unknown>)[] = [
      (volume, a) => volume.writeFile(a, utf8.encode(a)),
      (volume, a) => volume.writeFile(a, utf8.encode(a)),
      (volume, a) => volume.mkdir(a),
      (volume, a, b) => volume.rename(a, b),
      (volume, a, b) => volume.rename(a, b),
      (volume, a, b) => volume.rename(a, b),
      (volume, a, b) => volume.link(a, b),
      (volume, a, b) => volume.symlink(a, b),
      (volume, a) => volume.unlink(a),
      (volume, a) => volume.rmdir(a),
      (volume, a) => volume.chmod(a, 0o700),
    ];
    for (let count = 0; count < 600; count++) {
      const step = pick(steps), a = path(), b = path();
      const [wanted, got] = await Promise.all(
        [one, three].map(({ volume }) => outcome(step(volume, a, b))),
      );
      equal(got, wanted, `step ${count}: ${step} ${a} ${b}`);
    }
    deepEqual(await tree(three.volume, "/"), await tree(one.volume, "/"));
    for (const entry of await Array.fromAsync(three.volume.readDir("/"))) {
      await removeAll(three.volume, `/${entry.name}`);
    }
    for (const brick of three.bricks) {
      const { fd } = await brick.opendir(ROOT, { inode: three.inodes.root });
      const { entries } = await brick.readdirp(ROOT, { fd, offset: 0n, size: 1 << 20 });
      const left = entries.filter(({ name }) => !/^\.\.?$/.test(name));
      deepEqual(left.map(({ name }) => name), [], `left on ${brick.name}`);
    }
  });
}

async function outcome(answer: Promise<unknown>): Promise<string> {
  try {
    await answer;
    return "done";
  } catch (error) {
    if (error instanceof FopError) return error.code;
    throw error;
  }
}

async function tree(volume: Volume, path: string): Promise<Record<string, string>> {
  const all: Record<string, string> = {};
  for await (const { name, stat } of volume.readDir(path)) {
    const at = `${path === "/" ? "" : path}/${name}`;
    const type = stat.mode >> 12;
    const links = type === 4 ? 0 : stat.nlink;
    const content = type === 8 ? new TextDecoder().decode(await volume.readFile(at)) : "";
    all[at] = `${stat.mode.toString(8)} ${links} ${content}`;
    if (type === 4) Object.assign(all, await tree(volume, at));
  }
  return Object.fromEntries(Object.entries(all).sort());
}

async function removeAll(volume: Volume, path: string): Promise<void> {
  if ((await volume.lstat(path)).mode >> 12 !== 4) return await volume.unlink(path);
  for (const { name } of await Array.fromAsync(volume.readDir(path))) {
    await removeAll(volume, `${path}/${name}`);
  }
  await volume.rmdir(path);
}
