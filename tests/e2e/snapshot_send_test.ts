/** Snapshots that are sent to another volume: whole, as differences, interrupted, and spoiled. */

import { match, ok, strictEqual as equal } from "node:assert/strict";
import { e2e } from "tests/e2e/harness.ts";
import { ManagedNode } from "tests/e2e/managed_node.ts";
import { MORTAR } from "tests/e2e/program.ts";
import { must } from "tests/e2e/process.ts";
import { CHANGE, expectTree, MAKE, script } from "tests/e2e/snapshot_trees.ts";
import { readTree } from "tests/e2e/tree.ts";
import { type Operation, StreamWriter } from "mgmt/snapshots/stream.ts";

const ID = "01234567-89ab-cdef-0123-456789abcdef";

/** A stream that no sender wrote. */
function forged(...operations: unknown[]): Uint8Array<ArrayBuffer> {
  const writer = new StreamWriter(), none = { base: null, description: null, done: 0, offset: 0 };
  const parts = [
    ...writer.head({ stream: "0123456789abcdef", name: "forged", snapshot: ID, ...none }),
  ];
  for (const each of operations) parts.push(writer.operation(each as Operation));
  return new Uint8Array([...parts, writer.end()].flatMap((part) => [...part]));
}

async function received(node: ManagedNode, volume: string): Promise<string> {
  return (await node.must(`snapshot received ${volume}`)).trim();
}

e2e("snapshot send: a copy is what was sent, whole and by differences", ["setfacl"], async () => {
  await using node = await ManagedNode.start();
  await node.volume("v1", 2, "replica 2");
  await node.volume("v2", 2);
  const from = await node.mount("v1", "acl"), to = await node.mount("v2", "acl");
  await script(MAKE, from.path);
  const first = await readTree(from.path);
  await node.must("snapshot create one v1 no-timestamp");
  match((await node.try(`snapshot send one -o ${node.dir}/one`)).err, /is not activated; "mortar/);
  await node.must("snapshot activate one");
  const pipe = `"$0" --home "$1" snapshot send one | "$0" --home "$1" snapshot receive v2 copy-one`;
  await must(node.space.inside(["sh", "-c", pipe, MORTAR, node.home]), {
    env: { DENO: Deno.execPath() },
  });
  await expectTree(first, to.path);
  equal(await received(node, "v2"), "Volume v2 is receiving nothing");
  const { id } = JSON.parse(await node.must("--json snapshot info one")).value.snapshots[0];
  match(await node.must("snapshot info copy-one"), new RegExp(`Received from +: ${id}`));
  // Holes were not sent.
  const { size } = await Deno.stat(`${to.path}/sparse`);
  const blocks = Number(
    await must([
      "sh",
      "-c",
      `cat ${node.dir}/v2-*/sparse >/dev/null; du -sk ${node.dir}/v2-*/sparse | sort -n | tail -n 1 | cut -f 1`,
    ]),
  );
  ok(blocks * 1024 < size / 4, `${blocks} KiB of ${size} bytes`);

  await script(CHANGE, from.path);
  const second = await readTree(from.path);
  await node.must("snapshot create two v1 no-timestamp");
  await node.must("snapshot activate two");
  await node.must(`snapshot send two --since one -o ${node.dir}/two`);
  // Cut again and again, it goes on where it was.
  for (const part of [0.02, 0.4, 0.8]) {
    const whole = await Deno.readFile(`${node.dir}/two`);
    await Deno.writeFile(`${node.dir}/cut`, whole.subarray(0, Math.floor(whole.length * part)));
    const { err } = await node.try(`snapshot receive v2 copy-two -i ${node.dir}/cut`);
    match(err, /Cannot receive: the stream ends in the middle; nothing was made a snapshot\n$/);
    const token = await received(node, "v2");
    match(token, /^[0-9a-f]{16}\.\d+\.\d+$/);
    await node.must(`snapshot send two --since one --resume ${token} -o ${node.dir}/two`);
  }
  equal((await node.must("snapshot list v2")).trim(), "copy-one");
  await node.must(`snapshot receive v2 copy-two -i ${node.dir}/two`);
  await expectTree(second, to.path);
  await node.must("snapshot activate copy-one");
  const view = await node.mount("snaps/copy-one/v2", "acl");
  await expectTree(first, view.path);

  // What was received is sent on, and what changed there is noticed.
  await Deno.writeTextFile(`${to.path}/changed`, "x");
  await node.must("snapshot create three v1 no-timestamp");
  await node.must("snapshot activate three");
  await node.must(`snapshot send three --since two -o ${node.dir}/three`);
  const refused = await node.try(`snapshot receive v2 copy-three -i ${node.dir}/three`);
  match(
    refused.err,
    /volume v2 changed since snapshot copy-two \("\/changed"\); stop it and restore/,
  );
  match((await node.try(`snapshot receive v1 x -i ${node.dir}/one-none`)).err, /no such file/);
});

e2e(
  "snapshot receive: spoiled and forged streams are refused in a line, and make no snapshot",
  [],
  async () => {
    await using node = await ManagedNode.start();
    await node.volume("v1", 1);
    const mount = await node.mount("v1");
    await Deno.mkdir(`${mount.path}/dir`);
    await Deno.writeFile(`${mount.path}/dir/file`, new Uint8Array(300_000).fill(7));
    await node.must("snapshot create one v1 no-timestamp");
    await node.must("snapshot activate one");
    await node.must(`snapshot send one -o ${node.dir}/good`);
    await must(["sh", "-c", `rm -rf ${mount.path}/*`]);
    const good = await Deno.readFile(`${node.dir}/good`);
    const flipped = good.slice(), large = good.slice(), magic = good.slice();
    flipped[good.length - 1000]! ^= 1;
    large.set([0xff, 0xff, 0xff, 0xff], 25 + 4);
    magic[0]! ^= 1;
    const cases: [Uint8Array<ArrayBuffer>, RegExp][] = [
      [magic, /it is no stream of mortar snapshot send/],
      [large, /says that it has 4294967295 bytes/],
      [forged({ do: "file", path: "../x", size: 1 }), /a path that leads nowhere in a volume/],
      [
        forged({ do: "symlink", path: "l", target: "/tmp" }, { do: "file", path: "l/x", size: 1 }),
        /"l\/x": a part of the path is no directory/,
      ],
      [flipped, /a checksum is wrong/],
    ];
    for (const [bytes, why] of cases) {
      await Deno.writeFile(`${node.dir}/bad`, bytes);
      const { code, err } = await node.try(`snapshot receive v1 got -i ${node.dir}/bad`);
      match(err, why);
      equal(err.trim().split("\n").length, 1, err);
      equal(code, 1);
      await node.must("snapshot received v1 --note none");
      await must(["sh", "-c", `rm -rf ${mount.path}/*`]);
    }
    equal(await node.must("snapshot list v1"), "one\n");
    await node.must(`snapshot receive v1 got -i ${node.dir}/good`);
    equal((await Deno.readFile(`${mount.path}/dir/file`)).length, 300_000);
  },
);
