/** The daemon's state as text: what GlusterFS's glusterd writes for `get-state`, line by line. */

import { distributeCount, type VolumeRecord } from "mgmt/records.ts";
import type { PeerStatus } from "mgmt/status/peers.ts";
import { volumeInfo } from "mgmt/status/volume_info.ts";
import type { ClientStatus } from "mgmt/status/volume_status.ts";

/** A brick as the state tells of it. */
export interface BrickState {
  readonly host: string;
  readonly path: string;
  readonly isArbiter: boolean;
  /** Absent: another node's. */
  readonly here?: {
    readonly online: boolean;
    readonly port: number;
    /** Bytes; 0 if the disk does not tell. */
    readonly free: number;
    readonly total: number;
    /** With `detail`, of a brick that answers. */
    readonly clients?: readonly ClientStatus[];
  };
}

/** What there is to write. */
export interface DaemonState {
  readonly nodeId: string;
  readonly globalOptions: Readonly<Record<string, string>>;
  readonly peers: readonly PeerStatus[];
  readonly volumes: readonly {
    readonly volume: VolumeRecord;
    readonly bricks: readonly BrickState[];
  }[];
  /** Least port that bricks get. */
  readonly basePort: number;
}

/** Version of the management protocol that our volumes need: GlusterFS 10's. */
const OP_VERSION = 100000;
const NO_TASK = "00000000-0000-0000-0000-000000000000";

/** The whole text. */
export function stateText(state: DaemonState): string {
  const services = ["bitd", "scrub", "quotad"].flatMap((name, index) => [
    `svc${index + 1}.name: ${name}`,
    `svc${index + 1}.online_status: Offline`,
    "",
  ]);
  return [
    "[Global]",
    `MYUUID: ${state.nodeId}`,
    `op-version: ${OP_VERSION}`,
    "",
    "[Global options]",
    ...Object.entries(state.globalOptions).map(([name, value]) => `${name}: ${oneLine(value)}`),
    "",
    "[Peers]",
    ...state.peers.flatMap((peer, index) => peerLines(`Peer${index + 1}`, peer)),
    "",
    "[Volumes]",
    ...state.volumes.flatMap(({ volume, bricks }, index) => [
      ...volumeLines(`Volume${index + 1}`, volume, bricks),
      "",
    ]),
    "",
    "[Services]",
    ...services,
    "",
    "[Misc]",
    `Base port: ${state.basePort}`,
    "",
  ].join("\n");
}

/** The text with `volumeoptions`: every option of every volume, the last first. */
export function optionsText(
  volumes: readonly {
    readonly name: string;
    readonly options: readonly (readonly [key: string, value: string])[];
  }[],
): string {
  const lines = volumes.flatMap(({ name, options }, index) => {
    const at = `Volume${index + 1}`;
    const numbered = options.map(([key, value], number) => [
      `${at}.options.value${number + 1}: ${oneLine(value)}`,
      `${at}.options.key${number + 1}: ${key}`,
    ]);
    return [
      `${at}.name: ${name}`,
      `${at}.options.count: ${options.length}`,
      ...numbered.reverse().flat(),
    ];
  });
  return ["[Volume Options]", ...lines, ""].join("\n");
}

// Programs read it line by line: a value must not make one of its own.
function oneLine(value: string): string {
  return value.replaceAll(/[\r\n]/g, " ");
}

function peerLines(at: string, peer: PeerStatus): string[] {
  return [
    `${at}.primary_hostname: ${peer.hostname}`,
    `${at}.uuid: ${peer.uuid}`,
    `${at}.state: ${peer.state ?? ""}`,
    `${at}.connected: ${peer.connected ? "Connected" : "Disconnected"}`,
    `${at}.othernames: ${(peer.hostnames ?? []).slice(1).join(",")}`,
  ];
}

function volumeLines(at: string, volume: VolumeRecord, bricks: readonly BrickState[]): string[] {
  const { typeText, statusText } = volumeInfo(volume);
  const isOn = (name: string) => volume.options[name] === "on";
  const profiled = isOn("diagnostics.count-fop-hits") && isOn("diagnostics.latency-measurement");
  const values: readonly (readonly [string, string | number])[] = [
    ["snap_count", 0],
    ["stripe_count", volume.stripeCount],
    ["replica_count", volume.replicaCount],
    ["subvol_count", distributeCount(volume)],
    ["arbiter_count", volume.arbiterCount],
    ["disperse_count", volume.disperseCount],
    ["redundancy_count", volume.redundancyCount],
    ["quorum_status", "not_applicable"],
    ["snapd_svc.online_status", "Offline"],
    ["snapd_svc.inited", "False"],
    ["rebalance.id", NO_TASK],
    ["rebalance.status", "not_started"],
    ["rebalance.failures", 0],
    ["rebalance.skipped", 0],
    ["rebalance.lookedup", 0],
    ["rebalance.files", 0],
    ["rebalance.data", "0Bytes"],
    ["time_left", 0],
    ["shd_svc.online_status", "Offline"],
    ["shd_svc.inited", "False"],
    ["gsync_count", 0],
  ];
  return [
    `${at}.name: ${volume.name}`,
    `${at}.id: ${volume.id}`,
    `${at}.type: ${typeText}`,
    `${at}.transport_type: tcp`,
    `${at}.status: ${statusText}`,
    `${at}.profile_enabled: ${profiled ? 1 : 0}`,
    `${at}.brickcount: ${bricks.length}`,
    ...bricks.flatMap((brick, index) => brickLines(`${at}.Brick${index + 1}`, brick)),
    ...values.map(([name, value]) => `${at}.${name}: ${value}`),
    ...Object.entries(volume.options).reverse().map(([name, value]) =>
      `${at}.options.${name}: ${oneLine(value)}`
    ),
  ];
}

function brickLines(at: string, { host, path, isArbiter, here }: BrickState): string[] {
  return [
    `${at}.path: ${host}:${path}`,
    `${at}.hostname: ${host}`,
    ...isArbiter ? [`${at}.is_arbiter: 1`] : [],
    ...here
      ? [
        `${at}.port: ${here.port}`,
        `${at}.rdma_port: 0`,
        `${at}.port_registered: ${here.online ? 1 : 0}`,
        `${at}.status: ${here.online ? "Started" : "Stopped"}`,
        `${at}.spacefree: ${here.free}Bytes`,
        `${at}.spacetotal: ${here.total}Bytes`,
        ...here.clients ? clientLines(at, here.clients) : [],
      ]
      : [],
  ];
}

function clientLines(at: string, clients: readonly ClientStatus[]): string[] {
  return [
    `${at}.client_count: ${clients.length}`,
    ...clients.flatMap(({ hostname, bytesRead, bytesWritten, opVersion }, index) => [
      `${at}.Client${index + 1}.hostname: ${hostname}`,
      `${at}.Client${index + 1}.bytesread: ${bytesRead}`,
      `${at}.Client${index + 1}.byteswrite: ${bytesWritten}`,
      `${at}.Client${index + 1}.opversion: ${opVersion}`,
    ]),
  ];
}
