/**
 * Snapshots by commands, ours and those of GlusterFS's own `gluster` program, of volumes with real
 * bricks; and what real clients find in them.
 */

import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { e2e, LONG } from "tests/e2e/harness.ts";
import { ManagedNode, NODE_HOST } from "tests/e2e/managed_node.ts";
import { OurMount } from "tests/e2e/our_mount.ts";
import { must, Process, run, until } from "tests/e2e/process.ts";
import { MORTAR } from "tests/e2e/program.ts";

const WRITER = new URL("stamped_writer.py", import.meta.url).pathname;

/** GlusterFS's command line, asking this node's daemon. */
function gluster(node: ManagedNode, line: string) {
  const argv = ["gluster", `--glusterd-sock=${node.run}/mgmt.socket`, "--mode=script"];
  return run(node.space.inside([...argv, ...line.split(" ")]));
}

/** Elements of that name in XML. */
function texts(xml: string, name: string): string[] {
  return [...xml.matchAll(new RegExp(`<${name}>([^<]*)</${name}>`, "g"))].map(([, text]) => text!);
}

/** Without what differs from run to run. */
function shape(text: string): string {
  return text.replace(/[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}/g, "ID")
    .replace(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/g, "TIME");
}

e2e("snapshot: all verbs, by our command line and by GlusterFS's", ["gluster"], async () => {
  await using node = await ManagedNode.start();
  await node.volume("v1", 2, "replica 2");
  equal(await node.must("snapshot list"), "No snapshots present\n");
  equal(
    await node.must("snapshot create one v1 no-timestamp description first"),
    "snapshot create: success: Snap one created successfully\n",
  );
  const theirs = await gluster(node, "snapshot create two v1 no-timestamp description second");
  equal(theirs.out, "snapshot create: success: Snap two created successfully\n", theirs.err);
  match(await node.must("snapshot create stamped v1"), /Snap stamped_GMT-\d{4}\.\d\d\.\d\d-/);
  await node.must("snapshot activate one");
  // What both print is the same, line by line and element by element.
  const looks = ["list", "list v1", "info", "info one", "info volume v1", "config", "config v1"];
  for (const line of looks.map((each) => `snapshot ${each}`)) {
    const [ours, theirs] = [await node.must(line), await gluster(node, line)];
    equal(shape(ours), shape(theirs.out), `${line}: ${theirs.err}`);
    const xml = [await node.must(`--xml ${line}`), (await gluster(node, `--xml ${line}`)).out];
    equal(xml[0], xml[1], `--xml ${line}`);
  }
  const status = await node.must("snapshot status one");
  const known = status.split("\n").filter((each) => !/Held/.test(each)).join("\n");
  equal(known, (await gluster(node, "snapshot status one")).out);
  equal([...status.matchAll(/Held alone +: +\d/g)].length, 2, status);
  equal(texts(await node.must("--xml volume info v1"), "snapshotCount")[0], "3");

  match((await gluster(node, "snapshot config snap-max-hard-limit 4")).out, /set successfully/);
  match(await node.must("snapshot config auto-delete enable"), /auto-delete successfully set/);
  // Four are more than the soft limit, 90 % of four: the oldest goes.
  await node.must("snapshot create three v1 no-timestamp");
  deepEqual((await node.must("snapshot list v1")).split("\n").map((each) => each.slice(0, 7)), [
    ...["two", "stamped", "three"],
    "",
  ]);
  await node.must("snapshot config v1 snap-max-hard-limit 3");
  const full = await node.try("snapshot create four v1");
  match(full.err, /has reached the effective maximum limit of 3, for the volume \(v1\)/);

  equal((await gluster(node, "snapshot activate two")).code, 0);
  match((await gluster(node, "snapshot deactivate two")).out, /Snap deactivated successfully/);
  await node.must("volume stop v1");
  const kept = await node.try("volume delete v1");
  match(kept.err, /Cannot delete Volume v1 ,as it has 3 snapshots\./);
  match((await gluster(node, "snapshot delete two")).out, /two: snap removed successfully/);
  equal(texts((await gluster(node, "--xml snapshot delete volume v1")).out, "status").length, 2);
  equal(await node.must("snapshot delete all"), "No snapshots present\n");
  await node.must("volume delete v1");
});

