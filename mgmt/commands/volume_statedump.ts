/** `volume statedump`: every brick writes what it looks like inside. */

import { managed, operands, Refusal, volumeName } from "mgmt/cli/managed.ts";
import { element } from "mgmt/cli/xml.ts";
import { runningBricks, startedVolume } from "mgmt/commands/ask_bricks.ts";
import { brickText } from "mgmt/records.ts";

const PARTS = ["all", "mem", "iobuf", "callpool", "priv", "fd", "inode", "history"] as const;

/** What it answers. */
export type VolumeStatedump = {
  readonly volume: string;
  /** Bricks that were told, as "HOST:/PATH". */
  readonly bricks: readonly string[];
};

/** See the head of this file. */
export const volumeStatedump = managed({
  path: "volume statedump",
  summary: "perform statedump on bricks",
  description: [
    "Each brick that runs writes a file d-backends-NAME.PID.dump.SECONDS, by default in the run " +
    "directory. It holds all parts, whichever are named.",
  ],
  args: {
    volume: volumeName,
    parts: operands(`[${PARTS.join("|")}]`, {
      help: "What the dump must hold.",
      required: false,
      offers: PARTS,
      parse(given) {
        const found = PARTS.find((each) => each === given);
        if (found === undefined) throw new RangeError(`expected one of ${PARTS.join(", ")}`);
        return found;
      },
    }),
  },
  scope: "nothing",
  localOnly: true,
  rest: "POST /volumes/{volume}/statedump",
  examples: [{ what: "Dumps of all bricks of v1", line: "mortar volume statedump v1" }],
  async check(cluster, { volume }) {
    await startedVolume(cluster, volume, `Volume ${volume} is not in the started state`);
  },
  async apply(cluster, { volume: name }): Promise<VolumeStatedump> {
    const volume = await cluster.volume(name);
    const told = runningBricks(cluster, volume).flatMap((brick) => {
      const { pid } = cluster.bricks.status(volume, brick);
      return pid !== undefined && signalled(pid) ? [brickText(brick)] : [];
    });
    if (!told.length) throw new Refusal(`No brick of volume ${name} is running`);
    return { volume: name, bricks: told };
  },
  text: () => "volume statedump: success\n",
  xml: () => [
    element("cliOp", "volStatedump"),
    element("output", "Volume statedump successful"),
  ],
  failed: (message) => `volume statedump: failed: ${message}`,
  failedXml: (message) => ({
    elements: [element("cliOp", "volStatedump"), element("output", message)],
    exitCode: 0,
  }),
});

function signalled(pid: number): boolean {
  try {
    Deno.kill(pid, "SIGUSR1");
    return true;
  } catch (error) {
    // It ended between the look and the signal.
    if (error instanceof Deno.errors.NotFound || error instanceof TypeError) return false;
    throw error;
  }
}
