import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import type { GraphEvent } from "core/events.ts";
import type { Iatt } from "core/iatt.ts";
import { type Gfid, InodeTable } from "core/inode.ts";
import { LinesLog, testEnv } from "tests/fakes/node.ts";
import { Invalidator } from "xlators/mount/fuse/invalidate.ts";
import type { Handle } from "xlators/mount/fuse/handles.ts";
import { Nodes } from "xlators/mount/fuse/nodes.ts";
import { ROOT_NODE } from "xlators/mount/fuse/protocol.ts";

const file = "aaaaaaaa-0000-4000-8000-000000000001" as Gfid;
const unknown = "aaaaaaaa-0000-4000-8000-000000000002" as Gfid;

/** A kernel that knows the root and a file. */
function bed(entry = 60, attributes = 60, limit = 16, prunes = false) {
  const inodes = new InodeTable(), nodes = new Nodes(inodes.root), log = new LinesLog();
  const id = nodes.tell(inodes.of(file), ROOT_NODE, "file").id;
  const words: string[] = [];
  const waiting: ((written: number) => void)[] = [];
  const invalidator = new Invalidator({
    nodes,
    inodes,
    env: testEnv({ log }),
    validity: () => ({ entry, attributes, missing: 0, ino32: false }),
    limit: () => limit,
    prunes: () => prunes,
    write: (bytes, size) => {
      words.push(spelled(bytes, size));
      return new Promise((resolve) => waiting.push(resolve));
    },
  });
  /** Takes one word, answering `written`. */
  const answer = async (written = 1) => {
    waiting.shift()?.(written);
    for (let turn = 0; turn < 5; turn++) await Promise.resolve();
  };
  /** Takes what there is. */
  const take = async (written = 1) => {
    for (let turn = 0; turn < 20; turn++) await answer(written);
    return words;
  };
  /** Tells of that many more files. */
  const tell = (count: number, name = "f") => {
    for (let i = 0; i < count; i++) {
      const gfid = `bbbbbbbb-0000-4000-8000-${`${nodes.size}`.padStart(12, "0")}` as Gfid;
      nodes.tell(inodes.of(gfid), ROOT_NODE, name && `${name}${nodes.size}`);
    }
  };
  return { invalidator, inodes, nodes, id, words, answer, take, tell, log };
}

function spelled(bytes: Uint8Array, size: number): string {
  const view = new DataView(bytes.buffer);
  equal(view.getUint32(0, true), size);
  equal(view.getBigUint64(8, true), 0n);
  const node = view.getBigUint64(16, true);
  if (view.getInt32(4, true) === 2) return `attributes ${node} ${view.getBigInt64(24, true)}`;
  if (view.getInt32(4, true) === 9) {
    const count = view.getUint32(16, true);
    equal(size, 32 + 8 * count);
    const ids = Array.from({ length: count }, (_, i) => view.getBigUint64(32 + 8 * i, true));
    return `unused ${ids.join(" ")}`;
  }
  const length = view.getUint32(24, true);
  equal(size, 32 + length + 1);
  return `name ${node} ${new TextDecoder().decode(bytes.subarray(32, 32 + length))}`;
}

function changed(gfid: Gfid, parent?: Gfid): GraphEvent {
  return {
    type: "cache-invalidation",
    clients: [],
    gfid,
    flags: 0,
    expireSec: 60,
    stat: undefined,
    parent: parent && { gfid: parent } as Iatt,
    oldParent: undefined,
  };
}

const ROOT_GFID = "00000000-0000-0000-0000-000000000001" as Gfid;
const doubted = (...names: string[]): GraphEvent => ({
  type: "names-doubted",
  parent: ROOT_GFID,
  names,
});

Deno.test("mount/fuse: the kernel is told of changed attributes of what it knows, with its directory", async () => {
  const { invalidator, id, take } = bed();
  invalidator.hear(changed(unknown));
  invalidator.hear(changed(file, ROOT_GFID));
  deepEqual(await take(), [`attributes ${id} -1`, "attributes 1 -1"]);
});

