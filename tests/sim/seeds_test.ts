import { match, strictEqual as equal } from "node:assert/strict";
import { S_IFREG } from "core/iatt.ts";
import type { Gfid } from "core/inode.ts";
import { InodeTable } from "core/inode.ts";
import { MemoryNode } from "tests/fakes/memory_node.ts";
import { SimDisk } from "tests/sim/disk.ts";
import { SimRandom } from "tests/sim/random.ts";
import { play } from "tests/sim/scenario.ts";
import { REPLICA_3, TOY, unhealed } from "tests/sim/systems.ts";
import { SYSTEMS } from "tests/sim/systems_all.ts";

const kept = Deno.readTextFileSync(new URL("seeds.txt", import.meta.url)).split("\n")
  .filter((line) => line !== "" && !line.startsWith("#"));

for (const line of kept) {
  const [name, seed, ...found] = line.split(" ");
  Deno.test(`sim: ${name} seed ${seed} goes well, which found: ${found.join(" ")}`, async () => {
    const system = SYSTEMS.find((each) => each.name === name)!;
    equal((await play(system, Number(seed))).failure, undefined);
  });
}

Deno.test("sim: a seed with faults is the same run twice", async () => {
  for (const seed of [2, 3, 5]) {
    const first = await play(unhealed(REPLICA_3), seed, { keepTrace: true });
    const second = await play(unhealed(REPLICA_3), seed, { keepTrace: true });
    const unwritten = await play(unhealed(REPLICA_3), seed);
    equal(first.trace.join("\n") === second.trace.join("\n"), true);
    equal(first.digest, second.digest);
    equal(first.digest, unwritten.digest);
    equal(first.events > 100 && first.trace.length > 100, true);
  }
});

Deno.test("sim: without faults no operation may fail", async () => {
  for (let seed = 1; seed <= 5; seed++) {
    const { failure } = await play(TOY, seed, { swarm: { faultMs: Infinity, lose: 0 } });
    equal(failure, undefined);
  }
});

Deno.test("sim: a failure is in the report, with what happened before it", async () => {
  const broken = { ...TOY, types: [] };
  const { failure, trace } = await play(broken, 1);
  match(String(failure), /unknown type "cluster\/toy"/);
  equal(trace.length > 0, true);
});

Deno.test("sim/disk: what was synced survives a loss of power, what was not may be old", () => {
  let old = 0;
  for (let seed = 1; seed <= 50; seed++) {
    const disk = new SimDisk(), gfid = "00000000-0000-4000-8000-000000000002" as Gfid;
    const now = { sec: 0, nsec: 0 };
    const node = new MemoryNode(gfid, S_IFREG | 0o644, 0, 0, 0, now);
    disk.nodes.set(gfid, node);
    const inode = new InodeTable().of(gfid);
    const write = (page: number, byte: number) => {
      const data = new Uint8Array(4096).fill(byte), offset = page * 4096;
      const args = { fd: { inode }, offset, data, flags: 0 };
      const changed = disk.changing("writev", args, 0);
      node.data.write(offset, data);
      changed!();
    };
    write(0, 1);
    write(1, 1);
    disk.changing("fsync", { fd: { inode } }, 0)!();
    write(1, 2);
    disk.losePower(new SimRandom(seed));
    equal(node.data.read(0, 1)[0], 1);
    equal(node.data.size, 8192);
    if (node.data.read(4096, 1)[0] === 1) old++;
  }
  equal(old > 5 && old < 45, true, `${old} of 50 were lost`);
});
