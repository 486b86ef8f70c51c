import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { type Call, ROOT } from "core/call.ts";
import { realClock } from "core/env.ts";
import { EACCES, EBUSY, ENOENT, ENXIO, EROFS, ESTALE } from "core/errno.ts";
import { type Args, FOP_NAMES, type FopName, FOPS, type Reply } from "core/fops.ts";
import { equalBytes } from "core/lib/bytes.ts";
import { PassThrough, Uniform, windTo, type Xlator } from "core/xlator.ts";
import { ImageTree } from "tests/fakes/image_tree.ts";
import { node } from "tests/fakes/node.ts";
import { inFolder, io, QEMU, run } from "tests/fakes/qemu_images.ts";

const MIB = 1 << 20;

function test(name: string, body: (folder: string) => Promise<void>): void {
  Deno.test(`features/qcow2: ${name}`, { ignore: !QEMU }, () => inFolder(body));
}

function failsWith(failure: { matches(error: unknown): boolean }) {
  return (error: unknown) => failure.matches(error);
}

async function make(folder: string, name: string, ...args: string[]): Promise<string> {
  await run(folder, "qemu-img", ["create", "-q", "-f", "qcow2", ...args, name, "4M"]);
  return `${folder}/${name}`;
}

/** An image with two snapshots and a bitmap; what its disks are is in now, first and second. */
async function scene(folder: string): Promise<void> {
  await make(folder, "vm.qcow2");
  for (const [snapshot, pattern] of [["first", 1], ["second", 2]] as const) {
    await io(folder, "vm.qcow2", [`write -P ${pattern} ${pattern * 65536} 200k`]);
    await run(folder, "qemu-img", ["snapshot", "-c", snapshot, "vm.qcow2"]);
    await run(folder, "qemu-img", ["convert", "-O", "raw", "vm.qcow2", snapshot]);
  }
  await run(folder, "qemu-img", ["bitmap", "--add", "vm.qcow2", "since/monday"]);
  await io(folder, "vm.qcow2", ["write -P 3 1M 64k"]);
  await run(folder, "qemu-img", ["bitmap", "--disable", "vm.qcow2", "since/monday"]);
  await run(folder, "qemu-img", ["convert", "-O", "raw", "vm.qcow2", "now"]);
}

async function same(tree: ImageTree, path: string, local: string): Promise<void> {
  const ours = await tree.volume.readFile(path), theirs = await Deno.readFile(local);
  ok(equalBytes(ours, theirs), `${path} is not ${local}`);
}

test("an image's disks are what qemu-img makes of them", async (folder) => {
  await scene(folder);
  const tree = new ImageTree();
  await tree.below.mkdir("/a/b", { parents: true });
  await tree.put(`${folder}/vm.qcow2`, "/a/b/vm.qcow2");
  await tree.below.writeFile("/a/note", new Uint8Array(200));
  deepEqual(await tree.names("/.qcow2"), ["images"]);
  deepEqual(await tree.names("/.qcow2/images"), ["a"]);
  deepEqual(await tree.names("/.qcow2/images/a"), ["b"]);
  const at = "/.qcow2/images/a/b/vm.qcow2";
  deepEqual(await tree.names(at), ["bitmaps", "disk.raw", "info.json", "snapshots"]);
  deepEqual(await tree.names(`${at}/snapshots`), ["first", "second"]);
  deepEqual(await tree.names(`${at}/snapshots/first`), ["disk.raw", "info.json"]);
  await same(tree, `${at}/disk.raw`, `${folder}/now`);
  await same(tree, `${at}/snapshots/first/disk.raw`, `${folder}/first`);
  await same(tree, `${at}/snapshots/second/disk.raw`, `${folder}/second`);
  const { filename: _, "actual-size": __, "format-specific": specific, ...info } = JSON.parse(
    await run(folder, "qemu-img", ["info", "--output=json", "vm.qcow2"]),
  );
  const { filename, "actual-size": size, "format-specific": ours, ...told } = JSON.parse(
    await tree.text(`${at}/info.json`),
  );
  equal(filename, "/a/b/vm.qcow2");
  ok(size > 0);
  deepEqual(ours, specific);
  for (const [key, value] of Object.entries(told)) deepEqual(value, info[key], key);
  const snapshot = JSON.parse(await tree.text(`${at}/snapshots/second/info.json`));
  deepEqual(snapshot, { ...info.snapshots[1], "virtual-size": 4 * MIB });
  deepEqual(await tree.names(`${at}/bitmaps`), ["since%2Fmonday"]);
  equal(await tree.text(`${at}/bitmaps/since%2Fmonday`), `${MIB} 65536\n`);
});

