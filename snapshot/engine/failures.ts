/** What SQLite says, as what a fop answers. */

import { EIO, ENOSPC } from "core/errno.ts";

const SQLITE_IOERR = 10, SQLITE_FULL = 13;

/** The FopError for a failed change of the index; what is no failure of the disk passes as it is. */
export function diskFailure(error: unknown): unknown {
  if (!(error instanceof Error) || !("errcode" in error)) return error;
  // The low byte is the kind, the rest tells more of it.
  const kind = (error.errcode as number) & 0xff;
  if (kind === SQLITE_FULL) return ENOSPC;
  // SQLite's word for a failed write, which on a full disk is what growing a file can end in.
  return kind === SQLITE_IOERR ? EIO : error;
}
