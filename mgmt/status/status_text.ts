/** `volume status` for people, column by column as GlusterFS prints it. */

import { humanSize } from "mgmt/status/human_size.ts";
import {
  type CallStatus,
  type ClientCount,
  type ClientStatus,
  type DiskStatus,
  type FdTableStatus,
  type FrameStatus,
  type InodeTableStatus,
  MALLINFO_FIELDS,
  type MemoryStatus,
  type StatusForm,
  type StatusRow,
  type TaskStatus,
  type ToldStatus,
} from "mgmt/status/volume_status.ts";

const PROCESS_WIDTH = 43;
const WIDE_LINE = "-".repeat(78);
const LINE = "-".repeat(46);
const CLIENT_LIST_LINE = "-".repeat(65);

/** One volume in the form asked for; null: the table of processes. */
export function statusText(status: ToldStatus, form: StatusForm | null): string {
  return lines(status, form).map((line) => `${line}\n`).join("");
}

function lines(status: ToldStatus, form: StatusForm | null): string[] {
  const { name, rows, tasks } = status;
  switch (form) {
    case null:
      return [...tableLines(name, rows), " ", ...tasks ? taskLines(name, tasks) : []];
    case "detail":
      return [`Status of volume: ${name}`, ...rows.flatMap(detailLines), " "];
    case "tasks":
      return taskLines(name, tasks ?? []);
    case "client-list":
      return clientListLines(name, status.clientCounts ?? []);
    case "clients":
      return [...sections(`Client connections for volume ${name}`, rows, clientsOf), ""];
    case "mem":
      return [...sections(`Memory status for volume : ${name}`, rows, memoryOf), ""];
    case "inode":
      return sections(`Inode tables for volume ${name}`, rows, inodesOf);
    case "fd":
      return sections(`FD tables for volume ${name}`, rows, fdsOf);
    case "callpool":
      return sections(`Pending calls for volume ${name}`, rows, callsOf);
  }
}

function processOf({ of, hostname, path }: StatusRow): string {
  return of === "brick" ? `Brick ${hostname}:${path}` : `${hostname} on ${path}`;
}

function pidOf({ pid }: StatusRow): string {
  return pid === -1 ? "N/A" : `${pid}`;
}

function tableLines(name: string, rows: readonly StatusRow[]): string[] {
  return [
    `Status of volume: ${name}`,
    `${"Gluster process".padEnd(PROCESS_WIDTH)} TCP Port  RDMA Port  Online  Pid`,
    WIDE_LINE,
    ...rows.flatMap((row) => {
      // A name that is too long goes on in the lines below; the columns stand behind its last one.
      const process = processOf(row);
      const whole = Math.floor((process.length - 1) / PROCESS_WIDTH);
      const pieces = Array.from(
        { length: whole + 1 },
        (_, at) => process.slice(at * PROCESS_WIDTH, (at + 1) * PROCESS_WIDTH),
      );
      const served = row.online && row.port !== 0;
      const columns = [
        (served ? `${row.port}` : "N/A").padEnd(10),
        (served ? "0" : "N/A").padEnd(11),
        (row.online ? "Y" : "N").padEnd(8),
        pidOf(row).padEnd(5),
      ].join("");
      return [...pieces.slice(0, -1), `${pieces.at(-1)!.padEnd(PROCESS_WIDTH)} ${columns}`];
    }),
  ];
}

function field(name: string, value: string | number): string {
  return `${name.padEnd(20)} : ${`${value}`.padEnd(20)}`;
}

function detailLines(row: StatusRow): string[] {
  const disk: DiskStatus = row.disk ?? {};
  return [
    WIDE_LINE,
    field("Brick", processOf(row)),
    field("TCP Port", row.online ? row.port : "N/A"),
    field("RDMA Port", row.online ? 0 : "N/A"),
    field("Online", row.online ? "Y" : "N"),
    field("Pid", pidOf(row)),
    field("File System", disk.fsName ?? "N/A"),
    field("Device", disk.device ?? "N/A"),
    field("Mount Options", disk.mountOptions ?? "N/A"),
    field("Inode Size", disk.inodeSize ?? "N/A"),
    field("Disk Space Free", disk.free === undefined ? "N/A" : humanSize(disk.free)),
    field("Total Disk Space", disk.total === undefined ? "N/A" : humanSize(disk.total)),
    field("Inode Count", disk.inodesTotal ?? "N/A"),
    field("Free Inodes", disk.inodesFree ?? "N/A"),
  ];
}

function taskLines(name: string, tasks: readonly TaskStatus[]): string[] {
  const told = tasks.flatMap(({ type, id, bricks, statusText, copied, waits }) => [
    field("Task", type),
    field("ID", id),
    ...bricks ? ["Removed bricks:".padEnd(20), ...bricks.map((brick) => brick.padEnd(20))] : [],
    field("Status", statusText),
    ...copied ? [field("Copied", `${copied.files} files, ${humanSize(copied.bytes)}`)] : [],
    ...waits === undefined ? [] : [field("Waits", waits)],
    " ",
  ]);
  return [
    `Task Status of Volume ${name}`,
    WIDE_LINE,
    ...told.length ? told : ["There are no active volume tasks", " "],
  ];
}

/** A row's part of a form, between lines; `told` answers undefined if the process told nothing. */
function sections(
  title: string,
  rows: readonly StatusRow[],
  told: (row: StatusRow) => readonly string[] | undefined,
): string[] {
  return [
    title,
    ...rows.flatMap((row) => {
      const { of, hostname, path, online, unanswered } = row;
      const what = of === "brick" ? "Brick" : hostname;
      return [
        LINE,
        of === "brick" ? `Brick : ${hostname}:${path}` : `${hostname} : ${path}`,
        ...online
          ? told(row) ?? [`${what} does not answer: ${unanswered ?? "it told nothing"}`]
          : [`${what} is offline`],
      ];
    }),
    LINE,
  ];
}

