/**
 * A run from its seed: clients work while faults happen; then the faults end, the volume heals if it
 * can, and everything is looked at once more.
 */

import { checkCopies, marksOf } from "tests/sim/copies.ts";
import { Faults } from "tests/sim/faults.ts";
import { SimHealer } from "tests/sim/healer.ts";
import { checkLocks } from "tests/sim/leftover_locks.ts";
import { LinkedFiles } from "tests/sim/linked_files.ts";
import { OwnFiles } from "tests/sim/own_files.ts";
import { SharedFiles } from "tests/sim/shared_files.ts";
import { Sim, SimFailure } from "tests/sim/sim.ts";
import type { System } from "tests/sim/systems.ts";
import { Trace } from "tests/sim/trace.ts";
import { Versions } from "tests/sim/versions.ts";
import { drawSwarm, type Swarm, type WorkKind, WORKS, World } from "tests/sim/world.ts";

/** How a run went. */
export interface RunReport {
  readonly seed: number;
  readonly events: number;
  /** Simulated milliseconds. */
  readonly timeMs: number;
  /** Equal for equal runs. */
  readonly digest: string;
  readonly swarm: Swarm;
  readonly failure: unknown;
  /** The last lines of a run that failed, or all if they were asked for. */
  readonly trace: readonly string[];
}

/** Milliseconds after which nothing may be under way any more, delayed post-ops included. */
const SETTLED_MS = 10_000;
/** How long clients may take to find their bricks again. */
const RECONNECT_MS = 10_000;

/** What a caller of `play` may choose. */
export interface PlayOptions {
  readonly keepTrace?: boolean;
  /** Overrides what was drawn. */
  readonly swarm?: Partial<Swarm>;
}

/**
 * Plays a seed on a system. Never throws: what went wrong is in the report. Nothing is written down
 * unless that is asked for: a run that fails is played again to tell what happened.
 */
export async function play(
  system: System,
  seed: number,
  { keepTrace = false, swarm = {} }: PlayOptions = {},
): Promise<RunReport> {
  if (keepTrace) return await playOnce(system, seed, swarm, new Trace(true));
  const first = await playOnce(system, seed, swarm);
  if (first.failure === undefined) return first;
  const second = await playOnce(system, seed, swarm, new Trace());
  if (second.digest === first.digest) return second;
  const what = `another run with the same seed: ${first.digest} failed with ${first.failure}`;
  return { ...second, failure: new SimFailure(`${what}, then ${second.digest}`) };
}

async function playOnce(
  system: System,
  seed: number,
  chosen: Partial<Swarm>,
  trace?: Trace,
): Promise<RunReport> {
  const sim = new Sim(seed, trace && { trace });
  const swarm = { ...drawSwarm(sim, system), ...chosen };
  const world = new World(sim, system, swarm);
  let failure: unknown;
  try {
    await sim.run(() => new Scenario(world).run());
  } catch (error) {
    failure = error;
    for (const brick of world.bricks) {
      sim.note(`${brick.name} ${JSON.stringify(brick.state())}`);
      for (const mark of marksOf(brick)) sim.note(mark);
    }
  }
  const { events, now: timeMs, digest } = sim;
  return { seed, events, timeMs, digest, swarm, failure, trace: trace?.lines ?? [] };
}

class Scenario {
  readonly #shared: SharedFiles[] = [];
  readonly #own: OwnFiles[] = [];
  readonly #links: LinkedFiles[] = [];
  readonly #versions: Versions[] = [];

  constructor(readonly world: World) {}

