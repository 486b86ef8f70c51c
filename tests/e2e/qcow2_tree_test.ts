/** What is in qcow2 images, as files: through our mount, a proxy, GlusterFS's client and QEMU. */

import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { e2e } from "tests/e2e/harness.ts";
import { NODE_HOST } from "tests/e2e/managed_node.ts";
import { Mounts } from "tests/e2e/own_mounts.ts";
import { must, Process, run, until } from "tests/e2e/process.ts";
import { MORTAR } from "tests/e2e/program.ts";

const MIB = 2 ** 20;
const TOOLS = ["qemu-img", "qemu-io", "mkfs.ext4"];

/** A volume with a guest's image in `images`, which has one snapshot: `monday`. */
class Scene implements AsyncDisposable {
  private constructor(readonly mounts: Mounts, readonly mount: string) {}

  static async start(): Promise<Scene> {
    const mounts = await Mounts.start({ bricks: 2, layout: "replica 2", without: [] });
    try {
      await mounts.node.must("volume set v1 features.qcow2 on");
      const scene = new Scene(mounts, await mounts.mount());
      await scene.#makeImage();
      return scene;
    } catch (error) {
      await mounts[Symbol.asyncDispose]();
      throw error;
    }
  }

  get dir(): string {
    return this.mounts.node.dir;
  }

  get image(): string {
    return `${this.mount}/images/vm1.qcow2`;
  }

  get inside(): string {
    return `${this.mount}/.qcow2/images/images/vm1.qcow2`;
  }

  // A file system with a note in it, the snapshot, and another note.
  async #makeImage(): Promise<void> {
    const tree = `${this.dir}/tree`, raw = `${this.dir}/fs.raw`;
    await Deno.mkdir(tree);
    await Deno.writeTextFile(`${tree}/note`, "as it was on monday\n");
    await must(["mkfs.ext4", "-q", "-d", tree, raw, "16M"]);
    await Deno.mkdir(`${this.mount}/images`);
    await must(["qemu-img", "convert", "-O", "qcow2", raw, this.image]);
    await must(["qemu-img", "snapshot", "-c", "monday", this.image]);
    await must(["qemu-io", "-c", "write -q -P 7 4M 8M", this.image]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.mounts[Symbol.asyncDispose]();
  }
}

/** What QEMU makes of an image, or of a snapshot of it, as a plain file. */
async function converted(scene: Scene, ...snapshot: string[]): Promise<string> {
  const path = `${scene.dir}/converted${snapshot.join("-")}`;
  const more = snapshot.flatMap((name) => ["-l", `snapshot.name=${name}`]);
  await must(["qemu-img", "convert", "-U", "-O", "raw", ...more, scene.image, path]);
  return path;
}

/** One file out of the file system on the disk at `path`. */
async function noteOn(scene: Scene, path: string): Promise<string> {
  const at = `${scene.dir}/loop`;
  await Deno.mkdir(at, { recursive: true });
  await must(["mount", "-o", "loop,ro,noload", path, at]);
  try {
    return await Deno.readTextFile(`${at}/note`);
  } finally {
    await must(["umount", at]);
  }
}

/** Runs `mortar qcow2 …` where the volume can be reached. */
function qcow2(scene: Scene, ...words: string[]) {
  const argv = scene.mounts.node.space.inside([MORTAR, "qcow2", ...words]);
  return run(argv, { env: { DENO: Deno.execPath() } });
}

const IMAGE = "127.0.0.1:v1/images/vm1.qcow2";

/** Writes a part of a disk. */
function write(path: string) {
  return run([
    "dd",
    "if=/dev/urandom",
    `of=${path}`,
    "bs=64k",
    "count=9",
    "seek=3",
    "status=none",
    "conv=notrunc,fsync",
  ]);
}

async function names(path: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(path))).map(({ name }) => name).sort();
}

// A new image that is what the snapshot was, whatever becomes of the other one.
async function clonesWork(scene: Scene): Promise<void> {
  const { image, mount, mounts: { node } } = scene, clone = `${mount}/images/vm2.qcow2`;
  const monday = await converted(scene, "monday");
  const make = (of: string, to: string) =>
    qcow2(scene, "clone", "--home", node.home, `${IMAGE}@${of}`, `127.0.0.1:v1/${to}`);
  const before = await must(["sha256sum", image]);
  deepEqual(await make("monday", "images/vm2.qcow2"), { code: 0, out: "", err: "" });
  equal(await must(["sha256sum", image]), before);
  equal(await node.must("snapshot list"), "No snapshots present\n");
  await must(["qemu-img", "check", "-q", clone]);
  await must(["qemu-img", "compare", "-F", "raw", clone, monday]);
  // Both are written to, and neither sees the other's.
  await must(["qemu-io", "-c", "write -q -P 9 0 2M", image]);
  await must(["qemu-img", "compare", "-F", "raw", clone, monday]);
  await must(["qemu-io", "-c", "write -q -P 8 0 3M", clone]);
  await must(["cmp", await converted(scene, "monday"), monday]);
  match((await make("monday", "images/vm2.qcow2")).err, /there is something of that name/);
  match((await make("sunday", "images/vm3.qcow2")).err, /has no snapshot "sunday"/);
  deepEqual(await names(`${mount}/images`), ["vm1.qcow2", "vm2.qcow2"]);
  await Deno.remove(clone);
}

