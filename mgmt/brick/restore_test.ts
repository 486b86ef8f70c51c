import { deepStrictEqual as deepEqual } from "node:assert/strict";
import type { HistoryOrders } from "core/history_orders.ts";
import { defineXlator, xlatorTypes } from "core/registry.ts";
import { type Node, PassThrough, Refuse } from "core/xlator.ts";
import { restoreBrick } from "mgmt/brick/restore.ts";
import type { Daemon } from "mgmt/daemon.ts";
import { testEnv } from "tests/fakes/node.ts";

Deno.test("mortar brick: what copies missed is forgotten before a snapshot's state comes back", async () => {
  const done: string[] = [];
  class Storage extends Refuse {
    readonly histories = {
      trouble: () => undefined,
      restoreVolume: (snapshot: string) => Promise.resolve(void done.push(`restore ${snapshot}`)),
    } as unknown as HistoryOrders;
  }
  class Records extends PassThrough {
    forgetMissed() {
      done.push("forget");
    }
  }
  const layer = (
    type: string,
    subvolumes: "none" | "one",
    create: (node: Node) => Refuse | Records,
  ) => defineXlator({ type, summary: "", options: {}, subvolumes, create });
  const types = xlatorTypes([
    layer("test/storage", "none", (node) => new Storage(node)),
    layer("test/records", "one", (node) => new Records(node)),
  ]);
  const text = "volume s\ntype test/storage\nend-volume\n" +
    "volume r\ntype test/records\nsubvolumes s\nend-volume\n";
  const source = { where: "volfile", served: false, read: () => Promise.resolve(text) };
  const daemon = { env: testEnv() } as Daemon;
  await restoreBrick(daemon, types, source, [], { snapshot: "one", missedBy: [] });
  deepEqual(done, ["forget", "restore one"]);
});
