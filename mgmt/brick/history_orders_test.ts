import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { EEXIST, ENOENT, EOPNOTSUPP, ETIMEDOUT } from "core/errno.ts";
import { O_RDWR } from "core/fops.ts";
import { buildGraph, type Graph } from "core/graph.ts";
import { historyOperations } from "mgmt/brick/history_orders.ts";
import { readBlocks } from "mgmt/brick/volfile.ts";
import { Connection } from "rpc/connection.ts";
import type { Signature } from "rpc/program.ts";
import {
  historyUsage,
  holdHistory,
  joinReader,
  listReaders,
  releaseHistory,
  removeReader,
  takeHistory,
  updateReader,
} from "rpc/programs/history_ops.ts";
import { Listener } from "rpc/server.ts";
import { connectTo } from "rpc/transport.ts";
import { testEnv } from "tests/fakes/node.ts";
import { gfidReq, IS_ROOT } from "tests/fakes/posix_brick.ts";
import { TYPES } from "xlators/mod.ts";

type Ask = <A, R>(signature: Signature<A, R>, args: A) => Promise<R>;

/** A brick, and its end of the socket. */
async function withBrick(
  layers: string,
  body: (at: { ask: Ask; graph: Graph; dir: string }) => Promise<void>,
): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "sb-orders-" });
  const env = testEnv();
  const volfile = `volume p
    type storage/posix
    option directory ${dir}
end-volume
${layers.replaceAll("@", dir)}`;
  const graph = buildGraph(readBlocks(volfile, "x"), TYPES, env);
  await graph.start();
  const path = `${dir}.socket`;
  const listener = new Listener({ kind: "unix", path }, env, {
    programs: () => [historyOperations(graph)],
    connectionsMax: 4,
  });
  const connection = new Connection(await connectTo({ kind: "unix", path }), env, {});
  try {
    const ask: Ask = (signature, args) =>
      connection.ask(signature, args, { deadline: env.clock.monotonic() + 30_000 });
    await body({ ask, graph, dir });
  } finally {
    connection.close("done");
    await listener.stop();
    await graph.stop();
    await Deno.remove(dir, { recursive: true });
  }
}

const LAYER = `volume s
    type features/snapshot
    option directory @
    subvolumes p
end-volume
`;

function reader(id: string, epoch: number) {
  const facts = { kind: "snapshot" as const, file: undefined, created: 5, active: false };
  return { id, name: `name of ${id}`, epoch, ...facts };
}

Deno.test({
  name: "mgmt/brick: a snapshot is held, taken, renamed, joined and removed by orders",
  ignore: !IS_ROOT,
  fn: () =>
    withBrick(LAYER, async ({ ask, graph }) => {
      const done = { errno: 0, error: "" };
      const { top, inodes } = graph;
      const args = { parent: inodes.root, name: "f", flags: O_RDWR, mode: 0o644, umask: 0 };
      const { fd } = await top.create(ROOT, { ...args, xdata: gfidReq() });
      const write = () =>
        top.writev(ROOT, { fd, offset: 0, data: new Uint8Array(4096).fill(7), flags: 0 });
      await write();
      deepEqual(await ask(holdHistory, { id: "h", timeoutMs: 60_000 }), done);
      equal((await ask(holdHistory, { id: "h", timeoutMs: 60_000 })).errno, EEXIST.errno);
      let answered = false;
      const written = write().then(() => answered = true);
      equal(answered, false);
      deepEqual(await ask(takeHistory, { hold: "h", reader: reader("a", 3) }), done);
      await written;
      equal((await ask(releaseHistory, { id: "h" })).errno, ETIMEDOUT.errno);
      equal((await ask(takeHistory, { hold: "h", reader: reader("b", 4) })).errno, 110);
      const twice = await ask(takeHistory, { hold: undefined, reader: reader("b", 3) });
      equal(twice.errno, EEXIST.errno);
      match(twice.error, /File exists/);

      await write();
      const { epoch: _, ...joining } = { ...reader("c", 0), kind: "clone" as const };
      deepEqual(await ask(joinReader, { id: "a", reader: joining }), done);
      const change = { name: "other", kind: undefined, active: true };
      deepEqual(await ask(updateReader, { id: "a", change }), done);
      deepEqual(await ask(listReaders, {}), {
        trouble: "",
        epoch: 4,
        readers: [
          { ...reader("a", 3), name: "other", active: true },
          { ...joining, epoch: 3 },
        ],
      });
      const { usage } = await ask(historyUsage, {});
      deepEqual(usage!.readers, [
        { id: "a", alone: 0, shared: 4096 },
        { id: "c", alone: 0, shared: 4096 },
      ]);
      deepEqual(await ask(removeReader, { id: "a" }), done);
      equal((await ask(removeReader, { id: "a" })).errno, ENOENT.errno);
      deepEqual((await ask(historyUsage, {})).usage!.readers, [
        { id: "c", alone: 4096, shared: 0 },
      ]);
      await top.release(ROOT, { fd });
    }),
});

Deno.test({
  name: "mgmt/brick: a hold that ends by itself lets changes go on, and is no clean cut any more",
  ignore: !IS_ROOT,
  fn: () =>
    withBrick(LAYER, async ({ ask, graph: { top, inodes } }) => {
      await ask(holdHistory, { id: "h", timeoutMs: 1 });
      await top.mkdir(ROOT, {
        ...{ parent: inodes.root, name: "d", mode: 0o755, umask: 0, xdata: gfidReq() },
      });
      equal((await ask(takeHistory, { hold: "h", reader: reader("a", 3) })).errno, ETIMEDOUT.errno);
      deepEqual((await ask(listReaders, {})).readers, []);
    }),
});

Deno.test({
  name: "mgmt/brick: a brick without a history, or with one in trouble, says so",
  ignore: !IS_ROOT,
  fn: async () => {
    await withBrick("", async ({ ask }) => {
      match((await ask(listReaders, {})).trouble, /keeps no history/);
      equal((await ask(takeHistory, { hold: undefined, reader: reader("a", 3) })).errno, 95);
      equal((await ask(removeReader, { id: "a" })).errno, EOPNOTSUPP.errno);
    });
    await withBrick(LAYER.replace("option directory @", ""), async ({ ask }) => {
      match((await ask(listReaders, {})).trouble, /has no directory/);
      const { errno, error } = await ask(holdHistory, { id: "h", timeoutMs: 5 });
      equal(errno, 5);
      match(error, /has no directory/);
    });
  },
});
