/** `volume top`: the files that clients use most, by brick. */

import { TOP_KINDS, type TopKind } from "core/reports.ts";
import {
  clearRequest,
  type DiskTest,
  LIST_MAX,
  readTop,
  type TopAnswer,
  type TopEntry,
  topRequest,
} from "mgmt/brick/top.ts";
import {
  type Arguments,
  type ArgumentTable,
  choice,
  keyword,
  managed,
  Refusal,
  volumeName,
} from "mgmt/cli/managed.ts";
import { element, type XmlElement } from "mgmt/cli/xml.ts";
import { runningBricks, startedVolume, tellBricks } from "mgmt/commands/ask_bricks.ts";
import { brickText } from "mgmt/records.ts";
import { dumpTime } from "mgmt/statedump.ts";
import { xlatorInfo } from "rpc/programs/brick_ops.ts";

const KINDS = [
  "open",
  "read",
  "write",
  "opendir",
  "readdir",
  "read-perf",
  "write-perf",
  "clear",
] as const;
type Kind = typeof KINDS[number];

const TEST_MAX = 10 * 2 ** 30;

/** What it answers. */
export type VolumeTop = {
  readonly volume: string;
  readonly kind: Kind;
  readonly bricks: readonly BrickTop[];
};

/** One brick. */
export type BrickTop = TopAnswer & { readonly brick: string };

const args = {
  volume: volumeName,
  kind: choice(KINDS, "What to list; clear: forget all counts."),
  size: keyword("bs", "<size>", {
    help: "Also measure the disk: write blocks of so many bytes.",
    parse: positive("block size"),
  }),
  blocks: keyword("count", "<count>", {
    help: "How many blocks to write.",
    parse: positive("count"),
  }),
  brick: keyword("brick", "<brick>", { help: "One brick, as HOST:/PATH.", offers: "brick" }),
  count: keyword("list-cnt", "<value>", {
    help: `How many files to list, ${LIST_MAX} at most.`,
    parse(given) {
      const value = /^\d{1,4}$/.test(given) ? Number(given) : NaN;
      if (value <= LIST_MAX) return value;
      throw new RangeError(`list-cnt should be between 0 to ${LIST_MAX}`);
    },
  }),
} satisfies ArgumentTable;

/** See the head of this file. */
export const volumeTop = managed({
  path: "volume top",
  summary: "volume top operations",
  args,
  scope: "volume",
  rest: "POST /volumes/{volume}/top",
  examples: [
    { what: "Files that are written most", line: "mortar volume top v1 write list-cnt 10" },
    {
      what: "How fast a brick's disk is",
      line: "mortar volume top v1 write-perf bs 1048576 count 100 brick a:/bricks/v1 list-cnt 0",
    },
  ],
  async check(cluster, given) {
    const volume = await startedVolume(cluster, given.volume);
    diskTest(given);
    runningBricks(cluster, volume, given.brick);
  },
  async apply(cluster, given): Promise<VolumeTop> {
    const { kind, brick: only, count } = given;
    const volume = await cluster.volume(given.volume);
    const bricks = runningBricks(cluster, volume, only);
    const wanted = TOP_KINDS[KINDS.indexOf(kind)] as TopKind | undefined;
    const input = wanted === undefined
      ? clearRequest()
      : topRequest(wanted, count ?? LIST_MAX, diskTest(given));
    const told = await tellBricks(cluster, volume, bricks, xlatorInfo, input);
    return {
      volume: volume.name,
      kind,
      bricks: told.map(({ brick, answer }) => ({
        brick: brickText(brick),
        ...readTop(answer.output),
      })),
    };
  },
  text: ({ kind, bricks }) => bricks.map((brick) => brickLines(kind, brick)).join(""),
  xml: ({ kind, bricks }) => [
    element("volTop", [
      element("brickCount", bricks.length),
      element("topOp", (KINDS.indexOf(kind) + 1) % KINDS.length),
      ...bricks.map((brick) => brickXml(kind, brick)),
    ]),
  ],
  failed: (message) => `${message}\nvolume top unsuccessful`,
});

function positive(what: string): (given: string) => number {
  return (given) => {
    if (/^\d{1,9}$/.test(given) && Number(given) > 0) return Number(given);
    throw new RangeError(`${what} should be an integer greater than zero`);
  };
}

function diskTest(
  { kind, size, blocks }: Arguments<typeof args>,
): DiskTest | undefined {
  if (size === undefined && blocks === undefined) return undefined;
  if (kind !== "read-perf" && kind !== "write-perf") {
    throw new Refusal(`"bs" and "count" go with read-perf and write-perf, not with ${kind}`);
  }
  if (size === undefined || blocks === undefined) {
    throw new Refusal("Need to give both 'bs' and 'count'");
  }
  if (size * blocks > TEST_MAX) {
    throw new Refusal(
      `'bs * count' value ${size * blocks} is greater than maximum allowed value of 10GB`,
    );
  }
  return { blockSize: size, blocks };
}

const NAME_WIDTH = 47, TIME_WIDTH = 26;

function isPerf(kind: Kind): boolean {
  return kind === "read-perf" || kind === "write-perf";
}

function brickLines(kind: Kind, { brick, cleared, opens, disk, files }: BrickTop): string {
  if (kind === "clear") {
    return cleared
      ? `Cleared stats for brick ${brick}\n`
      : `Failed to clear stats for brick ${brick}\n`;
  }
  const lines = [`Brick: ${brick}`];
  if (opens) {
    const { now, most, mostAt } = opens;
    lines.push(`Current open fds: ${now}, Max open fds: ${most}, Max openfd time: ${mostAt}`);
  }
  if (disk) {
    const { throughput, time } = disk;
    lines.push(
      `Throughput ${throughput.toFixed(2)} MBps time ${(time / 1e6).toFixed(4)} secs`,
    );
  }
  if (files.length) lines.push(...isPerf(kind) ? perfLines(files) : countLines(files));
  return lines.map((line) => `${line}\n`).join("");
}

function countLines(files: readonly TopEntry[]): string[] {
  return [
    "Count\t\tfilename",
    "=======================",
    ...files.map(({ value, name }) => `${value}\t\t${name}`),
  ];
}

function perfLines(files: readonly TopEntry[]): string[] {
  const row = (speed: string, name: string, time: string) =>
    `${speed.padStart(4)} ${name.padEnd(NAME_WIDTH)} ${time.padEnd(TIME_WIDTH)}`;
  return [
    row("MBps", "Filename", "Time"),
    row("====", "========", "===="),
    ...files.map(({ value, name, at }) =>
      row(
        String(value),
        // The end tells files apart.
        name.length < NAME_WIDTH ? name : `...${name.slice(3 - NAME_WIDTH)}`,
        dumpTime(at),
      )
    ),
  ];
}

function brickXml(kind: Kind, { brick, opens, disk, files }: BrickTop): XmlElement {
  return element("brick", [
    element("name", brick),
    element("members", files.length),
    ...opens
      ? [
        element("currentOpen", opens.now),
        element("maxOpen", opens.most),
        element("maxOpenTime", opens.mostAt),
      ]
      : [],
    ...disk
      ? [
        element("throughput", disk.throughput.toFixed(6)),
        element("timeTaken", disk.time.toFixed(6)),
      ]
      : [],
    ...files.map(({ name, value, at }) =>
      element("file", [
        element("filename", name),
        element("count", value),
        ...isPerf(kind) ? [element("time", dumpTime(at))] : [],
      ])
    ),
  ]);
}
