/** The whole way of a fop: protocol/client, TCP, protocol/server, features/locks, storage/posix. */

import { ROOT } from "core/call.ts";
import { buildGraph } from "core/graph.ts";
import { parseVolfile } from "core/volfile.ts";
import type { Xlator } from "core/xlator.ts";
import type { Endpoint } from "rpc/transport.ts";
import { conformance } from "tests/conformance/mod.ts";
import { testEnv } from "tests/fakes/node.ts";
import { TYPES } from "xlators/mod.ts";

conformance("server graph", async () => {
  const directory = await Deno.makeTempDir();
  const brick = buildGraph(
    parseVolfile(`
      volume posix
        type storage/posix
        option directory ${directory}
      end-volume
      volume brick
        type features/locks
        subvolumes posix
      end-volume
      volume server
        type protocol/server
        option transport.socket.listen-port 0
        option auth.addr.brick.allow 127.0.0.1
        subvolumes brick
      end-volume`),
    TYPES,
    testEnv(),
  );
  await brick.start();
  const { endpoint } = brick.top as Xlator & { endpoint: Endpoint & { kind: "tcp" } };
  const volume = buildGraph(
    parseVolfile(`
      volume client
        type protocol/client
        option remote-host ${endpoint.host}
        option remote-port ${endpoint.port}
        option remote-subvolume brick
      end-volume`),
    TYPES,
    testEnv(),
  );
  await volume.start();
  const stop = async () => {
    await volume.stop();
    await brick.stop();
    await Deno.remove(directory, { recursive: true });
  };
  return { top: volume.top, inodes: volume.inodes, call: ROOT, stop };
}, { onDisk: true });
