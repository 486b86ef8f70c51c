/**
 * Statistics of a brick as brick operation XLATOR_INFO carries them: both ends. Keys as
 * `debug/io-stats` of GlusterFS writes them; "-1" in a key means since the start.
 */

import { FOP_NAMES, type FopName, FOPS } from "core/fops.ts";
import type { FopReport, PeriodReport, Statistics } from "core/reports.ts";
import { type DictValue, intKey, str, textKey, Xdata } from "core/xdata.ts";

/** What is asked for (`gf1_cli_info_op`). */
export const INFO = { all: 1, incremental: 2, cumulative: 3, clear: 4 } as const;
export type InfoOp = typeof INFO[keyof typeof INFO];

const INFO_OP = intKey("info-op"), PEEK = textKey("peek"), CLEARED = intKey("stats-cleared");
const CUMULATIVE = intKey("cumulative"), INTERVAL = intKey("interval");

/** A period as asked for: `interval` is its number, -1 for all since the start. */
export type NumberedPeriod = PeriodReport & { readonly interval: number };

/** The request. */
export function profileRequest(op: InfoOp, peek: boolean): Xdata {
  return Xdata.of([
    [INFO_OP.name, INFO_OP.write(op)],
    [PEEK.name, str(peek ? "on" : "off")],
  ]);
}

/** The answer of a brick that counts in `statistics`. */
export function profileAnswer(statistics: Statistics, request: Xdata | undefined): Xdata {
  const given = request?.get(INFO_OP);
  const op = given !== undefined && given >= INFO.all && given <= INFO.clear ? given : INFO.all;
  const entries: [string, DictValue][] = [[INFO_OP.name, INFO_OP.write(op)]];
  if (op === INFO.clear) {
    statistics.clear();
    entries.push([CLEARED.name, CLEARED.write(1)]);
    return Xdata.of(entries);
  }
  if (op !== INFO.incremental) {
    entries.push([CUMULATIVE.name, CUMULATIVE.write(-1)]);
    entries.push(...periodEntries({ ...statistics.cumulative(), interval: -1 }));
  }
  if (op !== INFO.cumulative) {
    const { number, period } = statistics.interval(isTrue(request?.get(PEEK)));
    entries.push([INTERVAL.name, INTERVAL.write(number)]);
    entries.push(...periodEntries({ ...period, interval: number }));
  }
  return Xdata.of(entries);
}

/** What `profileAnswer` told: the periods, and whether figures were cleared. */
export function readProfile(
  answer: Xdata | undefined,
): { readonly cleared: boolean; readonly periods: readonly NumberedPeriod[] } {
  const numbers = [answer?.get(CUMULATIVE), answer?.get(INTERVAL)];
  return {
    cleared: answer?.get(CLEARED) === 1,
    periods: numbers.flatMap((each) => each === undefined ? [] : [readPeriod(answer!, each)]),
  };
}

/** The keys of one period. */
export function* periodEntries(period: NumberedPeriod): Generator<[string, DictValue]> {
  const { interval } = period;
  const count = (key: string, value: number): [string, DictValue] => [
    `${interval}-${key}`,
    { type: "uint", value },
  ];
  yield count("duration", period.seconds);
  yield count("total-read", period.bytesRead);
  yield count("total-write", period.bytesWritten);
  for (const [size, blocks] of period.reads) yield count(`read-${size}`, blocks);
  for (const [size, blocks] of period.writes) yield count(`write-${size}`, blocks);
  for (const { fop, hits, timed, averageNs, minNs, maxNs } of period.fops) {
    const key = String(fopNumber(fop));
    yield count(`${key}-hits`, hits);
    if (!timed) continue;
    const latencies = { avglatency: averageNs, minlatency: minNs, maxlatency: maxNs };
    for (const [name, value] of Object.entries(latencies)) {
      yield [`${interval}-${key}-${name}`, { type: "double", value }];
    }
  }
}

function readPeriod(answer: Xdata, interval: number): NumberedPeriod {
  const value = (key: string) => numberOf(answer, `${interval}-${key}`);
  const blocks = (kind: string) =>
    Array.from({ length: 32 }, (_, i) => [2 ** i, value(`${kind}-${2 ** i}`)] as const)
      .filter(([, count]) => count > 0);
  return {
    interval,
    seconds: value("duration"),
    bytesRead: value("total-read"),
    bytesWritten: value("total-write"),
    reads: blocks("read"),
    writes: blocks("write"),
    fops: FOP_NAMES.flatMap((fop): FopReport[] => {
      const key = String(fopNumber(fop)), hits = value(`${key}-hits`);
      if (!hits) return [];
      const averageNs = value(`${key}-avglatency`);
      return [{
        fop,
        hits,
        timed: averageNs > 0 ? hits : 0,
        averageNs,
        minNs: value(`${key}-minlatency`),
        maxNs: value(`${key}-maxlatency`),
      }];
    }),
  };
}

function numberOf(answer: Xdata, key: string): number {
  const value = Number(answer.get(textKey(key)) ?? 0);
  return Number.isFinite(value) && value >= 0 ? value : 0;
}

/** A flag as GlusterFS's dictionaries spell it. */
export function isTrue(text: string | undefined): boolean {
  return text !== undefined && /^(1|on|yes|true|enable)$/i.test(text);
}

// GlusterFS numbers fops apart from procedures: there, forget comes before release.
const APART: { readonly [fop in FopName]?: number } = {
  release: 42,
  releasedir: 43,
  fremovexattr: 45,
  fallocate: 46,
  discard: 47,
  zerofill: 48,
  ipc: 49,
  seek: 50,
  lease: 51,
  getactivelk: 53,
  setactivelk: 54,
  put: 55,
  icreate: 56,
  namelink: 57,
  copyFileRange: 58,
};

/** A fop's number in statistics (`enum glusterfs_fop_t`, glusterfs-fops.h). */
export function fopNumber(fop: FopName): number {
  return APART[fop] ?? FOPS[fop].proc;
}
