/**
 * Random work of one client through the layer, side by side with another client's on the brick
 * itself, whose changes are told late. Every file holds a number that only grows.
 */

import { ok } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { realClock } from "core/env.ts";
import { FopError } from "core/errno.ts";
import { UP } from "core/events.ts";
import { O_RDWR } from "core/fops.ts";
import { type Fd, type Gfid, type Inode, InodeTable } from "core/inode.ts";
import { readOptions } from "core/options.ts";
import type { Xlator } from "core/xlator.ts";
import { gfidReq } from "tests/conformance/place.ts";
import { Late } from "tests/fakes/late.ts";
import { MemoryBrick } from "tests/fakes/memory_brick.ts";
import { node, testClient, testEnv } from "tests/fakes/node.ts";
import { seeded } from "tests/fakes/seeded.ts";
import { quickRead } from "xlators/performance/quick-read/quick_read.ts";

const STEPS = 600, SIDE_BY_SIDE = 3, NAMES = ["a", "b"] as const, OPEN_MAX = 8;
const THEIRS = testClient();

/** A file that an application has open, and the least that it must show. */
interface Open {
  readonly fd: Fd;
  readonly least: number;
  /** Fops of the application that are under way: nobody closes what he is reading. */
  users: number;
}

class Applications {
  readonly brick: MemoryBrick;
  readonly #top: Xlator;
  readonly #late: Late;
  readonly #inodes = new InodeTable();
  readonly #below: (below: number) => number;
  readonly #told: Promise<void>[] = [];
  readonly #open: Open[] = [];
  /** By gfid: what was written and answered, to anybody; and what was seen, or written by us. */
  readonly #written = new Map<Gfid, number>();
  readonly #seen = new Map<Gfid, number>();
  /** Files whose name the other client took. */
  readonly #gone = new Set<Gfid>();
  readonly #invalidation: boolean;
  #number = 0;

  constructor(below: (below: number) => number) {
    const inodes = this.#inodes;
    let now = 1;
    const env = testEnv({
      clock: { ...realClock, monotonic: () => 0, now: () => ++now * 1000 },
    });
    this.#below = below;
    this.#invalidation = below(2) === 1;
    this.brick = new MemoryBrick(node("memory", [], { inodes, env }));
    this.#late = new Late(node("late", [this.brick], { inodes, env }), below, 12);
    const values = readOptions(
      quickRead.options,
      new Map([
        ["cache-size", below(2) ? "40" : "1MB"],
        ["quick-read-cache-invalidation", this.#invalidation ? "on" : "off"],
      ]),
    );
    this.#top = quickRead.create(node("qr", [this.#late], { inodes, env }), values);
  }

  async step(): Promise<void> {
    const at = { parent: this.#inodes.root, name: NAMES[this.#below(NAMES.length)]! };
    const open = this.#open[this.#below(this.#open.length || 1)];
    try {
      if (open) open.users++;
      await this.#act(this.#below(12), at, open);
    } catch (error) {
      if (!(error instanceof FopError)) throw error;
    } finally {
      if (open) open.users--;
    }
  }

  async #act(which: number, at: Place, open: Open | undefined): Promise<void> {
    if (which < 3) return await this.#openOne(at, 0);
    if (which < 7) return open && await this.#read(open);
    if (which === 7) return await this.#openOne(at, O_RDWR);
    if (which === 8) return open && await this.#write(this.#top, open.fd);
    if (which === 9) return await this.#others(at);
    if (which === 10) return await this.#close();
    const isThere = await this.#top.lookup(ROOT, at).then(() => true, () => false);
    if (isThere) await this.#top.unlink(ROOT, { ...at, flags: 0 });
    else await this.#make(this.#top, at);
  }

  async #make(on: Xlator, at: Place): Promise<void> {
    const made = { ...at, mode: 0o644, umask: 0, flags: O_RDWR, xdata: gfidReq() };
    const { fd } = await on.create(ROOT, made);
    await this.#write(on, fd);
    await on.release(ROOT, { fd });
  }

