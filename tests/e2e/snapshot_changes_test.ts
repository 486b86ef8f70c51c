/** What changed between snapshots, by the command, on real bricks that real clients wrote to. */

import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { e2e } from "tests/e2e/harness.ts";
import { ManagedNode } from "tests/e2e/managed_node.ts";

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
    // As a copy of each set goes, the others tell the same.
    for (const { pid } of (await node.bricks("v1")).filter((_, index) => index % 2 === 0)) {
      Deno.kill(pid, "SIGKILL");
    }
    deepEqual(await changes(node, "new -"), sorted(second));
    const text = await node.must("snapshot diff new -");
    equal(text.split("\n")[0]!.trimEnd(), "Change   Type       What  Path");
    match(text, /^renamed {2}directory {2}- {5}\/moved -> \/again$/m);
    match(
      await node.must("--xml snapshot diff new -"),
      /<kind>removed<\/kind>\s*<type>file<\/type>/,
    );
  },
);
