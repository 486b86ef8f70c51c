/** Files of which copies are right in some parts only: what they answer is what GlusterFS 10.3 answers. */

import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { EIO, FopError } from "core/errno.ts";
import { O_RDWR } from "core/fops.ts";
import type { Fd, Inode } from "core/inode.ts";
import { str, Xdata } from "core/xdata.ts";
import { CONTENT, CONTENT_LIMIT } from "core/xdata_keys.ts";
import { bytes, gfidReq } from "tests/conformance/place.ts";
import { Scene } from "tests/fakes/replica_scene.ts";
import type { Counts } from "xlators/cluster/replicate/blame.ts";

/** What copy 0 says of copy 1, and copy 1 of copy 0. */
type Blames = readonly [Partial<Counts>, Partial<Counts>];
const DATA: Blames = [{ data: 1 }, { data: 1 }];
const METADATA: Blames = [{ metadata: 1 }, { metadata: 1 }];
const BOTH: Blames = [{ data: 1, metadata: 1 }, { data: 1, metadata: 1 }];
const ENTRY: Blames = [{ entry: 1 }, { entry: 1 }];
/** Copy 1 missed a write and copy 0 a change of attributes. */
const APART: Blames = [{ data: 1 }, { metadata: 1 }];

type Ask = (scene: Scene, inode: Inode, fd: Fd) => Promise<unknown>;
const XATTRS = Xdata.of([["user.a", str("1")]]);

const READS: Readonly<Record<string, Ask>> = {
  stat: ({ top }, inode) => top.stat(ROOT, { inode }),
  access: ({ top }, inode) => top.access(ROOT, { inode, mask: 4 }),
  getxattr: ({ top }, inode) => top.getxattr(ROOT, { inode, name: "user.z" }),
  list: ({ top }, inode) => top.getxattr(ROOT, { inode, name: "" }),
};
const CHANGES: Readonly<Record<string, Ask>> = {
  setattr: ({ top }, inode) => top.setattr(ROOT, { inode, changes: { mode: 0o600 } }),
  setxattr: ({ top }, inode) => top.setxattr(ROOT, { inode, xattrs: XATTRS, flags: 0 }),
  removexattr: ({ top }, inode) => top.removexattr(ROOT, { inode, name: "user.z" }),
};
const OF_FILES: Readonly<Record<string, Ask>> = {
  open: ({ top }, inode) => top.open(ROOT, { inode, flags: O_RDWR }),
  fstat: ({ top }, _, fd) => top.fstat(ROOT, { fd }),
  readv: (scene, _, fd) => scene.read(fd),
  fgetxattr: ({ top }, _, fd) => top.fgetxattr(ROOT, { fd, name: "user.z" }),
  ...READS,
  ...CHANGES,
  fsetattr: ({ top }, _, fd) => top.fsetattr(ROOT, { fd, changes: { mode: 0o600 } }),
  fsetxattr: ({ top }, _, fd) => top.fsetxattr(ROOT, { fd, xattrs: XATTRS, flags: 0 }),
  fremovexattr: ({ top }, _, fd) => top.fremovexattr(ROOT, { fd, name: "user.z" }),
};
const WRITES: Readonly<Record<string, Ask>> = {
  writev: (scene, _, fd) => scene.write(fd, "x"),
  truncate: ({ top }, inode) => top.truncate(ROOT, { inode, offset: 2 }),
  ftruncate: ({ top }, _, fd) => top.ftruncate(ROOT, { fd, offset: 2 }),
  fallocate: ({ top }, _, fd) => top.fallocate(ROOT, { fd, mode: 0, offset: 0, size: 9 }),
  discard: ({ top }, _, fd) => top.discard(ROOT, { fd, offset: 0, size: 2 }),
  zerofill: ({ top }, _, fd) => top.zerofill(ROOT, { fd, offset: 0, size: 2 }),
  fsync: ({ top }, _, fd) => top.fsync(ROOT, { fd, dataOnly: false }),
};
const NAMES: Readonly<Record<string, Ask>> = {
  lookup: ({ top, root }) => top.lookup(ROOT, { parent: root, name: "f" }),
  link: ({ top, root }, inode) => top.link(ROOT, { inode, parent: root, name: "l" }),
  unlink: ({ top, root }) => top.unlink(ROOT, { parent: root, name: "f", flags: 0 }),
};

async function blamed(scene: Scene, inode: Inode, [of1, of0]: Blames): Promise<void> {
  await scene.calm();
  await scene.blame(inode, 0, 1, of1);
  await scene.blame(inode, 1, 0, of0);
  for (const link of scene.links) {
    link.turn(false);
    link.turn(true);
  }
}

/** "hello" in a file with an attribute, on two copies that blame each other. */
async function fileThat(blames: Blames): Promise<{ scene: Scene; inode: Inode; fd: Fd }> {
  const scene = await Scene.of({ copies: 2 });
  const { inode, fd } = await scene.create("f");
  await scene.write(fd, "hello");
  await scene.top.setxattr(ROOT, { inode, xattrs: Xdata.of([["user.z", str("z")]]), flags: 0 });
  await blamed(scene, inode, blames);
  return { scene, inode, fd };
}

async function answerOf(asked: Promise<unknown>): Promise<string> {
  try {
    await asked;
    return "ok";
  } catch (error) {
    if (!(error instanceof FopError)) throw error;
    return EIO.matches(error) ? "EIO" : String(error);
  }
}

