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
const CHANGES = { where: 'volfile "x"', port: 24007, subdirectory: undefined };

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
  const changes = { ...CHANGES, port: 24999, subdirectory: "/d" };
  const { blocks } = clientGraph(parseVolfile(VOLFILE), TYPES, changes, () => {});
  equal(blocks[0]!.options.get("remote-port"), "24999");
  equal(blocks[0]!.options.get("subdir-mount"), "/d");
});

Deno.test("client graph: what lays data out and is not here is refused by its name", () => {
  const text = VOLFILE.replace("performance/never-heard-of", "cluster/never-heard-of");
  throws(
    () => clientGraph(parseVolfile(text), TYPES, CHANGES, () => {}),
    /Cannot use volfile "x": volume "cache" \(line 6\): type "cluster\/never-heard-of" is none /,
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

Deno.test("client graph: a volume by name is mounted with what it stands on, and no other", () => {
  const changes = { ...CHANGES, topVolume: "c0" };
  const { blocks, mountOptions } = clientGraph(parseVolfile(VOLFILE), TYPES, changes, () => {});
  deepEqual([blocks.map(({ name }) => name), mountOptions.size], [["c0"], 0]);
  throws(
    () => clientGraph(parseVolfile(VOLFILE), TYPES, { ...CHANGES, topVolume: "x" }, () => {}),
    /Cannot mount volume "x": the volfile has none of that name/,
  );
});

Deno.test("client graph: what is left out does not hide that nothing is below it", () => {
  const volume = "volume x\n type performance/never-heard-of\n";
  for (const subvolumes of ["c0", "x"]) {
    const text = `${volume} subvolumes ${subvolumes}\nend-volume\n`;
    throws(
      () => clientGraph(parseVolfile(text), TYPES, CHANGES, () => {}),
      new RegExp(
        `Cannot use volfile "x": volume "x" \\(line 1\\): subvolume "${subvolumes}" is not defined above it`,
      ),
    );
  }
});

Deno.test("client graph: a brick's volfile is no client's", () => {
  const text = "volume a\ntype storage/posix\noption directory /a\nend-volume\n" +
    "volume s\ntype protocol/server\nsubvolumes a\nend-volume\n";
  throws(
    () => clientGraph(parseVolfile(text), TYPES, CHANGES, () => {}),
    /Cannot use volfile "x": volume "s" \(line 5\): type "protocol\/server" serves a brick; "mortar brick"/,
  );
  const { blocks } = clientGraph(parseVolfile(text), TYPES, { ...CHANGES, served: true }, () => {});
  deepEqual(blocks.map(({ name }) => name), ["a", "s"], "but a proxy's");
});

Deno.test("client graph: volumes that nobody named, and copies that are none, are noted", () => {
  const posix = (name: string) => `volume ${name}\ntype storage/posix\nend-volume\n`;
  const notes = (text: string, topVolume?: string) =>
    clientGraph(parseVolfile(text), TYPES, { ...CHANGES, topVolume }, () => {}).notes;
  deepEqual(notes(VOLFILE), []);
  const two = posix("a") + posix("b");
  deepEqual(notes(two), [
    'volume "a" (line 1) is not mounted: no volume has it as a subvolume, and the last one is ' +
    "mounted; -o volume-name=a mounts it instead",
  ]);
  deepEqual(notes(two, "a"), []);
  deepEqual(notes(`${posix("a")}volume r\ntype cluster/replicate\nsubvolumes a\nend-volume\n`), [
    'volume "r" (line 4) of type cluster/replicate has one subvolume: there is one copy of each file',
  ]);
});
