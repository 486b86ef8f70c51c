import { deepStrictEqual as deepEqual, strictEqual as equal, throws } from "node:assert/strict";
import { parseVolfile } from "core/volfile.ts";
import { readGlusterState } from "mgmt/adoption.ts";
import { type BrickFindings, clientNamesByOrder, readBrickDirectory } from "mgmt/adoption_brick.ts";
import { setSize, type VolumeKind } from "mgmt/records.ts";
import { e2e } from "tests/e2e/harness.ts";
import { GLUSTERD_HOST, inGlusterd } from "tests/e2e/real_glusterd.ts";

const MOUNT = "/mnt";

/** A volume, how it is made, what befalls it while it is mounted, and what must be read of it. */
interface Case {
  readonly name: string;
  readonly create: (brick: (name: string) => string) => string;
  readonly then?: (brick: (name: string) => string) => string;
  readonly shape: readonly [VolumeKind, copies: number, arbiters: number, parts: number];
  readonly clients: readonly number[];
  /** The names can be had from the bricks alone, too. */
  readonly byOrder: boolean;
  /** Bricks have marks that blame another. */
  readonly marked: boolean;
}

/** Marks: files change while a brick is down. */
const changeWithoutBrick = (name: string) => `
  pid=$(cat /run/gluster/vols/${name}/*-${name}-b1.pid); kill -9 $pid
  while [ -d /proc/$pid ]; do sleep 0.05; done
  sleep 1
  echo more >> ${MOUNT}/file; echo new > ${MOUNT}/other`;

const CASES: readonly Case[] = [
  {
    name: "plain",
    create: (brick) => `${brick("b0")} ${brick("b1")}`,
    shape: ["distribute", 1, 0, 0],
    clients: [0, 1],
    byOrder: true,
    marked: false,
  },
  {
    name: "copies2",
    create: (brick) => `replica 2 ${brick("b0")} ${brick("b1")}`,
    then: () => changeWithoutBrick("copies2"),
    shape: ["replicate", 2, 0, 0],
    clients: [0, 1],
    byOrder: true,
    marked: true,
  },
  {
    name: "copies3",
    create: (brick) => `replica 3 ${brick("b0")} ${brick("b1")} ${brick("b2")}`,
    then: () => changeWithoutBrick("copies3"),
    shape: ["replicate", 3, 0, 0],
    clients: [0, 1, 2],
    byOrder: true,
    marked: true,
  },
  {
    name: "arbiter",
    create: (brick) => `replica 3 arbiter 1 ${brick("b0")} ${brick("b1")} ${brick("b2")}`,
    then: () => changeWithoutBrick("arbiter"),
    shape: ["replicate", 3, 1, 0],
    clients: [0, 1, 2],
    byOrder: true,
    marked: true,
  },
  {
    name: "dispersed",
    create: (brick) => `disperse 3 redundancy 1 ${brick("b0")} ${brick("b1")} ${brick("b2")}`,
    shape: ["disperse", 1, 0, 3],
    clients: [0, 1, 2],
    byOrder: true,
    marked: false,
  },
  {
    name: "moved",
    create: (brick) => `${brick("b0")} ${brick("b1")}`,
    then: (brick) => `
      g volume add-brick moved ${brick("b2")} force
      g volume remove-brick moved ${brick("b1")} force
      g volume add-brick moved ${brick("b3")} force`,
    shape: ["distribute", 1, 0, 0],
    clients: [0, 2, 3],
    byOrder: true,
    marked: false,
  },
  {
    name: "shrunk",
    create: (brick) => `replica 3 ${brick("b0")} ${brick("b1")} ${brick("b2")}`,
    then: (brick) => `
      g volume remove-brick shrunk replica 2 ${brick("b0")} force
      ${changeWithoutBrick("shrunk")}`,
    shape: ["replicate", 2, 0, 0],
    clients: [1, 2],
    byOrder: false,
    marked: true,
  },
  {
    name: "replaced",
    create: (brick) => `replica 2 ${brick("b0")} ${brick("b1")}`,
    then: (brick) => `g volume replace-brick replaced ${brick("b0")} ${brick("b2")} commit force`,
    shape: ["replicate", 2, 0, 0],
    clients: [0, 1],
    byOrder: true,
    marked: true,
  },
];

/** Makes the volume, fills it, lets it happen. */
function script({ name, create, then }: Case, place: string): string {
  const brick = (of: string) => `${GLUSTERD_HOST}:${place}/${name}-${of}`;
  return `
    g volume create ${name} ${create(brick)} force
    g volume set ${name} user.note kept
    g volume start ${name}
    glusterfs --volfile-id=${name} --volfile-server=${GLUSTERD_HOST} ${MOUNT}
    for try in $(seq 600); do echo first > ${MOUNT}/file && break; sleep 0.1; done
    ${then?.(brick) ?? ""}
    umount ${MOUNT}
    g volume stop ${name} force`;
}

/** What glusterd's own client volfile says of each client. */
async function clientsOf(state: string, name: string): Promise<unknown[]> {
  const text = await Deno.readTextFile(`${state}/vols/${name}/trusted-${name}.tcp-fuse.vol`);
  return parseVolfile(text).filter(({ type }) => type === "protocol/client")
    .map(({ name, options }) =>
      ["remote-host", "remote-subvolume", "username", "password"]
        .map((key) => options.get(key)).concat(name)
    );
}

async function judge(state: string, each: Case): Promise<void> {
  const { name } = each;
  const volume = await readGlusterState(state, name);
  const { kind, replicaCount, arbiterCount, disperseCount, username, password } = volume;
  deepEqual([kind, replicaCount, arbiterCount, disperseCount], each.shape);
  const names = each.clients.map((client) => `${name}-client-${client}`);
  deepEqual(volume.bricks.map(({ clientName }) => clientName), names);
  deepEqual(
    volume.bricks.map(({ host, path, clientName }) => [host, path, username, password, clientName]),
    await clientsOf(state, name),
  );
  equal(volume.options["user.note"], "kept");
  equal(volume.started, false);
  const findings: BrickFindings[] = [];
  for (const { path } of volume.bricks) findings.push(await readBrickDirectory(path));
  for (const { volumeId, hasHandles, clientNames } of findings) {
    equal(volumeId, volume.id);
    equal(hasHandles, true);
    deepEqual(clientNames.filter((blamed) => !names.includes(blamed)), []);
  }
  equal(findings.some(({ clientNames }) => clientNames.length > 0), each.marked, name);
  const byOrder = () => clientNamesByOrder(name, findings, setSize(volume));
  if (each.byOrder) equal(byOrder().names.length, names.length);
  else throws(byOrder, /--state/);
}

e2e("mgmt/adoption: volumes that glusterd 10.3 made and clients filled are read as they are", [
  "glusterd",
], async () => {
  const place = await Deno.makeTempDir({ prefix: "mt-adopt-" });
  try {
    const state = `${place}/state`;
    await Deno.mkdir(state);
    await inGlusterd(state, CASES.map((each) => script(each, place)).join("\n"));
    for (const each of CASES) await judge(state, each);
  } finally {
    await Deno.remove(place, { recursive: true });
  }
});