async function commandsWork(scene: Scene): Promise<void> {
  const { image, dir, mount } = scene;
  const monday = await converted(scene, "monday");
  const must = async (...words: string[]) => {
    const { code, out, err } = await qcow2(scene, ...words);
    equal(code, 0, `${words.join(" ")}: ${err}`);
    return out;
  };
  equal(await must("ls", "127.0.0.1:v1/images"), "vm1.qcow2  16.0 MiB\nvm1.qcow2@monday\n");
  equal(await must("snapshot", "create", IMAGE, "tuesday"), "");
  await must("export", `${IMAGE}@monday`, `${dir}/here.raw`);
  await must("export", "--format", "qcow2", `${IMAGE}@monday`, "127.0.0.1:v1/images/there.qcow2");
  await run(["cmp", `${dir}/here.raw`, monday]).then(({ code }) => equal(code, 0));
  const compare = ["compare", "-F", "raw", `${mount}/images/there.qcow2`, monday];
  equal((await run(["qemu-img", ...compare])).code, 0);
  await must("snapshot", "apply", IMAGE, "monday");
  equal(await must("check", IMAGE), "nothing is wrong\n");
  equal((await run(["qemu-img", "check", "-q", image])).code, 0);
  equal((await run(["qemu-img", "compare", "-F", "raw", image, monday])).code, 0);
  // What only a snapshot had takes no room in a brick any more.
  const taken = async () => (await Deno.stat(`${dir}/v1-0/images/vm1.qcow2`)).blocks! * 512;
  const before = await taken();
  await must("snapshot", "delete", IMAGE, "tuesday");
  ok(await taken() < before - 6 * MIB, `${before} bytes before, ${await taken()} after`);
  equal((await run(["qemu-img", "check", "-q", image])).code, 0);
  const { code, err } = await qcow2(scene, "export", IMAGE, "127.0.0.1:v1/images/there.qcow2");
  deepEqual([code, err], [1, "Cannot write 127.0.0.1:v1/images/there.qcow2: it exists\n"]);
}

e2e(
  "features/qcow2: our mount shows disks and snapshots, commands change them",
  TOOLS,
  async () => {
    await using scene = await Scene.start();
    const { inside, image, mount } = scene;
    deepEqual(await names(`${mount}/.qcow2/images`), ["images"]);
    deepEqual(await names(inside), ["bitmaps", "disk.raw", "info.json", "snapshots"]);
    deepEqual(await names(`${inside}/snapshots`), ["monday"]);
    ok(!(await names(mount)).includes(".qcow2"));
    const monday = `${inside}/snapshots/monday/disk.raw`;
    await must(["cmp", `${inside}/disk.raw`, await converted(scene)]);
    await must(["cmp", monday, await converted(scene, "monday")]);
    equal(await noteOn(scene, monday), "as it was on monday\n");
    // Who copies holes finds them, and who may not write is told.
    const copy = `${scene.dir}/copy`;
    await must(["cp", "--sparse=auto", monday, copy]);
    const { size, blocks } = await Deno.stat(copy);
    ok(size === 16 * MIB && blocks! * 512 < 4 * MIB, `${blocks} blocks`);
    equal((await run(["touch", `${inside}/new`])).code, 1);
    equal((await run(["dd", "if=/dev/zero", `of=${monday}`, "count=1", "conv=notrunc"])).code, 1);
    const told = JSON.parse(await Deno.readTextFile(`${inside}/info.json`));
    const { filename: _, children: __, "actual-size": ___, ...info } = JSON.parse(
      await must(["qemu-img", "info", "--output=json", image]),
    );
    for (const [key, value] of Object.entries(info)) deepEqual(told[key], value, key);
    await clonesWork(scene);
    await commandsWork(scene);
  },
);

/** `qemu-nbd` with the image open for writing, as `image` names it, and how it is talked to. */
async function startGuest(scene: Scene, image: string): Promise<{ guest: Process; uri: string }> {
  const socket = await Deno.makeTempDir({ dir: scene.dir }).then((dir) => `${dir}/nbd.sock`);
  const argv = ["qemu-nbd", "-f", "qcow2", "-k", socket, "-t", "--cache=writeback", image];
  const guest = new Process(scene.mounts.node.space.inside(argv), `${socket}.log`);
  const uri = `nbd+unix:///?socket=${socket}`;
  try {
    await until("qemu-nbd serves", async () => {
      if (!guest.running) throw new Error(guest.lastWords());
      return (await run(["qemu-img", "info", uri])).code === 0;
    });
  } catch (error) {
    await guest.end("SIGKILL");
    throw error;
  }
  return { guest, uri };
}

