import { deepStrictEqual } from "node:assert/strict";
import { type Call, ROOT } from "core/call.ts";
import { type Args, FOP_NAMES, type FopName, type Reply } from "core/fops.ts";
import { InodeTable } from "core/inode.ts";
import { readOptions } from "core/options.ts";
import { Uniform } from "core/xlator.ts";
import { CONFORMANCE } from "tests/conformance/mod.ts";
import { MemoryBrick } from "tests/fakes/memory_brick.ts";
import { node } from "tests/fakes/node.ts";
import { locks } from "xlators/features/locks/locks.ts";

class Noting extends Uniform {
  readonly answered = new Set<FopName>();
  readonly asked = new Set<FopName>();
  protected async around<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    this.asked.add(fop);
    const reply = await this.wind(fop, call, args);
    this.answered.add(fop);
    return reply;
  }
}

Deno.test("tests/conformance: every fop is asked, and all that a brick knows are answered", async () => {
  const inodes = new InodeTable();
  const brick = new MemoryBrick(node("memory", [], { inodes }));
  const values = readOptions(locks.options, new Map());
  const top = new Noting(node("top", [locks.create(node("locks", [brick], { inodes }), values)]));
  const subject = { top, inodes, call: ROOT, stop: () => Promise.resolve() };
  for (const run of Object.values(CONFORMANCE)) await run(subject);
  deepStrictEqual(FOP_NAMES.filter((fop) => !top.asked.has(fop)), []);
  const refused = FOP_NAMES.filter((fop) => !top.answered.has(fop));
  deepStrictEqual(refused, ["lease", "setactivelk", "icreate", "namelink"]);
  deepStrictEqual(brick.openFiles, 0, "a case left files open");
});
