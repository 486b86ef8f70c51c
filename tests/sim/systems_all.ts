/** All systems that are simulated, by name. */

import {
  ARBITER,
  DISTRIBUTE,
  REPLICA_2,
  REPLICA_3,
  SINGLE,
  type System,
  TOY,
} from "tests/sim/systems.ts";

export const SYSTEMS: readonly System[] = [SINGLE, DISTRIBUTE, TOY, REPLICA_3, REPLICA_2, ARBITER];
