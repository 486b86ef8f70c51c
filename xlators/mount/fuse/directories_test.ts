import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { EIO } from "core/errno.ts";
import { type Args, type DirentPlus, DONE } from "core/fops.ts";
import { type Iatt, S_IFREG } from "core/iatt.ts";
import { Fd, type Gfid, InodeTable, ROOT_GFID } from "core/inode.ts";
import { readOptions } from "core/options.ts";
import { FakeChild, type Script } from "tests/fakes/fake_child.ts";
import { testClient, testEnv } from "tests/fakes/node.ts";
import { Bridge, type BridgeParts } from "xlators/mount/fuse/bridge.ts";
import { options } from "xlators/mount/fuse/options.ts";
import { ENTRY, OP, OUT_HEADER, ROOT_NODE } from "xlators/mount/fuse/protocol.ts";

const IN_HEADER = 40, PAGE = 4096;
const PARENTS = { preParent: undefined, postParent: undefined };

function gfidOf(i: number): Gfid {
  return `aaaaaaaa-0000-4000-8000-00000000000${i}` as Gfid;
}

/** A directory of six files, of which a listing has two; `nlink` is how many names each has. */
function bed(script: Script = {}, nlink = 1, given: Record<string, string> = {}) {
  const inodes = new InodeTable();
  const entry = (i: number): DirentPlus => ({
    name: `f${i}`,
    offset: BigInt(i),
    type: 8,
    ino: BigInt(i),
    stat: { gfid: gfidOf(i), mode: S_IFREG, size: 1, nlink } as Iatt,
    xdata: undefined,
  });
  const top = new FakeChild({
    opendir: (_call, { inode }) => Promise.resolve({ fd: new Fd(inode, 0) }),
    readdirp: (_call, { offset }) => {
      const first = Number(offset) + 1;
      return Promise.resolve({ entries: [entry(first), entry(first + 1)], eof: first >= 5 });
    },
    setattr: () => Promise.resolve({ pre: undefined, post: entry(3).stat }),
    unlink: () => Promise.resolve(PARENTS),
    releasedir: () => Promise.resolve(DONE),
    ...script,
  });
  const answers: Uint8Array[] = [];
  const values = readOptions(options, new Map(Object.entries({ mountpoint: "/m", ...given })));
  const send = (bytes: Uint8Array<ArrayBuffer>, size: number) => {
    answers.push(bytes.slice(0, size));
    return size;
  };
  const parts = { top, inodes, env: testEnv(), values, send, notify: () => Promise.resolve(0) };
  const bridge = new Bridge({ ...parts, crowded: () => {} } as BridgeParts);
  const ask = async (opcode: number, nodeid: number, body: Uint8Array = new Uint8Array(88)) => {
    const bytes = new Uint8Array(IN_HEADER + body.length), view = new DataView(bytes.buffer);
    [bytes.length, opcode, 2, 0, nodeid].forEach((word, i) => view.setUint32(4 * i, word, true));
    bytes.set(body, IN_HEADER);
    const before = answers.length;
    bridge.serve({ bytes, view }, 0, bytes.length);
    while (answers.length === before) await Promise.resolve();
    return answers.at(-1)!;
  };
  /** Names of the listing from `offset` on, with a star if attributes are told. */
  const list = async (offset: number) => {
    const body = new Uint8Array(40), view = new DataView(body.buffer);
    view.setUint32(8, offset, true);
    view.setUint32(16, PAGE, true);
    const listing = await ask(OP.READDIRPLUS, ROOT_NODE, body);
    const names: string[] = [];
    const words = new DataView(listing.buffer, OUT_HEADER);
    for (let at = 0; at < words.byteLength; at += ENTRY + 32) {
      const name = listing.subarray(OUT_HEADER + at + ENTRY + 24).subarray(0, 2);
      names.push(new TextDecoder().decode(name) + (words.getUint32(at, true) ? "*" : ""));
    }
    return names;
  };
  const change = (i: number) => {
    const node = bridge.tell({ gfid: gfidOf(i), mode: S_IFREG } as Iatt, ROOT_NODE, `f${i}`);
    const body = new Uint8Array(88);
    new DataView(body.buffer).setUint32(0, 1, true);
    return ask(OP.SETATTR, node.id, body);
  };
  const remove = () => ask(OP.UNLINK, ROOT_NODE, new TextEncoder().encode("f9\0"));
  const listings = () => top.fops.filter((fop) => fop === "readdirp").length;
  return { top, bridge, ask, list, change, remove, listings, answers };
}

Deno.test("mount/fuse: the next entries of a directory are read while the kernel takes the last ones", async () => {
  const { ask, list, listings } = bed();
  await ask(OP.OPENDIR, ROOT_NODE);
  deepEqual([await list(0), listings()], [["f1*", "f2*"], 2]);
  deepEqual([await list(2), listings()], [["f3*", "f4*"], 3]);
  deepEqual([await list(4), listings()], [["f5*", "f6*"], 3]);
});

Deno.test("mount/fuse: what was read ahead tells nothing of files that changed since", async () => {
  const { bridge, ask, list, change } = bed();
  await ask(OP.OPENDIR, ROOT_NODE);
  await list(0);
  await change(3);
  deepEqual(await list(2), ["f3", "f4*"]);
  bridge.tell({ gfid: gfidOf(6), mode: S_IFREG } as Iatt, ROOT_NODE, "f6");
  bridge.heard({
    type: "cache-invalidation",
    clients: [testClient()],
    gfid: gfidOf(6),
    flags: 0,
    expireSec: 60,
    stat: undefined,
    parent: undefined,
    oldParent: undefined,
  });
  deepEqual(await list(4), ["f5*", "f6"]);
});

