/** `snapshot config`: how many snapshots there may be, and what happens by itself. */

import { keyword, managed, optional, Refusal } from "mgmt/cli/managed.ts";
import { WrongArguments } from "mgmt/cli/words.ts";
import { element } from "mgmt/cli/xml.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";
import { bool } from "core/options.ts";
import type { VolumeRecord } from "mgmt/records.ts";
import { limitsOf } from "mgmt/snapshots/limits.ts";
import { volumeNamed } from "mgmt/snapshots/look_up.ts";
import { FAILING } from "mgmt/snapshots/shown.ts";
import { HARD_LIMIT_MAX, type SnapshotSettings } from "mgmt/snapshots/snapshot_record.ts";

const SOFT_LIMIT_MAX = 100;
const BOOL = bool({ default: false, help: "" });

/** Limits of one volume; `soft` is how many snapshots the percentage is. */
type VolumeLimits = {
  readonly name: string;
  readonly hard: number;
  readonly effective: number;
  readonly soft: number;
};

/** What was set; null: that was not. */
type Changed = {
  readonly volume: string | null;
  readonly hardLimit: number | null;
  readonly softLimit: number | null;
  readonly autoDelete: string | null;
  readonly activateOnCreate: string | null;
};

/** What it answers: what was set, or all that is. */
export type SnapshotConfig = {
  readonly changed: Changed | null;
  readonly system: {
    readonly hardLimit: number;
    readonly softLimit: number;
    readonly autoDelete: boolean;
    readonly activateOnCreate: boolean;
  };
  readonly volumes: readonly VolumeLimits[];
};

interface Wanted {
  readonly volume: string | undefined;
  readonly hard: number | undefined;
  readonly soft: number | undefined;
  readonly autoDelete: string | undefined;
  readonly activate: string | undefined;
}

function positive(word: string): number {
  if (/^[1-9]\d{0,8}$/.test(word)) return Number(word);
  throw new RangeError("expected a whole number greater than zero");
}

const SWITCH = { offers: ["enable", "disable"] } as const;

/** See the head of this file. */
export const snapshotConfig = managed({
  path: "snapshot config",
  summary: "Snapshot Config.",
  description: [
    "Alone it shows what is set. The hard limit is the most snapshots that a volume may have, up to " +
    `${HARD_LIMIT_MAX}; a volume's own cannot be more than that of all. From the soft limit on, a ` +
    "percentage of it, one is warned, or with auto-delete the oldest is deleted for each new one.",
  ],
  args: {
    volume: optional("<volname>", { help: "Only for this volume.", offers: "volume" }),
    hard: keyword("snap-max-hard-limit", "<count>", {
      help: "Most snapshots of a volume.",
      parse: positive,
    }),
    soft: keyword("snap-max-soft-limit", "<percent>", {
      help: "Percentage of that; for all volumes only.",
      parse: positive,
    }),
    autoDelete: keyword("auto-delete", "<enable|disable>", {
      ...SWITCH,
      help: "Delete the oldest at the soft limit; for all volumes only.",
    }),
    activate: keyword("activate-on-create", "<enable|disable>", {
      ...SWITCH,
      help: "New snapshots can be looked at at once; for all volumes only.",
    }),
  },
  scope: "all",
  rest: "POST /snapshots/config",
  examples: [
    { what: "What is set", line: "mortar snapshot config" },
    {
      what: "1,000 snapshots of v1 at most, not asking",
      line: "mortar --mode=script snapshot config v1 snap-max-hard-limit 1000",
    },
  ],
  question: ({ hard, soft }) => question(hard, soft),
  check: (cluster, wanted) => check(cluster, wanted),
  apply: (cluster, wanted) => apply(cluster, wanted),
  text: (config) => config.changed ? changedText(config.changed) : shownText(config),
  xml: (config) => [
    element("snapConfig", config.changed ? changedXml(config.changed) : shownXml(config)),
  ],
  failed: (message) => `Snapshot Config : failed: ${message}`,
  ...FAILING,
});

function question(hard: number | undefined, soft: number | undefined): string | undefined {
  const limited = (limit: string) =>
    "Changing snapshot-max-hard-limit will limit the creation of new snapshots " +
    `if they exceed the new ${limit}.\n`;
  const deleted =
    "If Auto-delete is enabled, snap-max-soft-limit will trigger deletion of oldest " +
    "snapshot, on the creation of new snapshot, when the snap-max-soft-limit is reached.\n";
  if (hard !== undefined && soft !== undefined) {
    return `${limited("snapshot-max-hard-limit")}${deleted}Do you want to continue?`;
  }
  if (hard !== undefined) return `${limited("limit")}Do you want to continue?`;
  if (soft !== undefined) return `${deleted}Do you want to change the snap-max-soft-limit?`;
  return undefined;
}

async function check(cluster: Cluster, wanted: Wanted): Promise<void> {
  const { volume, hard, soft, autoDelete, activate } = wanted;
  const wrong = (why: string) => new WrongArguments(snapshotConfig, why, true);
  const sets = (hard !== undefined || soft !== undefined ? 1 : 0) +
    (autoDelete !== undefined ? 1 : 0) + (activate !== undefined ? 1 : 0);
  if (sets > 1) throw wrong("limits, auto-delete and activate-on-create are set one by one");
  if (volume !== undefined && soft !== undefined) {
    throw wrong("Soft limit cannot be set to individual volumes.");
  }
  if (volume !== undefined && (autoDelete ?? activate) !== undefined) {
    const name = autoDelete === undefined ? "activate-on-create" : "auto-delete";
    throw wrong(`As of now, ${name} option cannot be set to volumes`);
  }
  if (volume !== undefined) await volumeNamed(cluster, volume, sets ? "." : "");
  const settings = await cluster.snapshots.settings();
  const hardMax = volume === undefined ? HARD_LIMIT_MAX : settings.hardLimit;
  checkRange("snap-max-hard-limit", hard, hardMax);
  checkRange("snap-max-soft-limit", soft, SOFT_LIMIT_MAX);
  checkSwitch("auto-delete", autoDelete, settings.autoDelete);
  checkSwitch("activate-on-create", activate, settings.activateOnCreate);
}

