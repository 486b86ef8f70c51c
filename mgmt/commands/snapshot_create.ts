/** `snapshot create`: a volume, or one of its files, as it is at this moment. */

import { keyword, managed, operand, Refusal, volumeName, word } from "mgmt/cli/managed.ts";
import { element } from "mgmt/cli/xml.ts";
import { fileAt, volumeNamed } from "mgmt/snapshots/look_up.ts";
import { newSnapshotName, SNAPSHOT_ERRNO, stampedName } from "mgmt/snapshots/names.ts";
import { FAILING } from "mgmt/snapshots/shown.ts";
import { noteReceived, snapshotId } from "mgmt/snapshots/received.ts";
import { checkLimit, checkStarted, takeSnapshot } from "mgmt/snapshots/take.ts";

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
    origin: keyword("--origin", "<ID>", {
      help:
        "Id of the snapshot that the volume's content was received from; snapshot receive tells it.",
      parse: snapshotId,
    }),
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
    checkStarted(volume);
    if (noTimestamp && await cluster.snapshots.find(name)) {
      throw new Refusal(`Snapshot ${name} already exists`, SNAPSHOT_ERRNO.exists);
    }
    await checkLimit(cluster, named);
    if (file !== undefined) await fileAt(cluster, volume, file);
  },
  async apply(
    cluster,
    { name: given, volume: named, noTimestamp, description, file, origin, force },
  ) {
    const volume = await cluster.volume(named);
    const name = noTimestamp ? given : stampedName(given, cluster.env.clock.now());
    const wanted = {
      ...{ name, description: description?.slice(0, DESCRIPTION_MAX), origin, force },
      file: file === undefined ? undefined : await fileAt(cluster, volume, file),
    };
    const { made, ...rest } = await takeSnapshot(cluster, volume, wanted);
    if (origin !== undefined) await noteReceived(cluster, named, undefined);
    return { name, id: made.id, volume: named, ...rest } satisfies SnapshotCreated;
  },
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
