/** `volume create`: checks everything first, then marks the bricks, then shows the volume. */

import {
  type Arguments,
  keyword,
  keywordOrBare,
  managed,
  OP_ERRNO,
  operand,
  operands,
  Refusal,
  wholeNumber,
  word,
} from "mgmt/cli/managed.ts";
import { element } from "mgmt/cli/xml.ts";
import { type Adopted, readAdopted } from "mgmt/cluster/adopt.ts";
import {
  type BrickPlace,
  checkNewBrick,
  isWithin,
  parseBrick,
  realPath,
  takeBrick,
} from "mgmt/cluster/brick_directory.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";
import { layoutOf } from "mgmt/cluster/layout.ts";
import { newVolumeName } from "mgmt/cluster/names.ts";
import { type BrickRecord, brickText, setSize, type VolumeRecord } from "mgmt/records.ts";
import { checkBrickNames } from "mgmt/state/brick_names.ts";
import { newVolumeOptions } from "mgmt/volume_options/defaults.ts";

/** A volume that was made, started, stopped or deleted. */
export type VolumeDone = {
  readonly volume: string;
  readonly id: string;
  /** What went on but should be known, a line each. */
  readonly warnings: readonly string[];
};

/** As `--xml` shows one. */
export function volumeDone(name: string) {
  return ({ volume, id }: VolumeDone) => [
    element(name, [element("volume", [element("name", volume), element("id", id)])]),
  ];
}

/** What a person reads of one. */
export function doneText(verb: string, after = "") {
  return ({ volume, warnings }: VolumeDone) =>
    `volume ${verb}: ${volume}: success${after}\n${warnings.map((line) => `${line}\n`).join("")}`;
}

const args = {
  volume: operand("<NEW-VOLNAME>", { help: "Name of the new volume." }),
  stripe: keyword("stripe", "<COUNT>", {
    help: "Stripe every file over that many bricks, or sets; for our own clients only.",
    parse: wholeNumber,
  }),
  replica: keyword("replica", "<COUNT>", {
    help: "Keep that many copies of every file.",
    parse: wholeNumber,
  }),
  arbiter: keyword("arbiter", "<COUNT>", {
    help: "Of three copies the last keeps names and attributes only; 1.",
    parse: wholeNumber,
  }),
  disperse: keywordOrBare("disperse", "<COUNT>", 0, {
    help: "Erasure-code every file over that many bricks; all of them if not given.",
    parse: wholeNumber,
  }),
  "disperse-data": keyword("disperse-data", "<COUNT>", {
    help: "Bricks of a dispersed set that the data alone takes.",
    parse: wholeNumber,
  }),
  redundancy: keyword("redundancy", "<COUNT>", {
    help: "Bricks of a dispersed set that may be lost.",
    parse: wholeNumber,
  }),
  transport: keyword("transport", "<tcp>", { help: "tcp, the only one." }),
  bricks: operands("<NEW-BRICK>", { help: "HOST:/DIRECTORY, sets one after the other." }),
  force: word("force", "Also on the root file system, or with copies on one host."),
  adopt: word("--adopt", "Take over the bricks of a volume that GlusterFS served, as they are."),
  state: keyword("--state", "<DIRECTORY>", {
    help: "With --adopt: GlusterFS's state directory, such as /var/lib/glusterd.",
  }),
};

type CreateArgs = Arguments<typeof args>;

/** See the head of this file. */
export const volumeCreate = managed({
  path: "volume create",
  summary: "create a new volume of specified type with mentioned bricks",
  description: [
    "Without replica or disperse, files are distributed over the bricks. The daemon makes the last " +
    "directory of each brick's path; the rest must be there.",
  ],
  args,
  scope: "volume",
  rest: "POST /volumes",
  examples: [
    {
      what: "Three copies on three machines",
      line: "mortar volume create v1 replica 3 a:/bricks/v1 b:/bricks/v1 c:/bricks/v1",
    },
    {
      what: "One brick on this machine, on the root file system",
      line: "mortar volume create v1 127.0.0.1:/srv/v1 force",
    },
    {
      what: "Take over a volume of GlusterFS, with its options",
      line: "mortar volume create v1 a:/bricks/v1 force --adopt --state /var/lib/glusterd",
    },
  ],
  question({ replica, arbiter }) {
    return replica === 2 && arbiter === undefined
      ? "Replica 2 volumes are prone to split-brain. Use Arbiter or Replica 3 to avoid this.\n" +
        "Do you still want to continue?"
      : undefined;
  },
  async check(cluster, given) {
    if (!given.adopt) layoutOf(given, given.bricks.length);
    checkWords(given);
    const name = newVolumeName(given.volume);
    if (await cluster.find(name)) {
      throw new Refusal(`Volume ${name} already exists`, OP_ERRNO.volumeExists);
    }
    if (given.state !== undefined && !given.adopt) {
      throw new Refusal("--state is for --adopt; leave it out, or add --adopt");
    }
    if (given.adopt) return void await adopted(cluster, given);
    await checkedBricks(cluster, given);
    if (!given.force) checkSets(given.bricks.map(parseBrick), layoutOf(given, given.bricks.length));
  },
  apply(cluster, given) {
    return cluster.hooked("create", given.volume, () => create(cluster, given));
  },
  text: doneText("create", ": please start the volume to access data"),
  xml: volumeDone("volCreate"),
  failed: (message, { volume }) => `volume create: ${volume}: failed: ${message}`,
});

