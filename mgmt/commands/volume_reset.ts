/** `volume reset`: takes values of options back. */

import { managed, optional, Refusal, volumeName, word } from "mgmt/cli/managed.ts";
import { element } from "mgmt/cli/xml.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";
import { updateGlobalOptions } from "mgmt/cluster/global_options.ts";
import { changeOptions, lines, restartNotes } from "mgmt/commands/volume_set.ts";
import type { VolumeRecord } from "mgmt/records.ts";
import { optionsAfterReset } from "mgmt/volume_options/defaults.ts";
import { findVolumeOption, isFreeKey } from "mgmt/volume_options/mod.ts";
import { ALL, checkScope } from "mgmt/volume_options/settings.ts";
import { hint } from "mgmt/volume_options/unknown.ts";

/** What is as if it had never been set. */
export type VolumeReset = {
  readonly volume: string;
  readonly options: readonly string[];
  /** Left alone since "force" was not given. */
  readonly kept: readonly string[];
  /** What a person should know of it. */
  readonly notes: readonly string[];
};

type Options = Readonly<Record<string, string>>;

/** See the head of this file. */
export const volumeReset = managed({
  path: "volume reset",
  summary: "take options of a volume, or of all volumes, back to their defaults",
  description: [
    "Without an option all of them. The name all stands for all volumes. A few options are protected: " +
    "they are taken back with force only.",
  ],
  args: {
    volume: volumeName,
    option: optional("<KEY>", { help: "Only that option.", offers: "option" }),
    force: word("force", "Protected options, too."),
  },
  scope: "volume",
  rest: "POST /volumes/{volume}/options/reset",
  examples: [
    {
      what: "Forget the size of caches that was set for v1",
      line: "mortar volume reset v1 performance.cache-size",
    },
    { what: "Take all options of v1 back", line: "mortar volume reset v1" },
  ],
  async check(cluster, { volume: name, option, force }) {
    const volume = await volumeOrAll(cluster, name);
    const key = option === undefined || option === ALL ? undefined : keyOf(option);
    if (key === undefined) return;
    checkScope(findVolumeOption(key), volume);
    if (isGuarded(key) && !force && volume?.options[key] !== undefined) {
      throw new Refusal(`'${key}' is protected. To reset use 'force'.`);
    }
  },
  async apply(cluster, { volume: name, option, force }): Promise<VolumeReset> {
    const volume = await volumeOrAll(cluster, name);
    const before = volume ? volume.options : await cluster.globalOptions();
    const all = option === undefined || option === ALL;
    const keys = all ? Object.keys(before) : [keyOf(option)];
    const kept = keys.filter((key) => isGuarded(key) && !force && key in before);
    const options = keys.filter((key) => !kept.includes(key));
    if (volume) {
      const after = withDefaults(without(before, options), options, volume);
      await cluster.hooked("reset", name, () => changeOptions(cluster, name, after));
      return { volume: name, options, kept, notes: restartNotes(volume, after) };
    }
    await updateGlobalOptions(cluster, (global) => without(global, options));
    return { volume: name, options, kept, notes: [] };
  },
  text: (value) => `volume reset: success: ${resetDone(value)}\n`,
  aside: ({ notes }) => lines(notes),
  xml: (value) => [element("cliOp", "volReset"), element("output", resetDone(value))],
  failed: (message) => `volume reset: failed: ${message}`,
  failedXml: (message) => ({
    opErrno: 30800,
    elements: [element("cliOp", "volReset"), element("output", message)],
  }),
});

async function volumeOrAll(cluster: Cluster, name: string): Promise<VolumeRecord | undefined> {
  return name === ALL ? undefined : await cluster.volume(name);
}

function keyOf(name: string): string {
  const option = findVolumeOption(name);
  if (option) return option.key;
  if (isFreeKey(name)) return name;
  throw new Refusal(`Option ${name} does not exist${hint(name)}`);
}

function isGuarded(key: string): boolean {
  return findVolumeOption(key)?.guarded === true;
}

function without(options: Options, keys: readonly string[]): Options {
  return Object.fromEntries(Object.entries(options).filter(([key]) => !keys.includes(key)));
}

// What every new volume gets comes back; what is left keeps its place.
function withDefaults(left: Options, reset: readonly string[], volume: VolumeRecord): Options {
  const again = Object.entries(optionsAfterReset(volume)).filter(([key]) => reset.includes(key));
  return { ...Object.fromEntries(again), ...left };
}

/** What a person reads of it. */
export function resetDone({ kept }: VolumeReset): string {
  return kept.length
    ? "All unprotected fields were reset. To reset the protected fields, use 'force'."
    : "reset volume successful";
}
