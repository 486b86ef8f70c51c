/** Two ends of a stream of bytes in memory, for connections without sockets. */

import type { PeerAddress, Transport } from "rpc/transport.ts";

/** One end. What is written waits until the other end reads it; `size` bounds how much may wait. */
export class LoopbackEnd implements Transport {
  /** Largest number of bytes handed to one `read`; a test lowers it to split records anywhere. */
  chunkMax = Infinity;
  other!: LoopbackEnd;
  #waiting: Uint8Array<ArrayBuffer>[] = [];
  #bytes = 0;
  #open = true;
  #wake: (() => void)[] = [];

  constructor(readonly peer: PeerAddress, readonly size: number) {}

  async read(into: Uint8Array<ArrayBuffer>): Promise<number | null> {
    while (this.#bytes === 0) {
      if (!this.#open) return null;
      await this.#changed();
    }
    const first = this.#waiting[0]!;
    const count = Math.min(into.length, first.length, this.chunkMax);
    into.set(first.subarray(0, count));
    if (count === first.length) this.#waiting.shift();
    else this.#waiting[0] = first.subarray(count);
    this.#bytes -= count;
    this.other.#notify();
    this.#notify();
    return count;
  }

  async write(from: Uint8Array<ArrayBuffer>): Promise<number> {
    const { other } = this;
    while (other.#open && this.#open && other.#bytes >= other.size) await this.#changed();
    if (!other.#open || !this.#open) throw new Deno.errors.BrokenPipe("closed");
    const count = Math.min(from.length, other.size - other.#bytes);
    other.#waiting.push(from.slice(0, count));
    other.#bytes += count;
    other.#notify();
    return count;
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#notify();
    this.other.#open = false;
    this.other.#notify();
  }

  #changed(): Promise<void> {
    return new Promise((resolve) => this.#wake.push(resolve));
  }

  #notify(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}

/** Both ends; `size` is how many bytes may wait in one direction. */
export function loopback(size = 256 << 10): [LoopbackEnd, LoopbackEnd] {
  const address = (port: number): PeerAddress => ({
    kind: "tcp",
    address: "127.0.0.1",
    port,
    text: `127.0.0.1:${port}`,
  });
  const a = new LoopbackEnd(address(1002), size), b = new LoopbackEnd(address(1001), size);
  a.other = b;
  b.other = a;
  return [a, b];
}
