/** A volume's options change, its bricks die and its daemon is away while GlusterFS's clients work on it. */

import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { e2e, LONG } from "tests/e2e/harness.ts";
import { type BrickRow, ManagedNode, NODE_HOST } from "tests/e2e/managed_node.ts";
import { exists, must, Process, run, until, untilEqual } from "tests/e2e/process.ts";

const LOAD = new URL("./fs_load.py", import.meta.url).pathname;
const V = "v1";

/** A node with a volume of two replicated pairs, mounted. */
async function replicated() {
  const node = await ManagedNode.start();
  try {
    const bricks = [0, 1, 2, 3].map((i) => `${NODE_HOST}:${node.dir}/b${i}`);
    await node.must(`volume create ${V} replica 2 ${bricks.join(" ")} force`);
    await node.must(`volume start ${V}`);
    await node.allOnline(V);
    return { node, mount: await node.mount(V) };
  } catch (error) {
    await node[Symbol.asyncDispose]();
    throw error;
  }
}

/** Two programs that write and verify: one through a mount, one through libgfapi. */
class Load {
  readonly #mount: Process;
  readonly #fio: Promise<{ code: number; out: string; err: string }>;

  constructor(readonly node: ManagedNode, readonly path: string) {
    const write = ["python3", LOAD, "write", path, "busy"];
    this.#mount = new Process(write, `${node.dir}/load.log`);
    this.#fio = run(node.space.inside([...FIO, `--brick=${NODE_HOST}`]), { cwd: node.dir });
  }

  /** Resolves when both are at it. */
  async working(): Promise<void> {
    for (const name of ["busy", "fio"]) {
      await until(`${name} is written`, () => exists(`${this.path}/${name}`));
    }
  }

