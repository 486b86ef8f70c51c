/** What a brick does when its management daemon gives an order about its history. */

import { EOPNOTSUPP, FopError } from "core/errno.ts";
import type { Graph } from "core/graph.ts";
import type { HistoryOrders, ReaderChange } from "core/history_orders.ts";
import { plain } from "mgmt/plain.ts";
import { NULL_PROCEDURE, procedures, type Program, serve, type Signature } from "rpc/program.ts";
import {
  cloneFile,
  flattenFile,
  flattenHistory,
  HISTORY_OPS_NAME,
  HISTORY_OPS_PROGRAM,
  historyChanges,
  historyLookUp,
  historyNames,
  historyRanges,
  type HistoryState,
  historyUsage,
  holdHistory,
  joinReader,
  listReaders,
  type OrderDone,
  prepareHistory,
  releaseHistory,
  removeReader,
  removeReaders,
  restoreFile,
  secureHistory,
  takeHistory,
  updateReader,
} from "rpc/programs/history_ops.ts";

/** The program, for a brick with this graph. */
export function historyOperations(graph: Graph): Program {
  const histories = [...graph.nodes].map(({ xlator }) => xlator.histories).find((each) => each);
  const on = <A>(
    order: Signature<A, OrderDone>,
    carryOut: (histories: HistoryOrders, args: A) => void | Promise<void>,
  ) =>
    [
      order.procedure,
      serve(order, (args) => told(histories, (known) => carryOut(known, args))),
    ] as const;
  return {
    ...HISTORY_OPS_PROGRAM,
    name: HISTORY_OPS_NAME,
    procedures: procedures([
      NULL_PROCEDURE,
      on(prepareHistory, (histories) => histories.prepare()),
      on(holdHistory, (histories, { id, timeoutMs }) => histories.hold(id, timeoutMs)),
      on(takeHistory, (histories, { hold, reader }) => histories.take(hold, reader)),
      on(joinReader, (histories, { id, reader }) => histories.join(id, reader)),
      on(cloneFile, (histories, clone) => histories.cloneFile(clone)),
      on(restoreFile, (histories, { snapshot, gfid }) => histories.restoreFile(snapshot, gfid)),
      on(flattenFile, (histories, { gfid }) => histories.flattenFile(gfid)),
      on(secureHistory, (histories) => histories.secure()),
      on(releaseHistory, (histories, { id }) => histories.release(id)),
      on(updateReader, (histories, { id, change }) => histories.update(id, given(change))),
      on(removeReader, (histories, { id }) => histories.remove(id)),
      on(removeReaders, (histories, { ids }) => histories.removeAll(ids)),
      [listReaders.procedure, serve(listReaders, () => state(histories))],
      [
        historyUsage.procedure,
        serve(historyUsage, async () => {
          const [done, usage] = await answered(histories, (known) => known.usage());
          return { ...done, usage };
        }),
      ],
      [
        flattenHistory.procedure,
        serve(flattenHistory, async () => {
          const ask = (known: HistoryOrders) => Promise.resolve(known.flatten());
          const [done, flattening] = await answered(histories, ask);
          return { ...done, flattening };
        }),
      ],
      [
        historyChanges.procedure,
        serve(historyChanges, async ({ old, now, after, count }) => {
          const ask = (known: HistoryOrders) => known.changes(old, now, after, count);
          const [done, page] = await answered(histories, ask);
          return { ...done, page };
        }),
      ],
      [
        historyRanges.procedure,
        serve(historyRanges, async ({ old, now, gfid, from, count }) => {
          const ask = (known: HistoryOrders) => known.changedRanges(old, now, gfid, from, count);
          const [done, page] = await answered(histories, ask);
          return { ...done, page };
        }),
      ],
      [
        historyNames.procedure,
        serve(historyNames, async ({ reader, gfids }) => {
          const [done, names] = await answered(histories, (known) => known.names(reader, gfids));
          return { ...done, names };
        }),
      ],
      [
        historyLookUp.procedure,
        serve(historyLookUp, async ({ reader, names }) => {
          const [done, found] = await answered(histories, (known) => known.lookUp(reader, names));
          return { ...done, found };
        }),
      ],
    ]),
  };
}

const NONE = "this brick keeps no history: its volfile has no features/snapshot";

// What was asked for is undefined if it cannot be told.
async function answered<T>(
  histories: HistoryOrders | undefined,
  ask: (histories: HistoryOrders) => Promise<T>,
): Promise<[OrderDone, T | undefined]> {
  let answer: T | undefined;
  const done = await told(histories, async (known) => {
    answer = await ask(known);
  });
  return [done, answer];
}

async function told(
  histories: HistoryOrders | undefined,
  carryOut: (histories: HistoryOrders) => void | Promise<void>,
): Promise<OrderDone> {
  if (!histories) return { errno: EOPNOTSUPP.errno, error: NONE };
  try {
    await carryOut(histories);
    return { errno: 0, error: "" };
  } catch (error) {
    if (!(error instanceof FopError)) throw error;
    return { errno: error.errno, error: histories.trouble() ?? plain(error) };
  }
}

function state(histories: HistoryOrders | undefined): HistoryState {
  const trouble = histories ? histories.trouble() : NONE;
  if (!histories || trouble !== undefined) return { trouble: trouble!, epoch: 0, readers: [] };
  return { trouble: "", epoch: histories.epoch(), readers: histories.list() };
}

// What stays is left out.
function given(change: { readonly [K in keyof ReaderChange]: ReaderChange[K] | undefined }) {
  const { name, kind, active } = change;
  return {
    ...(name === undefined ? {} : { name }),
    ...(kind === undefined ? {} : { kind }),
    ...(active === undefined ? {} : { active }),
  };
}
