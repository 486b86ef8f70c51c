/** Listings that lose the copy they are read from. */

import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { EIO, ENOTCONN } from "core/errno.ts";
import type { Fd } from "core/inode.ts";
import { fails, gfidReq, newGfid } from "tests/conformance/place.ts";
import { Scene } from "tests/fakes/replica_scene.ts";
import { Listed } from "xlators/cluster/replicate/listed.ts";

const NAMES = Array.from({ length: 200 }, (_, at) => `name-${at}`);

/** Copies that have the same names in an order of their own. */
async function scene(copies = 3): Promise<{ scene: Scene; fd: Fd }> {
  const scene = await Scene.of({ copies, values: { "read-hash-mode": "0" } });
  const gfids = NAMES.map(() => newGfid());
  for (const [index, brick] of scene.on.bricks.entries()) {
    for (let at = 0; at < NAMES.length; at++) {
      const which = (at * [1, 7, 11][index]! + index * 13) % NAMES.length;
      const args = { parent: scene.root, name: NAMES[which]!, mode: 0o100644, rdev: 0, umask: 0 };
      await brick.mknod(ROOT, { ...args, xdata: gfidReq(gfids[which]) });
    }
  }
  const { fd } = await scene.top.opendir(ROOT, { inode: scene.root });
  return { scene, fd };
}

interface Way {
  /** What happens before page number `page` is asked. */
  before(page: number): void;
  /** How many of a page's entries are taken. */
  readonly take?: number;
  readonly plus?: boolean;
  /** Each page is asked for twice, as by who read ahead and asks for it another way. */
  readonly twice?: boolean;
}

async function list({ scene, fd }: { scene: Scene; fd: Fd }, way: Way): Promise<string[]> {
  const found: string[] = [];
  let offset = 0n;
  for (let page = 0;; page++) {
    way.before(page);
    const args = { fd, offset, size: 512 };
    if (way.twice) await scene.top.readdirp(ROOT, { ...args, size: 4096 });
    const reply = way.plus
      ? await scene.top.readdirp(ROOT, { ...args, size: 4096 })
      : await scene.top.readdir(ROOT, args);
    const taken = reply.entries.slice(0, way.take);
    found.push(...taken.map(({ name }) => name));
    const all = taken.length === reply.entries.length;
    if (!taken.length || reply.eof && all) {
      return found.filter((name) => name !== "." && name !== "..");
    }
    offset = taken.at(-1)!.offset;
  }
}

function expectAll(found: readonly string[]): void {
  equal(new Set(found).size, found.length, "a name was shown twice");
  deepEqual(found.toSorted(), NAMES.toSorted());
}

Deno.test("cluster/replicate listing: it goes on with another copy, without loss or doubles", async () => {
  for (const plus of [false, true]) {
    const place = await scene();
    const { links } = place.scene;
    expectAll(
      await list(place, {
        plus,
        before: (page) => {
          if (page === 3) links[0]!.turn(false);
          if (page === 5) links[0]!.turn(true);
          if (page === 6) links[1]!.turn(false);
        },
      }),
    );
  }
});

Deno.test("cluster/replicate listing: what was told and not taken is told again by the other copy", async () => {
  const place = await scene();
  const { links } = place.scene;
  expectAll(
    await list(place, { take: 3, before: (page) => page === 9 && links[0]!.turn(false) }),
  );
});

Deno.test("cluster/replicate listing: a failing copy is left, a failure of the file's is told", async () => {
  const place = await scene();
  const { links } = place.scene;
  expectAll(
    await list(place, {
      before: (page) => {
        if (page === 2) links[0]!.fate = (fop) => fop === "readdir" ? EIO : "pass";
      },
    }),
  );
  const alone = await scene(2);
  await fails(
    list(alone, {
      before: (page) => page === 2 && alone.scene.links.forEach((link) => link.turn(false)),
    }),
    ENOTCONN,
  );
});

Deno.test("cluster/replicate listing: a directory whose copies blame each other is listed and looked at", async () => {
  const place = await scene(2);
  const { scene: { top, root, links }, scene: on } = place;
  await on.blame(root, 0, 1, { entry: 1 });
  await on.blame(root, 1, 0, { entry: 1 });
  links[0]!.turn(false);
  links[0]!.turn(true);
  expectAll(await list(place, { before: () => false }));
  equal((await top.stat(ROOT, { inode: root })).stat.gfid, root.gfid);
  await top.getxattr(ROOT, { inode: root, name: "" });
  await on.create("more");
});

Deno.test("cluster/replicate listing: of copies that each miss something all names are shown, and none that is gone", async () => {
  for (const plus of [false, true]) {
    const on = await Scene.of({ values: { "read-hash-mode": "0" } });
    const gone = { parent: on.root, name: "gone", flags: 0 };
    await on.create("gone");
    for (const away of [0, 1, 2]) {
      on.links[away]!.turn(false);
      await on.create(`without-${away}`);
      if (away === 0) await on.top.unlink(ROOT, gone);
      on.links[away]!.turn(true);
    }
    const { fd } = await on.top.opendir(ROOT, { inode: on.root });
    const way = { plus, take: 2, before: () => {} };
    const names = (await list({ scene: on, fd }, way)).filter((name) => !name.startsWith("."));
    deepEqual(names.toSorted(), ["without-0", "without-1", "without-2"]);
    // One copy's names are not all there are.
    const before = (page: number) => {
      if (page === 1) { for (const link of on.links.slice(1)) link.turn(false); }
    };
    await fails(list({ scene: on, fd }, { ...way, before }), ENOTCONN);
  }
});

Deno.test("cluster/replicate listing: cookies of copies that are the same number are told apart", async () => {
  for (const plus of [false, true]) {
    const on = await Scene.of({ values: { "read-hash-mode": "0" } });
    for (const away of [1, 2]) {
      await on.create(`gone-${away}`);
      on.links[away]!.turn(false);
      await on.create(`without-${away}`);
      await on.top.unlink(ROOT, { parent: on.root, name: `gone-${away}`, flags: 0 });
      on.links[away]!.turn(true);
    }
    on.links[0]!.turn(false);
    const { fd } = await on.top.opendir(ROOT, { inode: on.root });
    const names = await list({ scene: on, fd }, { plus, twice: true, before: () => {} });
    deepEqual(names.toSorted(), ["gone-1", "gone-2", "without-1", "without-2"]);
  }
});

Deno.test("cluster/replicate listing: from its beginning everything is shown anew", async () => {
  const place = await scene();
  const before = (page: number) => page === 2 && place.scene.links[0]!.turn(false);
  expectAll(await list(place, { before }));
  expectAll(await list(place, { before: () => false }));
});

Deno.test("cluster/replicate listing: a million names are remembered in few bytes, more are not", () => {
  const listed = new Listed();
  const before = Deno.memoryUsage();
  for (let at = 0; at < 1 << 20; at++) listed.add([{ name: `file-${at}`, offset: BigInt(at + 1) }]);
  ok(Deno.memoryUsage().external - before.external < 40 << 20);
  ok(listed.canRestart);
  equal(listed.goOn(5n), 5n);
  listed.restart();
  deepEqual(listed.unseen([{ name: "file-4" }, { name: "file-5" }]), [{ name: "file-5" }]);
  for (let at = 0; at < 1 << 20; at++) listed.add([{ name: `more-${at}`, offset: BigInt(at + 1) }]);
  equal(listed.canRestart, false);
});
