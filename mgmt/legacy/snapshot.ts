/** The verbs of `snapshot`, which the `gluster` program sends as one, by its numbers and keys. */

import type { VolumeCloned } from "mgmt/commands/snapshot_clone.ts";
import type { SnapshotConfig } from "mgmt/commands/snapshot_config.ts";
import type { SnapshotCreated } from "mgmt/commands/snapshot_create.ts";
import type { SnapshotsDeleted } from "mgmt/commands/snapshot_delete.ts";
import type { SnapshotInfo, SnapshotInfos } from "mgmt/commands/snapshot_info.ts";
import type { SnapshotList } from "mgmt/commands/snapshot_list.ts";
import type { SnapshotRestored } from "mgmt/commands/snapshot_restore.ts";
import type { SnapshotStatuses } from "mgmt/commands/snapshot_status.ts";
import { Refusal } from "mgmt/cli/managed.ts";
import type { Entries, RequestDict } from "mgmt/legacy/request_dict.ts";
import { answerOf, type Run } from "mgmt/legacy/run.ts";
import { noSnapshot } from "mgmt/snapshots/names.ts";
import type { Counts, SnapshotDone } from "mgmt/snapshots/shown.ts";

type Verb = (run: Run, request: RequestDict) => Promise<Entries>;

/** By `type` (`gf1_cli_snapshot`); undefined: nothing. */
const VERBS: readonly (Verb | undefined)[] = [
  undefined,
  create,
  remove,
  restore,
  (run, request) => setActive(run, request, "activate"),
  (run, request) => setActive(run, request, "deactivate"),
  list,
  status,
  config,
  clone,
  info,
];
/** `sub-cmd`: of all, of one, of a volume, of one in turn; `delete` has two of them the other way round. */
const ALL = 0, ONE = 1, VOLUME = 2, IN_TURN = 3;
const DELETE_VOLUME = 1;
/** `config-command`. */
const DISPLAY = 2;
const LIMIT_MAX = 999_999_999;

/** SNAP. */
export async function snapshot(run: Run, request: RequestDict): Promise<Entries> {
  const type = request.number("type", VERBS.length - 1);
  const verb = VERBS[type];
  if (!verb) throw new Refusal(`"snapshot ${type}" is no verb of snapshot`);
  return await verb(run, request);
}

async function create(run: Run, request: RequestDict): Promise<Entries> {
  const description = request.optionalText("description");
  const made = await answerOf<SnapshotCreated>(run, [
    ...["snapshot", "create", request.text("snapname"), request.text("volname1")],
    ...request.flag("no-timestamp") ? ["no-timestamp"] : [],
    ...description === undefined ? [] : ["description", description],
  ]);
  return [
    ["snapname", made.name],
    ["snapuuid", made.id],
    ...made.softLimitReached ? [["soft-limit-reach", 1] as const] : [],
  ];
}

async function setActive(run: Run, request: RequestDict, verb: string): Promise<Entries> {
  const name = request.text("snapname");
  const force = verb === "activate" && request.flag("flags") ? ["force"] : [];
  const { id } = await answerOf<SnapshotDone>(run, ["snapshot", verb, name, ...force]);
  return [["snapuuid", id]];
}

async function restore(run: Run, request: RequestDict): Promise<Entries> {
  const words = ["snapshot", "restore", request.text("snapname")];
  const { name, id, volume, volumeId } = await answerOf<SnapshotRestored>(run, words);
  // The program looks for the volume under two keys.
  const at = [["volname", volume], ["volname1", volume], ["volid", volumeId]] as const;
  return [["snapname", name], ["snapuuid", id], ...at];
}

async function clone(run: Run, request: RequestDict): Promise<Entries> {
  const words = ["snapshot", "clone", request.text("clonename"), request.text("snapname")];
  const { volume, id, snapshot } = await answerOf<VolumeCloned>(run, words);
  return [["clonename", volume], ["snapname", snapshot], ["snapuuid", id]];
}

async function names(run: Run, volume: string | undefined): Promise<readonly string[]> {
  const words = ["snapshot", "list", ...volume === undefined ? [] : [volume]];
  return (await answerOf<SnapshotList>(run, words)).snapshots;
}

function namesEntries(all: readonly string[]): Entries {
  return [
    ["snapcount", all.length],
    ...all.map((name, at) => [`snapname${at + 1}`, name] as const),
  ];
}

async function list(run: Run, request: RequestDict): Promise<Entries> {
  return namesEntries(await names(run, request.optionalText("volname")));
}

// Of several the program is told the names, asks its question, and comes back for each.
async function remove(run: Run, request: RequestDict): Promise<Entries> {
  const which = request.number("sub-cmd", IN_TURN);
  if (which === ALL) return namesEntries(await names(run, undefined));
  if (which === DELETE_VOLUME) return namesEntries(await names(run, request.text("volname")));
  const name = request.text("snapname");
  // A name of several would be more than what was asked.
  if (name === "all") throw noSnapshot(name);
  const { snapshots } = await answerOf<SnapshotsDeleted>(run, ["snapshot", "delete", name]);
  return snapshots.map(({ id }) => ["snapuuid", id] as const);
}

