/** `snapshot restore`: a volume, or one of its files, becomes again what it was. */

import { keyword, managed, operand, Refusal } from "mgmt/cli/managed.ts";
import { element } from "mgmt/cli/xml.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";
import { fileAt, snapshotOf } from "mgmt/snapshots/look_up.ts";
import { restoreFileTo } from "mgmt/snapshots/restore_file.ts";
import { checkRestore, restoreVolumeTo } from "mgmt/snapshots/restore_volume.ts";
import { doneXml, FAILING, type SnapshotDone } from "mgmt/snapshots/shown.ts";
import type { SnapshotFile } from "mgmt/snapshots/snapshot_record.ts";
import { checkStarted } from "mgmt/snapshots/take.ts";

/** What it answers. */
export type SnapshotRestored = SnapshotDone & {
  /** Null: the whole volume. */
  readonly path: string | null;
  readonly volume: string;
  readonly volumeId: string;
};

interface Asked {
  readonly snapshot: string;
  readonly file: string | undefined;
}

/** See the head of this file. */
export const snapshotRestore = managed({
  path: "snapshot restore",
  summary: "Snapshot Restore.",
  description: [
    "What was changed since is gone, unless another snapshot has it. The snapshot stays, and so do " +
    "others (GlusterFS deletes the one that it restores).",
    "A brick that misses the snapshot is left as it is and healed from its copies when the volume is " +
    "started; without such a copy nothing is done.",
    "A volume has to be stopped. Only what changed is done; if that is interrupted, the volume does " +
    "not start before it was done again, by this command or by volume start.",
    "With --file only that file goes back, in a volume that runs; nobody may have it open for writing. " +
    "Of a snapshot of a file the path may be left out.",
  ],
  args: {
    snapshot: operand("<snapname>", { help: "Name of the snapshot.", offers: "snapshot" }),
    file: keyword("--file", "<PATH>", { help: "The file, by its path in the volume." }),
  },
  scope: "all",
  rest: "POST /snapshots/{snapshot}/restore",
  examples: [
    { what: "A volume as it was", line: "mortar snapshot restore before-upgrade" },
    {
      what: "An image as it was before an upgrade, not asking",
      line: "mortar --mode=script snapshot restore before-upgrade --file /images/vm1.img",
    },
  ],
  question: ({ file }) =>
    file === undefined
      ? "Restore operation will replace the original volume with the snapshotted volume. " +
        "Do you still want to continue?"
      : "Restore operation will replace what the file holds by what the snapshot has. " +
        "Do you still want to continue?",
  async check(cluster, asked) {
    const { snapshot, volume, file } = await wanted(cluster, asked);
    if (!file) await checkRestore(cluster, volume, snapshot);
  },
  async apply(cluster, asked): Promise<SnapshotRestored> {
    const { snapshot, volume, file } = await wanted(cluster, asked);
    if (file) await restoreFileTo(cluster, volume, snapshot, file);
    else await restoreVolumeTo(cluster, volume, snapshot);
    const { name, id } = snapshot;
    return { name, id, path: file?.path ?? null, volume: volume.name, volumeId: volume.id };
  },
  text: ({ name }) => `Snapshot restore: ${name}: Snap restored successfully\n`,
  xml: (done) => [
    element("snapRestore", [
      element("volume", [element("name", done.volume), element("uuid", done.volumeId)]),
      doneXml(done),
    ]),
  ],
  failed: (message) => `snapshot restore: failed: ${message}`,
  ...FAILING,
});

async function wanted(cluster: Cluster, { snapshot: name, file: given }: Asked) {
  const { snapshot, volume } = await snapshotOf(cluster, name);
  const path = given ?? snapshot.file?.path;
  let file: SnapshotFile | undefined;
  if (path !== undefined) {
    checkStarted(volume);
    file = await fileAt(cluster, volume, path, "restore");
    if (snapshot.file && snapshot.file.gfid !== file.gfid) {
      throw new Refusal(
        `Cannot restore file "${path}": snapshot ${name} is of ${snapshot.file.path}, or what was there`,
      );
    }
  }
  return { snapshot, volume, file };
}
