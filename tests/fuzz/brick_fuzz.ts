/**
 * Sends malformed records to a brick while a well-behaved client works on it, and says what became
 * of brick, client and memory. The brick is protocol/server over features/locks over memory, its
 * connections are real sockets.
 */

import type { Args, FopName, Reply } from "core/fops.ts";
import { buildGraph } from "core/graph.ts";
import type { Fd, Gfid } from "core/inode.ts";
import { defineXlator, xlatorTypes } from "core/registry.ts";
import { parseVolfile } from "core/volfile.ts";
import { setvolume } from "rpc/programs/handshake.ts";
import type { Endpoint } from "rpc/transport.ts";
import { FopClient, joinDict } from "tests/fakes/fop_client.ts";
import { MemoryBrick } from "tests/fakes/memory_brick.ts";
import { LinesLog, testEnv } from "tests/fakes/node.ts";
import { callBytes, Enemy, memoryUsed } from "tests/fuzz/enemy.ts";
import { corpus, Dice, malformed, marked } from "tests/fuzz/records.ts";
import { locks } from "xlators/features/locks/locks.ts";
import { type Server, server } from "xlators/protocol/server/server.ts";

/** What became of brick, client and memory. */
export interface FuzzResult {
  readonly seed: number;
  readonly cases: number;
  /** Connections that the brick closed because of what came. */
  readonly closed: number;
  /** Round trips of the well-behaved client, all of them right. */
  readonly goodCalls: number;
  /** Slowest of them, in milliseconds. */
  readonly slowestMs: number;
  /** Growth of the process from the first tenth to the end, in bytes. */
  readonly growthBytes: number;
  /** Log lines that tell of a bug of ours. */
  readonly errors: readonly string[];
}

const BRICK = "/brick";
const memory = defineXlator({
  type: "test/memory",
  summary: "A brick in memory",
  options: {},
  subvolumes: "none",
  create: (node) => new MemoryBrick(node),
});
const VOLFILE = `
volume memory
  type test/memory
end-volume
volume ${BRICK}
  type features/locks
  subvolumes memory
end-volume
volume server
  type protocol/server
  option transport.socket.listen-port 0
  option auth.addr.${BRICK}.allow *
  subvolumes ${BRICK}
end-volume
`;

/** Runs `cases` malformed inputs. Throws if the brick stops serving its good client. */
export async function fuzzBrick(seed: number, cases: number): Promise<FuzzResult> {
  const log = new LinesLog(), env = testEnv({ log });
  const graph = buildGraph(
    parseVolfile(VOLFILE),
    xlatorTypes([memory, locks, server]),
    env,
  );
  await graph.start();
  const { endpoint } = graph.top as Server;
  const good = await GoodClient.join(endpoint!);
  const dice = new Dice(seed), calls = corpus();
  let closed = 0, start = 0, enemy: Enemy | undefined;
  const errors: string[] = [];
  try {
    for (let i = 0; i < cases; i++) {
      if (i === Math.floor(cases / 10)) start = memoryUsed();
      if (i % 50 === 0) {
        await good.work();
        const lines = log.lines.splice(0);
        errors.push(...lines.filter((line) => line.startsWith("E")));
        closed += lines.filter((line) => line.includes("peer broke the protocol")).length;
      }
      enemy ??= await Enemy.connect(endpoint!, dice.int(2) === 0 ? joining() : undefined);
      await enemy.send(malformed(dice, calls));
      // A case shows its effect before the next one, mostly: sometimes several arrive together.
      if (dice.int(4)) await enemy.breathe();
      if (!enemy.gone && dice.int(5)) continue;
      enemy.leave();
      enemy = undefined;
    }
    await good.work();
  } finally {
    enemy?.leave();
    good.leave();
    await graph.stop();
  }
  return {
    seed,
    cases,
    closed,
    goodCalls: good.calls,
    slowestMs: good.slowestMs,
    growthBytes: memoryUsed() - start,
    errors: [...errors, ...log.lines.filter((line) => line.startsWith("E"))],
  };
}

// A SETVOLUME as bytes.
function joining(): Uint8Array<ArrayBuffer> {
  return marked(callBytes(setvolume, { dict: joinDict(BRICK) }));
}

/** A client that writes, reads back and looks up, and knows what must come. */
class GoodClient {
  calls = 0;
  slowestMs = 0;
  #round = 0;

  private constructor(readonly client: FopClient, readonly file: Fd) {}

  static async join(endpoint: Endpoint): Promise<GoodClient> {
    const client = await FopClient.join(endpoint, joinDict(BRICK));
    const gfid = "9d5a3c1e-0000-4000-8000-00000000f00d" as Gfid;
    return new GoodClient(client, await client.create("good", gfid));
  }

  async work(): Promise<void> {
    const data = new Uint8Array(4096).fill(++this.#round);
    const offset = 4096 * (this.#round % 8), fd = this.file;
    await this.#ask("writev", { fd, offset, data, flags: 2 });
    const back = await this.#ask("readv", { fd, offset, size: 4096, flags: 2 });
    if (back.data.length !== 4096 || back.data.some((byte) => byte !== (this.#round & 0xff))) {
      throw new Error("the good client read something else than it wrote");
    }
    await this.#ask("lookup", { parent: this.client.root, name: "good" });
  }

  leave(): void {
    this.client.leave();
  }

  async #ask<K extends FopName>(fop: K, args: Args<K>): Promise<Reply<K>> {
    const started = performance.now();
    const reply = await this.client.ask(fop, args);
    this.calls++;
    this.slowestMs = Math.max(this.slowestMs, performance.now() - started);
    return reply;
  }
}
