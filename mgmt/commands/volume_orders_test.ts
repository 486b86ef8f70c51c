/** Commands that ask bricks: barrier, clear-locks, statedump, profile; on bricks that answer as told. */

import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { str, textKey, Xdata } from "core/xdata.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";
import { volumeBarrier } from "mgmt/commands/volume_barrier.ts";
import { volumeClearLocks } from "mgmt/commands/volume_clear_locks.ts";
import { volumeCreate } from "mgmt/commands/volume_create.ts";
import { volumeProfile } from "mgmt/commands/volume_profile.ts";
import { volumeStart } from "mgmt/commands/volume_start.ts";
import { volumeStatedump } from "mgmt/commands/volume_statedump.ts";
import { volumeTop } from "mgmt/commands/volume_top.ts";
import { Dispatcher } from "mgmt/dispatch.ts";
import {
  type BrickAnswer,
  brickBarrier,
  type BrickRequest,
  getAttribute,
} from "rpc/programs/brick_ops.ts";
import { fakeCluster } from "tests/fakes/cluster.ts";

type Brick = (request: BrickRequest, procedure: number) => Partial<BrickAnswer>;

/** A started volume "v" of four bricks in two pairs, with bricks that answer by the last word of their path. */
async function withVolume(
  answer: (name: string) => Brick,
  body: (at: {
    readonly cluster: Cluster;
    readonly asked: string[];
    run(line: string): Promise<string>;
  }) => Promise<void>,
): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "mt-orders-" });
  try {
    const { cluster } = fakeCluster(`${dir}/home`);
    await Deno.mkdir(cluster.places.logs, { recursive: true });
    const asked: string[] = [];
    const bricks = cluster.bricks as unknown as {
      ask(
        volume: unknown,
        brick: { path: string },
        op: { procedure: number },
        args: BrickRequest,
      ): unknown;
    };
    bricks.ask = (_volume, { path }, { procedure }, request) => {
      const name = path.slice(path.lastIndexOf("/") + 1);
      asked.push(name);
      const given = answer(name)(request, procedure);
      return Promise.resolve({ ret: 0, errno: 0, output: undefined, error: "", ...given });
    };
    const dispatcher = new Dispatcher(cluster, [
      ...[volumeCreate, volumeStart, volumeBarrier, volumeClearLocks],
      ...[volumeProfile, volumeStatedump, volumeTop],
    ]);
    const run = async (line: string) => {
      const words = line.split(" ");
      const told = await dispatcher.run({
        words,
        form: "text",
        manner: "gluster",
        confirmed: true,
      });
      return `${told.stdout}${told.stderr}`.trimEnd();
    };
    const bricksOf = ["a", "b", "c", "d"].map((name) => `h:${dir}/${name}`).join(" ");
    await run(`volume create v replica 2 ${bricksOf} force`);
    equal(await run("volume start v"), "volume start: v: success");
    await body({ cluster, asked, run });
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("volume barrier: one brick that cannot takes it back from the others, and the option stays", () => {
  const up = new Set<string>();
  const brick = (name: string): Brick => ({ input }, procedure) => {
    equal(procedure, brickBarrier.procedure);
    const on = input!.get(textKey("barrier")) === "enable";
    if (name === "c" && on) return { ret: -1, error: "Failed to reconfigure barrier." };
    if (on) up.add(name);
    else up.delete(name);
    return {};
  };
  return withVolume(brick, async ({ cluster, run }) => {
    equal(
      await run("volume barrier v enable"),
      "volume barrier: command unsuccessful : Failed to reconfigure barrier.",
    );
    deepEqual([...up], []);
    equal((await cluster.volume("v")).options["features.barrier"], undefined);
    equal(await run("volume barrier v disable"), "volume barrier: command successful");
    equal((await cluster.volume("v")).options["features.barrier"], "disable");
  });
});

Deno.test("volume clear-locks: every copy has a line, bricks without the file none", () => {
  const brick = (name: string): Brick => ({ input }, procedure) => {
    equal(procedure, getAttribute.procedure);
    const key = input!.get(textKey("name"))!;
    const path = input!.get(textKey("path"));
    if (path === "/gone" || (path === "/f" && name < "c")) return { ret: -1, errno: 2 };
    return { output: Xdata.of([[key, str(`${key} on ${path === "/" ? "all" : name}`)]]) };
  };
  return withVolume(brick, async ({ run }) => {
    equal(
      await run("volume clear-locks v f kind granted posix 0,0-1"),
      "Volume clear-locks successful\n" +
        "glusterfs.clrlk.tposix.kgranted.0,0-1 on c\nglusterfs.clrlk.tposix.kgranted.0,0-1 on d",
    );
    equal(
      await run("volume clear-locks v / kind all entry f"),
      "Volume clear-locks successful\n" +
        "glusterfs.clrlk.tentry.kall.f on all\nglusterfs.clrlk.tentry.kall.f on all",
    );
    equal(
      await run("volume clear-locks v /gone kind all inode"),
      "Volume clear-locks unsuccessful\n" +
        "clear-locks getxattr command failed. Reason: No such file or directory",
    );
    equal(
      await run("volume clear-locks v /f kind all posix 1-2"),
      'Volume clear-locks unsuccessful\n"1-2" is no range: expected WHENCE,START-SIZE, such as 0,0-1024',
    );
  });
});

Deno.test("volume profile: start and stop are two options; what does not fit is refused before bricks are asked", () =>
  withVolume(
    () => () => ({ ret: -1, errno: 5, error: "the disk is gone" }),
    async ({ cluster, run, asked }) => {
      equal(await run("volume profile v info"), "Profile on Volume v is not started");
      equal(
        await run("volume profile v start"),
        "Starting volume profile on v has been successful",
      );
      const { options } = await cluster.volume("v");
      deepEqual(options["diagnostics.count-fop-hits"], "on");
      deepEqual(options["diagnostics.latency-measurement"], "on");
      equal(await run("volume profile v start"), "Profile on Volume v is already started");
      equal(
        await run("volume profile v info cumulative peek"),
        '"peek" does not go with cumulative: that starts no interval',
      );
      equal(
        await run("volume top v open bs 1 count 1"),
        '"bs" and "count" go with read-perf and write-perf, not with open\nvolume top unsuccessful',
      );
      deepEqual(asked, []);
      equal(/^Brick h:\S+\/a: the disk is gone$/.test(await run("volume profile v info")), true);
      equal(await run("volume profile v stop"), "Stopping volume profile on v has been successful");
      equal((await cluster.volume("v")).options["diagnostics.count-fop-hits"], undefined);
    },
  ));
