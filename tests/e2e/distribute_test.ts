/** cluster/distribute of both kinds on the same bricks at the same time: GlusterFS's client and ours. */

import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { EEXIST, ENOENT, ENOTCONN, ENOTEMPTY, FopError } from "core/errno.ts";
import { isDirectory } from "core/iatt.ts";
import type { Volume } from "core/volume.ts";
import { BrickPair } from "tests/e2e/brick_pair.ts";
import { e2e } from "tests/e2e/harness.ts";
import { must } from "tests/e2e/process.ts";
import { seeded } from "tests/fakes/seeded.ts";

const LAYOUT = "trusted.glusterfs.dht";
const COUNT = 40;
const numbers = [...Array(COUNT).keys()];
const text = new TextEncoder();

async function names(volume: Volume, path: string): Promise<string[]> {
  const all: string[] = [];
  for await (const { name } of volume.readDir(path)) all.push(name);
  return all.sort();
}

function listed(path: string): string[] {
  return [...Deno.readDirSync(path)].map(({ name }) => name).sort();
}

async function read(volume: Volume, path: string): Promise<string> {
  return new TextDecoder().decode(await volume.readFile(path));
}

for (const kind of ["ours", "glusterfsd"] as const) {
  e2e(`distribute, bricks ${kind}: two kinds of clients see one name space`, [], async () => {
    await using pair = await BrickPair.start(kind, kind);
    const { volume } = await pair.ours();
    // Ours comes first: the root's layout is its own.
    deepEqual(await names(volume, "/"), []);
    const root = await pair.xattrs("", LAYOUT);
    const mount = await pair.mount();
    deepEqual(listed(mount), []);
    for (const i of numbers) {
      await Deno.mkdir(`${mount}/their-${i}/in/side`, { recursive: true });
      await Deno.writeTextFile(`${mount}/theirs-${i}`, `theirs ${i}`);
      await Deno.writeTextFile(`${mount}/their-0/f${i}`, "x".repeat(i));
      await volume.mkdir(`/our-${i}/in/side`, { parents: true });
      await volume.writeFile(`/ours-${i}`, text.encode(`ours ${i}`));
      await volume.writeFile(`/our-0/f${i}`, text.encode("y".repeat(i)));
    }
    deepEqual(await pair.xattrs("", LAYOUT), root, "the root's layout was set once");
    deepEqual(await names(volume, "/"), listed(mount));
    equal(listed(mount).length, 4 * COUNT);
    const layouts = () => Promise.all(numbers.map((i) => pair.xattrs(`our-${i}/in`, LAYOUT)));
    const before = await layouts();
    for (const i of numbers) {
      equal(await read(volume, `/theirs-${i}`), `theirs ${i}`);
      equal(await Deno.readTextFile(`${mount}/ours-${i}`), `ours ${i}`);
      deepEqual(await names(volume, `/their-${i}/in`), ["side"]);
      deepEqual(listed(`${mount}/our-${i}/in`), ["side"]);
      equal((await volume.stat(`/their-0/f${i}`)).size, i);
      equal(Deno.statSync(`${mount}/our-0/f${i}`).size, i);
      ok(!pair.where(`our-0/f${i}`).includes("link"), "no link file is needed");
    }
    deepEqual(await layouts(), before, "their client keeps the layouts of ours");
  });

  e2e(`distribute, bricks ${kind}: both put names and layouts in the same places`, [], async () => {
    await using pair = await BrickPair.start(kind, kind);
    const mount = await pair.mount();
    const { volume } = await pair.ours();
    const odd = [".hidden", ".x.swp", ".a.b.tmp", "größe", "日本", "a b", "n".repeat(255), "a\nb"];
    const all = [...odd, ...numbers.map((i) => `name-${i}`)];
    const dirOf = (name: string) => `dir ${name}`.slice(0, 200);
    for (const name of all) {
      await Deno.writeTextFile(`${mount}/${name}`, "");
      await Deno.mkdir(`${mount}/${dirOf(name)}`);
    }
    const where = () => all.map((name) => pair.where(name));
    const layouts = () => Promise.all(all.map((name) => pair.xattrs(dirOf(name), LAYOUT)));
    const theirs = [where(), await layouts()];
    for (const name of all) {
      await volume.unlink(`/${name}`);
      await volume.writeFile(`/${name}`, text.encode(""));
      await volume.rmdir(dirOf(name));
      await volume.mkdir(dirOf(name));
    }
    deepEqual([where(), await layouts()], theirs);
  });

  e2e(`distribute, bricks ${kind}: each follows the other's renames and links`, [], async () => {
    await using pair = await BrickPair.start(kind, kind);
    const mount = await pair.mount();
    const { volume } = await pair.ours();
    await volume.mkdir("/to");
    for (const i of numbers) {
      await Deno.writeTextFile(`${mount}/a${i}`, `a ${i}`);
      await volume.writeFile(`/b${i}`, text.encode(`b ${i}`));
    }
    for (const i of numbers) {
      await Deno.rename(`${mount}/b${i}`, `${mount}/to/theirs${i}`);
      await volume.rename(`/a${i}`, `/to/ours${i}`);
      await volume.link(`/to/ours${i}`, `/hard${i}`);
    }
    const linked = numbers.filter((i) => pair.where(`to/ours${i}`).includes("link"));
    ok(linked.length > 0 && linked.length < COUNT, `${linked.length} link files`);
    deepEqual(await names(volume, "/to"), listed(`${mount}/to`));
    equal(listed(`${mount}/to`).length, 2 * COUNT);
    for (const i of numbers) {
      equal(await read(volume, `/to/theirs${i}`), `b ${i}`);
      equal(await Deno.readTextFile(`${mount}/to/ours${i}`), `a ${i}`);
      equal(await Deno.readTextFile(`${mount}/hard${i}`), `a ${i}`);
      equal(Deno.statSync(`${mount}/hard${i}`).nlink, 2);
      await rejects(volume.stat(`/b${i}`), (error) => ENOENT.matches(error));
    }
    // Back, and over one another: what was in the way is gone on whichever brick it was.
    for (const i of numbers) {
      await volume.rename(`/to/theirs${i}`, `/hard${i}`);
      await Deno.rename(`${mount}/to/ours${i}`, `${mount}/to/theirs${i}`);
    }
    for (const i of numbers) {
      equal(await Deno.readTextFile(`${mount}/hard${i}`), `b ${i}`);
      equal(await read(volume, `/to/theirs${i}`), `a ${i}`);
    }
    await rejects(volume.rmdir("/to"), (error) => ENOTEMPTY.matches(error));
    await volume.rename("/to", "/moved");
    equal(listed(`${mount}/moved`).length, COUNT);
    for (const i of numbers) {
      await Deno.remove(`${mount}/hard${i}`);
      await volume.unlink(`/moved/theirs${i}`);
    }
    await volume.rmdir("/moved");
    equal(await pair.leftovers(), "", "nothing is left on the bricks, no link file either");
  });

  e2e(`distribute, bricks ${kind}: directories made by both at once are one`, [], async () => {
    await using pair = await BrickPair.start(kind, kind);
    const mount = await pair.mount();
    const { volume } = await pair.ours();
    await Promise.all(numbers.flatMap((i) => [
      volume.mkdir(`/d${i}`).catch((error) => {
        if (!EEXIST.matches(error)) throw new Error(`ours cannot make /d${i}: ${error}`);
      }),
      Deno.mkdir(`${mount}/d${i}`).catch((error) => {
        if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
      }),
    ]));
    for (const i of numbers) {
      const gfids = () => pair.xattrs(`d${i}`, "trusted.gfid");
      try {
        await volume.writeFile(`/d${i}/f`, text.encode("x"));
        equal(await Deno.readTextFile(`${mount}/d${i}/f`), "x");
        const [one, other] = await gfids();
        equal(one, other);
        ok(one !== "");
      } catch (error) {
        const layouts = await pair.xattrs(`d${i}`, LAYOUT), file = pair.where(`d${i}/f`);
        const bricks = JSON.stringify({ gfids: await gfids(), layouts, file });
        throw new Error(`/d${i}: ${error}; the bricks have ${bricks}`);
      }
    }
    await must(["rm", "-r", ...numbers.map((i) => `${mount}/d${i}`)]);
    deepEqual(await names(volume, "/"), []);
  });

  e2e(`distribute, bricks ${kind}: files renamed by both at once have one name`, [], async () => {
    await using pair = await BrickPair.start(kind, kind);
    const mount = await pair.mount();
    const { volume } = await pair.ours();
    for (const i of numbers) await volume.writeFile(`/f${i}`, text.encode(`${i}`));
    await Promise.all(numbers.flatMap((i) => [
      volume.rename(`/f${i}`, `/ours${i}`).catch((error) => {
        if (!ENOENT.matches(error)) throw error;
      }),
      Deno.rename(`${mount}/f${i}`, `${mount}/theirs${i}`).catch((error) => {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }),
    ]));
    equal(listed(mount).length, COUNT);
    deepEqual(await names(volume, "/"), listed(mount));
    for (const name of listed(mount)) {
      equal(await read(volume, `/${name}`), name.replace(/\D+/, ""));
    }
  });

  e2e(
    `distribute, bricks ${kind}: a directory that a crash left half-made is whole again`,
    [],
    async () => {
      await using pair = await BrickPair.start(kind, kind);
      const { volume } = await pair.ours();
      await volume.stat("/");
      for (let i = 0; i < 8; i++) {
        const gfid = `0x${crypto.randomUUID().replaceAll("-", "")}`;
        for (const { path } of pair.bricks) await Deno.mkdir(`${path}/d${i}`);
        await must([
          "setfattr",
          "-n",
          "trusted.gfid",
          "-v",
          gfid,
          `${pair.bricks[i % 2]!.path}/d${i}`,
        ]);
        await volume.writeFile(`/d${i}/f`, text.encode("x"));
        deepEqual(await pair.xattrs(`d${i}`, "trusted.gfid"), [gfid.slice(2), gfid.slice(2)]);
      }
      const mount = await pair.mount();
      for (let i = 0; i < 8; i++) equal(await Deno.readTextFile(`${mount}/d${i}/f`), "x");
    },
  );

  e2e(
    `distribute, bricks ${kind}: random changes by both, in turn, do what one disk does`,
    [],
    async () => {
      await using pair = await BrickPair.start(kind, kind);
      const mount = await pair.mount();
      const { volume } = await pair.ours();
      const disk = `${pair.dir}/disk`;
      await Deno.mkdir(disk);
      const random = seeded(7);
      const pick = <T>(from: readonly T[]): T => from[random(from.length)]!;
      const path = () =>
        (random(3) ? "" : `/${pick(["p", "q", "r"])}`) + `/${pick(["p", "q", "r", "s", "t", "u"])}`;
      const steps = [
        "write",
        "write",
        "mkdir",
        "rename",
        "rename",
        "rename",
        "link",
        "unlink",
        "rmdir",
      ];
      for (let count = 0; count < 300; count++) {
        const step = pick(steps), a = path(), b = path();
        const wanted = await works(onDisk(disk, step, a, b));
        const got = await works(
          random(2) ? onDisk(mount, step, a, b) : onVolume(volume, step, a, b),
        );
        equal(got, wanted, `step ${count}: ${step} ${a} ${b}`);
      }
      await must(["diff", "-r", disk, mount]);
      for (const name of await names(volume, "/")) await removeAll(volume, `/${name}`);
      equal(await pair.leftovers(), "");
    },
  );

  e2e(`distribute, bricks ${kind}: without one brick the other's names work`, [], async () => {
    await using pair = await BrickPair.start(kind, kind);
    const { volume } = await pair.ours();
    for (const i of numbers) await volume.writeFile(`/f${i}`, text.encode(`${i}`));
    await volume.mkdir("/d");
    await pair.kill(1);
    await rejects(volume.stat(`/${gone()}`), (error) => ENOTCONN.matches(error));
    function gone(): string {
      return `f${numbers.find((i) => pair.where(`f${i}`)[1] === "data")}`;
    }
    for (const i of numbers) {
      const there = pair.where(`f${i}`)[0] === "data";
      if (there) equal(await read(volume, `/f${i}`), `${i}`);
      else await rejects(volume.stat(`/f${i}`), (error) => ENOTCONN.matches(error));
      const made = volume.writeFile(`/f${i}`, text.encode("new"));
      if (there) await made;
      else await rejects(made, (error) => ENOTCONN.matches(error));
    }
    const left = await names(volume, "/");
    ok(left.includes("d"), "the directory is still listed");
    equal(left.length, 1 + numbers.filter((i) => pair.where(`f${i}`)[0] === "data").length);
  });
}

