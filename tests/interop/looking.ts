/** What `scripts/capture/looking.ts` saw GlusterFS 10.3 answer, as tests/interop/looking.json has it. */

import type { VolumeKind, VolumeRecord } from "mgmt/records.ts";
import looking from "./looking.json" with { type: "json" };

/** What came of a command. */
export interface Seen {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number;
}

/** A command, and what came of it without and with --xml. */
export interface SeenCommand {
  readonly words: readonly string[];
  readonly text: Seen;
  readonly xml: Seen;
}

/** Commands by a name of the script's. */
export const COMMANDS: Readonly<Record<string, SeenCommand>> = looking.commands;
/** Files that `get-state` wrote. */
export const STATE_FILES: Readonly<Record<string, string>> = looking.files;

/** A command of them. */
export function seen(name: string): SeenCommand {
  const found = COMMANDS[name];
  if (!found) throw new Error(`nothing is known of "${name}"`);
  return found;
}

/** Text of the first element of that name. */
export function tag(xml: string, name: string): string {
  const found = new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml);
  if (!found) throw new Error(`no <${name}> in ${xml}`);
  return found[1]!.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
}

/** What is in each element of that name. */
export function each(xml: string, name: string): string[] {
  return [...xml.matchAll(new RegExp(`<${name}>([^]*?)</${name}>`, "g"))].map(([, text]) => text!);
}

const KINDS: readonly VolumeKind[] = [
  "distribute",
  "stripe",
  "replicate",
  "replicate",
  "disperse",
];
const STATES = { Created: "created", Started: "started", Stopped: "stopped" } as const;

/** The record that a `<volume>` tells of. */
export function record(xml: string): VolumeRecord {
  const number = (name: string) => Number(tag(xml, name));
  const name = tag(xml, "name");
  const bricks = [...xml.matchAll(/<brick uuid="[^"]*">([^<]*)</g)].map(([, text], index) => {
    const colon = text!.indexOf(":");
    return {
      host: text!.slice(0, colon),
      path: text!.slice(colon + 1),
      nodeId: NODE,
      clientName: `${name}-client-${index}`,
    };
  });
  const options = each(xml, "option").map((at) => [tag(at, "name"), tag(at, "value")] as const);
  return {
    name,
    id: tag(xml, "id"),
    state: STATES[tag(xml, "statusStr") as keyof typeof STATES],
    kind: KINDS[number("type") % 5]!,
    replicaCount: number("replicaCount"),
    arbiterCount: number("arbiterCount"),
    disperseCount: number("disperseCount"),
    redundancyCount: number("redundancyCount"),
    stripeCount: 1,
    bricks,
    options: Object.fromEntries(options.reverse()),
    username: "u",
    password: "p",
    version: 1,
    nextClient: bricks.length,
    createdAt: 0,
  };
}

/** UUID of its node. */
export const NODE: string = tag(seen("pool-list-own").xml.stdout, "uuid");
