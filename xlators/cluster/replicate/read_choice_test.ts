/** Options that say which copy is read. */

import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { readOptions } from "core/options.ts";
import { str, Xdata } from "core/xdata.ts";
import { Scene } from "tests/fakes/replica_scene.ts";
import { checkOptions, options } from "xlators/cluster/replicate/options.ts";

/** Numbers of the copies that `count` reads went to. */
async function readers(scene: Scene, name: string, count = 1): Promise<number[]> {
  const { fd } = await scene.create(name);
  await scene.write(fd, "data");
  await scene.calm();
  for (const link of scene.links) link.seen.length = 0;
  for (let at = 0; at < count; at++) await scene.read(fd);
  return scene.links.flatMap((link, index) =>
    link.seen.filter(({ fop }) => fop === "readv").map(() => index)
  );
}

Deno.test("cluster/replicate reads: read-subvolume and read-subvolume-index name the copy, another one is read if it is away", async () => {
  const named = await Scene.of({ values: { "read-subvolume": "v-client-2" } });
  deepEqual(await readers(named, "f"), [2]);
  const numbered = await Scene.of({ values: { "read-subvolume-index": "1" } });
  deepEqual(await readers(numbered, "f"), [1]);
  numbered.links[1]!.turn(false);
  const [other] = await readers(numbered, "g");
  ok(other !== undefined && other !== 1);
});

Deno.test("cluster/replicate reads: choose-local reads the copy on this host, off does not", async () => {
  for (const local of ["on", "off"]) {
    const values = { "choose-local": local, "read-hash-mode": "0" };
    const scene = await Scene.of({ values });
    const brick = scene.on.bricks[2]!;
    const ask = brick.getxattr.bind(brick);
    brick.getxattr = (call, args) => {
      if (args.name !== "trusted.glusterfs.pathinfo") return ask(call, args);
      const text = str(`<POSIX(/b):${Deno.hostname()}:/b/>`);
      return Promise.resolve({ xattrs: Xdata.of([[args.name, text]]) });
    };
    scene.links[2]!.turn(false);
    scene.links[2]!.turn(true);
    await scene.calm();
    deepEqual(await readers(scene, "f"), [local === "on" ? 2 : 0]);
  }
});

Deno.test("cluster/replicate reads: read-hash-mode 0 reads the first, 1 the same copy of a file always, spread over files", async () => {
  const first = await Scene.of({ values: { "read-hash-mode": "0" } });
  deepEqual(await readers(first, "f", 3), [0, 0, 0]);
  const hashed = await Scene.of({ values: { "read-hash-mode": "1" } });
  const used = new Set<number>();
  for (let at = 0; at < 40; at++) {
    const each = new Set(await readers(hashed, `f${at}`, 2));
    equal(each.size, 1);
    for (const index of each) used.add(index);
  }
  deepEqual([...used].sort(), [0, 1, 2]);
});

Deno.test("cluster/replicate reads: read-hash-mode 3 goes by reads under way, 4 by how long they take, 5 by both", async () => {
  for (const [mode, expected] of [["3", [0, 1, 2]], ["4", [1, 1, 1]], ["5", [1, 1, 1]]] as const) {
    const scene = await Scene.of({ values: { "read-hash-mode": mode } });
    const { fd } = await scene.create("f");
    await scene.write(fd, "data");
    await scene.calm();
    const ms = [40, 1, 20];
    for (const [index, link] of scene.links.entries()) {
      link.fate = (fop) => {
        if (fop === "readv") scene.clock.advance(ms[index]!);
        return "pass";
      };
    }
    for (let at = 0; at < 3; at++) await scene.read(fd);
    for (const link of scene.links) link.seen.length = 0;
    const gate = Promise.withResolvers<"pass">();
    for (const link of scene.links) link.fate = (fop) => fop === "readv" ? gate.promise : "pass";
    const reads = [scene.read(fd), scene.read(fd), scene.read(fd)];
    while (scene.links.flatMap(({ seen }) => seen).length < 3) {
      await new Promise((done) => setImmediate(done));
    }
    const seen = scene.links.flatMap((link, index) => link.seen.map(() => index));
    deepEqual(seen, expected);
    gate.resolve("pass");
    await Promise.all(reads);
  }
});

Deno.test("cluster/replicate options: ensure-durability off syncs nothing, consistent-metadata answers no attributes of changes", async () => {
  const scene = await Scene.of({
    values: { "ensure-durability": "off", "consistent-metadata": "on" },
  });
  const { fd } = await scene.create("f");
  await scene.write(fd, "abcd");
  const { pre, post } = await scene.write(fd, "xy");
  await scene.calm();
  equal(pre ?? post, undefined);
  deepEqual(scene.links[0]!.seen.filter(({ fop }) => fop === "fsync"), []);
});

Deno.test("cluster/replicate options: what is not supported is refused by name", () => {
  const wrong = (name: string, value: string) =>
    checkOptions(readOptions(options, new Map([[name, value]])));
  equal(wrong("quorum-type", "auto"), undefined);
  for (const name of ["pre-op-compat", "full-lock", "data-change-log", "entry-change-log"]) {
    equal(wrong(name, "on"), undefined);
    equal(wrong(name, "off"), `option "${name}" off is not supported`);
  }
  equal(wrong("halo-enabled", "on"), 'option "halo-enabled" on is not supported');
  equal(wrong("halo-max-latency", "5"), undefined);
  equal(wrong("thin-arbiter", "host:/b"), "a thin arbiter is not supported");
});

Deno.test("cluster/replicate quorum: it is lost and regained without anything being opened again", async () => {
  for (const values of [{}, { "quorum-type": "fixed", "quorum-count": "3" }]) {
    const scene = await Scene.of({ values });
    const { fd } = await scene.create("f");
    await scene.write(fd, "old!");
    await scene.calm();
    scene.links[0]!.turn(false);
    if (!("quorum-count" in values)) scene.links[1]!.turn(false);
    await scene.top.readv(ROOT, { fd, offset: 0, size: 4, flags: 0 }).then(
      () => ok(false),
      ({ code }) => equal(code, "ENOTCONN"),
    );
    for (const link of scene.links) if (!link.up) link.turn(true);
    await scene.write(fd, "new!");
    equal(await scene.read(fd), "new!");
    await scene.calm();
  }
});
