/** `snapshot schedule`: snapshots that are taken by themselves, and how long they are kept. */

import { duration } from "core/options.ts";
import { keyword, managed, operand, optional, volumeName, word } from "mgmt/cli/managed.ts";
import { WrongArguments } from "mgmt/cli/words.ts";
import { element } from "mgmt/cli/xml.ts";
import { Calendar, localZone } from "mgmt/snapshots/calendar.ts";
import { volumeNamed } from "mgmt/snapshots/look_up.ts";
import { newSnapshotName, stampedName, timeText } from "mgmt/snapshots/names.ts";
import type { ScheduleRecord } from "mgmt/snapshots/schedule_record.ts";
import { dueAt } from "mgmt/snapshots/schedules.ts";
import { FAILING } from "mgmt/snapshots/shown.ts";

/** One of them. Times as GlusterFS tells them. */
export type Schedule = {
  readonly volume: string;
  readonly prefix: string;
  readonly when: string;
  readonly zone: string;
  /** Null: as many as there are. */
  readonly keep: number | null;
  /** Seconds; null: for ever. */
  readonly keepFor: number | null;
  readonly force: boolean;
  /** Null: none was taken yet. */
  readonly last: { readonly at: string; readonly snapshot: string } | null;
  /** Null: the last one was taken. */
  readonly failed: { readonly at: string; readonly why: string } | null;
  /** Null: it is never due again. */
  readonly next: string | null;
};

/** What `snapshot schedule list` answers. */
export type Schedules = { readonly schedules: readonly Schedule[] };

const SECONDS = duration({ default: 0, min: 1, help: "" });

function positive(word: string): number {
  if (/^[1-9]\d{0,5}$/.test(word)) return Number(word);
  throw new RangeError("expected a whole number greater than zero");
}

/** Snapshots at times of the calendar. */
export const snapshotScheduleAdd = managed({
  path: "snapshot schedule add",
  summary: "Take snapshots by the calendar",
  description: [
    "--when is cron's five fields in quotes: minute, hour, day of the month, month, day of the week, " +
    'such as "30 2 * * *" (each day at half past two), "*/15 8-18 * * mon-fri", "0 4 1 * *" (each ' +
    "first day of a month); or @hourly, @daily, @weekly, @monthly, @yearly.",
    "Snapshots are called PREFIX_GMT-DATE-TIME. What was due while no management daemon ran is taken " +
    "once when one runs again. A failure is tried again four times, a minute apart.",
    "When one was taken, older ones of the same schedule go: all but the newest --keep, and those " +
    "that are older than --keep-for. Others are never touched.",
  ],
  args: {
    volume: volumeName,
    prefix: optional("<NAME-PREFIX>", {
      help: "What names begin with; if it is left out, the volume's name.",
    }),
    when: keyword("--when", "<EXPRESSION>", { help: "When they are taken." }),
    keep: keyword("--keep", "<COUNT>", {
      help: "The newest that many are kept; if it is left out, all.",
      parse: positive,
    }),
    keepFor: keyword("--keep-for", "<TIME>", {
      help: "How long they are kept, such as 12h or 30d; if it is left out, for ever.",
      parse: (word) => Math.ceil(SECONDS.parse(word)),
    }),
    zone: keyword("--zone", "<TIMEZONE>", {
      help: "Time zone of --when, such as Europe/Berlin; if it is left out, this machine's.",
    }),
    force: word("force", "Although bricks are down, which will then not have them."),
  },
  scope: "volume",
  rest: "POST /volumes/{volume}/schedules",
  examples: [
    {
      what: "Each night, kept for a month",
      line: 'mortar snapshot schedule add v1 nightly --when "30 2 * * *" --keep-for 30d',
    },
    {
      what: "Each hour, the newest 24",
      line: "mortar snapshot schedule add v1 hourly --when @hourly --keep 24",
    },
  ],
  async check(cluster, { volume, prefix, when, zone }) {
    await volumeNamed(cluster, volume);
    newSnapshotName(prefix ?? volume);
    stampedName(prefix ?? volume, cluster.env.clock.now());
    if (when === undefined) {
      throw new WrongArguments(snapshotScheduleAdd, "--when is missing", false);
    }
    try {
      new Calendar(when, zone ?? localZone());
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      const why = `"${when}" for --when: ${error.message}`;
      throw new WrongArguments(snapshotScheduleAdd, why, true);
    }
  },
  async apply(cluster, { volume, prefix, when, keep, keepFor, zone, force }): Promise<Schedule> {
    const record = await cluster.schedules.add({
      ...{ volume, prefix: prefix ?? volume, when: when!, zone: zone ?? localZone(), force },
      ...keep === undefined ? {} : { keep },
      ...keepFor === undefined ? {} : { keepFor },
    });
    return shown(record, cluster.env.clock.now());
  },
  text: ({ prefix, next }) =>
    `snapshot schedule add: success: ${prefix}, for the first time at ${next}\n`,
  xml: (schedule) => [element("snapScheduleAdd", [scheduleXml(schedule)])],
  failed: (message) => `snapshot schedule add: failed: ${message}`,
  ...FAILING,
});

