/** All systems that are simulated, by name. */

import { TUNINGS } from "tests/sim/performance.ts";
import {
  ARBITER,
  DISTRIBUTE,
  linked,
  managed,
  NEW_VOLUMES,
  REPLICA_2,
  REPLICA_3,
  REPLICA_3_GRANULAR,
  short,
  SINGLE,
  type System,
  TOY,
  tuned,
  unhealed,
} from "tests/sim/systems.ts";

const REPLICAS: readonly System[] = [REPLICA_3, REPLICA_2, ARBITER];
const UNHEALED = REPLICAS.map(unhealed);
const LINKED = [REPLICA_3_GRANULAR, ...NEW_VOLUMES].map(linked);
// Each performance layer by itself over one brick, and all of them as mounts have them.
const TUNED: readonly System[] = [
  ...TUNINGS.map((tuning) => tuned(SINGLE, [tuning], nameOf(tuning.type.type))),
  tuned(SINGLE, TUNINGS, "tuned"),
  tuned(unhealed(REPLICA_3), TUNINGS, "tuned"),
].map(short);
const MANAGED: readonly System[] = [
  managed(SINGLE),
  managed(tuned(SINGLE, TUNINGS.slice(0, 1), nameOf(TUNINGS[0]!.type.type))),
  managed(tuned(SINGLE, TUNINGS, "tuned")),
  managed(unhealed(REPLICA_3)),
].map(short);

function nameOf(type: string): string {
  return type.slice(type.indexOf("/") + 1);
}

/** Every system, with how many of each hundred seeds `deno task sim` gives it. */
export const DAILY: readonly (readonly [System, number])[] = [
  [SINGLE, 3],
  [DISTRIBUTE, 3],
  [TOY, 5],
  ...UNHEALED.map((system) => [system, 4] as const),
  ...UNHEALED.map((system) => [short(system), 5] as const),
  ...REPLICAS.map((system) => [system, 3] as const),
  ...REPLICAS.map((system) => [short(system), 5] as const),
  [REPLICA_3_GRANULAR, 2],
  [short(REPLICA_3_GRANULAR), 4],
  ...LINKED.map((system) => [system, 1] as const),
  ...LINKED.map((system) => [short(system), 1] as const),
  ...TUNED.map((system) => [system, 2] as const),
  ...MANAGED.map((system) => [system, 3] as const),
];

/** Every system. */
export const SYSTEMS: readonly System[] = DAILY.map(([system]) => system);

/** The system of that name. Throws RangeError if there is none. */
export function systemNamed(name: string): System {
  const system = SYSTEMS.find((each) => each.name === name);
  if (system) return system;
  throw new RangeError(
    `no system "${name}": there are ${SYSTEMS.map((each) => each.name).join(", ")}`,
  );
}
