import { deepStrictEqual as deepEqual, strictEqual as equal, throws } from "node:assert/strict";
import { forUser, splitOptions } from "xlators/mount/fuse/mount.ts";

const of = (...options: string[]) => ({
  directory: "/m",
  source: "h:/v",
  subtype: "mortar",
  readOnly: false,
  options,
});

Deno.test("mount/fuse: options of mount are flags, words for FUSE, or refused", () => {
  const split = (...options: string[]) => splitOptions(of(...options));
  deepEqual(split("nosuid", "_netdev", "rw", "context=x"), { flags: 2, words: ["context=x"] });
  deepEqual(split("allow_other", "default_permissions", "X-a=b"), { flags: 0, words: [] });
  equal(splitOptions({ ...of(), readOnly: true }).flags, 1);
  throws(() => split("fd=7"), /"fd=7": it is not known/);
});

Deno.test("mount/fuse: who is not root asks for what has an effect, and for nothing unknown", () => {
  const given = of("noatime", "relatime", "_netdev", "user", "nofail", "allow_other");
  deepEqual(forUser({ ...given, readOnly: true }).options, ["ro", "noatime", "allow_other"]);
  throws(() => forUser(of("rootmode=40000")), /"rootmode=40000": it is not known/);
});
