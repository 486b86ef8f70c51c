/**
 * The verbs of the `gluster` program, one row each: how its request is said as a command line of
 * ours, and what its reply tells of the answer. Keys as `gluster` 10.3 sends and reads them.
 */

import { OP_ERRNO, Refusal } from "mgmt/cli/managed.ts";
import { getVolume, listVolumes, nodeId } from "mgmt/legacy/info.ts";
import type { PeerProbe } from "mgmt/commands/peer_probe.ts";
import type { VolumeClearLocks } from "mgmt/commands/volume_clear_locks.ts";
import type { VolumeDone } from "mgmt/commands/volume_create.ts";
import type { VolumeGet } from "mgmt/commands/volume_get.ts";
import { resetDone, type VolumeReset } from "mgmt/commands/volume_reset.ts";
import { heal } from "mgmt/legacy/heal.ts";
import { profile } from "mgmt/legacy/profile.ts";
import { type Entries, type RequestDict, type Told, wrong } from "mgmt/legacy/request_dict.ts";
import { answerOf, type Run } from "mgmt/legacy/run.ts";
import { snapshot } from "mgmt/legacy/snapshot.ts";
import { volumeStatus } from "mgmt/legacy/status.ts";
import type { GetStateAnswer } from "mgmt/status/answers.ts";
import { GLUSTER_CLI } from "rpc/programs/gluster_cli.ts";

/** One verb. */
export interface LegacyVerb {
  /** Carries it out; answers what the reply tells. Throws CommandError, and what commands throw. */
  perform(run: Run, request: RequestDict): Promise<Told>;
  /** The reply does not give the request back. */
  readonly bare?: true;
  /** What the reply of a failure tells. */
  readonly failed?: Entries;
  /** The number of a failure, where GlusterFS has another than its general one. */
  readonly errno?: (refusal: Refusal) => number;
  /** Its text, where GlusterFS has another. */
  readonly error?: (refusal: Refusal) => string;
}

/** Bricks of one volume, options of one `volume set`. */
const BRICKS_MAX = 4096, OPTIONS_MAX = 1000;
/** `type` of CREATE_VOLUME (`gf1_cluster_type`). */
const DISTRIBUTE = 0, REPLICATE = 2, DISPERSE = 4;
const NOTHING: Entries = [];

/** By procedure number. */
export const VERBS: ReadonlyMap<number, LegacyVerb> = new Map<number, LegacyVerb>([
  [GLUSTER_CLI.createVolume, {
    ...changing(createWords, "volume-id"),
    errno: ({ opErrno }) => opErrno === OP_ERRNO.volumeExists ? 0 : OP_ERRNO.internal,
  }],
  [GLUSTER_CLI.startVolume, changing((asked) => ["volume", "start", ...named(asked)], "vol-id")],
  [GLUSTER_CLI.stopVolume, changing((asked) => ["volume", "stop", ...named(asked)], "vol-id")],
  [GLUSTER_CLI.deleteVolume, changing(deleteWords, "vol-id")],
  [GLUSTER_CLI.getVolume, {
    ...telling(getVolume),
    bare: true,
    failed: [["count", 0]],
    errno: ({ opErrno }) => opErrno,
    error: (refusal) => isUnknown(refusal) ? "Volume does not exist" : refusal.message,
  }],
  [GLUSTER_CLI.listVolume, { ...telling(listVolumes), bare: true }],
  [GLUSTER_CLI.uuidGet, { ...telling(nodeId), bare: true }],
  [GLUSTER_CLI.statusVolume, telling(volumeStatus)],
  [GLUSTER_CLI.setVolume, telling(setVolume)],
  [GLUSTER_CLI.resetVolume, { perform: resetVolume }],
  [GLUSTER_CLI.getVolumeOption, { ...telling(getOptions), errno: () => 0 }],
  [GLUSTER_CLI.profileVolume, { ...telling(profile), failed: [["count", 0]] }],
  [GLUSTER_CLI.healVolume, telling(heal)],
  [GLUSTER_CLI.statedumpVolume, line(statedumpWords)],
  [GLUSTER_CLI.clearLocks, telling(clearLocks)],
  [GLUSTER_CLI.barrierVolume, line(barrierWords)],
  [GLUSTER_CLI.logRotate, line(rotateWords)],
  [GLUSTER_CLI.syncVolume, line(syncWords)],
  [GLUSTER_CLI.probe, { perform: probe, bare: true }],
  [GLUSTER_CLI.getState, telling(getState)],
  [GLUSTER_CLI.snapshot, { ...telling(snapshot), errno: ({ opErrno }) => opErrno }],
]);

