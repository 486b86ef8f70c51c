import { match, strictEqual as equal } from "node:assert/strict";
import type { Json } from "core/xlator.ts";
import { asJson } from "mgmt/cluster/cluster.ts";
import { getState } from "mgmt/commands/get_state.ts";
import { Dispatcher } from "mgmt/dispatch.ts";
import { KEYS, type VolumeRecord } from "mgmt/records.ts";
import { fakeCluster } from "tests/fakes/cluster.ts";

const VOLUME: VolumeRecord = {
  name: "v1",
  id: "e620c8a5-ed05-41f0-98d7-84c10d63dd16",
  state: "started",
  kind: "distribute",
  replicaCount: 1,
  arbiterCount: 0,
  disperseCount: 0,
  redundancyCount: 0,
  stripeCount: 1,
  bricks: [{
    host: "h",
    path: "/nowhere/brick",
    nodeId: "c026f440-4e6b-4598-bfcd-de78e0922d8d",
    clientName: "v1-client-0",
  }],
  options: { "nfs.disable": "on", "user.note": "two\nlines" },
  username: "the-user",
  password: "the-password",
  version: 1,
  nextClient: 1,
  createdAt: 0,
};

async function withDirectory(
  body: (
    dir: string,
    run: (line: string) => Promise<{ stdout: string; stderr: string; exitCode: number }>,
  ) => Promise<void>,
): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "mt-state-" });
  try {
    const { cluster, store } = fakeCluster(dir);
    await Deno.mkdir(cluster.places.run);
    await store.transact((transaction) => {
      transaction.put(KEYS.volume("v1"), asJson(VOLUME) as Json);
      return Promise.resolve();
    });
    const dispatcher = new Dispatcher(cluster, [getState]);
    await body(dir, async (line) => {
      const words = line.split(" ");
      const { stdout, stderr, exitCode } = await dispatcher.run(
        { words, form: "text", manner: "gluster", confirmed: true },
      );
      return { stdout, stderr, exitCode };
    });
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("get-state: the file is named, holds the state, no secrets, and one line a value", () =>
  withDirectory(async (dir, run) => {
    const { stdout, exitCode } = await run(`get-state glusterd odir ${dir} file state`);
    equal(stdout, `glusterd state dumped to ${dir}/state\n`);
    equal(exitCode, 0);
    const text = await Deno.readTextFile(`${dir}/state`);
    match(text, /^Volume1\.Brick1\.status: Stopped$/m);
    match(text, /^Volume1\.options\.user\.note: two lines$/m);
    equal(/the-user|the-password/.test(text), false);
  }));

Deno.test("get-state: without words the file is among the daemon's, its name has the time", () =>
  withDirectory(async (dir, run) => {
    const { stdout } = await run("get-state");
    match(stdout, /^glusterd state dumped to .*\/run\/glusterd_state_\d{8}_\d{6}\n$/);
    const path = stdout.trim().split(" ").at(-1)!;
    equal(path.startsWith(`${dir}/run/`), true);
    match(await Deno.readTextFile(path), /^\[Global\]\nMYUUID: c026f440-/);
  }));

Deno.test("get-state: volumeoptions lists the options of every volume", () =>
  withDirectory(async (dir, run) => {
    await run(`get-state odir ${dir}/ file options volumeoptions`);
    const text = await Deno.readTextFile(`${dir}/options`);
    const count = Number(/^Volume1\.options\.count: (\d+)$/m.exec(text)![1]);
    equal(text.match(/^Volume1\.options\.key\d+: /gm)!.length, count);
    match(text, /^Volume1\.options\.value(\d+): on\nVolume1\.options\.key\1: nfs\.disable$/m);
  }));

Deno.test("get-state: a link in the file's place is replaced, not followed", () =>
  withDirectory(async (dir, run) => {
    await Deno.writeTextFile(`${dir}/precious`, "mine");
    await Deno.symlink(`${dir}/precious`, `${dir}/state`);
    await run(`get-state odir ${dir} file state`);
    equal(await Deno.readTextFile(`${dir}/precious`), "mine");
    equal((await Deno.lstat(`${dir}/state`)).isFile, true);
    await run(`get-state odir ${dir} file state`);
    equal([...Deno.readDirSync(dir)].length, 3);
  }));

Deno.test("get-state: what cannot be written says why and leaves nothing behind", () =>
  withDirectory(async (dir, run) => {
    await Deno.writeTextFile(`${dir}/file`, "");
    const refused: [line: string, why: RegExp][] = [
      [`odir ${dir}/none`, /state: Output directory .*\/none does not exist\.$/m],
      [`odir ${dir}/file`, /Output directory does not exist\. .*\/file points to a file\.$/m],
      [`odir ${dir} file run`, /Failed to open file at .*\/run/],
      [`odir ${dir} file ../up`, /"\.\.\/up": expected a name without slashes/],
      [`odir ${dir} file ..`, /"\.\.": expected a name/],
      [`odir relative file x`, /relative is not absolute/],
      [`shd`, /glusterd is the only supported daemon\./],
    ];
    for (const [line, why] of refused) {
      const { stdout, stderr, exitCode } = await run(`get-state ${line}`);
      match(stderr, why);
      equal(stdout, "");
      equal(exitCode, 1);
    }
    equal([...Deno.readDirSync(dir)].map(({ name }) => name).sort().join(" "), "file run");
  }));
