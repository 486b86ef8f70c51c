/** A brick in this process, its clients, and what tests of protocol/client do with them. */

import { type Call, ROOT } from "core/call.ts";
import type { Env } from "core/env.ts";
import type { FopError } from "core/errno.ts";
import type { GraphEvent } from "core/events.ts";
import { O_CREAT, O_EXCL, O_RDWR } from "core/fops.ts";
import { type Gfid, InodeTable } from "core/inode.ts";
import { readOptions } from "core/options.ts";
import { withKey } from "core/xdata.ts";
import { GFID_REQ } from "core/xdata_keys.ts";
import type { Xlator } from "core/xlator.ts";
import type { Endpoint } from "rpc/transport.ts";
import { MemoryBrick } from "tests/fakes/memory_brick.ts";
import { LinesLog, node, testEnv } from "tests/fakes/node.ts";
import { client, ProtocolClient } from "xlators/protocol/client/client.ts";
import type { Connect } from "xlators/protocol/client/link.ts";
import { server } from "xlators/protocol/server/server.ts";

const PORT_TRIES = 100, PORT_PAUSE_MS = 50;

/** A brick named "brick" over `child`, and the port it listens on. */
export async function serveBrick(child: Xlator, port = 0, options: Record<string, string> = {}) {
  const given = {
    "transport.socket.listen-port": String(port),
    "auth.addr.brick.allow": "127.0.0.1",
    ...options,
  };
  const values = readOptions(server.options, new Map(Object.entries(given)));
  const top = await listening(() => {
    return server.create(node("server", [child], { inodes: inodesOf(child) }), values);
  }, port);
  const { endpoint } = top as Xlator & { endpoint: Endpoint };
  return { port: endpoint.kind === "tcp" ? endpoint.port : 0, stop: () => top.stop!() };
}

// A connection of another test may have got the number of a brick that was stopped, for a moment.
async function listening(make: () => Xlator, port: number): Promise<Xlator> {
  for (let left = PORT_TRIES;; left--) {
    const top = make();
    try {
      await top.start?.();
      return top;
    } catch (error) {
      if (port === 0 || left === 0 || !(error instanceof Deno.errors.AddrInUse)) throw error;
      await new Promise((done) => setTimeout(done, PORT_PAUSE_MS));
    }
  }
}

const tables = new WeakMap<Xlator, InodeTable>();

/** The inodes of a brick's graph, whose bottom or top is `child`. */
export function inodesOf(child: Xlator): InodeTable {
  const known = tables.get(child) ?? new InodeTable();
  tables.set(child, known);
  return known;
}

/** Storage for `serveBrick`. */
export function memoryBrick(): MemoryBrick {
  const inodes = new InodeTable();
  const brick = new MemoryBrick(node("brick", [], { inodes }));
  tables.set(brick, inodes);
  return brick;
}

/** The layer `make` puts over `child`, for `serveBrick`. */
export function over<X extends Xlator>(
  child: Xlator,
  make: (inodes: InodeTable) => X,
): X {
  const layer = make(inodesOf(child));
  tables.set(layer, inodesOf(child));
  return layer;
}

/** Who connects, and how. */
export interface Connecting {
  readonly options?: Record<string, string>;
  readonly env?: Partial<Env>;
  readonly connect?: Connect;
  /** Shared with other layers of its graph; its own if absent. */
  readonly inodes?: InodeTable;
}

/** A client of the brick at `port`, not started. */
export function makeClient(
  port: number,
  { options, env, connect, inodes = new InodeTable() }: Connecting = {},
) {
  const log = new LinesLog();
  const given = {
    "remote-host": "127.0.0.1",
    "remote-port": String(port),
    "remote-subvolume": "brick",
    ...options,
  };
  const values = readOptions(client.options, new Map(Object.entries(given)));
  const place = node("c", [], { inodes, env: testEnv({ log, ...env }) });
  const top = new ProtocolClient(place, values, connect);
  const events: GraphEvent[] = [];
  const hears = new Set<() => void>();
  top.listen((event) => {
    events.push(event);
    for (const hear of hears) hear();
  });
  /** Resolves when that many events of `type` were heard, with the last of them. */
  const heard = <T extends GraphEvent["type"]>(type: T, count = 1) =>
    new Promise<GraphEvent & { type: T }>((resolve) => {
      const look = () => {
        const found = events.filter((each): each is GraphEvent & { type: T } => each.type === type);
        if (found.length < count) return;
        hears.delete(look);
        resolve(found.at(-1)!);
      };
      hears.add(look);
      look();
    });
  return { top, values, inodes, log, events, heard, stop: () => top.stop() };
}

/** A client of the brick at `port`, started. */
export async function connect(port: number, options: Record<string, string> = {}) {
  const made = makeClient(port, { options });
  await made.top.start();
  return made;
}

/** For `rejects`. */
export function is(failure: FopError) {
  return (error: unknown) => failure.matches(error);
}

/** Makes a file in the root and opens it. */
export function create(top: Xlator, inodes: InodeTable, name: string, call: Call = ROOT) {
  const gfid = crypto.randomUUID() as Gfid;
  return top.create(call, {
    parent: inodes.root,
    name,
    flags: O_RDWR | O_CREAT | O_EXCL,
    mode: 0o100644,
    umask: 0,
    xdata: withKey(undefined, GFID_REQ, gfid),
  });
}

/** Resolves when `condition` holds, looking again as other work gets done. */
export async function eventually(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!await condition()) await new Promise((resolve) => setTimeout(resolve, 1));
}
