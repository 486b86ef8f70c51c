/** Starts `raw_roles.ts` inside a cluster's network, where this process is not. */

import { type Cluster, HOST } from "tests/e2e/harness.ts";
import { Process } from "tests/e2e/process.ts";

const ROLES = new URL("./raw_roles.ts", import.meta.url).pathname;

/** What a probe saw: milliseconds that 4 KiB cached reads took. */
export interface Probe {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

function command(cluster: Cluster, role: string, ...more: string[]): string[] {
  const { port, path } = cluster.bricks[0]!;
  return [Deno.execPath(), "run", "--allow-net", ROLES, role, HOST, String(port), path, ...more];
}

/** A client in that role, until it is ended; it logs "at it" when it has begun. */
export function rawRole(cluster: Cluster, role: string): Process {
  return new Process(
    cluster.space.inside(command(cluster, role)),
    `${cluster.dir}/${role}.log`,
  );
}

/** Reads 4 KiB over and over for `seconds`, one read at a time, and tells how long reads took. */
export async function probe(cluster: Cluster, seconds: number): Promise<Probe> {
  const out = await cluster.must(command(cluster, "probe", String(seconds)));
  return JSON.parse(out) as Probe;
}