  async #openOne(at: Place, flags: number): Promise<void> {
    if (this.#open.length >= OPEN_MAX) return await this.#close();
    // A file is opened as it was when it was looked up right before. With invalidation what others
    // did is seen when it was told, and not before.
    const written = new Map(this.#written);
    const { stat: { gfid } } = await this.#top.lookup(ROOT, at);
    const least = this.#invalidation ? 0 : written.get(gfid) ?? 0;
    const { fd } = await this.#top.open(ROOT, { inode: this.#inodes.of(gfid), flags });
    this.#open.push({ fd, least, users: 0 });
  }

  async #close(): Promise<void> {
    const at = this.#below(this.#open.length || 1), open = this.#open[at];
    if (!open || open.users) return;
    this.#open.splice(at, 1);
    await this.#top.release(ROOT, { fd: open.fd });
  }

  async #read({ fd, least }: Open): Promise<void> {
    const { gfid } = fd.inode, wanted = Math.max(least, this.#seen.get(gfid) ?? 0);
    const isThere = !this.#gone.has(gfid);
    const { data } = await this.#top.readv(ROOT, { fd, offset: 0, size: 64, flags: 0 })
      .catch((error) => {
        ok(!isThere || this.#gone.has(gfid), `${gfid}: ${error}`);
        throw error;
      });
    const seen = Number(new TextDecoder().decode(data));
    ok(seen >= wanted, `${gfid}: seen ${seen}, before ${wanted}`);
    raise(this.#seen, gfid, seen);
  }

  // Two writes that cross may end either way: only what both surely left is expected.
  async #write(on: Xlator, fd: Fd): Promise<void> {
    if (!(fd.flags & O_RDWR) || this.#writing.has(fd.inode.gfid)) return;
    const number = ++this.#number, data = new TextEncoder().encode(String(number).padStart(8));
    this.#writing.add(fd.inode.gfid);
    try {
      await on.writev(ROOT, { fd, offset: 0, data, flags: 0 });
    } finally {
      this.#writing.delete(fd.inode.gfid);
    }
    raise(this.#written, fd.inode.gfid, number);
    if (on === this.#top) raise(this.#seen, fd.inode.gfid, number);
  }
  readonly #writing = new Set<Gfid>();

  // Another client: straight on the brick, which tells us a while later.
  async #others(at: Place): Promise<void> {
    const { brick } = this;
    const { stat: { gfid } } = await brick.lookup(ROOT, at);
    if (this.#below(4)) {
      const { fd } = await brick.open(ROOT, { inode: this.#inodes.of(gfid), flags: O_RDWR });
      await this.#write(brick, fd);
      await brick.release(ROOT, { fd });
    } else {
      this.#gone.add(gfid);
      await brick.unlink(ROOT, { ...at, flags: 0 });
      await this.#make(brick, at);
    }
    this.#told.push(this.#late.tell(gfid, THEIRS, UP.SIZE | UP.TIMES, 300));
  }

  /** When all was told, all that is there is seen as it is; all that was opened can be closed. */
  async atRest(): Promise<void> {
    await Promise.all(this.#told);
    for (const { fd } of this.#open) {
      const { gfid } = fd.inode;
      if (!this.#gone.has(gfid)) {
        raise(this.#seen, gfid, this.#written.get(gfid) ?? 0);
        await this.#read({ fd, least: 0, users: 0 });
      }
    }
    while (this.#open.length) await this.#close();
    ok(this.brick.openFiles === 0, `${this.brick.openFiles} files are open`);
  }
}

type Place = { readonly parent: Inode; readonly name: string };

function raise(of: Map<Gfid, number>, gfid: Gfid, to: number): void {
  of.set(gfid, Math.max(of.get(gfid) ?? 0, to));
}

Deno.test("quick-read, seeded: one client never sees the past, and who opens sees what was written", async () => {
  for (let seed = 1; seed <= 60; seed++) {
    const below = seeded(seed);
    const applications = new Applications(below);
    try {
      for (let step = 0; step < STEPS; step += SIDE_BY_SIDE) {
        await Promise.all(Array.from({ length: SIDE_BY_SIDE }, () => applications.step()));
      }
      await applications.atRest();
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
  }
});
