/** Our own mount on our own bricks, as real processes: what a file system does, and what ends it. */

import { ok, strictEqual as equal } from "node:assert/strict";
import { e2e } from "tests/e2e/harness.ts";
import { NODE_HOST } from "tests/e2e/managed_node.ts";
import { FRESH, Mounts } from "tests/e2e/own_mounts.ts";
import { exists, must, Process, processesNaming, run, until } from "tests/e2e/process.ts";

const CASES = new URL("./fs_cases.py", import.meta.url).pathname;

e2e("own mount: two mounts see one POSIX file system", ["setfacl"], async () => {
  await using mounts = await Mounts.start();
  const first = await mounts.mount(), second = await mounts.mount();
  const failures: string[] = [];
  const cases = [
    ["names", "0"],
    ["links", "0"],
    ["unlinked", "0"],
    ["io", "0"],
    ["attributes", "0"],
    ["permissions", "0"],
    ["deep", "40"],
    ["long_path", "40"],
    ["small_files", "200"],
    ["flock", "0"],
    ["ranges", "0"],
  ] as const;
  for (const [name, number] of cases) {
    const { code, err } = await run(["python3", CASES, name, first, second, number]);
    if (code) failures.push(`${name}: ${err}`);
  }
  if (failures.length) throw new Error(failures.join("\n"));
});

e2e("own mount: the kernel reads ahead as far as the mount is told", [], async () => {
  await using mounts = await Mounts.start();
  const readAhead = async (path: string) => {
    const { dev } = await Deno.stat(path);
    return (await Deno.readTextFile(`/sys/class/bdi/0:${dev}/read_ahead_kb`)).trim();
  };
  equal(await readAhead(await mounts.mount()), "1024");
  equal(await readAhead(await mounts.mount("kernel-read-ahead=2MB")), "2048");
});

e2e(
  "own mount: without its brick it answers ENOTCONN, and goes on when that is back",
  [],
  async () => {
    await using mounts = await Mounts.start();
    const path = await mounts.mount();
    await Deno.writeTextFile(`${path}/f`, "before");
    const open = await Deno.open(`${path}/f`, { read: true });
    const [brick] = await mounts.node.bricks("v1");
    Deno.kill(brick!.pid, "SIGKILL");
    await until("the brick is missed", async () => {
      const { code, err } = await run(["ls", path]);
      return code !== 0 && err.includes("not connected");
    });
    await mounts.node.must("volume start v1 force");
    await until("the brick is back", async () => (await run(["ls", path])).code === 0);
    const data = new Uint8Array(10);
    equal(await open.read(data), 6);
    open.close();
    equal(await Deno.readTextFile(`${path}/f`), "before");
  },
);

e2e(
  "own mount: the management daemon may die, and a client ends with its mount under load",
  [],
  async () => {
    await using mounts = await Mounts.start();
    const path = await mounts.mount();
    await mounts.node.endDaemon();
    await Deno.writeTextFile(`${path}/f`, "without a daemon");
    equal(await Deno.readTextFile(`${path}/f`), "without a daemon");
    const script =
      'i=0; while [ ! -e "$1.stop" ]; do echo $i > "$1/load-$((i % 7))"; i=$((i + 1)); done';
    const load = new Process(["sh", "-c", script, "sh", path], `${path}.load`);
    await until("there is load", () => exists(`${path}/load-6`));
    Deno.kill(mounts.processOf(path), "SIGTERM");
    await mounts.gone(path);
    // Whoever wrote is not left hanging.
    await Deno.writeTextFile(`${path}.stop`, "");
    await until("the load has ended", () => !load.running);
  },
);

e2e(
  "own mount: an option that changes the graph is taken over with files open and locked",
  [],
  async () => {
    await using mounts = await Mounts.start();
    const path = await mounts.mount(), other = await mounts.mount();
    const file = await Deno.open(`${path}/f`, { read: true, write: true, create: true });
    const locked = await Deno.open(`${path}/locked`, { write: true, create: true });
    await locked.lock(true);
    await file.write(new TextEncoder().encode("one "));
    const log = () => Deno.readTextFile(`${path}.log`);
    await mounts.node.must("volume set v1 features.ctime off");
    await until("the graph was switched", async () => (await log()).includes("graph switched"));
    await file.write(new TextEncoder().encode("two"));
    equal(await Deno.readTextFile(`${path}/f`), "one two");
    const { code } = await run(["flock", "-n", `${other}/locked`, "true"]);
    equal(code, 1);
    file.close();
    locked.close();
    await until(
      "the lock is free",
      async () => (await run(["flock", "-n", `${other}/locked`, "true"])).code === 0,
    );
  },
);

/** A graph that cannot be started. */
const NOWHERE = "volume b\n type storage/posix\n option directory /nowhere/b\nend-volume\n";

