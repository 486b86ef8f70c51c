/** Failures in one line: what was tried, on what, and why it cannot be done. */

import { FopError } from "core/errno.ts";
import { CommandError } from "mgmt/cli/command.ts";
import { plain } from "mgmt/plain.ts";

const WHY: Readonly<Record<string, string>> = {
  ENOENT: "no such file or directory",
  EACCES: "permission denied",
  EPERM: "operation not permitted",
  EROFS: "the volume is read-only",
  ENOSPC: "no space left on the volume",
  EDQUOT: "the quota is used up",
  EISDIR: "it is a directory",
  ENOTDIR: "a part of the path is no directory",
  EEXIST: "it exists",
  ENOTEMPTY: "the directory is not empty",
  ENAMETOOLONG: "the name is too long",
  ENOTCONN: "the brick that has it, or would, cannot be reached",
  ELOOP: "too many symbolic links",
  ESTALE: "it was removed or replaced meanwhile",
  EFBIG: "the file is too large",
};

/** What an error says to a person, without the name of what it is about. */
export function why(error: unknown): string {
  if (error instanceof FopError) return WHY[error.code] ?? error.message.toLowerCase();
  if (error instanceof Deno.errors.NotFound) return WHY.ENOENT!;
  if (error instanceof Deno.errors.PermissionDenied) return WHY.EACCES!;
  if (error instanceof Deno.errors.NotADirectory) return WHY.ENOTDIR!;
  if (error instanceof Deno.errors.IsADirectory) return WHY.EISDIR!;
  if (error instanceof Error && /No space left/.test(error.message)) return "no space left there";
  return plain(error);
}

/** Does `act`; a failure says that `verb` could not be done with `thing`. */
export async function doing<T>(verb: string, thing: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof CommandError || !isOutside(error)) throw error;
    throw new CommandError(`Cannot ${verb} ${thing}: ${why(error)}`);
  }
}

// What the world does to us, as opposed to a mistake in this program.
function isOutside(error: unknown): boolean {
  return error instanceof FopError ||
    Object.values(Deno.errors).some((kind) => error instanceof kind) ||
    error instanceof Error && /\(os error \d+\)/.test(error.message);
}
