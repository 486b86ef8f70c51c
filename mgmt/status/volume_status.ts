/**
 * What `volume status` tells, as values. The forms differ in what a row has beyond the process:
 * `detail` the file system, `clients` who is connected, and so on. Names and numbers are those of
 * GlusterFS's dictionaries, so that they turn into one without loss.
 */

/** A word at the end of `volume status`. */
export const STATUS_FORMS = [
  "detail",
  "clients",
  "mem",
  "inode",
  "fd",
  "callpool",
  "tasks",
  "client-list",
] as const;
export type StatusForm = typeof STATUS_FORMS[number];

/** A process that is no brick, by the word that asks for it. */
export const STATUS_DAEMONS = ["nfs", "shd", "quotad", "snapd", "bitd", "scrub", "proxy"] as const;
export type StatusDaemon = typeof STATUS_DAEMONS[number];

/** A row: a process that serves the volume. */
export type StatusRow = {
  /** A brick, or a daemon that works for the volume. */
  readonly of: "brick" | StatusDaemon;
  /** Host of the brick; for daemons what they are, such as "Self-heal Daemon". */
  readonly hostname: string;
  /** Path of the brick; for daemons their host, "localhost" for this node. */
  readonly path: string;
  /** UUID of the node. */
  readonly peerId: string;
  readonly online: boolean;
  /** 0: it has none. */
  readonly port: number;
  /** -1: it does not run. */
  readonly pid: number;
  /** Only of the form asked for, and of a process that answered. */
  readonly disk?: DiskStatus;
  readonly clients?: readonly ClientStatus[];
  readonly memory?: MemoryStatus;
  /** One of each connection, or one of all. */
  readonly inodes?: readonly InodeTableStatus[];
  /** One of each connection. */
  readonly fds?: readonly FdTableStatus[];
  readonly calls?: readonly CallStatus[];
  /** Calls under way, those among them that `calls` does not tell of. */
  readonly pendingCalls?: number;
  /** Why it did not tell what was asked for. */
  readonly unanswered?: string;
};

/** The file system of a brick. What could not be found out is not there. */
export type DiskStatus = {
  /** Bytes. */
  readonly total?: number;
  readonly free?: number;
  readonly blockSize?: number;
  /** Absent: the file system does not count them. */
  readonly inodesTotal?: number;
  readonly inodesFree?: number;
  readonly device?: string;
  /** "xfs". */
  readonly fsName?: string;
  readonly mountOptions?: string;
  /** In bytes, or "N/A" where a file system makes them as needed. */
  readonly inodeSize?: string;
};

/** A connection to a brick. */
export type ClientStatus = {
  /** "ADDRESS:PORT". */
  readonly hostname: string;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  readonly opVersion: number;
  /** What kind of program it is: "fuse", "gfapi", "glustershd", or the process's own name. */
  readonly name?: string;
};

/** Fields of `mallinfo(3)`, in the order they are shown. */
export const MALLINFO_FIELDS = [
  "arena",
  "ordblks",
  "smblks",
  "hblks",
  "hblkhd",
  "usmblks",
  "fsmblks",
  "uordblks",
  "fordblks",
  "keepcost",
] as const;

/** Memory of a process. */
export type MemoryStatus = {
  readonly mallinfo: { readonly [K in typeof MALLINFO_FIELDS[number]]: number };
  readonly pools: readonly MemoryPool[];
};

/** Pieces of one size kept for one purpose. */
export type MemoryPool = {
  readonly name: string;
  readonly hotCount: number;
  readonly coldCount: number;
  readonly paddedSizeof: number;
  readonly allocCount: number;
  readonly maxAlloc: number;
  readonly poolMisses: number;
  readonly maxStdAlloc: number;
};

/** Inodes that a brick holds. */
export type InodeTableStatus = {
  readonly lruLimit: number;
  readonly activeSize: number;
  readonly lruSize: number;
  readonly purgeSize: number;
  /** As many of them as the process told of. */
  readonly active: readonly InodeStatus[];
  readonly lru: readonly InodeStatus[];
  readonly purge: readonly InodeStatus[];
};

/** One of them. */
export type InodeStatus = {
  readonly gfid: string;
  readonly nlookup: number;
  readonly ref: number;
  /** `ia_type_t`: 1 regular, 2 directory, 3 symbolic link, … */
  readonly iaType: number;
};

/** Open files of one connection. */
export type FdTableStatus = {
  readonly refCount: number;
  readonly maxFds: number;
  readonly firstFree: number;
  readonly openFds: number;
  readonly entries: readonly FdStatus[];
};

/** One of them; `entry` is its number. */
export type FdStatus = {
  readonly entry: number;
  readonly pid: number;
  readonly refCount: number;
  readonly flags: number;
};

/** A call under way in a brick. */
export type CallStatus = {
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
  readonly unique: number;
  readonly frames: readonly FrameStatus[];
};

/** What one layer does of it. */
export type FrameStatus = {
  readonly refCount: number;
  readonly translator: string;
  readonly complete: boolean;
  readonly parent?: string;
  readonly windFrom?: string;
  readonly windTo?: string;
  readonly unwindFrom?: string;
  readonly unwindTo?: string;
};

/** Long work on a volume. */
export type TaskStatus = {
  /** "Rebalance", "Remove brick", "Flatten". */
  readonly type: string;
  /** UUID. */
  readonly id: string;
  /** As GlusterFS numbers them (gf_defrag_status_t). */
  readonly status: number;
  readonly statusText: string;
  /** Bricks that are removed. */
  readonly bricks?: readonly string[];
  /** Of "Flatten": files and bytes that were copied since the bricks were started. */
  readonly copied?: { readonly files: number; readonly bytes: number };
  /** Why it does not go on for now. */
  readonly waits?: string;
};

/** How many connections clients of one kind have. */
export type ClientCount = { readonly name: string; readonly count: number };

/** What is told of a volume. */
export type ToldStatus = {
  readonly name: string;
  /** VolumeInfo.baseType. */
  readonly baseType: number;
  readonly rows: readonly StatusRow[];
  /** Of the whole volume: with no form, and with `tasks`. */
  readonly tasks?: readonly TaskStatus[];
  /** With `client-list`. */
  readonly clientCounts?: readonly ClientCount[];
};

/** A volume, or why nothing can be told of it. */
export type VolumeStatus = ToldStatus | { readonly name: string; readonly refused: string };

/** The answer of `volume status`. */
export type VolumeStatusAnswer = {
  /** All volumes were asked for. */
  readonly all: boolean;
  readonly form: StatusForm | null;
  /** One process was asked for; "brick" or a daemon's word. */
  readonly only: "brick" | StatusDaemon | null;
  readonly volumes: readonly VolumeStatus[];
};