/** What is taken by itself, and whether that went well. */
export const snapshotScheduleList = managed({
  path: "snapshot schedule list",
  summary: "List schedules of snapshots: when they ran last, what failed, when they run next",
  args: {
    volume: optional("<VOLNAME>", { help: "Only those of this volume.", offers: "volume" }),
  },
  scope: "nothing",
  rest: "GET /schedules",
  examples: [{ what: "Those of v1", line: "mortar snapshot schedule list v1" }],
  async apply(cluster, { volume }): Promise<Schedules> {
    if (volume !== undefined) await volumeNamed(cluster, volume);
    const now = cluster.env.clock.now();
    const wanted = (await cluster.schedules.all())
      .filter((each) => volume === undefined || each.volume === volume);
    return { schedules: wanted.map((each) => shown(each, now)) };
  },
  text: ({ schedules }) =>
    schedules.length ? schedules.map(scheduleText).join("\n") : "No schedules present\n",
  xml: ({ schedules }) => [
    element("snapScheduleList", [
      element("count", schedules.length),
      ...schedules.map(scheduleXml),
    ]),
  ],
  failed: (message) => `snapshot schedule list: failed: ${message}`,
  ...FAILING,
});

/** No more of them. */
export const snapshotScheduleRemove = managed({
  path: "snapshot schedule remove",
  summary: "Take no more snapshots by the calendar",
  description: [
    "Snapshots that were taken stay. A schedule of the same prefix that is added later goes on with " +
    "them: they count for its --keep and --keep-for.",
  ],
  args: {
    volume: volumeName,
    prefix: operand("<NAME-PREFIX>", { help: "As it was added." }),
  },
  scope: "volume",
  rest: "DELETE /volumes/{volume}/schedules/{prefix}",
  examples: [{ what: "No more each night", line: "mortar snapshot schedule remove v1 nightly" }],
  async check(cluster, { volume }) {
    await volumeNamed(cluster, volume);
  },
  async apply(cluster, { volume, prefix }) {
    await cluster.schedules.remove(volume, prefix);
    return { volume, prefix };
  },
  text: ({ prefix }) => `snapshot schedule remove: success: ${prefix}\n`,
  xml: ({ volume, prefix }) => [
    element("snapScheduleRemove", [element("volume", volume), element("prefix", prefix)]),
  ],
  failed: (message) => `snapshot schedule remove: failed: ${message}`,
  ...FAILING,
});

function shown(record: ScheduleRecord, now: number): Schedule {
  const { volume, prefix, when, zone, keep, keepFor, force, last, failed } = record;
  const next = dueAt(record, now);
  return {
    ...{ volume, prefix, when, zone, keep: keep ?? null, keepFor: keepFor ?? null, force },
    last: last ? { ...last, at: timeText(last.at) } : null,
    failed: failed ? { ...failed, at: timeText(failed.at) } : null,
    next: next === undefined ? null : timeText(next),
  };
}

function keptText({ keep, keepFor }: Schedule): string {
  const parts = [
    ...keep === null ? [] : [`the newest ${keep}`],
    ...keepFor === null ? [] : [`for ${timeSpan(keepFor)}`],
  ];
  return parts.join(", ") || "all";
}

function timeSpan(seconds: number): string {
  for (const [size, unit] of [[86_400, "days"], [3600, "hours"], [60, "minutes"]] as const) {
    if (seconds % size === 0) return `${seconds / size} ${unit}`;
  }
  return `${seconds} seconds`;
}

function scheduleText(schedule: Schedule): string {
  const { volume, prefix, when, zone, force, last, failed, next } = schedule;
  const rows: [string, string][] = [
    ["Schedule", prefix],
    ["Volume", volume],
    ["When", `${when} (${zone})${force ? ", although bricks are down" : ""}`],
    ["Keeps", keptText(schedule)],
    ["Last run", last ? `${last.at}, ${last.snapshot}` : "none yet"],
    ["Last error", failed ? `${failed.at}, ${failed.why}` : "none"],
    ["Next run", next ?? "never"],
  ];
  return rows.map(([name, value]) => `${name.padEnd(10)} : ${value}\n`).join("");
}

function scheduleXml(schedule: Schedule) {
  const { volume, prefix, when, zone, keep, keepFor, force, last, failed, next } = schedule;
  return element("schedule", [
    element("prefix", prefix),
    element("volume", volume),
    element("when", when),
    element("zone", zone),
    ...keep === null ? [] : [element("keep", keep)],
    ...keepFor === null ? [] : [element("keepFor", keepFor)],
    element("force", force ? 1 : 0),
    ...last ? [element("lastRun", last.at), element("lastSnapshot", last.snapshot)] : [],
    ...failed ? [element("lastErrorAt", failed.at), element("lastError", failed.why)] : [],
    ...next === null ? [] : [element("nextRun", next)],
  ]);
}
