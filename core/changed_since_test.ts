import { deepStrictEqual as deepEqual, throws } from "node:assert/strict";
import { changesAsked, changesName, decodeChanges, encodeChanges } from "core/changed_since.ts";
import { EINVAL } from "core/errno.ts";

Deno.test("core: what changed since a snapshot is asked for by name, and other names are left alone", () => {
  for (
    const asked of [
      { snapshot: undefined, from: 0 },
      { snapshot: "before.upgrade", from: 0 },
      { snapshot: "1", from: 4096 },
    ]
  ) deepEqual(changesAsked(changesName(asked)), asked);
  deepEqual(changesAsked("user.note"), undefined);
  for (const wrong of ["x", ".", ".a/", ".a/-1", ".a/1/2", "./1"]) {
    throws(() => changesAsked(`glusterfs.changed-since${wrong}`), (error) => EINVAL.matches(error));
  }
});

Deno.test("core: what changed is read back as it was told, and nonsense is refused", () => {
  const told = { ranges: [{ offset: 0, length: 4096 }, { offset: 2 ** 40, length: 1 }], next: 7 };
  deepEqual(decodeChanges(encodeChanges(told)), told);
  const all = { ranges: [], next: undefined };
  deepEqual(decodeChanges(encodeChanges(all)), all);
  for (
    const wrong of ["", "{}", '{"ranges":[1]}', '{"ranges":[[1]]}', '{"ranges":[[-1,2]]}', "null"]
  ) {
    const value = new TextEncoder().encode(wrong);
    throws(() => decodeChanges(value), (error) => EINVAL.matches(error), wrong);
  }
});
