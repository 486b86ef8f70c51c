/** `snapshot clone`: a new volume, or a new file, that begins as a snapshot has another one. */

import { EINVAL } from "core/errno.ts";
import { keyword, managed, operand, optional, Refusal } from "mgmt/cli/managed.ts";
import { WrongArguments } from "mgmt/cli/words.ts";
import { element } from "mgmt/cli/xml.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";
import { cloneFileOf, type WantedClone } from "mgmt/snapshots/clone_file.ts";
import { checkVolumeClone, cloneVolume, type WantedVolume } from "mgmt/snapshots/clone_volume.ts";
import { snapshotOf } from "mgmt/snapshots/look_up.ts";
import { FAILING } from "mgmt/snapshots/shown.ts";

/** What it answers of a volume. */
export type VolumeCloned = {
  readonly snapshot: string;
  readonly volume: string;
  readonly id: string;
};

/** What it answers of a file. */
export type FileCloned = {
  readonly snapshot: string;
  readonly path: string;
  readonly gfid: string;
};

// An option in its place is none.
function source(word: string): string {
  if (word.startsWith("-")) throw new RangeError("expected SNAPNAME:PATH");
  return word;
}

/** See the head of this file. */
export const snapshotClone = managed({
  path: "snapshot clone",
  summary: "Snapshot Clone.",
  description: [
    "The new volume, or the new file, is there at once, whatever its size, and takes room only for what " +
    "is written to it or to its origin. The snapshot may be deleted at any time: the clone keeps what " +
    "it needs.",
    "A volume: each brick gets a directory beside the origin's, named BRICK.CLONE, and the options are " +
    "the origin's. It has to be started. The origin cannot be deleted before its clones.",
    "A file, with --file: of a snapshot of a file the path may be left out, another snapshot has to be " +
    "active.",
  ],
  args: {
    source: operand("<clonename>|<snapname>[:<PATH>]", {
      help: "Name of the new volume; with --file, the file in the snapshot.",
      parse: source,
    }),
    snapshot: optional("[<snapname>]", { help: "The snapshot that the new volume begins as." }),
    file: keyword("--file", "<NEWPATH>", { help: "Path of the new file in the volume." }),
  },
  scope: "all",
  rest: "POST /snapshots/clone",
  examples: [
    {
      what: "A volume to try something on",
      line: "mortar snapshot clone trial before-upgrade",
    },
    {
      what: "A new virtual machine from a master image",
      line: "mortar snapshot clone --file /images/vm1.img master:/images/master.img",
    },
  ],
  async check(cluster, asked) {
    if (asked.file === undefined) {
      await checkVolumeClone(cluster, await wantedVolume(cluster, asked));
    } else await wanted(cluster, asked);
  },
  async apply(cluster, asked): Promise<FileCloned | VolumeCloned> {
    if (asked.file === undefined) {
      const volume = await wantedVolume(cluster, asked), { name } = volume;
      const { id } = await cluster.hooked("create", name, () => cloneVolume(cluster, volume));
      return { snapshot: volume.snapshot.name, volume: name, id };
    }
    const clone = await wanted(cluster, asked);
    const gfid = await cloneFileOf(cluster, clone);
    return { snapshot: clone.snapshot.name, path: clone.path, gfid };
  },
  text: (made) =>
    `snapshot clone: success: Clone ${"volume" in made ? made.volume : made.path} created ` +
    "successfully\n",
  xml: (made) => [
    element("CloneCreate", [
      "volume" in made
        ? element("volume", [element("name", made.volume), element("uuid", made.id)])
        : element("file", [element("name", made.path), element("uuid", made.gfid)]),
    ]),
  ],
  failed: (message) => `snapshot clone: failed: ${message}`,
  ...FAILING,
});

interface Asked {
  readonly source: string;
  readonly snapshot: string | undefined;
  readonly file: string | undefined;
}

async function wantedVolume(
  cluster: Cluster,
  { source: name, snapshot: of }: Asked,
): Promise<WantedVolume> {
  if (of === undefined) {
    throw new WrongArguments(
      snapshotClone,
      "name the new volume and the snapshot, or add --file NEWPATH for a file of one",
      true,
    );
  }
  return { name, ...await snapshotOf(cluster, of) };
}

async function wanted(
  cluster: Cluster,
  { source, snapshot: extra, file = "" }: Asked,
): Promise<WantedClone> {
  if (extra !== undefined) {
    throw new WrongArguments(snapshotClone, `"${extra}" is one word too many for a file`, true);
  }
  const colon = source.indexOf(":");
  const name = colon < 0 ? source : source.slice(0, colon);
  const { snapshot, volume } = await snapshotOf(cluster, name);
  const path = colon < 0 ? snapshot.file?.path : clean(source.slice(colon + 1));
  if (path === undefined) {
    throw new Refusal(`Cannot clone: say which file of snapshot ${name}, as ${name}:/PATH`);
  }
  if (snapshot.file && path !== snapshot.file.path) {
    throw new Refusal(`Cannot clone "${path}": snapshot ${name} is of ${snapshot.file.path}`);
  }
  if (!snapshot.file && !snapshot.active) {
    throw new Refusal(`Snapshot ${name} is not activated`, EINVAL.errno);
  }
  if (volume.state !== "started") throw new Refusal(`volume ${volume.name} is not started`);
  return { volume, snapshot, source: path, path: clean(file) };
}

function clean(path: string): string {
  const parts = path.split("/").filter((part) => part !== "");
  if (!parts.length || parts.some((part) => part === "." || part === "..")) {
    throw new Refusal(`Cannot use path "${path}": write it out, from the volume's root on`);
  }
  return `/${parts.join("/")}`;
}
