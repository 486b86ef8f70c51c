import { ROOT } from "core/call.ts";
import { InodeTable } from "core/inode.ts";
import { readOptions } from "core/options.ts";
import { conformance } from "tests/conformance/mod.ts";
import { MemoryBrick } from "tests/fakes/memory_brick.ts";
import { node } from "tests/fakes/node.ts";
import { locks } from "xlators/features/locks/locks.ts";

conformance("features/locks over a brick in memory", async () => {
  const inodes = new InodeTable();
  const brick = new MemoryBrick(node("memory", [], { inodes }));
  const place = node("locks", [brick], { inodes });
  const top = locks.create(place, readOptions(locks.options, new Map()));
  await top.start?.();
  return { top, inodes, call: ROOT, stop: async () => await top.stop?.() };
});