e2e("snapshot: what is wrong is one clear line, and changes nothing", [], async () => {
  await using node = await ManagedNode.start();
  await node.volume("v1", 1);
  const mount = await node.mount("v1");
  await Deno.mkdir(`${mount.path}/dir`);
  await Deno.symlink("/etc", `${mount.path}/etc`);
  await node.must("snapshot create one v1 no-timestamp");
  const long = "x".repeat(256);
  const refused: readonly (readonly [line: string, why: RegExp])[] = [
    ["create one v1 no-timestamp", /^snapshot create: failed: Snapshot one already exists\n$/],
    ["create two nope", /^snapshot create: failed: Volume \(nope\) does not exist \n$/],
    [`create ${long} v1`, /^snapshot create: failed: snapname cannot exceed 255 characters/],
    [`create ${"x".repeat(250)} v1`, /^snapshot create: failed: snapname cannot exceed 255/],
    ["create ../two v1", /^snapshot create: failed: Snapname can contain only alphanumeric/],
    ["create all v1", /^snapshot create: failed: "all" cannot be a snapname\n$/],
    ["create two v1 --file /dir", /it is a directory; leave --file away/],
    ["create two v1 --file /none", /there is no such file in volume v1/],
    ["create two v1 --file /dir/../../x", /"\." and "\.\." are not allowed/],
    ["create two v1 --file /etc/passwd", /there is no such file in volume v1/],
    ["create two v1 --file /.glusterfs/x", /that is no part of the volume/],
    ["delete nope", /^snapshot delete: failed: Snapshot \(nope\) does not exist\n$/],
    ["delete", /say which: a name, all, or volume <volname>/],
    ["activate nope", /^snapshot activate: failed: Snapshot \(nope\) does not exist\.\n$/],
    ["deactivate one", /Snapshot one is already deactivated\./],
    ["info nope", /^Snapshot info : failed: Snapshot \(nope\) does not exist\n$/],
    ["list nope", /^Snapshot list : failed: Volume \(nope\) does not exist\n$/],
    ["status volume nope", /^Snapshot status : failed: Volume \(nope\) does not exist\n$/],
    ["config snap-max-hard-limit 10001", /Invalid snap-max-hard-limit 10001\. Expected range/],
    ["config v1 snap-max-hard-limit 257", /Invalid snap-max-hard-limit 257\. Expected range/],
    ["config v1 auto-delete enable", /auto-delete option cannot be set to volumes/],
    ["config auto-delete maybe", /enter a valid boolean value for auto-delete/],
  ];
  for (const [line, why] of refused) {
    const { code, err } = await node.try(`snapshot ${line}`);
    match(err, why, line);
    ok(code > 0, line);
    equal(err.trimEnd().split("\n").length, 1, `${line}: ${err}`);
  }
  await node.must("volume stop v1");
  match((await node.try("snapshot create two v1")).err, /volume v1 is not started/);
  equal(await node.must("snapshot list"), "one\n");
});

