// Ansible's modules for GlusterFS make, change and delete a volume of our management daemon, through
// GlusterFS's own command line and through ours under its name; a second run changes nothing.

import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { e2e } from "tests/e2e/harness.ts";
import { Island, ISLAND_DIR, ISLAND_HOST } from "tests/e2e/island.ts";
import { PROGRAM_DIR } from "tests/e2e/program.ts";

const MODULES = "/usr/lib/python3/dist-packages/ansible_collections/gluster";
const PROGRAMS = ["gluster", "ansible", "unshare", MODULES];

const PATH = "/usr/sbin:/usr/bin:/sbin:/bin";
/** Which `gluster` a module finds. */
const PROGRAM_OF = {
  "GlusterFS's own command line": { path: PATH, theirs: true },
  "our gluster": { path: `${PROGRAM_DIR}:${PATH}`, theirs: false },
} as const;

interface Result {
  readonly changed: boolean;
  readonly facts: { readonly volumes: Readonly<Record<string, Facts>> } | undefined;
}

/** What the module reads of `volume info`. */
interface Facts {
  readonly status: string;
  readonly bricks: readonly string[];
  readonly options: Readonly<Record<string, string>>;
}

/** Runs one module as a playbook's task does. */
async function task(island: Island, path: string, module: string, args: object): Promise<Result> {
  const { code, out, err } = await island.run(
    [
      ...["ansible", "localhost", "-i", "localhost,", "-c", "local"],
      ...["-m", `gluster.gluster.${module}`, "-a", JSON.stringify(args)],
      ...["-e", "ansible_python_interpreter=/usr/bin/python3"],
    ],
    {
      env: {
        PATH: path,
        DENO: Deno.execPath(),
        HOME: ISLAND_DIR,
        ANSIBLE_LOCALHOST_WARNING: "False",
        ANSIBLE_STDOUT_CALLBACK: "json",
        ANSIBLE_LOAD_CALLBACK_PLUGINS: "True",
        ANSIBLE_LOCAL_TEMP: `${ISLAND_DIR}/ansible`,
        ANSIBLE_REMOTE_TEMP: `${ISLAND_DIR}/ansible`,
      },
    },
  );
  equal(code, 0, out + err);
  const { hosts } = JSON.parse(out).plays[0].tasks[0];
  const { changed, ansible_facts: facts } = hosts.localhost;
  return { changed, facts: facts?.glusterfs };
}

for (const [who, { path, theirs }] of Object.entries(PROGRAM_OF)) {
  e2e(`ansible: a volume's whole life by its modules, through ${who}`, PROGRAMS, async () => {
    await using island = await Island.create();
    await island.startMortar();
    if (!theirs) await island.must(["mount", "--bind", "/dev/null", "/usr/sbin/gluster"]);
    const peer = await task(island, path, "gluster_peer", { nodes: [ISLAND_HOST] });
    equal(peer.changed, false);

    const bricks = `${ISLAND_DIR}/bricks/a,${ISLAND_DIR}/bricks/b,${ISLAND_DIR}/bricks/c`;
    const wanted = {
      ...{ name: "v1", state: "present", cluster: [ISLAND_HOST], bricks, replicas: 3, force: true },
      options: { "performance.cache-size": "128MB", "auth.allow": "10.77.9.*" },
    };
    const made = await task(island, path, "gluster_volume", wanted);
    equal(made.changed, true);
    equal((await task(island, path, "gluster_volume", wanted)).changed, false);
    const { facts } = await task(island, path, "gluster_volume", { name: "v1", state: "started" });
    const volume = facts?.volumes["v1"];
    ok(volume);
    equal(volume.status, "Started");
    deepEqual(
      volume.bricks,
      ["a", "b", "c"].map((b) => `${ISLAND_HOST}:${ISLAND_DIR}/bricks/${b}`),
    );
    equal(volume.options["performance.cache-size"], "128MB");

    for (const state of ["stopped", "absent"]) {
      const asked = { name: "v1", state };
      equal((await task(island, path, "gluster_volume", asked)).changed, true, state);
      equal((await task(island, path, "gluster_volume", asked)).changed, false, state);
    }
    equal(await island.mortar("--socket", "/run/glusterd.socket", "volume", "list"), "");
  });
}
