/**
 * What a READ and a WRITE cost the client: a brick of ours in a process of its own, over loopback.
 * Storage is a file in the page cache. `deno bench --allow-all xlators/protocol/client`; the brick
 * and we share what processors there are.
 */

import { ROOT } from "core/call.ts";
import { buildGraph } from "core/graph.ts";
import { O_CREAT, O_RDWR } from "core/fops.ts";
import type { Gfid } from "core/inode.ts";
import { parseVolfile } from "core/volfile.ts";
import { withKey } from "core/xdata.ts";
import { GFID_REQ } from "core/xdata_keys.ts";
import { testEnv } from "tests/fakes/node.ts";
import { TYPES } from "xlators/mod.ts";

const MORTAR = new URL("../../../scripts/mortar", import.meta.url).pathname;
const BRICK = (directory: string, port: number) =>
  `volume b1
    type storage/posix
    option directory ${directory}
end-volume
volume server
    type protocol/server
    option transport.socket.bind-address 127.0.0.1
    option transport.socket.listen-port ${port}
    option auth.addr.b1.allow *
    subvolumes b1
end-volume
`;

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** A brick, a client of it and an open file of 16 MiB. */
async function begin() {
  const dir = await Deno.makeTempDir({ prefix: "mt-client-bench-" }), port = freePort();
  await Deno.mkdir(`${dir}/b1`);
  await Deno.writeTextFile(`${dir}/b1.vol`, BRICK(`${dir}/b1`, port));
  const brick = new Deno.Command(MORTAR, {
    args: ["brick", "-f", `${dir}/b1.vol`],
    env: { DENO: Deno.execPath() },
    stdout: "null",
    stderr: "null",
  }).spawn();
  globalThis.addEventListener("unload", () => {
    brick.kill("SIGKILL");
    Deno.removeSync(dir, { recursive: true });
  });
  const graph = buildGraph(
    parseVolfile(`volume c
      type protocol/client
      option remote-host 127.0.0.1
      option remote-port ${port}
      option remote-subvolume b1
    end-volume`),
    TYPES,
    testEnv(),
  );
  const up = new Promise<void>((resolve) =>
    graph.top.listen(({ type }) => type === "child-up" && resolve())
  );
  await graph.start();
  await up;
  const { fd } = await graph.top.create(ROOT, {
    parent: graph.inodes.root,
    name: "f",
    flags: O_RDWR | O_CREAT,
    mode: 0o100600,
    umask: 0,
    xdata: withKey(undefined, GFID_REQ, crypto.randomUUID() as Gfid),
  });
  const data = new Uint8Array(1 << 20).fill(7);
  for (let i = 0; i < 16; i++) {
    await graph.top.writev(ROOT, { fd, offset: i << 20, data, flags: 0 });
  }
  return { top: graph.top, fd };
}

const { top, fd } = await begin();

for (const [text, size] of [["4 KiB", 4 << 10], ["1 MiB", 1 << 20]] as const) {
  for (const depth of [1, 16]) {
    const data = new Uint8Array(size);
    const places = Array.from({ length: depth }, () => new Uint8Array(size));
    const offset = (i: number) => i * size % (16 << 20);
    Deno.bench(`read ${text}, ${depth} at once`, async () => {
      await Promise.all(
        places.map((_, i) => top.readv(ROOT, { fd, offset: offset(i), size, flags: 0 })),
      );
    });
    Deno.bench(`read ${text}, ${depth} at once, into place`, async () => {
      await Promise.all(
        places.map((into, i) => top.readv(ROOT, { fd, offset: offset(i), size, flags: 0, into })),
      );
    });
    Deno.bench(`write ${text}, ${depth} at once`, async () => {
      await Promise.all(
        places.map((_, i) => top.writev(ROOT, { fd, offset: offset(i), data, flags: 0 })),
      );
    });
  }
}