Deno.test("mount/fuse: a directory whose names changed is read again, and not ahead", async () => {
  const { top, ask, list, remove } = bed();
  await ask(OP.OPENDIR, ROOT_NODE);
  await list(0);
  await remove();
  deepEqual(await list(2), ["f3*", "f4*"]);
  const listings = top.seen.filter(({ fop }) => fop === "readdirp");
  deepEqual(listings.map(({ args }) => (args as Args<"readdirp">).offset), [0n, 2n, 2n]);
});

Deno.test("mount/fuse: where names went elsewhere, what has several is not told as it was", async () => {
  for (const [nlink, told] of [[1, ["f3*", "f4*"]], [2, ["f3", "f4"]]] as const) {
    const { bridge, ask, list } = bed({}, nlink);
    await ask(OP.OPENDIR, ROOT_NODE);
    await list(0);
    const other = bridge.tell({ gfid: gfidOf(9), mode: S_IFREG } as Iatt, ROOT_NODE, "f9");
    await ask(OP.UNLINK, other.id, new TextEncoder().encode("f\0"));
    deepEqual(await list(2), told);
  }
});

Deno.test("mount/fuse: listings tell of nothing more while the kernel knows twice of what it may", async () => {
  const { bridge, ask, list } = bed();
  bridge.reconfigure({ ...bridge.values, "lru-limit": 2 });
  await ask(OP.OPENDIR, ROOT_NODE);
  const first = bridge.tell({ gfid: gfidOf(9), mode: S_IFREG } as Iatt, ROOT_NODE, "f9");
  bridge.tell({ gfid: gfidOf(8), mode: S_IFREG } as Iatt, ROOT_NODE, "f8");
  deepEqual(await list(0), ["f1*", "f2"]);
  bridge.nodes.forget(first.id, 1);
  deepEqual(await list(2), ["f3*", "f4"]);
  bridge.reconfigure({ ...bridge.values, "lru-limit": 0 });
  deepEqual(await list(4), ["f5*", "f6*"]);
});

Deno.test("mount/fuse: reading ahead that fails is tried again by who reads on", async () => {
  let asked = 0;
  const { ask, list, listings } = bed({
    readdirp: (_call, { offset }) =>
      ++asked === 2 ? Promise.reject(EIO) : Promise.resolve({
        entries: [{
          name: `f${offset + 1n}`,
          offset: offset + 1n,
          type: 8,
          ino: 1n,
          stat: undefined,
          xdata: undefined,
        }],
        eof: offset > 0n,
      }),
  });
  await ask(OP.OPENDIR, ROOT_NODE);
  await list(0);
  deepEqual([await list(1), listings()], [["f2"], 3]);
});

Deno.test("mount/fuse: a directory is closed when what was read ahead has come", async () => {
  const coming = Promise.withResolvers<void>();
  const entry = { type: 8, ino: 1n, stat: undefined, xdata: undefined };
  const { top, ask, list } = bed({
    readdirp: async (_call, { offset }) => {
      if (offset) await coming.promise;
      return { entries: [{ ...entry, name: "f1", offset: 1n }], eof: false };
    },
  });
  await ask(OP.OPENDIR, ROOT_NODE);
  await list(0);
  await ask(OP.RELEASEDIR, ROOT_NODE);
  equal(top.fops.includes("releasedir"), false);
  coming.resolve();
  while (!top.fops.includes("releasedir")) await Promise.resolve();
});

Deno.test("mount/fuse: with enable-ino32 numbers of inodes have 32 bits, in listings too", async () => {
  const LONG = 0x8000_0001_0000_0003n;
  for (const [option, ino, root] of [["on", 0x8000_0002n, 1n], ["off", LONG, 1n]] as const) {
    const entries = [{ name: "f", offset: 1n, type: 8, ino: LONG, xdata: undefined }];
    const gfid = "aaaaaaaa-0000-4000-8000-000100000003" as Gfid;
    const { ask, answers } = bed(
      {
        readdir: () => Promise.resolve({ entries, eof: true }),
        lookup: () => Promise.resolve({ stat: { gfid } as Iatt, postParent: undefined }),
        stat: () => Promise.resolve({ stat: { gfid: ROOT_GFID } as Iatt }),
      },
      1,
      { "enable-ino32": option },
    );
    const body = new Uint8Array(40);
    const view = new DataView(body.buffer);
    view.setUint32(16, PAGE, true);
    await ask(OP.OPENDIR, ROOT_NODE);
    await ask(OP.READDIR, ROOT_NODE, body);
    await ask(OP.LOOKUP, ROOT_NODE, new TextEncoder().encode("f\0"));
    await ask(OP.GETATTR, ROOT_NODE);
    const [listed, looked, asked] = answers.slice(-3).map((each) => new DataView(each.buffer));
    equal(listed!.getBigUint64(OUT_HEADER, true), ino);
    equal(looked!.getBigUint64(OUT_HEADER + 40, true), ino);
    equal(asked!.getBigUint64(OUT_HEADER + 16, true), root);
  }
});