function clientsOf({ clients }: StatusRow): readonly string[] | undefined {
  if (!clients) return undefined;
  const row = (cells: readonly [string, ...(string | number)[]]) =>
    cells.map((cell, at) => at ? `${cell}`.padStart(15) : `${cell}`.padEnd(48)).join(" ");
  const shown = clients.map(({ hostname, bytesRead, bytesWritten, opVersion }: ClientStatus) =>
    row([hostname, bytesRead, bytesWritten, opVersion])
  );
  const head = [
    row(["Hostname", "BytesRead", "BytesWritten", "OpVersion"]),
    row(["--------", "---------", "------------", "---------"]),
  ];
  return [`Clients connected : ${clients.length}`, ...shown.length ? [...head, ...shown] : []];
}

function clientListLines(name: string, counts: readonly ClientCount[]): string[] {
  const row = (kind: string, count: string | number) =>
    `${kind.padEnd(48)} ${`${count}`.padStart(15)}`;
  const shown = counts.map((each) => row(each.name, each.count));
  return [
    `Client connections for volume ${name}`,
    ...shown.length ? [row("Name", "count"), row("-----", "------"), ...shown] : [],
    "",
    `total clients for volume ${name} : ${counts.reduce((sum, { count }) => sum + count, 0)} `,
    CLIENT_LIST_LINE,
    "",
  ];
}

function memoryOf({ memory }: StatusRow): readonly string[] | undefined {
  if (!memory) return undefined;
  const capital = (word: string) => word[0]!.toUpperCase() + word.slice(1);
  return [
    "Mallinfo",
    "--------",
    ...MALLINFO_FIELDS.map((name) => `${capital(name).padEnd(8)} : ${memory.mallinfo[name]}`),
    " ",
    ...memory.pools.length ? poolLines(memory.pools) : [],
  ];
}

function poolLines(pools: MemoryStatus["pools"]): string[] {
  const widths = [-30, 9, 9, 12, 10, 8, 8, 12];
  const row = (cells: readonly (string | number)[]) =>
    cells.map((cell, at) => {
      const width = widths[at]!;
      return width < 0 ? `${cell}`.padEnd(-width) : `${cell}`.padStart(width);
    }).join(" ");
  const names = [
    "Name",
    "HotCount",
    "ColdCount",
    "PaddedSizeof",
    "AllocCount",
    "MaxAlloc",
    "Misses",
    "Max-StdAlloc",
  ];
  const rules = names.map((name) => "-".repeat(name === "Misses" ? 8 : name.length));
  return [
    "Mempool Stats",
    "-------------",
    row(names),
    row(rules),
    ...pools.map((pool) =>
      row([
        pool.name,
        pool.hotCount,
        pool.coldCount,
        pool.paddedSizeof,
        pool.allocCount,
        pool.maxAlloc,
        pool.poolMisses,
        pool.maxStdAlloc,
      ])
    ),
  ];
}

function inodesOf({ inodes }: StatusRow): readonly string[] | undefined {
  return inodes?.flatMap((table: InodeTableStatus, at) => [
    ...inodes.length > 1 ? [`Connection ${at + 1}:`] : [],
    `LRU limit     : ${table.lruLimit}`,
    `Active Inodes : ${table.activeSize}`,
    `LRU Inodes    : ${table.lruSize}`,
    `Purge Inodes  : ${table.purgeSize}`,
    " ",
  ]);
}

function fdsOf({ fds }: StatusRow): readonly string[] | undefined {
  const row = (cells: readonly (string | number)[]) =>
    cells.map((cell) => `${cell}`.padEnd(19)).join(" ");
  return fds?.flatMap((table: FdTableStatus, at) => [
    `Connection ${at + 1}:`,
    `RefCount = ${table.refCount}  MaxFDs = ${table.maxFds}  FirstFree = ${table.firstFree}`,
    ...table.openFds
      ? [
        row(["FD Entry", "PID", "RefCount", "Flags"]),
        row(["--------", "---", "--------", "-----"]),
        ...table.entries.map(({ entry, pid, refCount, flags }) =>
          row([entry, pid, refCount, flags])
        ),
      ]
      : ["No open fds"],
    " ",
  ]);
}

function callsOf({ calls, pendingCalls }: StatusRow): readonly string[] | undefined {
  if (!calls) return undefined;
  return [
    `Pending calls: ${pendingCalls ?? calls.length}`,
    ...calls.flatMap(({ uid, gid, pid, unique, frames }: CallStatus, at) => [
      `Call Stack${at + 1}`,
      ` UID    : ${uid}`,
      ` GID    : ${gid}`,
      ` PID    : ${pid}`,
      ` Unique : ${unique}`,
      ` Frames : ${frames.length}`,
      ...frames.flatMap((frame, index) => [` Frame ${index + 1}`, ...frameLines(frame)]),
      " ",
    ]),
  ];
}

function frameLines(frame: FrameStatus): string[] {
  const named = [
    ["Parent", frame.parent],
    ["Wind From", frame.windFrom],
    ["Wind To", frame.windTo],
    ["Unwind From", frame.unwindFrom],
    ["Unwind To", frame.unwindTo],
  ] as const;
  const line = (name: string, value: string | number) => `  ${name.padEnd(11)} = ${value}`;
  return [
    line("Ref Count", frame.refCount),
    line("Translator", frame.translator),
    line("Completed", frame.complete ? "Yes" : "No"),
    ...named.flatMap(([name, value]) => value === undefined ? [] : [line(name, value)]),
  ];
}