// Commands and the tree while a guest, which is `who` to commands, writes through `uri`.
async function besideGuest(scene: Scene, uri: string, who: string, first: number): Promise<void> {
  const { inside, image } = scene;
  const before = await converted(scene, "monday");
  for (const name of [IMAGE, image]) {
    for (const words of [["create", name, "now"], ["delete", name, "monday"]]) {
      const { code, err } = await qcow2(scene, "snapshot", ...words);
      deepEqual([code, err], [
        1,
        `Cannot change ${name}: process ${who} has it open; end that first\n`,
      ]);
    }
  }
  const looked = await qcow2(scene, "snapshot", "list", IMAGE);
  ok(looked.err.includes(`vm1.qcow2 is being written to by process ${who}: `), looked.err);
  for (let pattern = first; pattern < first + 3; pattern++) {
    const writes = [`write -q -P ${pattern} 1M 64k`, `write -q -P ${pattern} 14M 64k`, "flush"];
    await must(["qemu-io", "-f", "raw", ...writes.flatMap((each) => ["-c", each]), uri]);
    await must(["cmp", `${inside}/snapshots/monday/disk.raw`, before]);
    await until("what was flushed is seen", async () => {
      using file = await Deno.open(`${inside}/disk.raw`);
      await file.seek(14 * MIB, Deno.SeekMode.Start);
      const byte = new Uint8Array(1);
      await file.read(byte);
      return byte[0] === pattern;
    });
  }
  match((await write(`${inside}/disk.raw`)).err, /Device or resource busy/);
}

e2e(
  "features/qcow2: beside guests that write to the image, with locks and by gluster:// without, reads are right, and after them it can be written",
  [
    ...TOOLS,
    "qemu-nbd",
  ],
  async () => {
    await using scene = await Scene.start();
    const { inside, image, mounts: { node } } = scene;
    await node.must("volume set v1 features.qcow2-write on");
    await until("the disk may be written", async () => {
      return ((await Deno.stat(`${inside}/disk.raw`)).mode! & 0o200) !== 0;
    });
    const before = await converted(scene, "monday");
    const guests = [image, `gluster://${NODE_HOST}/v1/images/vm1.qcow2`];
    for (const [at, each] of guests.entries()) {
      const { guest, uri } = await startGuest(scene, each);
      try {
        await besideGuest(scene, uri, `${guest.pid} on ${Deno.hostname()}`, 1 + 3 * at);
      } finally {
        // libgfapi takes ten seconds to leave.
        await guest.end(each === image ? "SIGTERM" : "SIGKILL");
      }
      equal((await write(`${inside}/disk.raw`)).err, "");
      await must(["qemu-img", "check", "-q", image]);
      await must(["cmp", `${inside}/disk.raw`, await converted(scene)]);
      await must(["cmp", `${inside}/snapshots/monday/disk.raw`, before]);
      // Nobody is in his own way, who opens the image in a mount.
      const created = await qcow2(scene, "snapshot", "create", image, `after-${at}`);
      deepEqual(created, { code: 0, out: "", err: "" });
    }
  },
);

/** A proxy of the scene's volume, signed in. */
async function startProxy(scene: Scene): Promise<Process> {
  const { space } = scene.mounts.node, log = await Deno.makeTempFile({ dir: scene.dir });
  const argv = [MORTAR, "proxy", "127.0.0.1:v1"];
  const proxy = new Process(space.inside(argv), log, { DENO: Deno.execPath() });
  await until("the proxy signs in", async () => {
    if (!proxy.running) throw new Error(proxy.lastWords());
    return (await Deno.readTextFile(log)).includes("brick signed in");
  });
  return proxy;
}

e2e("mortar proxy: GlusterFS's client and QEMU see what is in images, after a restart, too", [
  ...TOOLS,
  "glusterfs",
], async () => {
  await using scene = await Scene.start();
  const { node } = scene.mounts;
  const monday = await converted(scene, "monday");
  let proxy = await startProxy(scene);
  try {
    // libgfapi takes ten seconds to leave, whoever the server is.
    const uri = "gluster://127.0.0.1/v1-proxy/.qcow2/images/images/vm1.qcow2";
    const compare = ["compare", "-f", "raw", "-F", "raw", `${uri}/snapshots/monday/disk.raw`];
    const compared = run(node.space.inside(["qemu-img", ...compare, monday]));
    const theirs = await node.mount("v1.proxy");
    const at = `${theirs.path}/.qcow2/images/images/vm1.qcow2`;
    deepEqual(await names(at), ["bitmaps", "disk.raw", "info.json", "snapshots"]);
    await must(["cmp", `${at}/snapshots/monday/disk.raw`, monday]);
    await must(["cmp", `${at}/disk.raw`, await converted(scene)]);
    // The rest of the volume is as ever.
    await Deno.writeTextFile(`${theirs.path}/through`, "the proxy");
    equal(await Deno.readTextFile(`${scene.mount}/through`), "the proxy");
    equal((await compared).out, "Images are identical.\n");
    await proxy.end("SIGTERM");
    proxy = await startProxy(scene);
    await until("what was known before the restart is there", async () => {
      return (await run(["cmp", `${at}/snapshots/monday/disk.raw`, monday])).code === 0;
    });
  } finally {
    await proxy.end("SIGTERM");
  }
});
