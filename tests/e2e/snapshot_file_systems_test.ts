/** Histories on the file systems that bricks are on: the tests beside the code, in a directory of each. */

import { e2e, LONG } from "tests/e2e/harness.ts";
import { must, run } from "tests/e2e/process.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
const STORIES = LONG ? 500 : 8;

const MAKE = {
  ext4: ["mkfs.ext4", "-q", "-F"],
  "ext4 with blocks of 1 KiB": ["mkfs.ext4", "-q", "-F", "-b", "1024"],
  xfs: ["mkfs.xfs", "-q"],
  btrfs: ["mkfs.btrfs", "-q"],
  tmpfs: undefined,
} as const;

for (const [type, make] of Object.entries(MAKE)) {
  e2e(`snapshots: on ${type} they are what copies are`, make ? [make[0]] : [], async () => {
    const place = await Deno.makeTempDir({ prefix: "sb-types-" });
    const image = `${place}/image`, disk = `${place}/disk`;
    await Deno.mkdir(disk);
    try {
      if (make) {
        await must(["truncate", "-s", "512M", image]);
        await must([...make, image]);
        await must(["mount", "-o", "loop", image, disk]);
      } else await must(["mount", "-t", "tmpfs", "-o", "size=512m", "tmpfs", disk]);
      await tests(disk, "xlators/features/snapshot/leaving_test.ts");
      await tests(disk, "xlators/features/snapshot/snapshot_test.ts", "--filter=random changes");
      await tests(disk, "tests/history/stories_test.ts", "--filter=random stories");
      await tests(disk, "tests/history/clone_stories_test.ts");
    } finally {
      await run(["umount", "-l", disk]);
      await Deno.remove(place, { recursive: true });
    }
  });
}

async function tests(TMPDIR: string, file: string, ...flags: string[]): Promise<void> {
  const env = { TMPDIR, MORTAR_STORIES: `${STORIES}`, NO_COLOR: "1" };
  const argv = [Deno.execPath(), "test", "--allow-all", "--no-check", ...flags, file];
  await must(argv, { env, cwd: ROOT });
}
