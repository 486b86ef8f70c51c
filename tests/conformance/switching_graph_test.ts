/** Open files and fops under way survive graph switches: over a brick in memory, and over TCP. */

import { type Call, ROOT } from "core/call.ts";
import type { Args, FopName } from "core/fops.ts";
import { startActiveGraph } from "core/graph_switch.ts";
import { buildGraph } from "core/graph.ts";
import { InodeTable } from "core/inode.ts";
import { defineXlator, xlatorTypes } from "core/registry.ts";
import { parseVolfile } from "core/volfile.ts";
import { Funnel, windTo, type Xlator } from "core/xlator.ts";
import type { Endpoint } from "rpc/transport.ts";
import { conformance } from "tests/conformance/mod.ts";
import { MemoryBrick } from "tests/fakes/memory_brick.ts";
import { node, testEnv } from "tests/fakes/node.ts";
import { Switching } from "tests/fakes/switching.ts";
import { TYPES, XLATORS } from "xlators/mod.ts";

// A file that moves is open twice for a moment, and locks stay where they were taken.
const WITHOUT = {
  without: ["locks", "answers: open files are counted, those that can write apart"],
} as const;

// The layer's name has the number: every one is another shape.
function layered(bottom: string, number: number): string {
  return `${bottom}
    volume layer-${number}
      type performance/io-threads
      subvolumes bottom
    end-volume`;
}

const inMemory = new MemoryBrick(node("memory", [], { inodes: new InodeTable() }));
const way = defineXlator({
  type: "test/way",
  summary: "",
  options: {},
  subvolumes: "none",
  create: (place) =>
    new class extends Funnel {
      protected around<K extends FopName>(fop: K, call: Call, args: Args<K>) {
        return windTo(inMemory, fop, call, args);
      }
    }(place),
});

conformance("core/graph_switch, every 10 fops", async () => {
  const volfile = (number: number) => layered("volume bottom\ntype test/way\nend-volume", number);
  const inodes = new InodeTable();
  const types = xlatorTypes([...XLATORS, way]);
  const graph = await startActiveGraph(parseVolfile(volfile(0)), { types, env: testEnv(), inodes });
  const top = new Switching(graph, 10, volfile);
  return { top, inodes, call: ROOT, stop: () => top.stop() };
}, WITHOUT);

conformance("core/graph_switch, every 100 fops over TCP", async () => {
  const brick = buildGraph(
    parseVolfile(`
      volume brick
        type test/way
      end-volume
      volume server
        type protocol/server
        option transport.socket.listen-port 0
        option auth.addr.brick.allow 127.0.0.1
        subvolumes brick
      end-volume`),
    xlatorTypes([...XLATORS, way]),
    testEnv(),
  );
  await brick.start();
  const { endpoint } = brick.top as Xlator & { endpoint: Endpoint & { kind: "tcp" } };
  const client = `volume bottom
      type protocol/client
      option remote-host ${endpoint.host}
      option remote-port ${endpoint.port}
      option remote-subvolume brick
    end-volume`;
  const volfile = (number: number) => layered(client, number);
  const inodes = new InodeTable();
  const parts = { types: TYPES, env: testEnv(), inodes };
  const graph = await startActiveGraph(parseVolfile(volfile(0)), parts);
  const top = new Switching(graph, 100, volfile);
  const stop = async () => {
    await top.stop();
    await brick.stop();
  };
  return { top, inodes, call: ROOT, stop };
}, WITHOUT);
