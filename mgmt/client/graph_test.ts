import { deepStrictEqual as deepEqual, strictEqual as equal, throws } from "node:assert/strict";
import { parseVolfile } from "core/volfile.ts";
import { clientGraph } from "mgmt/client/graph.ts";
import { TYPES } from "xlators/mod.ts";

const VOLFILE = `
volume c0
  type protocol/client
  option remote-host a
end-volume
volume cache
  type performance/never-heard-of
  subvolumes c0
end-volume
volume m
  type mount/fuse
  option entry-timeout 3
  subvolumes cache
end-volume
`;
const CHANGES = { port: 24007, subdirectory: undefined };

Deno.test("client graph: what only makes it faster is left out and told, a mount's options are kept", () => {
  const left: string[] = [];
  const { blocks, mountOptions } = clientGraph(
    parseVolfile(VOLFILE),
    TYPES,
    CHANGES,
    ({ type }) => {
      left.push(type);
    },
  );
  deepEqual(blocks.map(({ name }) => name), ["c0"]);
  deepEqual(left, ["performance/never-heard-of"]);
  equal(mountOptions.get("entry-timeout"), "3");
});

Deno.test("client graph: bricks are asked for where the volfile came from", () => {
  const changes = { port: 24999, subdirectory: "/d" };
  const { blocks } = clientGraph(parseVolfile(VOLFILE), TYPES, changes, () => {});
  equal(blocks[0]!.options.get("remote-port"), "24999");
  equal(blocks[0]!.options.get("subdir-mount"), "/d");
});

Deno.test("client graph: what lays data out and is not here is refused by its name", () => {
  const text = VOLFILE.replace("performance/never-heard-of", "cluster/never-heard-of");
  throws(
    () => clientGraph(parseVolfile(text), TYPES, CHANGES, () => {}),
    /"cache" is of type "cluster\/never-heard-of"/,
  );
});

Deno.test("client graph: a mount of what may not be changed has a layer for that on top", () => {
  const { blocks } = clientGraph(
    parseVolfile(VOLFILE),
    TYPES,
    { ...CHANGES, worm: true },
    () => {},
  );
  const { type, subvolumes, options } = blocks.at(-1)!;
  deepEqual([type, subvolumes, options.get("worm")], ["features/worm", ["c0"], "on"]);
});
