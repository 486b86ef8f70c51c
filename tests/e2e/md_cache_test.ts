/**
 * What one mount keeps, and its kernel with it, for ten minutes, while others change it: bricks tell,
 * and it sees the change at once.
 */

import { match, strictEqual as equal } from "node:assert/strict";
import { e2e } from "tests/e2e/harness.ts";
import { ManagedNode, NODE_HOST } from "tests/e2e/managed_node.ts";
import { must, processesNaming, run, until } from "tests/e2e/process.ts";
import { MORTAR } from "tests/e2e/program.ts";

const LONG = "entry-timeout=600,attribute-timeout=600";
const OPTIONS = {
  "features.cache-invalidation": "on",
  "features.cache-invalidation-timeout": "600",
  "performance.cache-invalidation": "on",
  "performance.md-cache-timeout": "600",
  "performance.xattr-cache-list": "user.k",
};

/** A mount of ours that keeps all it sees. */
class Keeping implements AsyncDisposable {
  private constructor(readonly path: string) {}

  static async of(node: ManagedNode, name: string): Promise<Keeping> {
    const path = `${node.dir}/${name}`;
    await Deno.mkdir(path);
    const argv = [MORTAR, "client", `-o${LONG}`, `-l${path}.log`, `${NODE_HOST}:/v1`, path];
    const { code, err } = await run(node.space.inside(argv), { env: { DENO: Deno.execPath() } });
    if (code !== 0) throw new Error(`Cannot mount: ${err}`);
    return new Keeping(path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run(["umount", "-l", this.path]);
    const running = () => processesNaming(`${this.path}\0--foreground`).length > 0;
    await until("the client has ended", () => !running());
  }
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await Deno.lstat(path)).size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

async function xattr(path: string): Promise<string> {
  return (await run(["getfattr", "--only-values", "-n", "user.k", path])).out;
}

/** Each change by the mount at `from` is seen at `to`, where all was looked at before. */
async function seen(from: string, to: string, dir: string): Promise<void> {
  await Deno.mkdir(`${from}/${dir}`);
  for (const name of ["written", "mode", "gone", "moved", "replaced", "xattr"]) {
    await Deno.writeTextFile(`${from}/${dir}/${name}`, "old");
  }
  await must(["setfattr", "-n", "user.k", "-v", "old", `${from}/${dir}/xattr`]);
  const at = `${to}/${dir}`;
  await must(["ls", "-l", at]);
  for (const name of ["written", "replaced"]) {
    equal(await Deno.readTextFile(`${at}/${name}`), "old");
  }
  equal(await xattr(`${at}/xattr`), "old");
  equal(await sizeOf(`${at}/new`), undefined);

  const by = `${from}/${dir}`;
  await Deno.writeTextFile(`${by}/written`, "more", { append: true });
  await Deno.chmod(`${by}/mode`, 0o600);
  await Deno.remove(`${by}/gone`);
  await Deno.rename(`${by}/moved`, `${by}/elsewhere`);
  await Deno.writeTextFile(`${by}/.tmp`, "another");
  await Deno.rename(`${by}/.tmp`, `${by}/replaced`);
  await Deno.writeTextFile(`${by}/new`, "new");
  await must(["setfattr", "-n", "user.k", "-v", "new", `${by}/xattr`]);

  const sees = (what: string, test: () => Promise<boolean>) => until(`${to} sees ${what}`, test);
  await sees("a write", async () => await sizeOf(`${at}/written`) === 7);
  equal(await Deno.readTextFile(`${at}/written`), "oldmore");
  await sees("a mode", async () => ((await Deno.stat(`${at}/mode`)).mode! & 0o777) === 0o600);
  await sees("a removal", async () => await sizeOf(`${at}/gone`) === undefined);
  await sees("a move", async () => await sizeOf(`${at}/moved`) === undefined);
  equal(await sizeOf(`${at}/elsewhere`), 3);
  await sees("a new file", async () => await sizeOf(`${at}/new`) === 3);
  await sees("a replaced file", async () => await sizeOf(`${at}/replaced`) === 7);
  equal(await Deno.readTextFile(`${at}/replaced`), "another");
  await sees("an attribute", async () => await xattr(`${at}/xattr`) === "new");
}

e2e(
  "md-cache: what mounts keep for minutes is as others made it",
  ["mount.glusterfs", "getfattr"],
  async () => {
    await using node = await ManagedNode.start();
    await Deno.chmod(node.dir, 0o755);
    const bricks = [0, 1].map((index) => `${NODE_HOST}:${node.dir}/v1-${index}`);
    await node.must(`volume create v1 replica 2 ${bricks.join(" ")} force`);
    for (const [key, value] of Object.entries(OPTIONS)) {
      await node.must(`volume set v1 ${key} ${value}`);
    }
    await node.must("volume start v1");
    await node.allOnline("v1");
    await using first = await Keeping.of(node, "first");
    await using second = await Keeping.of(node, "second");
    const theirs = await node.mount("v1");
    await seen(first.path, second.path, "ours-ours");
    await seen(theirs.path, first.path, "theirs-ours");
    await seen(first.path, theirs.path, "ours-theirs");
    match(await Deno.readTextFile(`${first.path}.log`), /kernel agreed/);
  },
);
