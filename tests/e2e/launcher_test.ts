/** scripts/mortar: which Deno it finds, remembers and starts, and under which name. */

import {
  deepStrictEqual as deepEqual,
  match,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { VERSION } from "mgmt/version.ts";
import { run } from "tests/e2e/process.ts";

const SCRIPTS = new URL("../../scripts/", import.meta.url).pathname;
const TOOLS = ["sh", "sed", "readlink", "mkdir", "ln", "cat"];

/** A home without a cache, and a PATH with a "deno" that is a script around the real one. */
async function withHome(
  use: (
    place: {
      home: string;
      deno: string;
      start(name: string, ...args: string[]): ReturnType<typeof run>;
    },
  ) => Promise<void>,
): Promise<void> {
  const home = await Deno.makeTempDir({ prefix: "mt-launcher-" });
  const bin = `${home}/bin`, deno = `${bin}/deno`;
  try {
    await Deno.mkdir(bin);
    for (const tool of TOOLS) {
      const found = ["/usr/bin", "/bin"].map((folder) => `${folder}/${tool}`).find((path) => {
        try {
          return Deno.statSync(path).isFile;
        } catch {
          return false;
        }
      });
      await Deno.symlink(found!, `${bin}/${tool}`);
    }
    await wrap(deno, "2.9.6");
    const env = ["env", "-i", `HOME=${home}`, `PATH=${bin}`];
    const start = (name: string, ...args: string[]) => run([...env, `${SCRIPTS}${name}`, ...args]);
    await use({ home, deno, start });
  } finally {
    await Deno.remove(home, { recursive: true });
  }
}

async function wrap(path: string, version: string): Promise<void> {
  await Deno.writeTextFile(
    path,
    `#!/bin/sh
[ "$1" != --version ] || { echo "deno ${version} (stable)"; echo asked >>"$HOME/asked"; exit; }
echo "$0" >"$HOME/started"
exec "${Deno.execPath()}" "$@"
`,
  );
  await Deno.chmod(path, 0o755);
}

Deno.test("scripts/mortar: Deno is looked for once, and started by the name we are called", async () => {
  await withHome(async ({ home, deno, start }) => {
    const kept = `${home}/.cache/mortar/deno-2.9.6`;
    for (const name of ["mortar", "mortar", "gluster", "gluster"]) {
      const { code, out, err } = await start(name, "--version");
      equal(code, 0, err);
      match(
        out,
        name === "mortar"
          ? new RegExp(`^mortar ${VERSION} \\(from sources, Deno .+\\)\n$`)
          : /^glusterfs 10\.3\n/,
      );
      equal(await Deno.readLink(`${kept}/${name}`), deno);
      equal(await Deno.readTextFile(`${home}/started`), `${kept}/${name}\n`);
    }
    equal(await Deno.readTextFile(`${home}/asked`), "asked\nasked\n");
    equal(Deno.statSync(kept).mode! & 0o777, 0o700);
  });
});

Deno.test("scripts/mortar: a Deno that was replaced is looked at again, and refused if it is another", async () => {
  await withHome(async ({ home, deno, start }) => {
    equal((await start("mortar", "--version")).code, 0);
    await wrap(deno, "1.0.0");
    const { code, err } = await start("mortar", "--version");
    equal(code, 1);
    match(err, /^Cannot run mortar: Deno 2\.9\.6 is neither on PATH nor/);
    equal(await Deno.readTextFile(`${home}/asked`), "asked\nasked\n");
  });
});

Deno.test("scripts/mortar: where logs are is told at once, and the same as by the program", async () => {
  await withHome(async ({ home, start }) => {
    for (const ask of ["--print-logdir", "--print-statedumpdir"]) {
      await Deno.remove(`${home}/started`).catch(() => {});
      const quick = await start("gluster", ask);
      await rejects(Deno.stat(`${home}/started`), Deno.errors.NotFound);
      const full = await start("gluster", "--mode=script", ask);
      await Deno.stat(`${home}/started`);
      deepEqual(quick, full);
    }
  });
});
