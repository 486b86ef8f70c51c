/** `volume set`: gives options of a volume, or of all volumes, values. */

import { keyword, managed, operands, volumeName } from "mgmt/cli/managed.ts";
import { WrongArguments } from "mgmt/cli/words.ts";
import { element } from "mgmt/cli/xml.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";
import { updateGlobalOptions } from "mgmt/cluster/global_options.ts";
import type { VolumeRecord } from "mgmt/records.ts";
import { optionsForRestart } from "mgmt/volgen/brick_restart.ts";
import { PROXY } from "mgmt/volgen/own_graph.ts";
import { readGroup } from "mgmt/volume_options/groups.ts";
import { ALL, checkSettings, readSettings, type Setting } from "mgmt/volume_options/settings.ts";

/** What was set: names with their families. */
export type VolumeSet = {
  readonly volume: string;
  readonly options: { readonly [key: string]: string };
  /** What a person should know of it. */
  readonly notes: readonly string[];
};

interface Given {
  readonly volume: string;
  readonly settings: readonly string[];
  readonly group: string | undefined;
}

/** See the head of this file. */
export const volumeSet = managed({
  path: "volume set",
  summary: "set options of a volume, or of all volumes",
  description: [
    "All settings of one command are checked before the first is made, and made at once. The name all " +
    "stands for all volumes. An option may be named without what stands before its dot, where that " +
    "is clear. Keys that begin with user. are free for any use. A group is a file of that name in the " +
    "groups directory of the daemon's home, KEY=VALUE a line, or one of: virt, distributed-virt, " +
    "gluster-block, db-workload, metadata-cache, nl-cache, samba.",
  ],
  args: {
    volume: volumeName,
    settings: operands("<KEY> <VALUE>", {
      help: "Options and values, in turn.",
      required: false,
      offers: "option",
    }),
    group: keyword("group", "<GROUP>", { help: "Set all options of that group." }),
  },
  scope: "volume",
  rest: "POST /volumes/{volume}/options",
  examples: [
    {
      what: "Remember more of files in clients of v1, and longer",
      line: "mortar volume set v1 performance.cache-size 256MB performance.md-cache-timeout 60",
    },
    { what: "Make v1 fit for disks of virtual machines", line: "mortar volume set v1 group virt" },
  ],
  async check(cluster, given) {
    await settingsFor(cluster, given);
  },
  async apply(cluster, given): Promise<VolumeSet> {
    const settings = await settingsFor(cluster, given);
    const options = Object.fromEntries(settings.map(({ key, value }) => [key, value]));
    if (given.volume === ALL) {
      await updateGlobalOptions(cluster, (before) => ({ ...before, ...options }));
      return { volume: ALL, options, notes: [] };
    }
    const before = await cluster.volume(given.volume);
    const after = { ...before.options, ...options };
    const change = () => changeOptions(cluster, given.volume, after);
    await cluster.hooked("set", given.volume, change, options);
    const notes = [...notesOn(options, after), ...restartNotes(before, after)];
    if (options[PROXY] !== undefined) notes.push(...await proxyNotes(cluster, given.volume));
    return { volume: given.volume, options, notes };
  },
  text: () => "volume set: success\n",
  aside: ({ notes }) => lines(notes),
  xml: () => [element("cliOp", "volSet"), element("output", "Set volume successful")],
  failed: (message) => `volume set: failed: ${message}`,
  failedXml: () => ({
    opErrno: 30800,
    elements: [element("cliOp", "volSet"), element("output", "Set volume unsuccessful")],
  }),
});

async function settingsFor(cluster: Cluster, given: Given): Promise<readonly Setting[]> {
  const volume = given.volume === ALL ? undefined : await cluster.volume(given.volume);
  const settings = readSettings(await wordsOf(cluster, given));
  checkSettings(settings, volume);
  return settings;
}

async function wordsOf(
  cluster: Cluster,
  { settings, group }: Given,
): Promise<readonly string[]> {
  const wrong = (why: string) => new WrongArguments(volumeSet, why, false);
  if (group !== undefined) {
    if (settings.length) throw wrong("a group is set alone");
    return await readGroup(cluster.places.home, group);
  }
  if (!settings.length) throw wrong("<KEY> <VALUE> is missing");
  if (settings.length % 2) throw wrong(`a value for ${settings.at(-1)} is missing`);
  return settings;
}

/** Gives a volume these options. If what follows from them fails, it has those again that it had. */
export async function changeOptions(
  cluster: Cluster,
  name: string,
  options: Readonly<Record<string, string>>,
): Promise<void> {
  const before = (await cluster.volume(name)).options;
  try {
    await cluster.update(name, (volume) => ({ ...volume, options }));
  } catch (error) {
    await cluster.update(name, (volume) => ({ ...volume, options: before })).catch((again) =>
      cluster.env.log.warn("options could not be followed nor taken back", {
        volume: name,
        error: String(again),
      })
    );
    throw error;
  }
}

function notesOn(
  set: Readonly<Record<string, string>>,
  after: Readonly<Record<string, string>>,
): readonly string[] {
  const fixedQuorum = set["cluster.quorum-type"]?.toLowerCase() === "fixed";
  return fixedQuorum && after["cluster.quorum-count"] === undefined
    ? ["cluster.quorum-type fixed has no effect until cluster.quorum-count is set"]
    : [];
}

async function proxyNotes(cluster: Cluster, name: string): Promise<readonly string[]> {
  const why = cluster.proxies?.status(await cluster.volume(name)).why;
  return why === undefined ? [] : [`the proxy of ${name} does not run: ${why}`];
}

/** What to say of options that bricks of `before`, which may run, do not follow by themselves. */
export function restartNotes(
  before: VolumeRecord,
  after: Readonly<Record<string, string>>,
): readonly string[] {
  const names = before.state === "started" ? optionsForRestart(before, after) : [];
  if (!names.length) return [];
  const { name } = before;
  return [
    `bricks of ${name} that run follow ${names.join(", ")} when they are started again: ` +
    `"volume stop ${name}", then "volume start ${name}"`,
  ];
}

/** Notes as they are printed. */
export function lines(notes: readonly string[]): string {
  return notes.map((note) => `${note}\n`).join("");
}
