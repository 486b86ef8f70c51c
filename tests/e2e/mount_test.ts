/** The real FUSE client on our bricks: everything that a POSIX file system does. */

import { assertEquals } from "@std/assert";
import { Cluster, e2e, KIND, LAYOUTS, LONG } from "tests/e2e/harness.ts";
import { exists, must, run, until } from "tests/e2e/process.ts";
import { Process } from "tests/e2e/process.ts";
import { copyDiffers, expectSameTree, readTree, replicaDiffers } from "tests/e2e/tree.ts";

const CASES = new URL("./fs_cases.py", import.meta.url).pathname;
const TREE = LONG
  ? "/usr/share"
  : ["/usr/share/perl", "/usr/share/zoneinfo", "/usr/lib/python3", "/etc"].find(exists)!;
const LONG_MS = 1_800_000;

/** Throws unless the bricks of a replica hold the same; clients must have let go of their files. */
export async function expectSameBricks(cluster: Cluster): Promise<void> {
  if (cluster.options.layout !== "replica") return;
  const [one, other] = cluster.bricks.map((each) => each.path);
  expectSameTree(await readTree(one!), await readTree(other!), replicaDiffers);
}

async function oddFiles(top: string): Promise<void> {
  await Deno.mkdir(`${top}/odd/empty`, { recursive: true });
  const script = `
    set -e; cd "$1/odd"
    echo a > plain; chown 1001:1002 plain; chmod 4711 plain
    mkdir dir; chown 7:8 dir; chmod 2770 dir; mkdir sticky; chmod 1777 sticky
    setfacl -m u:1234:rw,g:4321:r plain; setfacl -d -m u:99:rwx dir; setfacl -m g:98:x dir
    setfattr -n user.text -v text plain; setfattr -n user.bin -v 0x00ff00 dir
    truncate -s 50M sparse; printf x | dd of=sparse bs=1 seek=20000000 conv=notrunc 2>/dev/null
    ln plain hard; mkdir far; ln plain far/hard2
    ln -s plain soft; ln -s nowhere dangling; chown -h 55:66 soft
    mkfifo fifo; mknod null c 1 3; mknod disk b 7 200; chmod 640 null
    touch -d '1975-03-02 01:02:03.123456789' plain; touch -h -d '2001-02-03' soft
    printf '%s' "$(seq 1 1000)" > lines; : > none
    touch -d '2037-12-31 23:59:59.5' dir lines`;
  await must(["sh", "-c", script, "sh", top]);
}

for (const layout of LAYOUTS) {
  e2e(
    `mount, ${layout}: a copy of ${TREE} is the same as the source`,
    ["setfacl", "diff"],
    async () => {
      await using cluster = await Cluster.start({ layout });
      {
        await using mount = await cluster.mount();
        const odd = `${cluster.dir}/source`;
        await oddFiles(odd);
        await must(["cp", "-a", TREE, `${mount.path}/tree`], { timeoutMs: LONG_MS });
        await must(["cp", "-a", `${odd}/odd`, `${mount.path}/odd`]);
        const diff = ["diff", "-r", "--no-dereference", TREE, `${mount.path}/tree`];
        await must(diff, { timeoutMs: LONG_MS });
      }
      // A second client has nothing cached: what it sees comes from the bricks.
      await using mount = await cluster.mount();
      expectSameTree(await readTree(TREE), await readTree(`${mount.path}/tree`), copyDiffers);
      const [source, copy] = await Promise.all([
        readTree(`${cluster.dir}/source/odd`),
        readTree(`${mount.path}/odd`),
      ]);
      expectSameTree(source, copy, copyDiffers);
      if (copy.get("sparse")!.blocks * 512 > 1 << 20) throw new Error("The hole was filled");
      // getfacl tells entries in the order that the directory lists them.
      const acls = async (top: string) => {
        const told = await must(["getfacl", "-R", "-n", "."], { cwd: top });
        return told.trim().split("\n\n").sort();
      };
      assertEquals(await acls(`${mount.path}/odd`), await acls(`${cluster.dir}/source/odd`));
      await must(["rm", "-rf", `${mount.path}/odd/dir`, `${mount.path}/odd/far`]);
      await expectSameBricks(cluster);
    },
  );

  e2e(`mount, ${layout}: two mounts see one POSIX file system`, [], async () => {
    await using cluster = await Cluster.start({ layout, performance: false });
    await using first = await cluster.mount();
    await using second = await cluster.mount();
    const failures: string[] = [];
    const count = String(LONG ? 10_000 : 1_000);
    for (
      const [name, number] of [
        ["names", "0"],
        ["links", "0"],
        ["unlinked", "0"],
        ["io", "0"],
        ["attributes", "0"],
        ["permissions", "0"],
        ["deep", "60"],
        // From 4 KiB on GlusterFS's own brick answers ESTALE, and its client's distribute over several
        // bricks and its replicate refuse such paths themselves.
        ...(KIND === "ours" && layout === "one" ? [["long_path", "60"] as const] : []),
        ["small_files", count],
      ] as const
    ) {
      const argv = ["python3", CASES, name, first.path, second.path, number];
      const { code, err } = await run(argv, { timeoutMs: LONG_MS });
      if (code) failures.push(`${name}: ${err}`);
    }
    if (failures.length) throw new Error(failures.join("\n"));
    await expectSameBricks(cluster);
  });

  e2e(`mount, ${layout}: locks taken through two mounts conflict`, [], async () => {
    await using cluster = await Cluster.start({ layout, performance: false });
    await using first = await cluster.mount();
    await using second = await cluster.mount();
    for (const name of ["flock", "ranges"]) {
      await must(["python3", CASES, name, first.path, second.path]);
    }
    const holder = new Process(["python3", CASES, "hold", first.path], `${cluster.dir}/hold.log`);
    await until("the holder has its locks", () => exists(`${second.path}/holding`));
    const heldNow = (expect: string) =>
      run(["python3", CASES, "held", second.path, second.path, expect]);
    const { code, err } = await heldNow("1");
    if (code) throw new Error(`Locks were not held: ${err}`);
    // The client's process dies, its connections close: the brick lets go of what it held.
    await first.kill();
    await holder.end("SIGKILL");
    await until("locks of the dead client are gone", async () => (await heldNow("0")).code === 0);
  });
}
