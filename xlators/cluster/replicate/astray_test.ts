/** Names under which a copy that missed something has another file than the others. */

import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { ENOTCONN } from "core/errno.ts";
import { type Args, O_CREAT, O_RDWR, O_TRUNC } from "core/fops.ts";
import type { Gfid, Inode } from "core/inode.ts";
import { ptr, Xdata } from "core/xdata.ts";
import { fails, gfidReq } from "tests/conformance/place.ts";
import type { ReplicaOptions } from "tests/fakes/replica.ts";
import { Scene } from "tests/fakes/replica_scene.ts";
import { NAME_DIFFERS } from "xlators/cluster/replicate/send_marks.ts";

async function directory(scene: Scene, name: string): Promise<Inode> {
  const args = { parent: scene.root, name, mode: 0o755, umask: 0, xdata: gfidReq() };
  return scene.on.inodes.of((await scene.top.mkdir(ROOT, args)).stat.gfid);
}

/** What each brick has under a name. */
async function under(scene: Scene, name: string, parent = scene.root) {
  return await Promise.all(
    scene.on.bricks.map((brick): Promise<Gfid | undefined> =>
      brick.lookup(ROOT, { parent, name }).then(({ stat }) => stat.gfid, () => undefined)
    ),
  );
}

/** Two names in `parent`, of files of their own; "linked": of one. Written down before anything else. */
async function twoNames(
  { linked = false, options = {} as ReplicaOptions } = {},
): Promise<{ scene: Scene; parent: Inode; one: Inode }> {
  const scene = await Scene.of(options), parent = await directory(scene, "d");
  const { fd, inode: one } = await scene.create("a", parent);
  await scene.write(fd, "one");
  await scene.top.release(ROOT, { fd });
  if (linked) await scene.top.link(ROOT, { inode: one, parent, name: "b" });
  await scene.calm();
  return { scene, parent, one };
}

/** Does something while copy 2 is away. */
async function without2(scene: Scene, act: () => Promise<unknown>): Promise<void> {
  scene.links[2]!.turn(false);
  await act();
  await scene.calm();
  scene.links[2]!.turn(true);
}

const OPTIONS: readonly ReplicaOptions[] = [
  {},
  { copies: 3, arbiter: true },
  { values: { "granular-entry-heal": "on" } },
];

function move(scene: Scene, parent: Inode, from: string, to: string, newParent = parent) {
  return scene.top.rename(ROOT, { oldParent: parent, oldName: from, newParent, newName: to });
}

Deno.test("cluster/replicate: a file is not cut on a copy where it still has the name of a new one", async () => {
  const { scene, parent, one } = await twoNames();
  await without2(scene, () => move(scene, parent, "a", "c"));
  const flags = O_RDWR | O_CREAT | O_TRUNC, xdata = gfidReq();
  const args = { parent, name: "a", flags, mode: 0o644, umask: 0, xdata };
  const made = await scene.top.create(ROOT, args);
  await scene.write(made.fd, "another");
  await scene.calm();
  for (const index of [0, 1, 2]) equal(await scene.content(index, one), "one");
  const { gfid } = made.stat;
  deepEqual(await under(scene, "a", parent), [gfid, gfid, one.gfid]);
  for (const index of [0, 1]) {
    const marks = await scene.marks(index, scene.on.inodes.of(gfid));
    ok(/2:[1-9]\/1\/0/.test(marks), marks);
  }
});

Deno.test("cluster/replicate: a file is not removed from a copy where it still has the name that goes", async () => {
  for (const options of OPTIONS) {
    const { scene, parent, one } = await twoNames({ options });
    await without2(scene, async () => {
      await move(scene, parent, "a", "c");
      await scene.create("a", parent);
    });
    await scene.top.unlink(ROOT, { parent, name: "a", flags: 0 });
    deepEqual(await under(scene, "a", parent), [undefined, undefined, one.gfid]);
    equal((await scene.marks(0, parent)).includes("2:0/0/"), true);
  }
});

