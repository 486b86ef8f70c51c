/** What a brick does when its management daemon wants the transactions of clusters to rest. */

import { EOPNOTSUPP, FopError } from "core/errno.ts";
import type { Graph } from "core/graph.ts";
import type { HeldLock, QuietOrders } from "core/quiet_orders.ts";
import { NULL_PROCEDURE, procedures, type Program, serve } from "rpc/program.ts";
import {
  HELD_MAX,
  heldLocks,
  quiesceLocks,
  QUIET_OPS_NAME,
  QUIET_OPS_PROGRAM,
  resumeLocks,
} from "rpc/programs/quiet_ops.ts";

/** The program, for a brick with this graph. A brick without locks answers EOPNOTSUPP. */
export function quietOperations(graph: Graph): Program {
  const quiet = [...graph.nodes].map(({ xlator }) => xlator.quiet).find((each) => each);
  return {
    ...QUIET_OPS_PROGRAM,
    name: QUIET_OPS_NAME,
    procedures: procedures([
      NULL_PROCEDURE,
      [
        quiesceLocks.procedure,
        serve(quiesceLocks, ({ id, domains, timeoutMs }) => ({
          errno: errnoOf(quiet, (orders) => orders.quiesce(id, domains, timeoutMs)),
        })),
      ],
      [
        heldLocks.procedure,
        serve(heldLocks, ({ id }) => {
          let held: readonly HeldLock[] = [];
          const errno = errnoOf(quiet, (orders) => {
            held = orders.held(id).slice(0, HELD_MAX);
          });
          return { errno, held };
        }),
      ],
      [
        resumeLocks.procedure,
        serve(resumeLocks, ({ id }) => ({ errno: errnoOf(quiet, (orders) => orders.resume(id)) })),
      ],
    ]),
  };
}

function errnoOf(quiet: QuietOrders | undefined, carryOut: (orders: QuietOrders) => void): number {
  if (!quiet) return EOPNOTSUPP.errno;
  try {
    carryOut(quiet);
    return 0;
  } catch (error) {
    if (!(error instanceof FopError)) throw error;
    return error.errno;
  }
}