  async run(): Promise<void> {
    const { world } = this, { swarm, system, sim } = world;
    for (const brick of world.bricks) await brick.start();
    await this.#prepare();
    world.excuses = world.mayFail;
    const faults = new Faults(world);
    faults.start();
    const done = new AbortController();
    const healing = swarm.healer ? this.#healMeanwhile(done.signal) : undefined;
    // Each host has one.
    const second = swarm.healer && system.linked ? this.#healMeanwhile(done.signal, 2) : undefined;
    await Promise.all(this.#own.map((_, id) => this.#work(id)));
    await faults.stop();
    done.abort();
    await healing;
    await second;
    sim.note("faults end");
    for (const each of [...this.#shared, ...this.#versions]) await each.close();
    await this.world.management.settle();
    await sim.delay(SETTLED_MS);
    await this.#reconnected();
    if (system.replicate) {
      const healer = await SimHealer.start(world, "healer");
      // A client that died in a change of a name or an attribute could not tell of it, as nothing is
      // marked before: only a heal that compares all finds that.
      await healer.healAll({ every: world.clients.some(({ alive }) => !alive) });
    }
    if (world.excuses) world.excuses = !system.heals;
    await this.#lookAtAll();
    this.#checkHistory();
    await sim.delay(SETTLED_MS);
    if (system.copies && !world.excuses) checkCopies(world);
    await checkLocks(world);
    for (const client of world.clients) if (client.alive) await client.stop();
  }

  // A failed write may come and go until it is healed.
  #checkHistory(): void {
    const { history, system, strict } = this.world;
    const exact = !system.copies || (strict && !history.sawFailed);
    const problem = history.overwritten({ onlyFresh: !strict }) ??
      (exact ? history.notLinearizable() : undefined);
    if (problem) throw new SimFailure(problem);
  }

  async #healMeanwhile(signal: AbortSignal, number = 1): Promise<void> {
    if (!this.world.system.replicate) return;
    const healer = await SimHealer.start(this.world, `healer-meanwhile-${number}`);
    await healer.keepHealing(signal);
  }

  async #prepare(): Promise<void> {
    const { world } = this;
    for (let id = 0; id < world.swarm.clients; id++) {
      const client = await world.client();
      // Replication does not sync appends, as the size tells healers which copy lacks them: until
      // then a copy that lost power answers with less. Overwritten blocks it syncs.
      if (id === 0) await SharedFiles.make(client, { full: world.swarm.faults.power > 0 });
      this.#shared.push(new SharedFiles(world, id, client));
      this.#own.push(new OwnFiles(world, id, client));
      await this.#own[id]!.make();
      this.#links.push(new LinkedFiles(world, id, client));
      if (world.system.linked) await this.#links[id]!.make();
      this.#versions.push(new Versions(world, id, client));
      if (world.system.tuned) await this.#versions[id]!.make();
    }
  }

  async #work(id: number): Promise<void> {
    const { sim, swarm, clients } = this.world;
    const kinds = WORKS.flatMap((kind) => Array<WorkKind>(swarm.work[kind]).fill(kind));
    let client = clients[id]!;
    for (let step = 0; step < swarm.steps; step++) {
      await sim.delay(sim.random.float() * swarm.thinkMs);
      if (!client.alive) {
        client = await this.world.client();
        this.#shared[id]!.moveTo(client);
        this.#own[id]!.moveTo(client);
        this.#links[id]!.moveTo(client);
        this.#versions[id]!.moveTo(client);
      }
      await this.#step(sim.random.pick(kinds), id);
    }
  }

  #step(kind: WorkKind, id: number): Promise<void> {
    switch (kind) {
      case "shared":
        return this.#shared[id]!.step();
      case "own":
        return this.#own[id]!.fileStep();
      case "names":
        return this.#own[id]!.nameStep();
      case "xattrs":
        return this.#own[id]!.xattrStep();
      case "links":
        return this.#links[id]!.step();
      case "versions":
        return this.#versionsStep(id);
    }
  }

  // Its own, or a look at what another one does.
  #versionsStep(id: number): Promise<void> {
    const { random } = this.world.sim, other = random.pick(this.#versions);
    const mine = this.#versions[id]!;
    return other === mine || random.chance(0.5) ? mine.step() : other.look(mine.client);
  }

  async #reconnected(): Promise<void> {
    const { sim, clients } = this.world, until = sim.now + RECONNECT_MS;
    const links = () => clients.filter(({ alive }) => alive).flatMap((client) => client.links);
    while (!links().every((link) => link.connected)) {
      if (sim.now > until) throw new SimFailure("a client does not connect again");
      await sim.delay(50);
    }
  }

  // A client that saw nothing of it all, and those that did.
  async #lookAtAll(): Promise<void> {
    const { system, swarm } = this.world, fresh = await this.world.client();
    // A short run looks at what it changed.
    const kinds = WORKS.filter((kind) => !system.short || swarm.work[kind]);
    const alive = this.world.clients.filter((client) => client.alive);
    for (const client of new Set([...alive, fresh])) {
      const id = this.world.clients.indexOf(client);
      if (kinds.includes("shared")) {
        const reader = new SharedFiles(this.world, 100 + id, client, true);
        await reader.readAll();
        await reader.close();
      }
      for (const own of this.#own) await own.checkAll(client, kinds);
      if (swarm.work.links) { for (const links of this.#links) await links.checkAll(client); }
      if (!system.tuned) continue;
      for (const versions of this.#versions) await versions.lookAtAll(client);
    }
  }
}
