/** Ports for bricks: no two get the same one, and none that somebody else has. */

/** The range that bricks get their ports from, both ends included. */
export interface PortRange {
  readonly base: number;
  readonly max: number;
}

/** GlusterFS's (`base-port` and `max-port` of glusterd.vol). */
export const BRICK_PORTS: PortRange = { base: 49152, max: 60999 };

/** See the head of this file. */
export class Ports {
  readonly #taken = new Set<number>();

  constructor(
    readonly range: PortRange = BRICK_PORTS,
    private readonly isFree: (port: number) => boolean = canListen,
  ) {}

  /** `wanted`, if it may be had, or else the next one free; undefined if there is none. It is taken until `give`. */
  take(wanted?: number): number | undefined {
    if (wanted !== undefined && this.#has(wanted)) return this.hold(wanted);
    for (let port = this.range.base; port <= this.range.max; port++) {
      if (this.#has(port)) return this.hold(port);
    }
    return undefined;
  }

  #has(port: number): boolean {
    return !this.#taken.has(port) && this.isFree(port);
  }

  /** Takes a port that a brick has already. */
  hold(port: number): number {
    this.#taken.add(port);
    return port;
  }

  /** Gives a port back. */
  give(port: number): void {
    this.#taken.delete(port);
  }

  /** How many are taken. */
  get taken(): number {
    return this.#taken.size;
  }
}

/** Whether a brick could listen there now, on any address of this machine. */
function canListen(port: number): boolean {
  // One socket for both families; a machine without IPv6 has none.
  for (const hostname of ["::", "0.0.0.0"]) {
    try {
      Deno.listen({ hostname, port }).close();
      return true;
    } catch (error) {
      if (error instanceof Deno.errors.AddrInUse) return false;
      if (error instanceof Deno.errors.PermissionDenied) return false;
    }
  }
  return false;
}
