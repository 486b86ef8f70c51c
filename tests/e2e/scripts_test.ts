/**
 * Test scripts written for GlusterFS, unchanged, on our programs: `scripts_cases.sh` does what such
 * scripts do and look at, with our `gluster`, `glusterd` and `glusterfsd` first on PATH and
 * GlusterFS's own client. `MORTAR_E2E_BRICKS=glusterfsd` runs it on GlusterFS's instead.
 */

import { deepStrictEqual as deepEqual } from "node:assert/strict";
import { e2e, KIND } from "tests/e2e/harness.ts";
import { Island, ISLAND_DIR } from "tests/e2e/island.ts";
import { PROGRAM_DIR } from "tests/e2e/program.ts";

const CASES = new URL("scripts_cases.sh", import.meta.url).pathname;
const PROGRAMS = ["gluster", "gf_attach", "unshare", "getfattr", "xmllint", "killall"];

// Scripts name the machine, as their bricks' host. Their own hooks, and those of packages, stay out.
const RUN = `
set -e
printf '127.0.0.1 localhost\\n10.77.9.1 island\\n' >${ISLAND_DIR}/hosts
mount --bind ${ISLAND_DIR}/hosts /etc/hosts
hostname island
if [ "$1" = ours ]; then
  mkdir ${ISLAND_DIR}/bin
  for each in gluster glusterd glusterfsd; do ln -s "$2/$each" ${ISLAND_DIR}/bin/; done
  export PATH=${ISLAND_DIR}/bin:$PATH
fi
shift 2
cd ${ISLAND_DIR}
exec bash ${CASES} island ${ISLAND_DIR} "$@"
`;

/** Runs cases; fails with the steps that did. */
async function passes(...cases: readonly string[]): Promise<void> {
  await using island = await Island.create();
  const { out, err } = await island.run(["sh", "-c", RUN, "sh", KIND, PROGRAM_DIR, ...cases], {
    env: { DENO: Deno.execPath() },
    timeoutMs: 600_000,
  });
  const lines = out.trimEnd().split("\n");
  const failed = lines.filter((line) => line.startsWith("not ok "));
  // A script that broke off proves nothing.
  if (lines.at(-1) !== "done") failed.push(`it broke off: ${lines.at(-1)}\n${err.slice(-2000)}`);
  deepEqual(failed, []);
}

const CASE_NAMES: Readonly<Record<string, string>> = {
  daemon: "the daemon is found, dumped, ended and started again",
  shapes: "volumes of every shape are created, told and deleted",
  life: "a volume's life is told in words, XML, processes and files",
  bricks: "bricks are ended in every way and come back, whoever of them and the daemon is away",
  options: "options are set, got, reset, in groups, and refused",
  mounts: "clients mount, notice bricks that go and come, and find files on bricks",
  figures: "profile, top, locks, barrier and the rest have their words",
  hooks: "hooks run around every change",
  trouble: "layers that delay and refuse do so",
  speed: "commands are quick enough to be given by the thousand",
  nodes: "several daemons live on one machine",
};

for (const [name, outcome] of Object.entries(CASE_NAMES)) {
  e2e(`scripts for GlusterFS: ${outcome}`, PROGRAMS, () => passes(name));
}
