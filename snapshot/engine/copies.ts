/** A history as both ends of `core/history_copies.ts`. */

import type { HistoryCopies } from "core/history_copies.ts";
import type { History } from "snapshot/engine/history.ts";

/** See above. */
export function copiesOf({ copyOut, copyIn }: History): HistoryCopies {
  return {
    rows: (...args) => Promise.resolve().then(() => copyOut.rows(...args)),
    data: (rows) => copyOut.data(rows),
    file: (...args) => copyOut.file(...args),
    seen: (...args) => copyOut.seen(...args),
    begin: () => copyIn.drop(),
    offer: (rows) => copyIn.offer(rows),
    putData: (parts) => copyIn.putData(parts),
    putFile: (...args) => copyIn.putFile(...args),
    compare: (...args) => copyIn.compare(...args),
    keep: () => copyIn.keep(),
    end: (...args) => copyIn.end(...args),
  };
}
