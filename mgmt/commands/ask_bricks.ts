/** Asking all bricks of a volume that run. */

import { Refusal } from "mgmt/cli/managed.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";
import { type BrickRecord, brickText, type VolumeRecord } from "mgmt/records.ts";
import { type BrickAnswer, type BrickOp, brickRequest } from "rpc/programs/brick_ops.ts";
import type { Xdata } from "core/xdata.ts";

/** What one brick answered. */
export interface Told {
  readonly brick: BrickRecord;
  readonly answer: BrickAnswer;
}

/** The volume `name`, if it is started; Refusal otherwise. */
export async function startedVolume(
  cluster: Cluster,
  name: string,
  why = `Volume ${name} is not started.`,
): Promise<VolumeRecord> {
  const volume = await cluster.volume(name);
  if (volume.state === "started") return volume;
  throw new Refusal(why);
}

/** Its bricks that run; `only`: that one, as "HOST:/PATH". Throws Refusal if it is none of the volume's, or down. */
export function runningBricks(
  cluster: Cluster,
  volume: VolumeRecord,
  only?: string,
): readonly BrickRecord[] {
  const isUp = (brick: BrickRecord) => cluster.bricks.status(volume, brick).online;
  if (only === undefined) return volume.bricks.filter(isUp);
  const brick = volume.bricks.find((each) => brickText(each) === only);
  if (!brick) throw new Refusal(`Brick ${only} is not a brick of volume ${volume.name}`);
  if (!isUp(brick)) throw new Refusal(`Brick ${only} is not running`);
  return [brick];
}

/** Asks each, all at once. What a brick refuses is an answer; one that does not answer is a Refusal. */
export function askBricks(
  cluster: Cluster,
  volume: VolumeRecord,
  bricks: readonly BrickRecord[],
  op: BrickOp,
  input: Xdata,
): Promise<Told[]> {
  return Promise.all(bricks.map(async (brick) => {
    const answer = await cluster.bricks.ask(volume, brick, op, brickRequest(op, brick.path, input));
    return { brick, answer };
  }));
}

/** The same; the first brick that refuses is a Refusal, too. */
export async function tellBricks(
  ...args: Parameters<typeof askBricks>
): Promise<readonly Told[]> {
  const told = await askBricks(...args);
  for (const { brick, answer } of told) {
    if (answer.ret >= 0) continue;
    throw new Refusal(`Brick ${brickText(brick)}: ${answer.error || `errno ${answer.errno}`}`);
  }
  return told;
}
