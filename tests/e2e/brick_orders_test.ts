/** A brick under orders, judged by GlusterFS's own programs: what it counted, how it ends, how it looks. */

import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { FOPS } from "core/fops.ts";
import { INFO, profileRequest, readProfile } from "mgmt/brick/profile.ts";
import { readTop, topRequest } from "mgmt/brick/top.ts";
import { Connection } from "rpc/connection.ts";
import { type BrickOp, brickRequest, xlatorInfo } from "rpc/programs/brick_ops.ts";
import { connectTo } from "rpc/transport.ts";
import { DaemonProcess } from "tests/e2e/daemon.ts";
import { e2e } from "tests/e2e/harness.ts";
import { must, processesNaming, run, until, untilEqual } from "tests/e2e/process.ts";
import { testEnv } from "tests/fakes/node.ts";
import type { Xdata } from "core/xdata.ts";

/** A brick in a temporary directory, that notes every fop in a trace above its statistics. */
async function tracedBrick() {
  const dir = await Deno.makeTempDir({ prefix: "mt-orders-" });
  const brick = `${dir}/brick`, socket = `${dir}/brick.socket`;
  await Deno.mkdir(brick);
  const layers = [
    ["posix", "storage/posix", `option directory ${brick}`],
    ["locks", "features/locks", ""],
    [brick, "debug/io-stats", "option count-fop-hits on\noption latency-measurement on"],
    ["trace", "debug/trace", "option log-file on"],
    [
      "server",
      "protocol/server",
      "option transport.socket.listen-port 0\noption auth.addr.trace.allow *",
    ],
  ] as const;
  const volfile = layers.map(([name, type, options], i) =>
    `volume ${name}\ntype ${type}\n${options}\n${
      i ? `subvolumes ${layers[i - 1]![0]}\n` : ""
    }end-volume\n`
  );
  await Deno.writeTextFile(`${dir}/brick.vol`, volfile.join(""));
  const process = new DaemonProcess([
    ...["brick", "-f", `${dir}/brick.vol`, "-S", socket, "--brick-name", brick],
    ...["--process-name", "brick"],
  ]);
  const address = await process.address();
  return {
    dir,
    brick,
    socket,
    process,
    port: Number(/:(\d+)$/.exec(address)![1]),
    async [Symbol.asyncDispose]() {
      await process[Symbol.asyncDispose]();
      await Deno.remove(dir, { recursive: true });
    },
  };
}

/** Asks the brick at `socket`. */
async function ask(socket: string, name: string, op: BrickOp, input: Xdata) {
  const connection = new Connection(await connectTo({ kind: "unix", path: socket }), testEnv(), {});
  try {
    return await connection.ask(op, brickRequest(op, name, input));
  } finally {
    connection.close("done");
  }
}

/** Fops that the trace saw, by name. */
function traced(lines: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const line of lines) {
    const label = / I fop .*?\bfop=(\w+)/.exec(line)?.[1];
    if (label !== undefined) counts[label] = (counts[label] ?? 0) + 1;
  }
  return counts;
}

e2e(
  "mortar brick: profile and top count what a C client did, to the call",
  ["glusterfs"],
  async () => {
    await using at = await tracedBrick();
    const { dir, brick, socket, process } = at;
    const mount = `${dir}/mnt`;
    await Deno.mkdir(mount);
    await Deno.writeTextFile(
      `${dir}/client.vol`,
      `volume c\ntype protocol/client\noption transport-type tcp\noption remote-host 127.0.0.1\n` +
        `option remote-port ${at.port}\noption remote-subvolume trace\nend-volume\n`,
    );
    await must(["glusterfs", "-f", `${dir}/client.vol`, "-l", `${dir}/client.log`, mount]);
    try {
      await must(["mkdir", `${mount}/d`]);
      const dd = ["dd", "oflag=direct", "status=none", `of=${mount}/d/f`];
      await must([...dd, "if=/dev/zero", "bs=4096", "count=5"]);
      await must([...dd, "if=/dev/zero", "bs=65536", "count=2", "conv=notrunc"]);
      await must([
        "dd",
        "iflag=direct",
        "status=none",
        `if=${mount}/d/f`,
        "of=/dev/null",
        "bs=16384",
      ]);
      await must(["mv", `${mount}/d/f`, `${mount}/d/g`]);
      for (let i = 0; i < 3; i++) await must(["cat", `${mount}/d/g`]);
    } finally {
      await must(["umount", mount]);
      await until("the client is gone", () => processesNaming(mount).length === 0);
    }
    const profile = async () => {
      const request = profileRequest(INFO.cumulative, true);
      const [period] = readProfile((await ask(socket, brick, xlatorInfo, request)).output).periods;
      const hits = period!.fops.map(({ fop, hits }) => [FOPS[fop].label, hits]);
      return { period, counted: Object.fromEntries(hits) as Record<string, number> };
    };
    // Releases come after the client's last answer, and what is traced is read a moment later.
    await until("all is released", async () => {
      const { OPEN = 0, CREATE = 0, RELEASE = 0, OPENDIR = 0, RELEASEDIR = 0 } =
        (await profile()).counted;
      return RELEASE === OPEN + CREATE && RELEASEDIR === OPENDIR;
    });
    const { period, counted } = await profile();
    await untilEqual("the trace has the same fops", counted, () => traced(process.lines));
    equal(counted["WRITE"], 7);
    equal(counted["MKDIR"], 1);
    equal(counted["RENAME"], 1);
    equal(counted["CREATE"], 1);
    deepEqual(period!.writes, [[4096, 5], [65536, 2]]);
    equal(period!.bytesWritten, 5 * 4096 + 2 * 65536);
    equal(period!.bytesRead >= 131072, true);
    for (const { fop, timed, averageNs, minNs, maxNs } of period!.fops) {
      if (fop === "release" || fop === "releasedir") equal(timed, 0);
      else ok(minNs > 0 && minNs <= averageNs && averageNs <= maxNs, fop);
    }
    const top = async (kind: "write" | "open" | "read") =>
      readTop((await ask(socket, brick, xlatorInfo, topRequest(kind, 5, undefined))).output);
    deepEqual((await top("write")).files, [{ name: "/d/g", value: 7, at: 0 }]);
    deepEqual((await top("open")).files, [{ name: "/d/g", value: counted["OPEN"]!, at: 0 }]);
    deepEqual((await top("read")).files, [{ name: "/d/g", value: counted["READ"]!, at: 0 }]);
    deepEqual((await top("open")).opens!.now, 0);
  },
);

e2e(
  "mortar brick: gf_attach -d ends it, and it looks like glusterfsd until then",
  ["gf_attach"],
  async () => {
    await using at = await tracedBrick();
    const { process, socket, brick } = at;
    const proc = (name: string) => Deno.readTextFile(`/proc/${process.pid}/${name}`);
    equal((await proc("comm")).trim(), "glusterfsd");
    match(
      (await proc("cmdline")).replaceAll("\0", " "),
      /^\/usr\/sbin\/glusterfsd -f \S+ -S \S+ --brick-name /,
    );
    process.kill("SIGUSR1");
    match(await process.said(/ statedump written /), new RegExp(` file=${at.dir}/`));
    const { code, out } = await run(["gf_attach", "-d", socket, brick]);
    deepEqual([code, out], [0, "OK\n"]);
    equal((await process.ended()).code, 0);
    await Deno.stat(socket).then(() => ok(false, "the socket is left behind"), () => {});
  },
);
