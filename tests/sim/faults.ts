/** What goes wrong while clients work, drawn from a run's swarm. */

import { type FaultKind, FAULTS, type World } from "tests/sim/world.ts";

/** How long a cut or a brick's absence lasts, in milliseconds: blinks, and longer than a ping time-out. */
const DURATIONS_MS = [5, 100, 1000, 9000, 15_000, 60_000];

/** Makes faults until it is stopped. */
export class Faults {
  #stopped = false;

  constructor(readonly world: World) {}

  /** Begins. */
  start(): void {
    const { net, swarm, bricks, sim } = this.world;
    if (swarm.faultMs === Infinity) return;
    net.rates = {
      delayMs: 1,
      slowMs: swarm.slowMs,
      loseRequest: swarm.lose / 2,
      loseReply: swarm.lose / 2,
    };
    bricks[swarm.victim]!.disk.errors = swarm.diskErrors;
    const kinds = FAULTS.flatMap((kind) => Array<FaultKind>(swarm.faults[kind]).fill(kind));
    if (kinds.length) this.#later(() => this.#make(sim.random.pick(kinds)));
  }

  /** Ends all faults: paths are whole, disks have room, bricks come back. */
  async stop(): Promise<void> {
    this.#stopped = true;
    const { net, bricks } = this.world;
    for (const { disk } of bricks) {
      disk.errors = 0;
      disk.full = false;
    }
    net.heal();
    for (const brick of bricks) await brick.start();
  }

  #later(act: () => void): void {
    const { sim, swarm } = this.world;
    sim.after(sim.random.float() * 2 * swarm.faultMs, () => {
      if (this.#stopped) return;
      act();
      this.#later(act);
    });
  }

  #make(kind: FaultKind): void {
    const { sim, bricks, clients, net, swarm } = this.world, { random } = sim;
    const brick = random.pick(bricks), ms = random.pick(DURATIONS_MS);
    const alive = clients.filter((client) => client.alive);
    if (!alive.length) return;
    switch (kind) {
      case "cut":
        return net.cut(random.pick(alive).name, brick, ms);
      case "isolate":
        for (const { name } of alive) net.cut(name, brick, ms);
        return;
      case "reset":
        for (const link of random.pick(alive).links) {
          if (link.brick === brick) link.reset("reset");
        }
        return;
      case "crash":
        brick.crash();
        return void sim.after(ms, () => this.#back(brick));
      case "power": {
        const victim = bricks[swarm.victim]!;
        victim.crash({ power: true });
        return void sim.after(ms, () => this.#back(victim));
      }
      case "full": {
        const { disk } = bricks[swarm.victim]!;
        disk.full = true;
        sim.note(`${bricks[swarm.victim]!.name} is full`);
        return void sim.after(ms, () => disk.full = false);
      }
      case "switch":
        return this.world.management.change();
      case "move":
        brick.crash();
        return void sim.after(ms, () => {
          if (brick.up) return;
          brick.port++;
          this.#back(brick);
          this.world.management.brickMoved();
        });
      case "kill": {
        const client = random.pick(alive);
        sim.note(`${client.name} dies`);
        return client.kill();
      }
    }
  }

  #back(brick: World["bricks"][number]): void {
    brick.start().catch((error) => this.world.sim.fail(error));
  }
}
