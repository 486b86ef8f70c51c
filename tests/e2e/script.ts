/** Shell scripts on a machine of their own, with our programs under all of their names. */

import { run } from "tests/e2e/process.ts";
import { PROGRAM_DIR } from "tests/e2e/program.ts";

/** Address that a script finds on its loopback device; `gluster` takes no bricks on others of that. */
export const SCRIPT_HOST = "10.99.4.1";

/**
 * Runs a script in bash, in an empty directory, as root, with processes, mounts and a network of its
 * own that vanish with it; our programs are on the path, and GlusterFS's places are empty. Answers
 * what it printed behind each line "##### NAME".
 */
export async function sections(script: string): Promise<(name: string) => string> {
  const dir = await Deno.makeTempDir({ prefix: "mt-script-" });
  try {
    await Deno.writeTextFile(
      `${dir}/script`,
      `ip link set lo up && ip addr add ${SCRIPT_HOST}/24 dev lo
for each in /var/lib/glusterd /var/run /var/log/glusterfs; do mount -t tmpfs none $each; done
export PATH=${PROGRAM_DIR}:$PATH DENO=${Deno.execPath()}
cd ${dir}
${script}
`,
    );
    const { out, err } = await run(
      ["unshare", "-mnpf", "--kill-child", "--mount-proc", "bash", `${dir}/script`],
      { timeoutMs: 240_000 },
    );
    const parts = out.split("##### ").slice(1);
    if (!parts.length) throw new Error(err);
    const said = new Map(
      parts.map((part) => {
        const end = part.indexOf("\n");
        return [part.slice(0, end), part.slice(end + 1)];
      }),
    );
    return (name) => said.get(name) ?? "";
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}
