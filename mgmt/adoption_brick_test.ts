import {
  deepStrictEqual as deepEqual,
  rejects,
  strictEqual as equal,
  throws,
} from "node:assert/strict";
import { cstring, sys } from "core/sys/calls.ts";
import { type BrickFindings, clientNamesByOrder, readBrickDirectory } from "mgmt/adoption_brick.ts";

async function inBrick(body: (path: string) => Promise<void>): Promise<void> {
  const path = await Deno.makeTempDir({ prefix: "brick-" });
  try {
    await body(path);
  } finally {
    await Deno.remove(path, { recursive: true });
  }
}

function setXattr(path: string, name: string, value: Uint8Array<ArrayBuffer>): void {
  equal(sys.lsetxattr(cstring(path), cstring(name), value, value.length, 0), 0);
}

const ignore = Deno.uid() !== 0;

Deno.test({
  name: "mgmt/adoption: a brick tells its volume's id and the clients that its files blame",
  ignore,
  fn: () =>
    inBrick(async (path) => {
      const id = Uint8Array.fromHex("00112233445566778899aabbccddeeff");
      await Deno.mkdir(`${path}/.glusterfs`);
      await Deno.writeTextFile(`${path}/file`, "");
      setXattr(path, "trusted.glusterfs.volume-id", id);
      setXattr(path, "trusted.afr.v1-client-1", new Uint8Array(12));
      setXattr(`${path}/file`, "trusted.afr.v1-client-2", new Uint8Array(12));
      setXattr(`${path}/file`, "trusted.afr.dirty", new Uint8Array(12));
      deepEqual(await readBrickDirectory(path), {
        path,
        volumeId: "00112233-4455-6677-8899-aabbccddeeff",
        hasHandles: true,
        clientNames: ["v1-client-1", "v1-client-2"],
      });
    }),
});

Deno.test("mgmt/adoption: a directory that never was a brick tells nothing", () =>
  inBrick(async (path) => {
    await Deno.writeTextFile(`${path}/file`, "");
    const nothing = { path, volumeId: undefined, hasHandles: false, clientNames: [] };
    deepEqual(await readBrickDirectory(path), nothing);
  }));

Deno.test("mgmt/adoption: a brick that is missing, or is a file, is refused", () =>
  inBrick(async (path) => {
    await Deno.writeTextFile(`${path}/file`, "");
    await rejects(readBrickDirectory(`${path}/none`), /it is not there/);
    await rejects(readBrickDirectory(`${path}/file`), /it is no directory/);
  }));

function bricks(...blamed: string[][]): BrickFindings[] {
  return blamed.map((clientNames, index) => ({
    path: `/b${index}`,
    volumeId: undefined,
    hasHandles: true,
    clientNames,
  }));
}

Deno.test("mgmt/adoption: without a state directory clients go by the order of bricks", () => {
  deepEqual(clientNamesByOrder("v1", bricks([], ["v1-client-0"], [], ["v1-client-2"]), 2), {
    names: ["v1-client-0", "v1-client-1", "v1-client-2", "v1-client-3"],
    nextClient: 4,
  });
});

Deno.test("mgmt/adoption: marks for clients of another set, number or volume, or for itself, forbid that", () => {
  for (
    const blamed of [
      [["v1-client-2"], [], [], []],
      [[], [], ["v1-client-4"], []],
      [["v0-client-1"], [], [], []],
      [[], ["v1-client-1"], [], []],
    ]
  ) {
    throws(() => clientNamesByOrder("v1", bricks(...blamed), 2), /--state/);
  }
});
