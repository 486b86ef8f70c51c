/** Real work on our mount: sources copied, built and kept by git, and a database. */

import { e2e, LONG } from "tests/e2e/harness.ts";
import { Mounts } from "tests/e2e/own_mounts.ts";
import { run } from "tests/e2e/process.ts";

const WORK = new URL("./own_work.sh", import.meta.url).pathname;
const PROGRAMS = ["rsync", "git", "make", "gcc", "sqlite3", "setfacl", "getfattr"];
const PATIENCE_MS = 600_000;

for (const layout of LONG ? ["replica 2", ""] : ["replica 2"]) {
  e2e(`own work, ${layout || "distributed"}: sources, git and a database`, PROGRAMS, async () => {
    // All layers that a volume has by itself.
    await using mounts = await Mounts.start({ bricks: 2, layout, without: [] });
    const path = await mounts.mount("acl");
    for (const name of ["tree", "repository", "database"]) {
      const scratch = await Deno.makeTempDir({ prefix: "own-work-" });
      try {
        const argv = ["sh", WORK, name, path, scratch];
        const { code, out, err } = await run(argv, { timeoutMs: PATIENCE_MS });
        if (code) throw new Error(`${name}: ${out.slice(0, 3000)}${err.slice(0, 3000)}`);
      } finally {
        await Deno.remove(scratch, { recursive: true });
      }
    }
  });
}
