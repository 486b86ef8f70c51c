/** `mortar qcow2 …` on images that QEMU made. */

import {
  deepStrictEqual as deepEqual,
  match,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { differsAt, inFolder, io, QEMU, randomWrites, run } from "tests/fakes/qemu_images.ts";
import { seeded } from "tests/fakes/seeded.ts";

const MAIN = new URL("../../main.ts", import.meta.url).pathname;

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function mortar(folder: string, ...args: string[]): Promise<Ended> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", "--quiet", MAIN, "qcow2", ...args],
    cwd: folder,
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, out: text(stdout), err: text(stderr) };
}

function test(name: string, body: (folder: string) => Promise<void>): void {
  Deno.test({ name: `mortar qcow2: ${name}`, ignore: !QEMU, fn: () => inFolder(body) });
}

async function overlay(folder: string): Promise<void> {
  await run(folder, "qemu-img", ["create", "-q", "-f", "qcow2", "base.qcow2", "4M"]);
  await io(folder, "base.qcow2", randomWrites(seeded(1), 4 << 20, 8));
  await run(folder, "qemu-img", [
    ...["create", "-q", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", "vm1.qcow2"],
  ]);
}

test("a snapshot made here is QEMU's, and is exported as it was", async (folder) => {
  await overlay(folder);
  equal((await mortar(folder, "snapshot", "create", "vm1.qcow2", "before")).code, 0);
  await io(folder, "vm1.qcow2", randomWrites(seeded(2), 4 << 20, 8));
  const listed = await mortar(folder, "snapshot", "list", "vm1.qcow2");
  match(listed.out, /^snapshot 1: before, \d{4}-\d\d-\d\d .* UTC, 4.0 MiB\n$/);
  const select = ["-l", "before", "-O", "raw"];
  await run(folder, "qemu-img", ["convert", ...select, "vm1.qcow2", "theirs.raw"]);
  deepEqual(await mortar(folder, "export", "vm1.qcow2@before", "ours.raw"), {
    ...{ code: 0, out: "", err: "" },
  });
  const theirs = await Deno.readFile(`${folder}/theirs.raw`);
  equal(differsAt(await Deno.readFile(`${folder}/ours.raw`), theirs), -1);
  equal((await mortar(folder, "export", "--format", "qcow2", "vm1.qcow2", "flat.qcow2")).code, 0);
  await run(folder, "qemu-img", ["compare", "vm1.qcow2", "flat.qcow2"]);
  await run(folder, "qemu-img", ["check", "-q", "flat.qcow2"]);
  equal((await mortar(folder, "snapshot", "apply", "vm1.qcow2", "before")).code, 0);
  await run(folder, "qemu-img", ["compare", "-F", "raw", "vm1.qcow2", "theirs.raw"]);
  equal((await mortar(folder, "snapshot", "delete", "vm1.qcow2", "before")).code, 0);
  await run(folder, "qemu-img", ["check", "-q", "vm1.qcow2"]);
  const checked = await mortar(folder, "check", "--json", "vm1.qcow2");
  equal(JSON.parse(checked.out).leaks, 0);
});

test("info says in JSON what qemu-img says", async (folder) => {
  await overlay(folder);
  await run(folder, "qemu-img", ["snapshot", "-c", "s1", "vm1.qcow2"]);
  await run(folder, "qemu-img", ["bitmap", "--add", "vm1.qcow2", "b0"]);
  const said = JSON.parse(
    await run(folder, "qemu-img", ["info", "--output=json", "vm1.qcow2"]),
  ) as Record<string, unknown>;
  // Where QEMU would look for the file.
  delete said["full-backing-filename"];
  const { code, out } = await mortar(folder, "info", "--json", "vm1.qcow2");
  equal(code, 0);
  const ours = JSON.parse(out);
  const size = ours["actual-size"];
  deepEqual(ours, { ...said, "actual-size": size });
});

test("an image that a guest has open is not changed", async (folder) => {
  await overlay(folder);
  const guest = new Deno.Command("qemu-io", {
    args: ["vm1.qcow2"],
    cwd: folder,
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  // It has opened the image once it asks for a command.
  const reader = guest.stdout.getReader();
  await reader.read();
  const { code, err } = await mortar(folder, "snapshot", "create", "vm1.qcow2", "s");
  equal(code, 1);
  equal(
    err,
    `Cannot change vm1.qcow2: qemu-io (process ${guest.pid}) has it open; end that first\n`,
  );
  // Looking is no change, but it is not all.
  const looked = await mortar(folder, "info", "vm1.qcow2");
  equal(looked.code, 0);
  match(looked.err, /^vm1.qcow2 is being written to by qemu-io \(process \d+\): /);
  reader.releaseLock();
  const rest = guest.stdout.cancel();
  await guest.stdin.close();
  await rest;
  await guest.status;
});

test("a clone that would have to copy is none", async (folder) => {
  await overlay(folder);
  equal((await mortar(folder, "snapshot", "create", "vm1.qcow2", "s")).code, 0);
  const cases: [string, string, RegExp][] = [
    ["vm1.qcow2@s", "host:v1/new.qcow2", /so both are in one volume/],
    ["vm1.qcow2@t", "new.qcow2", /no snapshot "t"/],
    ["vm1.qcow2", "new.qcow2", /say which of its snapshots/],
    ["vm1.qcow2@s", "base.qcow2", /it exists/],
    ["vm1.qcow2@s", `${folder}/new.qcow2`, /named relative to its own/],
    // Folders of tests are in memory, where no files share blocks.
    ["vm1.qcow2@s", "new.qcow2", /does not share data between files/],
  ];
  for (const [source, target, says] of cases) {
    match((await mortar(folder, "clone", source, target)).err, says, target);
  }
  await rejects(Deno.stat(`${folder}/new.qcow2`));
});

test("what cannot be is said in one line", async (folder) => {
  await overlay(folder);
  await Deno.mkdir(`${folder}/other`);
  await run(folder, "qemu-img", [
    ...["create", "-q", "-f", "qcow2", "-b", "../base.qcow2", "-F", "qcow2", "other/x.qcow2"],
  ]);
  const cases: [string[], number, RegExp][] = [
    [["info", "noise"], 1, /^Cannot use noise: Not a qcow2 image/],
    [["info", "absent"], 1, /^Cannot use absent: no such file/],
    [["cat", "vm1.qcow2@nope"], 1, /no snapshot "nope"/],
    [["map", "other/x.qcow2"], 1, /leads out of the folder/],
    [["map", "--root", ".", "other/x.qcow2"], 0, /^$/],
    [["snapshot", "burn", "vm1.qcow2", "s"], 2, /expected list IMAGE, or create/],
    [["export", "vm1.qcow2", "base.qcow2"], 1, /it exists/],
  ];
  for (const [args, code, says] of cases) {
    const ended = await mortar(folder, ...args);
    match(ended.err, says, args.join(" "));
    equal(ended.code, code, args.join(" "));
  }
});
