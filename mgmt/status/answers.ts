/** Answers of the commands that look, where they are not in a file of their own. */

import type { VolumeInfo } from "mgmt/status/volume_info.ts";

/** The answer of `volume list`, in the order of names. */
export type VolumeListAnswer = { readonly volumes: readonly string[] };

/** The answer of `volume info`; `volume` null: all were asked for. */
export type VolumeInfoAnswer = {
  readonly volume: string | null;
  readonly volumes: readonly VolumeInfo[];
};

/** The answer of `volume sync`. */
export type VolumeSyncAnswer = { readonly host: string };

/** The answer of `system:: getspec`. */
export type GetspecAnswer = { readonly key: string; readonly volfile: string };

/** The answer of `get-state`: which daemon's state is in which file. */
export type GetStateAnswer = { readonly daemon: string; readonly path: string };
