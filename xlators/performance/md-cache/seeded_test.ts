/**
 * Random work of one client through the layer, side by side with another client's on the brick
 * itself, whose changes are told late. Every change gets a later time than all before it.
 */

import { ok } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { realClock } from "core/env.ts";
import { FopError } from "core/errno.ts";
import { UP } from "core/events.ts";
import { O_RDWR } from "core/fops.ts";
import { type Iatt, S_IFREG } from "core/iatt.ts";
import { type Gfid, type Inode, InodeTable } from "core/inode.ts";
import { readOptions } from "core/options.ts";
import { ptr, Xdata } from "core/xdata.ts";
import { gfidReq } from "tests/conformance/place.ts";
import { Late } from "tests/fakes/late.ts";
import { MemoryBrick } from "tests/fakes/memory_brick.ts";
import { node, testClient, testEnv } from "tests/fakes/node.ts";
import { seeded } from "tests/fakes/seeded.ts";
import { mdCache } from "xlators/performance/md-cache/md_cache.ts";

const STEPS = 300, SIDE_BY_SIDE = 3, NAMES = ["a", "b", "c"] as const;
const THEIRS = testClient();

function world(below: (below: number) => number) {
  const inodes = new InodeTable();
  const time = { now: 1 };
  const clock = { ...realClock, monotonic: () => 0, now: () => ++time.now * 1000 };
  const env = testEnv({ clock });
  const brick = new MemoryBrick(node("memory", [], { inodes, env }));
  const late = new Late(node("late", [brick], { inodes, env }), below, 12);
  const values = readOptions(
    mdCache.options,
    new Map([["md-cache-timeout", "600"], ["xattr-cache-list", "user.v"]]),
  );
  return {
    top: mdCache.create(node("md", [late], { inodes, env }), values),
    late,
    brick,
    inodes,
    time,
  };
}

type World = ReturnType<typeof world>;

/** What one client saw: it never sees older things than before, nor less than it did itself. */
class Applications {
  readonly #world: World;
  readonly #below: (below: number) => number;
  /** By gfid and by name: the latest time that was seen, or done. */
  readonly #least = new Map<string, number>();
  /** The latest value of user.v, which is a time, that was seen by gfid. */
  readonly #told: Promise<void>[] = [];

  constructor(world: World, below: (below: number) => number) {
    this.#world = world;
    this.#below = below;
  }

  #name(): string {
    return NAMES[this.#below(NAMES.length)]!;
  }

  async step(): Promise<void> {
    try {
      await this.#act(this.#below(12));
    } catch (error) {
      if (!(error instanceof FopError)) throw error;
    }
  }

