import { deepStrictEqual as deepEqual } from "node:assert/strict";
import { readGlobals } from "mgmt/cli/globals.ts";
import { wordsToSend } from "mgmt/old_names/gluster.ts";

Deno.test("mgmt/old_names: --wignore creates volumes as if with force, and means nothing elsewhere", () => {
  const sent = (line: string) => wordsToSend(readGlobals(line.split(" "), "gluster")).join(" ");
  deepEqual(sent("--mode=script --wignore volume create v h:/b"), "volume create v h:/b force");
  deepEqual(sent("--wignore volume create v h:/b force"), "volume create v h:/b force");
  deepEqual(sent("--wignore vol cre v h:/b"), "vol cre v h:/b force");
  deepEqual(sent("--wignore volume start v"), "volume start v");
  deepEqual(sent("volume create v h:/b"), "volume create v h:/b");
});
