/** `volume create … --adopt`: a volume that GlusterFS 10.3 made, filled and left, taken over whole. */

import { match, ok, strictEqual as equal } from "node:assert/strict";
import { DaemonProcess } from "tests/e2e/daemon.ts";
import { e2e } from "tests/e2e/harness.ts";
import { must, Namespace, run, until } from "tests/e2e/process.ts";
import { MORTAR } from "tests/e2e/program.ts";
import { GLUSTERD_HOST, inGlusterd } from "tests/e2e/real_glusterd.ts";

/** Waits until all bricks of a volume are online. */
const ONLINE = (volume: string, bricks: number) =>
  `for try in $(seq 600); do
     [ "$(g volume status ${volume} | grep -c ' Y ')" -ge ${bricks} ] && break; sleep 0.1
   done`;

/** What runs after glusterd: a daemon of ours where its host's address is. */
class After implements AsyncDisposable {
  #daemon: DaemonProcess | undefined;
  #mounted = false;

  private constructor(readonly dir: string, readonly space: Namespace) {}

  static async start(dir: string): Promise<After> {
    const space = await Namespace.create();
    const at = new After(dir, space);
    await must(["ip", "-n", space.name, "address", "add", `${GLUSTERD_HOST}/32`, "dev", "lo"]);
    const args = ["mgmt", "--home", `${dir}/ours`, "--listen", GLUSTERD_HOST];
    at.#daemon = new DaemonProcess(args, {}, (argv) => space.inside(argv));
    await at.#daemon.address();
    return at;
  }

  inside(...argv: string[]) {
    return run(this.space.inside(argv), { env: { DENO: Deno.execPath() } });
  }

  /** A command of ours. */
  mortar(...words: string[]) {
    return this.inside(MORTAR, "--home", `${this.dir}/ours`, "--mode=script", ...words);
  }

  async mount(volume: string): Promise<string> {
    const point = `${this.dir}/mnt`;
    await Deno.mkdir(point);
    const args = ["-s", GLUSTERD_HOST, "--volfile-id", volume, "-l", `${this.dir}/mnt.log`, point];
    const { code, err } = await this.inside("glusterfs", ...args);
    equal(code, 0, err);
    this.#mounted = true;
    return point;
  }

  /** GlusterFS's self-heal daemon, on the volfile that our daemon makes for it. */
  async startHealer(volume: string): Promise<void> {
    const info = await Deno.readTextFile(`${this.dir}/ours/glusterd.info`);
    await Deno.mkdir(`${this.dir}/ours/run/shd/${volume}`, { recursive: true });
    const { code, err } = await this.inside(
      ...["glusterfs", "-s", GLUSTERD_HOST, "--volfile-id", `shd/${volume}`],
      ...[
        "-p",
        `${this.dir}/ours/run/shd/${volume}/${volume}-shd.pid`,
        "-l",
        `${this.dir}/shd.log`,
        "-S",
        `${this.dir}/shd.socket`,
      ],
      ...["--process-name", "glustershd", "--client-pid=-6"],
      ...["--xlator-option", `*replicate*.node-uuid=${/^UUID=(\S+)$/m.exec(info)![1]}`],
    );
    equal(code, 0, err);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#mounted) await run(["umount", "-l", `${this.dir}/mnt`]);
    await this.#daemon?.[Symbol.asyncDispose]();
    await this.space[Symbol.asyncDispose]();
  }
}

