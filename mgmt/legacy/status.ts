/** `volume status`, as dictionaries of the `gluster` program. */

import { volumeNames } from "mgmt/legacy/info.ts";
import { type Entries, type RequestDict, wrong } from "mgmt/legacy/request_dict.ts";
import { answerOf, type Run } from "mgmt/legacy/run.ts";
import { Refusal } from "mgmt/cli/managed.ts";
import {
  type CallStatus,
  type ClientCount,
  type ClientStatus,
  type DiskStatus,
  type FdTableStatus,
  type FrameStatus,
  type InodeStatus,
  type InodeTableStatus,
  MALLINFO_FIELDS,
  type MemoryStatus,
  type StatusRow,
  type TaskStatus,
  type VolumeStatusAnswer,
} from "mgmt/status/volume_status.ts";

/** Bits of `cmd` (`gf_cli_status_type`). */
const ALL = 0x200, BRICK = 0x400, COMMANDS_MAX = 0x3ffff;
const FORMS: readonly (readonly [bit: number, word: string])[] = [
  [0x1, "mem"],
  [0x2, "clients"],
  [0x4, "inode"],
  [0x8, "fd"],
  [0x10, "callpool"],
  [0x20, "detail"],
  [0x40, "tasks"],
  [0x80, "client-list"],
];
const DAEMONS: readonly (readonly [bit: number, word: string])[] = [
  [0x800, "nfs"],
  [0x1000, "shd"],
  [0x2000, "quotad"],
  [0x4000, "snapd"],
  [0x8000, "bitd"],
  [0x10000, "scrub"],
];

/** STATUS_VOLUME: names of all volumes, or one volume. */
export async function volumeStatus(run: Run, request: RequestDict): Promise<Entries> {
  const bits = request.number("cmd", COMMANDS_MAX);
  if (bits & ALL) {
    const names = await volumeNames(run);
    return [["vol_count", names.length], ...names.map((name, at) => [`vol${at}`, name] as const)];
  }
  const name = request.text("volname");
  const answer = await answerOf<VolumeStatusAnswer>(run, [
    ...["volume", "status", name],
    ...bits & BRICK ? [brick(request.text("brick"))] : [],
    ...wordsOf(bits, DAEMONS),
    ...wordsOf(bits, FORMS),
  ]);
  const volume = answer.volumes.find((each) => each.name === name);
  if (!volume) throw new Refusal(`Volume ${name} does not exist`);
  if ("refused" in volume) throw new Refusal(volume.refused);
  const tasks = volume.tasks ? taskEntries(volume.tasks) : [];
  if (answer.form === "tasks") return tasks;
  const bricks = volume.rows.filter(({ of }) => of === "brick");
  // The program would call a proxy, which it does not know, a brick.
  const others = volume.rows.filter(({ of }) => of !== "brick" && of !== "proxy");
  const rows = [...bricks, ...others];
  return [
    ...rows.flatMap((row, at) => rowEntries(`brick${at}`, row)),
    ["count", rows.length],
    ["brick-index-max", bricks.length - 1],
    ["other-count", others.length],
    // Both are about tiers, which there are no more.
    ["type", -1],
    ["hot_brick_count", -1],
    ...volume.clientCounts ? clientCountEntries(volume.clientCounts) : [],
    ...tasks,
  ];
}

function brick(text: string): string {
  if (text.includes(":/")) return text;
  throw wrong("brick", "expected HOST:/DIRECTORY");
}

// More than one bit of a kind has no words: the command says which one is too many.
function wordsOf(bits: number, words: readonly (readonly [number, string])[]): string[] {
  return words.filter(([bit]) => bits & bit).map(([, word]) => word);
}

function rowEntries(at: string, row: StatusRow): Entries {
  return [
    [`${at}.hostname`, row.hostname],
    [`${at}.path`, row.path],
    [`${at}.peerid`, row.peerId],
    [`${at}.port`, row.port],
    ...row.of === "brick" ? [[`${at}.rdma_port`, 0] as const] : [],
    [`${at}.pid`, row.pid],
    [`${at}.status`, row.online ? 1 : 0],
    ...row.disk ? diskEntries(at, row.disk) : [],
    ...row.clients ? clientEntries(at, row.clients) : [],
    ...row.memory ? memoryEntries(at, row.memory) : [],
    ...row.inodes ? inodeEntries(at, row.inodes) : [],
    ...row.fds ? fdEntries(at, row.fds) : [],
    ...row.calls ? callEntries(`${at}.callpool`, row.calls, row.pendingCalls) : [],
  ];
}

// Keys whose value is not known are left out.
function present(entries: readonly (readonly [string, string | number | undefined])[]): Entries {
  return entries.filter((entry): entry is readonly [string, string | number] =>
    entry[1] !== undefined
  );
}

function diskEntries(at: string, disk: DiskStatus): Entries {
  return present([
    [`${at}.block_size`, disk.blockSize],
    [`${at}.free`, disk.free],
    [`${at}.total`, disk.total],
    [`${at}.total_inodes`, disk.inodesTotal],
    [`${at}.free_inodes`, disk.inodesFree],
    [`${at}.device`, disk.device],
    [`${at}.fs_name`, disk.fsName],
    [`${at}.mnt_options`, disk.mountOptions],
    [`${at}.inode_size`, disk.inodeSize],
  ]);
}