test("holes are holes, and a disk takes no more than its file", async (folder) => {
  const path = await make(folder, "vm.qcow2");
  await io(folder, "vm.qcow2", ["write -P 1 1M 64k"]);
  const tree = new ImageTree();
  await tree.put(path, "/vm.qcow2");
  const disk = await tree.volume.open("/.qcow2/images/vm.qcow2/disk.raw");
  const { size, blocks } = await disk.stat();
  equal(size, 4 * MIB);
  ok(blocks > 0 && blocks * 512 < size, `${blocks} blocks`);
  equal(await disk.seek(0, "data"), MIB);
  equal(await disk.seek(0, "hole"), 0);
  equal(await disk.seek(MIB + 5, "data"), MIB + 5);
  equal(await disk.seek(MIB + 5, "hole"), MIB + 65536);
  await rejects(disk.seek(2 * MIB, "data"), failsWith(ENXIO));
  await rejects(disk.seek(4 * MIB, "hole"), failsWith(ENXIO));
  deepEqual(await disk.read(4 * MIB - 3, 10), new Uint8Array(3));
  await disk.close();
});

test("who knows a gfid since before a restart finds it; a snapshot's is looked up anew", async (folder) => {
  await scene(folder);
  const tree = new ImageTree();
  await tree.put(`${folder}/vm.qcow2`, "/vm.qcow2");
  const at = "/.qcow2/images/vm.qcow2";
  const found = await Promise.all(
    ["", "/disk.raw", "/snapshots", "/snapshots/first/disk.raw"].map((each) =>
      tree.volume.lookup(at + each)
    ),
  );
  tree.restart();
  const [image, disk, , first] = found.map(({ inode }) => inode);
  const { fd } = await tree.top.open(ROOT, { inode: disk!, flags: 0 });
  const { data } = await tree.top.readv(ROOT, { fd, offset: MIB, size: 10, flags: 0 });
  deepEqual(data, new Uint8Array(10).fill(3));
  const { stat } = await tree.top.lookup(ROOT, { parent: image!, name: "disk.raw" });
  equal(stat.gfid, disk!.gfid);
  await rejects(tree.top.open(ROOT, { inode: first!, flags: 0 }), failsWith(ESTALE));
  equal((await tree.volume.lookup(`${at}/snapshots/first/disk.raw`)).inode, first);
  // What is nowhere stays nowhere.
  const nobody = tree.inodes.of("11111111-1111-4111-8111-111111111111" as never);
  await rejects(tree.top.stat(ROOT, { inode: nobody }));
});

test("an image that changed is read as it is now", async (folder) => {
  let now = 0;
  const clock = { ...realClock, now: () => realClock.now(), monotonic: () => now };
  await scene(folder);
  const tree = new ImageTree({}, undefined, { clock });
  await tree.put(`${folder}/vm.qcow2`, "/vm.qcow2");
  const path = "/.qcow2/images/vm.qcow2/disk.raw";
  const disk = await tree.volume.open(path);
  deepEqual(await disk.read(3 * MIB, 1), Uint8Array.of(0));
  await io(folder, "vm.qcow2", ["write -P 9 3M 64k"]);
  await run(folder, "qemu-img", ["snapshot", "-d", "first", "vm.qcow2"]);
  await tree.put(`${folder}/vm.qcow2`, "/vm.qcow2");
  now += 1000;
  deepEqual(await disk.read(3 * MIB, 1), Uint8Array.of(9));
  deepEqual(await tree.names("/.qcow2/images/vm.qcow2/snapshots"), ["second"]);
  await disk.close();
});

