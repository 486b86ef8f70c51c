import {
  deepStrictEqual as deepEqual,
  match,
  strictEqual as equal,
  throws,
} from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import type { Env } from "core/env.ts";
import { KEYS } from "mgmt/records.ts";
import { openStore } from "mgmt/store/open_store.ts";
import { type Store, StoreError } from "mgmt/store/store.ts";
import { type Upgrade, UPGRADES } from "mgmt/store/upgrades.ts";
import { FakeClock } from "tests/fakes/clock.ts";
import { testEnv } from "tests/fakes/node.ts";

const NODE = { id: "0f0e0d0c-0b0a-4090-8807-060504030201" };

async function inHome(body: (home: string, env: Env) => Promise<void>): Promise<void> {
  const place = await Deno.makeTempDir({ prefix: "store-" });
  try {
    await body(`${place}/home`, testEnv({ clock: new FakeClock() }));
  } finally {
    await Deno.remove(place, { recursive: true });
  }
}

/** Commits numbers and says each of them. */
const WRITER = `
  import { openStore } from "mgmt/store/open_store.ts";
  import { testEnv } from "tests/fakes/node.ts";
  const store = openStore(Deno.env.get("HOME_OF_STORE")!, testEnv());
  for (let done = 0;; done++) {
    await store.transact((t) => Promise.resolve(t.put("options", { done: String(done) })));
    Deno.stdout.writeSync(new TextEncoder().encode(done + "\\n"));
  }`;

function put(store: Store, key: string, value: string | number | object): Promise<void> {
  return store.transact((transaction) => Promise.resolve(transaction.put(key, value as never)));
}

async function filled(home: string, env: Env): Promise<string> {
  const store = openStore(home, env);
  await put(store, KEYS.node, NODE);
  await put(store, KEYS.options, { "cluster.server-quorum-ratio": "51%" });
  await store.close();
  return `${home}/records.sqlite`;
}

function names(home: string): string[] {
  return [...Deno.readDirSync(home)].map(({ name }) => name).sort();
}

/** The one file that was kept aside, and the message of the refusal. */
function refused(home: string, env: Env): { kept: string; message: string } {
  let message = "";
  throws(() => openStore(home, env), (error) => {
    message = (error as Error).message;
    return error instanceof StoreError;
  });
  const kept = names(home).filter((name) => name.includes(".corrupt-"));
  equal(kept.length, 1);
  return { kept: `${home}/${kept[0]}`, message };
}

Deno.test("mgmt/store: what was committed is there after opening again", () =>
  inHome(async (home, env) => {
    await filled(home, env);
    const store = openStore(home, env);
    deepEqual(await store.get(KEYS.node), NODE);
    equal((await store.list("")).length, 2);
    await store.close();
  }));

Deno.test("mgmt/store: the files are the owner's alone, while open and when closed", () =>
  inHome(async (home, env) => {
    const store = openStore(home, env);
    await put(store, KEYS.node, NODE);
    const rights = () => names(home).map((name) => Deno.statSync(`${home}/${name}`).mode! & 0o777);
    deepEqual(names(home), ["mgmt.lock", "records.sqlite", "records.sqlite-wal"]);
    deepEqual(rights(), [0o600, 0o600, 0o600]);
    equal(Deno.statSync(home).mode! & 0o777, 0o700);
    await store.close();
    deepEqual(names(home), ["mgmt.lock", "records.sqlite"]);
    deepEqual(rights(), [0o600, 0o600]);
  }));