e2e("own mount: what cannot be mounted is said in one line", [], async () => {
  await using mounts = await Mounts.start();
  const path = await mounts.directory();
  const says = async (...words: string[]) => {
    const { code, err } = await mounts.client(...words);
    equal(err.trim().split("\n").length, 1, err);
    return [code, err] as const;
  };
  const none = await says(`${NODE_HOST}:/none`, path);
  equal(none[0], 1);
  ok(none[1].includes("no such volume"), none[1]);
  ok((await says(`${NODE_HOST}:1:/v1`, path))[1].includes("nothing listens there"));
  ok((await says(`${NODE_HOST}:/v1`, `${path}/none`))[1].includes("no such directory"));
  ok((await says("-oentry-timeout=x", `${NODE_HOST}:/v1`, path))[1].includes("entry-timeout"));
  equal((await says(path))[0], 2);
  const volfile = `${mounts.node.dir}/hand.vol`;
  await Deno.writeTextFile(volfile, NOWHERE);
  ok((await says("--volfile", volfile, path))[1].includes('"/nowhere/b": ENOENT'));
  const stale = await mounts.mount();
  const again = await says(`${NODE_HOST}:/v1`, stale);
  equal(again[0], 32);
  ok(again[1].includes("a volume is mounted there already"));
  Deno.kill(mounts.processOf(stale), "SIGKILL");
  await until("the client is dead", () => processesNaming(`${stale}\0--foreground`).length === 0);
  ok((await says(`${NODE_HOST}:/v1`, stale))[1].includes("umount -l"));
});

e2e("own mount: bricks that are being started are waited for", [], async () => {
  await using mounts = await Mounts.start();
  const { node } = mounts;
  const [brick] = await node.bricks("v1");
  Deno.kill(brick!.pid, "SIGKILL");
  await until("the brick is gone", async () => !(await node.bricks("v1"))[0]!.online);
  const path = await mounts.directory(), log = `${path}.log`;
  const mounting = mounts.client(`-l${log}`, `${NODE_HOST}:/v1`, path);
  await until(
    "the brick is missed",
    async () => exists(log) && (await Deno.readTextFile(log)).includes("brick is not connected"),
  );
  await node.must("volume start v1 force");
  const { code, err } = await mounting;
  equal(code, 0, err);
});

e2e("own mount: another server is asked when the first does not answer", [], async () => {
  await using mounts = await Mounts.start();
  const path = await mounts.mount(
    `backup-volfile-servers=${NODE_HOST}:24007`,
    `${NODE_HOST}:1:/v1`,
  );
  await Deno.writeTextFile(`${path}/f`, "x");
});

e2e("own mount: a hand-written graph, a statedump, .meta", ["getfattr"], async () => {
  await using mounts = await Mounts.start({ bricks: 2 });
  const volfile = `${mounts.node.dir}/hand.vol`;
  const bricks = await mounts.node.bricks("v1");
  const clients = bricks.map(({ path, port }, i) =>
    `volume c${i}\n type protocol/client\n option remote-host ${NODE_HOST}\n` +
    ` option remote-port ${port}\n option remote-subvolume ${path}\nend-volume\n`
  );
  const dht = "volume top\n type cluster/distribute\n subvolumes c0 c1\nend-volume\n";
  const cache = "volume cache\n type performance/symlink-cache\n subvolumes top\nend-volume\n";
  await Deno.writeTextFile(volfile, [...clients, dht, cache].join("\n"));
  const path = await mounts.mount(FRESH, "--volfile", volfile);
  for (let i = 0; i < 20; i++) await Deno.writeTextFile(`${path}/f${i}`, String(i));
  equal([...Deno.readDirSync(path)].length, 20);
  const told = await must(["cat", `${path}/.meta/graphs/active/c0/private`]);
  ok(told.includes("connected = 1\n"), told);
  equal(await must(["cat", `${path}/.meta/graphs/active/top/type`]), "cluster/distribute\n");
  ok((await Deno.readTextFile(`${path}.log`)).includes("performance/symlink-cache"));
  const script = "cd $0/.meta; echo 1 >measure_latency; echo 8 >logging/loglevel; cat logging/*; " +
    "ls -l graphs/active/top/subvolumes/ | grep -o '[01] -> .*'; ls .. >/dev/null; cat */profile; ls";
  const looked = await must(["sh", "-c", script, path]);
  ok(looked.includes("connected to brick") && looked.includes("\n8\n"), looked);
  ok(looked.includes("0 -> ../../c0\n1 -> ../../c1\n[fuse.latency]\nfuse.latency."), looked);
  ok(looked.endsWith("measure_latency\nprocess_uuid\nroot\nversion\n"), looked);
  await Deno.writeTextFile(volfile, NOWHERE);
  Deno.kill(mounts.processOf(path), "SIGHUP");
  await until(
    "the new volfile is refused",
    async () => (await Deno.readTextFile(`${path}.log`)).includes("volfile was not taken over"),
  );
  equal(await Deno.readTextFile(`${path}/f7`), "7");
  Deno.kill(mounts.processOf(path), "SIGUSR1");
  await until(
    "the statedump is written",
    async () => (await Deno.readTextFile(`${path}.log`)).includes("statedump written"),
  );
  const [, dump] = /statedump written file=(\S+)/.exec(await Deno.readTextFile(`${path}.log`))!;
  const text = await Deno.readTextFile(dump!);
  await Deno.remove(dump!);
  ok(text.includes("[mount/fuse]") && text.includes("[protocol/client.c1]"), text);
});
