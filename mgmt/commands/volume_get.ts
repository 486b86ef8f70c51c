/** `volume get`: what options are. */

import { managed, operand, Refusal, volumeName } from "mgmt/cli/managed.ts";
import { element } from "mgmt/cli/xml.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";
import { shownValue } from "mgmt/volume_options/defaults.ts";
import { findVolumeOption, isFreeKey, VOLUME_OPTIONS } from "mgmt/volume_options/mod.ts";
import { ALL } from "mgmt/volume_options/settings.ts";
import { hint } from "mgmt/volume_options/unknown.ts";
import type { VolumeOption } from "mgmt/volume_options/volume_option.ts";

/** Options and their values, "(DEFAULT)" behind those that nobody set. */
export type VolumeGet = {
  readonly volume: string;
  readonly options: readonly { readonly key: string; readonly value: string }[];
};

const WIDTH = { key: 40, value: 39 };

/** See the head of this file. */
export const volumeGet = managed({
  path: "volume get",
  summary: "show what options of a volume, or of all volumes, are",
  args: {
    volume: volumeName,
    option: operand("<KEY|all>", { help: "An option, or all of them.", offers: "option" }),
  },
  scope: "nothing",
  rest: "GET /volumes/{volume}/options/{option}",
  examples: [
    { what: "Show one option", line: "mortar volume get v1 cluster.quorum-type" },
    { what: "Show all options of v1", line: "mortar volume get v1 all" },
    { what: "Show the options of all volumes", line: "mortar volume get all all" },
  ],
  async apply(cluster, { volume, option }): Promise<VolumeGet> {
    const options = volume === ALL
      ? await ofAll(cluster, option)
      : await ofVolume(cluster, volume, option);
    return { volume, options };
  },
  text: ({ options }) =>
    [{ key: "Option", value: "Value" }, { key: "------", value: "-----" }, ...options]
      .map(({ key, value }) => `${key.padEnd(WIDTH.key)} ${value.padEnd(WIDTH.value)}\n`).join(""),
  xml: ({ options }) => [
    element("volGetopts", [
      element("count", options.length),
      ...options.map(({ key, value }) =>
        element("Opt", [element("Option", key), element("Value", value)])
      ),
    ]),
  ],
  failed: (message) => `volume get option: failed: ${message}`,
  failedXml: (message) => ({
    opErrno: 0,
    elements: [
      element("cliOp", "volGetopts"),
      element("output", `volume get option: failed: ${message}`),
    ],
    exitCode: 1,
  }),
});

type Shown = VolumeGet["options"];

async function ofVolume(cluster: Cluster, name: string, asked: string): Promise<Shown> {
  const volume = await cluster.volume(name);
  if (isFreeKey(asked)) {
    const value = volume.options[asked];
    if (value !== undefined) return [{ key: asked, value }];
  }
  const globalOptions = await cluster.globalOptions();
  const wanted = asked === ALL
    ? [...VOLUME_OPTIONS.values()].filter(({ unlisted }) => !unlisted)
    : [known(asked)];
  return wanted.map((option) => ({
    key: option.key,
    value: shownValue(option, volume, globalOptions),
  }));
}

async function ofAll(cluster: Cluster, asked: string): Promise<Shown> {
  const globalOptions = await cluster.globalOptions();
  const wanted = asked === ALL
    ? [...VOLUME_OPTIONS.values()].filter(({ global }) => global)
    : [known(asked)];
  return wanted.map(({ key, shown, global }) => {
    if (!global) throw new Refusal("Not a valid option for all volumes");
    // The two versions are what the daemon is, not what somebody could have set.
    const own = key.endsWith("op-version") ? shown : `${shown} (DEFAULT)`;
    return { key, value: globalOptions[key] ?? own };
  });
}

function known(name: string): VolumeOption {
  const option = findVolumeOption(name);
  if (option) return option;
  throw new Refusal(`Option with name: ${name} does not exist${hint(name)}`);
}