Deno.test("mgmt/store: a process that dies loses nothing that was committed, and its lock goes", () =>
  inHome(async (home, env) => {
    const writer = new Deno.Command(Deno.execPath(), {
      args: ["eval", "--ext=ts", WRITER],
      env: { HOME_OF_STORE: home },
      stdout: "piped",
    }).spawn();
    const said = writer.stdout.getReader();
    let last = -1, text = "";
    while (last < 20) {
      text += new TextDecoder().decode((await said.read()).value);
      last = Number(text.trimEnd().split("\n").at(-1) || -1);
    }
    throws(() => openStore(home, env), new RegExp(`process ${writer.pid} manages it already`));
    writer.kill("SIGKILL");
    for (;;) {
      const { value, done } = await said.read();
      if (done) break;
      text += new TextDecoder().decode(value);
    }
    await writer.status;
    last = Number(text.slice(0, text.lastIndexOf("\n")).split("\n").at(-1));
    const store = openStore(home, env);
    const { done } = await store.get("options") as { done: string };
    // What was being committed at that moment may be there, too.
    equal(Number(done) === last || Number(done) === last + 1, true, `${done} after ${last}`);
    await store.close();
  }));

Deno.test("mgmt/store: a second daemon on one home is refused by the first one's process id", () =>
  inHome(async (home, env) => {
    const store = openStore(home, env);
    throws(
      () => openStore(home, env),
      new StoreError(
        `Cannot use "${home}": process ${Deno.pid} manages it already; stop that one, or choose ` +
          "another directory with --home",
      ),
    );
    await put(store, KEYS.node, NODE);
    await store.close();
    await openStore(home, env).close();
  }));

Deno.test("mgmt/store: garbage is kept aside as it is, named, and the daemon does not start", () =>
  inHome(async (home, env) => {
    const path = await filled(home, env);
    Deno.writeTextFileSync(path, "garbage ".repeat(4096));
    const { kept, message } = refused(home, env);
    equal(kept, `${path}.corrupt-2030-01-01T00-00-00.000Z`);
    equal(Deno.readTextFileSync(kept), "garbage ".repeat(4096));
    equal(message.includes(`"${path}": file is not a database; it is kept as "${kept}"`), true);
    match(message, /good copy.*--new-store.*--adopt --state/);
    equal(names(home).includes("records.sqlite"), false);
  }));

Deno.test("mgmt/store: after a damaged store every start is refused until somebody decides", () =>
  inHome(async (home, env) => {
    const path = await filled(home, env);
    const good = Deno.readFileSync(path);
    Deno.truncateSync(path, 0);
    refused(home, env);
    const { kept } = refused(home, env);
    equal(Deno.statSync(kept).size, 0);
    Deno.writeFileSync(path, good);
    const restored = openStore(home, env);
    deepEqual(await restored.get(KEYS.node), NODE);
    await restored.close();
  }));

Deno.test("mgmt/store: --new-store begins an empty one and leaves the damaged one", () =>
  inHome(async (home, env) => {
    const path = await filled(home, env);
    Deno.writeTextFileSync(path, "garbage");
    const store = openStore(home, env, { startEmpty: true });
    deepEqual(await store.list(""), []);
    await put(store, KEYS.node, NODE);
    await store.close();
    const kept = names(home).find((name) => name.includes(".corrupt-"))!;
    equal(Deno.readTextFileSync(`${home}/${kept}`), "garbage");
    // From now on there is a store: nothing is refused, and nothing is thrown away.
    const again = openStore(home, env, { startEmpty: true });
    deepEqual(await again.get(KEYS.node), NODE);
    await again.close();
  }));

Deno.test("mgmt/store: a store cut at any page, or with a page overwritten, is never taken for good", () =>
  inHome(async (home, env) => {
    const path = await filled(home, env);
    const store = openStore(home, env);
    for (let task = 0; task < 200; task++) await put(store, `task/${task}`, "x".repeat(500));
    await store.close();
    const good = Deno.readFileSync(path);
    const PAGE = 4096;
    equal(good.length > 10 * PAGE, true);
    for (let at = 0; at < good.length; at += PAGE) {
      const cut = good.slice(0, at + 100);
      const overwritten = good.slice().fill(0xa5, at, at + PAGE);
      for (const bytes of [cut, overwritten]) {
        Deno.writeFileSync(path, bytes);
        const { kept } = refused(home, env);
        deepEqual(Deno.readFileSync(kept), bytes);
        Deno.removeSync(kept);
      }
    }
  }));

