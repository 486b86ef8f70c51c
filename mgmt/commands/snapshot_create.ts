/** `snapshot create`: a volume, or one of its files, as it is at this moment. */

import { keyword, managed, operand, Refusal, volumeName, word } from "mgmt/cli/managed.ts";
import { element } from "mgmt/cli/xml.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";
import { limitsOf } from "mgmt/snapshots/limits.ts";
import { fileAt, takingBricks, volumeNamed } from "mgmt/snapshots/look_up.ts";
import { newSnapshotName, SNAPSHOT_ERRNO, stampedName } from "mgmt/snapshots/names.ts";
import { FAILING } from "mgmt/snapshots/shown.ts";

/** Longest description (MAX_SNAP_DESCRIPTION_LEN); GlusterFS cuts longer ones. */
const DESCRIPTION_MAX = 1024;

/** What it answers. */
export type SnapshotCreated = {
  readonly name: string;
  readonly id: string;
  readonly volume: string;
  /** There are about as many as there may be. */
  readonly softLimitReached: boolean;
  /** The oldest went for it. */
  readonly deleted: readonly string[];
  /** Bricks that do not have it. */
  readonly missing: readonly string[];
};

/** See the head of this file. */
export const snapshotCreate = managed({
  path: "snapshot create",
  summary: "Snapshot Create.",
  description: [
    "It takes some milliseconds, however much the volume holds, and what was written before it began " +
    "is in it. The time is added to the name, unless no-timestamp is there.",
    "force takes it although bricks are down, as long as the others know all that is in the volume; " +
    "those that are down do not have it, for ever.",
    "With --file only what that file was is kept; others are free to change without costs.",
  ],
  args: {
    name: operand("<snapname>", { help: "Name of the snapshot: letters, digits, - and _." }),
    volume: volumeName,
    noTimestamp: word("no-timestamp", "The name is as it is given."),
    description: keyword("description", "<description>", { help: "What it is for." }),
    file: keyword("--file", "<PATH>", { help: "Only of this file, by its path in the volume." }),
    force: word("force", "Although bricks are down, which will then not have it."),
  },
  scope: "volume",
  rest: "POST /volumes/{volume}/snapshots",
  examples: [
    { what: "Keep v1 as it is now", line: "mortar snapshot create before-upgrade v1 no-timestamp" },
    {
      what: "Keep the image of a virtual machine",
      line: "mortar snapshot create nightly v1 --file /images/vm.img",
    },
  ],
  async check(cluster, { name, volume: named, noTimestamp, description, file }) {
    newSnapshotName(name);
    const volume = await volumeNamed(cluster, named, " ");
    if (description === "") {
      throw new Refusal("Snapshot cannot be created with empty description");
    }
    if (volume.state !== "started") {
      throw new Refusal(`volume ${named} is not started`, SNAPSHOT_ERRNO.volumeStopped);
    }
    if (noTimestamp && await cluster.snapshots.find(name)) {
      throw new Refusal(`Snapshot ${name} already exists`, SNAPSHOT_ERRNO.exists);
    }
    await checkLimit(cluster, named);
    if (file !== undefined) await fileAt(cluster, volume, file);
  },
  apply: (cluster, asked) => create(cluster, asked),
  text({ name, volume, softLimitReached, deleted }) {
    const warning = softLimitReached && !deleted.length
      ? `Warning: Soft-limit of volume (${volume}) is reached. Snapshot creation is not possible ` +
        "once hard-limit is reached.\n"
      : "";
    return `snapshot create: success: Snap ${name} created successfully\n${warning}`;
  },
  aside({ missing, deleted }) {
    const lines = [
      ...missing.length ? [`Missing on ${missing.join(", ")}`] : [],
      ...deleted.map((name) => `Deleted the oldest, as auto-delete says: ${name}`),
    ];
    return lines.map((line) => `${line}\n`).join("");
  },
  xml: ({ name, id }) => [
    element("snapCreate", [
      element("snapshot", [element("name", name), element("uuid", id)]),
    ]),
  ],
  failed: (message) => `snapshot create: failed: ${message}`,
  ...FAILING,
});

async function checkLimit(cluster: Cluster, volume: string): Promise<void> {
  const { snapshots } = cluster;
  const { effective } = limitsOf(await snapshots.settings(), await snapshots.history(volume));
  if ((await snapshots.of(volume)).length < effective) return;
  throw new Refusal(
    `The number of existing snaps has reached the effective maximum limit of ${effective}, ` +
      `for the volume (${volume}). Please delete few snapshots before taking further snapshots.`,
    SNAPSHOT_ERRNO.hardLimit,
  );
}

interface Wanted {
  readonly name: string;
  readonly volume: string;
  readonly noTimestamp: boolean;
  readonly description: string | undefined;
  readonly file: string | undefined;
  readonly force: boolean;
}

async function create(cluster: Cluster, wanted: Wanted): Promise<SnapshotCreated> {
  const { snapshots } = cluster, volume = await cluster.volume(wanted.volume);
  const { name: given, noTimestamp, description, file } = wanted;
  const name = noTimestamp ? given : stampedName(given, cluster.env.clock.now());
  const bricks = takingBricks(cluster, volume, wanted.force);
  const made = await snapshots.create(volume, {
    name,
    description: description?.slice(0, DESCRIPTION_MAX),
    file: file === undefined ? undefined : await fileAt(cluster, volume, file),
    bricks,
  });
  const { autoDelete, ...settings } = await snapshots.settings();
  const { soft } = limitsOf({ autoDelete, ...settings }, await snapshots.history(volume.name));
  const all = await snapshots.of(volume.name);
  const over = autoDelete ? all.slice(0, Math.max(0, all.length - soft)) : [];
  const deleted: string[] = [];
  for (const oldest of over) {
    if (oldest.id === made.id) continue;
    await snapshots.remove(volume, oldest);
    deleted.push(oldest.name);
  }
  return {
    name,
    id: made.id,
    volume: volume.name,
    softLimitReached: all.length - deleted.length >= soft,
    deleted,
    missing: volume.bricks.filter(({ clientName }) => made.missing.includes(clientName))
      .map(({ host, path }) => `${host}:${path}`),
  };
}
