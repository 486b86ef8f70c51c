import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import type { Daemon } from "mgmt/daemon.ts";
import { HealProcess } from "mgmt/heal/heal_process.ts";
import type { ManagementLink } from "mgmt/management_link.ts";
import { testEnv } from "tests/fakes/node.ts";

const VOLFILE = "volume v\n type debug/io-stats\nend-volume\n";

Deno.test("mgmt/heal: who asks about a volume that is just being taken over waits for it", async () => {
  const told = Promise.withResolvers<object>(), ended = Promise.withResolvers<number>();
  const env = testEnv();
  const daemon = { env, handle() {}, ready() {}, end: ended.resolve, ended: ended.promise };
  const link = {
    connection: { ask: () => told.promise },
    keep() {},
    stop: () => Promise.resolve(),
  };
  const heal = new HealProcess(daemon as unknown as Daemon, {
    files: [],
    volumes: ["v"],
    link: link as unknown as ManagementLink,
    socket: undefined,
    statedumps: undefined,
  });
  const running = heal.run();
  const crawls = heal.obey({ order: "statistics", volume: "v" });
  told.resolve({ ret: VOLFILE.length, errno: 0, spec: VOLFILE, xdata: undefined });
  deepEqual(await crawls, { crawls: [] });
  deepEqual(await heal.obey({ order: "statistics", volume: "w" }), {
    error: "volume w is not healed by this daemon",
  });
  daemon.end(0);
  equal(await running, 0);
});