Deno.test("mgmt/store: records that the daemon does not know are no reason to forget the others", () =>
  inHome(async (home, env) => {
    for (
      const [key, value, why] of [
        [KEYS.node, { id: 5 }, `record "node": Cannot read a record: "id" is not a text`],
        [KEYS.volume("v1"), { name: "v1" }, `record "volume/v1": Cannot read a record`],
        [KEYS.options, { a: 1 }, `record "options": Cannot read a record: "options.a"`],
      ] as const
    ) {
      const store = openStore(home, env);
      await put(store, key, value);
      await store.close();
      const { kept, message } = refused(home, env);
      equal(message.includes(why), true, message);
      Deno.removeSync(kept);
    }
  }));

Deno.test("mgmt/store: a journal without its store is damage, and stays beside it", () =>
  inHome(async (home, env) => {
    const path = await filled(home, env);
    Deno.renameSync(path, `${path}-wal`);
    refusedJournal(home, env);
    equal(names(home).some((name) => /corrupt-.*-wal$/.test(name)), true);
    refusedJournal(home, env);
  }));

function refusedJournal(home: string, env: Env): void {
  throws(() => openStore(home, env), StoreError);
}

Deno.test("mgmt/store: a store damaged before its journal was read is kept as it was, journal and all", () =>
  inHome(async (home, env) => {
    const path = `${home}/records.sqlite`;
    const store = openStore(home, env);
    await put(store, KEYS.node, NODE);
    // What is there if the daemon is killed now.
    const journal = Deno.readFileSync(`${path}-wal`);
    equal(journal.length > 0, true);
    await store.close();
    Deno.writeTextFileSync(path, "garbage ".repeat(4096));
    Deno.writeFileSync(`${path}-wal`, journal);
    throws(() => openStore(home, env), StoreError);
    const kept = `${path}.corrupt-2030-01-01T00-00-00.000Z`;
    equal(Deno.readTextFileSync(kept), "garbage ".repeat(4096));
    deepEqual(Deno.readFileSync(`${kept}-wal`), journal);
    deepEqual(names(home).length, 3);
  }));

