/** All systems that are simulated, by name. */

import {
  ARBITER,
  DISTRIBUTE,
  REPLICA_2,
  REPLICA_3,
  SINGLE,
  type System,
  TOY,
  unhealed,
} from "tests/sim/systems.ts";

const REPLICAS: readonly System[] = [REPLICA_3, REPLICA_2, ARBITER];

/** Played by `deno task test:sim`, with how many of each hundred seeds. */
export const DAILY: readonly (readonly [System, number])[] = [
  [SINGLE, 10],
  [DISTRIBUTE, 10],
  [TOY, 10],
  ...REPLICAS.map((system, index) => [unhealed(system), index === 0 ? 30 : 20] as const),
];

/** Every system. */
export const SYSTEMS: readonly System[] = [...DAILY.map(([system]) => system), ...REPLICAS];