/** What this daemon does not do yet, by the words of the `gluster` program. */
export const NOT_YET: ReadonlyMap<number, string> = new Map([
  [GLUSTER_CLI.deprobe, "peer detach"],
  [GLUSTER_CLI.defragVolume, "volume rebalance"],
  [GLUSTER_CLI.addBrick, "volume add-brick"],
  [GLUSTER_CLI.removeBrick, "volume remove-brick"],
  [GLUSTER_CLI.replaceBrick, "volume replace-brick"],
  [GLUSTER_CLI.resetBrick, "volume reset-brick"],
  [GLUSTER_CLI.gsyncSet, "volume geo-replication"],
  [GLUSTER_CLI.quota, "volume quota"],
  [GLUSTER_CLI.uuidReset, "system:: uuid reset"],
  [GLUSTER_CLI.copyFile, "system:: copy file"],
  [GLUSTER_CLI.sysExec, "system:: execute"],
  [GLUSTER_CLI.ganesha, "nfs-ganesha"],
  [GLUSTER_CLI.bitrot, "volume bitrot"],
]);

function isUnknown({ opErrno }: Refusal): boolean {
  return opErrno === OP_ERRNO.noVolume;
}

/** A verb whose reply tells what `entries` says. */
function telling(
  entries: (run: Run, request: RequestDict) => Promise<Entries>,
): LegacyVerb {
  return { perform: async (run, request) => ({ entries: await entries(run, request) }) };
}

/** A verb whose reply tells nothing but that it was done. */
function line(words: (request: RequestDict) => readonly string[]): LegacyVerb {
  return {
    async perform(run, request) {
      await run(words(request));
      return { entries: NOTHING };
    },
  };
}

/** A verb whose reply tells the volume's id under `idKey`. */
function changing(
  words: (request: RequestDict) => readonly string[],
  idKey: string,
): LegacyVerb {
  return {
    async perform(run, request) {
      const { id } = await answerOf<VolumeDone>(run, words(request));
      return { entries: [[idKey, id]] };
    },
  };
}

function deleteWords(request: RequestDict): string[] {
  return ["volume", "delete", request.text("volname")];
}

function named(request: RequestDict): string[] {
  return [request.text("volname"), ...request.flag("flags") ? ["force"] : []];
}

function createWords(request: RequestDict): string[] {
  const bricks = request.text("bricks").split(" ").filter((each) => each !== "");
  const count = request.number("count", BRICKS_MAX);
  if (bricks.length !== count) throw wrong("bricks", `expected ${count} of them`);
  const odd = bricks.find((each) => !each.includes(":/"));
  if (odd !== undefined) throw wrong("bricks", `"${odd}" is not HOST:/DIRECTORY`);
  return [
    ...["volume", "create", request.text("volname")],
    ...layoutWords(request),
    ...["transport", request.text("transport")],
    ...bricks,
    ...request.flag("force") ? ["force"] : [],
  ];
}

function layoutWords(request: RequestDict): string[] {
  if (request.has("thin-arbiter-count")) {
    throw new Refusal("Thin arbiters are not supported by mortar; use arbiter 1");
  }
  const counted = (word: string, key: string) =>
    request.has(key) ? [word, String(request.number(key, BRICKS_MAX))] : [];
  switch (request.number("type", 9)) {
    case DISTRIBUTE:
      return [];
    case REPLICATE:
      return [
        ...["replica", String(request.number("replica-count", BRICKS_MAX))],
        ...counted("arbiter", "arbiter-count"),
      ];
    case DISPERSE:
      return [
        ...["disperse", String(request.number("disperse-count", BRICKS_MAX))],
        ...counted("redundancy", "redundancy-count"),
      ];
    default:
      throw wrong("type", "expected 0, 2 or 4");
  }
}

