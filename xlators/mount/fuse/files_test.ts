import { deepStrictEqual as deepEqual } from "node:assert/strict";
import { Fd, InodeTable } from "core/inode.ts";
import { readOptions } from "core/options.ts";
import { withKey } from "core/xdata.ts";
import { CONTENT } from "core/xdata_keys.ts";
import { FakeChild } from "tests/fakes/fake_child.ts";
import { testEnv } from "tests/fakes/node.ts";
import { Bridge, type BridgeParts } from "xlators/mount/fuse/bridge.ts";
import { options } from "xlators/mount/fuse/options.ts";
import { FOPEN, NOTIFY, OP, OUT_HEADER, ROOT_NODE } from "xlators/mount/fuse/protocol.ts";

const OPEN_BYTES = 48;

/** A kernel that opens the root's node, which holds `text`; what it is told, in words. */
function bed(text: string, given: Record<string, string> = {}) {
  const inodes = new InodeTable(), told: string[] = [];
  const mood = { knows: true };
  const top = new FakeChild({
    open: (_call, { inode, flags }) => {
      const fd = new Fd(inode, flags), content = new TextEncoder().encode(text);
      return Promise.resolve({ fd, xdata: withKey(undefined, CONTENT, content) });
    },
  });
  const values = readOptions(options, new Map(Object.entries({ mountpoint: "/m", ...given })));
  const send = (bytes: Uint8Array<ArrayBuffer>, size: number) => {
    const view = new DataView(bytes.buffer);
    const word = (at: number) => view.getUint32(at, true);
    if (view.getInt32(4, true) !== NOTIFY.STORE) told.push(`opened ${word(OUT_HEADER + 8)}`);
    else if (!mood.knows) return -2;
    else {
      const data = new TextDecoder().decode(bytes.subarray(OUT_HEADER + 24, size));
      told.push(`${word(8)}: node ${word(16)} at ${word(24)} has ${word(32)} bytes: ${data}`);
    }
    return size;
  };
  const parts = { top, inodes, env: testEnv(), values, send, notify: () => Promise.resolve(0) };
  const bridge = new Bridge({ ...parts, crowded: () => {} } as BridgeParts);
  const open = async () => {
    const bytes = new Uint8Array(OPEN_BYTES), view = new DataView(bytes.buffer);
    [OPEN_BYTES, OP.OPEN, 2, 0, ROOT_NODE].forEach((word, i) => view.setUint32(4 * i, word, true));
    const before = told.length;
    bridge.serve({ bytes, view }, 0, OPEN_BYTES);
    while (told.length === before || !told.at(-1)!.startsWith("opened")) await Promise.resolve();
  };
  return { told, open, mood };
}

Deno.test("mount/fuse: what a file holds, if it comes with the open, goes to the kernel's cache", async () => {
  const { told, open } = bed("small");
  await open();
  deepEqual(told, [`0: node ${ROOT_NODE} at 0 has 5 bytes: small`, `opened ${FOPEN.KEEP_CACHE}`]);
});

Deno.test("mount/fuse: nothing is put into the kernel's cache that others may be reading", async () => {
  const { told, open } = bed("small");
  await open();
  await open();
  deepEqual(told.slice(2), ["opened 0"]);
});

Deno.test("mount/fuse: nothing is put where no cache is used, nor kept that the kernel did not take", async () => {
  const direct = bed("small", { "direct-io-mode": "on" });
  await direct.open();
  deepEqual(direct.told, [`opened ${FOPEN.DIRECT_IO}`]);
  const { told, open, mood } = bed("small");
  mood.knows = false;
  await open();
  deepEqual(told, ["opened 0"]);
});
