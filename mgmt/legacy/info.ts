/** Volumes and nodes, as dictionaries of the `gluster` program. */

import { OP_ERRNO, Refusal } from "mgmt/cli/managed.ts";
import { type Entries, type RequestDict, wrong } from "mgmt/legacy/request_dict.ts";
import { answerOf, type Run } from "mgmt/legacy/run.ts";
import type { SystemUuidGet } from "mgmt/commands/system_uuid_get.ts";
import type { VolumeInfoAnswer, VolumeListAnswer } from "mgmt/status/answers.ts";
import type { PeersAnswer } from "mgmt/status/peers.ts";
import type { VolumeInfo } from "mgmt/status/volume_info.ts";

/** `gf1_cli_get_volume`: the volume that is named, or the one after it. */
const ONE = 2, NEXT = 3;
/** `gf1_cli_friends_list`: the other nodes, or all. */
const PEERS = 1, POOL = 2;

const NONE: Entries = [["count", 0]];

/** GET_VOLUME. */
export async function getVolume(run: Run, request: RequestDict): Promise<Entries> {
  const flags = request.number("flags", 9);
  if (flags === ONE) return oneVolume(run, request.text("volname"));
  if (flags !== NEXT) throw wrong("flags", "expected 2 or 3");
  const previous = request.optionalText("volname");
  for (const name of await volumeNames(run)) {
    if (previous !== undefined && name <= previous) continue;
    const entries = await oneVolume(run, name).catch(goneInBetween);
    if (entries) return entries;
  }
  return NONE;
}

function goneInBetween(error: unknown): undefined {
  if (error instanceof Refusal && error.opErrno === OP_ERRNO.noVolume) return undefined;
  throw error;
}

async function oneVolume(run: Run, name: string): Promise<Entries> {
  const { volumes } = await answerOf<VolumeInfoAnswer>(run, ["volume", "info", name]);
  // A name that means all of them is no name here.
  const volume = volumes.find((each) => each.name === name);
  return volume ? [["count", 1], ...volumeEntries(volume)] : NONE;
}

function volumeEntries(volume: VolumeInfo): Entries {
  const at = (name: string) => `volume0.${name}`;
  return [
    [at("name"), volume.name],
    [at("type"), volume.baseType],
    [at("status"), volume.status],
    [at("brick_count"), volume.brickCount],
    [at("dist_count"), volume.leafCount],
    [at("replica_count"), volume.replicaCount],
    [at("disperse_count"), volume.disperseCount],
    [at("redundancy_count"), volume.redundancyCount],
    [at("arbiter_count"), volume.arbiterCount],
    [at("thin_arbiter_count"), 0],
    [at("transport"), 0],
    [at("volume_id"), volume.id],
    [at("rebalance"), 0],
    [at("snap_count"), volume.snapshotCount],
    ...volume.bricks.flatMap((brick, index): Entries => [
      [at(`brick${index + 1}`), brick.name],
      [at(`brick${index + 1}.uuid`), brick.hostUuid],
      // That it is there at all says yes.
      ...brick.isArbiter ? [[at(`brick${index + 1}.isArbiter`), 1] as const] : [],
    ]),
    // The program prints a dictionary from its end.
    ...volume.options.toReversed().map(({ name, value }) => [at(`option.${name}`), value] as const),
    [at("opt_count"), volume.options.length],
  ];
}

/** Names of all volumes, in order. */
export async function volumeNames(run: Run): Promise<readonly string[]> {
  return (await answerOf<VolumeListAnswer>(run, ["volume", "list"])).volumes;
}

/** LIST_VOLUME. */
export async function listVolumes(run: Run): Promise<Entries> {
  const names = await volumeNames(run);
  return [["count", names.length], ...names.map((name, at) => [`volume${at}`, name] as const)];
}

/** LIST_FRIENDS. */
export async function friends(run: Run, flags: number): Promise<Entries> {
  if (flags !== PEERS && flags !== POOL) throw wrong("flags", "expected 1 or 2");
  const words = flags === PEERS ? ["peer", "status"] : ["pool", "list"];
  const { peers } = await answerOf<PeersAnswer>(run, words);
  return [
    ["count", peers.length],
    ...peers.flatMap((peer, index): Entries => {
      const at = `friend${index + 1}`, names = peer.hostnames;
      return [
        [`${at}.uuid`, peer.uuid],
        [`${at}.hostname`, peer.hostname],
        [`${at}.connected`, peer.connected ? 1 : 0],
        ...peer.stateId === undefined ? [] : [[`${at}.stateId`, peer.stateId] as const],
        ...peer.state === undefined ? [] : [[`${at}.state`, peer.state] as const],
        ...names ? [[`${at}.hostname_count`, names.length] as const] : [],
        ...(names ?? []).map((name, n) => [`${at}.hostname${n}`, name] as const),
      ];
    }),
  ];
}

/** UUID_GET. */
export async function nodeId(run: Run): Promise<Entries> {
  const { uuid } = await answerOf<SystemUuidGet>(run, ["system::", "uuid", "get"]);
  return [["uuid", uuid]];
}
