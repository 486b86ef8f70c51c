/**
 * Snapshots while others write: each is a clean cut of what every client was answered, and the same
 * on all copies. Clients of both kinds write at the same time; every second snapshot goes again.
 */

import { ok, strictEqual as equal } from "node:assert/strict";
import { e2e } from "tests/e2e/harness.ts";
import { Mounts } from "tests/e2e/own_mounts.ts";
import { must, Process, run, until } from "tests/e2e/process.ts";

const LONG = Deno.env.get("MORTAR_LONG") !== undefined;
/** A snapshot is taken every second for five minutes, or a few one after the other. */
const LOAD_MS = 300_000, EVERY_MS = 1000, SNAPSHOTS = 4;
const STAMPS = new URL("stamps.py", import.meta.url).pathname;

/** Writers on a mount: numbers in sequence, and fio beside them. */
class Writers implements AsyncDisposable {
  readonly #processes: Process[];

  constructor(readonly name: string, readonly mount: string, readonly acked: string) {
    this.#processes = [
      new Process(["python3", STAMPS, "write", mount, name, acked], `${acked}.stamps`),
      new Process([
        ...["fio", `--name=${name}-load`, `--directory=${mount}`, "--rw=randwrite", "--size=16m"],
        ...[
          "--bs=4k",
          "--ioengine=psync",
          "--fsync=16",
          "--thread",
          "--time_based",
          "--runtime=100000",
        ],
      ], `${acked}.fio`),
    ];
  }

  /** The last number that was answered; 0 before the first. */
  async last(): Promise<number> {
    return Number(await Deno.readTextFile(this.acked).catch(() => "0"));
  }

  /** Resolves when 20 more were answered. */
  async moving(): Promise<void> {
    const from = await this.last();
    await until(`${this.name} writes`, async () => await this.last() >= from + 20);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.writeTextFile(`${this.acked}.stop`, "");
    for (const process of this.#processes) await process.end("SIGKILL");
  }
}

/** What one copy of a snapshot holds, a line for each file. */
async function sums(at: string): Promise<string> {
  return await must([
    "sh",
    "-c",
    `cd "$1" && find . -type f ! -path './.glusterfs*' -print0 |
    sort -z | xargs -0 sha256sum`,
    "sh",
    at,
  ]);
}

/** What the daemon said of clients that did not come to rest. */
async function restless({ node }: Mounts): Promise<string> {
  const log = await Deno.readTextFile(`${node.dir}/mgmt.log`);
  return log.split("\n").filter((line) => line.includes("keeps its locks")).join("\n");
}

/** Blocks of a volfile, by name. */
function blocksOf(volfile: string): Map<string, string> {
  const blocks = [...volfile.matchAll(/^volume (\S+)\n[^]*?^end-volume\n/gm)];
  return new Map(blocks.map(([text, name]) => [name!, text]));
}

async function lookAt(
  mounts: Mounts,
  snapshot: string,
  least: ReadonlyMap<string, number>,
  sets: readonly (readonly number[])[],
): Promise<void> {
  const { node } = mounts;
  await node.must(`snapshot activate ${snapshot}`);
  const volfile = await node.must(`system getspec /snaps/${snapshot}/v1`);
  const blocks = blocksOf(volfile);
  // As anybody sees it.
  const whole = await mounts.mount("acl", "127.0.0.1:/snaps/" + snapshot + "/v1");
  for (const [name, number] of least) {
    const { code, out } = await run(["python3", STAMPS, "check", whole, name, String(number)]);
    equal(code, 0, `${snapshot}, ${name}: ${out}`);
  }
  await must(["umount", whole]);
  for (const bricks of sets) {
    const seen: string[] = [];
    for (const brick of bricks) {
      const block = blocks.get(`v1-client-${brick}`);
      ok(block, volfile);
      const file = `${node.dir}/${snapshot}-${brick}.vol`;
      await Deno.writeTextFile(file, block);
      const alone = await mounts.mount("acl", "--volfile", file);
      seen.push(await sums(alone));
      await must(["umount", alone]);
    }
    ok(seen[0]!.split("\n").length > 2, seen[0]);
    for (const other of seen.slice(1)) {
      equal(other, seen[0], `${snapshot}: copies differ; ${await restless(mounts)}`);
    }
  }
  await node.must(`snapshot deactivate ${snapshot}`);
}

/** Prints what a long run found out. */
function told(title: string, took: number[], restless: string): void {
  took.sort((one, other) => one - other);
  const at = (part: number) => Math.round(took[Math.floor((took.length - 1) * part)]!);
  const late = restless.split("\n").filter((line) => line !== "").length;
  const text =
    `${title}: ${took.length} snapshots, create p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, ` +
    `longest ${at(1)} ms; ${late} times clients did not come to rest\n`;
  Deno.stderr.writeSync(new TextEncoder().encode(text));
}

const SHAPES: Readonly<Record<string, { bricks: number; layout: string; copies: number }>> = {
  "replica 2": { bricks: 2, layout: "replica 2", copies: 2 },
  "distributed replica 2": { bricks: 4, layout: "replica 2", copies: 2 },
};

for (const [title, { bricks, layout, copies }] of Object.entries(SHAPES)) {
  e2e(`snapshots under load, ${title}: a clean cut, equal on all copies`, ["fio"], async () => {
    await using mounts = await Mounts.start({ bricks, layout, without: [] });
    const { node } = mounts;
    const kept = new Map<string, Map<string, number>>(), took: number[] = [];
    {
      const own = await mounts.mount("acl"), theirs = (await node.mount("v1")).path;
      await using ours = new Writers("ours", own, `${node.dir}/ours`);
      await using foreign = new Writers("theirs", theirs, `${node.dir}/theirs`);
      for (const writers of [ours, foreign]) await writers.moving();
      const begin = performance.now();
      const goesOn = (number: number) =>
        LONG ? performance.now() - begin < LOAD_MS : number < SNAPSHOTS;
      for (let number = 0; goesOn(number); number++) {
        const name = `s${number}`;
        const least = new Map<string, number>();
        for (const writers of [ours, foreign]) least.set(writers.name, await writers.last());
        const asked = performance.now();
        await node.must(`snapshot create ${name} v1 no-timestamp`);
        took.push(performance.now() - asked);
        kept.set(name, least);
        for (const writers of [ours, foreign]) await writers.moving();
        if (number % 2) {
          await node.must(`snapshot delete s${number - 1}`);
          kept.delete(`s${number - 1}`);
        }
        const left = begin + (number + 1) * EVERY_MS - performance.now();
        if (LONG && left > 0) await new Promise((resolve) => setTimeout(resolve, left));
      }
      if (LONG) told(title, took, await restless(mounts));
    }
    const sets = Array.from(
      { length: bricks / copies },
      (_, set) => Array.from({ length: copies }, (_, copy) => set * copies + copy),
    );
    for (const [name, least] of kept) await lookAt(mounts, name, least, sets);
  });
}
