/** fio on a mount, again and again, verifying all that it wrote. */

import { run } from "tests/e2e/process.ts";

const PASS_MS = 600_000;

/** Jobs of one pass; sizes in KiB. */
interface Work {
  readonly directory: string;
  /** File that others write, too, and which part of two is ours. */
  readonly shared?: { readonly path: string; readonly half: 0 | 1 };
  readonly cwd: string;
}

const SMALL_KIB = 1536, LARGE_KIB = 12_288, SYNCED_KIB = 768;

/** Half of a shared file. */
export const SHARED_KIB = 2048;

function jobs({ directory, shared }: Work): string[] {
  const file = (name: string, kib: number) => [
    ...[`--name=${name}`, `--filename=${directory}/${name}`, `--size=${kib}k`],
  ];
  return [
    ...[...file("small", SMALL_KIB), "--bs=4k", "--rate_iops=120"],
    ...[...file("large", LARGE_KIB), "--bs=64k", "--rate_iops=50", "--unlink=1"],
    ...[...file("synced", SYNCED_KIB), "--bs=4k", "--fsync=4", "--rate_iops=60"],
    ...(shared
      ? [
        ...["--name=shared", `--filename=${shared.path}`, "--bs=4k", "--rate_iops=80"],
        ...[`--offset=${shared.half * SHARED_KIB}k`, `--size=${SHARED_KIB}k`],
      ]
      : []),
  ];
}

// What is wrong, without the statistics.
function told(output: string): string {
  return output.split("\n").filter((line) => /err=|verify|error|killed/.test(line)).join("\n");
}

/** Work that goes on until it is told to stop. */
export class FioLoad {
  #stopped = false;
  /** What failed; work has ended then. */
  failure: string | undefined;
  passes = 0;
  readonly #over: Promise<void>;

  constructor(readonly work: Work) {
    this.#over = this.#go();
  }

  async #go(): Promise<void> {
    while (!this.#stopped && this.failure === undefined) {
      const argv = [
        ...["fio", "--rw=randwrite", "--ioengine=psync", "--thread", "--fallocate=none"],
        ...["--verify=crc32c", "--do_verify=1", "--verify_fatal=1", "--verify_backlog=64"],
        ...["--verify_state_save=0", `--randseed=${this.passes + 1}`, ...jobs(this.work)],
      ];
      const { code, out, err } = await run(argv, { timeoutMs: PASS_MS, cwd: this.work.cwd });
      if (code === 0) this.passes++;
      else this.failure = `fio in ${this.work.directory}: exit code ${code}\n${told(err + out)}`;
    }
  }

  /** Resolves when the pass that is under way is over; throws if any failed. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#over;
    this.check();
  }

  /** Throws if a pass failed. */
  check(): void {
    if (this.failure !== undefined) throw new Error(this.failure);
  }
}