async function info(run: Run, request: RequestDict): Promise<Entries> {
  const which = request.number("sub-cmd", VOLUME);
  const words = which === ALL
    ? []
    : which === ONE
    ? [request.text("snapname")]
    : ["volume", request.text("volname")];
  const { volume, snapshots } = await answerOf<SnapshotInfos>(run, ["snapshot", "info", ...words]);
  return [
    ["snap-driven", volume ? 0 : 1],
    ...volume ? countEntries("", volume.name, volume.counts) : [],
    ["snapcount", snapshots.length],
    ...snapshots.flatMap((each, at) => infoEntries(`snap${at + 1}`, each, volume === null)),
  ];
}

function infoEntries(at: string, info: SnapshotInfo, withOrigin: boolean): Entries {
  return [
    [`${at}.snapname`, info.name],
    [`${at}.snap-id`, info.id],
    ...info.description === null ? [] : [[`${at}.snap-desc`, info.description] as const],
    [`${at}.snap-time`, info.created],
    [`${at}.snap-status`, "In-use"],
    [`${at}.vol-count`, 1],
    [`${at}.vol1.volname`, info.snapshotVolume],
    [`${at}.vol1.vol-status`, info.status],
    ...withOrigin ? countEntries(`${at}.vol1.`, info.volume, info.counts) : [],
  ];
}

function countEntries(at: string, volume: string, { taken, available }: Counts): Entries {
  return [
    [`${at}origin-volname`, volume],
    [`${at}snaps-available`, available],
    // Of a volume's own list the count of what follows says the same.
    ...at === "" ? [] : [[`${at}snapcount`, taken] as const],
  ];
}

async function status(run: Run, request: RequestDict): Promise<Entries> {
  const which = request.number("sub-cmd", IN_TURN);
  if (which === ALL || which === VOLUME) {
    const volume = which === ALL ? undefined : request.text("volname");
    const all = await names(run, volume);
    return [
      ["status.snapcount", all.length],
      ...all.map((name, at) => [`status.snap${at}.snapname`, name] as const),
    ];
  }
  const words = ["snapshot", "status", request.text("snapname")];
  const { snapshots: [one] } = await answerOf<SnapshotStatuses>(run, words);
  const at = "status.snap0", bricks = one!.bricks;
  return [
    ["status.snapcount", 1],
    [`${at}.snapname`, one!.name],
    [`${at}.uuid`, one!.id],
    [`${at}.volcount`, 1],
    [`${at}.vol0.brickcount`, bricks.length],
    ...bricks.flatMap(({ brick, running, pid, missing }, index): Entries => {
      const key = `${at}.vol0.brick${index}`;
      return [
        [`${key}.path`, brick],
        ...missing ? [[`${key}.vgname`, "N/A (Missing)"] as const] : [],
        [`${key}.status`, running ? "Yes" : "No"],
        ...pid === null ? [] : [[`${key}.pid`, pid] as const],
      ];
    }),
  ];
}

async function config(run: Run, request: RequestDict): Promise<Entries> {
  const volume = request.optionalText("volname");
  const words = ["snapshot", "config", ...volume === undefined ? [] : [volume]];
  if (request.number("config-command", DISPLAY) === DISPLAY) {
    return configEntries(await answerOf<SnapshotConfig>(run, words));
  }
  const counted = (key: string) =>
    request.has(key) ? [key, String(request.number(key, LIMIT_MAX))] : [];
  const named = (key: string, word: string) => request.has(key) ? [word, request.text(key)] : [];
  await run([
    ...words,
    ...counted("snap-max-hard-limit"),
    ...counted("snap-max-soft-limit"),
    ...named("auto-delete", "auto-delete"),
    ...named("snap-activate-on-create", "activate-on-create"),
  ]);
  return [];
}

function configEntries({ system, volumes }: SnapshotConfig): Entries {
  const word = (on: boolean) => on ? "enable" : "disable";
  return [
    ["snap-max-hard-limit", system.hardLimit],
    ["snap-max-soft-limit", system.softLimit],
    ["auto-delete", word(system.autoDelete)],
    ["snap-activate-on-create", word(system.activateOnCreate)],
    ["voldisplaycount", volumes.length],
    ...volumes.flatMap(({ name, hard, effective, soft }, at): Entries => [
      [`volume${at}-volname`, name],
      [`volume${at}-snap-max-hard-limit`, hard],
      [`volume${at}-active-hard-limit`, effective],
      [`volume${at}-snap-max-soft-limit`, soft],
    ]),
  ];
}
