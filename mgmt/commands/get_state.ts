/** `get-state`: writes what the daemon knows into a file. */

import {
  keyword,
  managed,
  type ManagedCommand,
  optional,
  Refusal,
  word,
} from "mgmt/cli/managed.ts";
import { WrongArguments } from "mgmt/cli/words.ts";
import { element } from "mgmt/cli/xml.ts";
import { BRICK_PORTS } from "mgmt/bricks/ports.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";
import { type BrickRecord, isArbiter, type VolumeRecord } from "mgmt/records.ts";
import type { GetStateAnswer } from "mgmt/status/answers.ts";
import { spaceOf } from "mgmt/status/disk.ts";
import { clientsOf } from "mgmt/status/gather.ts";
import { otherPeers } from "mgmt/status/peers.ts";
import { stateFileName, statePath, writeState } from "mgmt/status/state_file.ts";
import { type BrickState, optionsText, stateText } from "mgmt/status/state_text.ts";
import { shownValue } from "mgmt/volume_options/defaults.ts";
import { VOLUME_OPTIONS } from "mgmt/volume_options/mod.ts";

const DAEMON = "glusterd";

/** See the head of this file. */
export const getState: ManagedCommand = managed({
  path: "get-state",
  summary: "Get local state representation of mentioned daemon",
  args: {
    daemon: optional("[<daemon>]", {
      help: "glusterd, the only one.",
      offers: [DAEMON],
    }),
    odir: keyword("odir", "</path/to/output/dir/>", {
      help: "Directory, that is there, of the file.",
    }),
    file: keyword("file", "<filename>", {
      help: "Name of the file; one of that name is replaced. With the time in it if not given.",
    }),
    detail: word("detail", "Also the clients of every brick."),
    volumeoptions: word("volumeoptions", "The options of all volumes instead."),
  },
  scope: "nothing",
  localOnly: true,
  rest: "POST /state",
  examples: [{ what: "The state as /tmp/state", line: "mortar get-state odir /tmp file state" }],
  async apply(cluster, { daemon = DAEMON, odir, file, detail, volumeoptions }): Promise<
    GetStateAnswer
  > {
    if (daemon !== DAEMON) {
      throw new WrongArguments(getState, "glusterd is the only supported daemon.", true);
    }
    const name = file ?? stateFileName(cluster.env.clock.now());
    const path = await statePath(odir ?? `${cluster.places.run}/`, name);
    const volumes = await cluster.volumes();
    const globalOptions = await cluster.globalOptions();
    const text = volumeoptions
      ? optionsText(volumes.map((volume) => ({
        name: volume.name,
        options: [...VOLUME_OPTIONS.values()].filter(({ unlisted }) => !unlisted).map((option) =>
          [option.key, shownValue(option, volume, globalOptions)] as const
        ),
      })))
      : stateText({
        nodeId: cluster.nodeId,
        globalOptions,
        peers: otherPeers(cluster),
        volumes: await Promise.all(volumes.map(async (volume) => ({
          volume,
          bricks: await Promise.all(
            volume.bricks.map((brick, index) =>
              brickState(cluster, volume, { brick, index, detail })
            ),
          ),
        }))),
        basePort: BRICK_PORTS.base,
      });
    await writeState(cluster.env, path, text);
    return { daemon: DAEMON, path };
  },
  text: ({ daemon, path }) => `${daemon} state dumped to ${path}\n`,
  xml: ({ daemon, path }) => [
    element("getState", [element("daemon", daemon), element("path", path)]),
  ],
  failed: (message) => `Failed to get daemon state: ${message}`,
});

async function brickState(
  cluster: Cluster,
  volume: VolumeRecord,
  { brick, index, detail }: { brick: BrickRecord; index: number; detail: boolean },
): Promise<BrickState> {
  const { host, path, nodeId, port } = brick;
  const state = { host, path, isArbiter: isArbiter(volume, index) };
  if (nodeId !== cluster.nodeId) return state;
  const status = cluster.bricks.status(volume, brick);
  const space = await spaceOf(path);
  const clients = detail && status.online ? await knownClients(cluster, volume, brick) : undefined;
  return {
    ...state,
    here: {
      online: status.online,
      port: status.port ?? port ?? 0,
      free: space?.free ?? 0,
      total: space?.total ?? 0,
      ...(clients ? { clients } : {}),
    },
  };
}

// One brick that does not answer must not keep the rest from being told.
async function knownClients(cluster: Cluster, volume: VolumeRecord, brick: BrickRecord) {
  try {
    return await clientsOf(cluster, volume, brick);
  } catch (error) {
    if (error instanceof Refusal) return undefined;
    throw error;
  }
}
