/** What a brick does when its management daemon asks on its unix socket. */

import { ROOT } from "core/call.ts";
import type { Env } from "core/env.ts";
import { EINVAL, ENODATA, ENOENT, EOPNOTSUPP, FopError } from "core/errno.ts";
import type { Graph } from "core/graph.ts";
import { type Gfid, ROOT_GFID } from "core/inode.ts";
import { str, textKey, Xdata } from "core/xdata.ts";
import type { Xlator } from "core/xlator.ts";
import { historyCopies } from "mgmt/brick/history_copies.ts";
import { historyOperations } from "mgmt/brick/history_orders.ts";
import { diskSpeed } from "mgmt/brick/disk_speed.ts";
import { isTrue, profileAnswer } from "mgmt/brick/profile.ts";
import { quietOperations } from "mgmt/brick/quiet_orders.ts";
import { statusAnswer } from "mgmt/brick/status.ts";
import { asksTop, topAnswer } from "mgmt/brick/top.ts";
import { plain } from "mgmt/plain.ts";
import { NULL_PROCEDURE, procedures, type Program, serve } from "rpc/program.ts";
import {
  attach,
  BRICK_OPS_NAME,
  BRICK_OPS_PROGRAM,
  type BrickAnswer,
  brickBarrier,
  type BrickOp,
  type BrickRequest,
  brickStatus,
  dumpMetrics,
  getAttribute,
  terminate,
  volumeBarrier,
  xlatorInfo,
} from "rpc/programs/brick_ops.ts";
import { Listener } from "rpc/server.ts";
import { removeStaleSocket } from "rpc/transport.ts";

/** The brick as its orders see it. */
export interface BrickHost {
  readonly env: Env;
  readonly graph: Graph;
  /** Its path. */
  readonly name: string;
  /** Ends it in order. */
  end(): void;
  /** Its metrics, a line each. */
  metrics(): string;
}

const BARRIER = textKey("barrier"), PATH = textKey("glusterfs.gfidtopath");
const FILE_PATH = textKey("path"), ATTRIBUTE = textKey("name");
// A management daemon holds one connection; tools come and go.
const CONNECTIONS_MAX = 64;

/**
 * Listens for orders at `path`, for the owner of the process only; `stop` removes the socket. Throws
 * what Deno throws.
 */
export async function listenForOrders(
  path: string,
  host: BrickHost,
): Promise<{ stop(): Promise<void> }> {
  await removeStaleSocket(path);
  const listener = new Listener({ kind: "unix", path }, host.env, {
    programs: () => [
      brickOperations(host),
      historyOperations(host.graph),
      historyCopies(host.graph),
      quietOperations(host.graph),
    ],
    connectionsMax: CONNECTIONS_MAX,
  });
  return {
    async stop() {
      await listener.stop();
      await Deno.remove(path).catch(() => {});
    },
  };
}

/** The program. */
export function brickOperations(host: BrickHost): Program {
  const on = (op: BrickOp, handle: (request: BrickRequest) => Answering) =>
    [op.procedure, serve(op, (request) => answered(host, handle, request))] as const;
  return {
    ...BRICK_OPS_PROGRAM,
    name: BRICK_OPS_NAME,
    procedures: procedures([
      NULL_PROCEDURE,
      on(terminate, ({ name }) => end(host, name)),
      on(xlatorInfo, (request) => statistics(host, request)),
      on(brickStatus, ({ input }) => {
        const output = statusAnswer(host.graph, input);
        return output ? { output } : { errno: EINVAL.errno, error: "Unknown status op" };
      }),
      on(volumeBarrier, (request) => barrier(host, request)),
      on(brickBarrier, (request) => barrier(host, request)),
      on(getAttribute, (request) => attribute(host, request)),
      on(attach, () => ({
        errno: EOPNOTSUPP.errno,
        error: "every brick is a process of its own",
      })),
      on(dumpMetrics, () => ({ error: host.metrics() })),
    ]),
  };
}

/** `errno` makes it a failure. */
type Answered = Partial<Omit<BrickAnswer, "ret">>;
type Answering = Answered | Promise<Answered>;

