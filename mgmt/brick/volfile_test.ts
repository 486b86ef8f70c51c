import { deepStrictEqual as deepEqual, strictEqual as equal, throws } from "node:assert/strict";
import {
  brickName,
  listeningOn,
  overridden,
  parseOverride,
  readBlocks,
  withoutIdle,
} from "mgmt/brick/volfile.ts";

const VOLFILE = `volume v-posix
    type storage/posix
    option directory /b
end-volume

volume /bricks/b1
    type debug/io-stats
    subvolumes v-posix
end-volume

volume v-server
    type protocol/server
    option transport.socket.listen-port 49152
    subvolumes /bricks/b1
end-volume
`;
const blocks = readBlocks(VOLFILE, "x.vol");

Deno.test("mgmt/brick: an override reaches the volumes its pattern names and no other", () => {
  const all = [parseOverride("*-posix.directory=/other=1"), parseOverride("v-serve?.a.b=c")];
  const [posix, stats, server] = overridden(blocks, all);
  equal(posix!.options.get("directory"), "/other=1");
  deepEqual([...stats!.options], []);
  equal(server!.options.get("a.b"), "c");
});

Deno.test("mgmt/brick: an override that is none is refused", () => {
  for (const text of ["", "a", "a.b", "a=b", ".b=c"]) {
    throws(() => parseOverride(text), /expected VOLUME\.OPTION=VALUE/);
  }
});

Deno.test("mgmt/brick: dots and brackets of a pattern stand for themselves", () => {
  const [posix] = overridden(blocks, [{ volume: "v-posi[x]", option: "o", value: "1" }]);
  equal(posix!.options.has("o"), false);
});

Deno.test("mgmt/brick: the port of the command line wins over the volfile's", () => {
  equal(listeningOn(blocks, 0)[2]!.options.get("transport.socket.listen-port"), "0");
});

Deno.test("mgmt/brick: the brick's name is the volume below protocol/server unless given", () => {
  equal(brickName(blocks, undefined, "x.vol"), "/bricks/b1");
  equal(brickName(blocks, "other", "x.vol"), "other");
});

Deno.test("mgmt/brick: a volfile without protocol/server is refused, saying what to add", () => {
  throws(() => brickName(blocks.slice(0, 2), undefined, 'volfile "x.vol"'), {
    name: "CommandError",
    message: /Cannot serve volfile "x\.vol": no volume of type protocol\/server .*; add one/,
  });
});

Deno.test("mgmt/brick: a malformed volfile is refused, naming file and line", () => {
  throws(() => readBlocks("volume a\n  typ b\n", 'volfile "x.vol"'), {
    name: "CommandError",
    message: /Cannot use volfile "x\.vol": line 2: /,
  });
  throws(() => readBlocks("# nothing\n", 'volfile "x.vol"'), /it is empty/);
});

Deno.test("mgmt/brick/volfile: layers that are switched off and not known are left out, others stay", () => {
  const text = `volume a
    type storage/posix
end-volume
volume b
    type features/trash
    subvolumes a
end-volume
volume c
    type features/changelog
    option changelog on
    subvolumes b
end-volume
volume d
    type features/bitrot-stub
    option bitrot disable
    subvolumes c
end-volume
volume e
    type protocol/server
    subvolumes d
end-volume
`;
  const types = new Set(["storage/posix", "protocol/server"]);
  deepEqual(
    withoutIdle(readBlocks(text, "x"), types).map(({ name, subvolumes }) => [name, ...subvolumes]),
    [["a"], ["c", "a"], ["e", "c"]],
  );
});
