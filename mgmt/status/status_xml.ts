/** `volume status` for programs, element by element as GlusterFS prints it. */

import { element, type XmlElement } from "mgmt/cli/xml.ts";
import {
  type CallStatus,
  type DiskStatus,
  type FdTableStatus,
  type InodeStatus,
  type InodeTableStatus,
  MALLINFO_FIELDS,
  type MemoryStatus,
  type StatusForm,
  type StatusRow,
  type TaskStatus,
  type ToldStatus,
  type VolumeStatus,
} from "mgmt/status/volume_status.ts";

/** `volStatus` with all that could be told of. */
export function statusXml(
  volumes: readonly VolumeStatus[],
  form: StatusForm | null,
): XmlElement {
  return element("volStatus", [
    element(
      "volumes",
      volumes.flatMap((volume) => "rows" in volume ? [volumeXml(volume, form)] : []),
    ),
  ]);
}

function volumeXml({ name, rows, tasks }: ToldStatus, form: StatusForm | null): XmlElement {
  const told = form === "tasks"
    ? []
    : [element("nodeCount", rows.length), ...rows.map((row) => nodeXml(row))];
  return element("volume", [
    element("volName", name),
    ...told,
    ...tasks ? [element("tasks", tasks.map(taskXml))] : [],
  ]);
}

function nodeXml(row: StatusRow): XmlElement {
  const port = row.online && row.port ? row.port : "N/A";
  return element("node", [
    element("hostname", row.hostname),
    element("path", row.path),
    element("peerid", row.peerId),
    element("status", row.online ? 1 : 0),
    element("port", port),
    element("ports", [element("tcp", port), element("rdma", "N/A")]),
    element("pid", row.pid),
    ...row.disk ? diskXml(row.disk) : [],
    ...row.clients ? [clientsXml(row.clients)] : [],
    ...row.memory ? [memoryXml(row.memory)] : [],
    ...row.inodes ? [connectionsXml("inodeStatus", row.inodes.map(inodeTableXml))] : [],
    ...row.fds ? [connectionsXml("fdStatus", row.fds.map((table) => [fdTableXml(table)]))] : [],
    ...row.calls ? [callsXml(row.calls, row.pendingCalls)] : [],
  ]);
}

/** `[name, value]` each; those without a value are left out. */
function fields(
  pairs: readonly (readonly [name: string, value: string | number | undefined])[],
): XmlElement[] {
  return pairs.flatMap(([name, value]) => value === undefined ? [] : [element(name, value)]);
}

// GlusterFS repeats the file system's name as its inodeSize; a size is of more use.
function diskXml(disk: DiskStatus): XmlElement[] {
  return fields([
    ["sizeTotal", disk.total],
    ["sizeFree", disk.free],
    ["device", disk.device],
    ["blockSize", disk.blockSize],
    ["mntOptions", disk.mountOptions],
    ["fsName", disk.fsName],
    ["inodeSize", disk.inodeSize],
    ["inodesTotal", disk.inodesTotal],
    ["inodesFree", disk.inodesFree],
  ]);
}

function clientsXml(clients: NonNullable<StatusRow["clients"]>): XmlElement {
  return element("clientsStatus", [
    element("clientCount", clients.length),
    ...clients.map(({ hostname, bytesRead, bytesWritten, opVersion }) =>
      element("client", [
        element("hostname", hostname),
        element("bytesRead", bytesRead),
        element("bytesWrite", bytesWritten),
        element("opVersion", opVersion),
      ])
    ),
  ]);
}

function memoryXml({ mallinfo, pools }: MemoryStatus): XmlElement {
  const pool = (each: MemoryStatus["pools"][number]) =>
    element("pool", [
      element("name", each.name),
      element("hotCount", each.hotCount),
      element("coldCount", each.coldCount),
      element("padddedSizeOf", each.paddedSizeof),
      element("allocCount", each.allocCount),
      element("maxAlloc", each.maxAlloc),
      element("poolMisses", each.poolMisses),
      element("maxStdAlloc", each.maxStdAlloc),
    ]);
  return element("memStatus", [
    element("mallinfo", MALLINFO_FIELDS.map((name) => element(name, mallinfo[name]))),
    element("mempool", pools.length ? [element("count", pools.length), ...pools.map(pool)] : []),
  ]);
}

function connectionsXml(name: string, tables: readonly (readonly XmlElement[])[]): XmlElement {
  return element(name, [
    element("connections", tables.length),
    ...tables.map((table) => element("connection", table)),
  ]);
}

function inodeTableXml(table: InodeTableStatus): XmlElement[] {
  const list = (name: string, size: number, inodes: readonly InodeStatus[]) => [
    element(`${name}Size`, size),
    ...inodes.length ? [element(name, inodes.map(inodeXml))] : [],
  ];
  return [
    ...list("active", table.activeSize, table.active),
    ...list("lru", table.lruSize, table.lru),
    ...list("purge", table.purgeSize, table.purge),
  ];
}

function inodeXml({ gfid, nlookup, ref, iaType }: InodeStatus): XmlElement {
  return element("inode", [
    element("gfid", gfid),
    element("nLookup", nlookup),
    element("ref", ref),
    element("iaType", iaType),
  ]);
}

function fdTableXml(table: FdTableStatus): XmlElement {
  return element("fdTable", [
    element("refCount", table.refCount),
    element("maxFds", table.maxFds),
    element("firstFree", table.firstFree),
    element("openFds", table.openFds),
    ...table.entries.map(({ entry, pid, refCount, flags }) =>
      element("fd", [
        element("entry", entry),
        element("pid", pid),
        element("refCount", refCount),
        element("flags", flags),
      ])
    ),
  ]);
}

function callsXml(calls: readonly CallStatus[], pending = calls.length): XmlElement {
  return element("callpoolStatus", [
    element("count", pending),
    ...calls.map(({ uid, gid, pid, unique, frames }) =>
      element("callStack", [
        element("uid", uid),
        element("gid", gid),
        element("pid", pid),
        element("unique", unique),
        element("frameCount", frames.length),
        ...frames.map((frame) =>
          element(
            "callFrame",
            fields([
              ["refCount", frame.refCount],
              ["translator", frame.translator],
              ["complete", frame.complete ? 1 : 0],
              ["parent", frame.parent],
              ["windFrom", frame.windFrom],
              ["windTo", frame.windTo],
              ["unwindFrom", frame.unwindFrom],
              ["unwindTo", frame.unwindTo],
            ]),
          )
        ),
      ])
    ),
  ]);
}

function taskXml({ type, id, status, statusText, bricks, copied, waits }: TaskStatus): XmlElement {
  return element("task", [
    element("type", type),
    element("id", id),
    element("status", status),
    element("statusStr", statusText),
    ...bricks ? [element("params", bricks.map((brick) => element("brick", brick)))] : [],
    ...copied ? [element("files", copied.files), element("bytes", copied.bytes)] : [],
    ...waits === undefined ? [] : [element("waits", waits)],
  ]);
}
