/**
 * A brick that serves nobody: its directory becomes what a snapshot has, and the process ends. It
 * holds the brick's pid file, so that no brick runs on the directory meanwhile, and no second one of
 * its kind.
 */

import { type Call, PID_SELF_HEAL, ROOT } from "core/call.ts";
import { ENOENT, FopError } from "core/errno.ts";
import { buildGraph, type Graph } from "core/graph.ts";
import type { AddToMarks } from "core/history_orders.ts";
import type { XlatorTypes } from "core/registry.ts";
import type { VolfileSource } from "mgmt/brick/process.ts";
import { overridden, type Override, readBlocks, withoutIdle } from "mgmt/brick/volfile.ts";
import { CommandError } from "mgmt/cli/command.ts";
import type { Daemon } from "mgmt/daemon.ts";
import { cause, plain } from "mgmt/plain.ts";

const CALL: Call = { ...ROOT, pid: PID_SELF_HEAL };

/** What is restored. */
export interface WantedRestore {
  /** The snapshot's id. */
  readonly snapshot: string;
  /** Client names of copies that miss what is restored, and are to be healed. */
  readonly missedBy: readonly string[];
}

/** Restores it; answers the exit code. Throws CommandError: why not. */
export async function restoreBrick(
  { env }: Daemon,
  types: XlatorTypes,
  source: VolfileSource,
  overrides: readonly Override[],
  wanted: WantedRestore,
): Promise<number> {
  const known = withoutIdle(readBlocks(await source.read(), source.where), types);
  const blocks = overridden(known, overrides).filter(({ type }) => type !== "protocol/server");
  const graph = built(() => buildGraph(blocks, types, env), source);
  try {
    await graph.start();
    try {
      await restoreIn(graph, wanted);
    } finally {
      await graph.stop();
    }
  } catch (error) {
    if (error instanceof CommandError) throw error;
    throw new CommandError(`Cannot restore the brick: ${plain(error)}`);
  }
  env.log.info("brick restored", { snapshot: wanted.snapshot });
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
async function restoreIn(
  { nodes, top }: Graph,
  { snapshot, missedBy }: WantedRestore,
): Promise<void> {
  const layers = [...nodes].map(({ xlator }) => xlator);
  const histories = layers.find((layer) => layer.histories)?.histories;
  const trouble = histories ? histories.trouble() : "its volfile has no features/snapshot";
  if (!histories || trouble !== undefined) {
    throw new CommandError(`Cannot restore the brick: ${trouble}`);
  }
  try {
    const addToMarks: AddToMarks = async (inode, xattrs) => {
      await top.xattrop(CALL, { inode, op: "add32", xattrs });
    };
    const marks = missedBy.map((name) => `trusted.afr.${name}`);
    // What copies missed lately says nothing of what they miss of the snapshot, though counts may be alike.
    for (const layer of layers) layer.forgetMissed?.();
    await histories.restoreVolume(snapshot, addToMarks, marks);
  } catch (error) {
    if (!(error instanceof FopError) || !ENOENT.matches(error)) throw error;
    throw new CommandError(`Cannot restore the brick: it does not have the snapshot ${snapshot}`);
  }
}
