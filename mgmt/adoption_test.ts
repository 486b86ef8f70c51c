import {
  deepStrictEqual as deepEqual,
  match,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { parseVolfile } from "core/volfile.ts";
import { type AdoptedVolume, nextClientAfter, readGlusterState } from "mgmt/adoption.ts";
import { volumeRecord } from "mgmt/records.ts";
import { STATE_FILES, STATE_NAMES, unpackState } from "tests/interop/glusterd_state.ts";

async function inState(body: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "adoption-" });
  try {
    await unpackState(directory);
    await body(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Directory of each client's brick, by the client's name, in glusterd's own client volfile. */
function clientsOf(volume: string): [string, string][] {
  return parseVolfile(STATE_FILES[`vols/${volume}/trusted-${volume}.tcp-fuse.vol`]!)
    .filter(({ type }) => type === "protocol/client")
    .map(({ name, options }) => [name, options.get("remote-subvolume")!]);
}

function shape(
  { kind, replicaCount, arbiterCount, disperseCount, redundancyCount }: AdoptedVolume,
) {
  return [kind, replicaCount, arbiterCount, disperseCount, redundancyCount];
}

for (const name of Object.keys(STATE_NAMES)) {
  Deno.test(`mgmt/adoption: bricks of "${name}" have the client names of glusterd's own volfile`, () =>
    inState(async (directory) => {
      const volume = await readGlusterState(directory, name);
      deepEqual(volume.bricks.map(({ clientName, path }) => [clientName, path]), clientsOf(name));
    }));

  Deno.test(`mgmt/adoption: what is read of "${name}" makes a record`, () =>
    inState(async (directory) => {
      const { started: _, ...volume } = await readGlusterState(directory, name);
      volumeRecord({ ...volume, state: "stopped", createdAt: 0 });
      match(volume.id, /^[0-9a-f]{8}-/);
      equal(STATE_FILES[`vols/${name}/info`]!.includes(`volume-id=${volume.id}\n`), true);
      equal(STATE_FILES[`vols/${name}/info`]!.includes(`username=${volume.username}\n`), true);
      equal(STATE_FILES[`vols/${name}/info`]!.includes(`password=${volume.password}\n`), true);
    }));
}

Deno.test("mgmt/adoption: shapes are what `volume create` was asked for", () =>
  inState(async (directory) => {
    const read = async (name: string) => shape(await readGlusterState(directory, name));
    deepEqual(await read("plain"), ["distribute", 1, 0, 0, 0]);
    deepEqual(await read("copies2"), ["replicate", 2, 0, 0, 0]);
    deepEqual(await read("copies3"), ["replicate", 3, 0, 0, 0]);
    deepEqual(await read("arbiter"), ["replicate", 3, 1, 0, 0]);
    deepEqual(await read("dispersed"), ["disperse", 1, 0, 3, 1]);
    deepEqual(await read("grown"), ["replicate", 2, 0, 0, 0]);
    deepEqual(await read("shrunk"), ["replicate", 2, 0, 0, 0]);
  }));

Deno.test("mgmt/adoption: numbers of removed bricks are not given again while a higher one is there", () =>
  inState(async (directory) => {
    const moved = await readGlusterState(directory, "moved");
    deepEqual(moved.bricks.map(({ clientName }) => clientName), [
      "moved-client-0",
      "moved-client-2",
      "moved-client-3",
      "moved-client-4",
    ]);
    equal(moved.nextClient, 5);
    equal((await readGlusterState(directory, "shrunk")).nextClient, 3);
    equal(nextClientAfter([]), 0);
  }));

Deno.test("mgmt/adoption: options are those that were set, with commas and equals signs", () =>
  inState(async (directory) => {
    const { options, started } = await readGlusterState(directory, "replaced");
    deepEqual(options, {
      "user.note": "a = b",
      "auth.allow": "10.0.*,192.0.2.1",
      "performance.write-behind": "off",
      "cluster.granular-entry-heal": "on",
      "storage.fips-mode-rchecksum": "on",
      "transport.address-family": "inet",
      "nfs.disable": "on",
      "performance.client-io-threads": "off",
    });
    equal(started, true);
    equal((await readGlusterState(directory, "moved")).started, false);
  }));

Deno.test("mgmt/adoption: bricks of releases that wrote no names go by their position", () =>
  inState(async (directory) => {
    for (const { name } of [...Deno.readDirSync(`${directory}/vols/copies3/bricks`)]) {
      const file = `${directory}/vols/copies3/bricks/${name}`;
      const text = await Deno.readTextFile(file);
      await Deno.writeTextFile(file, text.replace(/^(brick-id|uuid)=.*\n/gm, ""));
    }
    const { bricks } = await readGlusterState(directory, "copies3");
    equal(bricks[5]!.clientName, "copies3-client-5");
    equal(bricks[5]!.nodeId, undefined);
  }));

/** Each: what is changed in which file, and what is said about it. */
const REFUSED: readonly [what: string, file: string, from: RegExp, to: string, why: RegExp][] = [
  ["a missing id", "info", /^volume-id=.*\n/m, "", /"volume-id" is missing/],
  [
    "an id of zeros",
    "info",
    /^volume-id=.*/m,
    "volume-id=00000000-0000-0000-0000-000000000000",
    /no UUID/,
  ],
  ["an unknown type", "info", /^type=.*/m, "type=7", /"type" is 7/],
  ["GlusterFS's stripes", "info", /^type=.*/m, "type=1\nstripe_count=2", /layout of stripes/],
  ["a count of bricks that is none", "info", /^count=.*/m, "count=-1", /"count" is no number/],
  ["a huge count of bricks", "info", /^count=.*/m, "count=999999999", /"count" is more than/],
  ["more bricks than are named", "info", /^count=.*/m, "count=4", /"brick-3" is missing/],
  ["bricks that make no set", "info", /^count=.*/m, "count=2", /not a multiple of 3/],
  ["one copy", "info", /^sub_count=.*/m, "sub_count=1", /no count of copies/],
  ["two arbiters", "info", /^arbiter_count=.*/m, "arbiter_count=2", /"arbiter_count" does not fit/],
  ["a thin arbiter", "info", /^version=/m, "thin_arbiter_count=1\nversion=", /thin arbiter/],
  ["RDMA alone", "info", /^transport-type=.*/m, "transport-type=1", /RDMA/],
  [
    "a brick's file elsewhere",
    "info",
    /^brick-0=.*/m,
    "brick-0=../../../etc/passwd",
    /no name of a file/,
  ],
  ["a brick's file that is not there", "info", /^brick-0=.*/m, "brick-0=h:-x", /no such file/],
  [
    "one brick twice",
    "info",
    /^brick-1=.*b12/m,
    "brick-1=192.0.2.1:-srv-bricks-b11",
    /of another brick/,
  ],
  ["a password that is run", "info", /^password=/m, "password=`id`", /"password" has a backtick/],
  [
    "an option that is run",
    "info",
    /^count=/m,
    "cluster.rsync-hash-regex=a`id`\ncount=",
    /"cluster.rsync-hash-regex" has a backtick/,
  ],
  ["no password", "info", /^password=.*\n/m, "", /"password" is missing/],
  ["a relative path", "b11", /^path=.*/m, "path=srv/b11", /"path" is no absolute path/],
  ["a path upwards", "b11", /^path=.*/m, "path=/srv/../etc", /"path" is no absolute path/],
  ["a host of two words", "b11", /^hostname=.*/m, "hostname=a b", /"hostname" is no host/],
  [
    "a port out of range",
    "b11",
    /^listen-port=.*/m,
    "listen-port=70000",
    /"listen-port" is no port/,
  ],
  ["a brick on its way out", "b11", /^decommissioned=.*/m, "decommissioned=1", /being removed/],
  ["a client's name that is none", "b11", /^brick-id=.*/m, "brick-id=a/b", /no name of a client/],
  ["a node that is none", "b11", /^uuid=.*/m, "uuid=me", /"uuid" is no UUID/],
];

for (const [what, file, from, to, why] of REFUSED) {
  Deno.test(`mgmt/adoption: ${what} is refused`, () =>
    inState(async (directory) => {
      const folder = `${directory}/vols/arbiter`;
      const path = file === "info"
        ? `${folder}/info`
        : `${folder}/bricks/192.0.2.1:-srv-bricks-${file}`;
      const text = await Deno.readTextFile(path);
      equal(from.test(text), true, "the case changes something");
      await Deno.writeTextFile(path, text.replace(from, to));
      await rejects(readGlusterState(directory, "arbiter"), (error) => {
        equal(error instanceof RangeError, true, String(error));
        match((error as Error).message, why);
        return true;
      });
    }));
}

Deno.test("mgmt/adoption: no volume, a name that leads out, a huge file or a pipe are refused", () =>
  inState(async (directory) => {
    for (const name of ["none", "../vols/arbiter", "", ".", "a/b", "x".repeat(300)]) {
      await rejects(readGlusterState(directory, name), RangeError, name);
    }
    const info = `${directory}/vols/arbiter/info`;
    await Deno.truncate(info, 2 << 20);
    await rejects(readGlusterState(directory, "arbiter"), /no file of at most/);
    await Deno.remove(info);
    equal((await new Deno.Command("mkfifo", { args: [info] }).output()).success, true);
    await rejects(readGlusterState(directory, "arbiter"), /no file of at most/);
    await Deno.remove(info);
    await Deno.writeFile(info, new Uint8Array([0xff, 0xfe, 0x00]));
    await rejects(readGlusterState(directory, "arbiter"), /it is no text/);
  }));

Deno.test("mgmt/adoption: files cut short or with any byte changed throw nothing but RangeError", () =>
  inState(async (directory) => {
    for (const file of ["info", "bricks/192.0.2.1:-srv-bricks-b12"]) {
      const path = `${directory}/vols/arbiter/${file}`;
      const bytes = await Deno.readFile(path);
      for (let at = 0; at < bytes.length; at += 3) {
        for (const changed of [bytes.slice(0, at), bytes.with(at, 0), bytes.with(at, 0xc3)]) {
          await Deno.writeFile(path, changed);
          await readGlusterState(directory, "arbiter").catch((error) => {
            equal(error instanceof RangeError, true, String(error));
          });
        }
      }
      await Deno.writeFile(path, bytes);
    }
  }));
