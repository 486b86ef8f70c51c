/** What passed in a period of time: fops with their latencies, bytes, sizes of blocks. */

import { FOP_NAMES, type FopName, FOPS } from "core/fops.ts";
import type { PeriodReport } from "core/reports.ts";
import type { Json } from "core/xlator.ts";

interface FopFigures {
  hits: number;
  /** How many of the hits were timed. */
  timed: number;
  sumMs: number;
  minMs: number;
  maxMs: number;
}

const BLOCK_CLASSES = 32;

/** Figures since `startedAt`, in monotonic milliseconds. */
export class Figures {
  readonly #fops = new Map<FopName, FopFigures>();
  readonly #readBlocks = new Array<number>(BLOCK_CLASSES).fill(0);
  readonly #writeBlocks = new Array<number>(BLOCK_CLASSES).fill(0);
  #readBytes = 0;
  #writtenBytes = 0;

  constructor(readonly startedAt: number) {}

  /** One fop came. */
  hit(fop: FopName): void {
    this.#of(fop).hits++;
  }

  /** One fop took that long, whether it succeeded or not. */
  took(fop: FopName, ms: number): void {
    const figures = this.#of(fop);
    figures.timed++;
    figures.sumMs += ms;
    if (ms < figures.minMs) figures.minMs = ms;
    if (ms > figures.maxMs) figures.maxMs = ms;
  }

  /** `size` bytes were read at once. */
  read(size: number): void {
    this.#readBytes += size;
    if (size > 0) this.#readBlocks[31 - Math.clz32(size)]!++;
  }

  /** `size` bytes were to be written at once. */
  wrote(size: number): void {
    this.#writtenBytes += size;
    if (size > 0) this.#writeBlocks[31 - Math.clz32(size)]!++;
  }

  /** For people and dumps; `now` in monotonic milliseconds. Latencies in microseconds. */
  toJson(now: number): Json {
    const fops: Record<string, Json> = {};
    for (const fop of FOP_NAMES) {
      const figures = this.#fops.get(fop);
      if (!figures) continue;
      const { hits, timed, sumMs, minMs, maxMs } = figures;
      fops[FOPS[fop].label] = timed
        ? { hits, "avg-us": us(sumMs / timed), "min-us": us(minMs), "max-us": us(maxMs) }
        : { hits };
    }
    return {
      "duration-sec": Math.round((now - this.startedAt) / 1000),
      "bytes-read": this.#readBytes,
      "bytes-written": this.#writtenBytes,
      "reads-by-size": bySize(this.#readBlocks),
      "writes-by-size": bySize(this.#writeBlocks),
      fops,
    };
  }

  /** For management; `now` in monotonic milliseconds. */
  report(now: number): PeriodReport {
    return {
      seconds: Math.floor((now - this.startedAt) / 1000),
      bytesRead: this.#readBytes,
      bytesWritten: this.#writtenBytes,
      reads: classes(this.#readBlocks),
      writes: classes(this.#writeBlocks),
      fops: FOP_NAMES.flatMap((fop) => {
        const figures = this.#fops.get(fop);
        if (!figures) return [];
        const { hits, timed, sumMs, minMs, maxMs } = figures;
        const times = timed
          ? { averageNs: ns(sumMs / timed), minNs: ns(minMs), maxNs: ns(maxMs) }
          : { averageNs: 0, minNs: 0, maxNs: 0 };
        return [{ fop, hits, timed, ...times }];
      }),
    };
  }

  #of(fop: FopName): FopFigures {
    let figures = this.#fops.get(fop);
    if (!figures) {
      figures = { hits: 0, timed: 0, sumMs: 0, minMs: Infinity, maxMs: 0 };
      this.#fops.set(fop, figures);
    }
    return figures;
  }
}

function us(ms: number): number {
  return Math.round(ms * 1e5) / 100;
}

function ns(ms: number): number {
  return Math.round(ms * 1e6);
}

// The smallest size of each class that has any, and how many: 4096 counts 4096 to 8191 bytes.
function classes(counts: readonly number[]): [number, number][] {
  return counts.flatMap((count, i): [number, number][] => count ? [[2 ** i, count]] : []);
}

function bySize(counts: readonly number[]): Json {
  return Object.fromEntries(classes(counts));
}
