import { strictEqual as equal, throws } from "node:assert/strict";
import { readGlusterState } from "mgmt/adoption.ts";
import type { VolumeRecord } from "mgmt/records.ts";
import {
  brickInfo,
  brickKey,
  globalOptionsInfo,
  nodeInfo,
  pairsOf,
  volumeInfo,
} from "mgmt/state/volume_info.ts";
import { STATE_FILES, STATE_NAMES, unpackState } from "tests/interop/glusterd_state.ts";

const STATES = ["created", "started", "stopped"] as const;

/** What glusterd remembers of a volume, as one of our records. */
async function recordOf(directory: string, name: string): Promise<VolumeRecord> {
  const { started: _, ...volume } = await readGlusterState(directory, name);
  const status = Number(pairsOf(STATE_FILES[`vols/${name}/info`]!).get("status"));
  const bricks = volume.bricks.map((brick) => ({ ...brick, nodeId: brick.nodeId! }));
  return { ...volume, bricks, state: STATES[status]!, createdAt: 0 };
}

for (const name of Object.keys(STATE_NAMES)) {
  Deno.test(`mgmt/state: "${name}" is written to the byte as glusterd 10.3 writes it`, async () => {
    const directory = await Deno.makeTempDir({ prefix: "state-" });
    try {
      await unpackState(directory);
      const volume = await recordOf(directory, name);
      let info = STATE_FILES[`vols/${name}/info`]!;
      // One brick when it was made: glusterd does not raise the number when copies are added.
      if (name === "grown") {
        info = info.replace("client-op-version=2\n", "client-op-version=30800\n");
      }
      equal(volumeInfo(volume), info);
      for (const brick of volume.bricks) {
        const text = STATE_FILES[`vols/${name}/bricks/${brickKey(brick)}`]!;
        const pairs = pairsOf(text);
        const fileSystem = BigInt(pairs.get("brick-fsid")!);
        equal(brickInfo(brick, { directory: pairs.get("mount_dir")!, fileSystem }), text);
      }
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  });
}

Deno.test("mgmt/state: the node and the options of all volumes are written as by glusterd 10.3", () => {
  const info = STATE_FILES["glusterd.info"]!;
  equal(nodeInfo(pairsOf(info).get("UUID")!), info);
  equal(globalOptionsInfo({}), STATE_FILES["options"]!);
});

Deno.test("mgmt/state: a striped volume is adopted again as ours, striped over copies or not", async () => {
  const directory = await Deno.makeTempDir({ prefix: "state-" });
  try {
    await unpackState(directory);
    const plain = await recordOf(directory, "copies2");
    for (const replicaCount of [1, 2]) {
      const stripe: VolumeRecord = {
        ...plain,
        kind: "stripe",
        stripeCount: 2 / replicaCount,
        replicaCount,
      };
      if (replicaCount === 2) {
        const more = plain.bricks.map((brick, index) => ({
          ...brick,
          path: `${brick.path}x`,
          clientName: `copies2-client-${index + 2}`,
        }));
        Object.assign(stripe, { stripeCount: 2, bricks: [...plain.bricks, ...more] });
      }
      for (const brick of stripe.bricks) {
        const file = `${directory}/vols/copies2/bricks/${brickKey(brick)}`;
        await Deno.writeTextFile(file, brickInfo(brick, undefined));
      }
      await Deno.writeTextFile(`${directory}/vols/copies2/info`, volumeInfo(stripe));
      const read = await readGlusterState(directory, "copies2");
      equal(read.kind, "stripe");
      equal(read.replicaCount, replicaCount);
      equal(read.stripeCount, 2);
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("mgmt/state: an option with a second line writes no file", () => {
  throws(() => globalOptionsInfo({ "user.note": "a\nvolume-id=b" }), RangeError);
});
