import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import type { GraphEvent } from "core/events.ts";
import type { Iatt } from "core/iatt.ts";
import { type Gfid, InodeTable } from "core/inode.ts";
import { LinesLog, testEnv } from "tests/fakes/node.ts";
import { Invalidator } from "xlators/mount/fuse/invalidate.ts";
import { Nodes } from "xlators/mount/fuse/nodes.ts";

const file = "aaaaaaaa-0000-4000-8000-000000000001" as Gfid;
const unknown = "aaaaaaaa-0000-4000-8000-000000000002" as Gfid;

/** A kernel that knows the root and a file; it takes one word at a time. */
function bed(entry = 60, attributes = 60) {
  const inodes = new InodeTable(), nodes = new Nodes(inodes.root), log = new LinesLog();
  const id = nodes.tell(inodes.of(file)).id;
  const words: string[] = [];
  const waiting: ((written: number) => void)[] = [];
  const invalidator = new Invalidator({
    nodes,
    inodes,
    env: testEnv({ log }),
    validity: () => ({ entry, attributes, missing: 0 }),
    write: (bytes, size) => {
      words.push(spelled(bytes, size));
      return new Promise((resolve) => waiting.push(resolve));
    },
  });
  /** Takes what there is, answering `written`. */
  const take = async (written = 1) => {
    for (let turn = 0; turn < 20; turn++) {
      waiting.shift()?.(written);
      await Promise.resolve();
    }
    return words;
  };
  return { invalidator, id, words, take, log };
}

function spelled(bytes: Uint8Array, size: number): string {
  const view = new DataView(bytes.buffer);
  equal(view.getUint32(0, true), size);
  equal(view.getBigUint64(8, true), 0n);
  const node = view.getBigUint64(16, true);
  if (view.getInt32(4, true) === 2) return `attributes ${node} ${view.getBigInt64(24, true)}`;
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
  invalidator.hear(doubted("a", "ä"));
  invalidator.hear(doubted("ä", "b"));
  deepEqual(await take(), ["name 1 a", "name 1 ä", "name 1 b"]);
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

Deno.test("mount/fuse: words go one after the other, and none after the end", async () => {
  const { invalidator, words, take } = bed();
  invalidator.hear(doubted("a", "b", "c"));
  await Promise.resolve();
  deepEqual(words, ["name 1 a"]);
  const stopped = invalidator.stop();
  await take();
  await stopped;
  deepEqual(words, ["name 1 a"]);
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
