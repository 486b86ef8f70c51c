import { match, strictEqual as equal } from "node:assert/strict";
import { placesUnder } from "mgmt/home.ts";
import type { VolumeRecord } from "mgmt/records.ts";
import { removeStateFiles, writeNodeFiles, writeStateFiles } from "mgmt/state/state_files.ts";
import { stateVolfiles } from "mgmt/volgen/volfiles.ts";
import { e2e } from "tests/e2e/harness.ts";
import { GLUSTERD_HOST, inGlusterd } from "tests/e2e/real_glusterd.ts";

const NODE_ID = "8f2d3a60-7c1e-4a8e-9a43-0d5b1f7a6c21";

/** A volume of ours of `bricks` bricks under `place`. */
function volume(
  place: string,
  name: string,
  bricks: number,
  over: Partial<VolumeRecord>,
): VolumeRecord {
  const index = Number(/\d+$/.exec(name)?.[0] ?? 0);
  return {
    name,
    id: `5b1c8f0e-2f7d-4c57-8d5f-${`${index}`.padStart(12, "0")}`,
    state: "created",
    kind: "distribute",
    replicaCount: 1,
    arbiterCount: 0,
    disperseCount: 0,
    redundancyCount: 0,
    stripeCount: 1,
    bricks: Array.from({ length: bricks }, (_, brick) => ({
      host: GLUSTERD_HOST,
      path: `${place}/${name}-b${brick}`,
      nodeId: NODE_ID,
      clientName: `${name}-client-${brick}`,
    })),
    options: { "nfs.disable": "on", "transport.address-family": "inet" },
    username: "40d3ae1b-9d4f-4a9e-9e2a-0a5d0a0b9b11",
    password: "0a4a7a2c-32c7-44b5-8d7d-d0a64d6c6a2f",
    version: 3,
    nextClient: bricks,
    createdAt: 0,
    ...over,
  };
}

function volumesUnder(place: string): VolumeRecord[] {
  return [
    volume(place, "plain1", 2, {}),
    volume(place, "copies2", 4, {
      kind: "replicate",
      replicaCount: 2,
      options: { "performance.write-behind": "off", "nfs.disable": "on" },
    }),
    volume(place, "arbiter3", 3, { kind: "replicate", replicaCount: 3, arbiterCount: 1 }),
    volume(place, "dispersed4", 3, { kind: "disperse", disperseCount: 3, redundancyCount: 1 }),
  ];
}

async function writeAll(place: string, volumes: readonly VolumeRecord[]): Promise<string> {
  const places = placesUnder(`${place}/home`);
  await writeNodeFiles(places, NODE_ID, { "cluster.server-quorum-ratio": "51%" });
  for (const each of volumes) {
    // As `volume create` makes them.
    for (const { path } of each.bricks) await Deno.mkdir(`${path}/.glusterfs`, { recursive: true });
    const volfiles = stateVolfiles({
      volume: each,
      globalOptions: {},
      nodeId: NODE_ID,
      bindToHost: false,
    });
    await writeStateFiles(places, each, volfiles, NODE_ID);
  }
  return places.home;
}

async function inPlace(body: (place: string) => Promise<void>): Promise<void> {
  const place = await Deno.makeTempDir({ prefix: "mt-state-" });
  try {
    await body(place);
  } finally {
    await Deno.remove(place, { recursive: true });
  }
}

e2e(
  "mgmt/state: glusterd 10.3 started on our state directory shows our volumes",
  ["glusterd"],
  () =>
    inPlace(async (place) => {
      const home = await writeAll(place, volumesUnder(place));
      const told = await inGlusterd(home, "g volume info; g pool list; g volume get all all");
      for (
        const lines of [
          ["plain1", "Distribute", "000000000001", "2", "plain1-b0"],
          ["copies2", "Distributed-Replicate", "000000000002", "2 x 2 = 4", "copies2-b3"],
          ["arbiter3", "Replicate", "000000000003", "1 x (2 + 1) = 3", "arbiter3-b2 (arbiter)"],
          ["dispersed4", "Disperse", "000000000004", "1 x (2 + 1) = 3", "dispersed4-b1"],
        ] as const
      ) {
        const [name, type, id, count, brick] = lines;
        const start = told.indexOf(`Volume Name: ${name}\n`);
        equal(start >= 0, true, told);
        const info = told.slice(start).split("\n \n")[0]!;
        match(info, new RegExp(`^Type: ${type}$`, "m"));
        match(info, new RegExp(`^Volume ID: 5b1c8f0e-2f7d-4c57-8d5f-${id}$`, "m"));
        match(info, /^Status: Created$/m);
        equal(info.includes(`\nNumber of Bricks: ${count}\n`), true, info);
        equal(info.includes(`: ${GLUSTERD_HOST}:${place}/${brick}\n`), true, info);
        match(info, /^nfs.disable: on$/m);
      }
      match(told, /performance.write-behind: off/);
      match(told, new RegExp(`^${NODE_ID}\\s+localhost\\s+Connected`, "m"));
      match(told, /cluster.server-quorum-ratio +51%/);
    }),
);

e2e(
  "mgmt/state: glusterd 10.3 starts and serves a volume that we described",
  ["glusterd"],
  () =>
    inPlace(async (place) => {
      const [, copies] = volumesUnder(place);
      const home = await writeAll(place, [copies!]);
      for (const { path } of copies!.bricks) {
        const hex = copies!.id.replaceAll("-", "");
        const args = ["-n", "trusted.glusterfs.volume-id", "-v", `0x${hex}`, path];
        equal((await new Deno.Command("setfattr", { args }).output()).success, true);
      }
      const told = await inGlusterd(
        home,
        `g volume start copies2
       for try in $(seq 600); do
         g volume status copies2 | grep -Eq 'copies2-b3 .* Y ' && break; sleep 0.1
       done
       g volume status copies2; g volume set copies2 cluster.quorum-type none
       g volume stop copies2; g volume delete copies2; ls /var/lib/glusterd/vols`,
      );
      match(told, /volume start: copies2: success/);
      match(told, /copies2-b3 +\d+ +0 +Y/);
      match(told, /volume delete: copies2: success/);
    }),
);

e2e(
  "mgmt/state: a volume whose files were removed is unknown to glusterd",
  ["glusterd"],
  () =>
    inPlace(async (place) => {
      const [plain, copies] = volumesUnder(place);
      const home = await writeAll(place, [plain!, copies!]);
      await removeStateFiles(placesUnder(home), "copies2");
      equal(await inGlusterd(home, "g volume list"), "plain1\n");
    }),
);