async function setVolume(run: Run, request: RequestDict): Promise<Entries> {
  if (request.has("help")) {
    const form = request.text("help") === "help-xml" ? "help-xml" : "help";
    const help = await run(["volume", "set", form]);
    return [["help-str", help.text()]];
  }
  const names = request.list("key", OPTIONS_MAX), values = request.list("value", OPTIONS_MAX);
  if (!names.length || names.length !== values.length) {
    throw wrong("key1", "expected names and as many values");
  }
  const pairs = names.flatMap((name, at) => [name, values[at]!]);
  await run(["volume", "set", request.text("volname"), ...pairs]);
  return NOTHING;
}

async function resetVolume(run: Run, request: RequestDict): Promise<Told> {
  const value = await answerOf<VolumeReset>(run, [
    ...["volume", "reset", request.text("volname"), request.text("key")],
    ...request.flag("force") ? ["force"] : [],
  ]);
  return { entries: NOTHING, ...value.kept.length ? { note: resetDone(value) } : {} };
}

/** `gf_probe_resp`: the host is this one. */
const PROBE_LOCALHOST = 1;

async function probe(run: Run, request: RequestDict): Promise<Told> {
  const { said } = await answerOf<PeerProbe>(run, ["peer", "probe", request.text("hostname")]);
  return { entries: NOTHING, errno: PROBE_LOCALHOST, note: said };
}

async function getOptions(run: Run, request: RequestDict): Promise<Entries> {
  const words = ["volume", "get", request.text("volname"), request.text("key")];
  const { options } = await answerOf<VolumeGet>(run, words);
  return [
    ["count", options.length],
    ...options.flatMap(({ key, value }, at): Entries => [
      [`key${at + 1}`, key],
      [`value${at + 1}`, value],
    ]),
  ];
}

function statedumpWords(request: RequestDict): string[] {
  const options = (request.optionalText("options") ?? "").split(" ").filter((each) => each !== "");
  return ["volume", "statedump", request.text("volname"), ...options];
}

async function clearLocks(run: Run, request: RequestDict): Promise<Entries> {
  const opts = request.optionalText("opts");
  const { summary } = await answerOf<VolumeClearLocks>(run, [
    ...["volume", "clear-locks", request.text("volname"), request.text("path")],
    ...["kind", request.text("kind"), request.text("type")],
    ...opts === undefined ? [] : [opts],
  ]);
  return [["lk-summary", summary]];
}

function barrierWords(request: RequestDict): string[] {
  return ["volume", "barrier", request.text("volname"), request.text("barrier")];
}

function rotateWords(request: RequestDict): string[] {
  const brick = request.optionalText("brick");
  return [
    ...["volume", "log", "rotate", request.text("volname")],
    ...brick === undefined ? [] : [brick],
  ];
}

function syncWords(request: RequestDict): string[] {
  const what = request.flag("flags") ? "all" : request.text("volname");
  return ["volume", "sync", request.text("hostname"), what];
}

/** `getstate-cmd` (`gf_cli_get_state_op`). */
const STATE_FORMS: readonly string[] = ["", "detail", "volumeoptions"];

async function getState(run: Run, request: RequestDict): Promise<Entries> {
  const folder = request.optionalText("odir"), file = request.optionalText("filename");
  const form = STATE_FORMS[request.number("getstate-cmd", STATE_FORMS.length - 1, 0)]!;
  const { daemon, path } = await answerOf<GetStateAnswer>(run, [
    ...["get-state", request.text("daemon")],
    ...folder === undefined ? [] : ["odir", folder],
    ...file === undefined ? [] : ["file", file],
    ...form === "" ? [] : [form],
  ]);
  return [["daemon", daemon], ["ofilepath", path]];
}
