/**
 * Applications that take POSIX locks on one file, hold them for a while and give them up, while bricks
 * end and connections are lost: whatever happens, nobody's lock stays behind. Where nothing goes wrong,
 * nobody has what another has.
 */

import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { type Call, type LkOwner, ROOT } from "core/call.ts";
import { EBADFD, FopError } from "core/errno.ts";
import { type Args, type Flock, O_RDWR } from "core/fops.ts";
import type { Fd } from "core/inode.ts";
import { overlaps, type Range, rangeOf } from "core/lib/ranges.ts";
import type { SimClient } from "tests/sim/client.ts";
import { Faults } from "tests/sim/faults.ts";
import { Sim, SimFailure } from "tests/sim/sim.ts";
import { REPLICA_2, REPLICA_3, type System } from "tests/sim/systems.ts";
import { drawSwarm, type Swarm, World } from "tests/sim/world.ts";

const CLIENTS = 3, TURNS = 15, SEEDS = 15;
/** Longer than a brick keeps what a client had that it hears nothing of. */
const FORGOTTEN_MS = 60_000;

interface Granted {
  readonly owner: LkOwner;
  readonly type: "read" | "write";
  readonly range: Range;
}

/** One application after the other at a client, each with a lock or two. */
class Lockers {
  #fd: Fd | undefined;

  constructor(readonly world: World, readonly client: SimClient, readonly all: Set<Granted>) {}

  async work(): Promise<void> {
    const { sim } = this.world;
    for (let turn = 0; turn < TURNS; turn++) {
      await sim.delay(sim.random.float() * 200);
      const owner = this.world.nextStamp().toString(16).padStart(16, "0") as LkOwner;
      const call: Call = { ...ROOT, lkOwner: owner };
      // Who waits has nothing that others may wait for.
      await this.#try("lk", (fd) => this.#take(call, fd, sim.random.pick(["set", "set-wait"])));
      if (sim.random.chance(0.3)) await this.#try("lk", (fd) => this.#take(call, fd, "set"));
      await sim.delay(sim.random.float() * sim.random.pick([10, 3000]));
      await this.#try("give up", (fd) => this.#giveUp(call, fd));
    }
  }

  async #take(call: Call, fd: Fd, cmd: "set" | "set-wait"): Promise<void> {
    const { random } = this.world.sim;
    const type = random.pick(["read", "write"] as const);
    const [start, size] = random.pick([[0n, 0n], [0n, 10n], [5n, 10n]] as const);
    const range = rangeOf(start, size);
    const mine: Granted = { owner: call.lkOwner, type, range };
    // A second lock may take the place of the first one, or of a part of it, before that is answered.
    for (const each of this.all) if (each.owner === mine.owner) this.all.delete(each);
    await this.client.graph.top.lk(call, request(call, fd, cmd, type, range));
    const other = [...this.all].find((each) =>
      each.owner !== mine.owner && overlaps(each.range, range) &&
      (type === "write" || each.type === "write")
    );
    // A client that lost its bricks may have lost its lock, too.
    if (other && this.world.swarm.faultMs === Infinity) {
      throw new SimFailure(`${call.lkOwner} and ${other.owner} have the same lock`);
    }
    this.all.add(mine);
  }

  async #giveUp(call: Call, fd: Fd): Promise<void> {
    for (const each of this.all) if (each.owner === call.lkOwner) this.all.delete(each);
    const { top } = this.client.graph;
    if (this.world.sim.random.chance(0.5)) await top.flush(call, { fd });
    else await top.lk(call, request(call, fd, "set", "unlock", rangeOf(0n, 0n)));
  }

  async #try(what: string, act: (fd: Fd) => Promise<void>): Promise<void> {
    const { client, world: { sim } } = this;
    try {
      await sim.waiting(`${client.name} ${what}`, this.#file().then(act));
      sim.note(client.name, what, "done");
    } catch (error) {
      if (!(error instanceof FopError)) throw error;
      sim.note(client.name, what, error.code);
      if (EBADFD.matches(error)) await this.#close();
    }
  }

  // It is lost on so many copies that nothing can be done with it.
  async #close(): Promise<void> {
    const fd = this.#fd!;
    this.#fd = undefined;
    await this.client.graph.top.release(ROOT, { fd });
  }

  async #file(): Promise<Fd> {
    if (this.#fd) return this.#fd;
    const { gfid } = await this.client.volume.lstat("/f");
    const args = { inode: this.client.graph.inodes.of(gfid), flags: O_RDWR };
    return this.#fd = (await this.client.graph.top.open(ROOT, args)).fd;
  }
}

function request(
  { lkOwner: owner }: Call,
  fd: Fd,
  cmd: Args<"lk">["cmd"],
  type: Flock["type"],
  { start, end }: Range,
): Args<"lk"> {
  const size = end > 1000n ? 0n : end - start + 1n;
  return { fd, cmd, lock: { type, whence: 0, start, size, pid: 1, owner } };
}

/** Locks of applications that bricks have. */
function left({ bricks }: World): unknown[] {
  return bricks.flatMap((brick) => {
    const state = brick.state() as { readonly inodes: readonly { posixlks?: unknown[] }[] } | null;
    return state?.inodes.flatMap(({ posixlks = [] }) => posixlks) ?? [];
  });
}

async function play(system: System, seed: number, over: Partial<Swarm>): Promise<void> {
  const sim = new Sim(seed);
  const world = new World(sim, system, { ...drawSwarm(sim, system), ...over });
  await sim.run(async () => {
    for (const brick of world.bricks) await brick.start();
    const clients: SimClient[] = [];
    for (let at = 0; at < CLIENTS; at++) clients.push(await world.client());
    await clients[0]!.volume.writeFile("/f", new Uint8Array(1));
    const faults = new Faults(world), all = new Set<Granted>();
    faults.start();
    await Promise.all(clients.map((client) => new Lockers(world, client, all).work()));
    await faults.stop();
    await sim.delay(FORGOTTEN_MS);
    equal(all.size, 0);
    deepEqual(left(world), []);
    for (const each of world.clients) await each.stop();
  });
}

const NONE = { cut: 0, isolate: 0, power: 0, full: 0, kill: 0, switch: 0, move: 0 };
const CALM = { faults: { ...NONE, reset: 0, crash: 0 }, faultMs: Infinity, lose: 0, diskErrors: 0 };

for (const system of [REPLICA_3, REPLICA_2]) {
  Deno.test(`sim: nobody's POSIX lock stays behind on ${system.name}, whatever fails meanwhile`, async () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const faults = { ...NONE, cut: 1, reset: 2, crash: 2 };
      await play(system, seed, { faults, faultMs: 500, lose: 0, diskErrors: 0 });
    }
  });

  Deno.test(`sim: no two have the same POSIX lock on ${system.name} where nothing fails`, async () => {
    for (let seed = 1; seed <= SEEDS; seed++) await play(system, seed, CALM);
  });
}
