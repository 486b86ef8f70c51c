/** `snapshot activate`, `snapshot deactivate`: whether a snapshot can be looked at. */

import { EINVAL } from "core/errno.ts";
import { managed, operand, Refusal, word } from "mgmt/cli/managed.ts";
import { element } from "mgmt/cli/xml.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";
import { snapshotOf } from "mgmt/snapshots/look_up.ts";
import { doneXml, FAILING, type SnapshotDone } from "mgmt/snapshots/shown.ts";

const snapshotName = operand("<snapname>", { help: "Name of the snapshot.", offers: "snapshot" });

/** Lets a snapshot be mounted, and shows it in the volume's directory of snapshots. */
export const snapshotActivate = managed({
  path: "snapshot activate",
  summary: "Activate snapshot volume.",
  description: [
    "An active snapshot can be mounted as the volume /snaps/NAME/VOLUME by any client, read-only.",
  ],
  args: {
    snapshot: snapshotName,
    force: word("force", "Also tell bricks again that should know."),
  },
  scope: "all",
  rest: "POST /snapshots/{snapshot}/activate",
  examples: [{ what: "Look at a snapshot", line: "mortar snapshot activate before-upgrade" }],
  async check(cluster, { snapshot: name, force }) {
    const { snapshot } = await snapshotOf(cluster, name, ".");
    if (snapshot.file) {
      throw new Refusal(
        `Snapshot ${name} is of a file, and has no volume to mount; ` +
          `"snapshot export" writes what it holds`,
      );
    }
    if (snapshot.active && !force) {
      throw new Refusal(`Snapshot ${name} is already activated.`, EINVAL.errno);
    }
  },
  apply: (cluster, { snapshot }) => setActive(cluster, snapshot, true),
  text: ({ name }) => `Snapshot activate: ${name}: Snap activated successfully\n`,
  xml: (done) => [element("snapActivate", [doneXml(done)])],
  failed: (message) => `snapshot activate: failed: ${message}`,
  ...FAILING,
});

/** The way back. */
export const snapshotDeactivate = managed({
  path: "snapshot deactivate",
  summary: "Deactivate snapshot volume.",
  args: { snapshot: snapshotName },
  scope: "all",
  rest: "POST /snapshots/{snapshot}/deactivate",
  examples: [{ what: "Nobody looks at it", line: "mortar snapshot deactivate before-upgrade" }],
  question: () => "Deactivating snap will make its data inaccessible. Do you want to continue?",
  async check(cluster, { snapshot: name }) {
    const { snapshot } = await snapshotOf(cluster, name, ".");
    if (!snapshot.active) {
      throw new Refusal(`Snapshot ${name} is already deactivated.`, EINVAL.errno);
    }
  },
  apply: (cluster, { snapshot }) => setActive(cluster, snapshot, false),
  text: ({ name }) => `Snapshot deactivate: ${name}: Snap deactivated successfully\n`,
  xml: (done) => [element("snapDeactivate", [doneXml(done)])],
  failed: (message) => `snapshot deactivate: failed: ${message}`,
  ...FAILING,
});

async function setActive(cluster: Cluster, name: string, active: boolean): Promise<SnapshotDone> {
  const { snapshot, volume } = await snapshotOf(cluster, name, ".");
  await cluster.snapshots.setActive(volume, snapshot, active);
  return { name, id: snapshot.id };
}