e2e("snapshot: an active one is mounted as a volume, by GlusterFS's client and by ours", [
  "qemu-img",
], async () => {
  await using node = await ManagedNode.start();
  await node.volume("v1", 4, "replica 2");
  const live = await node.mount("v1");
  await Deno.mkdir(`${live.path}/dir/deep`, { recursive: true });
  for (let n = 0; n < 20; n++) await Deno.writeTextFile(`${live.path}/dir/deep/f${n}`, `old ${n}`);
  const image = `${live.path}/image`;
  await must(["sh", "-c", `head -c 3145728 /dev/urandom >${image} && sync ${image}`]);
  await must(["cp", "-a", live.path, `${node.dir}/copy`]);
  await node.must("snapshot create one v1 no-timestamp");
  for (let n = 0; n < 20; n += 2) await Deno.writeTextFile(`${live.path}/dir/deep/f${n}`, "new");
  await Deno.remove(`${live.path}/dir/deep/f1`);
  await Deno.rename(`${live.path}/dir/deep`, `${live.path}/moved`);
  await Deno.writeFile(image, new Uint8Array(3 << 20));

  const inactive = await run(
    node.space.inside(["mount", "-t", "glusterfs", `${NODE_HOST}:/snaps/one/v1`, "/mnt"]),
  );
  ok(inactive.code !== 0, "a snapshot that is not active was mounted");
  await node.must("snapshot activate one");
  const old = await node.mount("snaps/one/v1");
  await must(["diff", "-r", `${node.dir}/copy`, old.path]);
  const refused = await run(["sh", "-c", `echo x >${old.path}/image`]);
  match(refused.err, /Read-only file system/);
  {
    await using ours = await OurMount.at(
      node.space,
      node.dir,
      `${NODE_HOST}:/snaps/one/v1`,
      "ro",
    );
    await must(["diff", "-r", `${node.dir}/copy`, ours.path]);
  }
  const got = ["file", "get", "-q", `${NODE_HOST}:/snaps/one/v1/dir/deep/f1`, `${node.dir}/f1`];
  await must(node.space.inside([MORTAR, ...got]), { env: { DENO: Deno.execPath() } });
  equal(await Deno.readTextFile(`${node.dir}/f1`), "old 1");
  // QEMU by libgfapi: the snapshot's volume, and the directory of snapshots in the live one.
  const server = `file.server.0.type=tcp,file.server.0.host=${NODE_HOST},file.server.0.port=24007`;
  const volume = "file.driver=gluster,file.volume=/snaps/one/v1,file.path=image";
  const sources = [
    ["--image-opts", `driver=raw,${volume},${server}`],
    ["-f", "raw", `gluster://${NODE_HOST}/v1/.snaps/one/image`],
  ];
  for (const source of sources) {
    const out = `${node.dir}/converted`;
    await must(node.space.inside(["qemu-img", "convert", "-O", "raw", ...source, out]));
    await must(["cmp", `${node.dir}/copy/image`, out]);
  }
  equal(await Deno.readTextFile(`${live.path}/moved/f0`), "new");
});

