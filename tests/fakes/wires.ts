/**
 * Connections that a test takes hold of: real ones underneath, but what comes back may be held, as
 * if the peer stood still or the cable was cut, and they may be torn.
 */

import { connectTo, type PeerAddress, type Transport } from "rpc/transport.ts";

/** One connection. */
export class Wire implements Transport {
  readonly peer: PeerAddress;
  readonly #real: Transport;
  readonly #all: Wires;
  #open = true;
  #torn = Promise.withResolvers<never>();

  constructor(real: Transport, all: Wires) {
    this.#real = real;
    this.#all = all;
    this.peer = real.peer;
    this.#torn.promise.catch(() => {});
  }

  get open(): boolean {
    return this.#open;
  }

  async read(into: Uint8Array<ArrayBuffer>): Promise<number | null> {
    const count = await Promise.race([this.#real.read(into), this.#torn.promise]);
    while (this.#all.held && this.#open) {
      await Promise.race([this.#all.changed(), this.#torn.promise]);
    }
    if (!this.#open) throw new Deno.errors.ConnectionReset("torn");
    return count;
  }

  write(from: Uint8Array<ArrayBuffer>): Promise<number> {
    return this.#real.write(from);
  }

  /** Ends it, as a reset would. */
  close(): void {
    if (!this.#open) return;
    this.leave();
    this.end();
  }

  /** Ends it for the client alone: the other side does not know, until `end`. */
  leave(): void {
    this.#open = false;
    this.#torn.reject(new Deno.errors.ConnectionReset("torn"));
  }

  /** The other side learns that it is left. */
  end(): void {
    this.#real.close();
  }
}

/** All connections of a client; `connect` makes them. */
export class Wires {
  /** All there ever were, in order. */
  readonly made: Wire[] = [];
  /** Connecting fails with this while it is set. */
  refusal: Error | undefined;
  /** When attempts were made. */
  readonly attempts: number[] = [];
  #held = false;
  #wake: (() => void)[] = [];

  constructor(readonly now: () => number = () => 0) {}

  readonly connect: typeof connectTo = async (endpoint, options, signal) => {
    this.attempts.push(this.now());
    if (this.refusal) throw this.refusal;
    const wire = new Wire(await connectTo(endpoint, options, signal), this);
    this.made.push(wire);
    return wire;
  };

  /** While true, nothing that comes is seen. */
  get held(): boolean {
    return this.#held;
  }
  set held(held: boolean) {
    this.#held = held;
    for (const wake of this.#wake.splice(0)) wake();
  }

  changed(): Promise<void> {
    return new Promise((resolve) => this.#wake.push(resolve));
  }

  /** Tears what is open. */
  tear(): void {
    for (const wire of this.made) wire.close();
  }
}
