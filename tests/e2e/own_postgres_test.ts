/**
 * PostgreSQL on our mount: its server is killed under load, bricks are, and what it promised is
 * there, as its own checks see it. Minutes long: only with `MORTAR_LONG=1`.
 */

// deno-lint-ignore-file no-console -- the long form tells its figures

import { ok, strictEqual as equal } from "node:assert/strict";
import { e2e, LONG } from "tests/e2e/harness.ts";
import type { BrickRow, ManagedNode } from "tests/e2e/managed_node.ts";
import { Mounts } from "tests/e2e/own_mounts.ts";
import { PATIENCE_MS, Postgres, postgresPrograms } from "tests/e2e/postgres.ts";
import { until } from "tests/e2e/process.ts";
import { expectSameTree, healedDiffers, readTree, visible } from "tests/e2e/tree.ts";

const BIN = postgresPrograms();
const CLIENTS = 4, V = "v1";
const SCALE = 2, ROUNDS = 3;
/** Longer than a round takes: what ends the load is the server's end. */
const LOAD_SECONDS = 7200;

async function grows(db: Postgres, by: number): Promise<void> {
  const count = async () => Number(await db.value("select count(*) from pgbench_history"));
  const from = await count();
  await until(`${by} more transactions`, async () => await count() >= from + by, PATIENCE_MS);
}

/** Kills a brick of three; resolves when another process serves it. */
async function killed(node: ManagedNode, victim: BrickRow, index: number): Promise<void> {
  Deno.kill(victim.pid, "SIGKILL");
  await until("the brick is served again", async () => {
    const now = (await node.bricks(V))[index]!;
    return now.online && now.pid !== victim.pid;
  });
}

async function healed(node: ManagedNode): Promise<void> {
  await until("nothing is left to heal", async () => {
    const told = await node.must(`volume heal ${V} info`);
    return told.match(/^Number of entries: 0$/gm)?.length === 3;
  });
  let why: unknown;
  await until("the copies are the same", async () => {
    const [first, ...others] = await Promise.all(
      [0, 1, 2].map(async (i) => visible(await readTree(`${node.dir}/${V}-${i}`))),
    );
    try {
      for (const other of others) expectSameTree(first!, other, healedDiffers);
      return true;
    } catch (error) {
      why = error;
      return false;
    }
  }).catch((error) => {
    throw why ?? error;
  });
}

if (LONG) {
  e2e(
    "own postgres: a server killed under load, with bricks killed, keeps what it promised",
    [BIN ? `${BIN}/postgres` : "postgres", "setpriv", "pgrep"],
    async () => {
      // All layers that a volume has by itself.
      await using mounts = await Mounts.start({ bricks: 3, layout: "replica 3", without: [] });
      const { node } = mounts, path = await mounts.mount("acl");
      await using db = new Postgres(BIN!, `${path}/data`, `${node.dir}/pg`);
      await db.init();
      await db.start();
      await db.must("pgbench", "-i", "-q", "-s", String(SCALE), "postgres");
      let acknowledged = 0;
      for (let round = 0; round < ROUNDS; round++) {
        const load = db.load(LOAD_SECONDS);
        await grows(db, 50);
        const bricks = await node.allOnline(V), victim = round % bricks.length;
        await killed(node, bricks[victim]!, victim);
        await grows(db, 50);
        await db.end("SIGKILL");
        acknowledged += await load.acknowledged();
        await db.start();
      }
      const kept = Number(await db.value("select count(*) from pgbench_history"));
      // A commit may have been done whose answer the kill cut off.
      ok(
        kept >= acknowledged && kept <= acknowledged + ROUNDS * CLIENTS,
        `${kept}, ${acknowledged}`,
      );
      const sums = [["delta", "history"], ["abalance", "accounts"], ["bbalance", "branches"]]
        .map(([column, table]) => `(select sum(${column}) from pgbench_${table})`);
      equal(await db.value(`select ${sums[0]} = ${sums[1]} and ${sums[0]} = ${sums[2]}`), "t");
      const deep = ["--heapallindexed", "--rootdescend", "--parent-check"];
      await db.must("pg_amcheck", "--install-missing", ...deep, "postgres");
      await db.end();
      const sound = await db.must("pg_checksums", "--check", "-D", db.data);
      ok(/^Bad checksums: {2}0$/m.test(sound), sound);
      await healed(node);
      console.log(`${ROUNDS} rounds, ${acknowledged} acknowledged, ${kept} kept\n${sound}`);
    },
  );
}
