/** Locks of directories that are kept: what a burst of changes costs, and how others get in. */

import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { type LkOwner, ROOT } from "core/call.ts";
import { ENOENT, ENOSPC } from "core/errno.ts";
import type { Args } from "core/fops.ts";
import type { Inode } from "core/inode.ts";
import { gfidReq } from "tests/conformance/place.ts";
import { outcome } from "tests/fakes/locks_layer.ts";
import { testEnv } from "tests/fakes/node.ts";
import { type FakeLink, over } from "tests/fakes/replica.ts";
import { Scene } from "tests/fakes/replica_scene.ts";
import type { Replicate } from "xlators/cluster/replicate/replicate.ts";

/** How often each fop of these kinds reached a copy since it was last asked. */
function counts({ seen }: FakeLink): string {
  const found = new Map<string, number>();
  for (const { fop } of seen) found.set(fop, (found.get(fop) ?? 0) + 1);
  seen.length = 0;
  return [...found].map(([fop, count]) => `${fop} ${count}`).join(", ");
}

/** A scene whose lock of the root is kept. */
async function kept(options: Parameters<typeof Scene.of>[0] = {}): Promise<Scene> {
  const scene = await Scene.of(options);
  // The first is a change like any other, the second one asks whether bricks tell.
  for (const name of ["0", "1", "2"]) {
    await mknod(scene, name);
    await settled();
  }
  for (const link of scene.links) link.seen.length = 0;
  return scene;
}

