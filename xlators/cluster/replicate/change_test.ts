/** Names that change where a copy is behind and another one fails. */

import { ok, strictEqual as equal } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { EIO, ENOTCONN } from "core/errno.ts";
import type { Args } from "core/fops.ts";
import { str, Xdata } from "core/xdata.ts";
import { fails, gfidReq } from "tests/conformance/place.ts";
import { Scene } from "tests/fakes/replica_scene.ts";
import { NAME_DIFFERS } from "xlators/cluster/replicate/send_marks.ts";

// Copy 2 lacks "a", copy 0 lacks "b", and the others say so.
async function onlyOneIsSound(options: { readonly arbiter?: boolean } = {}): Promise<Scene> {
  const scene = await Scene.of(options);
  for (const [away, name] of [[2, "a"], [0, "b"]] as const) {
    scene.links[away]!.turn(false);
    await scene.create(name);
    scene.links[away]!.turn(true);
  }
  return scene;
}

function mkdir(scene: Scene): Promise<unknown> {
  const args = { parent: scene.root, name: "d", mode: 0o755, umask: 0, xdata: gfidReq() };
  return scene.top.mkdir(ROOT, args);
}

async function asked(scene: Scene): Promise<void> {
  await scene.top.lookup(ROOT, { inode: scene.root, name: "" });
}

Deno.test("cluster/replicate change: that a copy which is behind lacks a file is not the file's failure", async () => {
  for (const arbiter of [false, true]) {
    for (const prepare of [asked, () => Promise.resolve()]) {
      const scene = await Scene.of({ arbiter });
      scene.links[2]!.turn(false);
      await scene.create("f");
      scene.links[2]!.turn(true);
      await prepare(scene);
      scene.links[1]!.fate = (fop) => fop === "unlink" ? "fail" : "pass";
      await fails(scene.top.unlink(ROOT, { parent: scene.root, name: "f", flags: 0 }), ENOTCONN);
    }
  }
});

Deno.test("cluster/replicate change: a directory that only copies which are behind made is left in doubt", async () => {
  for (const arbiter of [false, true]) {
    for (const prepare of [asked, () => Promise.resolve()]) {
      const scene = await onlyOneIsSound({ arbiter });
      await prepare(scene);
      scene.links[1]!.fate = (fop) => fop === "mkdir" ? "fail" : "pass";
      await fails(mkdir(scene), ENOTCONN);
      const marks = await scene.allMarks(scene.root);
      equal(marks[0], "2:0/0/1 dirty:0/0/1");
      equal(marks[1], "0:0/0/1 2:0/0/1 dirty:0/0/1");
      equal(marks[2], "0:0/0/1 dirty:0/0/1");
    }
  }
});

Deno.test("cluster/replicate change: attributes stay as they are where the copy that is right was just lost", async () => {
  const scene = await Scene.of();
  const { inode } = await scene.create("f");
  const set = (value: string) => {
    const xattrs = Xdata.of([["user.k", str(value)]]);
    return scene.top.setxattr(ROOT, { inode, xattrs, flags: 0 });
  };
  // Copies 2 and 1 miss one change each; the others say so.
  for (const away of [2, 1]) {
    scene.links[away]!.turn(false);
    await set(`without-${away}`);
    scene.links[away]!.turn(true);
  }
  scene.links[0]!.fate = (fop) => fop === "inodelk" ? "fail" : "pass";
  await fails(set("without-0"), EIO);
  scene.links[0]!.fate = undefined;
  equal((await scene.allMarks(inode))[0], "1:0/1/0 2:0/1/0");
  for (const marks of await scene.allMarks(inode)) ok(!/0:|dirty/.test(marks), marks);
  await set("again");
});

Deno.test("cluster/replicate change: where only a copy answers that may be behind, its word on names is not told", async () => {
  const scene = await Scene.of();
  await mkdir(scene);
  scene.links[1]!.turn(false);
  await scene.create("f");
  scene.links[1]!.turn(true);
  // Of nothing that waits for heal it has heard.
  await scene.top.lookup(ROOT, { parent: scene.root, name: "d" });
  for (const index of [0, 2]) {
    const link = scene.links[index]!;
    link.fate = (fop) => {
      if (fop === "unlink") link.fate = () => "fail";
      return fop === "unlink" ? "lost" : "pass";
    };
  }
  await fails(scene.top.unlink(ROOT, { parent: scene.root, name: "f", flags: 0 }), ENOTCONN);
});

Deno.test("cluster/replicate: what nobody could be told of is told with the name it is about, where names are noted", async () => {
  const scene = await Scene.of({ values: { "granular-entry-heal": "on" } });
  for (const link of scene.links) {
    link.fate = (fop) => {
      if (fop !== "mkdir") return "pass";
      for (const each of scene.links) each.turn(false);
      return link === scene.links[1] ? "lost" : "fail";
    };
  }
  await fails(mkdir(scene), ENOTCONN);
  const told = Promise.withResolvers<void>();
  const back = scene.links[2]!;
  back.fate = (fop) => {
    if (fop === "xattrop") told.resolve();
    return "pass";
  };
  back.turn(true);
  scene.clock.advance(2000);
  await told.promise;
  await scene.top.stop();
  const { args } = back.seen.findLast(({ fop }) => fop === "xattrop")!;
  equal((args as Args<"xattrop">).xdata?.get(NAME_DIFFERS), "d");
});
