/** `volume flatten`: a cloned volume copies what it still reads from its origin, and is one of its own. */

import { managed, Refusal, volumeName } from "mgmt/cli/managed.ts";
import { element } from "mgmt/cli/xml.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";
import type { VolumeRecord } from "mgmt/records.ts";
import { checkFlatten, type FlattenProgress } from "mgmt/snapshots/flattens.ts";
import { humanSize } from "mgmt/status/human_size.ts";

/** How long a command waits for the end, in milliseconds, and how often it asks. */
const PATIENCE_MS = 3000, ASK_MS = 100;

/** How far it is. */
export type VolumeFlattened = {
  readonly volume: string;
  readonly id: string;
  /** All is copied, and the volume needs no other any more. */
  readonly done: boolean;
  /** Files and bytes that were copied, of all bricks, since they were started. */
  readonly files: number;
  readonly bytes: number;
  /** Why it does not go on for now; null: it does. */
  readonly waits: string | null;
};

/** See the head of this file. */
export const volumeFlatten = managed({
  path: "volume flatten",
  summary: "make a cloned volume independent of its origin",
  description: [
    "Nothing has to be flattened: a clone may stay one for ever. Its bricks copy in the background what " +
    "they still read from the origin; the volume is used meanwhile. volume status shows how far they " +
    "are, and so does this command when it is run again. Whatever is restarted meanwhile, it goes on by " +
    "itself, and while the volume is stopped it waits. When all is copied, the origin may be deleted.",
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
  text: ({ volume, done, files, bytes, waits }) =>
    done
      ? `volume flatten: ${volume}: success: it needs no other volume any more\n`
      : `volume flatten: ${volume}: in progress, ${files} files (${humanSize(bytes)}) copied so ` +
        `far${waits === null ? "" : `; waits: ${waits}`}\n`,
  xml: ({ volume, id, done, files, bytes, waits }) => [
    element("volFlatten", [
      element("volume", [element("name", volume), element("id", id)]),
      element("done", done ? 1 : 0),
      element("files", files),
      element("bytes", bytes),
      ...waits === null ? [] : [element("waits", waits)],
    ]),
  ],
  failed: (message, { volume }) => `volume flatten: ${volume}: failed: ${message}`,
});

async function flattenable(cluster: Cluster, name: string): Promise<VolumeRecord> {
  const volume = await cluster.volume(name);
  await checkFlatten(cluster, volume);
  if (volume.cloneOf && volume.state !== "started") {
    throw new Refusal(
      `Volume ${name} is not started: ` +
        (volume.flatten ? "flattening has begun and goes on when it is" : "start it first"),
    );
  }
  return volume;
}

async function flatten(cluster: Cluster, name: string): Promise<VolumeFlattened> {
  const asked = await flattenable(cluster, name), { id } = asked, { clock } = cluster.env;
  const shown = (done: boolean, { files, bytes, waits }: FlattenProgress) => ({
    ...{ volume: name, id, done, files, bytes, waits: waits ?? null },
  });
  if (!asked.cloneOf) return shown(true, cluster.flattens.progress(asked));
  const volume = await begun(cluster, asked);
  for (const until = clock.monotonic() + PATIENCE_MS;;) {
    const progress = await cluster.flattens.ask(volume);
    if (progress.copied) {
      await cluster.flattens.cut(volume);
      return shown(true, progress);
    }
    if (progress.waits !== undefined || clock.monotonic() >= until) {
      cluster.flattens.wake();
      return shown(false, progress);
    }
    await clock.delay(ASK_MS);
  }
}

function begun(cluster: Cluster, volume: VolumeRecord): VolumeRecord | Promise<VolumeRecord> {
  if (volume.flatten) return volume;
  const id = cluster.env.random.uuid();
  return cluster.update(volume.name, (record) => ({ ...record, flatten: { id } }));
}
