/** What is simulated: kinds of volumes, what faults they are made for, what they promise. */

import type { XlatorType } from "core/registry.ts";
import { type BrickOptions, SimBrick } from "tests/sim/brick.ts";
import { clientBlocks, type ClientKind } from "tests/sim/client.ts";
import type { Sim } from "tests/sim/sim.ts";
import type { World } from "tests/sim/world.ts";
import { toyReplicate } from "tests/sim/toy.ts";
import { distribute } from "xlators/cluster/distribute/distribute.ts";
import { replicate } from "xlators/cluster/replicate/replicate.ts";

/** The name of every simulated volume. */
export const VOLUME = "v";

/** A volume before it lives. */
export interface System {
  readonly name: string;
  readonly bricks: number;
  /** The last brick keeps no data. */
  readonly arbiter?: boolean;
  /** Bricks hold the same, but for an arbiter's data. */
  readonly copies: boolean;
  /** Its layers lock what they change, so a request that arrives late does no harm. */
  readonly locks: boolean;
  /** The top of the graph over the bricks' client blocks. */
  readonly top: (subvolumes: string) => string;
  // deno-lint-ignore no-explicit-any -- each type keeps its own option table
  readonly types: readonly XlatorType<any>[];
  /** It brings copies together by itself, so that after faults all must be well again. */
  readonly heals: boolean;
  /** What has it healed once the faults are over; resolves when nothing is left to heal. */
  readonly heal?: (world: World) => Promise<void>;
}

/** One brick, no layer between: do the models hold where nothing can go wrong? */
export const SINGLE: System = {
  name: "single",
  bricks: 1,
  copies: false,
  locks: false,
  top: () => "",
  types: [],
  heals: true,
};

/** Files spread over three bricks. */
export const DISTRIBUTE: System = {
  name: "distribute",
  bricks: 3,
  copies: false,
  locks: false,
  top: (subvolumes) =>
    `volume ${VOLUME}-dht\ntype cluster/distribute\nsubvolumes ${subvolumes}\nend-volume\n`,
  types: [distribute],
  heals: true,
};

/** Two copies by the test double. */
export const TOY: System = {
  name: "toy",
  bricks: 2,
  copies: true,
  locks: true,
  top: (subvolumes) =>
    `volume ${VOLUME}-toy\ntype cluster/toy\nsubvolumes ${subvolumes}\nend-volume\n`,
  types: [toyReplicate],
  heals: false,
};

/** A replica as glusterd writes its volfile. */
function replica(
  name: string,
  bricks: number,
  more: Partial<System> & { options?: string } = {},
): System {
  const names = Array.from({ length: bricks }, (_, index) => `${VOLUME}-client-${index}`);
  const { options = "", ...rest } = more;
  return {
    name,
    bricks,
    copies: true,
    locks: true,
    top: (subvolumes) =>
      `volume ${VOLUME}-replicate-0
type cluster/replicate
option afr-pending-xattr ${names.join(",")}
${options}
subvolumes ${subvolumes}
end-volume
`,
    types: [replicate],
    heals: false,
    ...rest,
  };
}

/** Three copies, quorum as by default. */
export const REPLICA_3: System = replica("replica-3", 3, { options: "option quorum-type auto" });
/** Two copies; the first decides. */
export const REPLICA_2: System = replica("replica-2", 2, { options: "option quorum-type auto" });
/** Two copies and an arbiter. */
export const ARBITER: System = replica("arbiter", 3, {
  options: "option quorum-type auto\noption arbiter-count 1",
  arbiter: true,
});

/** The bricks of a system, not started. */
export function bricksOf(sim: Sim, system: System): SimBrick[] {
  return Array.from({ length: system.bricks }, (_, index) => {
    const options: BrickOptions = {
      name: `brick-${index}`,
      volume: VOLUME,
      arbiter: (system.arbiter ?? false) && index === system.bricks - 1,
    };
    return new SimBrick(sim, options);
  });
}

/** How clients of a system are made. */
export function clientKind(system: System, bricks: readonly SimBrick[]): ClientKind {
  const names = bricks.map((_, index) => `${VOLUME}-client-${index}`).join(" ");
  return { volfile: clientBlocks(VOLUME, bricks) + system.top(names), types: system.types };
}
