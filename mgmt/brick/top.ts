/** The most used files of a brick as brick operation XLATOR_INFO carries them: both ends. */

import type { Gfid } from "core/inode.ts";
import { type Statistics, TOP_KINDS, type TopKind } from "core/reports.ts";
import { type DictValue, intKey, str, textKey, Xdata } from "core/xdata.ts";
import { isTrue } from "mgmt/brick/profile.ts";
import { dumpTime } from "mgmt/statedump.ts";

const TOP_OP = intKey("top-op"), LIST_COUNT = intKey("list-cnt");
const CLEAR = textKey("clear-stats"), CLEARED = intKey("stats-cleared");
const BLOCK_SIZE = intKey("blk-size"), BLOCKS = intKey("blk-cnt");
const THROUGHPUT = textKey("throughput"), TIME = textKey("time");
const NOW_OPEN = intKey("current-open"), MOST_OPEN = intKey("max-open");
const MOST_AT = textKey("max-openfd-time"), MEMBERS = intKey("members");

/** Files that a list names at most, and at first. */
export const LIST_MAX = 100;

/** A throughput to measure on the brick's disk. */
export interface DiskTest {
  readonly blockSize: number;
  readonly blocks: number;
}

/** A file in a list. */
export type TopEntry = {
  readonly name: string;
  /** Count, or MB/s. */
  readonly value: number;
  /** Milliseconds since 1970; 0 for counts. */
  readonly at: number;
};

/** What a brick answers. */
export type TopAnswer = {
  readonly cleared: boolean;
  /** For kind "open". `mostAt`: as GlusterFS prints times; "N/A" if never. */
  readonly opens?: { readonly now: number; readonly most: number; readonly mostAt: string };
  /** MB/s that the disk test had, and microseconds it took. */
  readonly disk?: { readonly throughput: number; readonly time: number };
  readonly files: readonly TopEntry[];
};

/** The request for a list. */
export function topRequest(kind: TopKind, count: number, test: DiskTest | undefined): Xdata {
  const entries: [string, DictValue][] = [
    [TOP_OP.name, TOP_OP.write(TOP_KINDS.indexOf(kind) + 1)],
    [LIST_COUNT.name, LIST_COUNT.write(count)],
  ];
  if (test) {
    entries.push([BLOCK_SIZE.name, BLOCK_SIZE.write(test.blockSize)]);
    entries.push([BLOCKS.name, BLOCKS.write(test.blocks)]);
  }
  return Xdata.of(entries);
}

/** The request to forget all counts. */
export function clearRequest(): Xdata {
  return Xdata.of([[CLEAR.name, str("true")]]);
}

/** What a brick needs to answer. */
export interface TopSource {
  readonly statistics: Statistics;
  /** The path of a file from the brick's root. */
  name(gfid: Gfid): Promise<string>;
  /** Writes, and for `reads` also reads, so much; answers MB/s and microseconds. */
  measure(test: DiskTest, reads: boolean): Promise<{ throughput: number; time: number }>;
}

/** True if the request is about these lists, and not about periods. */
export function asksTop(request: Xdata | undefined): boolean {
  return request !== undefined && (request.has(TOP_OP) || isTrue(request.get(CLEAR)));
}

/** The answer. Throws what `measure` throws, RangeError if the request cannot be understood. */
export async function topAnswer(source: TopSource, request: Xdata): Promise<Xdata> {
  if (isTrue(request.get(CLEAR))) {
    source.statistics.clearTop();
    return Xdata.of([[TOP_OP.name, TOP_OP.write(0)], [CLEARED.name, CLEARED.write(1)]]);
  }
  const op = request.get(TOP_OP) ?? 0;
  const kind = TOP_KINDS[op - 1];
  if (!kind) throw new RangeError(`there is no list number ${op}`);
  const entries: [string, DictValue][] = [[TOP_OP.name, TOP_OP.write(op)]];
  if (kind === "open") entries.push(...openEntries(source.statistics));
  const blockSize = request.get(BLOCK_SIZE), blocks = request.get(BLOCKS);
  const isPerf = kind === "read-throughput" || kind === "write-throughput";
  if (isPerf && blockSize && blocks) {
    const test = { blockSize, blocks };
    const { throughput, time } = await source.measure(test, kind === "read-throughput");
    entries.push([THROUGHPUT.name, { type: "double", value: throughput }]);
    entries.push([TIME.name, { type: "double", value: time }]);
  }
  const asked = request.get(LIST_COUNT) ?? 0;
  const count = Math.max(0, Math.min(asked, LIST_MAX));
  if (count) entries.push(...await listEntries(source, kind, count));
  return Xdata.of(entries);
}

function openEntries(statistics: Statistics): [string, DictValue][] {
  const { now, most, mostAt } = statistics.opens();
  return [
    [NOW_OPEN.name, { type: "uint", value: now }],
    [MOST_OPEN.name, { type: "uint", value: most }],
    [MOST_AT.name, str(mostAt ? dumpTime(mostAt) : "N/A")],
  ];
}

async function listEntries(
  { statistics, name }: TopSource,
  kind: TopKind,
  count: number,
): Promise<[string, DictValue][]> {
  const isPerf = kind === "read-throughput" || kind === "write-throughput";
  const files = statistics.top(kind, count);
  const entries: [string, DictValue][] = [];
  for (const [index, { gfid, value, at }] of files.entries()) {
    const number = index + 1;
    entries.push([`filename-${number}`, str(await name(gfid))]);
    entries.push([`value-${number}`, {
      type: "uint",
      value: isPerf ? Math.round(value / 1e6) : value,
    }]);
    if (!isPerf) continue;
    entries.push([`time-sec-${number}`, { type: "int", value: Math.floor(at / 1000) }]);
    entries.push([`time-usec-${number}`, { type: "int", value: Math.floor(at % 1000 * 1000) }]);
  }
  entries.push([MEMBERS.name, MEMBERS.write(files.length)]);
  return entries;
}

/** What `topAnswer` told. */
export function readTop(answer: Xdata | undefined): TopAnswer {
  const number = (key: string) => answer?.get(intKey(key)) ?? 0;
  const throughput = answer?.get(THROUGHPUT), time = answer?.get(TIME);
  const members = Math.min(number(MEMBERS.name), LIST_MAX);
  return {
    cleared: answer?.get(CLEARED) === 1,
    ...(answer?.has(NOW_OPEN)
      ? {
        opens: {
          now: number(NOW_OPEN.name),
          most: number(MOST_OPEN.name),
          mostAt: answer.get(MOST_AT) ?? "",
        },
      }
      : {}),
    ...(throughput === undefined
      ? {}
      : { disk: { throughput: Number(throughput) || 0, time: Number(time) || 0 } }),
    files: Array.from({ length: members }, (_, i) => ({
      name: answer?.get(textKey(`filename-${i + 1}`)) ?? "",
      value: number(`value-${i + 1}`),
      at: number(`time-sec-${i + 1}`) * 1000 + number(`time-usec-${i + 1}`) / 1000,
    })),
  };
}