async function answered(
  { env }: BrickHost,
  handle: (request: BrickRequest) => Answering,
  request: BrickRequest,
): Promise<BrickAnswer> {
  const answer = (given: Answered): BrickAnswer => ({
    ret: given.errno ? -1 : 0,
    errno: given.errno ?? 0,
    output: given.output,
    error: given.error ?? "",
  });
  try {
    return answer(await handle(request));
  } catch (error) {
    const why = plain(error);
    env.log.warn("order was not carried out", { op: request.op, why });
    return answer({ errno: error instanceof FopError ? error.errno : EINVAL.errno, error: why });
  }
}

// Who asks for a brick that is not here wants it gone, and so it is.
function end(host: BrickHost, name: string): Answered {
  const { log } = host.env;
  if (name !== host.name) log.warn("asked to end another brick", { brick: name });
  else {
    log.info("asked to end", { brick: name });
    // The answer leaves first: connections are drained.
    host.end();
  }
  return {};
}

async function statistics(host: BrickHost, { name, input }: BrickRequest): Promise<Answered> {
  const layer = layersFrom(host.graph, name).find((each) => each.statistics);
  if (!layer) return { errno: ENOENT.errno, error: `xlator ${name} is not loaded` };
  const { statistics } = layer as Required<Pick<Xlator, "statistics">>;
  if (!input || !asksTop(input)) return { output: profileAnswer(statistics, input) };
  return {
    output: await topAnswer({
      statistics,
      name: (gfid) => pathOf(host.graph, layer, gfid),
      measure: (test, reads) => diskSpeed(host.env, host.name, test, reads),
    }, input),
  };
}

// Paths never travel with fops; storage knows them.
async function pathOf(graph: Graph, layer: Xlator, gfid: Gfid): Promise<string> {
  return await filePath(graph, layer.children[0]!, gfid) ?? `<gfid:${gfid}>`;
}

/** The path of a file from the brick's root, as `layer` and those below it know it. */
export async function filePath(
  graph: Graph,
  layer: Xlator,
  gfid: Gfid,
): Promise<string | undefined> {
  if (gfid === ROOT_GFID) return "/";
  try {
    const inode = graph.inodes.of(gfid);
    const { xattrs } = await layer.getxattr(ROOT, { inode, name: PATH.name });
    // A file of several names: the first stands for it.
    const path = xattrs?.get(PATH)?.split(":")[0];
    return path || undefined;
  } catch (error) {
    if (error instanceof FopError) return undefined;
    throw error;
  }
}

function barrier(host: BrickHost, { name, input }: BrickRequest): Answered {
  const layer = layersFrom(host.graph, name).find((each) => each.setBarrier);
  if (!layer) return { errno: ENOENT.errno, error: "features/barrier is not loaded" };
  const wanted = input?.get(BARRIER);
  if (wanted === undefined) return { errno: EINVAL.errno, error: "nothing says on or off" };
  if (layer.setBarrier!(isTrue(wanted))) return {};
  return { errno: EINVAL.errno, error: "Failed to reconfigure barrier." };
}

async function attribute({ graph, name }: BrickHost, { input }: BrickRequest): Promise<Answered> {
  const path = input?.get(FILE_PATH), key = input?.get(ATTRIBUTE);
  if (path === undefined || key === undefined || !path.startsWith("/")) {
    return { errno: EINVAL.errno, error: "an absolute path and a name are needed" };
  }
  const [top] = layersFrom(graph, name);
  let inode = graph.inodes.root;
  for (const part of path.split("/").filter((each) => each !== "")) {
    if (part === "." || part === "..") return { errno: EINVAL.errno, error: `"${part}" in a path` };
    const { stat } = await top!.lookup(ROOT, { parent: inode, name: part });
    inode = graph.inodes.of(stat.gfid);
  }
  const { xattrs } = await top!.getxattr(ROOT, { inode, name: key });
  const value = xattrs?.get(textKey(key));
  return value === undefined ? { errno: ENODATA.errno } : { output: Xdata.of([[key, str(value)]]) };
}

/** The layer of that name and those below it, top first; all if there is none. */
function layersFrom(graph: Graph, name: string): readonly Xlator[] {
  const found: Xlator[] = [];
  const visit = (layer: Xlator) => {
    if (found.includes(layer)) return;
    found.push(layer);
    layer.children.forEach(visit);
  };
  visit(graph.node(name)?.xlator ?? graph.top);
  return found;
}
