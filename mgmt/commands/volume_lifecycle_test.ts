import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { readVolumeId } from "mgmt/cluster/brick_directory.ts";
import { volumeCreate } from "mgmt/commands/volume_create.ts";
import { volumeDelete } from "mgmt/commands/volume_delete.ts";
import { volumeStart } from "mgmt/commands/volume_start.ts";
import { volumeStop } from "mgmt/commands/volume_stop.ts";
import { Dispatcher } from "mgmt/dispatch.ts";
import { memoryStore } from "mgmt/store/open_store.ts";
import { exists } from "tests/e2e/process.ts";
import { fakeCluster } from "tests/fakes/cluster.ts";
import { testEnv } from "tests/fakes/node.ts";

async function withCluster(
  body: (
    at: ReturnType<typeof fakeCluster> & {
      readonly dir: string;
      run(line: string): Promise<{ stdout: string; stderr: string; exitCode: number }>;
    },
  ) => Promise<void>,
  parts: Parameters<typeof fakeCluster>[1] = {},
): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "mt-life-" });
  try {
    const fake = fakeCluster(`${dir}/home`, parts);
    await Deno.mkdir(fake.cluster.places.logs, { recursive: true });
    const commands = [volumeCreate, volumeStart, volumeStop, volumeDelete];
    const dispatcher = new Dispatcher(fake.cluster, commands);
    const run = (line: string) =>
      dispatcher.run({
        words: line.split(" "),
        form: "text",
        manner: "gluster",
        confirmed: true,
      });
    await body({ ...fake, dir, run });
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("volume create: bricks are made and marked, and the volume is there", () =>
  withCluster(async ({ cluster, dir, run, published }) => {
    const { stdout, exitCode } = await run(
      `volume create v1 replica 3 arbiter 1 h:${dir}/a/ h:${dir}//b h:${dir}/c force`,
    );
    equal(stdout, "volume create: v1: success: please start the volume to access data\n");
    equal(exitCode, 0);
    const volume = await cluster.volume("v1");
    equal(volume.state, "created");
    deepEqual(volume.bricks.map(({ path, clientName }) => `${clientName} ${path}`), [
      `v1-client-0 ${dir}/a`,
      `v1-client-1 ${dir}/b`,
      `v1-client-2 ${dir}/c`,
    ]);
    equal(volume.arbiterCount, 1);
    for (const { path } of volume.bricks) equal(readVolumeId(path), volume.id);
    deepEqual(published, ["v1 2"]);
  }));

Deno.test("volume create: what cannot be made changes nothing and says why", () =>
  withCluster(async ({ store, dir, run }) => {
    await Deno.writeTextFile(`${dir}/file`, "");
    const long = "x".repeat(256);
    const refused: [string, RegExp][] = [
      [`v1 h:${dir}/a`, /is being created in the root partition.*'force'/],
      [`v1 h:${dir}/no/a force`, /Reason : No such file or directory; make .*\/no first/],
      [`v1 h:a force`, /Wrong brick type: h:a, use <HOSTNAME>:<export-dir-abs-path>/],
      [`v1 relative/a force`, /Wrong brick type/],
      [`v1 h:/ force`, /root directory/],
      [`v1 h:${dir}/../a force`, /"\." and "\.\." are not allowed/],
      [`v1 h:${dir}/${long} force`, /a name in its path is longer than 255 bytes/],
      [`v1 h:/${"y".repeat(250)}${`/${"y".repeat(250)}`.repeat(5)} force`, /longer than 1024/],
      [`v1 h:${dir}/\`id\` force`, /its path has a backtick/],
      [`v1 h:${dir}/file force`, /already present, is not a directory/],
      [`v1 h:${dir}/file/a force`, /Not a directory/],
      [`v1 h:${dir}/a h:${dir}/a force`, /Found duplicate exports/],
      [`v1 replica 2 h:${dir}/a h:${dir}/b h:${dir}/c force`, /not a multiple of replica count/],
      [`v1 h:${dir}/home/b force`, /inside the management daemon's directory/],
      [`v1 transport rdma h:${dir}/a force`, /only tcp/],
      [`v.1 h:${dir}/a force`, /should not contain "\."/],
      [`all h:${dir}/a force`, /cannot be the name of a volume/],
      [`${"v".repeat(252)} h:${dir}/a force`, /exceeds 251/],
    ];
    for (const [words, why] of refused) {
      const { stderr, stdout, exitCode } = await run(`volume create ${words}`);
      match(stderr + stdout, why, words);
      equal(exitCode, 1, words);
    }
    deepEqual(await store.list(""), []);
    deepEqual(
      [...Deno.readDirSync(dir)].map(({ name }) => name).sort(),
      ["file", "home"],
    );
  }));

Deno.test("volume create: bricks whose files could have no name of their own are refused", () =>
  withCluster(async ({ store, dir, run }) => {
    const deep = `${dir}/${"x".repeat(120)}`;
    for (const path of [`${dir}/a/b`, `${dir}/a-b`, deep]) {
      await Deno.mkdir(path, { recursive: true });
    }
    const same = await run(`volume create v1 h:${dir}/a/b-c h:${dir}/a-b/c force`);
    match(same.stderr, /with dashes for slashes/);
    const long = await run(`volume create v1 h:${deep}/${"y".repeat(120)} force`);
    match(long.stderr, /bytes too long; choose a shorter path/);
    deepEqual(await store.list(""), []);
    equal(exists(`${dir}/a-b/c`), false);
  }));

Deno.test("volume create: copies on one host, and a name or a brick in use, are refused", () =>
  withCluster(async ({ dir, run }) => {
    // Not the root file system, so that the first reason is the one that is looked for.
    const shm = await Deno.makeTempDir({ dir: "/dev/shm", prefix: "mt-life-" });
    try {
      const same = await run(`volume create v2 replica 2 h:${shm}/a h:${shm}/b`);
      match(same.stderr, /Multiple bricks of a replicate volume are present on the same server/);
    } finally {
      await Deno.remove(shm, { recursive: true });
    }
    equal((await run(`volume create v1 h:${dir}/a force`)).exitCode, 0);
    match((await run(`volume create v1 h:${dir}/b force`)).stderr, /Volume v1 already exists/);
    match((await run(`volume create v2 h:${dir}/a force`)).stderr, /volume v1 uses it/);
    match(
      (await run(`volume create v2 h:${dir}/a/in force`)).stderr,
      /parent directory .* part of/,
    );
    await run("volume delete v1");
    // Its leavings are noticed, and taken over when that is said.
    match((await run(`volume create v2 h:${dir}/a`)).stderr, /root partition|already part of/);
    equal((await run(`volume create v2 h:${dir}/a force`)).exitCode, 0);
  }));

Deno.test("volume create: a directory is a brick once, whichever links lead to it", () =>
  withCluster(async ({ store, dir, run }) => {
    await Deno.mkdir(`${dir}/disk`);
    await Deno.symlink(`${dir}/disk`, `${dir}/link`);
    await Deno.mkdir(`${dir}/home`, { recursive: true });
    await Deno.symlink(`${dir}/home`, `${dir}/inside`);
    const home = await run(`volume create v1 h:${dir}/inside/b force`);
    match(home.stderr, /inside the management daemon's directory/);
    const twice = await run(`volume create v1 h:${dir}/disk/a h:${dir}/link/a force`);
    match(twice.stderr, /Found duplicate exports .*link\/a: it is in, or above, .*disk\/a/);
    const within = await run(`volume create v1 h:${dir}/disk h:${dir}/link/a force`);
    match(within.stderr, /Found duplicate exports/);
    deepEqual(await store.list(""), []);
    equal((await run(`volume create v1 h:${dir}/link/a force`)).exitCode, 0);
    const id = readVolumeId(`${dir}/disk/a`);
    for (const path of [`${dir}/disk/a`, `${dir}/link/a`]) {
      match((await run(`volume create v2 h:${path} force`)).stderr, /failed: /, path);
    }
    match((await run(`volume create v2 h:${dir}/disk/a force`)).stderr, /volume v1 uses it/);
    equal(readVolumeId(`${dir}/disk/a`), id);
    await Deno.mkdir(`${dir}/disk/b`);
    equal((await run(`volume create v2 h:${dir}/disk/b force`)).exitCode, 0);
    match((await run(`volume create v3 h:${dir}/link/b force`)).stderr, /volume v2 uses it/);
  }));

Deno.test("volume create: one that fails halfway leaves nothing behind", () =>
  withCluster(async ({ cluster, store, dir, run }) => {
    await Deno.mkdir(`${dir}/b`);
    // Creation stops at the second brick: its directory goes after the checks.
    const add = cluster.add.bind(cluster);
    cluster.add = async (volume) => {
      await add(volume);
      await Deno.remove(`${dir}/b`);
    };
    const { stderr, exitCode } = await run(`volume create v1 h:${dir}/a h:${dir}/b force`);
    match(stderr, /volume create: v1: failed: Failed to create brick directory/);
    equal(exitCode, 1);
    deepEqual(await store.list(""), []);
    equal(exists(`${dir}/a`), false);
  }));

Deno.test("cluster: a volume that was half made is undone, one half deleted is finished", () =>
  withCluster(async ({ cluster, store, dir, run }) => {
    await run(`volume create v1 h:${dir}/a force`);
    await run(`volume create v2 h:${dir}/b force`);
    const put = (name: string, state: string) =>
      store.transact(async (transaction) => {
        const value = await transaction.get(`volume/${name}`);
        transaction.put(`volume/${name}`, { ...value as object, state });
      });
    await put("v1", "creating");
    await put("v2", "deleting");
    deepEqual(await cluster.volumes(), []);
    await cluster.recover();
    deepEqual(await store.list(""), []);
    equal(exists(`${dir}/a`), false);
    // What a volume's bricks hold outlives it.
    equal(exists(`${dir}/b`), true);
  }));

Deno.test("volume start and stop: states change once, force repeats", () =>
  withCluster(async ({ cluster, bricks, dir, run }) => {
    await run(`volume create v1 h:${dir}/a h:${dir}/b force`);
    equal((await run("volume start v1")).stdout, "volume start: v1: success\n");
    equal(bricks.up.size, 2);
    equal(
      (await run("volume start v1")).stderr,
      "volume start: v1: failed: Volume v1 already started\n",
    );
    equal((await run("volume start v1 force")).exitCode, 0);
    match((await run("volume delete v1")).stderr, /volume delete: v1: failed: .*has been started/);
    equal((await run("volume stop v1")).stdout, "volume stop: v1: success\n");
    equal(bricks.up.size, 0);
    match((await run("volume stop v1")).stderr, /is not in the started state/);
    equal((await cluster.volume("v1")).state, "stopped");
    equal((await run("volume delete v1")).stdout, "volume delete: v1: success\n");
    match((await run("volume start v1")).stderr, /Volume v1 does not exist/);
  }));

Deno.test("volume start: a brick that does not come up fails the start, with force it is told", () =>
  withCluster(async ({ cluster, bricks, dir, run }) => {
    await run(`volume create v1 h:${dir}/a h:${dir}/b force`);
    bricks.broken.set(`h:${dir}/b`, "port taken");
    match((await run("volume start v1")).stderr, /failed: .*did not come up: port taken/);
    equal((await cluster.volume("v1")).state, "created");
    equal(bricks.up.size, 0);
    const forced = await run("volume start v1 force");
    equal(forced.exitCode, 0);
    match(forced.stdout, /volume start: v1: success\n.*port taken/);
    equal((await cluster.volume("v1")).state, "started");
  }));

Deno.test("volume create and start: where no volfile can be made nothing stays changed", async () => {
  let broken = true;
  const publish = () =>
    broken ? Promise.reject(new RangeError("Cannot print volfile")) : Promise.resolve();
  await withCluster(async ({ cluster, store, dir, run }) => {
    equal((await run(`volume create v1 h:${dir}/a force`)).exitCode, 1);
    deepEqual(await store.list(""), []);
    equal(exists(`${dir}/a`), false);
    broken = false;
    equal((await run(`volume create v1 h:${dir}/a force`)).exitCode, 0);
    broken = true;
    for (const force of ["", " force"]) {
      equal((await run(`volume start v1${force}`)).exitCode, 1);
      equal((await cluster.volume("v1")).state, "created");
    }
  }, { publish });
});

Deno.test("cluster: a name that none can have is that of no volume", async () => {
  const store = memoryStore(testEnv());
  await withCluster(async ({ cluster, run }) => {
    for (const name of ["v\x1b[31m", "vö", "v/1", "", "v".repeat(2000), "__proto__"]) {
      equal(await cluster.find(name), undefined);
      match((await run(`volume delete ${name}`)).stderr, /does not exist|Usage/);
    }
  }, { store });
  await store.close();
});

Deno.test("volume start: a brick whose disk is away, or is another volume's, is not served", () =>
  withCluster(async ({ dir, run }) => {
    await run(`volume create v1 h:${dir}/a force`);
    await run(`volume create v2 h:${dir}/b force`);
    await Deno.rename(`${dir}/a`, `${dir}/kept`);
    match((await run("volume start v1")).stderr, /Failed to find brick directory .* mounted\?/);
    await Deno.mkdir(`${dir}/a`);
    match((await run("volume start v1")).stderr, /volume-id for brick dir .*No data available/);
    await Deno.remove(`${dir}/a`);
    await Deno.rename(`${dir}/b`, `${dir}/a`);
    match((await run("volume start v1")).stderr, /Volume id mismatch/);
  }));
