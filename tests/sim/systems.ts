/** What is simulated: kinds of volumes, what faults they are made for, what they promise. */

import type { XlatorType } from "core/registry.ts";
import { type BrickOptions, SimBrick } from "tests/sim/brick.ts";
import { type ClientKind, VOLUME } from "tests/sim/client.ts";
import type { Tuning } from "tests/sim/performance.ts";
import type { Sim } from "tests/sim/sim.ts";
import { toyReplicate } from "tests/sim/toy.ts";
import { ioStats } from "xlators/debug/io-stats/io_stats.ts";
import { distribute } from "xlators/cluster/distribute/distribute.ts";
import { replicate } from "xlators/cluster/replicate/replicate.ts";

/** A volume before it lives. */
export interface System {
  readonly name: string;
  readonly bricks: number;
  /** The last brick keeps no data. */
  readonly arbiter?: boolean;
  /** Bricks hold the same, but for an arbiter's data. */
  readonly copies: boolean;
  /** Half of the copies are enough if the first is among them. */
  readonly firstDecides?: boolean;
  /** Its layers lock what they change, so a request that arrives late does no harm. */
  readonly locks: boolean;
  /** The top of the graph over the bricks' client blocks. */
  readonly top: (subvolumes: string) => string;
  // deno-lint-ignore no-explicit-any -- each type keeps its own option table
  readonly types: readonly XlatorType<any>[];
  /** Performance layers over it, lowest first. */
  readonly tuned?: readonly Tuning[];
  /** Its volfile changes and its bricks move while clients work. */
  readonly managed?: boolean;
  /** Its runs are a few steps of one or two kinds each. */
  readonly short?: boolean;
  /** What is done is done to names of files that have several. */
  readonly linked?: boolean;
  /** After faults all must be well again. */
  readonly heals: boolean;
  /** Options of its replicate layer, if it has one that a healer works for. */
  readonly replicate?: Readonly<Record<string, string>>;
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

/** The replicate layer's name in volfiles. */
export const REPLICA_NAME = `${VOLUME}-replicate-0`;

/** A replica as glusterd writes its volfile. */
function replica(name: string, bricks: number, options: Record<string, string>): System {
  const names = Array.from({ length: bricks }, (_, index) => `${VOLUME}-client-${index}`);
  const all = { "afr-pending-xattr": names.join(","), ...options };
  const lines = Object.entries(all).map(([key, value]) => `option ${key} ${value}\n`).join("");
  return {
    name,
    bricks,
    arbiter: options["arbiter-count"] === "1",
    firstDecides: bricks === 2,
    copies: true,
    locks: true,
    top: (subvolumes) =>
      `volume ${REPLICA_NAME}\ntype cluster/replicate\n${lines}subvolumes ${subvolumes}\nend-volume\n`,
    types: [replicate],
    heals: true,
    replicate: all,
  };
}

/** Three copies, quorum as by default. */
export const REPLICA_3: System = replica("replica-3", 3, { "quorum-type": "auto" });
/** The same where changed names of directories are noted, as new volumes have it. */
export const REPLICA_3_GRANULAR: System = replica("replica-3-granular", 3, {
  "quorum-type": "auto",
  "granular-entry-heal": "on",
});
const NEW = {
  "quorum-type": "auto",
  "granular-entry-heal": "on",
  "use-anonymous-inode": "yes",
  "volume-id": "3b241101-e2bb-4255-8caf-4136c566a962",
};
/** Volumes with all that new ones have on. */
export const NEW_VOLUMES: readonly System[] = [
  replica("replica-3-new", 3, NEW),
  replica("replica-2-new", 2, NEW),
  replica("arbiter-new", 3, { ...NEW, "arbiter-count": "1" }),
];
/** Two copies; the first decides. */
export const REPLICA_2: System = replica("replica-2", 2, { "quorum-type": "auto" });
/** Two copies and an arbiter. */
export const ARBITER: System = replica("arbiter", 3, {
  "quorum-type": "auto",
  "arbiter-count": "1",
});

/** The same volume without a healer: only what must hold before anything is healed is checked. */
export function unhealed({ replicate: _, ...system }: System): System {
  return { ...system, name: `${system.name}-unhealed`, heals: false };
}

/** The same volume, played in more and shorter runs: they find what needs few steps sooner. */
export function short(system: System): System {
  return { ...system, name: `${system.name}-short`, short: true };
}

/** Options of a system's replicate layer, as a healer is given them. */
export function healOptions({ replicate: options = {} }: System): ReadonlyMap<string, string> {
  return new Map(Object.entries(options));
}

/** The bricks of a system, not started; only the one that `loses` tells may lose its power. */
export function bricksOf(sim: Sim, system: System, loses?: number): SimBrick[] {
  return Array.from({ length: system.bricks }, (_, index) => {
    const options: BrickOptions = {
      name: `brick-${index}`,
      volume: VOLUME,
      arbiter: (system.arbiter ?? false) && index === system.bricks - 1,
      steady: index !== loses,
    };
    return new SimBrick(sim, options);
  });
}

/** The same volume, where clients link files. */
export function linked(system: System): System {
  return { ...system, name: `${system.name}-linked`, linked: true };
}

/** The same volume under performance layers. */
export function tuned(system: System, tunings: readonly Tuning[], name: string): System {
  return { ...system, name: `${system.name}-${name}`, tuned: tunings };
}

/** The same volume, whose volfile changes and whose bricks move while clients work. */
export function managed(system: System): System {
  return { ...system, name: `${system.name}-managed`, managed: true };
}

/** How clients of a system are made that were given this volfile. */
export function clientKind({ managed = false, ...system }: System, volfile: string): ClientKind {
  const tunings = (system.tuned ?? []).map(({ type }) => type);
  return { volfile, types: [...system.types, ...tunings, ioStats], managed };
}
