/** Rows of `volume status`: what is known here, and what the bricks answer. */

import type { Xdata } from "core/xdata.ts";
import { type StatusOf, statusRequest } from "mgmt/brick/status.ts";
import { Refusal } from "mgmt/cli/managed.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";
import { readMounts } from "mgmt/cluster/mounts.ts";
import { type BrickRecord, brickText, type VolumeRecord } from "mgmt/records.ts";
import {
  callFigures,
  clientFigures,
  fdFigures,
  inodeFigures,
  memoryFigures,
} from "mgmt/status/brick_figures.ts";
import { isFlattening } from "mgmt/snapshots/flattens.ts";
import { diskStatus } from "mgmt/status/disk.ts";
import type { ProxyStatus } from "mgmt/proxy/supervised_proxies.ts";
import { baseType } from "mgmt/status/volume_info.ts";
import type {
  ClientCount,
  ClientStatus,
  StatusDaemon,
  StatusForm,
  StatusRow,
  TaskStatus,
  ToldStatus,
} from "mgmt/status/volume_status.ts";
import { brickRequest, brickStatus } from "rpc/programs/brick_ops.ts";

/** What of a volume is asked for. */
export interface StatusQuestion {
  readonly form: StatusForm | null;
  /** A daemon, or the brick of that name; undefined: all processes. */
  readonly only?: { readonly daemon: StatusDaemon } | { readonly brick: string };
}

/** The status of a volume. Throws Refusal if it is not started, or has no such process. */
export async function volumeStatus(
  cluster: Cluster,
  volume: VolumeRecord,
  { form, only }: StatusQuestion,
): Promise<ToldStatus> {
  if (volume.state !== "started") throw new Refusal(`Volume ${volume.name} is not started`);
  const told = { name: volume.name, baseType: baseType(volume) };
  if (only && "daemon" in only) {
    checkDaemon(volume, only.daemon);
    return { ...told, rows: [daemonRow(cluster, volume, only.daemon, form)] };
  }
  const bricks = only ? [brickNamed(volume, only.brick)] : volume.bricks;
  if (form === "tasks") return { ...told, rows: [], tasks: tasksOf(cluster, volume) };
  const rows = bricks.map((brick) => brickRow(cluster, volume, brick));
  if (form === "client-list") {
    return { ...told, rows, clientCounts: await clientCounts(cluster, volume, bricks, rows) };
  }
  if (form !== null) {
    return { ...told, rows: await withFigures(cluster, volume, bricks, rows, form) };
  }
  if (only) return { ...told, rows };
  const daemons = DAEMON_ORDER.filter((daemon) => whyNot(volume, daemon) === undefined);
  return {
    ...told,
    rows: [...rows, ...daemons.map((daemon) => daemonRow(cluster, volume, daemon, form))],
    tasks: tasksOf(cluster, volume),
  };
}

/** Numbers of a task's state. */
const IN_PROGRESS = 1, COMPLETED = 3;

function tasksOf({ flattens }: Cluster, volume: VolumeRecord): TaskStatus[] {
  if (!volume.flatten) return [];
  const task = { type: "Flatten", id: volume.flatten.id };
  if (!isFlattening(volume)) return [{ ...task, status: COMPLETED, statusText: "completed" }];
  const { files, bytes, waits } = flattens.progress(volume);
  return [{
    ...{ ...task, status: IN_PROGRESS, statusText: "in progress", copied: { files, bytes } },
    ...waits === undefined ? {} : { waits },
  }];
}

function brickNamed(volume: VolumeRecord, name: string): BrickRecord {
  const plain = name.replace(/(?<=.)\/+$/, "");
  const brick = volume.bricks.find((each) => brickText(each) === plain);
  if (!brick) throw new Refusal(`No brick ${name} in volume ${volume.name}`);
  return brick;
}

function brickRow(cluster: Cluster, volume: VolumeRecord, brick: BrickRecord): StatusRow {
  const { online, pid, port } = cluster.bricks.status(volume, brick);
  return {
    of: "brick",
    hostname: brick.host,
    path: brick.path,
    peerId: brick.nodeId,
    online,
    port: port ?? 0,
    pid: online ? pid ?? -1 : -1,
  };
}

function withFigures(
  cluster: Cluster,
  volume: VolumeRecord,
  bricks: readonly BrickRecord[],
  rows: readonly StatusRow[],
  form: Exclude<StatusForm, "tasks" | "client-list">,
): Promise<StatusRow[]> {
  const mounts = form === "detail" ? readMounts() : [];
  return Promise.all(rows.map(async (row, index): Promise<StatusRow> => {
    if (form === "detail") {
      if (row.peerId !== cluster.nodeId) return row;
      return { ...row, disk: await diskStatus(row.path, mounts) };
    }
    if (!row.online) return row;
    try {
      const dict = await askBrick(cluster, volume, bricks[index]!, form);
      return { ...row, ...figures(dict, form) };
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return { ...row, unanswered: error.message };
    }
  }));
}

function figures(
  dict: Xdata,
  form: Exclude<StatusForm, "tasks" | "client-list" | "detail">,
): Partial<StatusRow> {
  switch (form) {
    case "clients":
      return { clients: clientFigures(dict) };
    case "mem":
      return { memory: memoryFigures(dict) };
    case "inode":
      return { inodes: inodeFigures(dict) };
    case "fd":
      return { fds: fdFigures(dict) };
    case "callpool":
      return callFigures(dict);
  }
}

