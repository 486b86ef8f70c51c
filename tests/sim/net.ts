/**
 * The network between clients and bricks, in the place of protocol/client, protocol/server and TCP.
 *
 * What it keeps of them: a connection delivers in order, both ways, and two connections have no
 * order between them; when it ends, all its unanswered requests fail with ENOTCONN, whether they
 * were done or not; the brick then drops the locks and files it had, which may be later than the
 * client knows; the client connects anew by itself and opens its files again before it says
 * child-up. A path that is cut holds what is sent until it is whole again; the client gives up
 * after its ping time-out, and what it had sent may still arrive.
 */

import type { FopName, Reply } from "core/fops.ts";
import type { SimBrick } from "tests/sim/brick.ts";
import type { SimLink } from "tests/sim/link.ts";
import type { Sim } from "tests/sim/sim.ts";

/** How bad the network is; all zero is a good one. */
export interface NetRates {
  /** Milliseconds one way: usually up to the first, now and then up to the second. */
  readonly delayMs: number;
  readonly slowMs: number;
  /** Probability that a request ends the connection on its way to the brick. */
  readonly loseRequest: number;
  /** Probability that a reply does, on its way back. */
  readonly loseReply: number;
}

/** A network without faults. */
export const CALM: NetRates = { delayMs: 1, slowMs: 1, loseRequest: 0, loseReply: 0 };

/** Milliseconds without an answer after which a client gives a brick up. */
export const PING_MS = 10_000;

/** What came back. */
export type Outcome<K extends FopName = FopName> = { readonly reply: Reply<K> } | {
  readonly error: unknown;
};

/** See the head of this file. */
export class SimNet {
  rates: NetRates;
  #links = new Set<SimLink>();

  /** Whether what a client sent may arrive after it gave the connection up. */
  readonly late: boolean;

  constructor(readonly sim: Sim, rates: NetRates = CALM, { late = true } = {}) {
    this.rates = rates;
    this.late = late;
  }

  /** A link takes part. */
  add(link: SimLink): void {
    this.#links.add(link);
  }

  /** All links of all clients. */
  get links(): Iterable<SimLink> {
    return this.#links;
  }

  /** Cuts the path for `ms`. */
  cut(client: string, brick: SimBrick, ms: number): void {
    this.sim.note(`net ${client} and ${brick.name} are cut for ${ms} ms`);
    for (const link of this.#links) {
      if (link.clientName === client && link.brick === brick) link.cut(ms);
    }
  }

  /** From now on no faults, and no path is cut. */
  heal(): void {
    this.rates = CALM;
    for (const link of this.#links) link.cutUntil = 0;
    this.sim.note("net is whole");
  }

  /** One way of one message. */
  delay(): number {
    const { random } = this.sim, { delayMs, slowMs } = this.rates;
    return random.float() * (random.chance(0.05) ? slowMs : delayMs);
  }
}
