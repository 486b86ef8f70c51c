/** What changed between snapshots, by the command, on real bricks that real clients wrote to. */

import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { e2e } from "tests/e2e/harness.ts";
import { ManagedNode } from "tests/e2e/managed_node.ts";
import { must } from "tests/e2e/process.ts";

interface Change {
  readonly path: string;
  readonly kind: string;
  readonly from: string | null;
  readonly data: boolean;
  readonly attributes: boolean;
}

async function changes(node: ManagedNode, words: string): Promise<string[]> {
  const told = JSON.parse(await node.must(`--json snapshot diff ${words}`));
  return told.value.changes.map(({ path, kind, from, data, attributes }: Change) =>
    `${kind} ${from === null ? "" : `${from} -> `}${path}` +
    `${data ? " data" : ""}${attributes ? " attributes" : ""}`
  );
}

e2e(
  "snapshot diff: paths as users see them, of a distributed and replicated volume",
  [],
  async () => {
    await using node = await ManagedNode.start();
    await node.volume("v1", 4, "replica 2");
    const { path } = await node.mount("v1");
    const write = (name: string, text: string) => Deno.writeTextFile(`${path}/${name}`, text);
    await Deno.mkdir(`${path}/dir/deep`, { recursive: true });
    const names = Array.from({ length: 12 }, (_, index) => `f${index}`);
    for (const name of names) await write(name, name);
    for (const name of ["dir/a", "dir/deep/b", "gone", "mode", "linked", "same"]) {
      await write(
        name,
        "1",
      );
    }
    await node.must("snapshot create old v1 no-timestamp");
    equal(await node.must("snapshot diff old -"), "Nothing changed between old and now\n");

    // Names that are placed elsewhere: distribute leaves pointers to the data.
    for (const name of names) await Deno.rename(`${path}/${name}`, `${path}/renamed-${name}`);
    await write("dir/a", "22");
    await Deno.rename(`${path}/dir`, `${path}/moved`);
    await write("moved/deep/ä\t", "new");
    await Deno.remove(`${path}/gone`);
    await Deno.chmod(`${path}/mode`, 0o600);
    await Deno.link(`${path}/linked`, `${path}/moved/link`);
    await Deno.symlink("same", `${path}/symbolic`);
    const first = [
      ...names.map((name) => `renamed /${name} -> /renamed-${name}`),
      "renamed /dir -> /moved",
      "changed /moved/a data",
      "added /moved/deep/ä\t",
      "removed /gone",
      "changed /mode attributes",
      "added /moved/link",
      "added /symbolic",
    ];
    const byPath = (line: string) =>
      line.replace(/^\S+ (?:.* -> )?(.*?)(?: data| attributes)*$/, "$1");
    const sorted = (lines: readonly string[]) =>
      lines.toSorted((a, b) => byPath(a) < byPath(b) ? -1 : 1);
    deepEqual(await changes(node, "old -"), sorted(first));

    await node.must("snapshot create new v1 no-timestamp");
    // What comes after is of the next one.
    await Deno.rename(`${path}/moved`, `${path}/again`);
    await Deno.remove(`${path}/mode`);
    await write("linked", "longer");
    deepEqual(await changes(node, "old new"), sorted(first));
    const second = [
      "renamed /moved -> /again",
      "removed /mode",
      "changed /linked data",
      "changed /again/link data",
    ];
    deepEqual(await changes(node, "new -"), sorted(second));
    // As a copy of each set goes, the others tell the same, and what it missed when it is back.
    await node.must("volume set v1 cluster.self-heal-daemon off");
    for (const { pid } of (await node.bricks("v1")).filter((_, index) => index % 2 === 0)) {
      Deno.kill(pid, "SIGKILL");
    }
    deepEqual(await changes(node, "new -"), sorted(second));
    const text = await node.must("snapshot diff new -");
    await write("missed", "1");
    await node.must("volume start v1 force");
    await node.allOnline("v1");
    deepEqual(await changes(node, "new -"), sorted([...second, "added /missed"]));
    equal(text.split("\n")[0]!.trimEnd(), "Change   Type       What  Path");
    match(text, /^renamed {2}directory {2}- {5}\/moved -> \/again$/m);
    match(
      await node.must("--xml snapshot diff new -"),
      /<kind>removed<\/kind>\s*<type>file<\/type>/,
    );
  },
);