e2e("snapshot: a file of one begins a new file, wherever its name belongs", [], async () => {
  await using node = await ManagedNode.start();
  await node.volume("v1", 4, "replica 2");
  const mount = await node.mount("v1"), at = (name: string) => `${mount.path}/${name}`;
  await Deno.mkdir(at("images"));
  await must(["sh", "-c", `head -c 2097152 /dev/urandom >${at("images/master")}`]);
  await Deno.chown(at("images/master"), 1001, 1002);
  await Deno.chmod(at("images/master"), 0o4640);
  await Deno.symlink("images", at("link"));
  const sum = async (name: string) => (await must(["md5sum", at(name)])).split(" ")[0];
  const master = await sum("images/master");
  await node.must("snapshot create whole v1 no-timestamp");
  await node.must("snapshot create one v1 no-timestamp --file /images/master");
  const clone = (words: string) => node.must(`snapshot clone --file ${words}`);
  equal(
    await clone("/images/vm0 one"),
    "snapshot clone: success: Clone /images/vm0 created successfully\n",
  );
  match((await node.try("snapshot clone --file /x whole:/images/master")).err, /not activated/);
  await node.must("snapshot activate whole");
  // The live file is another one by now.
  await Deno.writeFile(at("images/master"), new Uint8Array(2 << 20));
  for (let n = 1; n < 4; n++) await clone(`/vm${n} whole:/images/master`);
  await clone("/link/vm4 whole:/link/master");
  await node.must("snapshot delete all");
  for (const name of ["images/vm0", "vm1", "vm2", "vm3", "images/vm4"]) {
    equal(await sum(name), master, name);
    const { mode, uid, gid } = await Deno.stat(at(name));
    deepEqual([mode! & 0o7777, uid, gid], [0o4640, 1001, 1002], name);
  }
  await Deno.writeTextFile(at("vm1"), "changed");
  equal(await sum("vm2"), master);
  deepEqual([...Deno.readDirSync(mount.path)].map(({ name }) => name).sort(), [
    ...["images", "link", "vm1", "vm2", "vm3"],
  ]);
  for (
    const [words, why] of [
      ["--file /vm1 whole:/images/master", /Snapshot \(whole\) does not exist/],
      ["other", /name the new volume and the snapshot, or add --file NEWPATH/],
    ] as const
  ) match((await node.try(`snapshot clone ${words}`)).err, why);
  await node.must("snapshot create again v1 no-timestamp");
  await node.must("snapshot activate again");
  for (
    const [words, why] of [
      ["--file /vm1 again:/vm2", /Cannot make "\/vm1": there is something of that name/],
      ["--file /new again:/none", /"\/none" in the snapshot: .*No such file/],
      ["--file /new again:/images", /is no regular file|Is a directory|Invalid argument/],
      ["--file /no/dir/new again:/vm2", /No such file or directory/],
      ["--file /../new again:/vm2", /write it out, from the volume's root on/],
    ] as const
  ) match((await node.try(`snapshot clone ${words}`)).err, why, words);
  deepEqual([...Deno.readDirSync(mount.path)].length, 5, "nothing is left of what failed");
  // The daemon was connected to the bricks of before.
  for (const { pid } of await node.bricks("v1")) Deno.kill(pid, "SIGKILL");
  await node.must("volume start v1 force");
  await clone("/vm5 again:/vm2");
  await until("the mount is back", () => sum("vm5").then((of) => of === master, () => false));
});

e2e("snapshot: a file is restored at all copies, unless somebody writes to it", [], async () => {
  await using node = await ManagedNode.start();
  await node.volume("v1", 4, "replica 2");
  const mount = await node.mount("v1"), path = `${mount.path}/file`;
  await Deno.writeTextFile(path, "first\n");
  await node.must("snapshot create one v1 no-timestamp");
  await node.must("snapshot create file v1 no-timestamp --file /file");
  const changed = "second, and longer\n";
  await Deno.writeTextFile(path, changed);
  await Deno.writeTextFile(`${mount.path}/later`, "later");
  const copies = async () => {
    const all = await Promise.all(
      [0, 1, 2, 3].map((n) => Deno.readTextFile(`${node.dir}/v1-${n}/file`).catch(() => undefined)),
    );
    return all.filter((each) => each !== undefined);
  };
  {
    using open = await Deno.open(path, { write: true, read: true });
    // Clients open files at bricks when they have to.
    await open.write(new TextEncoder().encode("second"));
    await open.sync();
    const busy = await node.try("snapshot restore one --file /file");
    match(busy.err, /^snapshot restore: failed: Cannot restore "\/file": .*busy/i);
    deepEqual(await copies(), [changed, changed]);
  }
  for (const line of ["one --file /file", "file"]) {
    await Deno.writeTextFile(path, changed);
    const name = line.split(" ")[0];
    // The kernel tells bricks a little later that the file is closed.
    await until("it is restored", async () => {
      const { code, out } = await node.try(`snapshot restore ${line}`);
      return code === 0 && out === `Snapshot restore: ${name}: Snap restored successfully\n`;
    });
    deepEqual(await copies(), ["first\n", "first\n"]);
  }
  for (
    const [line, why] of [
      ["one", /needs to be stopped before restoring/],
      ["one --file /later", /is none that the snapshot has/],
      ["file --file /later", /snapshot file is of \/file/],
      ["nope --file /file", /Snapshot \(nope\) does not exist/],
    ] as const
  ) match((await node.try(`snapshot restore ${line}`)).err, why);
  equal(await node.must("snapshot list"), "one\nfile\n");
});

e2e(
  "snapshot: a brick that was down gets what it missed, and forgets what is gone",
  [],
  async () => {
    await using node = await ManagedNode.start("--no-restart");
    await node.volume("v1", 3, "replica 3");
    const mount = await node.mount("v1");
    await Deno.writeTextFile(`${mount.path}/file`, "first");
    await node.must("snapshot create gone v1 no-timestamp");
    const [brick] = await node.bricks("v1");
    Deno.kill(brick!.pid, "SIGKILL");
    await until("the brick is down", async () => !(await node.bricks("v1"))[0]!.online);
    match((await node.try("snapshot create two v1")).err, /One or more bricks are not running/);
    match(
      (await node.try("snapshot create two v1 no-timestamp force")).err,
      new RegExp(`Missing on ${NODE_HOST}:${brick!.path}`),
    );
    await node.must("snapshot delete gone");
    await node.must("volume start v1 force");
    const up = await node.allOnline("v1");
    await Deno.writeTextFile(`${mount.path}/file`, "second");
    await node.must("snapshot activate two");
    const old = await node.mount("snaps/two/v1");
    equal(await Deno.readTextFile(`${old.path}/file`), "first");
    await until("the brick has it from another one", async () => {
      const { value } = JSON.parse(await node.must("--json snapshot status two"));
      const bricks: { missing: boolean; alone: number | null }[] = value.snapshots[0].bricks;
      return bricks.every(({ missing, alone }) => !missing && alone !== null);
    }, 60_000);
    // The daemon and all bricks anew: it is still there.
    await node.endDaemon();
    for (const { pid } of up) Deno.kill(pid, "SIGKILL");
    await node.startDaemon("--no-restart");
    await node.allOnline("v1");
    equal(await node.must("snapshot list"), "two\n");
    const later = await node.mount("snaps/two/v1");
    equal(await Deno.readTextFile(`${later.path}/file`), "first");
  },
);

e2e(
  "snapshot: all that was acknowledged before is in it, nothing is torn, and copies are equal",
  [],
  async () => {
    await using node = await ManagedNode.start();
    await node.volume("v1", 3, "replica 3");
    const mount = await node.mount("v1"), acked = `${node.dir}/acked`;
    const writer = new Process(
      ["python3", WRITER, "write", `${mount.path}/stamps`, acked],
      `${node.dir}/writer.log`,
    );
    const last = () => Number(Deno.readTextFileSync(acked));
    try {
      await until("blocks are written", () => run(["test", "-s", acked]).then(({ code }) => !code));
      const rounds = LONG ? 60 : 2;
      let before = 0;
      for (let round = 0; round < rounds; round++) {
        await until("the writer goes on", () => last() > before + 70);
        before = last();
        await node.must(`snapshot create s${round} v1 no-timestamp`);
        await node.must(`snapshot activate s${round}`);
        const sums = new Set<string>();
        for (const index of [0, 1, 2]) {
          const found = await stamps(node, `s${round}`, index);
          ok(found.last >= before, `${found.last} of ${before} acknowledged ones are in it`);
          sums.add(found.sum);
        }
        equal(sums.size, 1, "copies differ");
        if (round % 2) await node.must(`snapshot delete s${round}`);
      }
      ok(writer.running, writer.lastWords());
    } finally {
      await writer.end("SIGKILL");
    }
  },
);

/** The last number in a snapshot's file as one copy has it, and the sum of the file. */
async function stamps(node: ManagedNode, name: string, copy: number) {
  const path = `${node.dir}/copy-${name}-${copy}`;
  await Deno.mkdir(path);
  const options = `log-file=${path}.log,xlator-option=*replicate*.read-subvolume-index=${copy}`;
  await must(
    node.space.inside([
      ...["mount", "-t", "glusterfs", "-o", options],
      `${NODE_HOST}:/snaps/${name}/v1`,
      path,
    ]),
  );
  try {
    const last = Number(await must(["python3", WRITER, "check", `${path}/stamps`]));
    return { last, sum: (await must(["md5sum", `${path}/stamps`])).split(" ")[0]! };
  } finally {
    await must(["umount", "-l", path]);
  }
}
