/** `snapshot clone --file`: a new file that begins as a snapshot has another one. */

import { EINVAL } from "core/errno.ts";
import { keyword, managed, operand, Refusal } from "mgmt/cli/managed.ts";
import { WrongArguments } from "mgmt/cli/words.ts";
import { element } from "mgmt/cli/xml.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";
import { cloneFileOf, type WantedClone } from "mgmt/snapshots/clone_file.ts";
import { snapshotOf } from "mgmt/snapshots/look_up.ts";
import { FAILING } from "mgmt/snapshots/shown.ts";

/** What it answers. */
export type SnapshotCloned = {
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
    "The new file is there at once, whatever its size, and takes room only for what is written to it or " +
    "to its origin. The snapshot may be deleted at any time: the clone keeps what it needs.",
    "Of a snapshot of a file the path may be left out. Another snapshot has to be active.",
  ],
  args: {
    source: operand("<snapname>[:<PATH>]", {
      help: "The file in the snapshot.",
      parse: source,
    }),
    file: keyword("--file", "<NEWPATH>", { help: "Path of the new file in the volume." }),
  },
  scope: "all",
  rest: "POST /snapshots/clone",
  examples: [
    {
      what: "A new virtual machine from a master image",
      line: "mortar snapshot clone --file /images/vm1.img master:/images/master.img",
    },
  ],
  async check(cluster, asked) {
    await wanted(cluster, asked);
  },
  async apply(cluster, asked): Promise<SnapshotCloned> {
    const clone = await wanted(cluster, asked);
    const gfid = await cloneFileOf(cluster, clone);
    return { snapshot: clone.snapshot.name, path: clone.path, gfid };
  },
  text: ({ path }) => `snapshot clone: success: Clone ${path} created successfully\n`,
  xml: ({ path, gfid }) => [
    element("CloneCreate", [element("file", [element("name", path), element("uuid", gfid)])]),
  ],
  failed: (message) => `snapshot clone: failed: ${message}`,
  ...FAILING,
});

async function wanted(
  cluster: Cluster,
  { source, file }: { readonly source: string; readonly file: string | undefined },
): Promise<WantedClone> {
  if (file === undefined) {
    throw new WrongArguments(
      snapshotClone,
      "whole volumes are not cloned by mortar yet; --file NEWPATH makes a file of one in a snapshot",
      true,
    );
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
