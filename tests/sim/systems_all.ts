/** All systems that are simulated, by name. */

import {
  ARBITER,
  DISTRIBUTE,
  REPLICA_2,
  REPLICA_3,
  short,
  SINGLE,
  type System,
  TOY,
  unhealed,
} from "tests/sim/systems.ts";

const REPLICAS: readonly System[] = [REPLICA_3, REPLICA_2, ARBITER];
const UNHEALED = REPLICAS.map(unhealed);

/** Played by `deno task test:sim`, with how many of each hundred seeds. */
export const DAILY: readonly (readonly [System, number])[] = [
  [SINGLE, 5],
  [DISTRIBUTE, 10],
  [TOY, 5],
  ...UNHEALED.map((system) => [system, 10] as const),
  ...UNHEALED.map((system, index) => [short(system), index === 0 ? 20 : 15] as const),
];

/** Every system. */
export const SYSTEMS: readonly System[] = [
  ...DAILY.map(([system]) => system),
  ...REPLICAS,
  ...REPLICAS.map(short),
];

/** The system of that name. Throws RangeError if there is none. */
export function systemNamed(name: string): System {
  const system = SYSTEMS.find((each) => each.name === name);
  if (system) return system;
  throw new RangeError(
    `no system "${name}": there are ${SYSTEMS.map((each) => each.name).join(", ")}`,
  );
}
