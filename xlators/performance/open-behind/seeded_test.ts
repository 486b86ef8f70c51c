/** Random work on a brick in memory whose answers come late: what an open file shows is its content. */

import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { O_RDWR } from "core/fops.ts";
import { type Fd, type Gfid, InodeTable } from "core/inode.ts";
import { readOptions } from "core/options.ts";
import { gfidReq } from "tests/conformance/place.ts";
import { Late } from "tests/fakes/late.ts";
import { MemoryBrick } from "tests/fakes/memory_brick.ts";
import { node } from "tests/fakes/node.ts";
import { seeded } from "tests/fakes/seeded.ts";
import { openBehind } from "xlators/performance/open-behind/open_behind.ts";

const NAMES = ["a", "b", "c"] as const, STEPS = 250, OPEN_MAX = 6;

/** One application; what each file holds is known by gfid, and what each name stands for. */
class Application {
  readonly brick: MemoryBrick;
  readonly #top: ReturnType<typeof openBehind.create>;
  readonly #inodes = new InodeTable();
  readonly #below: (below: number) => number;
  readonly #contents = new Map<Gfid, Uint8Array>();
  readonly #names = new Map<string, Gfid>();
  readonly #open: Fd[] = [];
  /** Closed, and perhaps not yet by the layer. */
  readonly #closing: Promise<unknown>[] = [];

  constructor(below: (below: number) => number) {
    const inodes = this.#inodes;
    this.brick = new MemoryBrick(node("memory", [], { inodes }));
    const late = new Late(node("late", [this.brick], { inodes }), below, 10);
    const option = {
      "read-after-open": below(2) ? "on" : "off",
      "lazy-open": below(2) ? "on" : "off",
    };
    const values = readOptions(openBehind.options, new Map(Object.entries(option)));
    this.#top = openBehind.create(node("ob", [late], { inodes }), values);
    this.#below = below;
  }

  async step(): Promise<void> {
    const top = this.#top, name = NAMES[this.#below(NAMES.length)]!;
    const at = { parent: this.#inodes.root, name };
    const gfid = this.#names.get(name);
    if (gfid === undefined) {
      const made = { ...at, mode: 0o644, umask: 0, flags: O_RDWR, xdata: gfidReq() };
      const { stat, fd } = await top.create(ROOT, made);
      this.#names.set(name, stat.gfid);
      this.#open.push(fd);
      return await this.#write(fd);
    }
    const fd = this.#open[this.#below(this.#open.length)];
    switch (this.#below(8)) {
      case 0:
        await top.unlink(ROOT, { ...at, flags: 0 });
        return void this.#names.delete(name);
      case 1: {
        const newName = NAMES[this.#below(NAMES.length)]!;
        if (newName === name) return;
        const { root } = this.#inodes;
        await top.rename(ROOT, { oldParent: root, oldName: name, newParent: root, newName });
        this.#names.delete(name);
        return void this.#names.set(newName, gfid);
      }
      case 2:
        return fd && await this.#write(fd);
      case 3:
      case 4:
        return await this.#openOnce(gfid);
      case 5:
        return this.#close();
      default:
        return fd && await this.#read(fd);
    }
  }

  async #openOnce(gfid: Gfid): Promise<void> {
    if (this.#open.length >= OPEN_MAX) return this.#close();
    const args = { inode: this.#inodes.of(gfid), flags: this.#below(4) ? 0 : O_RDWR };
    this.#open.push((await this.#top.open(ROOT, args)).fd);
  }

  #close(): void {
    if (!this.#open.length) return;
    const [fd] = this.#open.splice(this.#below(this.#open.length), 1);
    this.#closing.push(this.#top.release(ROOT, { fd: fd! }));
  }

  async #write(fd: Fd): Promise<void> {
    if (!(fd.flags & O_RDWR)) return;
    const before = this.#contents.get(fd.inode.gfid) ?? new Uint8Array(0);
    const offset = this.#below(before.length + 1);
    const data = new Uint8Array(1 + this.#below(20)).fill(this.#below(256));
    await this.#top.writev(ROOT, { fd, offset, data, flags: 0 });
    const after = new Uint8Array(Math.max(before.length, offset + data.length));
    after.set(before);
    after.set(data, offset);
    this.#contents.set(fd.inode.gfid, after);
  }

  async #read(fd: Fd): Promise<void> {
    const { inode: { gfid } } = fd;
    const size = 1 + this.#below(40), want = this.#contents.get(gfid)!.subarray(0, size);
    const { data } = await this.#top.readv(ROOT, { fd, offset: 0, size, flags: 0 });
    deepEqual([...data], [...want]);
    equal((await this.#top.fstat(ROOT, { fd })).stat.size, this.#contents.get(gfid)!.length);
  }

  async end(): Promise<void> {
    while (this.#open.length) this.#close();
    await Promise.all(this.#closing);
    equal(this.brick.openFiles, 0);
  }
}

Deno.test("open-behind, seeded: open files show what was written, whatever became of their names", async () => {
  for (let seed = 1; seed <= 60; seed++) {
    const below = seeded(seed);
    const application = new Application(below);
    try {
      for (let step = 0; step < STEPS; step++) await application.step();
      await application.end();
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
  }
});
