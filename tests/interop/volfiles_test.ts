import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { findOption } from "core/options.ts";
import { parseVolfile } from "core/volfile.ts";
import { stateVolfiles } from "mgmt/volgen/volfiles.ts";
import { GOLDEN, goldenInput, goldenText } from "tests/interop/golden_volumes.ts";
import { TYPES } from "xlators/mod.ts";

const OURS = /fuse\.vol$|-shd\.vol$|-rebalance\.vol$/;

/** What glusterd writes only when it was set, and we always. */
const DEFAULT = "ctime on";

/** What a volfile says, whatever the order of a layer's options, which says nothing. */
function said(text: string): string[] {
  return text.split(/\n\n/).map((block) => block.trim().split("\n").sort().join("\n"));
}

for (const volume of GOLDEN) {
  const what = `${volume.name}, ${volume.bricks.length} bricks${
    volume.shape && `, ${volume.shape}`
  }`;
  Deno.test(`mgmt/volgen: clients, healers and rebalances of ${what} get what glusterd writes`, () => {
    for (const each of volume.cases) {
      const made = stateVolfiles(goldenInput(volume, each));
      const files = Object.keys(each.files).filter((file) => OURS.test(file));
      ok(files.length >= 2);
      deepEqual([...made.keys()].filter((file) => OURS.test(file)).sort(), files.toSorted());
      for (const file of files) {
        const where = `${file} with ${each.set || "nothing set"}`;
        const text = goldenText(volume, each, file);
        deepEqual(said(made.get(file)!), said(text), where);
        equal(made.get(file)!.length, text.length, where);
      }
    }
  });

  Deno.test(`mgmt/volgen: bricks of ${what} get the options that glusterd writes`, () => {
    for (const each of volume.cases) {
      const file = Object.keys(each.files).find((name) => !OURS.test(name))!;
      const made = parseVolfile(stateVolfiles(goldenInput(volume, each)).get(file)!);
      const layers = parseVolfile(goldenText(volume, each, file))
        .filter(({ type }) => made.some((own) => own.type === type));
      const names = made.map(({ name }) => name);
      deepEqual(names, layers.map(({ name }) => name), each.set);
      layers.forEach(({ type, options }, index) => {
        const table = TYPES.get(type)!.options;
        const known = [...options].filter(([name]) => findOption(table, name));
        const own = [...made[index]!.options].filter((option) => option.join(" ") !== DEFAULT);
        deepEqual(own.toSorted(), known.toSorted(), `${type} with ${each.set || "nothing set"}`);
      });
    }
  });
}
