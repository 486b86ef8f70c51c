/** One run: the volume, its clients, what was drawn for it. */

import { FopError } from "core/errno.ts";
import type { SimBrick } from "tests/sim/brick.ts";
import { SimClient } from "tests/sim/client.ts";
import { unavailable } from "tests/sim/models.ts";
import { CALM, SimNet } from "tests/sim/net.ts";
import { BlockHistory } from "tests/sim/register.ts";
import type { SimRandom } from "tests/sim/random.ts";
import { type Sim, SimFailure } from "tests/sim/sim.ts";
import { bricksOf, clientKind, type System } from "tests/sim/systems.ts";
import { Management } from "tests/sim/management.ts";

/** What is drawn once for a run: calm runs and hellish ones find different bugs. */
export interface Swarm {
  readonly clients: number;
  readonly steps: number;
  /** Milliseconds that a client thinks between two operations, at most. */
  readonly thinkMs: number;
  /** Milliseconds between two faults on average; Infinity: no faults at all. */
  readonly faultMs: number;
  /** How often each kind of fault comes; 0: never. */
  readonly faults: Readonly<Record<FaultKind, number>>;
  readonly lose: number;
  readonly slowMs: number;
  /** EIO per fop of the victim's disk. */
  readonly diskErrors: number;
  /** Brick whose disk and power may fail; all others only end, or are cut off. */
  readonly victim: number;
  /** How often each kind of operation comes. */
  readonly work: Readonly<Record<WorkKind, number>>;
  /** All work on one block of one shared file. */
  readonly narrow: boolean;
  /** A healer works while clients and faults do. */
  readonly healer: boolean;
  /** Writes are answered when they are on stable storage. */
  readonly sync: boolean;
}
/** Ways in which a run can be hurt. */
export const FAULTS = [
  "cut",
  "isolate",
  "reset",
  "crash",
  "power",
  "full",
  "kill",
  "switch",
  "move",
] as const;
export type FaultKind = typeof FAULTS[number];
const NO_FAULTS = Object.fromEntries(FAULTS.map((kind) => [kind, 0])) as Swarm["faults"];
/** What clients do. */
export const WORKS = ["shared", "own", "names", "xattrs", "versions", "links"] as const;
export type WorkKind = typeof WORKS[number];
const NO_WORK = Object.fromEntries(WORKS.map((kind) => [kind, 0])) as Swarm["work"];

/** The draw of a run. */
export function drawSwarm({ random }: Sim, system: System): Swarm {
  let drawn = drawLong(random, system);
  if (system.tuned) drawn = { ...drawn, ...drawTuned(random, drawn) };
  if (system.managed) drawn = { ...drawn, ...drawManaged(random, drawn) };
  if (system.short) drawn = { ...drawn, ...drawShort(random, drawn, system) };
  return system.linked ? { ...drawn, ...drawLinked(random, drawn) } : drawn;
}

// What is answered early a loss of power may take; until a file is synced or closed, others may see
// what was there before.
function drawTuned(random: SimRandom, { faultMs, faults, work }: Swarm): Partial<Swarm> {
  const calm = faultMs === Infinity;
  return {
    faults: { ...faults, power: 0, full: random.pick([0, 0, 1]) },
    diskErrors: calm ? 0 : random.pick([0, 0, 0.02, 0.2]),
    work: { ...work, shared: 0, versions: random.between(2, 4) },
  };
}

// Where the volume does nothing but change, nothing may fail.
function drawManaged(random: SimRandom, { faults, faultMs }: Swarm): Partial<Swarm> {
  if (faultMs === Infinity || random.chance(0.3)) {
    return { faults: { ...NO_FAULTS, switch: 1 }, faultMs: 20, lose: 0, diskErrors: 0 };
  }
  if (faults.power) return {};
  return { faults: { ...faults, switch: random.pick([1, 3]), move: random.pick([0, 1, 3]) } };
}

// Names, linked and not. A client that dies in the midst of a rename may leave two files of one name that
// nothing tells of; what was written before power is lost is another matter.
function drawLinked(random: SimRandom, { faults, steps }: Swarm): Partial<Swarm> {
  return {
    steps: Math.min(steps * 2, 60),
    faults: { ...faults, power: 0, kill: 0, crash: faults.power || faults.crash },
    work: { ...NO_WORK, links: 3, names: random.pick([0, 0, 1]) },
  };
}

// Few steps of one or two kinds, and faults as often as they come.
function drawShort(
  random: SimRandom,
  { faultMs, faults, work }: Swarm,
  { tuned }: System,
): Partial<Swarm> {
  const left = tuned ? "shared" : "versions";
  const kinds = WORKS.filter((kind) =>
    kind !== left && kind !== "links" && (!faults.power || work[kind])
  );
  const one = tuned ? "versions" : random.pick(kinds), two = random.pick(kinds);
  return {
    clients: random.between(1, 2),
    steps: random.between(3, 12),
    thinkMs: random.pick([0.5, 5, 50]),
    faultMs: faultMs === Infinity ? Infinity : random.pick([5, 20, 100]),
    work: { ...NO_WORK, [one]: 2, [two]: 1 },
    narrow: random.chance(0.3),
  };
}

