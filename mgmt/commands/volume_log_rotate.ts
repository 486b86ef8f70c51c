/** `volume log rotate`: the logs of bricks go on in new files; in both orders that its words have. */

import {
  type Arguments,
  choice,
  managed,
  OP_ERRNO,
  optional,
  Refusal,
  volumeName,
} from "mgmt/cli/managed.ts";
import { element } from "mgmt/cli/xml.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";
import { runningBricks, startedVolume } from "mgmt/commands/ask_bricks.ts";
import { type BrickRecord, brickText, type VolumeRecord } from "mgmt/records.ts";

const brick = optional("[BRICK]", {
  help: "One brick, HOST:/PATH; all that run if not given.",
  offers: "brick",
  parse: brickWord,
});

const args = { volume: volumeName, brick };

/** What was done. */
export interface LogsRotated {
  readonly [key: string]: string | string[];
  readonly volume: string;
  /** Bricks whose logs were rotated, "HOST:/PATH" each. */
  readonly bricks: string[];
}

const shared = {
  scope: "volume",
  text: () => "volume log-rotate: success\n",
  xml: () => output("log rotate successful"),
  failed: (message: string) => `volume log-rotate: failed: ${message}`,
  // GlusterFS's number, whatever was wrong.
  failedXml: (message: string) => ({
    opErrno: OP_ERRNO.internal,
    elements: output(message),
  }),
} as const;

/** As it is said today. */
export const volumeLogRotate = managed({
  path: "volume log rotate",
  summary: "rotate the log file for corresponding volume/brick",
  description: [
    "The log of each brick is renamed to LOG.⟨seconds since 1970⟩, and the brick opens a new one. " +
    "Bricks that are down are left out, unless one is named.",
  ],
  args,
  rest: "POST /volumes/{volume}/log/rotate",
  examples: [{ what: "New logs for all bricks of v1", line: "mortar volume log rotate v1" }],
  check,
  apply,
  ...shared,
});

/** As GlusterFS's usage has it. */
export const volumeLog = managed({
  path: "volume log",
  summary: "the same, its words in GlusterFS's order",
  args: { volume: volumeName, what: choice(["rotate"], "What to do."), brick },
  rest: "POST /volumes/{volume}/log",
  examples: [{ what: "New logs for all bricks of v1", line: "mortar volume log v1 rotate" }],
  check: (cluster, given) => check(cluster, given),
  apply: (cluster, given) => apply(cluster, given),
  ...shared,
});

async function check(cluster: Cluster, given: Arguments<typeof args>): Promise<void> {
  await logsOf(cluster, given);
}

async function apply(cluster: Cluster, given: Arguments<typeof args>): Promise<LogsRotated> {
  const { volume, bricks } = await logsOf(cluster, given);
  const SECOND_MS = 1000;
  const key = Math.floor(cluster.env.clock.now() / SECOND_MS);
  await Promise.all(bricks.map((each) => cluster.bricks.rotateLog(volume, each, key)));
  return { volume: volume.name, bricks: bricks.map(brickText) };
}

async function logsOf(
  cluster: Cluster,
  given: Arguments<typeof args>,
): Promise<{ volume: VolumeRecord; bricks: readonly BrickRecord[] }> {
  const { volume: name, brick: only } = given;
  const volume = await startedVolume(
    cluster,
    name,
    `Volume ${name} needs to be started before log rotate.`,
  );
  if (only !== undefined && !volume.bricks.some((each) => brickText(each) === only)) {
    throw new Refusal(`Incorrect brick ${only} for volume ${name}`);
  }
  return { volume, bricks: runningBricks(cluster, volume, only) };
}

// "host:/path/", slashes at the end or in a row not minded.
function brickWord(word: string): string {
  const match = /^([^:]+|\[[^\]]+\]):(\/.*)$/.exec(word);
  if (!match) throw new RangeError("wrong brick type, use <HOSTNAME>:<export-dir-abs-path>");
  return `${match[1]}:${match[2]!.replace(/\/+/g, "/").replace(/(.)\/$/, "$1")}`;
}

function output(text: string) {
  return [element("cliOp", "volLogRotate"), element("output", text)];
}
