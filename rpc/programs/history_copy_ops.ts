/**
 * Orders that bring old states from one copy of a brick to another, on the unix sockets of both: what
 * each does says `core/history_copies.ts`. Arguments go as they are there, one after the other.
 */

import type {
  CopyTarget,
  HistoryCopies,
  OldData,
  OldFilePiece,
  OldPart,
  OldRow,
  SeenPage,
} from "core/history_copies.ts";
import type { ProgramId, Signature } from "rpc/program.ts";
import { nothing } from "rpc/program.ts";
import { bool, gfid, id, optional, reader } from "rpc/programs/history_ops.ts";
import { array, type Codec, i32, opaque, string, struct, u32, u53, XdrError } from "rpc/xdr.ts";

/** The number is of the range that RFC 5531 §13.1 leaves to users. */
export const HISTORY_COPY_PROGRAM = { number: 0x206d7369, version: 1 } as const satisfies ProgramId;
/** As DUMP lists it. */
export const HISTORY_COPY_NAME = "mortar history copies";

const NAME_MAX = 1024, TEXT_MAX = 8192, ROWS_MAX = 8192, READERS_MAX = 65_536;
/** A page may be of a single state, with all its attributes. */
const STATE_MAX = 1 << 20, DATA_MAX = 1 << 20;

const name = string(NAME_MAX), text = string(TEXT_MAX);

/** Copied: the record that it came in is used again. */
function bytes(max: number): Codec<Uint8Array> {
  const codec = opaque(max);
  return { write: codec.write, read: (from) => codec.read(from).slice() };
}

const data: Codec<OldData> = kinded(
  "data",
  struct({ gfid, epoch: u53, start: u53, units: u32, zeros: bool, crc: u32 }),
);
const ROWS = [
  kinded("state", struct({ gfid, epoch: u53, state: bytes(STATE_MAX) })),
  kinded("name", struct({ parent: gfid, name, epoch: u53, gfid: optional(gfid), type: u32 })),
  data,
  kinded("file", struct({ gfid, epoch: u53 })),
] as const;
const KINDS = ["state", "name", "data", "file"] as const;

function kinded<K extends string, T>(kind: K, codec: Codec<T>): Codec<T & { readonly kind: K }> {
  return { write: codec.write, read: (from) => ({ kind, ...codec.read(from) }) };
}

const row: Codec<OldRow> = {
  write(to, value) {
    const at = KINDS.indexOf(value.kind);
    to.u32(at);
    (ROWS[at] as Codec<OldRow>).write(to, value);
  },
  read(from) {
    const codec = ROWS[from.u32()] as Codec<OldRow> | undefined;
    if (!codec) throw new XdrError("Cannot read an old state: no such kind");
    return codec.read(from);
  },
};

const parts: Codec<readonly OldPart[]> = array(
  struct({ row: data, bytes: bytes(DATA_MAX) }),
  ROWS_MAX,
);
const piece: Codec<OldFilePiece> = struct({
  ...{ size: u53, from: u53, offset: u53, data: bytes(DATA_MAX), next: optional(u53) },
});
const entry = struct({ name, gfid, type: u32, state: bytes(STATE_MAX) });
const seen: Codec<SeenPage> = struct({ entries: array(entry, ROWS_MAX), more: bool });

/** Several values, one after the other. */
function tuple<T extends readonly unknown[]>(
  ...codecs: { readonly [I in keyof T]: Codec<T[I]> }
): Codec<T> {
  const each = codecs as readonly Codec<unknown>[];
  return {
    write: (to, values) => each.forEach((codec, at) => codec.write(to, values[at])),
    read: (from) => each.map((codec) => codec.read(from)) as unknown as T,
  };
}

/** `errno` 0 and the answer, or a Linux error number and a line for people. */
export interface CopyAnswer<T> {
  readonly errno: number;
  readonly error: string;
  readonly value: T | undefined;
}

function order<A extends readonly unknown[], R>(
  procedure: number,
  args: Codec<A>,
  value: Codec<R>,
): Signature<A, CopyAnswer<R>> {
  const result = struct({ errno: i32, error: text, value: optional(value) });
  return { ...HISTORY_COPY_PROGRAM, procedure, args, result };
}

/** Each order by its name. */
export type CopyOrders = {
  readonly [K in keyof HistoryCopies]: Signature<
    Parameters<HistoryCopies[K]>,
    CopyAnswer<Awaited<ReturnType<HistoryCopies[K]>>>
  >;
};

const page = struct({ rows: array(row, ROWS_MAX), next: optional(text), total: u53 });
const target: Codec<CopyTarget> = struct({ without: text, isArbiter: bool });
const after = optional(name), nobody = nothing as Codec<unknown> as Codec<void>;

/** See above. */
export const COPY_ORDERS: CopyOrders = {
  rows: order(1, tuple(u53, text, target), page),
  data: order(2, tuple(array(data, ROWS_MAX)), parts),
  file: order(3, tuple(gfid, u53, u53), piece as Codec<OldFilePiece | undefined>),
  seen: order(4, tuple(id, gfid, after, target), seen),
  begin: order(5, tuple(), nobody),
  offer: order(6, tuple(array(row, ROWS_MAX)), array(u32, ROWS_MAX)),
  putData: order(7, tuple(parts), nobody),
  putFile: order(8, tuple(gfid, u53, piece), nobody),
  compare: order(9, tuple(id, gfid, after, seen), nobody),
  keep: order(10, tuple(), nobody),
  end: order(11, tuple(id, array(reader, READERS_MAX)), nobody),
};
