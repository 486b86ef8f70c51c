/** Daemons that leave who started them in front, as GlusterFS's do. */

import { startDetached } from "mgmt/detach.ts";
import type { Name } from "mgmt/self.ts";

/** What a detached process is given before its arguments; `shownArguments` takes it away. */
const MARK = "--no-daemon";

/** Arguments as process lists shall show them: those that were given to who started us. */
export function shownArguments(argv: readonly string[]): readonly string[] {
  return argv[0] === MARK ? argv.slice(1) : argv;
}

/** Starts this program by the name `name` with `argv` and `MARK`; as `startDetached`. */
export function detached(
  name: Name,
  argv: readonly string[],
  ready: (pid: number) => Promise<boolean>,
): Promise<number> {
  return startDetached({ program: name, args: [MARK, ...argv], ready, log: "its log" });
}
