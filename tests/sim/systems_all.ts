/** All systems that are simulated, by name. */

import { DISTRIBUTE, SINGLE, type System, TOY } from "tests/sim/systems.ts";

export const SYSTEMS: readonly System[] = [SINGLE, DISTRIBUTE, TOY];
