/**
 * Did a 4 KiB block behave like one register that several clients read and write?
 *
 * Every write has a value of its own, so the question has a quick answer (Gibbons and Korach,
 * "Testing Shared Memories", 1997). A value's operations are its write and all reads that saw it. Let
 * `end` be when the first of them ended and `begin` when the last of them began. If end < begin, the
 * register must have held the value all that time; otherwise there is a moment, anywhere from begin
 * to end, at which it held it. The history is linearizable if and only if no two such spans of
 * holding overlap and no window lies wholly within a span.
 *
 * A write that failed may have happened, at any time after it began: if nobody saw it, it did not;
 * if somebody did, it never ended.
 */

/** One finished or failed operation on one block; times are simulated milliseconds. */
export interface BlockOp {
  readonly client: number;
  readonly kind: "read" | "write";
  /** Stamp of the data; 0: nothing was ever written. */
  readonly value: number;
  readonly begin: number;
  /** Infinity for a write that failed. */
  readonly end: number;
  /** When a write failed. */
  readonly failed?: number;
  /** A read by somebody who had just asked all copies. */
  readonly fresh?: boolean;
}

interface Zone {
  readonly value: number;
  /** When the first of its operations ended. */
  end: number;
  /** When the last of them began. */
  begin: number;
  write: BlockOp | undefined;
  reads: BlockOp[];
}

/** What is wrong with the history, in one or more lines; undefined: nothing. */
export function notLinearizable(ops: readonly BlockOp[]): string | undefined {
  const zones = zonesOf(ops);
  for (const zone of zones.values()) {
    if (!zone.write) return `read ${zone.value}, which nobody wrote\n${printed(zone.reads)}`;
    const early = zone.reads.find((read) => read.end < zone.write!.begin);
    if (early) return `read before it was written\n${printed([zone.write, early])}`;
  }
  const seen = [...zones.values()].filter((zone) =>
    zone.reads.length > 0 || zone.write!.end !== Infinity
  );
  const held = seen.filter((zone) => zone.end < zone.begin).sort((a, b) => a.end - b.end);
  for (let i = 1; i < held.length; i++) {
    const one = held[i - 1]!, two = held[i]!;
    if (two.end < one.begin) {
      return `two values at one time\n${printed([...all(one), ...all(two)])}`;
    }
  }
  for (const point of seen.filter((zone) => zone.end >= zone.begin)) {
    const around = held.find((zone) => zone.end < point.begin && point.end < zone.begin);
    if (around) {
      return `a value came and went while another was held\n${
        printed([...all(around), ...all(point)])
      }`;
    }
  }
  return undefined;
}

/**
 * Does a read show what an acknowledged write had replaced before the read began? That is a lost or
 * stale write whatever else may happen. Weaker than the check above: failed writes may come and go.
 */
export function overwritten(
  ops: readonly BlockOp[],
  of: (read: BlockOp) => boolean,
): string | undefined {
  const first: BlockOp = { client: -1, kind: "write", value: 0, begin: -1, end: -0.5 };
  const writes = [first, ...ops.filter((op) => op.kind === "write")];
  const byValue = new Map(writes.map((write) => [write.value, write]));
  for (const read of ops) {
    if (read.kind !== "read" || !of(read)) continue;
    const write = byValue.get(read.value);
    if (!write) return `read ${read.value}, which nobody wrote\n${printed([read])}`;
    if (read.end < write.begin) return `read before it was written\n${printed([write, read])}`;
    const over = write.failed ?? write.end;
    const later = writes.find((other) => other.begin > over && other.end < read.begin);
    if (later) return `an acknowledged write is not seen\n${printed([write, later, read])}`;
  }
  return undefined;
}

function zonesOf(ops: readonly BlockOp[]): Map<number, Zone> {
  const zones = new Map<number, Zone>();
  const zoneOf = (value: number) => {
    let zone = zones.get(value);
    if (!zone) {
      zones.set(value, zone = { value, end: Infinity, begin: -1, write: undefined, reads: [] });
    }
    return zone;
  };
  const first: BlockOp = { client: -1, kind: "write", value: 0, begin: -1, end: -0.5 };
  for (const op of [first, ...ops]) {
    const zone = zoneOf(op.value);
    zone.end = Math.min(zone.end, op.end);
    zone.begin = Math.max(zone.begin, op.begin);
    if (op.kind === "write") zone.write = op;
    else zone.reads.push(op);
  }
  return zones;
}

function all(zone: Zone): BlockOp[] {
  return [zone.write!, ...zone.reads];
}

function printed(ops: readonly BlockOp[]): string {
  return [...ops].sort((a, b) => a.begin - b.begin).map((op) =>
    `  client ${op.client} ${op.kind}s ${op.value} from ${op.begin.toFixed(3)} to ${
      op.end.toFixed(3)
    }`
  ).join("\n");
}

/** The operations of many blocks, by name. */
export class BlockHistory {
  readonly #blocks = new Map<string, BlockOp[]>();

  add(block: string, op: BlockOp): void {
    const ops = this.#blocks.get(block);
    if (ops) ops.push(op);
    else this.#blocks.set(block, [op]);
  }

  /** What is wrong with any block as a register; undefined: nothing. */
  notLinearizable(): string | undefined {
    for (const [block, ops] of this.#blocks) {
      const wrong = notLinearizable(ops);
      if (wrong) return `block ${block} is not linearizable: ${wrong}`;
    }
    return undefined;
  }

  /** What reads miss that was acknowledged: all reads, or those that are `fresh`. */
  overwritten({ onlyFresh }: { onlyFresh: boolean }): string | undefined {
    for (const [block, ops] of this.#blocks) {
      const wrong = overwritten(ops, (read) => !onlyFresh || (read.fresh ?? false));
      if (wrong) return `block ${block}: ${wrong}`;
    }
    return undefined;
  }

  /** True if somebody saw what a failed write had written. */
  get sawFailed(): boolean {
    for (const ops of this.#blocks.values()) {
      const failed = new Set(ops.filter((op) => op.failed !== undefined).map((op) => op.value));
      if (ops.some((op) => op.kind === "read" && failed.has(op.value))) return true;
    }
    return false;
  }
}
