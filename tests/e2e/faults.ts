/** Faults of bricks, one after the other, each when the one before is healed. */

import type { Brick, Cluster } from "tests/e2e/harness.ts";
import { must, run, until } from "tests/e2e/process.ts";

/** What can happen to a brick while it serves. */
export interface Fault {
  readonly name: string;
  /** Milliseconds until the brick is brought back, if clients need not have noticed before. */
  readonly briefMs?: number;
  begin(brick: Brick): Promise<void> | void;
  end(brick: Brick): Promise<void> | void;
}

const killed = { begin: (b: Brick) => b.end("SIGKILL"), end: (b: Brick) => b.start() };
const stopped = {
  begin: (brick: Brick) => Deno.kill(brick.pid, "SIGSTOP"),
  end: (brick: Brick) => Deno.kill(brick.pid, "SIGCONT"),
};
const cut = {
  begin: (brick: Brick) => brick.host!.cut(),
  end: (brick: Brick) => brick.host!.mend(),
};

/** All of them. The brief ones are over before clients give a brick up; with the others they do. */
export const FAULTS: readonly Fault[] = [
  { name: "killed", ...killed },
  { name: "cut off", ...cut },
  { name: "stopped briefly", briefMs: 1000, ...stopped },
  { name: "stopped", ...stopped },
  { name: "killed and started at once", briefMs: 0, ...killed },
  { name: "cut off briefly", briefMs: 700, ...cut },
];

const PATIENCE_MS = 240_000;
const CANARY = "canary";

function elapsed(ms: number): Promise<void> {
  const end = performance.now() + ms;
  return until("time goes by", () => performance.now() >= end, ms + 10_000, 20);
}

/** Marks that say that a copy misses something, of everything on all bricks; dirty ones are none. */
export async function blames({ bricks }: Cluster): Promise<string[]> {
  const all = await Promise.all(bricks.map(async ({ path }) => {
    const argv = ["getfattr", "-Rhd", "-m", "trusted.afr.vol-", "-e", "hex", "--absolute-names"];
    const { out } = await run([...argv, path]);
    // Files come and go meanwhile: no exit code says more than what is listed.
    return out.split("# file: ").flatMap((file) => {
      const [name, ...marks] = file.trim().split("\n");
      return marks.filter((each) => !/=0x0+$/.test(each)).map((each) => `${name}: ${each}`);
    });
  }));
  return all.flat();
}

/** Faults on a cluster with these mounts, while others work there. */
export class Campaign {
  #beat = 0;
  /** How often each fault came. */
  readonly done = new Map<string, number>();

  constructor(readonly cluster: Cluster, readonly mounts: readonly string[]) {}

  /** Makes what changes later show whether a mount still waits for a brick. */
  async prepare(): Promise<void> {
    for (const [index, mount] of this.mounts.entries()) {
      await Deno.writeTextFile(`${mount}/${CANARY}-${index}`, "");
    }
  }

  /** Fault number `index` on that brick, begun when nothing is lost by it, until it is over. */
  async fault(index: number, victim: Brick): Promise<void> {
    const { name, briefMs, begin, end } = FAULTS[index % FAULTS.length]!;
    await this.whole();
    await begin(victim);
    try {
      // A change through each mount is answered when that mount has given the brick up.
      if (briefMs === undefined) {
        await Promise.all(this.mounts.map((_, each) => this.#change(each)));
      } else await elapsed(briefMs);
    } finally {
      await end(victim);
    }
    this.done.set(name, (this.done.get(name) ?? 0) + 1);
  }

  /** Resolves when every mount reaches every brick and no copy is blamed. */
  async whole(): Promise<void> {
    let blamed: string[] = [];
    const reached = () => Promise.all(this.mounts.map((_, each) => this.#reachesAll(each)));
    try {
      await until(
        "every mount reaches every brick",
        async () => {
          return (await reached()).every(Boolean);
        },
        PATIENCE_MS,
        100,
      );
      await until(
        "no copy is blamed",
        async () => {
          blamed = await blames(this.cluster);
          // A mount may have given a brick up meanwhile.
          return blamed.length === 0 && (await reached()).every(Boolean);
        },
        PATIENCE_MS,
        100,
      );
    } catch (error) {
      throw new Error(`${error}\n${blamed.join("\n")}`);
    }
  }

  async #change(mount: number): Promise<void> {
    const path = `${this.mounts[mount]}/${CANARY}-${mount}`;
    await must(["setfattr", "-n", "user.beat", "-v", `${++this.#beat}`, path]);
  }

  // Both kinds of clients tell it alike.
  async #reachesAll(mount: number): Promise<boolean> {
    const told = `${this.mounts[mount]}/.meta/graphs/active/vol-replicate-0/private`;
    const up = (await Deno.readTextFile(told)).match(/^child_up\[\d+\] = 1$/gm);
    return up?.length === this.cluster.bricks.length;
  }
}
