/** protocol/client and core/volume.ts against bricks in processes of their own: GlusterFS's and ours. */

import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { EAGAIN, ENOENT, ENOTCONN } from "core/errno.ts";
import { buildGraph } from "core/graph.ts";
import { parseVolfile } from "core/volfile.ts";
import { Volume } from "core/volume.ts";
import { testEnv } from "tests/fakes/node.ts";
import { DaemonProcess } from "tests/e2e/daemon.ts";
import { cannotRun } from "tests/e2e/harness.ts";
import { Process, until } from "tests/e2e/process.ts";
import { TYPES } from "xlators/mod.ts";

function brickVolfile(directory: string, port: number): string {
  return `volume posix
    type storage/posix
    option directory ${directory}
end-volume
volume locks
    type features/locks
    subvolumes posix
end-volume
volume b1
    type debug/io-stats
    subvolumes locks
end-volume
volume server
    type protocol/server
    option transport-type tcp
    option transport.address-family inet
    option transport.socket.bind-address 127.0.0.1
    option transport.socket.listen-port ${port}
    option auth.addr.b1.allow *
    subvolumes b1
end-volume
`;
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** A client's volume over the brick at `port`. */
async function mount(port: number) {
  const env = testEnv();
  const graph = buildGraph(
    parseVolfile(`volume c
      type protocol/client
      option remote-host 127.0.0.1
      option remote-port ${port}
      option remote-subvolume b1
    end-volume`),
    TYPES,
    env,
  );
  await graph.start();
  const volume = new Volume({ top: graph.top, inodes: graph.inodes, env, call: ROOT });
  return { graph, volume };
}

async function isUp(port: number): Promise<boolean> {
  const { graph, volume } = await mount(port);
  try {
    await volume.stat("/");
    return true;
  } catch (error) {
    if (ENOTCONN.matches(error)) return false;
    throw error;
  } finally {
    await graph.stop();
  }
}

/** What a volume is for, in short. */
async function exercise(port: number, directory: string): Promise<void> {
  const { graph, volume } = await mount(port);
  const other = await mount(port);
  try {
    const data = new Uint8Array(3_000_001).map((_, i) => i * 13 + (i >> 9));
    await volume.mkdir("/a/b/c", { parents: true });
    await volume.writeFile("/a/b/c/data", data);
    deepEqual(Deno.readFileSync(`${directory}/a/b/c/data`).length, data.length);
    deepEqual(hash(await volume.readFile("/a/b/c/data")), hash(data));
    await volume.rename("/a/b/c/data", "/a/größe");
    await volume.setXattr("/a/größe", "user.k", new Uint8Array([1, 0, 2]));
    deepEqual(await other.volume.getXattr("/a/größe", "user.k"), new Uint8Array([1, 0, 2]));
    await volume.symlink("größe", "/a/link");
    equal((await volume.stat("/a/link")).size, data.length);
    await volume.link("/a/größe", "/a/b/hard");
    equal((await volume.stat("/a/b/hard")).nlink, 2);
    const names: string[] = [];
    for await (const { name } of volume.readDir("/a")) names.push(name);
    deepEqual(names.sort(), ["b", "größe", "link"]);
    await lockApart(volume, other.volume);
    await volume.unlink("/a/größe");
    await rejects(volume.stat("/a/link"), (error) => ENOENT.matches(error));
    await rejects(volume.readFile("/nope"), (error) => ENOENT.matches(error));
    deepEqual(hash(await volume.readFile("/a/b/hard")), hash(data));
  } finally {
    await other.graph.stop();
    await graph.stop();
  }
}

async function lockApart(one: Volume, other: Volume): Promise<void> {
  await using mine = await one.open("/a/größe", { write: true });
  await using theirs = await other.open("/a/größe", { write: true });
  await mine.lock("write", { size: 10n });
  await rejects(theirs.lock("write", { start: 5n, size: 1n }), (error) => EAGAIN.matches(error));
  await theirs.lock("write", { start: 10n, size: 1n });
  await mine.unlock();
  await theirs.lock("write", { start: 5n, size: 1n });
}

function hash(data: Uint8Array): number {
  let sum = data.length;
  for (const byte of data) sum = (Math.imul(sum, 31) + byte) | 0;
  return sum;
}

Deno.test("protocol/client: files, names, attributes and locks through a brick of ours", async () => {
  const dir = await Deno.makeTempDir({ prefix: "mt-client-" });
  await Deno.mkdir(`${dir}/b1`);
  await Deno.writeTextFile(`${dir}/b1.vol`, brickVolfile(`${dir}/b1`, 0));
  {
    await using brick = new DaemonProcess(["brick", "-f", `${dir}/b1.vol`]);
    await exercise(Number((await brick.address()).split(":")[1]), `${dir}/b1`);
    equal(await brick.end(), 0);
  }
  await Deno.remove(dir, { recursive: true });
});

Deno.test({
  name: "protocol/client: files, names, attributes and locks through glusterfsd",
  ignore: cannotRun("glusterfsd") !== "",
  async fn() {
    const dir = await Deno.makeTempDir({ prefix: "mt-client-" });
    const port = freePort();
    await Deno.mkdir(`${dir}/b1/.glusterfs`, { recursive: true });
    await Deno.writeTextFile(`${dir}/b1.vol`, brickVolfile(`${dir}/b1`, port));
    const brick = new Process(
      ["glusterfsd", "-N", "-f", `${dir}/b1.vol`, "-l", `${dir}/log`],
      `${dir}/out`,
    );
    try {
      await until("glusterfsd serves", () => isUp(port));
      await exercise(port, `${dir}/b1`);
    } finally {
      await brick.end();
      await Deno.remove(dir, { recursive: true });
    }
  },
});