test("what bricks tell of an image is heeded at once, and told on", async (folder) => {
  await scene(folder);
  const tree = new ImageTree();
  const heard: string[] = [];
  tree.top.listen((event) => {
    if (event.type === "cache-invalidation") heard.push(event.gfid);
  });
  await tree.put(`${folder}/vm.qcow2`, "/vm.qcow2");
  const { inode, stat: { gfid } } = await tree.volume.lookup("/vm.qcow2");
  const disk = await tree.volume.open("/.qcow2/images/vm.qcow2/disk.raw");
  deepEqual(await disk.read(3 * MIB, 1), Uint8Array.of(0));
  await io(folder, "vm.qcow2", ["write -P 9 3M 64k"]);
  await tree.put(`${folder}/vm.qcow2`, "/vm.qcow2");
  const event = { type: "cache-invalidation", clients: [], gfid, flags: 8, expireSec: 60 } as const;
  const nothing = { stat: undefined, parent: undefined, oldParent: undefined };
  (tree.brick as unknown as { emit(event: unknown): void }).emit({ ...event, ...nothing });
  deepEqual(await disk.read(3 * MIB, 1), Uint8Array.of(9));
  ok(heard.includes(gfid) && heard.includes(disk.fd.inode.gfid));
  equal(inode.gfid, gfid);
  await disk.close();
});

/** Each read of a file changes its times afterwards, as a guest that writes all the time would. */
class Busy extends PassThrough {
  /** What the bytes that are read are made; as they are if undefined. */
  change: ((data: Uint8Array, offset: number) => void) | undefined;
  reads = 0;

  override async readv(call: typeof ROOT, args: Args<"readv">): Promise<Reply<"readv">> {
    const reply = await super.readv(call, args);
    this.reads++;
    const data = reply.data.slice();
    this.change?.(data, args.offset);
    return { ...reply, data, stat: { ...reply.stat!, mtime: this.reads } };
  }
}

test("an image that is written all the time is read until two in a row are the same", async (folder) => {
  await scene(folder);
  let busy: Busy | undefined;
  const over = (brick: Xlator) => busy = new Busy(node("busy", [brick]));
  const tree = new ImageTree({}, over);
  await tree.put(`${folder}/vm.qcow2`, "/vm.qcow2");
  const path = "/.qcow2/images/vm.qcow2/snapshots/first/disk.raw";
  const disk = await tree.volume.open(path);
  deepEqual(await disk.read(65536, 4), new Uint8Array(4).fill(1));
  // The bytes themselves never settle.
  busy!.change = (data, offset) => {
    if (offset > 4096 && data.length === 4) data[0] = busy!.reads;
  };
  await rejects(disk.read(65536, 4), failsWith(EBUSY));
  ok(tree.log.lines.some((line) => line.includes("is written to all the time")));
  await disk.close();
});

test("files below an image are found in the volume, and nowhere else", async (folder) => {
  await make(folder, "base.qcow2");
  await io(folder, "base.qcow2", ["write -P 7 0 64k"]);
  const names = { near: "../base.qcow2", far: "/etc/passwd", odd: "nbd:host:1", gone: "no" };
  const tree = new ImageTree();
  await tree.below.mkdir("/d");
  await tree.put(`${folder}/base.qcow2`, "/base.qcow2");
  for (const [name, backing] of Object.entries(names)) {
    const args = ["create", "-q", "-u", "-f", "qcow2", "-b", backing, "-F", "qcow2", name, "4M"];
    await run(folder, "qemu-img", args);
    await tree.put(`${folder}/${name}`, `/d/${name}`);
  }
  const at = "/.qcow2/images/d";
  deepEqual(
    (await tree.volume.readFile(`${at}/near/disk.raw`)).subarray(0, 3),
    new Uint8Array(3).fill(7),
  );
  deepEqual(await tree.names(`${at}/odd`), ["error"]);
  equal(
    await tree.text(`${at}/odd/error`),
    '"nbd:host:1" is not a path: names with a protocol are not followed\n',
  );
  await rejects(tree.volume.stat(`${at}/odd/disk.raw`), failsWith(ENOENT));
  for (const name of ["far", "gone"]) {
    deepEqual(await tree.names(`${at}/${name}`), ["error"], name);
    ok((await tree.text(`${at}/${name}/error`)).includes(`"${names[name as "far"]}"`), name);
  }
});

