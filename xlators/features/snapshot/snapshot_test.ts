import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { FopError } from "core/errno.ts";
import { FOPS, O_APPEND, O_RDWR, O_TRUNC } from "core/fops.ts";
import { isDirectory, isRegular, isSymlink, S_IFIFO } from "core/iatt.ts";
import { type Gfid, type Inode, ROOT_GFID } from "core/inode.ts";
import { ptr, Xdata } from "core/xdata.ts";
import type { InodeState } from "snapshot/engine/live.ts";
import type { View } from "snapshot/engine/view.ts";
import { conformance } from "tests/conformance/mod.ts";
import { snapshotLayer } from "tests/fakes/snapshot_layer.ts";
import { gfidReq, IS_ROOT, TestBrick } from "tests/fakes/posix_brick.ts";
import { seeded } from "tests/fakes/seeded.ts";
import { RULES } from "xlators/features/snapshot/rules.ts";
import type { Snapshot } from "xlators/features/snapshot/snapshot.ts";

/** A brick with its history. */
class Place implements AsyncDisposable {
  layer!: Snapshot;
  #epoch = 0;

  private constructor(readonly brick: TestBrick) {}

  static async start(): Promise<Place> {
    const place = new Place(await TestBrick.start());
    await place.open();
    return place;
  }

  async open(): Promise<void> {
    this.layer = await snapshotLayer(this.brick);
  }

  async take(id: string): Promise<void> {
    const epoch = ++this.#epoch;
    await this.layer.history!.take({
      ...{ id, kind: "snapshot", file: undefined, epoch, name: id, created: 0, active: true },
    });
  }

  view(id: string): View {
    return this.layer.history!.view(id)!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.layer.stop();
    await this.brick.remove();
  }
}

function test(name: string, body: (place: Place) => Promise<void>): void {
  Deno.test({
    name: `features/snapshot: ${name}`,
    ignore: !IS_ROOT,
    fn: async () => {
      await using place = await Place.start();
      await body(place);
    },
  });
}

Deno.test("features/snapshot: every fop that changes something has a rule", () => {
  const changing = Object.entries(FOPS).filter(([, { kind }]) => kind === "modify");
  deepEqual(Object.keys(RULES).sort(), [...changing.map(([fop]) => fop), "open"].sort());
});

/** What a tree is, a line for each name. */
async function told(
  view: { inode(gfid: Gfid): Promise<InodeState | undefined> } & Pick<View, "entries" | "read">,
): Promise<string[]> {
  const lines: string[] = [];
  const walk = async (gfid: Gfid, path: string): Promise<void> => {
    const { iatt, xattrs, target } = (await view.inode(gfid))!;
    const names = [...xattrs].filter(([name]) => name.startsWith("user."))
      .map(([name, value]) => `${name}=${new TextDecoder().decode(value)}`);
    // Links are not told: those in a removed tree go when the brick finds time.
    const { mode, uid, size, mtime, mtimeNsec } = iatt;
    const facts = isDirectory(iatt) ? [mode, uid] : [mode, uid, size, mtime, mtimeNsec];
    let data = "";
    if (isRegular(iatt)) {
      const bytes = new Uint8Array(size);
      equal(await view.read(gfid, 0, bytes), size);
      data = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
    }
    lines.push([path, gfid, ...facts, ...names.sort(), target ?? "", data].join(" "));
    if (!isDirectory(iatt)) return;
    for (const entry of await view.entries(gfid)) await walk(entry.gfid, `${path}/${entry.name}`);
  };
  await walk(ROOT_GFID, "");
  return lines.sort();
}

const NAMES = ["a", "b", "c", "d"];

/** Changes of every kind, through the layer. */
class Changes {
  readonly #random: (below: number) => number;
  constructor(readonly place: Place, seed: number) {
    this.#random = seeded(seed);
  }

  #pick<T>(from: readonly T[]): T {
    return from[this.#random(from.length)]!;
  }

