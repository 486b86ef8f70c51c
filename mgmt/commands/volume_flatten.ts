/** `volume flatten`: a cloned volume copies what it still reads from its origin, and is one of its own. */

import { managed, Refusal, volumeName } from "mgmt/cli/managed.ts";
import { element } from "mgmt/cli/xml.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";
import { brickText, type VolumeRecord } from "mgmt/records.ts";
import { clonesOf } from "mgmt/snapshots/clone_volume.ts";

/** How long a command waits for the end, in milliseconds, and how often it asks. */
const PATIENCE_MS = 3000, ASK_MS = 100;

/** How far it is. */
export type VolumeFlattened = {
  readonly volume: string;
  readonly id: string;
  /** All is copied, and the volume needs no other any more. */
  readonly done: boolean;
  /** Files that were copied, of all bricks, since they were started. */
  readonly files: number;
};

/** See the head of this file. */
export const volumeFlatten = managed({
  path: "volume flatten",
  summary: "make a cloned volume independent of its origin",
  description: [
    "Nothing has to be flattened: a clone may stay one for ever. Its bricks copy in the background what " +
    "they still read from the origin; the volume is used meanwhile. Run it again to see how far they " +
    "are; bricks that were restarted go on then where they were. When all is copied, the origin may be " +
    "deleted.",
  ],
  args: { volume: volumeName },
  scope: "volume",
  rest: "POST /volumes/{volume}/flatten",
  examples: [
    { what: "Let go of the origin of the clone trial", line: "mortar volume flatten trial" },
  ],
  async check(cluster, { volume: name }) {
    await flattenable(cluster, name);
  },
  apply(cluster, { volume: name }) {
    return flatten(cluster, name);
  },
  text: ({ volume, done, files }) =>
    done
      ? `volume flatten: ${volume}: success: it needs no other volume any more\n`
      : `volume flatten: ${volume}: in progress, ${files} files copied so far\n`,
  xml: ({ volume, id, done, files }) => [
    element("volFlatten", [
      element("volume", [element("name", volume), element("id", id)]),
      element("done", done ? 1 : 0),
      element("files", files),
    ]),
  ],
  failed: (message, { volume }) => `volume flatten: ${volume}: failed: ${message}`,
});

async function flattenable(cluster: Cluster, name: string): Promise<VolumeRecord> {
  const volume = await cluster.volume(name);
  if (!volume.cloneOf) throw new Refusal(`Volume ${name} is no clone of another one`);
  const [clone] = await clonesOf(cluster, name);
  if (clone !== undefined) {
    throw new Refusal(
      `clone ${clone} reads through it to its origin; flatten or delete that first`,
    );
  }
  const down = cluster.snapshots.bricks(volume).find(({ isUp }) => !isUp);
  if (down) {
    throw new Refusal(`brick ${brickText(down.record)} is not running; start volume ${name} first`);
  }
  return volume;
}

async function flatten(cluster: Cluster, name: string): Promise<VolumeFlattened> {
  const volume = await flattenable(cluster, name), { id } = volume, { clock } = cluster.env;
  const bricks = cluster.snapshots.bricks(volume);
  const until = clock.monotonic() + PATIENCE_MS;
  for (;;) {
    const told = await Promise.all(bricks.map((brick) => brick.flatten()));
    const files = told.reduce((sum, each) => sum + each.files, 0);
    const at = told.findIndex(({ failed }) => failed !== "");
    if (at >= 0) {
      throw new Refusal(
        `brick ${brickText(bricks[at]!.record)}: ${told[at]!.failed}; mend that and run it again`,
      );
    }
    if (told.every(({ done }) => done)) {
      await cluster.untie(name);
      return { volume: name, id, done: true, files };
    }
    if (clock.monotonic() >= until) return { volume: name, id, done: false, files };
    await clock.delay(ASK_MS);
  }
}
