/**
 * A machine of its own, as far as management daemons can tell: network, mounts, and process numbers
 * are its own, the state directories of GlusterFS and libvirt are empty, and all of it vanishes with it.
 */

import { must, run, type RunOptions, until } from "tests/e2e/process.ts";
import { MORTAR, PROGRAM_DIR } from "tests/e2e/program.ts";

/** Its address; `gluster` takes no bricks on loopback addresses. */
export const ISLAND_HOST = "10.77.9.1";

/** Directory for bricks and all else, in memory. */
export const ISLAND_DIR = "/srv";

const GLUSTERD = `${PROGRAM_DIR}/glusterd`;

// Groups of options are a part of the GlusterFS packages, not of a daemon's state.
const SET_UP = `
set -e
ip link set lo up
ip address add ${ISLAND_HOST}/24 dev lo
mount -t tmpfs none ${ISLAND_DIR}
mkdir ${ISLAND_DIR}/bricks
cp -a /var/lib/glusterd/groups ${ISLAND_DIR}/groups
for each in /var/lib/glusterd /var/log/glusterfs /run /var/lib/libvirt /etc/libvirt; do
  [ ! -d $each ] || mount -t tmpfs none $each
done
mkdir /run/gluster
cp -a ${ISLAND_DIR}/groups /var/lib/glusterd/
`;

/** See the head of this file. */
export class Island implements AsyncDisposable {
  readonly #holder: Deno.ChildProcess;
  readonly #pid: number;

  private constructor(holder: Deno.ChildProcess, pid: number) {
    this.#holder = holder;
    this.#pid = pid;
  }

  /** Makes one. Needs root. */
  static async create(): Promise<Island> {
    const holder = new Deno.Command("unshare", {
      args: [
        ...[
          "--mount",
          "--net",
          "--uts",
          "--ipc",
          "--pid",
          "--fork",
          "--kill-child",
          "--mount-proc",
        ],
        // The first process, which has to wait for those that lost their parents.
        ...["sh", "-c", `${SET_UP}\n: >${ISLAND_DIR}/ready\nsleep infinity & wait`],
      ],
      stdin: "null",
      stdout: "null",
      stderr: "inherit",
    }).spawn();
    let pid = 0;
    await until("the island is set up", () => {
      try {
        pid = Number(Deno.readTextFileSync(`/proc/${holder.pid}/task/${holder.pid}/children`));
        return pid > 0 && Deno.statSync(`/proc/${pid}/root${ISLAND_DIR}/ready`).isFile;
      } catch {
        return false;
      }
    });
    return new Island(holder, pid);
  }

  /** The command line that runs `argv` on it. */
  inside(argv: readonly string[]): string[] {
    return ["nsenter", "-t", String(this.#pid), "-m", "-n", "-u", "-i", "-p", ...argv];
  }

  /** Runs a program on it. */
  run(argv: readonly string[], options?: RunOptions) {
    return run(this.inside(argv), options);
  }

  /** Runs a program on it; throws unless it exits with 0. */
  must(argv: readonly string[], options?: RunOptions): Promise<string> {
    return must(this.inside(argv), options);
  }

  /** A file of its own, as seen from here. */
  path(path: string): string {
    return `/proc/${this.#pid}/root${path}`;
  }

  /** Starts GlusterFS's management daemon at its usual places. */
  async startGlusterd(): Promise<void> {
    await this.must(["glusterd"]);
    await this.#answers("glusterd");
  }

  /** Starts ours, with the socket where \`gluster\` looks for one. */
  async startMortar(): Promise<void> {
    const log = `${ISLAND_DIR}/mgmt.log`;
    await this.mortar(
      ...["mgmt", "--daemon", "--log-file", log, "--home", `${ISLAND_DIR}/home`],
      ...["--listen", ISLAND_HOST, "--socket", "/run/glusterd.socket"],
    );
    await this.#answers("mortar");
  }

  /** Starts ours under GlusterFS's name, at GlusterFS's places. */
  async startMortarAsGlusterd(): Promise<void> {
    await this.must([GLUSTERD], { env: { DENO: Deno.execPath() } });
    await this.#answers("mortar, called as glusterd,");
  }

  /** Runs `mortar WORDS…`; throws unless it exits with 0. */
  mortar(...words: readonly string[]): Promise<string> {
    return this.must([MORTAR, ...words], { env: { DENO: Deno.execPath() } });
  }

  #answers(who: string): Promise<void> {
    return until(
      `${who} answers`,
      async () => (await this.run(["gluster", "pool", "list"])).code === 0,
    );
  }

  /** Ends everything on it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#holder.kill("SIGKILL");
    await this.#holder.status;
  }
}