  #gfid(): Gfid {
    const part = this.#random(2 ** 32).toString(16).padStart(8, "0");
    return `${part}-0000-4000-8000-0000${part}` as Gfid;
  }

  async #parent(): Promise<Inode> {
    const { inodes, root } = this.place.brick;
    if (this.#random(2)) return root;
    try {
      const { stat } = await this.place.layer.lookup(ROOT, { parent: root, name: "dir" });
      return isDirectory(stat) ? inodes.of(stat.gfid) : root;
    } catch (error) {
      if (error instanceof FopError) return root;
      throw error;
    }
  }

  /** One that may fail, as those of applications do. */
  async one(): Promise<void> {
    try {
      await this.#one();
    } catch (error) {
      if (!(error instanceof FopError)) throw error;
    }
  }

  async #one(): Promise<void> {
    const { layer, brick } = this.place;
    const parent = await this.#parent(), name = this.#pick(NAMES);
    const xdata = gfidReq(this.#gfid()), umask = 0, mode = 0o600 + this.#random(0o100);
    const other = await this.#parent();
    switch (this.#random(14)) {
      case 0:
        await layer.mkdir(ROOT, { parent: brick.root, name: "dir", mode, umask, xdata });
        return;
      case 1:
        await layer.symlink(ROOT, { parent, name, target: `to-${mode}`, umask, xdata });
        return;
      case 2:
        await layer.mknod(ROOT, { parent, name, mode: S_IFIFO | mode, umask, rdev: 0, xdata });
        return;
      case 3:
        await layer.unlink(ROOT, { parent, name, flags: 0 });
        return;
      case 4:
        await layer.rmdir(ROOT, { parent: brick.root, name: "dir", flags: this.#random(2) });
        return;
      case 5: {
        const newName = this.#pick(NAMES);
        const names = { oldParent: parent, oldName: name, newParent: other, newName };
        await layer.rename(ROOT, names);
        return;
      }
      case 6:
      case 7: {
        const flags = O_RDWR | (this.#random(3) ? 0 : O_TRUNC);
        const { fd } = await layer.create(ROOT, { parent, name, mode, umask, flags, xdata });
        await layer.release(ROOT, { fd });
        return;
      }
    }
    const { stat } = await layer.lookup(ROOT, { parent, name });
    await this.#inode(brick.inodes.of(stat.gfid), isSymlink(stat) || !isRegular(stat), other);
  }

  async #inode(inode: Inode, special: boolean, parent: Inode): Promise<void> {
    const { layer } = this.place;
    const kind = this.#random(special ? 2 : 8);
    if (kind === 0) {
      await layer.link(ROOT, { inode, parent, name: this.#pick(NAMES) });
    } else if (kind === 1) {
      await layer.setattr(ROOT, { inode, changes: { uid: this.#random(9) } });
    } else if (kind === 2) {
      const value = ptr(new TextEncoder().encode(`${this.#random(999)}`));
      await layer.setxattr(ROOT, { inode, xattrs: Xdata.of([["user.x", value]]), flags: 0 });
    } else if (kind === 3) {
      await layer.truncate(ROOT, { inode, offset: this.#random(40_000) });
    } else {
      const flags = O_RDWR | (kind === 4 ? O_APPEND : kind === 5 ? O_TRUNC : 0);
      const { fd } = await layer.open(ROOT, { inode, flags });
      const data = new Uint8Array(1 + this.#random(12_000)).fill(1 + this.#random(255));
      const offset = this.#random(30_000);
      await layer.writev(ROOT, { fd, offset, data, flags: 0 });
      if (kind === 6) await layer.discard(ROOT, { fd, offset: this.#random(30_000), size: 5000 });
      if (kind === 7) await layer.zerofill(ROOT, { fd, offset: this.#random(30_000), size: 9000 });
      await layer.release(ROOT, { fd });
    }
  }
}

for (const seed of [1, 2, 3, 4]) {
  test(`after random changes every snapshot is what the tree was, seed ${seed}`, async (place) => {
    const changes = new Changes(place, seed);
    const wanted = new Map<string, string[]>();
    for (let round = 0; round < 12; round++) {
      for (let count = 0; count < 25; count++) await changes.one();
      if (round === 7) {
        await place.layer.stop();
        await place.open();
      }
      for (const [id, lines] of wanted) deepEqual(await told(place.view(id)), lines, id);
      const id = `s${round}`;
      await place.take(id);
      wanted.set(id, await told(place.view(id)));
      if (round % 3 === 2) {
        wanted.delete(`s${round - 1}`);
        await place.layer.history!.remove(`s${round - 1}`);
        await place.layer.history!.collected();
      }
    }
    for (const [id, lines] of wanted) deepEqual(await told(place.view(id)), lines, id);
  });
}

test("a removed file that is open is written to, and the snapshot keeps it", async (place) => {
  const { layer, brick } = place;
  const { fd, gfid } = await brick.create("f");
  await brick.write(fd, "before");
  await place.take("s");
  await layer.unlink(ROOT, { parent: brick.root, name: "f", flags: 0 });
  await layer.writev(ROOT, { fd, offset: 0, data: new TextEncoder().encode("after!"), flags: 0 });
  const bytes = new Uint8Array(6);
  equal(await place.view("s").read(gfid, 0, bytes), 6);
  equal(new TextDecoder().decode(bytes), "before");
  await layer.release(ROOT, { fd });
});

test("a history that is damaged is named, and files are served", async (place) => {
  const { brick } = place;
  await place.layer.stop();
  await Deno.writeTextFile(`${brick.path}/.glusterfs/history/index.sqlite`, "x".repeat(9000));
  await place.open();
  equal(place.layer.history, undefined);
  await brick.file("f", "works");
  const { stat } = await place.layer.lookup(ROOT, { parent: brick.root, name: "f" });
  equal(stat.size, 5);
  await Deno.remove(`${brick.path}/.glusterfs/history`, { recursive: true });
});

for (const readers of ["no snapshot", "a snapshot"]) {
  if (!IS_ROOT) break;
  conformance(`features/snapshot, ${readers}`, async () => {
    const place = await Place.start();
    if (readers === "a snapshot") await place.take("s");
    const { inodes } = place.brick;
    const stop = () => place[Symbol.asyncDispose]();
    return { top: place.layer, inodes, call: ROOT, stop };
  }, { without: ["locks"] });
}