function clientEntries(at: string, clients: readonly ClientStatus[]): Entries {
  return [
    [`${at}.clientcount`, clients.length],
    ...clients.flatMap((client, n) =>
      present([
        [`${at}.client${n}.hostname`, client.hostname],
        [`${at}.client${n}.bytesread`, client.bytesRead],
        [`${at}.client${n}.byteswrite`, client.bytesWritten],
        [`${at}.client${n}.opversion`, client.opVersion],
        [`${at}.client${n}.name`, client.name],
      ])
    ),
  ];
}

function clientCountEntries(counts: readonly ClientCount[]): Entries {
  return [
    ["client-count", counts.length],
    ...counts.flatMap(({ name, count }, at): Entries => [
      [`client${at}.name`, name],
      [`${name}-count`, count],
    ]),
  ];
}

function memoryEntries(at: string, { mallinfo, pools }: MemoryStatus): Entries {
  return [
    ...MALLINFO_FIELDS.map((name) => [`${at}.mallinfo.${name}`, mallinfo[name]] as const),
    // Without a count the program prints no table.
    ...pools.length ? [[`${at}.mempool-count`, pools.length] as const] : [],
    ...pools.flatMap((pool, n): Entries => [
      [`${at}.pool${n}.name`, pool.name],
      [`${at}.pool${n}.hotcount`, pool.hotCount],
      [`${at}.pool${n}.coldcount`, pool.coldCount],
      [`${at}.pool${n}.paddedsizeof`, pool.paddedSizeof],
      [`${at}.pool${n}.alloccount`, pool.allocCount],
      [`${at}.pool${n}.max_alloc`, pool.maxAlloc],
      [`${at}.pool${n}.pool-misses`, pool.poolMisses],
      [`${at}.pool${n}.max-stdalloc`, pool.maxStdAlloc],
    ]),
  ];
}

function inodeEntries(at: string, tables: readonly InodeTableStatus[]): Entries {
  return [
    [`${at}.conncount`, tables.length],
    ...tables.flatMap((table, n): Entries => {
      const prefix = `${at}.conn${n}.itable`;
      return [
        [`${prefix}.lru_limit`, table.lruLimit],
        [`${prefix}.active_size`, table.activeSize],
        [`${prefix}.lru_size`, table.lruSize],
        [`${prefix}.purge_size`, table.purgeSize],
        ...table.active.flatMap((inode, i) => inodeEntry(`${prefix}.active${i}`, inode)),
        ...table.lru.flatMap((inode, i) => inodeEntry(`${prefix}.lru${i}`, inode)),
        ...table.purge.flatMap((inode, i) => inodeEntry(`${prefix}.purge${i}`, inode)),
      ];
    }),
  ];
}

function inodeEntry(at: string, inode: InodeStatus): Entries {
  return [
    [`${at}.gfid`, inode.gfid],
    [`${at}.nlookup`, inode.nlookup],
    [`${at}.ref`, inode.ref],
    [`${at}.ia_type`, inode.iaType],
  ];
}

function fdEntries(at: string, tables: readonly FdTableStatus[]): Entries {
  return [
    [`${at}.conncount`, tables.length],
    ...tables.flatMap((table, n): Entries => {
      const prefix = `${at}.conn${n}.fdtable`;
      return [
        [`${prefix}.refcount`, table.refCount],
        [`${prefix}.maxfds`, table.maxFds],
        [`${prefix}.firstfree`, table.firstFree],
        [`${prefix}.openfds`, table.openFds],
        ...table.entries.flatMap(({ entry, pid, refCount, flags }): Entries => [
          [`${prefix}.fdentry${entry}.pid`, pid],
          [`${prefix}.fdentry${entry}.refcount`, refCount],
          [`${prefix}.fdentry${entry}.flags`, flags],
        ]),
      ];
    }),
  ];
}

function callEntries(at: string, calls: readonly CallStatus[], pending = calls.length): Entries {
  return [
    [`${at}.count`, pending],
    ...calls.flatMap((call, n): Entries => [
      [`${at}.stack${n}.uid`, call.uid],
      [`${at}.stack${n}.gid`, call.gid],
      [`${at}.stack${n}.pid`, call.pid],
      [`${at}.stack${n}.unique`, call.unique],
      [`${at}.stack${n}.count`, call.frames.length],
      ...call.frames.flatMap((frame, f) => frameEntries(`${at}.stack${n}.frame${f}`, frame)),
    ]),
  ];
}

function frameEntries(at: string, frame: FrameStatus): Entries {
  return present([
    [`${at}.refcount`, frame.refCount],
    [`${at}.translator`, frame.translator],
    [`${at}.complete`, frame.complete ? 1 : 0],
    [`${at}.parent`, frame.parent],
    [`${at}.windfrom`, frame.windFrom],
    [`${at}.windto`, frame.windTo],
    [`${at}.unwindfrom`, frame.unwindFrom],
    [`${at}.unwindto`, frame.unwindTo],
  ]);
}

function taskEntries(tasks: readonly TaskStatus[]): Entries {
  return [
    ["tasks", tasks.length],
    ...tasks.flatMap(({ type, id, status, bricks }, at): Entries => [
      [`task${at}.type`, type],
      [`task${at}.id`, id],
      [`task${at}.status`, status],
      ...bricks ? [[`task${at}.count`, bricks.length] as const] : [],
      ...(bricks ?? []).map((brick, n) => [`task${at}.brick${n + 1}`, brick] as const),
    ]),
  ];
}