/** What a running brick answers of itself. Throws Refusal. */
async function askBrick(
  cluster: Cluster,
  volume: VolumeRecord,
  brick: BrickRecord,
  form: StatusOf,
): Promise<Xdata> {
  const input = statusRequest(form, brick.path);
  const answer = await cluster.bricks.ask(
    volume,
    brick,
    brickStatus,
    brickRequest(brickStatus, "", input),
  );
  if (answer.ret === 0) return answer.output ?? input;
  throw new Refusal(answer.error || `Brick ${brickText(brick)} tells no ${form}`);
}

/** Who is connected to a running brick. Throws Refusal. */
export async function clientsOf(
  cluster: Cluster,
  volume: VolumeRecord,
  brick: BrickRecord,
): Promise<ClientStatus[]> {
  return clientFigures(await askBrick(cluster, volume, brick, "clients"));
}

// Every client is connected to every brick, so one that answers tells of all.
async function clientCounts(
  cluster: Cluster,
  volume: VolumeRecord,
  bricks: readonly BrickRecord[],
  rows: readonly StatusRow[],
): Promise<ClientCount[]> {
  const counts = new Map<string, number>();
  for (const [index, brick] of bricks.entries()) {
    if (!rows[index]!.online) continue;
    try {
      const clients = clientFigures(await askBrick(cluster, volume, brick, "client-list"));
      for (const { name } of clients) {
        const kind = clientKind(name ?? "unknown");
        counts.set(kind, (counts.get(kind) ?? 0) + 1);
      }
      break;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
    }
  }
  return [...counts].map(([name, count]) => ({ name, count }));
}

// "fuse.v1", "gfapi.fio": what comes behind differs from client to client.
function clientKind(name: string): string {
  return ["fuse", "gfapi"].find((kind) => name.startsWith(kind)) ?? name;
}

/** Daemons in the order of their rows. */
const DAEMON_ORDER: readonly StatusDaemon[] = ["snapd", "shd", "quotad", "bitd", "scrub", "proxy"];
const DAEMON_NAMES: Readonly<Record<StatusDaemon, string>> = {
  nfs: "NFS Server",
  shd: "Self-heal Daemon",
  quotad: "Quota Daemon",
  snapd: "Snapshot Daemon",
  bitd: "Bitrot Daemon",
  scrub: "Scrubber Daemon",
  proxy: "Proxy",
};

function daemonRow(
  cluster: Cluster,
  volume: VolumeRecord,
  daemon: StatusDaemon,
  form: StatusForm | null,
): StatusRow {
  const { online, pid, port = 0 } = processOf(cluster, volume, daemon);
  return {
    of: daemon,
    hostname: DAEMON_NAMES[daemon],
    path: form === null ? "localhost" : cluster.nodeId,
    peerId: cluster.nodeId,
    online,
    port: online ? port : 0,
    pid: online ? pid ?? -1 : -1,
  };
}

// Others are no processes of ours yet: a row says that nothing runs, rather than nothing.
function processOf(
  { healer, proxies }: Cluster,
  volume: VolumeRecord,
  daemon: StatusDaemon,
): Pick<ProxyStatus, "online" | "pid"> & { readonly port?: number | undefined } {
  const down = { online: false, pid: undefined };
  if (daemon === "shd") return healer?.status ?? down;
  return daemon === "proxy" ? proxies?.status(volume) ?? down : down;
}

function checkDaemon(volume: VolumeRecord, daemon: StatusDaemon): void {
  const why = whyNot(volume, daemon);
  if (why !== undefined) throw new Refusal(why);
}

/** Why a volume has no such daemon; undefined if it should have one. */
function whyNot(
  { name, options, replicaCount, disperseCount }: VolumeRecord,
  daemon: StatusDaemon,
) {
  const on = (option: string, otherwise = false) => {
    const value = options[option];
    return value === undefined ? otherwise : /^(on|yes|true|enable|1)$/i.test(value);
  };
  switch (daemon) {
    case "shd":
      if (replicaCount < 2 && !disperseCount) return `Volume ${name} is not Self-heal compatible`;
      return on(
          disperseCount ? "cluster.disperse-self-heal-daemon" : "cluster.self-heal-daemon",
          true,
        )
        ? undefined
        : `Self-heal Daemon is disabled for volume ${name}`;
    case "proxy":
      return on("features.proxy")
        ? undefined
        : `Volume ${name} has no proxy: features.proxy is off`;
    case "nfs":
      return `NFS server is disabled for volume ${name}`;
    case "quotad":
      return on("features.quota") ? undefined : `Volume ${name} does not have quota enabled`;
    case "snapd":
      return on("features.uss") ? undefined : `Volume ${name} does not have uss enabled`;
    case "bitd":
      return on("features.bitrot") ? undefined : `Volume ${name} does not have bitrot enabled`;
    case "scrub":
      return on("features.bitrot")
        ? undefined
        : `Volume ${name} does not have bitrot enabled. Scrubber will be enabled automatically ` +
          "if bitrot is enabled";
  }
}
