import { ROOT } from "core/call.ts";
import { InodeTable } from "core/inode.ts";
import { conformance } from "tests/conformance/mod.ts";
import { MemoryBrick } from "tests/fakes/memory_brick.ts";
import { node } from "tests/fakes/node.ts";

conformance("memory brick", () => {
  const inodes = new InodeTable();
  const top = new MemoryBrick(node("memory", [], { inodes }));
  return Promise.resolve({ top, inodes, call: ROOT, stop: () => Promise.resolve() });
}, { without: ["locks"] });