async function works(answer: Promise<unknown>): Promise<boolean> {
  try {
    await answer;
    return true;
  } catch (error) {
    if (error instanceof FopError || error instanceof Error && "code" in error) return false;
    throw error;
  }
}

function onDisk(top: string, step: string, a: string, b: string): Promise<unknown> {
  const at = top + a;
  if (step === "write") return Deno.writeTextFile(at, a);
  if (step === "mkdir") return Deno.mkdir(at);
  if (step === "rename") return Deno.rename(at, top + b);
  if (step === "link") return Deno.link(at, top + b);
  return must([step, at]).catch((error) => {
    throw Object.assign(error, { code: "" });
  });
}

function onVolume(volume: Volume, step: string, a: string, b: string): Promise<unknown> {
  if (step === "write") return volume.writeFile(a, text.encode(a));
  if (step === "mkdir") return volume.mkdir(a);
  if (step === "rename") return volume.rename(a, b);
  if (step === "link") return volume.link(a, b);
  return step === "unlink" ? volume.unlink(a) : volume.rmdir(a);
}

async function removeAll(volume: Volume, path: string): Promise<void> {
  if (!isDirectory(await volume.lstat(path))) return await volume.unlink(path);
  for (const name of await names(volume, path)) await removeAll(volume, `${path}/${name}`);
  await volume.rmdir(path);
}