function drawLong(random: SimRandom, system: System): Swarm {
  const calm = random.chance(0.15);
  const some = () => random.pick([0, 0, 1, 3]);
  // An acknowledged write may be in one copy's page cache, and the client that would blame that copy
  // cut off from the others: two faults, which two copies need not survive.
  const power = system.copies && random.chance(0.3) ? 3 : 0;
  const others = () => power ? 0 : some();
  const full = system.copies ? some() : 0;
  return {
    clients: random.between(1, 3),
    steps: random.between(10, 50),
    thinkMs: random.pick([0.5, 5, 50, 1500]),
    faultMs: calm ? Infinity : random.pick([20, 100, 500, 3000]),
    faults: {
      cut: others(),
      isolate: others(),
      reset: others(),
      crash: others(),
      power,
      full,
      kill: power ? 0 : random.pick([0, 0, 0, 1]),
      switch: 0,
      move: 0,
    },
    lose: calm || power ? 0 : random.pick([0, 0, 0.001, 0.01, 0.05]),
    slowMs: random.pick([1, 10, 200]),
    diskErrors: calm || !system.copies ? 0 : random.pick([0, 0, 0.02, 0.2]),
    victim: victimOf(system, random.int(system.bricks), power > 0),
    work: {
      shared: random.between(1, 4),
      own: power ? 0 : some(),
      names: some(),
      xattrs: power ? 0 : some(),
      versions: 0,
      links: 0,
    },
    narrow: false,
    healer: random.chance(0.4),
    sync: random.chance(0.3),
  };
}

// Of two copies with a quorum the first is believed whatever it lost with its power.
function victimOf({ firstDecides = false }: System, drawn: number, power: boolean): number {
  return firstDecides && power ? 1 : drawn;
}

/** See the head of this file. */
export class World {
  readonly net: SimNet;
  readonly bricks: readonly SimBrick[];
  readonly management: Management;
  readonly history = new BlockHistory();
  readonly clients: SimClient[] = [];
  /** True while faults may happen, and where the volume does not heal, after the first one. */
  excuses = false;
  #stamp = 0;
  #started = 0;

  constructor(readonly sim: Sim, readonly system: System, readonly swarm: Swarm) {
    this.net = new SimNet(sim, CALM, { late: system.locks });
    this.bricks = bricksOf(sim, system, swarm.faults.power ? swarm.victim : undefined);
    this.management = new Management(this);
  }

  /** What goes wrong in this run, if anything, may make operations fail. */
  get mayFail(): boolean {
    const { faultMs, faults, lose, diskErrors } = this.swarm;
    const kinds = FAULTS.filter((kind) => faults[kind]);
    return faultMs !== Infinity && (lose > 0 || diskErrors > 0 || kinds.join() !== "switch");
  }

  /**
   * Replication as GlusterFS does it lets a client that alone lost a brick and one that did not see
   * different copies for a while: false if that may be.
   */
  get strict(): boolean {
    const { faultMs, faults: { cut, reset, kill, full }, lose, diskErrors } = this.swarm;
    return !this.system.copies || faultMs === Infinity ||
      !(cut || reset || kill || full || lose || diskErrors);
  }

  /** A number that no other write of this run has. */
  nextStamp(): number {
    return ++this.#stamp;
  }

  /** Starts one more client. */
  async client(): Promise<SimClient> {
    const name = `client-${this.#started++}`;
    const { volfile } = this.management;
    const made = await SimClient.start(
      this.net,
      name,
      clientKind(this.system, volfile),
      this.bricks,
    );
    this.clients.push(made);
    // The volume may have changed while it started.
    this.management.tell(made);
    return made;
  }

  /**
   * Does something a client asked for. Answers undefined if it could not be done now and there is
   * an excuse; other failures, those in `expected` apart, break the run.
   */
  async try<T>(
    client: SimClient,
    what: string,
    act: () => Promise<T>,
    expected: readonly string[] = [],
  ): Promise<{ value: T } | { error: FopError } | undefined> {
    this.sim.note(client.name, what);
    try {
      const value = await this.sim.waiting(`${client.name} ${what}`, act());
      this.sim.note(client.name, what, "done");
      return { value };
    } catch (error) {
      if (!(error instanceof FopError)) throw error;
      this.sim.note(client.name, what, error.code);
      if (expected.includes(error.code)) return { error };
      if (unavailable(error) && this.excuses) return undefined;
      throw new SimFailure(`${client.name} ${what}: ${error.code} without an excuse`);
    }
  }
}