Deno.test("mgmt/store: another program's database is refused and not touched", () =>
  inHome(async (home, env) => {
    Deno.mkdirSync(home, { mode: 0o700 });
    const path = `${home}/records.sqlite`;
    const other = new DatabaseSync(path);
    other.exec("CREATE TABLE bookmarks (url TEXT)");
    other.close();
    const before = Deno.readFileSync(path);
    throws(() => openStore(home, env), /another program's database/);
    deepEqual(Deno.readFileSync(path), before);
    await Promise.resolve();
  }));

/** What version 1 was when it was released: step 1 may never make anything else. */
function writeVersion1(path: string): void {
  const database = new DatabaseSync(path);
  database.exec(`
    CREATE TABLE records (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
    INSERT INTO records VALUES ('node', '{"id":"${NODE.id}"}'), ('task/1', '{"step":1}');
    PRAGMA application_id = 1836020340;
    PRAGMA user_version = 1;
  `);
  database.close();
}

/** A second version, for tests: tasks begin to count their tries. */
const VERSION_2: Upgrade = {
  summary: "tasks count their tries",
  apply: (database) =>
    database.exec(
      "UPDATE records SET value = json_set(value, '$.tries', 0) WHERE key LIKE 'task/%'",
    ),
};

Deno.test("mgmt/store: a store of version 1 is read, and what version 1 is does not change", () =>
  inHome(async (home, env) => {
    const path = await filled(home, env);
    const schema = (file: string) => {
      const database = new DatabaseSync(file, { readOnly: true });
      const row = database.prepare("SELECT group_concat(sql) AS made FROM sqlite_schema").get();
      database.close();
      return String(row?.["made"]);
    };
    const ours = schema(path);
    Deno.removeSync(path);
    writeVersion1(path);
    equal(ours, schema(path));
    const store = openStore(home, env);
    deepEqual(await store.get("task/1"), { step: 1 });
    await store.close();
  }));

Deno.test("mgmt/store: an older version is upgraded, and stays beside the new one", () =>
  inHome(async (home, env) => {
    Deno.mkdirSync(home, { mode: 0o700 });
    const path = `${home}/records.sqlite`;
    writeVersion1(path);
    const upgrades = [...UPGRADES.slice(0, 1), VERSION_2];
    const store = openStore(home, env, { upgrades });
    deepEqual(await store.get("task/1"), { step: 1, tries: 0 });
    deepEqual(await store.get(KEYS.node), NODE);
    await store.close();
    equal(Deno.statSync(`${path}.version-1`).mode! & 0o777, 0o600);
    // The way back: the old daemon on the old file.
    Deno.renameSync(`${path}.version-1`, path);
    const old = openStore(home, env);
    deepEqual(await old.get("task/1"), { step: 1 });
    await old.close();
  }));

Deno.test("mgmt/store: an upgrade that fails leaves the old version as it was", () =>
  inHome(async (home, env) => {
    const path = await filled(home, env);
    const failing: Upgrade = {
      summary: "fails half way",
      apply: (database) => database.exec("DELETE FROM records; SELECT no_such_function()"),
    };
    throws(() => openStore(home, env, { upgrades: [...UPGRADES, failing] }), StoreError);
    equal(names(home).some((name) => name.includes("corrupt")), false);
    const store = openStore(home, env);
    deepEqual(await store.get(KEYS.node), NODE);
    await store.close();
    equal(Deno.statSync(path).isFile, true);
  }));

Deno.test("mgmt/store: a newer version is refused and not touched", () =>
  inHome(async (home, env) => {
    const newer = openStore(home, env, { upgrades: [...UPGRADES, VERSION_2] });
    await put(newer, KEYS.node, NODE);
    await newer.close();
    const path = `${home}/records.sqlite`;
    const before = Deno.readFileSync(path);
    throws(
      () => openStore(home, env),
      new StoreError(
        `Cannot open the store "${path}": a newer mortar wrote it ` +
          `(version ${
            UPGRADES.length + 1
          }, this one reads up to ${UPGRADES.length}); start that one`,
      ),
    );
    deepEqual(Deno.readFileSync(path), before);
    deepEqual(names(home), ["mgmt.lock", "records.sqlite"]);
  }));

Deno.test("mgmt/store: a home that others may write to is refused, since hooks there run as us", () =>
  inHome(async (home, env) => {
    await filled(home, env);
    await Deno.chmod(home, 0o777);
    throws(() => openStore(home, env), /everybody may write to it; .*chmod o-w/);
    for (const mode of [0o775, 0o1777]) {
      await Deno.chmod(home, mode);
      await openStore(home, env).close();
    }
    if (Deno.uid() !== 0) return;
    await Deno.mkdir(`${home}/hooks`);
    await Deno.chown(`${home}/hooks`, 65534, 0);
    throws(() => openStore(home, env), /everybody may write to it/);
    await Deno.chown(home, 65534, 0);
    throws(() => openStore(home, env), /it belongs to user 65534; .*chown/);
    deepEqual(names(home).filter((name) => name.includes("corrupt")), []);
  }));

Deno.test("mgmt/store: a home that cannot be made is refused with what to do", async () => {
  const file = await Deno.makeTempFile();
  try {
    throws(() => openStore(`${file}/home`, testEnv()), (error) => {
      equal(error instanceof StoreError, true);
      match((error as Error).message, /^Cannot use ".*\/home": .*--home$/);
      return true;
    });
  } finally {
    await Deno.remove(file);
  }
});