  /** Lets both end; throws if one met an error, or read what it had not written. */
  async end(): Promise<void> {
    await Deno.writeTextFile(`${this.path}/busy.stop`, "");
    await until("the load ends", () => !this.#mount.running);
    match(this.#mount.lastWords(), /^[^\n]*\d[^\n]*\n$/);
    const { code, out, err } = await this.#fio;
    equal(code, 0, err);
    const { jobs } = JSON.parse(out.slice(out.indexOf("{"))) as {
      jobs: { error: number; read: { io_bytes: number }; write: { io_bytes: number } }[];
    };
    const [{ error, read, write }] = jobs as [typeof jobs[0]];
    equal(error, 0);
    // Everything that was written was read again.
    equal(read.io_bytes, write.io_bytes);
    ok(read.io_bytes > 0);
  }
}

const FIO = [
  ...["fio", "--name=fio", "--ioengine=gfapi", `--volume=${V}`, "--filename=fio", "--thread"],
  ...["--rw=randwrite", "--bsrange=4k-64k", "--size=4M", "--verify=crc32c", "--verify_fatal=1"],
  ...[`--loops=${LONG ? 60 : 4}`, "--rate=3600k", "--output-format=json"],
];

/** The name of the graph that a mount uses, and an option or figure of one of its layers. */
const graphOf = (path: string) => Deno.readLinkSync(`${path}/.meta/graphs/active`);
const activeOf = (path: string) => `${path}/.meta/graphs/active`;
const metaOf = async (path: string, file: string) =>
  await seen(() => Deno.readTextFile(`${activeOf(path)}/${file}`)) ?? "";

/** What is there; undefined while a mount changes graphs: GlusterFS's has no active one then. */
async function seen<T>(look: () => T | Promise<T>): Promise<T | undefined> {
  try {
    return await look();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

const pids = (rows: readonly BrickRow[]) => rows.map(({ pid }) => pid);

e2e(
  "volume set: clients under I/O take options over or switch graphs, without an error or a lost byte",
  ["fio", "python3"],
  async () => {
    const { node, mount: { path } } = await replicated();
    await using _node = node;
    const before = await node.allOnline(V);
    const load = new Load(node, path);
    const set = (line: string) => node.must(`volume set ${V} ${line}`);
    await load.working();
    const first = graphOf(path);

    await set("network.ping-timeout 17");
    await until(
      "the ping-timeout is taken over",
      async () => /^ping_timeout = 17$/m.test(await metaOf(path, `${V}-client-3/private`)),
    );
    await set("performance.cache-size 64MB");
    await node.must(`volume profile ${V} start`);
    await until(
      "bricks count",
      async () => /WRITE/.test(await node.must(`volume profile ${V} info`)),
    );
    equal(graphOf(path), first);

    const graphs = new Set([first]);
    const switching = [
      ["performance.write-behind off", `${V}-write-behind`, false],
      ["performance.quick-read off", `${V}-quick-read`, false],
      ["performance.io-cache on", `${V}-io-cache`, true],
      ["performance.write-behind on", `${V}-write-behind`, true],
    ] as const;
    for (const [line, layer, there] of switching) {
      await set(line);
      await until(`the mount follows ${line}`, async () => {
        const layers = await seen(() => Array.fromAsync(Deno.readDir(activeOf(path))));
        return layers !== undefined && layers.some(({ name }) => name === layer) === there;
      });
      await until("the new graph has a name", async () => {
        const graph = await seen(() => graphOf(path));
        if (graph !== undefined) graphs.add(graph);
        return graph !== undefined;
      });
    }
    equal(graphs.size, 1 + switching.length);
    await load.end();
    deepEqual(pids(await node.allOnline(V)), pids(before));
    const switches = () => Deno.readTextFileSync(`${path}.log`).match(/switched to graph/g)?.length;
    await untilEqual("each switch is logged", graphs.size, switches);
  },
);

e2e("volume set: a client sees a volume become read-only, and back", [], async () => {
  const { node, mount: { path } } = await replicated();
  await using _node = node;
  const graph = graphOf(path);
  await Deno.writeTextFile(`${path}/f`, "x");
  const write = () =>
    Deno.writeTextFile(`${path}/g`, "x").then(() => "", (error: Error) => error.message);
  for (const [value, says] of [["on", /Read-only file system/], ["off", /^$/]] as const) {
    await node.must(`volume set ${V} features.read-only ${value}`);
    await until(`writes end as ${says}`, async () => says.test(await write()));
    equal(await Deno.readTextFile(`${path}/f`), "x");
  }
  equal(graphOf(path), graph);
});

e2e(
  "mortar mgmt: clients under I/O never notice that it was killed, was away and came back",
  ["fio", "python3"],
  async () => {
    const { node, mount: { path } } = await replicated();
    await using _node = node;
    const before = await node.allOnline(V);
    const load = new Load(node, path);
    await load.working();
    await node.endDaemon();
    // Nobody tells of volumes now; those that are in use go on.
    const size = async () => Number(await must(["du", "-sb", `${node.dir}/b0`]).then(parseInt));
    const then = await size();
    await Deno.writeTextFile(`${path}/while-away`, "x".repeat(100_000));
    ok(await size() >= then);
    await node.startDaemon();
    deepEqual(await node.bricks(V), before);
    await load.end();
    deepEqual(await node.bricks(V), before);
    // The clients of before hear of changes again.
    await node.must(`volume set ${V} network.ping-timeout 19`);
    await until(
      "the old mount takes it over",
      async () => /^ping_timeout = 19$/m.test(await metaOf(path, `${V}-client-0/private`)),
    );
  },
);

e2e(
  "bricks: killed in turn under a client that writes, they come back and are healed",
  ["python3", "cmp"],
  async () => {
    await using node = await ManagedNode.start();
    const bricks = [0, 1].map((i) => `${NODE_HOST}:${node.dir}/b${i}`);
    await node.must(`volume create ${V} replica 2 ${bricks.join(" ")} force`);
    // The client heals what it looks at.
    const heals = ["data", "metadata", "entry"].map((each) => `cluster.${each}-self-heal on`);
    await node.must(`volume set ${V} ${heals.join(" ")} cluster.quorum-type none`);
    await node.must(`volume start ${V}`);
    await node.allOnline(V);
    const { path } = await node.mount(V);
    for (let round = 0; round < (LONG ? 10 : 2); round++) {
      const [before] = (await node.allOnline(V)).slice(round % 2);
      await until("the client has both", async () => {
        const connected = await Promise.all(
          [0, 1].map((i) => metaOf(path, `${V}-client-${i}/private`)),
        );
        return connected.every((text) => /^connected = 1$/m.test(text));
      });
      const name = `file${round}`;
      const load = new Process(
        ["python3", LOAD, "write", path, name],
        `${node.dir}/load${round}.log`,
      );
      await until("the client writes", () => exists(`${path}/${name}`));
      Deno.kill(before!.pid, "SIGKILL");
      await until("it is another process", async () => {
        const [now] = (await node.bricks(V)).slice(round % 2);
        return now!.online && now!.pid !== before!.pid;
      });
      await Deno.writeTextFile(`${path}/${name}.stop`, "");
      await until("the load ends", () => !load.running);
      match(load.lastWords(), /^[^\n]*\d[^\n]*\n$/);
      await until("both copies are the same", async () => {
        await run(["cat", `${path}/${name}`]);
        return (await run(["cmp", `${node.dir}/b0/${name}`, `${node.dir}/b1/${name}`])).code === 0;
      });
    }
  },
);