Deno.test("cluster/replicate: a wrong file is not moved along to a directory that missed nothing", async () => {
  for (const options of [...OPTIONS, { copies: 2 }]) {
    const { scene, parent, one } = await twoNames({ options });
    const to = await directory(scene, "e"), last = scene.links.length - 1;
    scene.links[last]!.turn(false);
    await scene.top.unlink(ROOT, { parent, name: "a", flags: 0 });
    const right = (await scene.create("a", parent)).inode.gfid;
    await scene.calm();
    scene.links[last]!.turn(true);
    await move(scene, parent, "a", "b", to);
    const moved = await under(scene, "b", to);
    equal(moved[0], right);
    equal(moved[last], undefined);
    equal((await under(scene, "a", parent))[last], one.gfid);
    // The copy is behind in both, and told to be.
    for (const inode of [parent, to]) {
      ok((await scene.marks(0, inode)).startsWith(`${last}:0/0/`), await scene.marks(0, inode));
    }
  }
});

Deno.test("cluster/replicate: a rename that does nothing on a copy, since both names are one file there, is not taken for done", async () => {
  const options = { values: { "granular-entry-heal": "on" } };
  const { scene, parent, one } = await twoNames({ linked: true, options });
  await without2(scene, async () => {
    await scene.top.unlink(ROOT, { parent, name: "b", flags: 0 });
    await scene.create("b", parent);
  });
  for (const link of scene.links) link.seen.length = 0;
  await move(scene, parent, "a", "b");
  await scene.calm();
  deepEqual(await under(scene, "a", parent), [undefined, undefined, one.gfid]);
  const noted = scene.links[0]!.seen.flatMap(({ fop, args }) =>
    fop === "xattrop" ? (args as Args<"xattrop">).xdata?.get(NAME_DIFFERS) ?? [] : []
  );
  ok(noted.includes("a"), noted.join());
});

Deno.test("cluster/replicate: names that a copy has like the others are changed on it, too, while it is behind", async () => {
  const { scene, parent, one } = await twoNames();
  await without2(scene, () => scene.create("b", parent));
  await move(scene, parent, "a", "c");
  deepEqual(await under(scene, "c", parent), [one.gfid, one.gfid, one.gfid]);
  await scene.top.unlink(ROOT, { parent, name: "c", flags: 0 });
  deepEqual(await under(scene, "c", parent), [undefined, undefined, undefined]);
});

Deno.test("cluster/replicate: who hears that another client marked a directory looks before names change there", async () => {
  const { scene, parent, one } = await twoNames();
  const { root } = scene;
  equal((await scene.top.lookup(ROOT, { parent: root, name: "d" })).stat.gfid, parent.gfid);
  for (const index of [0, 1]) {
    const names = { oldParent: parent, oldName: "a", newParent: parent, newName: "c" };
    await scene.on.bricks[index]!.rename(ROOT, names);
    await scene.blame(parent, index, 2, { entry: 1 });
  }
  scene.links[0]!.tell({
    type: "cache-invalidation",
    clients: [],
    gfid: parent.gfid,
    flags: 0,
    expireSec: 0,
    stat: undefined,
    parent: undefined,
    oldParent: undefined,
    xdata: Xdata.of([["trusted.afr.v-client-2", ptr(new Uint8Array(12))]]),
  });
  const flags = O_RDWR | O_CREAT | O_TRUNC, xdata = gfidReq();
  await scene.top.create(ROOT, { parent, name: "a", flags, mode: 0o644, umask: 0, xdata });
  equal(await scene.content(2, one), "one");
});

Deno.test("cluster/replicate: who comes back while a name is looked up is not taken to lack it", async () => {
  const scene = await Scene.of({ copies: 3, arbiter: true }), { root, links } = scene;
  links[1]!.turn(false);
  const { inode } = await scene.create("f");
  await scene.calm();
  links[1]!.turn(true);
  links[0]!.turn(false);
  links[1]!.fate = (fop) => {
    if (fop === "lookup") links[0]!.turn(true);
    links[1]!.fate = undefined;
    return "pass";
  };
  // The arbiter alone, which is right, is not enough.
  await fails(scene.top.lookup(ROOT, { parent: root, name: "f" }), ENOTCONN);
  equal((await scene.top.lookup(ROOT, { parent: root, name: "f" })).stat.gfid, inode.gfid);
});
