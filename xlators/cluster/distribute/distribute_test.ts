import { ROOT } from "core/call.ts";
import { InodeTable } from "core/inode.ts";
import { readOptions } from "core/options.ts";
import { conformance } from "tests/conformance/mod.ts";
import { MemoryBrick } from "tests/fakes/memory_brick.ts";
import { node } from "tests/fakes/node.ts";
import { distribute } from "xlators/cluster/distribute/distribute.ts";
import { options } from "xlators/cluster/distribute/options.ts";

// A directory's layout is distribute's own: nobody else sets it, sees it or has it checked.
const OWN_LAYOUT = [
  "create: extended attributes in xdata are on the new inode",
  "create: a parent whose attribute changed refuses new names, and says why",
] as const;
// Nobody asks the other subvolumes for the gfid of a new file.
const APART = ["create: a gfid that another inode has is refused"] as const;

for (const count of [1, 3]) {
  conformance(`cluster/distribute over ${count} in memory`, () => {
    const inodes = new InodeTable();
    const bricks = Array.from({ length: count }, (_, index) => {
      const place = node(`v-client-${index}`, [], { inodes });
      return new MemoryBrick(place);
    });
    const values = readOptions(options, new Map());
    const top = distribute.create(node("v-dht", bricks, { inodes }), values);
    return Promise.resolve({ top, inodes, call: ROOT, stop: () => Promise.resolve() });
  }, { without: ["locks", ...OWN_LAYOUT, ...count > 1 ? APART : []] });
}
