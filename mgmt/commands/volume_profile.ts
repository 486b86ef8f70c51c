/** `volume profile`: how often bricks are asked for what, and how long it takes. */

import { FOPS } from "core/fops.ts";
import {
  fopNumber,
  INFO,
  type InfoOp,
  type NumberedPeriod,
  profileRequest,
  readProfile,
} from "mgmt/brick/profile.ts";
import {
  type Arguments,
  type ArgumentTable,
  managed,
  operand,
  optionalChoice,
  Refusal,
  volumeName,
  word,
} from "mgmt/cli/managed.ts";
import { element, type XmlElement } from "mgmt/cli/xml.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";
import { runningBricks, startedVolume, tellBricks } from "mgmt/commands/ask_bricks.ts";
import { brickText, type VolumeRecord } from "mgmt/records.ts";
import { xlatorInfo } from "rpc/programs/brick_ops.ts";

const ACTIONS = ["start", "info", "stop"] as const;
type Action = typeof ACTIONS[number];
/** As `--xml` numbers them (`gf1_cli_stats_op`). */
const NUMBERS: Readonly<Record<Action, number>> = { start: 1, stop: 2, info: 3 };

const OPTIONS = ["diagnostics.latency-measurement", "diagnostics.count-fop-hits"] as const;

/** What it answers. */
export type VolumeProfile = {
  readonly volume: string;
  readonly action: Action;
  /** What was asked for: the number of `INFO`. */
  readonly info: InfoOp;
  readonly bricks: readonly BrickProfile[];
};

/** One brick. */
export type BrickProfile = {
  readonly brick: string;
  readonly cleared: boolean;
  readonly periods: readonly NumberedPeriod[];
};

const args = {
  volume: volumeName,
  action: operand("{start|info [peek|incremental [peek]|cumulative|clear]|stop}", {
    help: "Start to count, tell what was counted, or stop.",
    offers: ACTIONS,
    parse(given): Action {
      const found = ACTIONS.find((each) => each === given);
      if (found === undefined) throw new RangeError(`expected one of ${ACTIONS.join(", ")}`);
      return found;
    },
  }),
  form: optionalChoice(
    ["incremental", "cumulative", "clear"],
    "Only since the last info, only since the start, or start at 0 again.",
  ),
  peek: word("peek", "Start no new interval."),
} satisfies ArgumentTable;

/** See the head of this file. */
export const volumeProfile = managed({
  path: "volume profile",
  summary: "volume profile operations",
  args,
  scope: "volume",
  rest: "POST /volumes/{volume}/profile",
  examples: [
    { what: "Count and time what clients of v1 ask for", line: "mortar volume profile v1 start" },
    { what: "What was counted", line: "mortar volume profile v1 info" },
    { what: "Look, starting no new interval", line: "mortar volume profile v1 info peek" },
  ],
  async check(cluster, { volume: name, action, form, peek }) {
    const volume = await cluster.volume(name);
    if (action !== "info" && (form !== undefined || peek)) {
      throw new Refusal(`"${form ?? "peek"}" goes with info only`);
    }
    if (peek && form !== undefined && form !== "incremental") {
      throw new Refusal(`"peek" does not go with ${form}: that starts no interval`);
    }
    const counts = isProfiled(volume);
    if (action === "start" && counts) {
      throw new Refusal(`Profile on Volume ${name} is already started`);
    }
    if (action !== "start" && !counts) {
      throw new Refusal(`Profile on Volume ${name} is not started`);
    }
    if (action === "info") await startedVolume(cluster, name);
  },
  async apply(cluster, given): Promise<VolumeProfile> {
    const { volume: name, action, form, peek } = given;
    const info = form === undefined ? INFO.all : INFO[form];
    if (action === "info") {
      const bricks = await asked(cluster, await cluster.volume(name), info, peek);
      return { volume: name, action, info, bricks };
    }
    await cluster.update(name, (volume) => switched(volume, action === "start"));
    return { volume: name, action, info, bricks: [] };
  },
  text: ({ volume, action, bricks }) =>
    action === "info"
      ? bricks.map(brickLines).join("")
      : `${
        action === "start" ? "Starting" : "Stopping"
      } volume profile on ${volume} has been successful \n`,
  aside: ({ volume, action, bricks }) =>
    action === "info" && !bricks.length ? `All bricks of volume ${volume} are down.\n` : "",
  xml: ({ action, bricks }, given) => [
    element("volProfile", [
      ...headXml(given),
      ...action === "info" ? [element("brickCount", bricks.length), ...bricks.map(brickXml)] : [],
    ]),
  ],
  failedXml: (_message, given) => ({
    elements: [
      element("volProfile", [
        ...headXml(given),
        ...given.action === "info" ? [element("brickCount", 0)] : [],
      ]),
    ],
    exitCode: 0,
  }),
});

function isProfiled({ options }: VolumeRecord): boolean {
  return OPTIONS.every((name) => options[name] !== undefined);
}

function switched(volume: VolumeRecord, on: boolean): VolumeRecord {
  const options = { ...volume.options };
  for (const name of OPTIONS) {
    if (on) options[name] = "on";
    else delete options[name];
  }
  return { ...volume, options };
}

