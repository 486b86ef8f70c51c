/**
 * Orders about the history of a brick, on its unix socket beside GlusterFS's brick operations: what
 * each does says `core/history_orders.ts`. Only our bricks know it.
 */

import type {
  ChangedInode,
  ChangedName,
  ChangesPage,
  HistoryReader,
  HistoryUsage,
  RangesPage,
} from "core/history_orders.ts";
import { type Gfid, parseGfid } from "core/inode.ts";
import type { ProgramId, Signature } from "rpc/program.ts";
import { array, type Codec, i32, string, struct, u32, u53, XdrError } from "rpc/xdr.ts";

/** The number is of the range that RFC 5531 §13.1 leaves to users. */
export const HISTORY_OPS_PROGRAM = { number: 0x206d7368, version: 1 } as const satisfies ProgramId;
/** As DUMP lists it. */
export const HISTORY_OPS_NAME = "mortar history";

const ID_MAX = 64, NAME_MAX = 1024, ERROR_MAX = 4096, READERS_MAX = 65_536;
const CURSOR_MAX = 4096, PAGE_MAX = 8192, NAMES_MAX = 65_536, PATH_NAMES_MAX = 4096;

/** Of a reader. */
export const id = string(ID_MAX);
const name = string(NAME_MAX), error = string(ERROR_MAX);

/** As a number, 0 or 1. */
export const bool: Codec<boolean> = {
  write: (to, value) => to.u32(value ? 1 : 0),
  read: (from) => from.u32() !== 0,
};

/** Missing is a 0, what is there follows a 1. */
export function optional<T>(codec: Codec<T>): Codec<T | undefined> {
  return {
    write(to, value) {
      to.u32(value === undefined ? 0 : 1);
      if (value !== undefined) codec.write(to, value);
    },
    read: (from) => from.u32() === 0 ? undefined : codec.read(from),
  };
}

const KINDS = ["snapshot", "clone"] as const;
const kind: Codec<HistoryReader["kind"]> = {
  write: (to, value) => to.u32(KINDS.indexOf(value)),
  read(from) {
    const found = KINDS[from.u32()];
    if (!found) throw new XdrError("Cannot read reader: no such kind");
    return found;
  },
};

const file: Codec<HistoryReader["file"]> = {
  write: (to, value) => id.write(to, value ?? ""),
  read(from) {
    const text = id.read(from), gfid = parseGfid(text);
    if (gfid === undefined && text !== "") throw new XdrError("Cannot read reader: no gfid");
    return gfid;
  },
};

const READER = { id, name, kind, file, created: u53, active: bool };
/** A reader with all that there is of it. */
export const reader: Codec<HistoryReader> = struct({ ...READER, epoch: u53 });

/** Whether an order was carried out: `errno` 0, or a Linux error number and a line for people. */
export interface OrderDone {
  readonly errno: number;
  readonly error: string;
}
const done: Codec<OrderDone> = struct({ errno: i32, error });

function order<A, R>(procedure: number, args: Codec<A>, result: Codec<R>): Signature<A, R> {
  return { ...HISTORY_OPS_PROGRAM, procedure, args, result };
}

/** Changes wait from now on, `timeoutMs` at most. */
export const holdHistory = order(1, struct({ id, timeoutMs: u32 }), done);

/** A reader begins. */
export const takeHistory = order(2, struct({ hold: optional(id), reader }), done);

/** Changes go on. */
export const releaseHistory = order(3, struct({ id }), done);

const change = struct({ name: optional(name), kind: optional(kind), active: optional(bool) });

/** A reader's name, kind, or whether it may be looked at changes; undefined: that stays. */
export const updateReader = order(4, struct({ id, change }), done);

/** A reader ends. */
export const removeReader = order(5, struct({ id }), done);

/** The history as it is. */
export interface HistoryState {
  /** Why it cannot be used; "": it can. */
  readonly trouble: string;
  /** The epoch that is going on; 0 in trouble. */
  readonly epoch: number;
  /** Oldest first. */
  readonly readers: readonly HistoryReader[];
}

