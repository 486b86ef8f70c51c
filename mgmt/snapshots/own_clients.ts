/**
 * Volumes as clients have them, for the daemon's own work on files. Connecting to bricks takes longer than
 * most of that work: who was connected stays so for a while, as long as the volfile is the same.
 */

import { ROOT } from "core/call.ts";
import type { Env, Timer } from "core/env.ts";
import type { Graph } from "core/graph.ts";
import type { Walker } from "core/volume_path.ts";
import { CommandError } from "mgmt/cli/command.ts";
import { startGraph } from "mgmt/file/client_graph.ts";
import { TYPES } from "xlators/mod.ts";

/** How long a client that nobody uses stays connected. Milliseconds. */
const IDLE_MS = 300_000;

/** What clients are made on. */
export interface OwnClientsParts {
  readonly env: Env;
  /** The volfile that clients of this node get by that key; undefined: there is none. */
  readonly volfile: (key: string) => Promise<string | undefined>;
  /** Where this daemon listens. */
  readonly server: () => { readonly host: string; readonly port: number };
}

interface Kept {
  readonly volfile: string;
  readonly graph: Promise<Graph>;
  users: number;
  idle: Timer | undefined;
}

/** See the head of this file. */
export class OwnClients {
  readonly #parts: OwnClientsParts;
  readonly #kept = new Map<string, Kept>();

  constructor(parts: OwnClientsParts) {
    this.#parts = parts;
  }

  /** What `act` answers with the volume of that key. Throws CommandError: it cannot be used. */
  async use<T>(key: string, act: (volume: Walker) => Promise<T>): Promise<T> {
    const volfile = await this.#parts.volfile(key);
    if (volfile === undefined) throw new CommandError(`Cannot use volume "${key}": it is gone`);
    const kept = await this.#whole(key, volfile) ?? this.#open(key, volfile);
    kept.users++;
    kept.idle?.cancel();
    try {
      const { top, inodes } = await kept.graph;
      return await act({ top, inodes, call: ROOT });
    } finally {
      if (--kept.users === 0) await this.#unused(key, kept);
    }
  }

  /** The same with a client of its own, which ends then. */
  async once<T>(key: string, act: (volume: Walker) => Promise<T>): Promise<T> {
    try {
      return await this.use(key, act);
    } finally {
      await this.drop(key);
    }
  }

  /** Bricks of this volume end: nobody shall try to reach them. */
  async drop(key: string): Promise<void> {
    const kept = this.#kept.get(key);
    if (!kept) return;
    this.#forget(key, kept);
    if (!kept.users) await stopped(kept);
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#kept.keys()].map((key) => this.drop(key)));
  }

  // One that is of that volfile and has all its bricks.
  async #whole(key: string, volfile: string): Promise<Kept | undefined> {
    const kept = this.#kept.get(key);
    if (!kept) return undefined;
    const graph = kept.volfile === volfile && await kept.graph.catch(() => undefined);
    if (graph && isConnected(graph)) return kept;
    await this.drop(key);
    return undefined;
  }

  #open(key: string, volfile: string): Kept {
    const { env, server } = this.#parts;
    const parts = { types: TYPES, env, tell: () => {} };
    const graph = startGraph(volfile, { volume: key, port: server().port }, parts);
    const kept: Kept = { volfile, graph, users: 0, idle: undefined };
    this.#kept.set(key, kept);
    // Whoever uses it is told.
    graph.catch(() => this.#forget(key, kept));
    return kept;
  }

  #forget(key: string, kept: Kept): void {
    kept.idle?.cancel();
    if (this.#kept.get(key) === kept) this.#kept.delete(key);
  }

  async #unused(key: string, kept: Kept): Promise<void> {
    if (this.#kept.get(key) !== kept) return await stopped(kept);
    kept.idle = this.#parts.env.clock.after(IDLE_MS, () => void this.drop(key));
  }
}

function isConnected(graph: Graph): boolean {
  return [...graph.nodes].every(({ type, xlator }) =>
    type.type !== "protocol/client" ||
    (xlator.state?.() as { connected?: boolean } | undefined)?.connected
  );
}

async function stopped({ graph }: Kept): Promise<void> {
  const started = await graph.catch(() => undefined);
  await started?.stop();
}