async function asked(
  cluster: Cluster,
  volume: VolumeRecord,
  info: InfoOp,
  peek: boolean,
): Promise<BrickProfile[]> {
  const bricks = runningBricks(cluster, volume);
  const told = await tellBricks(cluster, volume, bricks, xlatorInfo, profileRequest(info, peek));
  return told.map(({ brick, answer }) => ({
    brick: brickText(brick),
    ...readProfile(answer.output),
  }));
}

function brickLines({ brick, cleared, periods }: BrickProfile): string {
  const title = `Brick: ${brick}`;
  const body = cleared ? "Cleared stats.\n" : periods.map(periodLines).join("");
  return `${title}\n${"-".repeat(title.length)}\n${body}`;
}

const FOPS_HEAD = ["%-latency", "Avg-latency", "Min-Latency", "Max-Latency", "No. of calls", "Fop"];

function periodLines(period: NumberedPeriod): string {
  const { interval, seconds, bytesRead, bytesWritten } = period;
  const fops = fopRows(period);
  return [
    interval === -1 ? "Cumulative Stats:" : `Interval ${interval} Stats:`,
    ...blockLines(period),
    ...fops.length ? [columns(FOPS_HEAD), columns(FOPS_HEAD.map(underline)), ...fops] : [],
    " ",
    `${"Duration".padStart(12)}: ${seconds} seconds`,
    `${"Data Read".padStart(12)}: ${bytesRead} bytes`,
    `${"Data Written".padStart(12)}: ${bytesWritten} bytes`,
    " ",
    "",
  ].join("\n");
}

function underline(title: string): string {
  return "-".repeat(title === "%-latency" ? 9 : title === "Fop" ? 4 : title.length);
}

function columns(cells: readonly string[]): string {
  const widths = [10, 13, 13, 13, 14, 11];
  return cells.map((cell, i) => cell.padStart(widths[i]!)).join(" ");
}

// Three sizes a line, each with its reads and writes below.
function blockLines({ reads, writes }: NumberedPeriod): string[] {
  const readsOf = new Map(reads), writesOf = new Map(writes);
  const sizes = [...new Set([...readsOf.keys(), ...writesOf.keys()])].sort((a, b) => a - b);
  const lines: string[] = [];
  const row = (title: string, cells: readonly string[]) =>
    title.padStart(14) + cells.map((cell) => `${cell.padStart(21)} `).join("");
  for (let at = 0; at < sizes.length; at += 3) {
    const some = sizes.slice(at, at + 3);
    lines.push(
      row("Block Size:", some.map((size) => `${size}b+`)),
      row("No. of Reads:", some.map((size) => String(readsOf.get(size) ?? 0))),
      row("No. of Writes:", some.map((size) => String(writesOf.get(size) ?? 0))),
      ...some.length === 3 ? [" "] : [],
    );
  }
  return lines;
}

function fopRows({ fops }: NumberedPeriod): string[] {
  const total = fops.reduce((sum, { hits, averageNs }) => sum + hits * averageNs, 0);
  return fops
    .map((fop) => ({ ...fop, share: total ? 100 * fop.hits * fop.averageNs / total : 0 }))
    .sort((a, b) => a.share - b.share || fopNumber(a.fop) - fopNumber(b.fop))
    .map(({ fop, hits, averageNs, minNs, maxNs, share }) =>
      [
        share.toFixed(2).padStart(10),
        ...[averageNs, minNs, maxNs].map((ns) => `${ns.toFixed(2).padStart(10)} ns`),
        String(hits).padStart(14),
        FOPS[fop].label.padStart(11),
      ].join(" ")
    );
}

function headXml({ volume, action }: Arguments<typeof args>): XmlElement[] {
  return [element("volname", volume), element("profileOp", NUMBERS[action])];
}

function brickXml({ brick, cleared, periods }: BrickProfile): XmlElement {
  return element("brick", [
    element("brickName", brick),
    ...cleared ? [element("clearStats", "Cleared stats.")] : periods.map(periodXml),
  ]);
}

function periodXml(period: NumberedPeriod): XmlElement {
  const { interval, reads, writes, fops, seconds, bytesRead, bytesWritten } = period;
  const readsOf = new Map(reads), writesOf = new Map(writes);
  return element(interval === -1 ? "cumulativeStats" : "intervalStats", [
    element(
      "blockStats",
      Array.from({ length: 32 }, (_, i) => 2 ** i).map((size) =>
        element("block", [
          element("size", size),
          element("reads", readsOf.get(size) ?? 0),
          element("writes", writesOf.get(size) ?? 0),
        ])
      ),
    ),
    element(
      "fopStats",
      // What was counted before times were measured has none, and is left out as in GlusterFS.
      fops.filter(({ timed }) => timed).sort((a, b) => fopNumber(a.fop) - fopNumber(b.fop))
        .map(({ fop, hits, averageNs, minNs, maxNs }) =>
          element("fop", [
            element("name", FOPS[fop].label),
            element("hits", hits),
            element("avgLatency", averageNs.toFixed(6)),
            element("minLatency", minNs.toFixed(6)),
            element("maxLatency", maxNs.toFixed(6)),
          ])
        ),
    ),
    element("duration", seconds),
    element("totalRead", bytesRead),
    element("totalWrite", bytesWritten),
  ]);
}