async function answers(asks: Readonly<Record<string, Ask>>, blames: Blames) {
  const told: Record<string, string> = {};
  for (const [name, ask] of Object.entries(asks)) {
    const { scene, inode, fd } = await fileThat(blames);
    told[name] = await answerOf(ask(scene, inode, fd));
    await scene.calm();
  }
  return told;
}

function all(asks: Readonly<Record<string, Ask>>, answer: string): Record<string, string> {
  return Object.fromEntries(Object.keys(asks).map((name) => [name, answer]));
}

Deno.test("cluster/replicate parts: a file split in data is neither read nor changed, attributes included", async () => {
  deepEqual(
    await answers({ ...OF_FILES, ...WRITES }, DATA),
    all({ ...OF_FILES, ...WRITES }, "EIO"),
  );
  deepEqual(await answers(NAMES, DATA), all(NAMES, "ok"));
});

Deno.test("cluster/replicate parts: a file split in attributes is written through what was open, and nothing else", async () => {
  deepEqual(await answers(OF_FILES, METADATA), all(OF_FILES, "EIO"));
  deepEqual(await answers(WRITES, METADATA), all(WRITES, "ok"));
  deepEqual(await answers(NAMES, METADATA), all(NAMES, "ok"));
});

Deno.test("cluster/replicate parts: a file split in both is neither read nor changed", async () => {
  deepEqual(
    await answers({ ...OF_FILES, ...WRITES }, BOTH),
    all({ ...OF_FILES, ...WRITES }, "EIO"),
  );
});

Deno.test("cluster/replicate parts: a file of which each copy is right in one part is read and changed", async () => {
  const asks = { ...OF_FILES, ...WRITES, ...NAMES };
  deepEqual(await answers(asks, APART), all(asks, "ok"));
});

Deno.test("cluster/replicate parts: a directory split in names is looked at and changed, one split in attributes is not", async () => {
  for (const [blames, answer] of [[ENTRY, "ok"], [METADATA, "EIO"]] as const) {
    for (const [name, ask] of Object.entries({ ...READS, ...CHANGES })) {
      const scene = await Scene.of({ copies: 2 });
      const args = { parent: scene.root, name: "d", mode: 0o755, umask: 0, xdata: gfidReq() };
      const { stat } = await scene.top.mkdir(ROOT, args);
      const inode = scene.on.inodes.of(stat.gfid);
      await scene.top.setxattr(ROOT, { inode, xattrs: Xdata.of([["user.z", str("z")]]), flags: 0 });
      await blamed(scene, inode, blames);
      equal(await answerOf(ask(scene, inode, undefined as unknown as Fd)), answer, name);
      await scene.calm();
    }
  }
});

/** Copy 0 has the data "longer one", copy 1 the mode 0600. */
async function fileApart(): Promise<{ scene: Scene; inode: Inode; fd: Fd }> {
  const file = await fileThat(APART), { scene, inode } = file;
  await scene.rewrite(0, inode, "longer one");
  const [, brick] = scene.on.bricks;
  await brick!.setattr(ROOT, { inode, changes: { mode: 0o600 } });
  return file;
}

Deno.test("cluster/replicate parts: size and mode are told by whom each is right", async () => {
  const { scene, inode, fd } = await fileApart();
  const told = async () => [
    (await scene.top.stat(ROOT, { inode })).stat,
    (await scene.top.fstat(ROOT, { fd })).stat,
    (await scene.top.lookup(ROOT, { parent: scene.root, name: "f" })).stat,
    (await scene.top.setattr(ROOT, { inode, changes: { uid: 7 } })).post!,
    (await scene.write(fd, "L")).post!,
  ];
  for (let times = 0; times < 2; times++) {
    for (const { size, mode } of await told()) deepEqual([size, mode & 0o777], [10, 0o600]);
  }
  equal(await scene.read(fd), "Longer one");
  equal((await scene.top.readv(ROOT, { fd, offset: 0, size: 1, flags: 0 })).stat, undefined);
  await scene.calm();
  deepEqual(await scene.allMarks(inode), ["1:1/0/0", "0:0/1/0"]);
});

Deno.test("cluster/replicate parts: what a file holds is not told along with its name by copies of which none is right in all", async () => {
  const { scene } = await fileApart();
  const xdata = Xdata.of([[CONTENT_LIMIT.name, CONTENT_LIMIT.write(4096)]]);
  for (let times = 0; times < 2; times++) {
    const { xdata: told } = await scene.top.lookup(ROOT, { parent: scene.root, name: "f", xdata });
    equal(told?.has(CONTENT) ?? false, false);
  }
});

Deno.test("cluster/replicate parts: with three copies, two that each missed something carry on without the third", async () => {
  const scene = await Scene.of(), { top, links } = scene;
  const { inode, fd } = await scene.create("f");
  const missed: readonly (() => Promise<unknown>)[] = [
    () => scene.write(fd, "HELLO"),
    () => top.setattr(ROOT, { inode, changes: { mode: 0o600 } }),
  ];
  for (const [away, change] of missed.entries()) {
    links[away]!.turn(false);
    await change();
    await scene.calm();
    links[away]!.turn(true);
  }
  links[2]!.turn(false);
  equal(await scene.read(fd), "HELLO");
  equal((await scene.top.stat(ROOT, { inode })).stat.mode & 0o777, 0o600);
  await scene.top.writev(ROOT, { fd, offset: 5, data: bytes("!"), flags: 0 });
  await scene.top.setattr(ROOT, { inode, changes: { mode: 0o640 } });
  equal(await scene.read(fd), "HELLO!");
  equal((await scene.top.fstat(ROOT, { fd })).stat.mode & 0o777, 0o640);
  await scene.calm();
});
