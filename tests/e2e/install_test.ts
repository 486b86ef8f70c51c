/** scripts/install and the Debian package: what they put in place runs without Deno, and goes away again. */

import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { exists, must, run } from "tests/e2e/process.ts";
import { PROGRAM_DIR } from "tests/e2e/program.ts";

const SCRIPTS = `${PROGRAM_DIR}/../scripts`;
/** No Deno is there. */
const BARE = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"];

const reason = !exists(`${PROGRAM_DIR}/share`)
  ? `${PROGRAM_DIR} was not made by "deno task compile"`
  : Deno.uid() !== 0
  ? "needs root"
  : "";

function test(
  name: string,
  programs: readonly string[],
  body: (dir: string) => Promise<void>,
): void {
  const missing = programs.filter((each) => !exists(`/usr/bin/${each}`));
  const why = reason || (missing.length ? `not installed: ${missing.join(", ")}` : "");
  Deno.test({
    name: why ? `${name} (skipped: ${why})` : name,
    ignore: why !== "",
    fn: async () => {
      const dir = await Deno.makeTempDir({ prefix: "mt-install-" });
      try {
        await body(dir);
      } finally {
        await Deno.remove(dir, { recursive: true });
      }
    },
  });
}

async function filesBelow(dir: string): Promise<string[]> {
  const found = await must(["find", dir, "-type", "f", "-o", "-type", "l"]);
  return found.split("\n").filter((each) => each !== "").map((each) => each.slice(dir.length));
}

test(
  "scripts/install: what is below the prefix runs without Deno, and goes away again",
  [],
  async (dir) => {
    const prefix = `${dir}/a prefix`;
    match(await must([...BARE, `${SCRIPTS}/install`, "--prefix", prefix]), /^Installed /);
    match(
      await must([...BARE, `${prefix}/bin/mortar`, "--version"]),
      /^mortar .*self-extracting|compiled/,
    );
    match(
      await must([...BARE, `${prefix}/lib/mortar/bin/gluster`, "--version"]),
      /^glusterfs 10\.3\n/,
    );
    const mount = await run([
      ...BARE,
      `${prefix}/sbin/mount.mortar`,
      "nowhere:/v",
      "/nonexistent",
      "-f",
    ]);
    deepEqual([mount.code, mount.err], [0, ""]);
    match(
      await Deno.readTextFile(`${prefix}/lib/systemd/system/mortar.service`),
      /^ExecStart="\/.*\/a prefix\/bin\/mortar" mgmt$/m,
    );
    const installed = await filesBelow(prefix);
    for (
      const each of [
        "man/man1/mortar.1",
        "man/man1/mortar-volume.1",
        "man/man7/mortar-volume-options.7",
      ]
    ) {
      equal(installed.includes(`/share/${each}`), true, each);
    }
    await must([...BARE, `${SCRIPTS}/install`, "--uninstall", "--prefix", prefix]);
    deepEqual(await filesBelow(prefix), []);
    const wrong = await run([...BARE, `${SCRIPTS}/install`, "--prefx", prefix]);
    deepEqual(
      [wrong.code, /^Cannot install mortar: there is no "--prefx"; .*\n$/.test(wrong.err)],
      [1, true],
    );
  },
);

test(
  "scripts/install: systemd finds nothing to warn of in the unit, wherever it is",
  ["systemd-analyze"],
  async (dir) => {
    const prefix = `${dir}/100% of a & b`;
    await must([...BARE, `${SCRIPTS}/install`, "--prefix", prefix]);
    const unit = `${prefix}/lib/systemd/system/mortar.service`;
    const { code, out, err } = await run(["systemd-analyze", "verify", "--man=no", unit]);
    deepEqual([code, out + err], [0, ""]);
  },
);

test("man pages: groff finds nothing to warn of", ["groff"], async () => {
  const pages = (await filesBelow(`${PROGRAM_DIR}/share/man`)).map((each) =>
    `${PROGRAM_DIR}/share/man${each}`
  );
  equal(pages.length > 10, true);
  for (const page of pages) {
    const { err } = await run(["groff", "-man", "-ww", "-z", "-Tutf8", page]);
    equal(err, "", page);
  }
});

test("mortar.deb: is installed, runs, and is removed", ["dpkg-deb", "dpkg"], async (dir) => {
  const made = (await must([...BARE, `${SCRIPTS}/deb`])).trim().split("\n").at(-1)!;
  await Deno.mkdir(`${dir}/var/lib/dpkg/info`, { recursive: true });
  await Deno.mkdir(`${dir}/var/lib/dpkg/updates`);
  await Deno.writeTextFile(`${dir}/var/lib/dpkg/status`, "");
  const dpkg = [
    "dpkg",
    `--root=${dir}`,
    "--force-script-chrootless",
    "--force-depends",
    "--log=/dev/null",
  ];
  await must([...BARE, ...dpkg, "--install", `${PROGRAM_DIR}/../${made}`]);
  match(await must([...BARE, `${dir}/usr/bin/mortar`, "--version"]), /^mortar /);
  const status = await must([...BARE, ...dpkg, "--status", "mortar"]);
  match(status, /^Status: install ok installed$/m);
  await must([...BARE, ...dpkg, "--purge", "mortar"]);
  deepEqual((await filesBelow(dir)).filter((each) => each.includes("mortar")), []);
});