test("an image that is broken says why", async (folder) => {
  const path = await make(folder, "vm.qcow2");
  const bytes = await Deno.readFile(path);
  new DataView(bytes.buffer).setUint32(72, 1 << 20);
  const tree = new ImageTree();
  await tree.below.writeFile("/vm.qcow2", bytes);
  deepEqual(await tree.names("/.qcow2/images/vm.qcow2"), ["error"]);
  ok((await tree.text("/.qcow2/images/vm.qcow2/error")).length > 10);
  ok(tree.log.lines.some((line) => line.includes("path=/vm.qcow2")));
});

test("nothing in the tree can be changed, nor its name be given", async (folder) => {
  const path = await make(folder, "vm.qcow2");
  const tree = new ImageTree();
  await tree.put(path, "/vm.qcow2");
  const { inode } = await tree.volume.lookup("/.qcow2/images/vm.qcow2/disk.raw");
  const { inode: parent } = await tree.volume.lookup("/.qcow2/images");
  const { fd } = await tree.top.open(ROOT, { inode, flags: 0 });
  const args = { inode, parent, fd, name: "x", oldParent: parent, newParent: parent, oldName: "x" };
  for (const fop of FOP_NAMES.filter((fop) => FOPS[fop].kind === "modify")) {
    await rejects(windTo(tree.top, fop, ROOT, args as never), failsWith(EROFS), fop);
  }
  await rejects(tree.top.open(ROOT, { inode, flags: 2 }), failsWith(EROFS));
  await rejects(tree.volume.mkdir("/.qcow2"));
  await tree.below.mkdir("/other");
  await rejects(tree.volume.rename("/other", "/.qcow2"), failsWith(EROFS));
});

test("who may not read a file below an image may not read the image", async (folder) => {
  await make(folder, "base.qcow2");
  const args = ["create", "-q", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", "vm.qcow2"];
  await run(folder, "qemu-img", args);
  const secret = new Set<string>();
  class Guard extends PassThrough {
    override access(call: typeof ROOT, args: Args<"access">): Promise<Reply<"access">> {
      if (call.uid === 1000 && secret.has(args.inode.gfid)) return Promise.reject(EACCES);
      return super.access(call, args);
    }
  }
  const tree = new ImageTree({}, (brick) => new Guard(node("guard", [brick])));
  await tree.put(`${folder}/base.qcow2`, "/base.qcow2");
  await tree.put(`${folder}/vm.qcow2`, "/vm.qcow2");
  secret.add((await tree.below.stat("/base.qcow2")).gfid);
  const path = "/.qcow2/images/vm.qcow2/disk.raw";
  await (await tree.volume.open(path)).close();
  const other = tree.volume.as({ ...ROOT, uid: 1000, gid: 1000 });
  await rejects(other.open(path), failsWith(EACCES));
});

test("no more files are open than the option says", async (folder) => {
  const path = await make(folder, "vm.qcow2");
  const tree = new ImageTree({ "open-files": "3" });
  for (let count = 0; count < 8; count++) await tree.put(path, `/vm${count}`);
  for (let count = 0; count < 8; count++) {
    await tree.volume.stat(`/.qcow2/images/vm${count}/disk.raw`);
  }
  equal((tree.top.state!() as { files: number }).files, 3);
});

test("once its tables are known, a read of a disk is one of the file, and one of a hole none", async (folder) => {
  const path = await make(folder, "vm.qcow2");
  await io(folder, "vm.qcow2", ["write -P 1 0 1M"]);
  const wound: string[] = [];
  class Counted extends Uniform {
    protected around<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
      wound.push(fop);
      return this.wind(fop, call, args);
    }
  }
  // No second passes, whatever the machine does meanwhile.
  const clock = { ...realClock, now: () => realClock.now(), monotonic: () => 0 };
  const tree = new ImageTree({}, (brick) => new Counted(node("counted", [brick])), { clock });
  await tree.put(path, "/vm.qcow2");
  const disk = await tree.volume.open("/.qcow2/images/vm.qcow2/disk.raw");
  await disk.read(0, 4096);
  wound.length = 0;
  await disk.read(65536, 4096);
  deepEqual(wound, ["readv"]);
  await disk.read(2 * MIB, 4096);
  deepEqual(wound, ["readv"]);
  await disk.close();
});
