import { type Call, ROOT } from "core/call.ts";
import type { Args, FopName, Reply } from "core/fops.ts";
import { type ActiveGraph, startActiveGraph } from "core/graph_switch.ts";
import { InodeTable } from "core/inode.ts";
import { defineXlator, xlatorTypes } from "core/registry.ts";
import { parseVolfile } from "core/volfile.ts";
import { Funnel, PassThrough, Uniform, windTo } from "core/xlator.ts";
import { conformance } from "tests/conformance/mod.ts";
import { MemoryBrick } from "tests/fakes/memory_brick.ts";
import { node, testEnv } from "tests/fakes/node.ts";

const FOPS_PER_SWITCH = 10;

/** Switches the graph below it every few fops, while they are under way. */
class Switching extends Uniform {
  #fops = 0;
  constructor(readonly graph: ActiveGraph) {
    super(node("switching", [graph]));
  }
  protected around<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    if (this.#fops++ % FOPS_PER_SWITCH === 0) {
      void this.graph.apply(parseVolfile(volfile(this.#fops)));
    }
    return this.wind(fop, call, args);
  }
}

// Every number makes another shape: the volume's name has it.
function volfile(number: number): string {
  return "volume brick\ntype test/brick\nend-volume\n" +
    `volume layer-${number}\ntype test/layer\nsubvolumes brick\nend-volume\n`;
}

conformance("core/graph_switch, switched every 10 fops", async () => {
  const inodes = new InodeTable();
  const brick = new MemoryBrick(node("memory", [], { inodes }));
  const way = defineXlator({
    type: "test/brick",
    summary: "",
    options: {},
    subvolumes: "none",
    create: (place) =>
      new class extends Funnel {
        protected around<K extends FopName>(fop: K, call: Call, args: Args<K>) {
          return windTo(brick, fop, call, args);
        }
      }(place),
  });
  const layer = defineXlator({
    type: "test/layer",
    summary: "",
    options: {},
    subvolumes: "one",
    create: (place) => new class extends PassThrough {}(place),
  });
  const types = xlatorTypes([way, layer]);
  const graph = await startActiveGraph(parseVolfile(volfile(0)), { types, env: testEnv(), inodes });
  return { top: new Switching(graph), inodes, call: ROOT, stop: () => graph.stop() };
}, {
  // A file that moves is open twice for a moment.
  without: ["locks", "answers: open files are counted, those that can write apart"],
});
