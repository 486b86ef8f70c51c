/** Orders of `core/history_copies.ts` that a brick carries out. */

import type { HistoryCopies } from "core/history_copies.ts";
import { type HistoryBrick, OrderFailed } from "mgmt/snapshots/history_brick.ts";
import type { Signature } from "rpc/program.ts";
import { COPY_ORDERS, type CopyAnswer } from "rpc/programs/history_copy_ops.ts";

/** Longest wait for an answer: the last order changes all rows that were brought. Milliseconds. */
const PATIENCE_MS = 300_000;

/** Those of a brick. All throw OrderFailed. */
export function copiesAt(brick: HistoryBrick): HistoryCopies {
  const asking = ([name, order]: [string, unknown]) => [
    name,
    async (...args: readonly unknown[]) => {
      const signature = order as Signature<readonly unknown[], CopyAnswer<unknown>>;
      const { errno, error, value } = await brick.ask(signature, args, PATIENCE_MS);
      if (errno !== 0) throw new OrderFailed(brick.record, error || `errno ${errno}`, errno);
      return value;
    },
  ];
  return Object.fromEntries(Object.entries(COPY_ORDERS).map(asking)) as HistoryCopies;
}
