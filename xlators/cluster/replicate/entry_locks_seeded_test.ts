/** Two clients change the same few names, fops reach each copy in an order of its own: all end equal. */

import { deepStrictEqual as deepEqual, ok } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { FopError } from "core/errno.ts";
import type { Inode } from "core/inode.ts";
import { gfidReq } from "tests/conformance/place.ts";
import { testEnv } from "tests/fakes/node.ts";
import { over } from "tests/fakes/replica.ts";
import { Scene } from "tests/fakes/replica_scene.ts";
import { seeded } from "tests/fakes/seeded.ts";
import type { Replicate } from "xlators/cluster/replicate/replicate.ts";

const SEEDS = 15, STEPS = 120, AT_ONCE = 3;
const NAMES = ["a", "b", "c"];

/** Names and what they stand for on one copy, of the root and the directories `dirs`. */
async function tree(scene: Scene, index: number, dirs: readonly Inode[]): Promise<string[]> {
  const brick = scene.on.bricks[index]!;
  const lines = await Promise.all([scene.root, ...dirs].map(async (inode, at) => {
    const { fd } = await brick.opendir(ROOT, { inode });
    const { entries } = await brick.readdirp(ROOT, { fd, offset: 0n, size: 1 << 20 });
    return entries.flatMap(({ name, stat }) =>
      name === "." || name === ".." ? [] : [`${at}/${name} ${stat?.gfid} ${stat?.nlink}`]
    );
  }));
  return lines.flat().sort();
}

async function play(seed: number): Promise<number> {
  const random = seeded(seed), scene = await Scene.of();
  const pick = <T>(from: readonly T[]): T => from[random(from.length)]!;
  const second = over(scene.links, {}, scene.on.inodes, testEnv({ clock: scene.clock }));
  const dirs: Inode[] = [];
  for (const name of ["x", "y"]) {
    const args = { parent: scene.root, name, mode: 0o755, umask: 0, xdata: gfidReq() };
    dirs.push(scene.on.inodes.of((await scene.top.mkdir(ROOT, args)).stat.gfid));
  }
  for (const link of scene.links) {
    link.fate = async () => {
      for (let wait = random(12); wait > 0; wait--) await Promise.resolve();
      return "pass" as const;
    };
  }
  let kept = 0;
  const step = async (top: Replicate) => {
    const parent = pick(dirs), name = pick(NAMES), other = pick(dirs);
    const made = { parent, name, mode: 0o644, umask: 0, xdata: gfidReq() };
    const move = { oldParent: parent, oldName: name, newParent: other, newName: pick(NAMES) };
    const acts = [
      () => top.mknod(ROOT, { ...made, mode: 0o100644, rdev: 0 }),
      () => top.mkdir(ROOT, { ...made, mode: 0o755 }),
      () => top.unlink(ROOT, { parent, name, flags: 0 }),
      () => top.rmdir(ROOT, { parent, name, flags: 0 }),
      () => top.rename(ROOT, { ...move, newParent: parent }),
      () => top.rename(ROOT, move),
    ];
    await pick(acts)().catch((error) => {
      if (!(error instanceof FopError)) throw error;
    });
    kept += (top.state() as { directoriesLocked: number }).directoriesLocked;
  };
  const client = async (top: Replicate) => {
    for (let at = 0; at < STEPS; at += AT_ONCE) {
      await Promise.all(Array.from({ length: 1 + random(AT_ONCE) }, () => step(top)));
      // Now and then one works alone, long enough to forget that it met somebody.
      if (!random(12)) scene.clock.advance(pick([10, 500, 1000, 11_000]));
    }
  };
  await client(scene.top);
  await Promise.all([client(scene.top), client(second)]);
  await Promise.all([scene.top.stop(), second.stop()]);
  const trees = await Promise.all([0, 1, 2].map((index) => tree(scene, index, dirs)));
  deepEqual(trees[1], trees[0], `seed ${seed}: copy 1`);
  deepEqual(trees[2], trees[0], `seed ${seed}: copy 2`);
  for (const inode of [scene.root, ...dirs]) deepEqual(await scene.allMarks(inode), ["", "", ""]);
  return kept;
}

Deno.test("cluster/replicate, seeded: changes of the same names by two clients leave all copies equal", async () => {
  let kept = 0;
  for (let seed = 1; seed <= SEEDS; seed++) kept += await play(seed);
  ok(kept > SEEDS * 10, `locks were kept after ${kept} changes`);
});
