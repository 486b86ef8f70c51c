/**
 * GlusterFS's own management daemon for a test: in mount, network and process namespaces of its own,
 * on a state directory that the test looks at from outside. All of it ends with the script.
 */

import { must } from "tests/e2e/process.ts";

/** Address of the host that glusterd sees. */
export const GLUSTERD_HOST = "192.0.2.1";

const SETUP = `
set -eu
ip link set lo up
ip addr add ${GLUSTERD_HOST}/32 dev lo
mkdir -p /var/lib/glusterd /var/log/glusterfs
mount --bind "$STATE" /var/lib/glusterd
mount -t tmpfs glusterd-test /var/log/glusterfs
# Sockets and pid files of other daemons of that name are there.
mount -t tmpfs glusterd-test /run
mkdir /run/gluster
g() { gluster --mode=script "$@"; }
up() {
  for try in $(seq 600); do g pool list > /dev/null 2>&1 && return; sleep 0.1; done
  cat /var/log/glusterfs/glusterd.log >&2
  exit 1
}
glusterd
up
`;

/**
 * Starts glusterd on the state directory `state`, runs a shell script (\`g volume info\` asks it), and
 * answers what the script printed. Throws if a command of the script failed.
 */
export function inGlusterd(state: string, script: string): Promise<string> {
  return must(
    [
      ...["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"],
      ...["--propagation", "private", "bash", "-c", SETUP + script],
    ],
    { env: { STATE: state }, timeoutMs: 300_000 },
  );
}
