/**
 * The main job on a real disk image, from nothing, in a private directory: no root, no FUSE, loopback
 * only. A store of one node, a volume of two copies on two local bricks; an image goes in and is served
 * by NBD; a snapshot, a guest's write, what it changed, a clone; a qcow2 image's own snapshots; and the
 * disk as it was. The commands are those that a person would type, each shown. With `--keep` all of it
 * stays running; otherwise nothing is left behind, however it ends.
 *
 * Permissions: read, write, net, ffi, run; env and sys for what the processes ask.
 */

// deno-lint-ignore-file no-console -- a command's output

import { parseArgs } from "node:util";
import { createImage } from "snapshot/qcow2/create.ts";
import { openLocalFile } from "snapshot/qcow2/local_file.ts";
import { hasProgram } from "tests/fakes/programs.ts";
import { type DiskImage, makeDiskImage } from "./quickstart/disk_image.ts";
import { writeByNbd } from "./quickstart/guest.ts";
import { MORTAR, Session } from "./quickstart/session.ts";

const VOLUME = "vms", HOST = "127.0.0.1";
/** Of one length: the one is written over the other. */
const BEFORE = "All is well on this machine.\n", AFTER = "The upgrade went quite wrong\n";

const session = new Session();

/** Where things are. */
class Places {
  port = "";

  constructor(readonly directory: string) {}

  /** What commands to the daemon begin with. */
  get home(): readonly string[] {
    return ["--home", `${this.directory}/home`];
  }

  get socket(): string {
    return `${this.directory}/vm1.sock`;
  }

  get uri(): string {
    return `nbd+unix:///vm1?socket=${this.socket}`;
  }

  /** A file of the volume, for commands that need no daemon of this machine. */
  inside(path: string): string {
    return `${HOST}:${this.port}:${VOLUME}/${path}`;
  }
}

function say(text: string): void {
  console.log(`# ${text}`);
}

async function startVolume(at: Places): Promise<void> {
  say("One daemon keeps the volumes; a volume here is two copies, on two directories.");
  const logFile = `${at.directory}/mgmt.log`;
  const { address } = await session.start("mgmt", ["mgmt", ...at.home, "--port", "0"], {
    logFile,
    ready: / ready$/,
  });
  at.port = String(address).split(":").at(-1)!;
  const bricks = ["a", "b"].map((name) => `${HOST}:${at.directory}/brick-${name}`);
  const create = ["volume", "create", VOLUME, "replica", "2", ...bricks, "force"];
  await session.mortar(...at.home, "--mode=script", ...create);
  await session.mortar(...at.home, "volume", "start", VOLUME);
}

async function serve(at: Places): Promise<void> {
  const words = ["nbd", "--export", `vm1=${at.inside("vm1.img")}`, "--socket", at.socket];
  await session.start("nbd", words, { logFile: `${at.directory}/nbd.log`, ready: /^serving$/ });
}

/** Prints the text of an image that came out of the volume; throws if it is another one. */
async function expectText(disk: DiskImage, image: string, wanted: string): Promise<void> {
  const [program, ...words] = disk.look(image);
  const found = await session.run(program!, ...words);
  if (!found.startsWith(wanted)) throw new Error(`${image} should say "${wanted.trim()}"`);
}

async function guestWrites(at: Places, disk: DiskImage): Promise<void> {
  const SECTOR = 512, data = new Uint8Array(SECTOR);
  data.set(new TextEncoder().encode(AFTER));
  if (!hasProgram("qemu-io")) {
    say(
      `QEMU's tools are not here: 512 bytes are written at ${disk.textAt} by our own NBD client.`,
    );
    return await writeByNbd(at.socket, "vm1", disk.textAt, data);
  }
  const sector = `${at.directory}/sector`;
  await Deno.writeFile(sector, data);
  await session.run("qemu-io", "-f", "raw", "-c", `write -s ${sector} ${disk.textAt} 512`, at.uri);
}

