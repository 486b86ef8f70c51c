/** Which port each brick listens on, as the bricks themselves said. */

/** A brick that signed in. */
export interface SignedIn {
  readonly brick: string;
  readonly port: number;
  readonly pid: number;
}

/** Who wants to hear of bricks that come and go. */
export interface PortmapEars {
  signedIn(entry: SignedIn): void;
  /** The brick said that it ends. */
  signedOut(brick: string): void;
  /** Its connection ended, and it had not signed out. */
  gone(brick: string): void;
}

/**
 * The ports by brick name. An entry belongs to the connection it came over (`by`): when that ends,
 * so does the entry, and nobody else can take it away.
 */
export class Portmap {
  #entries = new Map<string, SignedIn & { by: object }>();

  get size(): number {
    return this.#entries.size;
  }

  /** Notes a brick; a name that was there already moves to the newer connection. */
  signIn(entry: SignedIn, by: object): void {
    this.#entries.set(entry.brick, { ...entry, by });
  }

  /** Forgets a brick if `by` signed it in with that port; answers whether it did. */
  signOut(brick: string, port: number, by: object): boolean {
    const entry = this.#entries.get(brick);
    if (!entry || entry.by !== by || entry.port !== port) return false;
    return this.#entries.delete(brick);
  }

  /** The connection `by` ended: forgets what came over it, and answers the names. */
  gone(by: object): string[] {
    const names = [...this.#entries.values()].filter((entry) => entry.by === by)
      .map((entry) => entry.brick);
    for (const name of names) this.#entries.delete(name);
    return names;
  }

  /** The port of a brick. */
  portOf(brick: string): number | undefined {
    return this.#entries.get(brick)?.port;
  }

  /** The brick that listens on a port. */
  brickAt(port: number): string | undefined {
    return [...this.#entries.values()].find((entry) => entry.port === port)?.brick;
  }

  /** Everything, for statedumps. */
  get entries(): SignedIn[] {
    return [...this.#entries.values()].map(({ brick, port, pid }) => ({ brick, port, pid }));
  }
}
