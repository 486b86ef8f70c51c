/** `volume nbd`: files of a volume that the management daemon has served by NBD, for as long as they are listed. */

import { choice, keyword, managed, optional, Refusal, volumeName, word } from "mgmt/cli/managed.ts";
import { WrongArguments } from "mgmt/cli/words.ts";
import { element } from "mgmt/cli/xml.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";
import { startedVolume } from "mgmt/commands/ask_bricks.ts";
import { table } from "mgmt/file/listing.ts";
import { type ExportRecord, isExportName } from "mgmt/nbd/kept_exports.ts";
import { fileAt, snapshotOf } from "mgmt/snapshots/look_up.ts";

/** One of them. */
type Export = {
  readonly name: string;
  readonly path: string;
  /** Null: the file as it is now. */
  readonly snapshot: string | null;
  readonly readOnly: boolean;
  /** As NBD's clients take it; one for each place that it is served at. */
  readonly uris: readonly string[];
};

/** What it answers: of add and remove the one, of list all of the volume. */
export type VolumeNbd = {
  readonly volume: string;
  readonly exports: readonly Export[];
  /** Whether the server runs. */
  readonly online: boolean;
};

/** See the head of this file. */
export const volumeNbd = managed({
  path: "volume nbd",
  summary: "serve files of a volume as network block devices, or list those that are",
  description: [
    "Exports are there as soon as they are added, and again when the daemon starts. They are served " +
    "on a unix socket that list tells, for root, and where mortar mgmt --nbd says. What is removed " +
    "ends for its clients. A snapshot's file is read-only.",
    'A file of another volume server, or only for a while: "mortar nbd".',
  ],
  args: {
    volume: volumeName,
    action: choice(["add", "list", "remove"], "What to do."),
    name: optional("<NAME>", { help: "Name of the export, for clients." }),
    path: optional("<PATH>", { help: "To add: the file, by its path in the volume." }),
    snapshot: keyword("snapshot", "<SNAPNAME>", {
      help: "To add: the file as it is in that snapshot.",
      offers: "snapshot",
    }),
    readOnly: word("read-only", "To add: refuse changes."),
  },
  scope: "volume",
  rest: "POST /volumes/{volume}/nbd",
  examples: [
    { what: "Serve a disk", line: "mortar volume nbd v1 add vm1 /images/vm1.img" },
    {
      what: "As it was, for a backup",
      line: "mortar volume nbd v1 add vm1-old /images/vm1.img snapshot before-upgrade",
    },
    { what: "What is served, and where", line: "mortar volume nbd v1 list" },
    { what: "No more", line: "mortar volume nbd v1 remove vm1" },
  ],
  async check(cluster, args) {
    const { volume: name, action, name: as, path, snapshot } = args;
    const wrong = (why: string) => new WrongArguments(volumeNbd, why, false);
    if (action !== "list" && as === undefined) throw wrong("<NAME> is missing");
    if ((action === "add") !== (path !== undefined)) {
      throw wrong(action === "add" ? "<PATH> is missing" : `${action} takes no <PATH>`);
    }
    if (action !== "add") return void await cluster.volume(name);
    if (!isExportName(as!)) {
      throw new Refusal(
        `Cannot export as "${as}": a name has letters, digits, ".", "_" and "-", 128 at most`,
      );
    }
    const volume = await startedVolume(cluster, name, `Volume ${name} is not started`);
    if (snapshot === undefined) return void await fileAt(cluster, volume, path!, "export");
    const found = await snapshotOf(cluster, snapshot);
    if (found.volume.name !== name) {
      throw new Refusal(
        `Snapshot ${snapshot} is one of volume ${found.volume.name}, not of ${name}`,
      );
    }
    if (!path!.startsWith("/")) throw new Refusal(`Cannot export "${path}": begin it with "/"`);
  },
  async apply(cluster, args): Promise<VolumeNbd> {
    const { volume, action, name, path, snapshot, readOnly } = args;
    if (action === "list") {
      const all = await cluster.exports.all();
      return answer(cluster, volume, all.filter((each) => each.volume === volume));
    }
    const record: ExportRecord = {
      name: name!,
      volume,
      path: `/${(path ?? "").replace(/^\/+/, "")}`,
      ...snapshot === undefined ? {} : { snapshot },
      readOnly: readOnly || snapshot !== undefined,
    };
    if (action === "add") await cluster.exports.add(record);
    else await cluster.exports.remove(volume, name!);
    await cluster.convergeNbd();
    return answer(cluster, volume, [record]);
  },
  text({ exports, online }, { action }) {
    const [first] = exports;
    if (action === "remove") return `volume nbd: success: ${first!.name} is served no more\n`;
    if (action === "add") {
      return `volume nbd: success: ${first!.name} is served\n${lines(first!.uris)}`;
    }
    if (!exports.length) return "No exports in this volume\n";
    const rows = exports.map(({ name, path, snapshot, readOnly, uris }) => [
      ...[name, path, snapshot ?? "-", readOnly ? "read-only" : "read-write", uris[0] ?? "-"],
    ]);
    const down = online ? "" : "The server does not run; see its log.\n";
    return table([["NAME", "PATH", "SNAPSHOT", "ACCESS", "URI"], ...rows], []) + down;
  },
  xml: ({ exports, online }) => [
    element("volNbd", [
      element("online", online ? 1 : 0),
      ...exports.map(({ name, path, snapshot, readOnly, uris }) =>
        element("export", [
          ...[element("name", name), element("path", path)],
          ...snapshot === null ? [] : [element("snapshot", snapshot)],
          element("readOnly", readOnly ? 1 : 0),
          ...uris.map((uri) => element("uri", uri)),
        ])
      ),
    ]),
  ],
  failed: (message) => `volume nbd: failed: ${message}`,
});

function answer(cluster: Cluster, volume: string, records: readonly ExportRecord[]): VolumeNbd {
  const { nbd } = cluster;
  return {
    volume,
    online: nbd?.pid !== undefined,
    exports: records.map(({ name, path, snapshot, readOnly }) => ({
      ...{ name, path, readOnly, snapshot: snapshot ?? null },
      uris: nbd ? urisOf(nbd, name) : [],
    })),
  };
}

function urisOf(nbd: NonNullable<Cluster["nbd"]>, name: string): string[] {
  const scheme = nbd.encrypted ? "nbds" : "nbd";
  return [
    ...nbd.listens.map((each) => `${scheme}://${each}/${name}`),
    `${scheme}+unix:///${name}?socket=${nbd.socket}`,
  ];
}

function lines(texts: readonly string[]): string {
  return texts.map((each) => `${each}\n`).join("");
}
