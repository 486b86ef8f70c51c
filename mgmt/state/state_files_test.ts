import {
  deepStrictEqual as deepEqual,
  rejects,
  strictEqual as equal,
  throws,
} from "node:assert/strict";
import { placesUnder } from "mgmt/home.ts";
import type { Places } from "mgmt/home.ts";
import type { VolumeRecord } from "mgmt/records.ts";
import {
  hasSecureAccess,
  readNodeId,
  removeStateFiles,
  volumeDirectory,
  volumesWithFiles,
  writeNodeFiles,
  writeStateFiles,
} from "mgmt/state/state_files.ts";

const NODE_ID = "8f2d3a60-7c1e-4a8e-9a43-0d5b1f7a6c21";

const VOLUME: VolumeRecord = {
  name: "v1",
  id: "5b1c8f0e-2f7d-4c57-8d5f-0123456789ab",
  state: "created",
  kind: "distribute",
  replicaCount: 1,
  arbiterCount: 0,
  disperseCount: 0,
  redundancyCount: 0,
  stripeCount: 1,
  bricks: [0, 1].map((index) => ({
    host: "node1",
    path: `/not/there/b${index}`,
    nodeId: NODE_ID,
    clientName: `v1-client-${index}`,
  })),
  options: {},
  username: "user",
  password: "secret",
  version: 1,
  nextClient: 2,
  createdAt: 0,
};
const VOLFILES = new Map([["v1.tcp-fuse.vol", "volume v1\n"], ["v1-shd.vol", "volume shd\n"]]);

async function inPlaces(body: (places: Places) => Promise<void>): Promise<void> {
  const home = await Deno.makeTempDir({ prefix: "state-" });
  try {
    await body(placesUnder(home));
  } finally {
    await Deno.remove(home, { recursive: true });
  }
}

function names(path: string): string[] {
  return [...Deno.readDirSync(path)].map(({ name }) => name).sort();
}

/** Every file's number and time of change, by name. */
function marks(path: string): [string, number | null, number | undefined][] {
  return names(path).map((name) => {
    const { ino, mtime } = Deno.statSync(`${path}/${name}`);
    return [name, ino, mtime?.getTime()];
  });
}

Deno.test("mgmt/state: a volume has the files of glusterd, readable by their owner only", () =>
  inPlaces(async (places) => {
    await writeStateFiles(places, VOLUME, VOLFILES, NODE_ID);
    const directory = `${places.home}/vols/v1`;
    deepEqual(names(directory), [
      "bricks",
      "info",
      "node_state.info",
      "snapd.info",
      "v1-shd.vol",
      "v1.tcp-fuse.vol",
    ]);
    deepEqual(names(`${directory}/bricks`), ["node1:-not-there-b0", "node1:-not-there-b1"]);
    for (const name of ["info", "v1-shd.vol", "bricks/node1:-not-there-b0"]) {
      equal(Deno.statSync(`${directory}/${name}`).mode! & 0o777, 0o600, name);
    }
    equal(await Deno.readTextFile(`${directory}/v1-shd.vol`), "volume shd\n");
  }));

Deno.test("mgmt/state: files that are right already are not written again", () =>
  inPlaces(async (places) => {
    await writeStateFiles(places, VOLUME, VOLFILES, NODE_ID);
    const directory = `${places.home}/vols/v1`;
    const before = [marks(directory), marks(`${directory}/bricks`)];
    await writeStateFiles(places, VOLUME, VOLFILES, NODE_ID);
    deepEqual([marks(directory), marks(`${directory}/bricks`)], before);
    await writeStateFiles(places, { ...VOLUME, version: 2 }, VOLFILES, NODE_ID);
    const changed = marks(directory).filter(([name, ino]) =>
      before[0]!.some(([other, number]) => other === name && number !== ino)
    );
    deepEqual(changed.map(([name]) => name), ["info"]);
  }));

Deno.test("mgmt/state: volfiles and bricks that a volume no longer has go, other files stay", () =>
  inPlaces(async (places) => {
    await writeStateFiles(places, VOLUME, VOLFILES, NODE_ID);
    const directory = `${places.home}/vols/v1`;
    await Deno.mkdir(`${directory}/rebalance`);
    await Deno.writeTextFile(`${directory}/quota.conf`, "kept");
    await Deno.writeTextFile(`${directory}/info.new`, "half");
    const shrunk = { ...VOLUME, bricks: VOLUME.bricks.slice(1) };
    await writeStateFiles(places, shrunk, new Map([...VOLFILES].slice(0, 1)), NODE_ID);
    deepEqual(names(`${directory}/bricks`), ["node1:-not-there-b1"]);
    deepEqual(names(directory), [
      "bricks",
      "info",
      "node_state.info",
      "quota.conf",
      "rebalance",
      "snapd.info",
      "v1.tcp-fuse.vol",
    ]);
  }));

