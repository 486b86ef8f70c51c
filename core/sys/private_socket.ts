/** Unix sockets for one's own user. */

import { sys } from "core/sys/calls.ts";

/**
 * Listens at `path`. Who comes over it may do all that the process may: it is for the process's own
 * user, and never, not for a moment, for others. Throws what Deno throws.
 */
export function listenPrivately(path: string): Deno.Listener<Deno.UnixConn> {
  const before = sys.umask(0o177);
  try {
    return Deno.listen({ transport: "unix", path });
  } finally {
    sys.umask(before);
  }
}
