/**
 * What a brick answers to operation STATUS, for `volume status V clients|mem|inode|fd|callpool`.
 * Keys as GlusterFS's bricks name them; the management daemon puts "brickN." before each.
 */

import type { Graph } from "core/graph.ts";
import type { ClientReport } from "core/reports.ts";
import { type DictValue, intKey, str, textKey, Xdata } from "core/xdata.ts";

/** Bits of "cmd" (`gf_cli_status_type`): what is asked for. */
export const STATUS_OF = {
  mem: 0x01,
  clients: 0x02,
  inode: 0x04,
  fd: 0x08,
  callpool: 0x10,
  "client-list": 0x80,
} as const;
export type StatusOf = keyof typeof STATUS_OF;

const MASK = 0xff;
const COMMAND = intKey("cmd", "uint"), BRICK = textKey("brick-name");

/** A request for the brick of that path. */
export function statusRequest(of: StatusOf, brick: string): Xdata {
  return Xdata.of([
    [COMMAND.name, { type: "uint", value: STATUS_OF[of] }],
    [BRICK.name, str(brick)],
  ]);
}

type Entry = [string, DictValue];
const uint = (key: string, value: number): Entry => [key, { type: "uint", value }];

/** The answer; undefined if it is not known what is asked for. */
export function statusAnswer(graph: Graph, request: Xdata | undefined): Xdata | undefined {
  const wanted = (request?.get(COMMAND) ?? 0) & MASK;
  switch (wanted) {
    case STATUS_OF.mem:
      return Xdata.of(memory());
    case STATUS_OF.clients:
    case STATUS_OF["client-list"]:
      return Xdata.of(clientEntries(clientsOf(graph)));
    case STATUS_OF.inode:
      return Xdata.of(inodes(graph));
    case STATUS_OF.fd:
      return Xdata.of(files(clientsOf(graph)));
    case STATUS_OF.callpool:
      return Xdata.of([uint(
        "callpool.count",
        clientsOf(graph).reduce((sum, { callsUnderWay }) => sum + callsUnderWay, 0),
      )]);
  }
  return undefined;
}

function clientsOf(graph: Graph): readonly ClientReport[] {
  return graph.top.clients?.() ?? [];
}

function clientEntries(clients: readonly ClientReport[]): Entry[] {
  return [
    ...clients.flatMap(({ process, peer, bytesRead, bytesWritten, opVersion }, i): Entry[] => [
      [`client${i}.hostname`, str(peer)],
      uint(`client${i}.bytesread`, bytesRead),
      uint(`client${i}.byteswrite`, bytesWritten),
      uint(`client${i}.opversion`, opVersion),
      [`client${i}.name`, str(process)],
    ]),
    uint("clientcount", clients.length),
  ];
}

/** The heap of JavaScript in the words of mallinfo(3); what it has no counterpart for is 0. */
export function mallinfo(): readonly (readonly [name: string, bytes: number])[] {
  const { heapTotal, heapUsed, external } = Deno.memoryUsage();
  return [
    ["arena", heapTotal],
    ["ordblks", 0],
    ["smblks", 0],
    ["hblks", 0],
    ["hblkhd", external],
    ["usmblks", 0],
    ["fsmblks", 0],
    ["uordblks", heapUsed],
    ["fordblks", Math.max(0, heapTotal - heapUsed)],
    ["keepcost", 0],
  ];
}

function memory(): Entry[] {
  return mallinfo().map(([name, bytes]) => uint(`mallinfo.${name}`, bytes));
}

// One table for all clients of a brick, as of its first connection.
function inodes({ inodes }: Graph): Entry[] {
  return [
    uint("conn0.itable.lru_limit", Number.isFinite(inodes.limit) ? inodes.limit : 0),
    uint("conn0.itable.active_size", inodes.size),
    uint("conn0.itable.lru_size", 0),
    uint("conn0.itable.purge_size", 0),
    uint("conncount", 1),
  ];
}

function files(clients: readonly ClientReport[]): Entry[] {
  return [
    ...clients.flatMap(({ files }, i): Entry[] => {
      const used = new Set(files.map(({ number }) => number));
      const most = files.reduce((max, { number }) => Math.max(max, number + 1), 0);
      let free = 0;
      while (used.has(free)) free++;
      const table = `conn${i}.fdtable`;
      return [
        uint(`${table}.refcount`, 1),
        uint(`${table}.maxfds`, most),
        uint(`${table}.firstfree`, free),
        uint(`${table}.openfds`, files.length),
        ...files.flatMap(({ number, flags }): Entry[] => [
          uint(`${table}.fdentry${number}.pid`, 0),
          uint(`${table}.fdentry${number}.refcount`, 1),
          uint(`${table}.fdentry${number}.flags`, flags),
        ]),
      ];
    }),
    uint("conncount", clients.length),
  ];
}