async function create(cluster: Cluster, given: CreateArgs): Promise<VolumeDone> {
  if (given.adopt) return await adopt(cluster, given);
  const volume = await recorded(cluster, given);
  try {
    for (const { host, path, made } of volume.bricks) {
      takeBrick({ host, path }, volume.id, made === true);
    }
    await cluster.update(volume.name, (record) => ({ ...record, state: "created" }));
  } catch (error) {
    await cluster.undoCreate(volume);
    throw error;
  }
  return { volume: volume.name, id: volume.id, warnings: [] };
}

// Nothing on the bricks changes, so the volume may be there at once.
async function adopt(cluster: Cluster, given: CreateArgs): Promise<VolumeDone> {
  const { clientNames, login, ...rest } = await adopted(cluster, given);
  const blank = blankRecord(cluster, given);
  const volume: VolumeRecord = {
    ...blank,
    ...rest,
    ...login,
    state: "created",
    bricks: blank.bricks.map((brick, index) => ({ ...brick, clientName: clientNames[index]! })),
  };
  await cluster.add(volume);
  try {
    await cluster.converge(volume);
  } catch (error) {
    await cluster.remove(volume.name);
    throw error;
  }
  return { volume: volume.name, id: volume.id, warnings: [] };
}

async function adopted(cluster: Cluster, given: CreateArgs): Promise<Adopted> {
  const places = given.bricks.map(parseBrick);
  for (const place of places) await cluster.checkHost(place);
  checkFileNames(given);
  return await readAdopted(given.volume, places, given.state, {
    layout: () => layoutOf(given, places.length),
    options: newVolumeOptions,
  });
}

function checkWords({ bricks, transport }: CreateArgs): void {
  if (transport !== undefined && transport.toLowerCase() !== "tcp") {
    throw new Refusal(`Cannot use transport "${transport}": only tcp is there; leave it out`);
  }
  const seen = new Set<string>();
  for (const brick of bricks.map(parseBrick).map(brickText)) {
    if (seen.has(brick)) throw new Refusal(`Found duplicate exports ${brick}`);
    seen.add(brick);
  }
}

function checkFileNames({ volume, bricks }: CreateArgs): void {
  try {
    checkBrickNames(volume, bricks.map(parseBrick));
  } catch (error) {
    if (error instanceof RangeError) throw new Refusal(error.message);
    throw error;
  }
}

// One after the other: the first that is wrong, in the order of the command line, is named.
async function checkedBricks(cluster: Cluster, given: CreateArgs): Promise<boolean[]> {
  const missing: boolean[] = [];
  const places = given.bricks.map(parseBrick);
  const names = new Map((await cluster.volumes()).map(({ id, name }) => [id, name]));
  const { home } = cluster.places, volumeOf = (id: string) => names.get(id);
  for (const place of places) {
    await cluster.checkHost(place);
    missing.push(checkNewBrick(place, { home, force: given.force, volumeOf }));
  }
  checkDirectories(places);
  checkFileNames(given);
  return missing;
}

// Two names may be one directory, or one in the other, by links on the way.
function checkDirectories(places: readonly BrickPlace[]): void {
  const known: string[] = [];
  for (const place of places) {
    const real = realPath(place.path);
    const other = known.find((each) => isWithin(real, each) || isWithin(each, real));
    if (other !== undefined) {
      throw new Refusal(
        `Found duplicate exports ${brickText(place)}: it is in, or above, ${other}`,
      );
    }
    known.push(real);
  }
}

function checkSets(
  bricks: readonly { readonly host: string }[],
  layout: Pick<VolumeRecord, "kind" | "replicaCount" | "disperseCount">,
): void {
  if (layout.kind !== "replicate" && layout.kind !== "disperse") return;
  const size = setSize(layout);
  for (let at = 0; at < bricks.length; at += size) {
    const hosts = new Set(bricks.slice(at, at + size).map(({ host }) => host));
    if (hosts.size === size) continue;
    throw new Refusal(
      `Multiple bricks of a ${layout.kind} volume are present on the same server. This setup is not optimal. ` +
        "Bricks should be on different nodes to have best fault tolerant configuration. " +
        "Use 'force' at the end of the command if you want to override this behavior.",
    );
  }
}

// The record comes first: whoever finds it "creating" knows what to undo.
async function recorded(cluster: Cluster, given: CreateArgs): Promise<VolumeRecord> {
  const missing = await checkedBricks(cluster, given);
  const layout = layoutOf(given, given.bricks.length);
  const blank = blankRecord(cluster, given);
  const volume: VolumeRecord = {
    ...blank,
    ...layout,
    id: cluster.env.random.uuid(),
    state: "creating",
    bricks: blank.bricks.map((brick, index) => missing[index] ? { ...brick, made: true } : brick),
    options: newVolumeOptions(layout.kind),
  };
  await cluster.add(volume);
  return volume;
}

// What does not depend on where the volume comes from.
function blankRecord(cluster: Cluster, { volume, bricks }: CreateArgs) {
  const { random, clock } = cluster.env;
  return {
    name: volume,
    bricks: bricks.map(parseBrick).map(({ host, path }, index): BrickRecord => ({
      host,
      path,
      nodeId: cluster.nodeId,
      clientName: `${volume}-client-${index}`,
    })),
    username: random.uuid(),
    password: random.uuid(),
    version: 1,
    nextClient: bricks.length,
    createdAt: Math.floor(clock.now()),
  };
}