/** The volume's disk as it was: what changed since, a clone, and put back. */
async function snapshots(at: Places, disk: DiskImage): Promise<void> {
  const file = ["--file", "/vm1.img"];
  const script = [...at.home, "--mode=script"];
  say("A snapshot of the image, while it is served. Then the guest writes.");
  await session.mortar(...at.home, "snapshot", "create", "before", VOLUME, "no-timestamp", ...file);
  await guestWrites(at, disk);
  say("What was written since, for a backup that copies only that:");
  await session.mortar(...at.home, "snapshot", "diff", "before", "-", ...file);
  say("A clone: a new disk with what it was, at once, whatever its size.");
  await session.mortar(...at.home, "snapshot", "clone", "--file", "/vm2.img", "before");
  await session.mortar("file", "get", at.inside("vm2.img"), `${at.directory}/vm2.img`);
  await expectText(disk, `${at.directory}/vm2.img`, BEFORE);
  say("And the disk itself, as it was. Nobody may write to it meanwhile, so NBD ends first.");
  await session.end("nbd");
  await session.mortar("file", "get", at.inside("vm1.img"), `${at.directory}/vm1-after.img`);
  await expectText(disk, `${at.directory}/vm1-after.img`, AFTER);
  await session.mortar(...script, "snapshot", "restore", "before", ...file);
  await session.mortar("file", "get", at.inside("vm1.img"), `${at.directory}/vm1-restored.img`);
  await expectText(disk, `${at.directory}/vm1-restored.img`, BEFORE);
}

/** A qcow2 image over the disk, with a snapshot of its own, looked into without QEMU. */
async function qcow2(at: Places, disk: DiskImage): Promise<void> {
  say("qcow2 images are looked into as well: this one lies over the disk that was made first.");
  const images = `${at.directory}/images`;
  const store = openLocalFile(`${images}/vm3.qcow2`, { create: true });
  try {
    await createImage(store, {
      size: disk.bytes,
      backing: { file: "disk.img", format: "raw" },
    });
  } finally {
    await store.close();
  }
  await session.mortar("qcow2", "snapshot", "create", `${images}/vm3.qcow2`, "monday");
  await session.mortar("qcow2", "ls", images);
  await session.mortar("qcow2", "info", `${images}/vm3.qcow2`);
  const monday = `${at.directory}/monday.img`;
  await session.mortar("qcow2", "export", `${images}/vm3.qcow2@monday`, monday);
  await expectText(disk, monday, BEFORE);
}

async function walk(at: Places): Promise<void> {
  await startVolume(at);
  await Deno.mkdir(`${at.directory}/images`);
  const image = `${at.directory}/images/disk.img`;
  const disk = await makeDiskImage(image, BEFORE);
  say(`A disk image of ${disk.bytes >> 20} MiB goes into the volume, and is served to guests.`);
  await session.mortar("file", "put", image, at.inside("vm1.img"));
  await serve(at);
  if (hasProgram("nbdinfo")) await session.run("nbdinfo", "--list", at.uri);
  else if (hasProgram("qemu-img")) await session.run("qemu-img", "info", at.uri);
  await snapshots(at, disk);
  await qcow2(at, disk);
}

function sayHowToGoOn(at: Places): void {
  console.log(`It keeps running; all of it is in ${at.directory}, and mortar is
${MORTAR}

A virtual machine with its disk:

  qemu-system-x86_64 -drive file='${at.uri}',format=raw

Mount it, as root; GlusterFS's own client finds bricks only by a daemon on port 24007:

  mortar client ${HOST}:${at.port}:/${VOLUME} /mnt

To end it:

  kill ${session.pid("nbd")}
  mortar --home ${at.directory}/home --mode=script volume stop ${VOLUME}
  kill ${session.pid("mgmt")}; rm -r ${at.directory}
`);
}

async function main(keep: boolean): Promise<void> {
  const at = new Places(await Deno.makeTempDir({ prefix: "mortar-quickstart-" }));
  const interrupted = Promise.withResolvers<never>();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    Deno.addSignalListener(signal, () => interrupted.reject(new Error("interrupted")));
  }
  let kept = false;
  try {
    await Promise.race([walk(at).then(() => keep ? serve(at) : undefined), interrupted.promise]);
    kept = keep;
  } finally {
    if (!kept) {
      await session.stop([...at.home, "--mode=script", "volume", "stop", VOLUME]);
      await Deno.remove(at.directory, { recursive: true });
    }
  }
  if (kept) {
    sayHowToGoOn(at);
    session.leave();
  } else console.log("All of it is stopped and removed again; --keep leaves it running.");
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { keep: { type: "boolean", default: false } } });
  try {
    await main(values.keep);
    Deno.exit(0);
  } catch (error) {
    console.error(
      `Cannot finish the quickstart: ${error instanceof Error ? error.message : error}`,
    );
    Deno.exit(1);
  }
}
