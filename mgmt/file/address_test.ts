import { deepStrictEqual as deepEqual, strictEqual as equal, throws } from "node:assert/strict";
import { inside, lastName, parseAddress, readAddress } from "mgmt/file/address.ts";

Deno.test("mgmt/file: addresses name host, port, volume and path", () => {
  const cases: [string, [string, number, string, string]][] = [
    ["server:v1/a/b", ["server", 24007, "v1", "/a/b"]],
    ["server:v1", ["server", 24007, "v1", "/"]],
    ["server:/v1/a", ["server", 24007, "v1", "/a"]],
    ["server:24010:v1/a", ["server", 24010, "v1", "/a"]],
    ["10.0.0.1:123/a", ["10.0.0.1", 24007, "123", "/a"]],
    ["[fe80::1]:v1/a:b", ["fe80::1", 24007, "v1", "/a:b"]],
    ["[::1]:24010:v1/", ["::1", 24010, "v1", "/"]],
    ["server:/snaps/one/v1", ["server", 24007, "snaps/one/v1", "/"]],
    ["server:/snaps/one/v1/a/b", ["server", 24007, "snaps/one/v1", "/a/b"]],
    ["server:snaps/one/v1", ["server", 24007, "snaps", "/one/v1"]],
    ["server:/snaps/one", ["server", 24007, "snaps", "/one"]],
    ["s:v/with\nline", ["s", 24007, "v", "/with\nline"]],
  ];
  for (const [text, [host, port, volume, path]] of cases) {
    deepEqual(readAddress(text), { host, port, volume, path, text });
  }
});

Deno.test("mgmt/file: what is no address may be a local path, or is refused", () => {
  for (const text of ["file", "./a:b/c", "/a/b:c", "", "-", "host:", "fe80::1:v/a"]) {
    equal(readAddress(text), undefined, text);
  }
  throws(() => parseAddress("file"), /expected HOST:VOLUME\/PATH/);
  throws(() => parseAddress("h:99999:v/a"), /expected a port/);
});

Deno.test("mgmt/file: names go into directories with and without a slash at the end", () => {
  for (
    const [text, path, shown] of [
      ["h:v", "/f", "h:v/f"],
      ["h:v/", "/f", "h:v/f"],
      ["h:v/d", "/d/f", "h:v/d/f"],
      ["h:v/d/", "/d/f", "h:v/d/f"],
    ] as const
  ) {
    const { path: at, text: told } = inside(parseAddress(text), "f");
    deepEqual([at, told], [path, shown]);
  }
  equal(lastName("/a/b"), "b");
  equal(lastName("/a/"), "");
});
