import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { buildGraph } from "core/graph.ts";
import type { Gfid } from "core/inode.ts";
import { str, textKey, withKey, Xdata } from "core/xdata.ts";
import { GFID_REQ } from "core/xdata_keys.ts";
import { type BrickHost, listenForOrders } from "mgmt/brick/operations.ts";
import { INFO, profileRequest, readProfile } from "mgmt/brick/profile.ts";
import { readBlocks } from "mgmt/brick/volfile.ts";
import { statusRequest } from "mgmt/brick/status.ts";
import { clearRequest, readTop, topRequest } from "mgmt/brick/top.ts";
import { Connection } from "rpc/connection.ts";
import {
  attach,
  brickBarrier,
  type BrickOp,
  brickRequest,
  brickStatus,
  dumpMetrics,
  getAttribute,
  terminate,
  xlatorInfo,
} from "rpc/programs/brick_ops.ts";
import { connectTo } from "rpc/transport.ts";
import { testEnv } from "tests/fakes/node.ts";
import { IS_ROOT } from "tests/fakes/posix_brick.ts";
import { TYPES } from "xlators/mod.ts";

/** A brick that counts, and how it is asked. */
async function withBrick(
  body: (at: {
    readonly dir: string;
    readonly host: BrickHost;
    readonly ended: () => boolean;
    ask(op: BrickOp, input?: Xdata, name?: string): ReturnType<typeof askOne>;
  }) => Promise<void>,
): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "mt-orders-" });
  const env = testEnv();
  const volfile = `volume p
    type storage/posix
    option directory ${dir}
end-volume
volume l
    type features/locks
    subvolumes p
end-volume
volume b
    type features/barrier
    subvolumes l
end-volume
volume ${dir}
    type debug/io-stats
    option count-fop-hits on
    option latency-measurement on
    subvolumes b
end-volume
`;
  const graph = buildGraph(readBlocks(volfile, "x"), TYPES, env);
  await graph.start();
  let ended = false;
  const host: BrickHost = {
    env,
    graph,
    name: dir,
    end: () => void (ended = true),
    metrics: () => "one 1\n",
  };
  const socket = `${dir}.socket`;
  const orders = await listenForOrders(socket, host);
  const connection = new Connection(await connectTo({ kind: "unix", path: socket }), env, {});
  try {
    equal((await Deno.stat(socket)).mode! & 0o777, 0o600);
    const ask = (op: BrickOp, input?: Xdata, name = dir) => askOne(connection, op, input, name);
    await body({ dir, host, ended: () => ended, ask });
  } finally {
    connection.close("done");
    await orders.stop();
    await graph.stop();
    await Deno.remove(dir, { recursive: true });
  }
  await Deno.stat(socket).then(() => {
    throw new Error("the socket is left behind");
  }, () => {});
}

function askOne(connection: Connection, op: BrickOp, input: Xdata | undefined, name: string) {
  return connection.ask(op, brickRequest(op, name, input));
}

async function makeDirectory({ graph }: BrickHost, name: string): Promise<Gfid> {
  const gfid = crypto.randomUUID() as Gfid;
  const xdata = withKey(undefined, GFID_REQ, gfid);
  await graph.top.mkdir(ROOT, { parent: graph.inodes.root, name, mode: 0o755, umask: 0, xdata });
  return gfid;
}

const rooted = (name: string, body: Parameters<typeof withBrick>[0]) =>
  Deno.test({ name, ignore: !IS_ROOT, fn: () => withBrick(body) });

rooted(
  "mgmt/brick: figures are told, intervals begin anew, and clear forgets",
  async ({ host, ask }) => {
    const { graph } = host;
    const open = async () => {
      const { fd } = await graph.top.opendir(ROOT, { inode: graph.inodes.root });
      await graph.top.releasedir(ROOT, { fd });
    };
    const told = async (op: typeof INFO[keyof typeof INFO], peek = false) => {
      const { cleared, periods } = readProfile(
        (await ask(xlatorInfo, profileRequest(op, peek))).output,
      );
      const counts = periods.map(({ interval, fops }) => [
        interval,
        ...fops.map(({ fop, hits, timed }) => `${fop} ${hits} ${timed}`),
      ]);
      return cleared ? "cleared" : counts;
    };
    await open();
    const one = ["opendir 1 1", "releasedir 1 0"];
    deepEqual(await told(INFO.all, true), [[-1, ...one], [0, ...one]]);
    deepEqual(await told(INFO.incremental), [[0, ...one]]);
    await open();
    deepEqual(await told(INFO.all), [[-1, "opendir 2 2", "releasedir 2 0"], [1, ...one]]);
    equal(await told(INFO.clear), "cleared");
    deepEqual(await told(INFO.cumulative), [[-1]]);
  },
);

