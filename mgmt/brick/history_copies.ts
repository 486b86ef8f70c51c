/** What a brick does when old states are to come from another copy of it, or go there. */

import { EOPNOTSUPP, FopError } from "core/errno.ts";
import type { Graph } from "core/graph.ts";
import type { HistoryCopies } from "core/history_copies.ts";
import { plain } from "mgmt/plain.ts";
import {
  NULL_PROCEDURE,
  type Procedure,
  procedures,
  type Program,
  serve,
  type Signature,
} from "rpc/program.ts";
import {
  COPY_ORDERS,
  type CopyAnswer,
  HISTORY_COPY_NAME,
  HISTORY_COPY_PROGRAM,
} from "rpc/programs/history_copy_ops.ts";

type Order = Signature<readonly unknown[], CopyAnswer<unknown>>;

/** The program, for a brick with this graph. */
export function historyCopies(graph: Graph): Program {
  const histories = [...graph.nodes].map(({ xlator }) => xlator.histories).find((each) => each);
  const serving = ([name, order]: [string, unknown]): readonly [number, Procedure] => [
    (order as Order).procedure,
    serve(order as Order, (args) => {
      if (!histories) {
        return { errno: EOPNOTSUPP.errno, error: "this brick keeps no history", value: undefined };
      }
      return answered(async () => {
        const carryOut = histories.copies()[name as keyof HistoryCopies];
        return await (carryOut as (...args: readonly unknown[]) => unknown)(...args);
      }, () => histories.trouble());
    }),
  ];
  return {
    ...HISTORY_COPY_PROGRAM,
    name: HISTORY_COPY_NAME,
    procedures: procedures([NULL_PROCEDURE, ...Object.entries(COPY_ORDERS).map(serving)]),
  };
}

async function answered(
  carryOut: () => Promise<unknown>,
  trouble: () => string | undefined,
): Promise<CopyAnswer<unknown>> {
  try {
    return { errno: 0, error: "", value: await carryOut() };
  } catch (error) {
    if (!(error instanceof FopError)) throw error;
    return { errno: error.errno, error: trouble() ?? plain(error), value: undefined };
  }
}
