/** `snapshot restore --file`: a file becomes again what it was. */

import { keyword, managed, operand, Refusal } from "mgmt/cli/managed.ts";
import { WrongArguments } from "mgmt/cli/words.ts";
import { element } from "mgmt/cli/xml.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";
import { fileAt, snapshotOf } from "mgmt/snapshots/look_up.ts";
import { restoreFileTo } from "mgmt/snapshots/restore_file.ts";
import { doneXml, FAILING, type SnapshotDone } from "mgmt/snapshots/shown.ts";

/** What it answers. */
export type SnapshotRestored = SnapshotDone & {
  readonly path: string;
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
    "The file keeps its name and its owner's other snapshots; what was written to it since is gone, " +
    "unless another snapshot has it. Nobody may have it open for writing. Of a snapshot of a file the " +
    "path may be left out.",
  ],
  args: {
    snapshot: operand("<snapname>", { help: "Name of the snapshot.", offers: "snapshot" }),
    file: keyword("--file", "<PATH>", { help: "The file, by its path in the volume." }),
  },
  scope: "all",
  rest: "POST /snapshots/{snapshot}/restore",
  examples: [
    {
      what: "An image as it was before an upgrade, not asking",
      line: "mortar --mode=script snapshot restore before-upgrade --file /images/vm1.img",
    },
  ],
  question: () =>
    "Restore operation will replace what the file holds by what the snapshot has. " +
    "Do you still want to continue?",
  async check(cluster, asked) {
    await wanted(cluster, asked);
  },
  async apply(cluster, asked): Promise<SnapshotRestored> {
    const { snapshot, volume, file } = await wanted(cluster, asked);
    await restoreFileTo(cluster, volume, snapshot, file);
    const { name, id } = snapshot;
    return { name, id, path: file.path, volume: volume.name, volumeId: volume.id };
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
  if (path === undefined) {
    throw new WrongArguments(
      snapshotRestore,
      "whole volumes are not restored by mortar yet; --file PATH restores one of its files",
      true,
    );
  }
  if (volume.state !== "started") throw new Refusal(`volume ${volume.name} is not started`);
  const file = await fileAt(cluster, volume, path, "restore");
  if (snapshot.file && snapshot.file.gfid !== file.gfid) {
    throw new Refusal(
      `Cannot restore file "${path}": snapshot ${name} is of ${snapshot.file.path}, or what was there`,
    );
  }
  return { snapshot, volume, file };
}