/** A disk of 4 MiB and a bit in the volume, and the copies of it that each snapshot should be. */
async function disks(path: string, take: (name: string) => Promise<unknown>): Promise<void> {
  const file = `${path}/images/vm1.img`;
  const at = async (offset: number, size: number, fill: number) => {
    using to = await Deno.open(file, { write: true, create: true });
    to.seekSync(offset, Deno.SeekMode.Start);
    to.writeSync(new Uint8Array(size).fill(fill));
  };
  await Deno.mkdir(`${path}/images`);
  await at(0, 300_000, 1);
  await at(2 << 20, 1 << 20, 2);
  await Deno.truncate(file, (4 << 20) + 777);
  await take("one");
  // Another byte in a cluster, zeros over data, a hole over data, and growth.
  await at(70_001, 1, 3);
  await at(131_072, 65_536, 0);
  await must(["fallocate", "-p", "-o", String(2 << 20), "-l", "300000", file]);
  await at(5 << 20, 100_000, 4);
  await take("two");
  // Cut within data, then longer again: what was there is zeros.
  await Deno.truncate(file, (2 << 20) + 500_123);
  await take("three");
  await Deno.truncate(file, 6 << 20);
  await at(10, 20, 5);
  await take("four");
}

e2e("snapshot export: raw and qcow2 are what the snapshot is, and chains of changes are, too", [
  "qemu-img",
], async () => {
  await using node = await ManagedNode.start();
  await node.volume("v1", 2, "replica 2");
  const { path } = await node.mount("v1");
  const out = `${node.dir}/out`, names = ["one", "two", "three", "four"];
  await Deno.mkdir(out);
  await disks(path, async (name) => {
    await Deno.copyFile(`${path}/images/vm1.img`, `${out}/${name}.copy`);
    await node.must(`snapshot create ${name} v1 no-timestamp`);
    await node.must(`snapshot activate ${name}`);
  });
  const same = async (file: string, name: string) => {
    await must(["qemu-img", "check", "-q", file]);
    await must([
      "qemu-img",
      "compare",
      "-q",
      "-f",
      "qcow2",
      file,
      "-F",
      "raw",
      `${out}/${name}.copy`,
    ]);
  };
  const image = (name: string) => `${out}/vm1-${name}.qcow2`;
  const exported = (name: string, words: string) =>
    node.must(`snapshot export ${name}:/images/vm1.img ${words}`);

  await exported("one", `${out}/one.raw`);
  await must(["cmp", `${out}/one.raw`, `${out}/one.copy`]);
  const [raw, copy] = await Promise.all(
    ["raw", "copy"].map((each) => Deno.stat(`${out}/one.${each}`)),
  );
  ok(raw!.blocks! < copy!.size / 512 / 2, `${raw!.blocks} blocks`);
  await exported("four", `${image("four")}.whole --format qcow2`);
  await same(`${image("four")}.whole`, "four");

  await exported("one", image("one"));
  for (const [index, name] of names.entries()) {
    if (index) await exported(name, `${image(name)} --since ${names[index - 1]}`);
    await same(image(name), name);
  }
  const { size } = await Deno.stat(image("two"));
  ok(size < 1 << 20, `what changed until two takes ${size} bytes`);
  // Over what is no image of ours, too: the first may as well be raw.
  await exported("two", `${out}/over-raw.qcow2 --since one --backing one.raw`);
  await same(`${out}/over-raw.qcow2`, "two");
  const info = JSON.parse(await must(["qemu-img", "info", "--output=json", image("two")]));
  deepEqual([info["backing-filename"], info["backing-filename-format"]], [
    "vm1-one.qcow2",
    "qcow2",
  ]);

  await must(["qemu-img", "convert", "-O", "raw", image("four"), `${out}/flat`]);
  await must(["qemu-img", "compare", "-q", "-f", "raw", `${out}/flat`, `${out}/four.copy`]);
  // The chain moves elsewhere: only names change. Then it becomes shorter from both ends.
  await Deno.mkdir(`${out}/moved`);
  for (const name of names) await Deno.rename(image(name), `${out}/moved/${name}.qcow2`);
  const moved = (name: string) => `${out}/moved/${name}.qcow2`;
  for (const [index, name] of names.entries()) {
    if (!index) continue;
    const below = `${names[index - 1]}.qcow2`;
    await must(["qemu-img", "rebase", "-q", "-u", "-b", below, "-F", "qcow2", moved(name)]);
    await same(moved(name), name);
  }
  await must(["qemu-img", "rebase", "-q", "-b", "two.qcow2", "-F", "qcow2", moved("four")]);
  await same(moved("four"), "four");
  await must(["qemu-img", "commit", "-q", "-d", moved("four")]);
  await same(moved("two"), "four");
  await must(["qemu-img", "rebase", "-q", "-b", "", moved("two")]);
  await same(moved("two"), "four");
});

