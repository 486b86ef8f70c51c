/** fio on a volume, by libgfapi: what it measured, and what the bricks spent on it. */

import { type Cluster, HOST } from "tests/e2e/harness.ts";
import { cpuSeconds, Process, until } from "tests/e2e/process.ts";

/** One measured run. Times in microseconds. */
export interface Figures {
  readonly iops: number;
  readonly p50: number;
  readonly p99: number;
  /** The slowest single operation. */
  readonly worst: number;
  readonly operations: number;
  /** CPU seconds of all bricks, user and system, for 1,000 operations. */
  readonly cpu: number;
}

/** fio options, without the leading dashes. */
export type FioOptions = Readonly<Record<string, string | number>>;

/** Size of the file that is read and overwritten; it fits in the page cache. */
export const FILE_SIZE = "128m";

let runs = 0;

function brickCpu(cluster: Cluster): number {
  return cluster.bricks.reduce((sum, each) => sum + cpuSeconds(each.pid), 0);
}

/** A run of fio that has been started. */
export class Fio {
  readonly #process: Process;
  readonly #report: string;
  readonly #cpuBefore: number;
  readonly #earliestEnd: number;
  #cpu = 0;

  constructor(readonly cluster: Cluster, options: FioOptions) {
    this.#report = `${cluster.dir}/fio-${runs++}.json`;
    const all: FioOptions = {
      name: "bench",
      thread: 1,
      ioengine: "gfapi_async",
      volume: cluster.volume,
      brick: HOST,
      size: FILE_SIZE,
      randrepeat: 0,
      norandommap: 1,
      ...options,
    };
    const argv = ["fio", "--output-format=json", `--output=${this.#report}`];
    argv.push(...Object.entries(all).map(([key, value]) => `--${key}=${value}`));
    this.#cpuBefore = brickCpu(cluster);
    this.#earliestEnd = performance.now() + 1000 * Number(options.runtime ?? 0);
    this.#process = new Process(cluster.space.inside(argv), `${this.#report}.log`);
  }

  /**
   * Resolves when it has done its work. It lives on for ten seconds, in which Debian's libgfapi waits
   * before it lets go of a volume: asleep, so that the next run need not wait for it.
   */
  async idle(): Promise<void> {
    const WINDOW_MS = 400, ASLEEP_SECONDS = 0.02;
    let before = Infinity;
    await until(
      "fio has done its work",
      () => {
        if (!this.#process.running) return true;
        const now = cpuSeconds(this.#process.pid);
        const asleep = now - before <= ASLEEP_SECONDS;
        before = performance.now() > this.#earliestEnd ? now : Infinity;
        return asleep && before !== Infinity;
      },
      600_000,
      WINDOW_MS,
    );
    this.#cpu = brickCpu(this.cluster) - this.#cpuBefore;
  }

  /** Waits for its end and answers what it measured; throws if it met an error. */
  async figures(): Promise<Figures> {
    await until("fio ends", () => !this.#process.running, 60_000);
    const text = await Deno.readTextFile(this.#report);
    const told = reportOf(text, () => this.#process.lastWords());
    return { ...told, cpu: this.#cpu / told.operations * 1000 };
  }
}

interface FioSide {
  iops: number;
  total_ios: number;
  clat_ns: { max: number; percentile?: Record<string, number> };
}
interface FioJob {
  error: number;
  read: FioSide;
  write: FioSide;
}

/** What fio's JSON report of one job, which read or wrote, says. Throws, with `words`, if it met an error. */
export function reportOf(text: string, words = () => text): Omit<Figures, "cpu"> {
  const { jobs: [job] } = JSON.parse(text.slice(text.indexOf("{"))) as { jobs: [FioJob] };
  if (job.error) throw new Error(`fio failed: errno ${job.error}\n${words()}`);
  const side = job.read.total_ios > 0 ? job.read : job.write;
  const micros = (nanos: number | undefined) => (nanos ?? 0) / 1000;
  return {
    iops: side.iops,
    p50: micros(side.clat_ns.percentile?.["50.000000"]),
    p99: micros(side.clat_ns.percentile?.["99.000000"]),
    worst: micros(side.clat_ns.max),
    operations: side.total_ios,
  };
}

/** Writes the file that runs work on. */
export async function layOut(cluster: Cluster, filename: string): Promise<void> {
  await new Fio(cluster, { rw: "write", bs: "1m", iodepth: 8, filename }).figures();
}