function checkRange(name: string, value: number | undefined, max: number): void {
  if (value === undefined || value <= max) return;
  throw new Refusal(`Invalid ${name} ${value}. Expected range 1 - ${max}`);
}

function checkSwitch(name: string, word: string | undefined, now: boolean): void {
  if (word === undefined) return;
  const wanted = parsed(word);
  if (wanted === undefined) throw new Refusal(`Please enter a valid boolean value for ${name}`);
  if (wanted === now) throw new Refusal(`${name} is already ${now ? "enabled" : "disabled"}`);
}

function parsed(word: string): boolean | undefined {
  try {
    return BOOL.parse(word);
  } catch {
    return undefined;
  }
}

async function apply(cluster: Cluster, wanted: Wanted): Promise<SnapshotConfig> {
  const { volume, hard, soft, autoDelete, activate } = wanted;
  const { snapshots } = cluster;
  if (hard !== undefined && volume !== undefined) await snapshots.setLimit(volume, hard);
  const change: Partial<SnapshotSettings> = {
    ...hard !== undefined && volume === undefined ? { hardLimit: hard } : {},
    ...soft === undefined ? {} : { softLimit: soft },
    ...autoDelete === undefined ? {} : { autoDelete: parsed(autoDelete)! },
    ...activate === undefined ? {} : { activateOnCreate: parsed(activate)! },
  };
  if (Object.keys(change).length) await snapshots.set(change);
  const set = (hard ?? soft ?? autoDelete ?? activate) !== undefined;
  const system = await snapshots.settings();
  const volumes = volume === undefined ? await cluster.volumes() : [await cluster.volume(volume)];
  return {
    changed: !set ? null : {
      volume: volume ?? null,
      hardLimit: hard ?? null,
      softLimit: soft ?? null,
      autoDelete: autoDelete ?? null,
      activateOnCreate: activate ?? null,
    },
    system: { ...system },
    volumes: await Promise.all(volumes.map((each) => volumeLimits(cluster, each, system))),
  };
}

async function volumeLimits(
  { snapshots }: Cluster,
  { name }: VolumeRecord,
  settings: SnapshotSettings,
): Promise<VolumeLimits> {
  return { name, ...limitsOf(settings, await snapshots.history(name)) };
}

function changedText(changed: Changed): string {
  const { volume, hardLimit, softLimit, autoDelete } = changed;
  if (hardLimit !== null && softLimit !== null) {
    return "snapshot config: snap-max-hard-limit & snap-max-soft-limit for system set successfully\n";
  }
  if (hardLimit !== null || softLimit !== null) {
    const name = hardLimit === null ? "soft" : "hard";
    return `snapshot config: snap-max-${name}-limit for ${volume ?? "System"} set successfully\n`;
  }
  const name = autoDelete === null ? "activate-on-create" : "auto-delete";
  return `snapshot config: ${name} successfully set\n`;
}

function shownText({ system, volumes }: SnapshotConfig): string {
  return [
    "\nSnapshot System Configuration:",
    `snap-max-hard-limit : ${system.hardLimit}`,
    `snap-max-soft-limit : ${system.softLimit}%`,
    `auto-delete : ${shownSwitch(system.autoDelete)}`,
    `activate-on-create : ${shownSwitch(system.activateOnCreate)}\n`,
    "Snapshot Volume Configuration:",
    ...volumes.flatMap(({ name, hard, effective, soft }) => [
      `\nVolume : ${name}`,
      `snap-max-hard-limit : ${hard}`,
      `Effective snap-max-hard-limit : ${effective}`,
      `Effective snap-max-soft-limit : ${soft} (${system.softLimit}%)`,
    ]),
  ].map((line) => `${line}\n`).join("");
}

function shownSwitch(on: boolean): string {
  return on ? "enable" : "disable";
}

function shownXml({ system, volumes }: SnapshotConfig) {
  return [
    element("systemConfig", [
      element("hardLimit", system.hardLimit),
      element("softLimit", `${system.softLimit}%`),
      element("autoDelete", shownSwitch(system.autoDelete)),
      element("activateOnCreate", shownSwitch(system.activateOnCreate)),
    ]),
    element(
      "volumeConfig",
      volumes.map(({ name, hard, effective, soft }) =>
        element("volume", [
          element("name", name),
          element("hardLimit", hard),
          element("effectiveHardLimit", effective),
          element("softLimit", soft),
        ])
      ),
    ),
  ];
}

function changedXml(changed: Changed) {
  const { volume, hardLimit, softLimit, autoDelete, activateOnCreate } = changed;
  const values = [
    ...volume === null ? [] : [element("name", volume)],
    ...hardLimit === null ? [] : [element("newHardLimit", hardLimit)],
    ...softLimit === null ? [] : [element("newSoftLimit", softLimit)],
    ...autoDelete === null ? [] : [element("autoDelete", autoDelete)],
    ...activateOnCreate === null ? [] : [element("activateOnCreate", activateOnCreate)],
  ];
  return [element(volume === null ? "systemConfig" : "volumeConfig", values)];
}
