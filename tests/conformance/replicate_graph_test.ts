/** cluster/replicate over copies in memory, with locks. */

import { ROOT } from "core/call.ts";
import { conformance } from "tests/conformance/mod.ts";
import { replica, type ReplicaOptions } from "tests/fakes/replica.ts";

function over(where: string, options: ReplicaOptions): void {
  conformance(where, async () => {
    const { top, inodes } = await replica(options);
    return { top, inodes, call: ROOT, stop: () => top.stop() };
  }, {
    without: [
      "copies: put makes a file with data and attributes at once",
      "copies: put does not fail halfway when the name is there",
      // The attributes that these compute with are replicate's own.
      "xattrop",
      "handles: an unlinked open file's extended attributes work",
      // The lock that this takes, and writes under, is replicate's own.
      "locks: inodelk: counts are answered to lookup and write",
    ],
  });
}

over("replicate graph, 2 copies", { copies: 2 });
over("replicate graph, 3 copies", { copies: 3 });
over("replicate graph, arbiter", { copies: 3, arbiter: true });