Deno.test("mount/fuse: the kernel is told of doubted names, once, where it relies on them for long", async () => {
  const { invalidator, take } = bed();
  const names = Array.from("abcdefghä");
  invalidator.hear(doubted(...names));
  invalidator.hear(doubted("ä", "z"));
  deepEqual(await take(), [...names, "z"].map((name) => `name 1 ${name}`));
  const short = bed(1);
  short.invalidator.hear(doubted("a"));
  deepEqual(await short.take(), []);
});

Deno.test("mount/fuse: when a brick comes or goes all attributes are doubted", async () => {
  const { invalidator, id, take } = bed();
  invalidator.hear({ type: "some-down" });
  deepEqual(await take(), ["attributes 1 -1", `attributes ${id} -1`]);
  const short = bed(1, 1);
  short.invalidator.hear({ type: "child-up" });
  deepEqual(await short.take(), []);
});

Deno.test("mount/fuse: words go eight at a time, and none after the end", async () => {
  const { invalidator, words, take } = bed();
  const names = Array.from("abcdefghijkl");
  invalidator.hear(doubted(...names));
  invalidator.hear(doubted("m"));
  deepEqual(words, names.slice(0, 8).map((name) => `name 1 ${name}`));
  const stopped = invalidator.stop();
  await take();
  await stopped;
  equal(words.length, 8);
});

Deno.test("mount/fuse: whenever a word was taken, the next one goes", async () => {
  const { invalidator, words, take, answer } = bed();
  invalidator.hear(doubted(...Array.from("abcdefghij")));
  await answer();
  equal(words.length, 9);
  invalidator.hear(doubted("k"));
  equal((await take()).length, 11);
  invalidator.hear(doubted("l"));
  equal((await take()).length, 12);
});

Deno.test("mount/fuse: a word about what the kernel forgot is no failure", async () => {
  const { invalidator, take, log } = bed();
  invalidator.hear(doubted("a"));
  await take(-2);
  deepEqual(log.lines, []);
  invalidator.hear(doubted("a"));
  await take(-22);
  equal(log.lines.length, 1);
});

Deno.test("mount/fuse: names of files told of longest ago are taken back when there are too many", async () => {
  const { invalidator, inodes, nodes, tell, take } = bed();
  tell(14);
  equal(nodes.isCrowded(16), false);
  tell(4);
  equal(nodes.isCrowded(16), true);
  // The root, which has no name, is one of the first four; one is in use again.
  nodes.tell(inodes.of(file), ROOT_NODE, "file");
  invalidator.crowded();
  deepEqual(await take(), ["name 1 f2", "name 1 f3"]);
  equal(nodes.isCrowded(16), false, "others have to come first");
  tell(3);
  invalidator.crowded();
  deepEqual((await take()).slice(2), [4, 5, 6, 7].map((i) => `name 1 f${i}`));
});

Deno.test("mount/fuse: names of directories, open files and locked ones are not taken back", async () => {
  const { invalidator, nodes, tell, take } = bed(60, 60, 32);
  tell(1, "");
  tell(40);
  nodes.of(4).locked = true;
  nodes.of(5).handles = new Set([{} as Handle]);
  invalidator.crowded();
  deepEqual(await take(), ["name 1 file", "name 1 f5", "name 1 f6", "name 1 f7"]);
});

Deno.test("mount/fuse: a kernel that prunes hears at once of all that is not in use, directories too", async () => {
  const { invalidator, inodes, nodes, tell, take } = bed(60, 60, 32, true);
  tell(1, "");
  tell(40);
  nodes.of(4).locked = true;
  nodes.of(5).handles = new Set([{} as Handle]);
  nodes.tell(inodes.of(file), ROOT_NODE, "file");
  invalidator.crowded();
  deepEqual(await take(), ["unused 3 6 7 8"]);
  invalidator.crowded();
  equal((await take()).length, 1, "others have to come first");
  tell(5);
  invalidator.crowded();
  deepEqual((await take()).slice(1), ["unused 9 10 11 12 13 14 15 16"]);
});

Deno.test("mount/fuse: no more names are taken back while the kernel still has some to hear of, but then", async () => {
  const { invalidator, words, tell, take } = bed(60, 60, 64);
  tell(70);
  invalidator.crowded();
  tell(10);
  invalidator.crowded();
  equal(words.length, 8);
  await take();
  equal((await take()).length, 15 + 16);
});
