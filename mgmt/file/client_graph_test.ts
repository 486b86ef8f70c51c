import { deepStrictEqual as deepEqual, throws } from "node:assert/strict";
import { parseVolfile } from "core/volfile.ts";
import { parseAddress } from "mgmt/file/address.ts";
import { usableBlocks } from "mgmt/file/client_graph.ts";
import { TYPES } from "xlators/mod.ts";

const BRICKS = `
volume v-client-0
  type protocol/client
  option remote-host h
end-volume
volume v-client-1
  type protocol/client
  option remote-port 1
end-volume
`;

function used(volfile: string, address = "h:v") {
  const told: string[] = [];
  const tell = (sentence: string) => void told.push(sentence);
  const blocks = usableBlocks(parseVolfile(BRICKS + volfile), TYPES, parseAddress(address), tell);
  return { blocks, told };
}

Deno.test("mgmt/file: layers that only cache or watch are left out, with a sentence each", () => {
  const { blocks, told } = used(`
volume v-dht
  type cluster/distribute
  subvolumes v-client-0 v-client-1
end-volume
volume v-wb
  type performance/write-behind
  subvolumes v-dht
end-volume
volume v-quiet
  type features/quiesce
  subvolumes v-wb
end-volume
volume v-ro
  type features/read-only
  subvolumes v-quiet
end-volume
volume v
  type debug/io-stats
  subvolumes v-ro
end-volume`);
  deepEqual(blocks.map(({ name, subvolumes }) => [name, ...subvolumes]), [
    ["v-client-0"],
    ["v-client-1"],
    ["v-dht", "v-client-0", "v-client-1"],
    ["v-ro", "v-dht"],
  ]);
  deepEqual(told.map((sentence) => sentence.split(" ")[0]), [
    "performance/write-behind",
    "features/quiesce",
    "debug/io-stats",
  ]);
});

Deno.test("mgmt/file: layers that lay data out and are not here are refused by name", () => {
  for (const type of ["cluster/nufa", "features/cdc", "encryption/rot-13", "features/cloudsync"]) {
    const volfile = `volume x\n type ${type}\n subvolumes v-client-0\nend-volume`;
    throws(() => used(volfile), new RegExp(`it needs ${type}, which this version does not have`));
  }
  const fork = "volume x\n type features/fork\n subvolumes v-client-0 v-client-1\nend-volume";
  throws(() => used(fork), /it needs features\/fork/);
});

Deno.test("mgmt/file: bricks without a port are asked of the server that was named", () => {
  const ports = (address: string) =>
    used("", address).blocks.map(({ options }) => options.get("remote-port"));
  deepEqual(ports("h:24010:v"), ["24010", "1"]);
  deepEqual(ports("h:v"), [undefined, "1"]);
});
