/** A user without any rights manages volumes of their own. */

import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { DaemonProcess } from "tests/e2e/daemon.ts";
import { e2e } from "tests/e2e/harness.ts";
import { exists, must, Namespace, run, until } from "tests/e2e/process.ts";
import { MORTAR } from "tests/e2e/program.ts";

const USER = 65534;

/** Numbers of the processes of a user in a namespace. */
async function processesOf(space: Namespace): Promise<number[]> {
  const text = await must(["ip", "netns", "pids", space.name]);
  return text.split("\n").filter(Boolean).map(Number);
}

e2e(
  "mortar mgmt: a user without rights has volumes, from create to delete",
  ["setpriv"],
  async () => {
    await using space = await Namespace.create();
    const dir = await Deno.makeTempDir({ prefix: `${space.name}-` });
    try {
      await must(["chown", `${USER}:${USER}`, dir]);
      // Our own may be where only root comes.
      const deno = `${dir}/deno`, home = `${dir}/.local/share/mortar`;
      await Deno.copyFile(Deno.execPath(), deno);
      const env = { DENO: deno, HOME: dir, XDG_DATA_HOME: "", DENO_DIR: `${dir}/cache` };
      const settings = Object.entries(env).filter(([, value]) => value).map((each) =>
        each.join("=")
      );
      const as = [
        "setpriv",
        `--reuid=${USER}`,
        `--regid=${USER}`,
        "--clear-groups",
        "--inh-caps=-all",
      ];
      const inside = (argv: readonly string[]) =>
        space.inside([...as, "env", "-C", dir, "-u", "XDG_DATA_HOME", ...settings, ...argv]);
      const mortar = (line: string) => run(inside([MORTAR, ...line.split(" ")]));
      const done = async (line: string) => {
        const { code, out, err } = await mortar(line);
        equal(code, 0, `${line}: ${out}${err}`);
        return out;
      };
      await using daemon = new DaemonProcess(["mgmt"], {}, inside);
      match(await daemon.said(/ ready /), new RegExp(`socket=${home}/run/mgmt.socket`));
      const bricks = [0, 1].map((i) => `127.0.0.1:${dir}/b${i}`).join(" ");
      await done(`--mode=script volume create v1 replica 2 ${bricks} force`);
      await done("volume start v1");
      // Two bricks, and the healer.
      equal((await done("volume status v1")).match(/ Y {7}\d+/g)?.length, 3);
      await done("volume set v1 network.ping-timeout 11");
      await Deno.writeTextFile(`${dir}/text`, "written by nobody");
      await done(`volume create d1 127.0.0.1:${dir}/d1 force`);
      await done("volume start d1");
      await done(`file put ${dir}/text 127.0.0.1:d1/f`);
      equal(await done("file cat 127.0.0.1:d1/f"), "written by nobody");
      equal((await Deno.stat(`${dir}/d1/f`)).uid, USER);
      match(await must(["getfattr", "-d", "-m", ".", "--absolute-names", `${dir}/d1`]), /^user\./m);
      // What is not this user's is refused, and told.
      const refused = await mortar("volume create v2 127.0.0.1:/root/brick force");
      equal(refused.code, 1);
      match(refused.err + refused.out, /\/root\/brick.*[Pp]ermission denied/s);
      for (const name of ["v1", "d1"]) {
        await done(`--mode=script volume stop ${name}`);
        await done(`--mode=script volume delete ${name}`);
      }
      equal(await daemon.end(), 0);
      await until("no process is left", async () => (await processesOf(space)).length === 0);
      deepEqual([...Deno.readDirSync(`${home}/vols`)], []);
      ok(exists(`${dir}/d1/f`));
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },
);
