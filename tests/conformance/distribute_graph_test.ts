/** cluster/distribute over bricks with locks and real directories. */

import { ROOT } from "core/call.ts";
import { buildGraph } from "core/graph.ts";
import { parseVolfile } from "core/volfile.ts";
import { conformance } from "tests/conformance/mod.ts";
import { testEnv } from "tests/fakes/node.ts";
import { IS_ROOT } from "tests/fakes/posix_brick.ts";
import { TYPES } from "xlators/mod.ts";

conformance("distribute graph", async () => {
  const directory = await Deno.makeTempDir();
  const bricks = [0, 1, 2].map((index) => {
    Deno.mkdirSync(`${directory}/${index}`);
    return `
      volume posix-${index}
        type storage/posix
        option directory ${directory}/${index}
      end-volume
      volume v-client-${index}
        type features/locks
        subvolumes posix-${index}
      end-volume`;
  });
  const graph = buildGraph(
    parseVolfile(`${bricks.join("")}
      volume v-dht
        type cluster/distribute
        subvolumes v-client-0 v-client-1 v-client-2
      end-volume`),
    TYPES,
    testEnv(),
  );
  await graph.start();
  const stop = async () => {
    await graph.stop();
    await Deno.remove(directory, { recursive: true });
  };
  return { top: graph.top, inodes: graph.inodes, call: ROOT, stop };
}, {
  ignore: !IS_ROOT,
  without: [
    // A directory's layout is distribute's own, and nobody asks other subvolumes for a new file's gfid.
    "create: extended attributes in xdata are on the new inode",
    "create: a parent whose attribute changed refuses new names, and says why",
    "create: a gfid that another inode has is refused",
    // Locks on a directory are on one subvolume, names in it on another.
    "locks: entrylk: counts are answered to lookup",
  ],
});
