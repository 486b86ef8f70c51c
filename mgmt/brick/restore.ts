/**
 * A brick that serves nobody: its directory becomes what a snapshot has, and the process ends. It
 * holds the brick's pid file, so that no brick runs on the directory meanwhile, and no second one of
 * its kind.
 */

import { type Call, PID_SELF_HEAL, ROOT } from "core/call.ts";
import { ENOENT, FopError } from "core/errno.ts";
import { buildGraph, type Graph } from "core/graph.ts";
import type { XlatorTypes } from "core/registry.ts";
import type { VolfileSource } from "mgmt/brick/process.ts";
import { overridden, type Override, readBlocks, withoutIdle } from "mgmt/brick/volfile.ts";
import { CommandError } from "mgmt/cli/command.ts";
import type { Daemon } from "mgmt/daemon.ts";
import { cause, plain } from "mgmt/plain.ts";

const CALL: Call = { ...ROOT, pid: PID_SELF_HEAL };

/** Restores the snapshot with this id; answers the exit code. Throws CommandError: why not. */
export async function restoreBrick(
  { env }: Daemon,
  types: XlatorTypes,
  source: VolfileSource,
  overrides: readonly Override[],
  snapshot: string,
): Promise<number> {
  const known = withoutIdle(readBlocks(await source.read(), source.where), types);
  const blocks = overridden(known, overrides).filter(({ type }) => type !== "protocol/server");
  const graph = built(() => buildGraph(blocks, types, env), source);
  try {
    await graph.start();
    try {
      await restoreIn(graph, snapshot);
    } finally {
      await graph.stop();
    }
  } catch (error) {
    if (error instanceof CommandError) throw error;
    throw new CommandError(`Cannot restore the brick: ${plain(error)}`);
  }
  env.log.info("brick restored", { snapshot });
  return 0;
}

function built(build: () => Graph, { where }: VolfileSource): Graph {
  try {
    return build();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new CommandError(`Cannot use ${where}: ${cause(error.message)}`);
  }
}

// Marks of replication change above all layers that keep lists by them.
async function restoreIn({ nodes, top }: Graph, snapshot: string): Promise<void> {
  const histories = [...nodes].map(({ xlator }) => xlator.histories).find((each) => each);
  const trouble = histories ? histories.trouble() : "its volfile has no features/snapshot";
  if (!histories || trouble !== undefined) {
    throw new CommandError(`Cannot restore the brick: ${trouble}`);
  }
  try {
    await histories.restoreVolume(snapshot, async (inode, xattrs) => {
      await top.xattrop(CALL, { inode, op: "add32", xattrs });
    });
  } catch (error) {
    if (!(error instanceof FopError) || !ENOENT.matches(error)) throw error;
    throw new CommandError(`Cannot restore the brick: it does not have the snapshot ${snapshot}`);
  }
}
