/** What is asked of snapshots and cannot be: a line each, whoever asks, and nothing is changed. */

import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { e2e } from "tests/e2e/harness.ts";
import { ManagedNode } from "tests/e2e/managed_node.ts";
import { must, run, until } from "tests/e2e/process.ts";
import { PROGRAM_DIR } from "tests/e2e/program.ts";

const LONG_NAME = "x".repeat(256);

type Refused = readonly (readonly [line: string, why: RegExp])[];

async function expectRefused(node: ManagedNode, lines: Refused): Promise<void> {
  for (const [line, why] of lines) {
    const { code, err } = await node.try(line);
    match(err, why, `${line}: ${err}`);
    ok(code > 0, line);
    equal(err.trimEnd().split("\n").length, 1, `${line}: ${err}`);
  }
}

/** Two volumes; of v1 a snapshot `one`, which is active, and `fs`, of a file that is gone now. */
async function scene(): Promise<{ node: ManagedNode; mount: string }> {
  const node = await ManagedNode.start();
  for (const name of ["v1", "v2"]) await node.volume(name, 1);
  const { path: mount } = await node.mount("v1");
  await Deno.mkdir(`${mount}/dir`);
  for (const name of ["file", "gone"]) await Deno.writeTextFile(`${mount}/${name}`, "x");
  await node.must("snapshot create one v1 no-timestamp");
  await node.must("snapshot create fs v1 no-timestamp --file /gone");
  await node.must("snapshot activate one");
  await Deno.remove(`${mount}/gone`);
  return { node, mount };
}

