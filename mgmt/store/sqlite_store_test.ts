import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { memoryStore } from "mgmt/store/open_store.ts";
import { SqliteStore } from "mgmt/store/sqlite_store.ts";
import { type Change, StoreError } from "mgmt/store/store.ts";
import { LinesLog } from "tests/fakes/node.ts";

function freshStore(log = new LinesLog()) {
  return memoryStore({ log });
}

Deno.test("mgmt/store: what a transaction put and deleted is there when it resolves", async () => {
  const store = freshStore();
  await store.transact((transaction) => {
    transaction.put("task/2", { step: 1 });
    transaction.put("task/1", { step: 2 });
    transaction.put("task1", 3);
    return Promise.resolve();
  });
  deepEqual(await store.get("task/2"), { step: 1 });
  deepEqual(await store.list("task/"), [
    { key: "task/1", value: { step: 2 } },
    { key: "task/2", value: { step: 1 } },
  ]);
  await store.transact((transaction) => Promise.resolve(transaction.delete("task/2")));
  equal(await store.get("task/2"), undefined);
  equal((await store.list("")).length, 2);
  await store.close();
});

Deno.test("mgmt/store: a transaction reads its own writes, others do not until it commits", async () => {
  const store = freshStore();
  await store.transact((transaction) => Promise.resolve(transaction.put("task/1", 1)));
  await store.transact(async (transaction) => {
    transaction.put("task/2", 2);
    transaction.put("task/0", 0);
    transaction.delete("task/1");
    equal(await transaction.get("task/1"), undefined);
    equal(await transaction.get("task/2"), 2);
    deepEqual((await transaction.list("task/")).map(({ key }) => key), ["task/0", "task/2"]);
    deepEqual((await store.list("task/")).map(({ key }) => key), ["task/1"]);
  });
  deepEqual((await store.list("task/")).map(({ key }) => key), ["task/0", "task/2"]);
  await store.close();
});

Deno.test("mgmt/store: a second transaction waits for the first, and sees what it did", async () => {
  const store = freshStore();
  const order: string[] = [];
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  const first = store.transact(async (transaction) => {
    order.push("first begins");
    await gate;
    transaction.put("count", 1);
    order.push("first ends");
  });
  const second = store.transact(async (transaction) => {
    order.push("second begins");
    transaction.put("count", Number(await transaction.get("count")) + 1);
  });
  // A turn of the loop would be enough for a second one that does not wait.
  await store.get("count");
  open();
  await Promise.all([first, second]);
  deepEqual(order, ["first begins", "first ends", "second begins"]);
  equal(await store.get("count"), 2);
  await store.close();
});

Deno.test("mgmt/store: a hundred transactions at once lose no count", async () => {
  const store = freshStore();
  await Promise.all(Array.from({ length: 100 }, () =>
    store.transact(async (transaction) => {
      const count = Number(await transaction.get("count") ?? 0);
      await store.get("count");
      transaction.put("count", count + 1);
    })));
  equal(await store.get("count"), 100);
  await store.close();
});

Deno.test("mgmt/store: a transaction that throws changes nothing, and the next one runs", async () => {
  const store = freshStore();
  await rejects(
    store.transact((transaction) => {
      transaction.put("task/1", 1);
      return Promise.reject(new RangeError("no"));
    }),
    /^RangeError: no$/,
  );
  equal(await store.get("task/1"), undefined);
  await store.transact((transaction) => Promise.resolve(transaction.put("task/2", 2)));
  equal(await store.get("task/2"), 2);
  await store.close();
});

Deno.test("mgmt/store: a value changed after put, or after get, changes no record", async () => {
  const store = freshStore();
  const value = { step: 1 };
  await store.transact((transaction) => {
    transaction.put("task/1", value);
    value.step = 2;
    return Promise.resolve();
  });
  const read = await store.get("task/1") as { step: number };
  equal(read.step, 1);
  read.step = 3;
  deepEqual(await store.get("task/1"), { step: 1 });
  await store.close();
});