rooted(
  "mgmt/brick: the most used files are told by path, and their disk is measured",
  async ({ dir, host, ask }) => {
    const { graph } = host;
    await graph.top.opendir(ROOT, { inode: graph.inodes.of(await makeDirectory(host, "d")) });
    const opened = readTop((await ask(xlatorInfo, topRequest("opendir", 10, undefined))).output);
    deepEqual(opened, { cleared: false, files: [{ name: "/d", value: 1, at: 0 }] });
    const test = { blockSize: 4096, blocks: 10 };
    for (const kind of ["read-throughput", "write-throughput"] as const) {
      const { disk } = readTop((await ask(xlatorInfo, topRequest(kind, 10, test))).output);
      equal(disk!.time > 0 && Math.abs(disk!.throughput - 40960 / disk!.time) < 0.01, true);
    }
    deepEqual([...Deno.readDirSync(dir)].map(({ name }) => name).sort(), [".glusterfs", "d"]);
    equal(readTop((await ask(xlatorInfo, clearRequest())).output).cleared, true);
    deepEqual(
      readTop((await ask(xlatorInfo, topRequest("opendir", 10, undefined))).output).files,
      [],
    );
    const { ret, error } = await ask(
      xlatorInfo,
      topRequest("write-throughput", 1, { blockSize: 2 ** 30, blocks: 100 }),
    );
    equal(ret, -1);
    match(error, /cannot be written for a test/);
  },
);

rooted("mgmt/brick: the barrier goes up and down once each", async ({ ask, host }) => {
  const order = async (to: string) => {
    const { ret, error } = await ask(brickBarrier, Xdata.of([["barrier", str(to)]]));
    return ret < 0 ? error : "done";
  };
  const isUp = () => (host.graph.node("b")!.xlator.state!() as { enabled: boolean }).enabled;
  equal(await order("disable"), "Failed to reconfigure barrier.");
  equal(await order("enable"), "done");
  equal(isUp(), true);
  equal(await order("enable"), "Failed to reconfigure barrier.");
  equal(await order("disable"), "done");
  equal(isUp(), false);
});

rooted(
  "mgmt/brick: attributes of files are told by path; bad paths are refused",
  async ({ host, ask }) => {
    await makeDirectory(host, "f");
    const name = "glusterfs.clrlk.tposix.kall";
    const told = async (path: string) => {
      const input = Xdata.of([["path", str(path)], ["name", str(name)]]);
      const { ret, errno, output } = await ask(getAttribute, input);
      return ret < 0 ? errno : output!.get(textKey(name));
    };
    equal(await told("/f"), "No locks cleared.");
    equal(await told("/gone"), 2);
    equal(await told("f"), 22);
    equal(await told("/../f"), 22);
  },
);

rooted(
  "mgmt/brick: what it does not know or want is refused, and nothing of it harms",
  async ({ dir, ask, ended }) => {
    const unknown = await ask(brickStatus, Xdata.of([["cmd", { type: "uint", value: 0x20 }]]));
    deepEqual([unknown.ret, unknown.error], [-1, "Unknown status op"]);
    for (const part of ["mem", "clients", "inode", "fd", "callpool"] as const) {
      equal((await ask(brickStatus, statusRequest(part, dir))).ret, 0, part);
    }
    equal((await ask(attach, undefined, "/x.vol")).errno, 95);
    equal((await ask(xlatorInfo)).ret, 0);
    equal((await ask(dumpMetrics)).error, "one 1\n");
    equal((await ask(terminate, undefined, "/other")).ret, 0);
    equal(ended(), false);
    equal((await ask(terminate)).ret, 0);
    equal(ended(), true);
  },
);