e2e(
  "snapshot export: of a snapshot of a file, and what is wrong is one clear line",
  [],
  async () => {
    await using node = await ManagedNode.start();
    await node.volume("v1", 1);
    await node.volume("v2", 1);
    const { path } = await node.mount("v1");
    await Deno.writeTextFile(`${path}/a`, "first");
    await Deno.mkdir(`${path}/dir`);
    await node.must("snapshot create file v1 --file /a no-timestamp");
    await node.must("snapshot create whole v1 no-timestamp");
    await node.must("snapshot create other v2 no-timestamp");
    await Deno.writeTextFile(`${path}/a`, "second");
    await Deno.writeTextFile(`${path}/b`, "new");
    const out = `${node.dir}/out`;
    await node.must(`snapshot export file ${out}`);
    equal(await Deno.readTextFile(out), "first");
    deepEqual([...Deno.readDirSync(path)].map(({ name }) => name).sort(), ["a", "b", "dir"]);
    await node.must("snapshot create file2 v1 --file /a no-timestamp");
    await Deno.writeTextFile(`${path}/a`, "third and longer");
    await node.must(`snapshot export file2 ${out}.qcow2 --since file --backing out`);
    await must(["qemu-img", "convert", "-O", "raw", `${out}.qcow2`, `${out}.raw`]);
    equal((await Deno.readTextFile(`${out}.raw`)).replaceAll("\0", ""), "second");
    await node.must("snapshot delete file2");
    await Deno.writeTextFile(`${path}/a`, "second");
    match(
      await node.must("snapshot diff file -"),
      /1 range, 6 bytes of \/a changed; it had 5 bytes/,
    );
    const refused: readonly (readonly [line: string, why: RegExp])[] = [
      [`export file ${out}`, /^Cannot write \S+: it exists; --force replaces it\n$/],
      [
        `export whole ${out}1`,
        /^Cannot export: say which file of snapshot whole, as whole:\/PATH\n$/,
      ],
      [
        `export whole:/a ${out}1`,
        /snapshot whole is not activated; "mortar snapshot activate whole"/,
      ],
      [`export file:/b ${out}1`, /^Cannot export "\/b": snapshot file is of \/a\n$/],
      [`export nope:/a ${out}1`, /^Snapshot \(nope\) does not exist\n$/],
      [`export file ${out}1 --since whole --format raw`, /only qcow2 has a backing file/],
      [`export file ${out}1 --since whole`, /"out1" has no "file" in it; name it with --backing/],
      [`export file ${node.dir}/none/x`, /^Cannot write \S+: no such file or directory\n$/],
      [`export file ${path}/dir`, /^Cannot write \S+: it is a directory\n$/],
      ["diff nope -", /^snapshot diff: failed: Snapshot \(nope\) does not exist\n$/],
      ["diff whole nope", /^snapshot diff: failed: Snapshot \(nope\) does not exist\n$/],
      ["diff - whole", /name a snapshot first; "-", which is now, comes second/],
      ["diff whole other", /snapshot whole is of volume v1, other of v2\n$/],
      ["diff whole - --file /b", /Cannot compare "\/b": it is not in snapshot whole\n$/],
      ["diff whole - --file /c", /Cannot compare "\/c": there is no such file in volume v1 now/],
      ["diff whole - --file /dir", /Cannot compare "\/dir": it is a directory\n$/],
      ["diff whole - --file /../a", /Cannot use path "\/\.\.\/a": write it out/],
      ["diff file - --file /b", /Cannot compare "\/b": snapshot file is of \/a\n$/],
    ];
    for (const [line, why] of refused) {
      const { code, err, out } = await node.try(`snapshot ${line}`);
      match(err, why, line);
      deepEqual([code > 0, err.trimEnd().includes("\n"), out], [true, false, ""], line);
    }
    await node.must(`snapshot export file ${out} --force`);
    await node.must("volume stop v1");
    match((await node.try("snapshot diff whole -")).err, /failed: volume v1 is not started\n$/);
    const left = [...Deno.readDirSync(node.dir)].map(({ name }) => name);
    ok(!left.some((name) => name.startsWith(".out") || name.startsWith("out1")), left.join());
  },
);
