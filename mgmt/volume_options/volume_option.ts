/** Options of `volume set`: one table row each, whatever the translator it is for. */

import type { OptionSpec } from "core/options.ts";

/** Whose graph an option changes. */
export type OptionPlace = "client" | "brick" | "heal" | "daemon";

/** A row. */
export interface VolumeOption {
  /** Name in `volume set`: "cluster.quorum-type". */
  readonly key: string;
  /** Type of the translators it goes to, "cluster/replicate"; undefined: the daemon's own, no volfile has it. */
  readonly xlator: string | undefined;
  /** Its name in volfiles, "quorum-type"; "!NAME": not an option, but whether a translator of that name is in the graph. */
  readonly option: string;
  /** What values are right, and help in our words. */
  // deno-lint-ignore no-explicit-any -- each row has its own kind of value
  readonly spec: OptionSpec<any>;
  /** As `volume get` shows it where nothing was set; GlusterFS 10's spelling. */
  readonly shown: string;
  readonly places: readonly OptionPlace[];
  /** Only for `volume set all`. */
  readonly global?: true;
  /** Not in `volume set help`. */
  readonly hidden?: true;
}