Deno.test("mgmt/store: a transaction that is over takes no more writes", async () => {
  const store = freshStore();
  const kept = await store.transact((transaction) => Promise.resolve({ transaction }));
  await rejects(
    () => Promise.resolve().then(() => kept.transaction.put("task/1", 1)),
    /after its end/,
  );
  await store.close();
});

Deno.test("mgmt/store: keys of several lines or other alphabets are refused", async () => {
  const store = freshStore();
  for (const key of ["", "a b", "a\nb", "é", "k".repeat(1025)]) {
    await rejects(
      store.transact((transaction) => Promise.resolve(transaction.put(key, 1))),
      RangeError,
    );
  }
  await store.close();
});

Deno.test("mgmt/store: a watcher hears of changes under its prefix until it is aborted", async () => {
  const store = freshStore();
  const heard: Change[] = [];
  const watching = new AbortController();
  store.watch("volume/", (changes) => heard.push(...changes), watching.signal);
  await store.transact((transaction) => {
    transaction.put("volume/v1", { name: "v1" });
    transaction.put("options", {});
    transaction.delete("volume/v0");
    return Promise.resolve();
  });
  deepEqual(heard.splice(0), [
    { key: "volume/v1", value: { name: "v1" } },
    { key: "volume/v0", value: undefined },
  ]);
  await store.transact((transaction) => Promise.resolve(transaction.put("options", {})));
  await rejects(store.transact((transaction) => {
    transaction.put("volume/v2", 1);
    return Promise.reject(new Error("no"));
  }));
  watching.abort();
  await store.transact((transaction) => Promise.resolve(transaction.delete("volume/v1")));
  deepEqual(heard, []);
  await store.close();
});

Deno.test("mgmt/store: a watcher that throws undoes nothing, and the log says so", async () => {
  const log = new LinesLog();
  const store = freshStore(log);
  store.watch("", () => {
    throw new Error("broken");
  }, new AbortController().signal);
  await store.transact((transaction) => Promise.resolve(transaction.put("task/1", 1)));
  equal(await store.get("task/1"), 1);
  deepEqual(log.lines, ["E a watcher of the store failed prefix= why=broken"]);
  await store.close();
});

Deno.test("mgmt/store: close waits for what runs, and refuses what comes later", async () => {
  const store = freshStore();
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  const running = store.transact(async (transaction) => {
    await gate;
    transaction.put("task/1", await transaction.get("task/1") ?? 1);
  });
  const closed = store.close();
  await rejects(store.transact(() => Promise.resolve()), StoreError);
  open();
  await running;
  await closed;
  await rejects(store.get("task/1"), /it is closed/);
});

Deno.test("mgmt/store: what fails in the middle of a commit leaves nothing of it", async () => {
  const database = new DatabaseSync(":memory:");
  // FAIL, unlike a full disk, leaves it to us to take back what was written before.
  database.exec(`
    CREATE TABLE records (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TRIGGER refuse BEFORE INSERT ON records WHEN new.key = 'task/2'
      BEGIN SELECT RAISE(FAIL, 'refused'); END`);
  const log = new LinesLog();
  const store = new SqliteStore({ database, path: "records", log, closed: () => {} });
  const heard: Change[] = [];
  store.watch("", (changes) => heard.push(...changes), new AbortController().signal);
  await rejects(
    store.transact((transaction) => {
      transaction.put("task/1", 1);
      transaction.put("task/2", 2);
      return Promise.resolve();
    }),
    new StoreError('Cannot write to the store "records": refused'),
  );
  deepEqual(await store.list(""), []);
  deepEqual(heard, []);
  await store.transact((transaction) => Promise.resolve(transaction.put("task/3", 3)));
  equal((await store.list("")).length, 1);
  await store.close();
});
