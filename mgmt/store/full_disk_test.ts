import {
  deepStrictEqual as deepEqual,
  rejects,
  strictEqual as equal,
  throws,
} from "node:assert/strict";
import { openStore } from "mgmt/store/open_store.ts";
import { StoreError } from "mgmt/store/store.ts";
import { testEnv } from "tests/fakes/node.ts";

/** A file system of `size` in memory, for tests of root. */
async function onMount(size: string, body: (path: string) => Promise<void>): Promise<void> {
  const path = await Deno.makeTempDir({ prefix: "store-" });
  const mount = (...args: string[]) =>
    equal(new Deno.Command("mount", { args: [...args, path] }).outputSync().success, true);
  try {
    mount("-t", "tmpfs", "-o", `size=${size}`, "store-test");
    try {
      await body(path);
    } finally {
      new Deno.Command("umount", { args: ["-l", path] }).outputSync();
    }
  } finally {
    await Deno.remove(path);
  }
}

function fill(path: string): void {
  using file = Deno.openSync(path, { write: true, create: true });
  const page = new Uint8Array(4096);
  try {
    for (;;) file.writeSync(page);
  } catch (error) {
    if (!(error instanceof Error) || !("code" in error) || error.code !== "ENOSPC") throw error;
  }
}

const ignore = Deno.uid() !== 0;

Deno.test({
  name: "mgmt/store: a full disk changes nothing, says so, and all works again when there is room",
  ignore,
  fn: () =>
    onMount("2m", async (path) => {
      const home = `${path}/home`;
      const store = openStore(home, testEnv());
      const put = (key: string, value: string) =>
        store.transact((transaction) => Promise.resolve(transaction.put(key, value)));
      await put("task/1", "before");
      fill(`${path}/filler`);
      await rejects(
        put("task/1", "x".repeat(200_000)),
        new StoreError(
          `Cannot write to the store "${home}/records.sqlite": the disk is full; make room and try ` +
            "again",
        ),
      );
      equal(await store.get("task/1"), "before");
      deepEqual((await store.list("")).map(({ key }) => key), ["task/1"]);
      Deno.removeSync(`${path}/filler`);
      await put("task/1", "y".repeat(200_000));
      await store.close();
      const again = openStore(home, testEnv());
      equal(await again.get("task/1"), "y".repeat(200_000));
      await again.close();
    }),
});

Deno.test({
  name: "mgmt/store: a full disk is no reason not to start, and leaves no half store behind",
  ignore,
  fn: () =>
    onMount("1m", async (path) => {
      const home = `${path}/home`;
      Deno.mkdirSync(home, { mode: 0o700 });
      fill(`${path}/filler`);
      throws(() => openStore(home, testEnv()), StoreError);
      Deno.removeSync(`${path}/filler`);
      const store = openStore(home, testEnv());
      await store.transact((transaction) => Promise.resolve(transaction.put("task/1", 1)));
      await store.close();
      fill(`${path}/filler`);
      const again = openStore(home, testEnv());
      equal(await again.get("task/1"), 1);
      await again.close();
    }),
});

Deno.test({
  name: "mgmt/store: a read-only file system is refused with what to do",
  ignore,
  fn: () =>
    onMount("1m", async (path) => {
      await openStore(`${path}/home`, testEnv()).close();
      new Deno.Command("mount", { args: ["-o", "remount,ro", path] }).outputSync();
      throws(() => openStore(`${path}/home`, testEnv()), (error) => {
        equal(error instanceof StoreError, true);
        equal(
          (error as Error).message,
          `Cannot use "${path}/home": Read-only file system; look at its rights and its file ` +
            "system, or choose another directory with --home",
        );
        return true;
      });
    }),
});