/** Who reads, and whether the history can be used. */
export const listReaders: Signature<{ readonly [field: string]: never }, HistoryState> = order(
  6,
  struct({}),
  struct({ trouble: error, epoch: u53, readers: array(reader, READERS_MAX) }),
);

const usage: Codec<HistoryUsage> = struct({
  rows: u53,
  bytes: u53,
  readers: array(struct({ id, alone: u53, shared: u53 }), READERS_MAX),
});

/** Room that old states take; `usage` is undefined if that cannot be told. */
export const historyUsage = order(
  7,
  struct({}),
  struct({ errno: i32, error, usage: optional(usage) }),
);

/** A reader begins that sees what the reader `id` sees. */
export const joinReader = order(8, struct({ id, reader: struct(READER) }), done);

/** A gfid as text. */
export const gfid: Codec<Gfid> = {
  write: (to, value) => id.write(to, value),
  read(from) {
    const found = parseGfid(id.read(from));
    if (found === undefined) throw new XdrError("Cannot read order: no gfid");
    return found;
  },
};

/** An empty file becomes a clone of what the snapshot has of `source`. */
export const cloneFile = order(9, struct({ id, snapshot: id, source: gfid, gfid }), done);

/** A clone becomes an ordinary file; answered when it is. */
export const flattenFile = order(10, struct({ gfid }), done);

/** A live file becomes what the snapshot has of it. */
export const restoreFile = order(11, struct({ snapshot: id, gfid }), done);

/** The brick of a cloned volume copies what its origin has; undefined if that cannot be told. */
export const flattenHistory = order(
  30,
  struct({}),
  struct({
    ...{ errno: i32, error },
    flattening: optional(struct({ files: u53, bytes: u53, done: bool, failed: error })),
  }),
);

const FACTS = { mode: u32, nlink: u32, size: u53, isLinkFile: bool };
const facts = struct(FACTS);
const changedInode: Codec<ChangedInode> = struct({
  ...{ gfid, old: optional(facts), now: optional(facts) },
  ...{ data: bool, attributes: bool, internals: bool, times: bool },
});
const parent = gfid, cursor = string(CURSOR_MAX);
const changedName: Codec<ChangedName> = struct({
  ...{ parent, name, old: optional(gfid), now: optional(gfid) },
});
const changesPage: Codec<ChangesPage> = struct({
  inodes: array(changedInode, PAGE_MAX),
  names: array(changedName, PAGE_MAX),
  next: optional(cursor),
});

/** What differs between two readers, or one and the live files; `page`: undefined if that cannot be told. */
export const historyChanges = order(
  12,
  struct({ old: id, now: optional(id), after: cursor, count: u32 }),
  struct({ errno: i32, error, page: optional(changesPage) }),
);

const ranges: Codec<RangesPage> = struct({
  ranges: array(struct({ offset: u53, length: u53 }), PAGE_MAX),
  ...{ oldSize: optional(u53), nowSize: optional(u53), next: optional(u53) },
});

/** Which bytes of a file differ. */
export const historyRanges = order(
  13,
  struct({ old: id, now: optional(id), gfid, from: u53, count: u32 }),
  struct({ errno: i32, error, page: optional(ranges) }),
);

/** The names that inodes have. */
export const historyNames = order(
  14,
  struct({ reader: optional(id), gfids: array(gfid, PAGE_MAX) }),
  struct({
    ...{ errno: i32, error },
    names: optional(array(array(struct({ parent, name }), NAMES_MAX), PAGE_MAX)),
  }),
);

/** What is behind a path. */
export const historyLookUp = order(
  15,
  struct({ reader: optional(id), names: array(name, PATH_NAMES_MAX) }),
  struct({ errno: i32, error, found: optional(struct({ gfid, ...FACTS })) }),
);

/** What was taken is on the disk when this is answered. */
export const secureHistory = order(20, struct({}), done);

/** Readers end, all or none. */
export const removeReaders = order(21, struct({ ids: array(id, READERS_MAX) }), done);

/** What a reader that is to begin needs is there when this is answered. */
export const prepareHistory = order(22, struct({}), done);