e2e(
  "snapshot: names, paths and volumes that there are not are refused by every verb",
  [],
  async () => {
    const { node, mount } = await scene();
    await using _node = node;
    const none = (name: string) => new RegExp(`Snapshot \\(${name}\\) does not exist`);
    const out = `${node.dir}/out`;
    await node.must(`snapshot send one -o ${node.dir}/stream`);
    for (const name of ["nope", LONG_NAME, "\\.\\./one"]) {
      const word = name.replaceAll("\\", "");
      await expectRefused(node, [
        ...["restore", "activate", "info", "status", "delete"].map((verb) =>
          [`snapshot ${verb} ${word}`, none(name)] as const
        ),
        [`snapshot clone c1 ${word}`, none(name)],
        [`snapshot diff one ${word}`, none(name)],
        [`snapshot export ${word}:/file ${out}`, none(name)],
        [`snapshot send ${word} -o ${out}`, none(name)],
      ]);
    }
    await expectRefused(node, [
      ["snapshot deactivate nope", none("nope")],
      ["snapshot send one --since nope -o /dev/null", none("nope")],
      ["snapshot clone --file /new nope:/file", none("nope")],
      ["snapshot restore one --file /gone", /there is no such file in volume v1/],
      ["snapshot restore fs", /Cannot restore file "\/gone": there is no such file in volume v1/],
      ["snapshot restore one --file /../x", /"\." and "\.\." are not allowed/],
      ["snapshot clone v2 one", /Volume with name:v2 already exists/],
      [`snapshot clone ${LONG_NAME} one`, /Volume name exceeds 251 characters/],
      ["snapshot clone c1 fs", /Snapshot fs is of \/gone only; clone that with --file/],
      ["snapshot clone --file /file one:/file", /Cannot make "\/file": there is something of that/],
      ["snapshot clone --file /new one:/../file", /write it out, from the volume's root on/],
      [`snapshot clone --file /${LONG_NAME} one:/file`, /Cannot make "\/x+": .*name too long/i],
      ["snapshot diff one - --file /none", /there is no such file in volume v1 now/],
      [`snapshot export one:/none ${out}`, /Cannot export one:\/none: no such file/],
      [`snapshot export one:/../file ${out}`, /write its path out, from the volume's root on/],
      [`snapshot export one:/${LONG_NAME} ${out}`, /the name is too long/],
      [`snapshot receive nope -i ${node.dir}/stream`, /nope/],
      [`snapshot receive v2 one -i ${node.dir}/stream`, /there is a snapshot one already/],
      [`snapshot receive v2 ../x -i ${node.dir}/stream`, /Snapname can contain only alphanumeric/],
      [`snapshot receive v2 ${LONG_NAME} -i ${node.dir}/stream`, /snapname cannot exceed 255/],
      ["snapshot receive v2 x -i /dev/null", /the stream ends in the middle/],
      ["snapshot schedule add nope --when @daily", /Volume \(nope\) does not exist/],
      [`snapshot schedule add v1 ${LONG_NAME} --when @daily`, /snapname cannot exceed 255/],
      ["snapshot schedule remove v1 nope", /Volume v1 has no schedule "nope"/],
      ["snapshot config nope snap-max-hard-limit 4", /Volume \(nope\) does not exist/],
      ["snapshot delete volume nope", /Volume \(nope\) does not exist/],
      ["snapshot check /nonexistent", /it is no brick/],
      ["volume flatten nope", /Volume nope does not exist/],
      ["volume flatten v1", /Volume v1 is no clone of another one/],
    ]);
    equal(await node.must("snapshot list"), "one\nfs\n");
    equal(await node.must("volume list"), "v1\nv2\n");
    deepEqual([...Deno.readDirSync(mount)].map(({ name }) => name).sort(), ["dir", "file"]);
    deepEqual([...Deno.readDirSync(node.dir)].some(({ name }) => name === "out"), false);
  },
);

e2e("snapshot: what is refused is refused as GlusterFS's gluster does", ["gluster"], async () => {
  const { node } = await scene();
  await using _node = node;
  const socket = `--glusterd-sock=${node.run}/mgmt.socket`;
  const called = (program: string, line: string) =>
    run(node.space.inside([program, socket, "--mode=script", ...line.split(" ")]), {
      env: { DENO: Deno.execPath() },
    });
  const lines = [
    ...["create one v1 no-timestamp", "create two nope", "restore nope"],
    ...["restore one", "clone c1 nope", "clone v2 one", "activate nope", "activate one"],
    ...["deactivate nope", "deactivate fs", "delete nope", "info nope"],
    ...["info volume nope", "list nope", "config nope", "config nope snap-max-hard-limit 4"],
  ].map((line) => `snapshot ${line}`);
  for (const line of lines.flatMap((each) => [each, `--xml ${each}`])) {
    deepEqual(await called(`${PROGRAM_DIR}/gluster`, line), await called("gluster", line), line);
  }
});

e2e(
  "snapshot: a stopped volume, and a history that is damaged or lost, are named by every verb",
  [],
  async () => {
    const { node, mount } = await scene();
    await using _node = node;
    const { path: other } = await node.mount("v2");
    await Deno.writeTextFile(`${other}/file`, "y");
    await node.must("snapshot create three v2 no-timestamp");
    await Deno.writeTextFile(`${other}/file`, "x");
    for (const name of ["v1", "v2"]) await node.must(`volume stop ${name}`);
    await expectRefused(node, [
      ["snapshot create two v1", /volume v1 is not started/],
      ["snapshot clone c1 one", /bricks are not running: start .*v1-0 \(volume v1\)/],
      ["snapshot clone --file /new one:/file", /volume v1 is not started/],
      ["snapshot restore one --file /file", /volume v1 is not started/],
      ["snapshot diff one -", /volume v1 is not started/],
      ["snapshot receive v1 -i /dev/null", /Cannot receive/],
    ]);
    for (const name of ["v1", "v2"]) {
      const index = `${node.dir}/${name}-0/.glusterfs/history/index.sqlite`;
      for (const more of ["", "-wal", "-shm"]) await Deno.remove(index + more).catch(() => {});
      if (name === "v1") await Deno.writeTextFile(index, "x".repeat(9000));
      await node.must(`volume start ${name}`);
      await node.allOnline(name);
    }
    await expectTrouble(node, "v1", mount, "one", /index\.sqlite\\?" cannot be read/);
    await expectTrouble(node, "v2", other, "three", /has old data but no index\.sqlite/);
    equal(await node.must("snapshot list"), "one\nfs\nthree\n");
  },
);

/** The volume's files are served, and its snapshots refused because of `why`; the log and the status say so. */
async function expectTrouble(
  node: ManagedNode,
  volume: string,
  mount: string,
  snapshot: string,
  why: RegExp,
): Promise<void> {
  await until(
    "live data is served",
    () => Deno.readTextFile(`${mount}/file`).then((text) => text === "x", () => false),
  );
  await Deno.writeTextFile(`${mount}/more`, "new");
  equal(await Deno.readTextFile(`${mount}/more`), "new");
  await expectRefused(node, [
    [`snapshot create two ${volume}`, why],
    [`snapshot clone c1 ${snapshot}`, why],
    [`snapshot restore ${snapshot} --file /file`, /Cannot restore "\/file": .*index\.sqlite/],
    [`snapshot diff ${snapshot} -`, why],
    [`snapshot check ${node.dir}/${volume}-0`, /Cannot check ".*(index\.sqlite|could not be used)/],
  ]);
  match(await must(["sh", "-c", `cat ${node.home}/log/bricks/*${volume}-0.log`]), why);
  match(await node.must(`snapshot status ${snapshot}`), why);
}
