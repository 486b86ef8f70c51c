import {
  deepStrictEqual as deepEqual,
  rejects,
  strictEqual as equal,
  throws,
} from "node:assert/strict";
import {
  checkExportRecord,
  type ExportRecord,
  exportsText,
  isExportName,
  KeptExports,
  readExports,
} from "mgmt/nbd/kept_exports.ts";
import { memoryStore } from "mgmt/store/open_store.ts";
import { testEnv } from "tests/fakes/node.ts";

const VM: ExportRecord = { name: "vm", volume: "v1", path: "/a b/vm.img", readOnly: false };
const OLD: ExportRecord = { name: "old", volume: "v2", path: "/x", snapshot: "s", readOnly: true };

Deno.test("mgmt/nbd: what the server is told is what was kept", () => {
  const told = readExports(exportsText([VM, OLD], { host: "::1", port: 24007 }));
  deepEqual(told.map(({ name, snapshot, readOnly }) => [name, snapshot, readOnly]), [
    ["vm", undefined, false],
    ["old", "s", true],
  ]);
  deepEqual(told[0]!.address, {
    ...{ host: "::1", port: 24007, volume: "v1", path: "/a b/vm.img", text: "v1/a b/vm.img" },
  });
  for (const wrong of ["", "{}", "[]", '{"server":{"host":"h","port":"1"},"exports":[{}]}']) {
    throws(() => readExports(wrong), wrong);
  }
});

Deno.test("mgmt/nbd: names of exports are unique, and go with their volume", async () => {
  const exports = new KeptExports({ store: memoryStore(testEnv()) });
  await exports.add(VM);
  await exports.add(OLD);
  await rejects(exports.add({ ...OLD, name: "vm" }), /already: v1\/a b/);
  await rejects(exports.remove("v2", "vm"), /Volume v2 has no export "vm"/);
  await exports.forgetVolume("v1");
  deepEqual(await exports.all(), [OLD]);
  throws(() => checkExportRecord("nbd-export/x", OLD), /"old"/);
});

Deno.test("mgmt/nbd: a name needs no escapes in a URI", () => {
  const right = ["vm1", "a.b_c-d", "0"],
    wrong = ["", ".a", "a/b", "a b", "ä", "a?", "x".repeat(129)];
  deepEqual(right.map(isExportName), right.map(() => true));
  equal(wrong.some(isExportName), false);
});
