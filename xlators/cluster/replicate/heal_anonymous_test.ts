/** Wrong names whose files are kept until the right ones are healed. */

import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { EPERM } from "core/errno.ts";
import type { Inode } from "core/inode.ts";
import { fails, gfidReq } from "tests/conformance/place.ts";
import { testEnv } from "tests/fakes/node.ts";
import { Scene } from "tests/fakes/replica_scene.ts";
import { clearAside } from "xlators/cluster/replicate/heal_anonymous.ts";
import { healFile } from "xlators/cluster/replicate/heal_file.ts";
import { HealSet } from "xlators/cluster/replicate/heal_set.ts";
import { anonymousDirectory, isPrivate } from "xlators/cluster/replicate/private_names.ts";

const VOLUME = "3b241101-e2bb-4255-8caf-4136c566a962";
const ASIDE = `.glusterfs-anonymous-inode-${VOLUME}`;

function healSet({ links, on }: Scene): HealSet {
  return new HealSet({
    name: "v-replicate-0",
    copies: links,
    copyNames: links.map(({ name }) => name),
    arbiter: false,
    favorite: "none",
    granular: false,
    anonymous: anonymousDirectory(VOLUME),
    env: testEnv(),
    inodes: on.inodes,
  });
}

async function mkdir(scene: Scene, name: string, parent = scene.root): Promise<Inode> {
  const args = { parent, name, mode: 0o755, umask: 0, xdata: gfidReq() };
  return scene.on.inodes.of((await scene.top.mkdir(ROOT, args)).stat.gfid);
}

/** Names in a directory of a copy. */
async function names(scene: Scene, index: number, inode: Inode): Promise<string[]> {
  const brick = scene.on.bricks[index]!;
  const { fd } = await brick.opendir(ROOT, { inode });
  const { entries } = await brick.readdir(ROOT, { fd, offset: 0n, size: 1 << 20 });
  await brick.releasedir(ROOT, { fd });
  return entries.map(({ name }) => name).filter((name) => name !== "." && name !== "..").sort();
}

function heal(set: HealSet, inode: Inode) {
  return healFile(set, inode.gfid, { found: new Set() });
}

Deno.test("cluster/replicate aside: the directory is GlusterFS's, by name and gfid", () => {
  deepEqual(anonymousDirectory(VOLUME), {
    name: ASIDE,
    gfid: "3a241101-e2bb-4255-8caf-4136c566a962",
  });
  equal(anonymousDirectory(""), undefined);
});

Deno.test("cluster/replicate aside: what was moved while a copy was away is moved there, not made anew", async () => {
  const scene = await Scene.of();
  const a = await mkdir(scene, "a"), b = await mkdir(scene, "b");
  const { fd, inode: file } = await scene.create("f", a);
  await scene.write(fd, "data");
  const directory = await mkdir(scene, "d", a);
  await scene.create("below", directory);
  await mkdir(scene, "gone", a);
  await scene.calm();
  scene.links[2]!.turn(false);
  for (const name of ["f", "d"]) {
    const to = { newParent: b, newName: name };
    await scene.top.rename(ROOT, { oldParent: a, oldName: name, ...to });
  }
  await scene.top.rmdir(ROOT, { parent: a, name: "gone", flags: 0 });
  await scene.calm();
  scene.links[2]!.turn(true);
  const set = healSet(scene), aside = set.inodes.of(set.anonymous!.gfid);
  equal(await heal(set, a), "healed");
  deepEqual(await names(scene, 2, a), []);
  equal((await names(scene, 2, aside)).length, 3);
  for (const link of scene.links) link.seen.length = 0;
  equal(await heal(set, b), "healed");
  deepEqual(await names(scene, 2, b), ["d", "f"]);
  deepEqual(await names(scene, 2, directory), ["below"]);
  equal(await scene.content(2, file), "data");
  const made = scene.links[2]!.seen.filter(({ fop }) => fop === "mkdir" || fop === "mknod");
  deepEqual(made, []);
  await clearAside(set);
  for (const index of [0, 1, 2]) deepEqual(await names(scene, index, aside), []);
  equal((await scene.on.bricks[2]!.stat(ROOT, { inode: file })).stat.nlink, 1);
});

Deno.test("cluster/replicate aside: nothing is removed there while a copy is away", async () => {
  const scene = await Scene.of();
  const a = await mkdir(scene, "a");
  await mkdir(scene, "gone", a);
  scene.links[2]!.turn(false);
  await scene.top.rmdir(ROOT, { parent: a, name: "gone", flags: 0 });
  await scene.calm();
  scene.links[2]!.turn(true);
  const set = healSet(scene), aside = set.inodes.of(set.anonymous!.gfid);
  equal(await heal(set, a), "healed");
  scene.links[0]!.turn(false);
  await clearAside(set);
  equal((await names(scene, 2, aside)).length, 1);
});

Deno.test("cluster/replicate aside: clients neither show nor find it, healers do not heal its name", async () => {
  const scene = await Scene.of();
  const args = { parent: scene.root, name: ASIDE, mode: 0o755, umask: 0, xdata: gfidReq() };
  await scene.on.bricks[0]!.mkdir(ROOT, args);
  await scene.create("f");
  const { fd } = await scene.top.opendir(ROOT, { inode: scene.root });
  const listed = await scene.top.readdir(ROOT, { fd, offset: 0n, size: 4096 });
  deepEqual(listed.entries.map(({ name }) => name).filter((name) => !/^\.\.?$/.test(name)), ["f"]);
  await fails(scene.top.lookup(ROOT, { parent: scene.root, name: ASIDE }), EPERM);
  await healFile(healSet(scene), scene.root.gfid, { found: new Set(), full: true });
  deepEqual(await names(scene, 0, scene.root), [ASIDE, "f"]);
  deepEqual(await names(scene, 1, scene.root), ["f"]);
  equal(isPrivate(await mkdir(scene, "d"), ASIDE), false);
});

Deno.test("cluster/replicate aside: a file that was removed since is not kept by what cannot be healed of it", async () => {
  const scene = await Scene.of();
  const a = await mkdir(scene, "a"), { inode: file } = await scene.create("f", a);
  await mkdir(scene, "gone", a);
  await scene.calm();
  scene.links[2]!.turn(false);
  const moved = { oldParent: a, oldName: "f", newParent: scene.root, newName: "f" };
  await scene.top.rename(ROOT, moved);
  await scene.top.rmdir(ROOT, { parent: a, name: "gone", flags: 0 });
  await scene.calm();
  scene.links[2]!.turn(true);
  const set = healSet(scene), aside = set.inodes.of(set.anonymous!.gfid);
  equal(await heal(set, a), "healed");
  equal((await names(scene, 2, aside)).length, 2);
  await scene.blame(file, 2, 1, { data: 1 });
  await clearAside(set, "files");
  equal((await names(scene, 2, aside)).length, 2);
  await scene.top.unlink(ROOT, { parent: scene.root, name: "f", flags: 0 });
  equal(await heal(set, file), "left");
  await clearAside(set, "files");
  equal((await names(scene, 2, aside)).length, 1);
  equal(await heal(set, file), "gone");
});
