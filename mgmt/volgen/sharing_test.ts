import { deepStrictEqual as deepEqual } from "node:assert/strict";
import { realClock } from "core/env.ts";
import { sharingOf } from "mgmt/volgen/sharing.ts";

Deno.test("mgmt/volgen: bricks on one file system are counted, those that are away are alone", async () => {
  const dir = await Deno.makeTempDir({ prefix: "mt-sharing-" });
  try {
    const brick = (path: string, nodeId = "own") => ({ host: "h", path, nodeId, clientName: "c" });
    await Deno.mkdir(`${dir}/a`);
    await Deno.mkdir(`${dir}/b`);
    const bricks = [
      brick(`${dir}/a`),
      brick(`${dir}/b`),
      brick(`${dir}/a`, "other"),
      brick(`${dir}/away`),
      brick("/proc"),
    ];
    const sharing = await sharingOf({ bricks }, "own", realClock);
    deepEqual(bricks.map(sharing), [2, 2, 1, 1, 1]);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