  async #act(which: number): Promise<void> {
    const { top, inodes } = this.#world, parent = inodes.root;
    const name = this.#name(), at = { parent, name };
    if (which < 3) return this.#look(at);
    if (which === 3) {
      const { fd } = await top.opendir(ROOT, { inode: parent });
      const least = new Map(this.#least);
      const { entries } = await top.readdirp(ROOT, { fd, offset: 0n, size: 1 << 20 });
      for (const { name, stat } of entries) if (stat) this.#seen(least, name, stat);
      return;
    }
    if (which === 4) return this.#others(at);
    if (which === 5) {
      const made = { ...at, mode: S_IFREG | 0o644, umask: 0, rdev: 0, xdata: gfidReq() };
      await this.#do([name], () => top.mknod(ROOT, made));
      return;
    }
    const inode = inodes.of((await this.#found(at)).gfid);
    if (which === 6) await this.#do([name], () => top.unlink(ROOT, { ...at, flags: 0 }));
    else if (which === 7) {
      const newName = this.#name();
      if (newName === name) return;
      const to = { oldParent: parent, oldName: name, newParent: parent, newName };
      await this.#do([newName, inode.gfid], () => top.rename(ROOT, to));
    } else if (which === 8) {
      const { fd } = await top.open(ROOT, { inode, flags: O_RDWR });
      const write = { fd, offset: 0, data: new Uint8Array(1 + this.#below(9)), flags: 0 };
      await this.#do([inode.gfid], () => top.writev(ROOT, write));
      await top.release(ROOT, { fd });
    } else if (which === 9) {
      await this.#do([inode.gfid], () => top.setattr(ROOT, { inode, changes: { mode: 0o600 } }));
    } else if (which === 10) await this.#xattr(inode);
    else await this.#value(inode);
  }

  // Any names that somebody else gave to other files since are younger anyway.
  async #do(changed: readonly string[], act: () => Promise<unknown>): Promise<void> {
    const { now } = this.#world.time;
    await act();
    for (const key of changed) this.#raise(key, now + 1);
  }

  #raise(key: string, to: number): void {
    this.#least.set(key, Math.max(this.#least.get(key) ?? 0, to));
  }

  async #found(at: { parent: Inode; name: string }): Promise<Iatt> {
    const least = new Map(this.#least);
    const { stat } = await this.#world.top.lookup(ROOT, at);
    this.#seen(least, at.name, stat);
    return stat;
  }

  async #look(at: { parent: Inode; name: string }): Promise<void> {
    const { gfid } = await this.#found(at);
    const least = new Map(this.#least);
    const inode = this.#world.inodes.of(gfid);
    const { stat } = await this.#world.top.stat(ROOT, { inode });
    this.#seen(least, undefined, stat);
  }

  #seen(least: ReadonlyMap<string, number>, name: string | undefined, stat: Iatt): void {
    for (const key of name === undefined ? [stat.gfid] : [stat.gfid, name]) {
      const wanted = least.get(key) ?? 0;
      ok(stat.ctime >= wanted, `${key}: seen as of ${stat.ctime}, before as of ${wanted}`);
      this.#raise(key, stat.ctime);
    }
  }

  async #xattr(inode: Inode): Promise<void> {
    const value = this.#world.time.now;
    const xattrs = Xdata.of([["user.v", ptr(number(value))]]);
    await this.#world.top.setxattr(ROOT, { inode, xattrs, flags: 0 });
    this.#raise(`v ${inode.gfid}`, value);
  }

  async #value(inode: Inode): Promise<void> {
    const key = `v ${inode.gfid}`, wanted = this.#least.get(key) ?? 0;
    const { xattrs } = await this.#world.top.getxattr(ROOT, { inode, name: "user.v" });
    const bytes = xattrs!.raw("user.v")!.value as Uint8Array;
    const seen = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
    ok(seen >= wanted, `${key}: seen ${seen}, before ${wanted}`);
    this.#raise(key, seen);
  }

  // Another client: straight on the brick, which tells us a while later.
  async #others(at: { parent: Inode; name: string }): Promise<void> {
    const { brick, late, inodes } = this.#world;
    const changed: Gfid[] = [];
    const { stat } = await brick.lookup(ROOT, at);
    const inode = inodes.of(stat.gfid);
    changed.push(stat.gfid);
    if (this.#below(2)) await brick.setattr(ROOT, { inode, changes: { mode: 0o640 } });
    else {
      await brick.unlink(ROOT, { ...at, flags: 0 });
      changed.push(at.parent.gfid);
      const made = { ...at, mode: S_IFREG | 0o644, umask: 0, rdev: 0, xdata: gfidReq() };
      await brick.mknod(ROOT, made);
    }
    this.#told.push(...changed.map((gfid) => late.tell(gfid, THEIRS, UP.TIMES)));
  }

  /** When all was told, all is seen as it is. */
  async atRest(): Promise<void> {
    await Promise.all(this.#told);
    const { top, brick, inodes } = this.#world;
    for (const name of NAMES) {
      const at = { parent: inodes.root, name };
      const [seen, is] = await Promise.all(
        [top, brick].map((each) =>
          each.lookup(ROOT, at).then(
            ({ stat }) => `${stat.gfid} ${stat.ctime} ${stat.nlink}`,
            () => "",
          )
        ),
      );
      ok(seen === is, `${name}: seen ${seen}, is ${is}`);
    }
  }
}

function number(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

Deno.test("md-cache, seeded: one client never sees the past, and sees others' changes when told", async () => {
  for (let seed = 1; seed <= 60; seed++) {
    const below = seeded(seed);
    const applications = new Applications(world(below), below);
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