Deno.test("mgmt/state: a brick of this node says where it is mounted", () =>
  inPlaces(async (places) => {
    const path = `${places.home}/b0`;
    await Deno.mkdir(path);
    const bricks = [{ ...VOLUME.bricks[0]!, path }];
    await writeStateFiles(places, { ...VOLUME, bricks }, VOLFILES, NODE_ID);
    const [name] = names(`${places.home}/vols/v1/bricks`);
    const text = await Deno.readTextFile(`${places.home}/vols/v1/bricks/${name}`);
    const directory = /^mount_dir=(.*)$/m.exec(text)?.[1];
    equal(directory !== undefined && path.endsWith(directory), true, text);
    const { stdout } = await new Deno.Command("stat", { args: ["-f", "-c", "%i", path] }).output();
    const id = BigInt(`0x${new TextDecoder().decode(stdout).trim()}`);
    // `stat` shows the two halves the other way round.
    equal(/^brick-fsid=(.*)$/m.exec(text)?.[1], `${(id >> 32n) | ((id & 0xffffffffn) << 32n)}`);
  }));

Deno.test("mgmt/state: what cannot be written leaves the files as they were", () =>
  inPlaces(async (places) => {
    await writeStateFiles(places, VOLUME, VOLFILES, NODE_ID);
    const directory = `${places.home}/vols/v1`;
    const before = marks(directory);
    const bad = { ...VOLUME, options: { "user.note": "a\nb" }, version: 2 };
    await rejects(writeStateFiles(places, bad, new Map(), NODE_ID), RangeError);
    for (const name of ["../../../x.vol", "a/b.vol", "info", "notes"]) {
      await rejects(
        writeStateFiles(places, VOLUME, new Map([[name, ""]]), NODE_ID),
        RangeError,
        name,
      );
    }
    deepEqual(marks(directory), before);
  }));

Deno.test("mgmt/state: removed files are gone wholly, and removing again is fine", () =>
  inPlaces(async (places) => {
    await writeStateFiles(places, VOLUME, VOLFILES, NODE_ID);
    await writeStateFiles(places, { ...VOLUME, name: "v2" }, new Map(), NODE_ID);
    deepEqual(await volumesWithFiles(places), ["v1", "v2"]);
    // What a crash left of an earlier removal.
    await Deno.mkdir(`${places.home}/trash/v1.deleted/bricks`, { recursive: true });
    await removeStateFiles(places, "v1");
    deepEqual(await volumesWithFiles(places), ["v2"]);
    deepEqual(names(`${places.home}/trash`), []);
    await removeStateFiles(places, "v1");
    for (const name of ["..", ".", "", "a/b", "v2/../../x"]) {
      await rejects(removeStateFiles(places, name), RangeError, name);
      throws(() => volumeDirectory(places, name), RangeError);
    }
    deepEqual(await volumesWithFiles(places), ["v2"]);
  }));

Deno.test("mgmt/state: the node's id is read back; text that is none is not taken for one", () =>
  inPlaces(async (places) => {
    equal(await readNodeId(places), undefined);
    deepEqual(await volumesWithFiles(places), []);
    await writeNodeFiles(places, NODE_ID, { "cluster.server-quorum-ratio": "51%" });
    equal(await readNodeId(places), NODE_ID);
    deepEqual(names(places.home), ["glusterd.info", "options", "peers", "snaps", "vols"]);
    equal(
      await Deno.readTextFile(`${places.home}/options`),
      "cluster.server-quorum-ratio=51%\nglobal-option-version=0\n",
    );
    await Deno.writeTextFile(`${places.home}/glusterd.info`, "UUID=me\n");
    equal(await readNodeId(places), undefined);
  }));

Deno.test("mgmt/state: secure-access is seen when it is there", () =>
  inPlaces(async (places) => {
    equal(await hasSecureAccess(places), false);
    await Deno.writeTextFile(`${places.home}/secure-access`, "");
    equal(await hasSecureAccess(places), true);
  }));
