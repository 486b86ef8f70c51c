/** The brick's side of `core/changed_since.ts`. */

import { type ChangesAsked, changesName, encodeChanges } from "core/changed_since.ts";
import { ENODATA } from "core/errno.ts";
import type { Gfid } from "core/inode.ts";
import { encodeName } from "core/lib/bytes.ts";
import { ptr, Xdata } from "core/xdata.ts";
import { rangesPage } from "snapshot/engine/diff.ts";
import type { History } from "snapshot/engine/history.ts";

/** Ranges of one answer: some 80 KiB of text. */
const RANGES = 4096;

/**
 * The attribute that was asked for, of a file as the reader `now` sees it (undefined: as it is). ENODATA:
 * there is no such snapshot, or the file is not in it.
 */
export async function changedSince(
  history: History,
  now: string | undefined,
  gfid: Gfid,
  asked: ChangesAsked,
): Promise<Xdata> {
  const before = now === undefined ? Infinity : history.readers.get(now)?.epoch ?? -1;
  const known = history.readers.list().filter(({ kind, file, epoch }) =>
    kind === "snapshot" && epoch < before && (file === undefined || file === gfid)
  );
  const { snapshot, from } = asked;
  if (snapshot === undefined) {
    return value(asked, encodeName(known.map(({ name }) => name).join("\n")));
  }
  // Of those of one name the newest: a file's may be called as the volume's.
  const reader = known.findLast(({ name }) => name === snapshot);
  if (!reader) throw ENODATA;
  const page = await rangesPage(history.sides(reader.id, now), gfid, from, RANGES);
  if (page.oldSize === undefined) throw ENODATA;
  return value(asked, encodeChanges(page));
}

function value(asked: ChangesAsked, bytes: Uint8Array): Xdata {
  return Xdata.of([[changesName(asked), ptr(bytes)]]);
}
