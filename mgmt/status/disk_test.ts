import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { readMounts } from "mgmt/cluster/mounts.ts";
import { diskStatus } from "mgmt/status/disk.ts";
import { humanSize } from "mgmt/status/human_size.ts";

/** What a program of the machine prints, in words. */
async function words(program: string, ...args: string[]): Promise<string[]> {
  const { stdout } = await new Deno.Command(program, { args }).output();
  return new TextDecoder().decode(stdout).trim().split(/\s+/);
}

Deno.test("volume status detail: space, device and options are those that df and /proc/mounts tell", async () => {
  const dir = await Deno.makeTempDir({ prefix: "mt-disk-" });
  try {
    const disk = await diskStatus(dir, readMounts());
    const [device, type, total, , free] = (await words("df", "-PTB1", dir)).slice(-7);
    equal(disk.device, device);
    equal(disk.fsName, type);
    equal(disk.total, Number(total));
    ok(disk.free! >= Number(free), "root may use what df keeps back");
    const lines = (await Deno.readTextFile("/proc/self/mounts")).split("\n");
    const known = lines.filter((line) => line.startsWith(`${device} `)).map((line) =>
      line.split(" ")[3]
    );
    ok(known.includes(disk.mountOptions));
    const [inodes] = (await words("df", "-Pi", dir)).slice(-5);
    equal(disk.inodesTotal ?? 0, Number(inodes));
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("volume status detail: of a directory that is not there nothing is told", async () => {
  deepEqual(await diskStatus("/nowhere/at/all", readMounts()), {});
});

function isProgram(name: string): boolean {
  try {
    return Deno.statSync(`/usr/sbin/${name}`).isFile;
  } catch {
    return false;
  }
}

Deno.test("volume status detail: inode sizes are read from images of file systems", {
  ignore: !isProgram("mkfs.ext4") || !isProgram("mkfs.xfs"),
}, async () => {
  const dir = await Deno.makeTempDir({ prefix: "mt-disk-" });
  try {
    for (
      const [type, make, size] of [
        ["ext4", ["mkfs.ext4", "-q", "-I", "128"], "128"],
        ["xfs", ["mkfs.xfs", "-q", "-i", "size=1024"], "1024"],
      ] as const
    ) {
      const image = `${dir}/${type}`;
      await Deno.writeFile(image, new Uint8Array(0));
      await Deno.truncate(image, 400 << 20);
      const [program, ...args] = make;
      const made = await new Deno.Command(`/usr/sbin/${program}`, { args: [...args, image] })
        .output();
      ok(made.success, new TextDecoder().decode(made.stderr));
      const mount = { point: dir, type, source: image, options: "rw" };
      equal((await diskStatus(dir, [mount])).inodeSize, size);
    }
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("volume status detail: sizes are told in the largest unit that fits", () => {
  const cases: [number, string][] = [
    [0, "0Bytes"],
    [1023, "1023Bytes"],
    [1024, "1.0KB"],
    [393216, "384.0KB"],
    [382318592, "364.6MB"],
    [25702694912, "23.9GB"],
    [2 ** 40, "1.0TB"],
    [2 ** 50 * 3, "3.0PB"],
  ];
  for (const [bytes, text] of cases) equal(humanSize(bytes), text);
});
