/** Options of `volume set`: one table row each, whatever the translator it is for. */

import type { OptionSpec } from "core/options.ts";

/** Whose graph an option changes. */
export type OptionPlace = "client" | "brick" | "heal" | "daemon";

/** A translator's type, and the name that an option has there. */
export interface OptionTarget {
  /** "cluster/replicate". */
  readonly xlator: string;
  /**
   * Its name in volfiles, "quorum-type", where `*` stands for the brick's path; "!NAME": not an
   * option, but whether a translator of that name is in the graph.
   */
  readonly option: string;
}

/** A row. */
export interface VolumeOption {
  /** Name in `volume set`: "cluster.quorum-type". */
  readonly key: string;
  /** Type of the translators it goes to, "cluster/replicate"; undefined: the daemon's own, no volfile has it. */
  readonly xlator: string | undefined;
  /** As in OptionTarget. */
  readonly option: string;
  /** Other translators that it goes to as well. */
  readonly also?: readonly OptionTarget[];
  /** What values are right, and help in our words. */
  // deno-lint-ignore no-explicit-any -- each row has its own kind of value
  readonly spec: OptionSpec<any>;
  /** The value where nothing was set; GlusterFS 10's spelling, "(null)" for none. */
  readonly shown: string;
  /** `volume get` does not call `shown` a default: in GlusterFS the daemon, not a translator, has it. */
  readonly supplied?: true;
  /** The default that `volume set help` gives, where that is another text. */
  readonly helpShown?: string;
  readonly places: readonly OptionPlace[];
  /** Only for `volume set all`. */
  readonly global?: true;
  /** Not in `volume set help`. */
  readonly hidden?: true;
  /** Not in `volume get V all`. */
  readonly unlisted?: true;
  /** `volume reset` leaves it alone without "force". */
  readonly guarded?: true;
  /** Only its default can be set, since what it is for is not there: what that is. */
  readonly fixed?: string;
}

/** What `volume get` shows where nothing was set. */
export function shownDefault({ shown, supplied }: VolumeOption): string {
  return supplied ? shown : `${shown} (DEFAULT)`;
}
