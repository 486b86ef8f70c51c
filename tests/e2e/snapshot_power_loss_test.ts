/**
 * Power losses under load: the file system of a brick is shut down (XFS can do that: nothing that is
 * not on the disk by then ever gets there), mounted again, and every snapshot is what it was.
 */

import { strictEqual as equal } from "node:assert/strict";
import { realRandom } from "core/env.ts";
import { BrickLink } from "mgmt/bricks/brick_link.ts";
import { removeReader, takeHistory } from "rpc/programs/history_ops.ts";
import { check } from "snapshot/engine/check.ts";
import { testEnv } from "tests/fakes/node.ts";
import { type Brick, Cluster, e2e, LONG } from "tests/e2e/harness.ts";
import { must, Process, run, until } from "tests/e2e/process.ts";

/** Older snapshots are removed: what is collected when the power goes is part of it. */
const ROUNDS = LONG ? 50 : 3, SNAPSHOTS = 3, SNAPSHOTS_MAX = 6;

/** A disk of its own, which can lose what it has not written. */
class Disk implements AsyncDisposable {
  private constructor(readonly path: string, private readonly image: string) {}

  static async make(): Promise<Disk> {
    const dir = await Deno.makeTempDir({ prefix: "sb-power-" });
    const disk = new Disk(`${dir}/disk`, `${dir}/image`);
    await Deno.mkdir(disk.path);
    await must(["truncate", "-s", "400M", disk.image]);
    await must(["mkfs.xfs", "-q", disk.image]);
    await disk.mount();
    return disk;
  }

  mount(): Promise<string> {
    return must(["mount", "-o", "loop", this.image, this.path]);
  }

  /** What is only in memory is lost from now on. */
  losePower(): Promise<string> {
    return must(["xfs_io", "-x", "-c", "shutdown", this.path]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run(["umount", "-l", this.path]);
    await Deno.remove(this.image.slice(0, this.image.lastIndexOf("/")), { recursive: true });
  }
}

function fio(directory: string, log: string): Process {
  const job = [
    ...["--name=load", `--directory=${directory}`, "--size=8m", "--rw=randwrite", "--bs=4k"],
    // Several units at a time, and some of them synced.
    ...["--bssplit=4k/70:16k/20:64k/10", "--fsync=50", "--ioengine=psync", "--numjobs=2"],
    ...["--time_based", "--runtime=600", "--randrepeat=0", "--verify=crc32c", "--do_verify=0"],
    // It would leave what it has written so far where the test was started.
    "--verify_state_save=0",
  ];
  return new Process(["fio", ...job], log);
}

e2e(
  `features/snapshot: ${ROUNDS} power losses under load, and every snapshot is what it was`,
  ["mkfs.xfs", "xfs_io", "fio", "mount.glusterfs"],
  async () => {
    await using disk = await Disk.make();
    await using cluster = await Cluster.start({
      ...{ layout: "one", performance: false, kinds: ["ours"], adopt: [`${disk.path}/brick`] },
      brick: { snapshots: "strict" },
    });
    const [brick] = cluster.bricks as [Brick];
    await using mount = await cluster.mount();
    const root = mount.path;
    const taken = new Map<string, { readonly id: string; readonly sums: string }>();
    const told = (name: string) =>
      must([
        "sh",
        "-c",
        'cd "$0" && find . -type f | sort | xargs md5sum',
        `${root}/.snaps/${name}`,
      ]);
    let epoch = 0;
    await must(["mkdir", `${root}/fio`]);
    for (let round = 1; round <= ROUNDS; round++) {
      const load = fio(`${root}/fio`, `${cluster.dir}/fio-${round}.log`);
      try {
        await until("fio writes", () => exists(`${root}/fio/load.1.0`));
        const link = new BrickLink(testEnv(), brick.socket);
        for (let count = 0; count < SNAPSHOTS; count++) {
          // Names come and go as well.
          await must([
            "sh",
            "-c",
            'echo "$1" > "$0/new" && mv "$0/new" "$0/named"',
            root,
            `${epoch}`,
          ]);
          const name = `s${++epoch}`;
          const facts = { kind: "snapshot" as const, file: undefined, created: 0, active: true };
          const reader = { id: realRandom.uuid(), name, epoch, ...facts };
          const { error } = await link.ask(takeHistory, { hold: undefined, reader });
          equal(error, "");
          taken.set(name, { id: reader.id, sums: await told(name) });
          const [oldest, gone] = [...taken][0]!;
          if (taken.size <= SNAPSHOTS_MAX) continue;
          equal((await link.ask(removeReader, { id: gone.id })).error, "");
          taken.delete(oldest);
        }
        link.close();
      } finally {
        await disk.losePower();
        await load.end("SIGKILL");
      }
      await brick.end("SIGKILL");
      await must(["umount", "-l", disk.path]);
      await disk.mount();
      const { damage } = await check(`${brick.path}/.glusterfs/history`).catch((error) => {
        throw new Error(`after round ${round}: ${error.message}`);
      });
      await brick.start();
      await until("the client is back", async () => (await run(["ls", root])).code === 0);
      for (const [name, { sums }] of taken) {
        await until(
          `${name} is reached`,
          async () => (await run(["ls", `${root}/.snaps/${name}`])).code === 0,
        );
        equal(await told(name), sums, `${name} after round ${round}: ${JSON.stringify(damage)}`);
      }
    }
    equal(epoch, ROUNDS * SNAPSHOTS);
  },
);

function exists(path: string): Promise<boolean> {
  return Deno.stat(path).then(() => true, () => false);
}