/** Lets everything that waits for no time run. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 200; turn++) await Promise.resolve();
}

function mknod({ root, top }: Scene, name: string, parent = root, by: Replicate = top) {
  return by.mknod(ROOT, { parent, name, mode: 0o100644, rdev: 0, umask: 0, xdata: gfidReq() });
}

async function mkdir({ root, top, on }: Scene, name: string): Promise<Inode> {
  const args = { parent: root, name, mode: 0o755, umask: 0, xdata: gfidReq() };
  return on.inodes.of((await top.mkdir(ROOT, args)).stat.gfid);
}

function unlink({ root, top }: Scene, name: string, parent = root, by: Replicate = top) {
  return by.unlink(ROOT, { parent, name, flags: 0 });
}

function second({ links, on, clock }: Scene): Replicate {
  return over(links, {}, on.inodes, testEnv({ clock }));
}

Deno.test("cluster/replicate: of a burst of new names each costs one fop on each copy", async () => {
  const scene = await kept();
  for (let at = 0; at < 100; at++) await mknod(scene, `f${at}`);
  for (let at = 0; at < 100; at++) await unlink(scene, `f${at}`);
  for (const link of scene.links) equal(counts(link), "mknod 100, unlink 100");
  const move = { oldParent: scene.root, oldName: "0", newParent: scene.root, newName: "3" };
  await scene.top.rename(ROOT, move);
  for (const link of scene.links) equal(counts(link), "lookup 1, rename 1");
});

Deno.test("cluster/replicate: a change alone in its directory locks only its name", async () => {
  const scene = await Scene.of();
  await mknod(scene, "a");
  await settled();
  scene.clock.advance(1000);
  await mknod(scene, "b");
  await settled();
  for (const link of scene.links) {
    // Once it is asked who missed something.
    equal(counts(link), "getxattr 1, lookup 1, entrylk 4, mknod 2");
  }
});

Deno.test("cluster/replicate: the lock of a directory is given up a second after the last change", async () => {
  const scene = await kept();
  scene.clock.advance(600);
  await mknod(scene, "a");
  scene.clock.advance(600);
  equal(counts(scene.links[0]!), "mknod 1");
  scene.clock.advance(400);
  await settled();
  for (const link of scene.links) ok(counts(link).endsWith("entrylk 1"));
  const other = second(scene);
  await mknod(scene, "b", scene.root, other);
  equal(counts(scene.links[0]!), "lookup 1, entrylk 2, mknod 1");
});

Deno.test("cluster/replicate: another client gets its name at once, and both lock names for a while", async () => {
  const scene = await kept();
  const other = second(scene);
  await mknod(scene, "theirs", scene.root, other);
  await settled();
  for (const link of scene.links) link.seen.length = 0;
  for (const name of ["a", "b", "c"]) {
    await mknod(scene, name);
    await settled();
  }
  for (const link of scene.links) equal(counts(link), "entrylk 6, mknod 3");
  scene.clock.advance(10_000);
  for (const name of ["d", "e", "f"]) {
    await mknod(scene, name);
    await settled();
  }
  for (const link of scene.links) equal(counts(link), "entrylk 3, mknod 3");
});

Deno.test("cluster/replicate: who waits for all names of a directory gets them between two changes", async () => {
  const scene = await kept();
  let letGo!: () => void;
  const gate = new Promise<void>((resolve) => letGo = resolve);
  scene.links[1]!.fate = async (fop) => {
    if (fop === "mknod") await gate;
    return "pass" as const;
  };
  const change = mknod(scene, "slow");
  await settled();
  const healer = { ...ROOT, lkOwner: "aa" as LkOwner };
  const all = { inode: scene.root, domain: "v-replicate-0", name: "", type: "write" } as const;
  const wanted = scene.links[0]!.entrylk(healer, { ...all, cmd: "lock" });
  equal(await outcome(wanted), "waits");
  const late = mknod(scene, "late");
  letGo();
  await change;
  await wanted;
  equal(await outcome(late), "waits");
  await scene.links[0]!.entrylk(healer, { ...all, cmd: "unlock" });
  await late;
});

Deno.test("cluster/replicate: a lock that one copy refuses is kept on none", async () => {
  const scene = await Scene.of();
  await mknod(scene, "0");
  await settled();
  // The next one asks whether bricks tell.
  await mknod(scene, "1");
  await settled();
  const theirs = { ...ROOT, lkOwner: "aa" as LkOwner };
  const lock = { inode: scene.root, domain: "v-replicate-0", name: "n", type: "write" } as const;
  await scene.links[1]!.entrylk(theirs, { ...lock, cmd: "lock" });
  // What the brick tells that holder, only that holder hears.
  scene.links[1]!.deaf = true;
  for (const link of scene.links) link.seen.length = 0;
  for (const name of ["a", "b"]) {
    await mknod(scene, name);
    await settled();
  }
  // One attempt, taken back where it had succeeded.
  deepEqual(scene.links.map(counts), [
    "entrylk 6, mknod 2",
    "entrylk 5, mknod 2",
    "entrylk 6, mknod 2",
  ]);
  equal((scene.top.state() as { directoriesLocked: number }).directoriesLocked, 0);
});

Deno.test("cluster/replicate: no lock is kept where a brick does not tell who waits", async () => {
  const scene = await Scene.of();
  scene.links[2]!.deaf = true;
  await mknod(scene, "0");
  await settled();
  await mknod(scene, "1");
  await settled();
  scene.clock.advance(999);
  await settled();
  for (const link of scene.links) link.seen.length = 0;
  for (const name of ["a", "b", "c"]) {
    await mknod(scene, name);
    await settled();
  }
  for (const link of scene.links) equal(counts(link), "entrylk 6, mknod 3");
});

Deno.test("cluster/replicate: no lock is kept with eager-lock off, or no delay", async () => {
  for (const values of [{ "eager-lock": "off" }, { "post-op-delay-secs": "0" }]) {
    const scene = await kept({ values });
    for (const name of ["a", "b", "c"]) {
      await mknod(scene, name);
      await settled();
    }
    for (const link of scene.links) equal(counts(link), "entrylk 6, mknod 3");
  }
});

Deno.test("cluster/replicate: changes of one name under a kept lock reach all copies in the same order", async () => {
  const scene = await kept();
  let letGo!: () => void;
  const gate = new Promise<void>((resolve) => letGo = resolve);
  scene.links[1]!.fate = async (fop, args) => {
    if (fop === "mknod" && (args as Args<"mknod">).name === "x") await gate;
    return "pass" as const;
  };
  const made = mknod(scene, "x"), removed = unlink(scene, "x");
  await mknod(scene, "y");
  equal(await outcome(removed), "waits");
  letGo();
  await Promise.all([made, removed]);
  const { root: parent } = scene;
  for (const link of scene.links) {
    ok(ENOENT.matches(await link.lookup(ROOT, { parent, name: "x" }).catch((error) => error)));
  }
});

Deno.test("cluster/replicate: a copy that fails a change under a kept lock is blamed before the answer", async () => {
  const scene = await kept();
  scene.links[1]!.fate = (fop) => fop === "mknod" ? ENOSPC : "pass";
  await mknod(scene, "x");
  deepEqual(await scene.allMarks(scene.root), ["1:0/0/1", "", "1:0/0/1"]);
});

Deno.test("cluster/replicate: a lock from before a copy went away is not used any more", async () => {
  const scene = await kept();
  scene.links[2]!.turn(false);
  await mknod(scene, "x");
  deepEqual(await scene.allMarks(scene.root), ["2:0/0/1", "2:0/0/1", ""]);
  // Given up, and the name locked as ever.
  for (const link of scene.links.slice(0, 2)) {
    ok(counts(link).startsWith("lookup 1, entrylk 3, xattrop"));
  }
});

Deno.test("cluster/replicate: renames across directories that two clients keep do not wait for each other", async () => {
  const scene = await kept();
  const [one, two] = [await mkdir(scene, "one"), await mkdir(scene, "two")];
  const other = second(scene);
  const fill = async (parent: Inode, by: Replicate) => {
    for (const name of ["0", "1", "2"]) {
      await mknod(scene, name, parent, by);
      await settled();
    }
  };
  await fill(one, scene.top);
  await fill(two, other);
  await Promise.all([
    scene.top.rename(ROOT, { oldParent: one, oldName: "0", newParent: two, newName: "a" }),
    other.rename(ROOT, { oldParent: two, oldName: "0", newParent: one, newName: "b" }),
    mknod(scene, "c", one),
    mknod(scene, "d", two, other),
  ]);
});

Deno.test("cluster/replicate: a directory that was emptied under a kept lock is removed under it", async () => {
  const scene = await kept();
  const parent = await mkdir(scene, "d");
  for (const name of ["a", "b", "c"]) {
    await mknod(scene, name, parent);
    await settled();
  }
  for (const name of ["a", "b", "c"]) await unlink(scene, name, parent);
  for (const link of scene.links) link.seen.length = 0;
  await scene.top.rmdir(ROOT, { parent: scene.root, name: "d", flags: 0 });
  await settled();
  for (const link of scene.links) equal(counts(link), "lookup 1, rmdir 1, entrylk 1");
  await mknod(scene, "x");
  equal(counts(scene.links[0]!), "mknod 1");
});

Deno.test("cluster/replicate: a directory that somebody works in is removed after them", async () => {
  const scene = await kept();
  const parent = await mkdir(scene, "d");
  const theirs = { ...ROOT, lkOwner: "aa" as LkOwner };
  const lock = { inode: parent, domain: "v-replicate-0", name: "n", type: "write" } as const;
  await scene.links[1]!.entrylk(theirs, { ...lock, cmd: "lock" });
  const removed = scene.top.rmdir(ROOT, { parent: scene.root, name: "d", flags: 0 });
  equal(await outcome(removed), "waits");
  await scene.links[1]!.entrylk(theirs, { ...lock, cmd: "unlock" });
  await removed;
});

Deno.test("cluster/replicate: at most 16 directories are locked at once, the last ones", async () => {
  const scene = await kept();
  for (let at = 0; at < 20; at++) {
    const parent = await mkdir(scene, `d${at}`);
    for (const name of ["0", "1", "2"]) {
      await mknod(scene, name, parent);
      await settled();
    }
  }
  equal((scene.top.state() as { directoriesLocked: number }).directoriesLocked, 16);
  await scene.top.stop();
  equal((scene.top.state() as { directoriesLocked: number }).directoriesLocked, 0);
});

Deno.test("cluster/replicate: who is not heard gets into a directory after ten seconds, however busy it is", async () => {
  // `features.locks-notify-contention` may be turned off while a lock is kept.
  const scene = await kept(), other = second(scene);
  for (const link of scene.links) link.deaf = true;
  const theirs = mknod(scene, "theirs", scene.root, other);
  for (let at = 0; at < 20; at++) {
    equal(await outcome(theirs), "waits");
    scene.clock.advance(500);
    await mknod(scene, `f${at}`);
    await settled();
  }
  equal(await outcome(theirs), "done");
  await other.stop();
});