e2e(
  "volume create --adopt: copies that GlusterFS left, marks and options included, are served on",
  ["glusterd", "gluster"],
  async () => {
    const dir = await Deno.makeTempDir({ prefix: "mt-adopt-" });
    try {
      const bricks = ["a", "b", "c"].map((name) => `${GLUSTERD_HOST}:${dir}/${name}`);
      const state = `${dir}/glusterd`;
      await Deno.mkdir(state);
      // One copy misses the second file, and the others blame it.
      await inGlusterd(
        state,
        `g volume create v1 replica 3 ${bricks.join(" ")} force
         g volume set v1 performance.write-behind off
         g volume set v1 cluster.self-heal-daemon off
         g volume start v1; ${ONLINE("v1", 3)}
         mkdir ${dir}/m && glusterfs -s localhost --volfile-id v1 ${dir}/m
         echo first > ${dir}/m/one; mkdir ${dir}/m/deep
         kill -9 $(cat /var/run/gluster/vols/v1/*-b.pid)
         echo second > ${dir}/m/deep/two
         umount ${dir}/m; g volume stop v1`,
      );
      await using at = await After.start(dir);
      const wrong = await at.mortar(
        ...["volume", "create", "v1", "replica", "3", ...[...bricks].reverse(), "force"],
        ...["--adopt", "--state", state],
      );
      equal(wrong.code, 1);
      match(wrong.err, /state directory tells of other bricks, or of another order/);
      const made = await at.mortar(
        ...["volume", "create", "v1", ...bricks, "force", "--adopt", "--state", state],
      );
      equal(made.code, 0, made.err);
      const { out: info } = await at.mortar("volume", "info", "v1");
      const theirs = await Deno.readTextFile(`${state}/vols/v1/info`);
      const id = /^volume-id=(\S+)$/m.exec(theirs)![1]!;
      for (
        const line of [
          "Type: Replicate",
          `Volume ID: ${id}`,
          "Status: Created",
          "Number of Bricks: 1 x 3 = 3",
          "performance.write-behind: off",
          "cluster.self-heal-daemon: off",
          "cluster.granular-entry-heal: on",
        ]
      ) ok(info.includes(`${line}\n`), `${line} in\n${info}`);
      equal((await at.mortar("volume", "set", "v1", "cluster.self-heal-daemon", "on")).code, 0);
      equal((await at.mortar("volume", "start", "v1")).code, 0);
      const point = await at.mount("v1");
      await until(
        "the mount shows files",
        async () => (await run(["cat", `${point}/one`])).out === "first\n",
      );
      equal((await run(["cat", `${point}/deep/two`])).out, "second\n");
      // The marks name clients by the names they have here: GlusterFS's healer finds whom they blame.
      await at.startHealer("v1");
      await until(
        "the copy that missed it has it",
        async () => (await run(["cat", `${dir}/b/deep/two`])).out === "second\n",
      );
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },
);

e2e(
  "volume create --adopt: without a state directory the bricks themselves tell",
  ["glusterd", "gluster"],
  async () => {
    const dir = await Deno.makeTempDir({ prefix: "mt-adopt-" });
    try {
      const bricks = ["a", "b"].map((name) => `${GLUSTERD_HOST}:${dir}/${name}`);
      await Deno.mkdir(`${dir}/glusterd`);
      await inGlusterd(
        `${dir}/glusterd`,
        `g volume create v1 ${bricks.join(" ")} force; g volume start v1; ${ONLINE("v1", 2)}
         mkdir ${dir}/m && glusterfs -s localhost --volfile-id v1 ${dir}/m
         for i in $(seq 20); do echo $i > ${dir}/m/f$i; done
         umount ${dir}/m; g volume stop v1`,
      );
      await using at = await After.start(dir);
      await Deno.mkdir(`${dir}/empty`);
      const other = await at.mortar(
        ...["volume", "create", "v1", bricks[0]!, `${GLUSTERD_HOST}:${dir}/empty`],
        ...["force", "--adopt"],
      );
      match(other.err, /it has no volume id/);
      const made = await at.mortar("volume", "create", "v1", ...bricks, "force", "--adopt");
      equal(made.code, 0, made.err);
      equal((await at.mortar("volume", "start", "v1")).code, 0);
      const point = await at.mount("v1");
      await until(
        "all files are there",
        async () =>
          (await run(["sh", "-c", `cat ${point}/f* | sort -n | tail -n 1`])).out === "20\n",
      );
      equal([...Deno.readDirSync(point)].length, 20);
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },
);
