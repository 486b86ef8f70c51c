import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { realClock } from "core/env.ts";
import { ENOENT } from "core/errno.ts";
import { volfileName, Volfiles } from "mgmt/volfiles.ts";

async function read(volfiles: Volfiles, key: string, trusted = true) {
  const text = await volfiles.peek(key, trusted);
  return { text, as: volfiles.note(key, trusted, text) };
}

Deno.test("mgmt/volfiles: keys with and without a leading slash and with folders name a file", () => {
  equal(volfileName("/v1"), "v1.vol");
  equal(volfileName("v1"), "v1.vol");
  equal(volfileName("shd/v1"), "shd/v1.vol");
  equal(volfileName("v1.host.bricks-b1"), "v1.host.bricks-b1.vol");
});

Deno.test("mgmt/volfiles: no key leads out of the directory", () => {
  const keys = ["", "/", "..", "../x", "/../x", "a/../../x", "a//b", "//etc/x", ".", "a/./b"];
  for (const key of [...keys, "a\0b", "a\nb", "a\\..\\b", "x".repeat(2000), "a/"]) {
    equal(volfileName(key), undefined, JSON.stringify(key));
  }
});

Deno.test("mgmt/volfiles: reading a key that is not there, or is a folder, fails with ENOENT", async () => {
  const path = await Deno.makeTempDir();
  await Deno.mkdir(`${path}/dir.vol`);
  await Deno.writeTextFile(`${path}/v1.vol`, "volume a");
  const directory = new Volfiles(path);
  equal((await read(directory, "/v1")).text, "volume a");
  for (const key of ["v2", "dir", "v1.vol/x", "../v1", ""]) {
    await rejects(read(directory, key), (error) => ENOENT.matches(error), key);
  }
  await Deno.remove(path, { recursive: true });
});

Deno.test("mgmt/volfiles: a change of a volfile that was read is told once, others are not", async () => {
  const path = await Deno.makeTempDir();
  await Deno.writeTextFile(`${path}/v1.vol`, "one");
  await Deno.writeTextFile(`${path}/v2.vol`, "one");
  const directory = new Volfiles(path);
  await read(directory, "v1");
  const stop = new AbortController();
  const told: string[][] = [];
  const first = Promise.withResolvers<void>(), second = Promise.withResolvers<void>();
  const watching = directory.watch((read) => {
    told.push(read.map(({ name }) => name));
    (told.length === 1 ? first : second).resolve();
  }, { signal: stop.signal, clock: realClock, settleMs: 10 });
  await Deno.writeTextFile(`${path}/v2.vol`, "two");
  await Deno.writeTextFile(`${path}/v1.vol`, "one");
  await Deno.writeTextFile(`${path}/.new`, "two");
  await Deno.rename(`${path}/.new`, `${path}/v1.vol`);
  await first.promise;
  await Deno.writeTextFile(`${path}/v1.vol`, "three");
  await second.promise;
  stop.abort();
  await watching;
  deepEqual(told, [["v1.vol"], ["v1.vol"]]);
  await Deno.remove(path, { recursive: true });
});

Deno.test("mgmt/volfiles: who read first hears of a change that a second reader saw before", async () => {
  const path = await Deno.makeTempDir();
  const directory = new Volfiles(path);
  await Deno.writeTextFile(`${path}/v1.vol`, "one");
  await read(directory, "v1");
  await Deno.writeTextFile(`${path}/v1.vol`, "two");
  equal((await read(directory, "v1")).text, "two");
  deepEqual((await directory.refresh()).map(({ name }) => name), ["v1.vol"]);
  deepEqual(await directory.refresh(), []);
  await Deno.remove(path, { recursive: true });
});

Deno.test("mgmt/volfiles: a hand-written one is served in place of a made one", async () => {
  const path = await Deno.makeTempDir();
  const volfiles = new Volfiles(
    path,
    (key, trusted) =>
      Promise.resolve(key === "v1" ? `made, ${trusted ? "with" : "without"} login` : undefined),
  );
  equal(await volfiles.peek("/v1"), "made, with login");
  equal(await volfiles.peek("v1", false), "made, without login");
  await rejects(volfiles.peek("v2"), (error) => ENOENT.matches(error));
  await Deno.writeTextFile(`${path}/v1.vol`, "by hand");
  equal(await volfiles.peek("v1"), "by hand");
  equal(await volfiles.isHandWritten("v1"), true);
  equal(await volfiles.isHandWritten("v2"), false);
  await Deno.remove(path, { recursive: true });
});

Deno.test("mgmt/volfiles: what strangers got may change while what our nodes got does not", async () => {
  let login = "a", plain = "b";
  const volfiles = new Volfiles(
    undefined,
    (_, trusted) => Promise.resolve(trusted ? login : plain),
  );
  const own = await read(volfiles, "v1", true), other = await read(volfiles, "v1", false);
  plain = "c";
  deepEqual(await volfiles.refresh(), [other.as]);
  login = "d";
  deepEqual(await volfiles.refresh(), [own.as]);
});

Deno.test("mgmt/volfiles: a volume's change is looked for in its own volfiles, while anybody has them", async () => {
  const made: string[] = [];
  let text = 0;
  const volfiles = new Volfiles(undefined, (key) => {
    made.push(key);
    return Promise.resolve(String(text));
  });
  const keys = ["v1", "v2", "shd/v1", "v1.host.bricks-b1", "v12", "client_per_brick/v1.client.h.b"];
  for (const key of keys) await read(volfiles, key);
  text++;
  made.length = 0;
  const changed = await volfiles.refresh("v1");
  deepEqual(made, keys.filter((key) => !["v2", "v12"].includes(key)));
  for (const each of changed) volfiles.forget(each);
  text++;
  made.length = 0;
  await volfiles.refresh();
  deepEqual(made, ["v2", "v12"]);
});
